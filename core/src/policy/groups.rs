//! Groups as a filter uses them: a client's group in a few look-ups, and which lists hold for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::identity::{Identity, hash_of, hashed};
use super::nets::Nets;
use super::{Group, Policy};
use crate::message::QueryType;
use crate::snapshot::ListInfo;
use crate::verdict::Action;

/// A group with what was worked out for it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The group.
    pub group: Group,
    /// Its place in [`Groups`]; what is cached for a group is cached under it.
    pub number: u32,
    /// One bit for each list that holds for it.
    lists: Vec<u64>,
    /// Lists that hold in windows only, with the windows' places in the group.
    timed: Vec<(u16, Vec<usize>)>,
}

impl Held {
    /// Whether a list holds for the group, at some time.
    pub fn holds(&self, list: u16) -> bool {
        let word = self.lists.get(usize::from(list) / 64).copied().unwrap_or_default();
        word >> (list % 64) & 1 == 1
    }

    /// Whether a list that holds for the group in windows only does so at a time, milliseconds since 1970;
    /// `None` for a list that always does.
    pub fn holds_at(&self, list: u16, now_ms: u64) -> Option<bool> {
        let (_, windows) = self.timed.iter().find(|(timed, _)| *timed == list)?;
        let mut windows = windows.iter().filter_map(|at| self.group.schedules.get(*at));
        Some(windows.any(|window| window.holds(now_ms)))
    }

    /// What the group does to a question's type, if it stops it.
    pub fn stops_type(&self, qtype: u16) -> Option<Action> {
        let has = |types: &[QueryType]| types.contains(&QueryType(qtype));
        if has(&self.group.refused_types) {
            return Some(Action::Refused);
        }
        has(&self.group.nodata_types).then_some(Action::Nodata)
    }
}

/// All groups of a policy.
#[derive(Debug, Clone)]
pub struct Groups {
    all: Vec<Arc<Held>>,
    nets: Nets,
    /// By hashed id or token, and by certificate name.
    secrets: HashMap<String, u32>,
    sans: HashMap<String, u32>,
    everybody: Arc<Held>,
    nobodys: Arc<Held>,
}

