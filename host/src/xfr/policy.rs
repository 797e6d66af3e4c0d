//! Policy entries as records of a response policy zone (RPZ, draft-vixie-dnsop-dns-rpz).
//!
//! ```text
//! bad.example  suffix  NXDOMAIN  ─►  bad.example.rpz.   CNAME .
//!                                    *.bad.example.rpz. CNAME .
//! ok.bad.example  exact  PASSTHRU ─► ok.bad.example.rpz.   CNAME rpz-passthru.
//!                                    *.ok.bad.example.rpz. CNAME .        (filled)
//! ```
//!
//! The surprise is the last line. A resolver looks a name up in the policy zone by the rules of a zone, where
//! a wildcard does not reach below a name that exists (RFC 4592 section 3.3). An exception would lift the block
//! from all names below it, and a name between two entries, which exists without records, from itself and from
//! all below it. These places are filled with what holds there by the shorter entry. Entries that change
//! nothing, since a shorter one says the same, are left out.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use dnsvet_core::name::{MAX_WIRE_BYTES, Name};

use super::message::types;
use super::zone::{Record, Zone};
pub use crate::store::control::Scope;

/// Names that a report shows.
const SHOWN_NAMES: usize = 20;
/// Last labels that mean another trigger than the name asked for (draft section 4).
const TRIGGER_LABELS: [&str; 5] = ["rpz-ip", "rpz-client-ip", "rpz-nsdname", "rpz-nsip", "rpz-cname"];

/// What the resolver that holds the zone does with a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Answers that the name does not exist.
    Nxdomain,
    /// Answers that the name has no such records.
    Nodata,
    /// Answers as if there were no policy.
    Passthru,
    /// Does not answer.
    Drop,
    /// Answers over UDP that the client should ask over TCP.
    TcpOnly,
    /// Answers with these addresses; with none of a family, that there are none.
    Local(Vec<IpAddr>),
}

/// A name and what is to be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name asked for.
    pub name: Name,
    /// That name only, or all below it too.
    pub scope: Scope,
    /// What is done.
    pub action: Action,
}

/// Entries that are not in the zone, by why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The name, or its wildcard, has more than 255 bytes below the zone's own name.
    pub too_long: usize,
    /// The zone has no way to say it: the root, a name that starts with `*`, one that ends with a label of
    /// RPZ's own such as `rpz-ip`, local data without an address.
    pub not_expressible: usize,
    /// An entry before it has the same name and scope and does something else.
    pub conflicting: usize,
    /// An entry above it, or the same one, does the same: nothing is lost.
    pub redundant: usize,
    /// The first names that are too long, not expressible or conflicting.
    pub names: Vec<Name>,
}

impl Skipped {
    fn show(&mut self, name: &Name) {
        if self.names.len() < SHOWN_NAMES {
            self.names.push(name.clone());
        }
    }
}

/// Fills `zone` with what the entries say. The order of entries counts only where two contradict each other:
/// the first holds.
pub(super) fn fill(zone: &mut Zone, entries: impl IntoIterator<Item = Entry>, ttl_s: u32) -> Skipped {
    let mut skipped = Skipped::default();
    let rules = Rules::collect(entries, &mut skipped);
    let mut owners = Owners::default();
    for (name, action) in &rules.exact {
        match rules.at(name.as_str()) {
            Some(around) if around == action => skipped.redundant += 1,
            around => {
                owners.set(name.as_str(), action);
                if let Some(around) = around {
                    owners.set_below(name.as_str(), around);
                }
                owners.kept.insert(name.as_str());
            }
        }
    }
    for (name, action) in &rules.suffix {
        if rules.above(name.as_str()) == Some(action) {
            skipped.redundant += 1;
            continue;
        }
        if !owners.here.contains_key(name.as_str()) {
            owners.set(name.as_str(), action);
        }
        owners.set_below(name.as_str(), action);
        owners.kept.insert(name.as_str());
    }
    for name in std::mem::take(&mut owners.kept) {
        fill_above(name, &rules, &mut owners);
    }
    owners.write(zone, ttl_s, &mut skipped);
    skipped
}

/// Gives each name between `name` and the entry that covers it what that entry says.
fn fill_above<'a>(name: &'a str, rules: &'a Rules, owners: &mut Owners<'a>) {
    for parent in parents(name) {
        let Some(action) = rules.at(parent) else { return };
        // Whoever set this went on upwards from here, or is the covering entry.
        if owners.below.contains_key(parent) {
            return;
        }
        owners.here.entry(parent).or_insert(action);
        owners.set_below(parent, action);
    }
}

