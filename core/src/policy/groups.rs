//! Groups as a filter uses them: a client's group in a few look-ups, and which lists hold for it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::nets::Nets;
use super::{Group, Policy};
use crate::snapshot::ListInfo;

/// A group with what was worked out for it.
#[derive(Debug, Clone)]
pub struct Held {
    /// The group.
    pub group: Group,
    /// Its place in [`Groups`]; what is cached for a group is cached under it.
    pub number: u32,
    /// One bit for each list that holds for it.
    lists: Vec<u64>,
}

impl Held {
    /// Whether a list holds for the group.
    pub fn holds(&self, list: u16) -> bool {
        let word = self.lists.get(usize::from(list) / 64).copied().unwrap_or_default();
        word >> (list % 64) & 1 == 1
    }
}

/// All groups of a policy.
#[derive(Debug, Clone)]
pub struct Groups {
    all: Vec<Arc<Held>>,
    nets: Nets,
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
                let fixed = lists.iter().enumerate().filter(|(_, list)| !list.role.is_chosen());
                fixed.for_each(|(at, _)| set(&mut bits, at));
            }
            let own = of_groups.get(group.name.as_str()).into_iter().flatten();
            own.for_each(|at| set(&mut bits, *at));
            Arc::new(Held { group: group.clone(), number: number as u32, lists: bits })
        };
        let all: Vec<Arc<Held>> =
            policy.groups.iter().enumerate().map(|(number, group)| hold(number, group)).collect();
        let mut nets = Nets::default();
        for held in &all {
            held.group.clients.iter().for_each(|net| nets.add(*net, held.number));
        }
        let everybody = all.iter().find(|held| held.group.clients.is_empty()).cloned();
        let nobodys = hold(policy.groups.len(), &Group::default());
        Self { all, nets, everybody: everybody.unwrap_or_else(|| nobodys.clone()), nobodys }
    }

    /// The default group, with every list that holds for all: where groups are left out.
    pub fn without_groups(&self) -> Arc<Held> {
        self.nobodys.clone()
    }

    /// The group of a client: the one with the longest prefix that holds it, the first of equals; else the one
    /// without clients, which is everybody's; else the default group.
    pub fn of(&self, client: IpAddr) -> &Arc<Held> {
        let first = self.nets.holding(client).next();
        first.and_then(|(_, number)| self.all.get(number as usize)).unwrap_or(&self.everybody)
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
        ];
        let groups = vec![
            group("kids", "10.1.0.0/16", &[]),
            group("lab", "10.2.0.0/16", &["malware", "adult"]),
            group("rest", "", &[]),
        ];
        let groups = Groups::new(&Policy { groups, ..Policy::default() }, &lists);
        let of = |client: &str| {
            let held = groups.of(client.parse().unwrap());
            let names = (0..4).filter(|at| held.holds(*at)).map(|at| lists[usize::from(at)].name.as_str());
            (held.group.name.clone(), names.collect::<Vec<_>>())
        };
        assert_eq!(of("10.1.0.1"), ("kids".into(), vec!["ads", "adult", "court", "malware"]));
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
            assert_eq!(groups.of(client.parse().unwrap()).group.name, name, "{client}");
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
            groups.of(client.parse().unwrap()).group.name.clone()
        };
        assert_eq!(name_of(&[&kids, &rest], "10.1.0.9"), "kids");
        assert_eq!(name_of(&[&kids, &rest], "192.168.1.5"), "rest");
        assert_eq!(name_of(&[&rest, &kids], "10.1.0.9"), "kids");
        assert_eq!(name_of(&[&kids], "192.168.1.5"), "default");
        assert_eq!(name_of(&[], "192.168.1.5"), "default");
    }
}
