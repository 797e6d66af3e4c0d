//! Policy: what a snapshot says beside names. Today one group; a client's group is chosen here.
//!
//! A key that this version does not know is passed over, so that a newer control plane can serve older filters;
//! what an older filter must not ignore comes in a required section of the snapshot. Where a person writes the
//! policy, in `dnsvet.toml`, an unknown key is refused by the reader of that file.

pub mod bucket;
pub mod budget;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::verdict::{Action, Step};

/// What a verdict may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The step does not run.
    Off,
    /// It runs and is written down; the answer is not touched.
    Log,
    /// It decides.
    #[default]
    Enforce,
}

/// What happens if a remote call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    /// Allow, counted.
    #[default]
    Allow,
    /// Refuse, counted.
    Deny,
}

/// The policy section of a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Groups; the one with the longest prefix that holds the client wins, else the one without clients.
    pub groups: Vec<Group>,
    /// Share of malicious among unlisted names that the models' scores are corrected for, (0, 1).
    pub prior: f64,
    /// In how many popularity lists a registrable domain must be, so that a model may not block it.
    pub popular_lists: u8,
    /// Zones that are answered inside the network: never scored, never tunnel-checked.
    pub local_zones: Vec<String>,
    /// Names unblocked for a while.
    pub unblocks: Vec<Unblock>,
    /// Steps left out, to see what each is worth. Empty in production.
    pub skip_steps: Vec<Step>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            groups: vec![Group::default()],
            prior: 0.01,
            popular_lists: 2,
            local_zones: Vec::new(),
            unblocks: Vec::new(),
            skip_steps: Vec::new(),
        }
    }
}

/// A set of clients with one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Group {
    /// Its name in events.
    pub name: String,
    /// Clients by address; empty: everybody.
    pub clients: Vec<IpNet>,
    /// Mode of lists, people's decisions, rules and what the upstream answers.
    pub lists: Mode,
    /// Mode of models, look-alikes and tunnels: what guesses.
    pub models: Mode,
    /// What happens if the scorer fails.
    pub failure_mode: FailureMode,
    /// What a blocked name is answered.
    pub block_action: Action,
    /// Seconds a block may be cached.
    pub block_ttl_s: u32,
    /// The honeypot's IPv4 address.
    pub honeypot_v4: Ipv4Addr,
    /// The honeypot's IPv6 address.
    pub honeypot_v6: Ipv6Addr,
    /// Seconds a honeypot answer may be cached.
    pub honeypot_ttl_s: u32,
    /// Private addresses for public names are blocked.
    pub rebinding: bool,
    /// Browsers' own ways around the resolver are closed.
    pub keep_clients_here: bool,
    /// Callouts a second that one client may cause, and that names under one registrable domain may; one
    /// instance of the filter makes 50 times as many. The largest of all groups holds.
    pub client_callouts_per_s: u32,
    /// Distinct names under one registrable domain from one client in a minute that make a tunnel. More than
    /// 1,420 are not told apart: from 1,421 on there is no limit. Each worker counts what reaches it.
    pub tunnel_names_per_minute: u32,
    /// Windows in which a name is blocked.
    pub schedules: Vec<Schedule>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            name: "default".into(),
            clients: Vec::new(),
            lists: Mode::Enforce,
            models: Mode::Log,
            failure_mode: FailureMode::Allow,
            block_action: Action::Nxdomain,
            block_ttl_s: 60,
            honeypot_v4: Ipv4Addr::new(127, 0, 0, 53),
            honeypot_v6: Ipv6Addr::LOCALHOST,
            honeypot_ttl_s: 10,
            rebinding: true,
            keep_clients_here: false,
            client_callouts_per_s: 50,
            tunnel_names_per_minute: 200,
            schedules: Vec::new(),
        }
    }
}

/// A name unblocked until a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unblock {
    /// The name; all below it too.
    pub name: String,
    /// Milliseconds since 1970.
    pub until_ms: u64,
}

/// A daily window in UTC in which a rule blocks a name and all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The name; all below it too.
    pub name: String,
    /// First minute of the day, 0 to 1439.
    pub from_minute: u16,
    /// First minute after the window; less than `from_minute` if it spans midnight.
    pub to_minute: u16,
}

impl Schedule {
    /// Whether the window holds `minute` of the day (UTC).
    pub fn holds(&self, minute: u16) -> bool {
        if self.from_minute <= self.to_minute {
            (self.from_minute..self.to_minute).contains(&minute)
        } else {
            minute >= self.from_minute || minute < self.to_minute
        }
    }
}

impl Policy {
    /// The policy of a filter that has no snapshot: everybody in one group, whose failure mode decides.
    pub fn without_snapshot(failure_mode: FailureMode) -> Self {
        Self { groups: vec![Group { failure_mode, ..Group::default() }], ..Self::default() }
    }

    /// The group of a client: the one with the longest prefix that holds it; a group without clients is
    /// everybody's. Where none fits, the default group is meant.
    pub fn group_of(&self, client: IpAddr) -> &Group {
        static NOBODYS: LazyLock<Group> = LazyLock::new(Group::default);
        let reach = |group: &Group| {
            let held = group.clients.iter().filter(|net| net.contains(&client)).map(IpNet::prefix_len);
            // One more than the prefix, so that a network of everybody comes before a group without clients.
            held.max().map(|bits| u16::from(bits) + 1).or(group.clients.is_empty().then_some(0))
        };
        let fits = self.groups.iter().rev().filter_map(|group| reach(group).map(|reach| (reach, group)));
        fits.max_by_key(|(reach, _)| *reach).map_or(&NOBODYS, |(_, group)| group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_span_midnight() {
        let schedule = |from_minute, to_minute| Schedule { name: "x.example".into(), from_minute, to_minute };
        assert!(schedule(60, 120).holds(60) && !schedule(60, 120).holds(120));
        assert!(
            schedule(1_380, 60).holds(1_439)
                && schedule(1_380, 60).holds(59)
                && !schedule(1_380, 60).holds(60)
        );
    }

    #[test]
    fn a_key_of_a_newer_version_is_passed_over() {
        let text = r#"{"prior": 0.02, "newer": 1, "groups": [{"name": "a", "newer": [], "schedules":
            [{"name": "b.example", "from_minute": 1, "to_minute": 2, "newer": {}}]}]}"#;
        let policy: Policy = serde_json::from_str(text).unwrap();
        assert_eq!((policy.prior, policy.groups[0].name.as_str()), (0.02, "a"));
        assert_eq!(policy.groups[0].schedules[0].to_minute, 2);
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
            assert_eq!(policy.group_of(client.parse().unwrap()).name, name, "{client}");
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
            Policy { groups, ..Policy::default() }.group_of(client.parse().unwrap()).name.clone()
        };
        assert_eq!(name_of(&[&kids, &rest], "10.1.0.9"), "kids");
        assert_eq!(name_of(&[&kids, &rest], "192.168.1.5"), "rest");
        assert_eq!(name_of(&[&rest, &kids], "10.1.0.9"), "kids");
        assert_eq!(name_of(&[&kids], "192.168.1.5"), "default");
        assert_eq!(name_of(&[], "192.168.1.5"), "default");
    }
}