/// The parents of a name, nearest first, the root left out.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.').map(|(_, parent)| parent), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
}

/// Entries by name. In order, so that the same entries give the same report.
#[derive(Default)]
struct Rules {
    exact: BTreeMap<Name, Action>,
    suffix: BTreeMap<Name, Action>,
    /// The suffixes' texts, to be looked up by a part of a text.
    by_text: HashMap<String, Action>,
}

impl Rules {
    fn collect(entries: impl IntoIterator<Item = Entry>, skipped: &mut Skipped) -> Self {
        let mut rules = Self::default();
        for Entry { name, scope, mut action } in entries {
            if let Action::Local(addresses) = &mut action {
                addresses.sort_unstable();
                addresses.dedup();
            }
            let last = name.labels().next_back();
            let wildcard = name.to_wire().starts_with(b"\x01*");
            let trigger = last.is_none_or(|label| TRIGGER_LABELS.contains(&label));
            if wildcard || trigger || action == Action::Local(Vec::new()) {
                skipped.not_expressible += 1;
                skipped.show(&name);
                continue;
            }
            let map = if scope == Scope::Exact { &mut rules.exact } else { &mut rules.suffix };
            match map.get(&name) {
                Some(other) if *other == action => skipped.redundant += 1,
                Some(_) => {
                    skipped.conflicting += 1;
                    skipped.show(&name);
                }
                None => {
                    if scope == Scope::Suffix {
                        rules.by_text.insert(name.as_str().to_owned(), action.clone());
                    }
                    map.insert(name, action);
                }
            }
        }
        rules
    }

    /// What the suffix entries say of a name.
    fn at(&self, name: &str) -> Option<&Action> {
        self.by_text.get(name).or_else(|| self.above(name))
    }

    /// What the suffix entries above a name say of it.
    fn above(&self, name: &str) -> Option<&Action> {
        parents(name).find_map(|parent| self.by_text.get(parent))
    }
}

/// What is written: actions of names, and of all below a name.
#[derive(Default)]
struct Owners<'a> {
    here: HashMap<&'a str, &'a Action>,
    below: HashMap<&'a str, &'a Action>,
    /// Entries that were not redundant.
    kept: HashSet<&'a str>,
}

impl<'a> Owners<'a> {
    fn set(&mut self, name: &'a str, action: &'a Action) {
        self.here.insert(name, action);
    }

    fn set_below(&mut self, name: &'a str, action: &'a Action) {
        self.below.insert(name, action);
    }

    fn write(&self, zone: &mut Zone, ttl_s: u32, skipped: &mut Skipped) {
        let apex = zone.apex().to_vec();
        let mut long: Vec<Name> = Vec::new();
        let wildcard = b"\x01*".as_slice();
        let all = self.here.iter().map(|owner| (&[][..], owner));
        for (head, (text, action)) in all.chain(self.below.iter().map(|owner| (wildcard, owner))) {
            let Ok(name) = Name::parse(text) else { continue };
            let wire = name.to_wire();
            let labels = wire.strip_suffix(&[0]).unwrap_or(&wire);
            let owner = [head, labels, &apex].concat();
            if owner.len() > MAX_WIRE_BYTES {
                long.push(name);
                continue;
            }
            for (rtype, data) in data_of(action) {
                zone.add(Record::new(&owner, rtype, ttl_s, &data));
            }
        }
        // A name that is too long has a wildcard that is too; filled names are no entries.
        long.sort_unstable();
        long.dedup();
        for name in long {
            skipped.too_long += 1;
            skipped.show(&name);
        }
    }
}

/// The records that stand for an action.
fn data_of(action: &Action) -> Vec<(u16, Vec<u8>)> {
    let alias = |label: &str| {
        let mut target = Vec::with_capacity(label.len() + 2);
        if !label.is_empty() {
            target.push(label.len() as u8);
            target.extend_from_slice(label.as_bytes());
        }
        target.push(0);
        vec![(types::CNAME, target)]
    };
    match action {
        Action::Nxdomain => alias(""),
        Action::Nodata => alias("*"),
        Action::Passthru => alias("rpz-passthru"),
        Action::Drop => alias("rpz-drop"),
        Action::TcpOnly => alias("rpz-tcp-only"),
        Action::Local(addresses) => addresses
            .iter()
            .map(|address| match address {
                IpAddr::V4(address) => (types::A, address.octets().to_vec()),
                IpAddr::V6(address) => (types::AAAA, address.octets().to_vec()),
            })
            .collect(),
    }
}
