//! Policy: what a snapshot says beside names. Today one group; a client's group is chosen here.
//!
//! A key that this version does not know is passed over, so that a newer control plane can serve older filters;
//! what an older filter must not ignore comes in a required section of the snapshot. Where a person writes the
//! policy, in `dnsvet.toml`, an unknown key is refused by the reader of that file.

pub mod bucket;
pub mod budget;
pub mod ddr;
pub mod groups;
pub mod identity;
pub mod nets;
pub mod schedule;

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::ddr::Designated;
pub use self::schedule::Schedule;
use crate::message::QueryType;
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

impl Group {
    /// Whether it is for whoever is in no other group.
    pub fn is_everybodys(&self) -> bool {
        self.clients.is_empty() && self.path_ids.is_empty() && self.sans.is_empty() && self.tokens.is_empty()
    }
}

impl Mode {
    /// What is left of it while protection is paused.
    pub fn softened(self) -> Self {
        if self == Mode::Enforce { Mode::Log } else { self }
    }
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
    /// Groups whose protection is paused for a while.
    pub pauses: Vec<Pause>,
    /// Clients that have a name.
    pub clients: Vec<NamedClient>,
    /// Our own encrypted doors, as discovery (RFC 9462) is told of them; empty: NODATA.
    pub designated: Vec<Designated>,
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
            pauses: Vec::new(),
            clients: Vec::new(),
            designated: Vec::new(),
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
    /// Clients by address; a group without any of these four is everybody's.
    pub clients: Vec<IpNet>,
    /// Clients by the last part of the DoH path, `/dns-query/ID`: at least 22 characters of base64url, or
    /// `blake3:` and the hash that snapshots hold.
    pub path_ids: Vec<String>,
    /// Clients by a name in their TLS certificate (DNS or URI), where the proxy asked for one.
    pub sans: Vec<String>,
    /// Clients by bearer token over DoH: at least 22 characters, or `blake3:` and the hash that snapshots hold.
    pub tokens: Vec<String>,
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
    /// Bytes that such names could have carried in a minute that make a tunnel, however few they are: by default what
    /// 200 look-ups of 40 bytes carry, longer than those of anti-virus programs and content networks. Has no say
    /// where `tunnel_names_per_minute` is no limit.
    pub tunnel_bytes_per_minute: u32,
    /// Windows in which a name is blocked, or a list holds.
    pub schedules: Vec<Schedule>,
    /// Question types that are answered NODATA, by name or number: `["HTTPS", "SVCB"]`.
    pub nodata_types: Vec<QueryType>,
    /// Question types that are refused, by name or number: `["ANY"]`.
    pub refused_types: Vec<QueryType>,
    /// Rules of its own, in adblock syntax: `||games.example^`, `@@||cdn.example^`, `|nas.example^$dnsrewrite=10.0.0.5`.
    pub rules: Vec<String>,
    /// Bundles that hold for it, such as `safe_search` and `block_tiktok`.
    pub bundles: Vec<String>,
    /// Names of the lists that hold for it; empty: all but those that are for other groups only.
    pub use_lists: Vec<String>,
}

impl Default for Group {
    fn default() -> Self {
        Self {
            name: "default".into(),
            clients: Vec::new(),
            path_ids: Vec::new(),
            sans: Vec::new(),
            tokens: Vec::new(),
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
            tunnel_bytes_per_minute: 8_000,
            schedules: Vec::new(),
            rules: Vec::new(),
            bundles: Vec::new(),
            nodata_types: Vec::new(),
            refused_types: Vec::new(),
            use_lists: Vec::new(),
        }
    }
}

/// Protection that is paused until a time: everything but law holds for the group in log mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The group; empty: all.
    #[serde(default)]
    pub group: String,
    /// Milliseconds since 1970.
    pub until_ms: u64,
}

/// A client that has a name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NamedClient {
    /// Its name, as rules say it.
    pub name: String,
    /// Where it asks from.
    pub nets: Vec<IpNet>,
}

/// A name unblocked until a time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unblock {
    /// The name; all below it too.
    pub name: String,
    /// The group; empty: all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Milliseconds since 1970.
    pub until_ms: u64,
}

impl Policy {
    /// The policy of a filter that has no snapshot: everybody in one group, whose failure mode decides.
    pub fn without_snapshot(failure_mode: FailureMode) -> Self {
        Self { groups: vec![Group { failure_mode, ..Group::default() }], ..Self::default() }
    }

    /// Whether a pause of a group's protection holds; `None` if there is none to end.
    pub fn is_paused(&self, group: &str, now_ms: u64) -> Option<bool> {
        let ours = self.pauses.iter().filter(|pause| pause.group.is_empty() || pause.group == group);
        ours.map(|pause| pause.until_ms > now_ms).reduce(|a, b| a || b)
    }

    /// Where clients of a name ask from; any case of ASCII.
    pub fn client_nets(&self, name: &str) -> impl Iterator<Item = &IpNet> {
        self.clients.iter().filter(move |client| client.name.eq_ignore_ascii_case(name)).flat_map(|c| &c.nets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_newer_version_is_passed_over() {
        let text = r#"{"prior": 0.02, "newer": 1, "groups": [{"name": "a", "newer": [], "schedules":
            [{"name": "b.example", "from_minute": 1, "to_minute": 2, "newer": {}}]}]}"#;
        let policy: Policy = serde_json::from_str(text).unwrap();
        assert_eq!((policy.prior, policy.groups[0].name.as_str()), (0.02, "a"));
        assert_eq!(policy.groups[0].schedules[0].to_minute, 2);
    }
}