impl Groups {
    /// Works out a policy's groups for a snapshot's lists.
    pub fn new(policy: &Policy, lists: &[ListInfo]) -> Self {
        let named: HashMap<&str, usize> =
            lists.iter().enumerate().map(|(at, list)| (list.name.as_str(), at)).collect();
        // Lists for everybody, once for all groups; the few that are for some are added to theirs.
        let mut common = vec![0u64; lists.len().div_ceil(64)];
        let mut of_groups: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, list) in lists.iter().enumerate() {
            match list.groups.as_slice() {
                [] => set(&mut common, at),
                groups => groups.iter().for_each(|group| of_groups.entry(group).or_default().push(at)),
            }
        }
        let hold = |number: usize, group: &Group| {
            let mut bits = common.clone();
            if !group.use_lists.is_empty() {
                bits.fill(0);
                let used = group.use_lists.iter().filter_map(|name| named.get(name.as_str()).copied());
                used.filter(|at| lists.get(*at).is_some_and(|list| list.groups.is_empty()))
                    .for_each(|at| set(&mut bits, at));
                // Law and popularity are nobody's choice.
                let fixed = lists.iter().enumerate();
                let fixed = fixed.filter(|(_, list)| !list.role.is_chosen() && list.groups.is_empty());
                fixed.for_each(|(at, _)| set(&mut bits, at));
            }
            let own = of_groups.get(group.name.as_str()).into_iter().flatten();
            own.for_each(|at| set(&mut bits, *at));
            let mut timed: Vec<(u16, Vec<usize>)> = Vec::new();
            for (window, schedule) in group.schedules.iter().enumerate() {
                for list in schedule.lists.iter().filter_map(|name| named.get(name.as_str())) {
                    let list = *list as u16;
                    match timed.iter_mut().find(|(known, _)| *known == list) {
                        Some((_, windows)) => windows.push(window),
                        None => timed.push((list, vec![window])),
                    }
                }
            }
            Arc::new(Held { group: group.clone(), number: number as u32, lists: bits, timed })
        };
        let all: Vec<Arc<Held>> =
            policy.groups.iter().enumerate().map(|(number, group)| hold(number, group)).collect();
        let mut nets = Nets::default();
        let (mut secrets, mut sans) = (HashMap::new(), HashMap::new());
        // The first group of those that name the same client.
        for held in all.iter().rev() {
            for secret in held.group.path_ids.iter().chain(&held.group.tokens) {
                secrets.insert(hashed(secret), held.number);
            }
            for san in &held.group.sans {
                sans.insert(san.to_ascii_lowercase(), held.number);
            }
        }
        for held in &all {
            held.group.clients.iter().for_each(|net| nets.add(*net, held.number));
        }
        let everybody = all.iter().find(|held| held.group.is_everybodys()).cloned();
        let nobodys = hold(policy.groups.len(), &Group::default());
        Self { all, nets, secrets, sans, everybody: everybody.unwrap_or_else(|| nobodys.clone()), nobodys }
    }

    /// The default group, with every list that holds for all: where groups are left out.
    pub fn nobodys(&self) -> &Arc<Held> {
        &self.nobodys
    }

    /// The group of a client: by token, by path id, by certificate; else the one with the longest prefix that
    /// holds its address, the first of equals; else the one without clients, which is everybody's; else the
    /// default group.
    pub fn of(&self, client: IpAddr, identity: &Identity) -> &Arc<Held> {
        let by_name = if identity.is_empty() { None } else { self.of_identity(identity) };
        let number = by_name.or_else(|| self.nets.holding(client).next().map(|(_, number)| number));
        number.and_then(|number| self.all.get(number as usize)).unwrap_or(&self.everybody)
    }

    /// Whether a group names clients by their certificates.
    pub fn has_sans(&self) -> bool {
        !self.sans.is_empty()
    }

    /// Whether a group names clients by path id or token.
    pub fn has_secrets(&self) -> bool {
        !self.secrets.is_empty()
    }

    fn of_identity(&self, identity: &Identity) -> Option<u32> {
        let secret = |text: &Option<String>| self.secrets.get(&hash_of(text.as_deref()?)).copied();
        let by_secret = if self.secrets.is_empty() {
            None
        } else {
            secret(&identity.token).or_else(|| secret(&identity.path_id))
        };
        by_secret.or_else(|| {
            identity.sans.iter().find_map(|san| self.sans.get(&san.to_ascii_lowercase()).copied())
        })
    }
}

fn set(bits: &mut [u64], at: usize) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word |= 1 << (at % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Role;

    fn list(name: &str, role: Role, groups: &[&str]) -> ListInfo {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        ListInfo { name: name.into(), role, groups, ..ListInfo::default() }
    }

    fn group(name: &str, net: &str, use_lists: &[&str]) -> Group {
        Group {
            name: name.into(),
            clients: net.parse().into_iter().collect(),
            use_lists: use_lists.iter().map(|list| (*list).to_owned()).collect(),
            ..Group::default()
        }
    }

    #[test]
    fn a_list_holds_for_the_groups_that_use_it() {
        let lists = [
            list("ads", Role::Block, &[]),
            list("adult", Role::Block, &["kids"]),
            list("court", Role::Mandatory, &[]),
            list("malware", Role::Block, &[]),
            list("school law", Role::Mandatory, &["kids"]),
        ];
        let groups = vec![
            group("kids", "10.1.0.0/16", &[]),
            group("lab", "10.2.0.0/16", &["malware", "adult"]),
            group("rest", "", &[]),
        ];
        let groups = Groups::new(&Policy { groups, ..Policy::default() }, &lists);
        let of = |client: &str| {
            let held = groups.of(client.parse().unwrap(), &Identity::default());
            let names = (0..5).filter(|at| held.holds(*at)).map(|at| lists[usize::from(at)].name.as_str());
            (held.group.name.clone(), names.collect::<Vec<_>>())
        };
        assert_eq!(of("10.1.0.1"), ("kids".into(), vec!["ads", "adult", "court", "malware", "school law"]));
        assert_eq!(of("10.2.0.1"), ("lab".into(), vec!["court", "malware"]));
        assert_eq!(of("192.0.2.1"), ("rest".into(), vec!["ads", "court", "malware"]));
    }

    #[test]
    fn the_longest_prefix_chooses_the_group() {
        let group = |name: &str, net: &str| Group {
            name: name.into(),
            clients: net.parse().into_iter().collect(),
            ..Group::default()
        };
        let groups =
            vec![group("all", "0.0.0.0/0"), group("lab", "10.0.0.0/8"), group("desk", "10.1.1.1/32")];
        let policy = Policy { groups, ..Policy::default() };
        for (client, name) in
            [("10.1.1.1", "desk"), ("10.9.9.9", "lab"), ("192.0.2.1", "all"), ("::1", "default")]
        {
            let groups = Groups::new(&policy, &[]);
            assert_eq!(groups.of(client.parse().unwrap(), &Identity::default()).group.name, name, "{client}");
        }
    }

    #[test]
    fn a_client_of_no_group_is_in_the_one_for_everybody_and_never_in_somebody_elses() {
        let kids = Group {
            name: "kids".into(),
            clients: "10.1.0.0/16".parse().into_iter().collect(),
            ..Group::default()
        };
        let rest = Group { name: "rest".into(), ..Group::default() };
        let name_of = |groups: &[&Group], client: &str| {
            let groups = groups.iter().map(|group| (*group).clone()).collect();
            let groups = Groups::new(&Policy { groups, ..Policy::default() }, &[]);
            groups.of(client.parse().unwrap(), &Identity::default()).group.name.clone()
        };
        assert_eq!(name_of(&[&kids, &rest], "10.1.0.9"), "kids");
        assert_eq!(name_of(&[&kids, &rest], "192.168.1.5"), "rest");
        assert_eq!(name_of(&[&rest, &kids], "10.1.0.9"), "kids");
        assert_eq!(name_of(&[&kids], "192.168.1.5"), "default");
        assert_eq!(name_of(&[], "192.168.1.5"), "default");
    }

    #[test]
    fn who_a_client_says_it_is_goes_before_its_address() {
        let phone = Group {
            name: "phone".into(),
            path_ids: vec!["phone-0123456789abcdefghij".into()],
            tokens: vec![hashed("token-0123456789abcdefghij")],
            ..Group::default()
        };
        let staff = Group { name: "staff".into(), sans: vec!["Laptop.Example".into()], ..Group::default() };
        let groups = vec![phone, staff, group("lab", "10.2.0.0/16", &[])];
        let groups = Groups::new(&Policy { groups, ..Policy::default() }, &[]);
        let of = |path_id: &str, token: &str, san: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let sans = some(san).into_iter().collect();
            let identity = Identity { path_id: some(path_id), token: some(token), sans };
            groups.of("10.2.0.1".parse().unwrap(), &identity).group.name.clone()
        };
        assert_eq!(of("", "", ""), "lab");
        assert_eq!(of("phone-0123456789abcdefghij", "", ""), "phone");
        assert_eq!(of("", "token-0123456789abcdefghij", "laptop.example"), "phone");
        assert_eq!(of("phone-0123456789abcdefghik", "", "laptop.example"), "staff");
        let hash = hashed("token-0123456789abcdefghij");
        assert_eq!(of("", &hash, ""), "lab", "a hash is no token");
    }
}
