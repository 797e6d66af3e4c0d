//! Precedence: of all rules that speak about a question, which one decides.
//!
//! ```text
//! important ─► the client's network ─► longest name ─► allow before block ─► order of the lists
//! ```
//!
//! Rules are compared by these five, in this order; the first that differs decides.
//!
//! 1. An *important* rule (AdGuard's `$important`) goes before every other.
//! 2. A rule on the *client's network* (RPZ's Client-IP) goes before rules on names.
//! 3. The *longer* name, or the longer prefix of a network. An allowing pattern counts as the name itself, a
//!    blocking one as the root: a pattern frees more easily than it blocks.
//! 4. Of equal length, *allow* before block.
//! 5. The list that is *configured first*.
//!
//! Rules of lists in log mode never stand in another's way: they are chosen among themselves and written down.

use std::cmp::Reverse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::lists::{ClientIs, Conditions, Effect, LocalData};
use crate::name::Name;
use crate::policy::groups::Held;
use crate::policy::nets::canonical;
use crate::policy::{Mode, Policy};
use crate::snapshot::{Hit, ListInfo, Match, Role, Snapshot};
use crate::verdict::{Action, Own};

/// What a rule's conditions are held against.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The name that the rules are about: the one asked, or one that the answer leads to.
    pub name: &'a Name,
    /// QTYPE.
    pub qtype: u16,
    /// Who asks.
    pub client: IpAddr,
    /// It came over UDP, where an answer can say "ask again over TCP".
    pub udp: bool,
    /// Wall clock, milliseconds since 1970.
    pub now_ms: u64,
}

/// A rule that holds for a question.
#[derive(Debug, Clone)]
pub struct Candidate<'s> {
    /// Its list.
    pub list: &'s ListInfo,
    /// The list's place.
    pub order: u16,
    /// What set it off.
    pub by: Hit,
    /// It goes before all that are not important.
    pub important: bool,
    /// What it does.
    pub does: Does<'s>,
}

/// What a rule does to a question, its list and the client's group taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does<'s> {
    /// Allows it.
    Allow,
    /// Stops it.
    Block(Action),
    /// Stops it with the list's own addresses.
    Addresses(Ipv4Addr, Ipv6Addr),
    /// Answers records of its own.
    Answer(&'s [LocalData]),
    /// Sends the client to TCP.
    Truncate,
}

impl Candidate<'_> {
    /// By what rules are compared; the greatest decides.
    fn rank(&self) -> (bool, bool, usize, bool, Reverse<u16>) {
        let allows = self.does == Does::Allow;
        let length = match &self.by {
            Hit::Name(suffix, _) => suffix.len(),
            Hit::Pattern(_) if allows => usize::MAX,
            Hit::Pattern(_) => 0,
            Hit::Client(net) | Hit::Address(net) => usize::from(net.prefix_len()),
        };
        (self.important, matches!(self.by, Hit::Client(_)), length, allows, Reverse(self.order))
    }

    /// How a trace names it: `listed by ads as example.com (suffix)`.
    pub fn said(&self) -> String {
        let important = if self.important { ", important" } else { "" };
        format!("listed by {} as {}{important}", self.list.name, self.by)
    }
}

/// The rules that hold for a question.
#[derive(Debug, Default)]
pub struct Candidates<'s> {
    /// Those that hold.
    pub held: Vec<Candidate<'s>>,
    /// Whether a condition on client, type, door or time had a part in which ones hold.
    pub narrowed: bool,
}

impl<'s> Candidates<'s> {
    /// Of what was looked up, the rules that hold in a group for a question.
    pub fn of(
        matches: Vec<Match<'s>>,
        snapshot: &'s Snapshot,
        held: &Held,
        policy: &Policy,
        question: &Question<'_>,
    ) -> Self {
        let mut candidates = Self::default();
        for found in matches {
            let Some(list) = snapshot.lists().get(usize::from(found.list)) else { continue };
            if list.mode == Mode::Off || !held.holds(found.list) {
                continue;
            }
            if let Some(holds) = held.holds_at(found.list, question.now_ms) {
                candidates.narrowed = true;
                if !holds {
                    continue;
                }
            }
            candidates.narrowed |= found.conditions.depends_on_asker()
                || found.effect == &Effect::TcpOnly
                || matches!(found.by, Hit::Client(_));
            if !applies(found.conditions, policy, question) {
                continue;
            }
            let Some(does) = does(found.effect, list, held.group.block_action, question.udp) else {
                continue;
            };
            let important = found.conditions.important;
            candidates.held.push(Candidate { list, order: found.list, by: found.by, important, does });
        }
        candidates
    }

    /// The rule that decides among those of a role and a mode.
    pub fn choose(&self, mode: Mode, of: impl Fn(Role) -> bool) -> Option<&Candidate<'s>> {
        let fit = self.held.iter().filter(|found| found.list.mode == mode && of(found.list.role));
        // Of equal rank (two rules of one list) the first one stands.
        fit.rev().max_by_key(|found| found.rank())
    }

    /// What a rule that decides does, and what it answers.
    pub fn outcome(&self, chosen: &Candidate<'s>) -> (Action, Own) {
        match chosen.does {
            Does::Allow => (Action::Allow, Own::default()),
            Does::Block(action) => (action, Own::default()),
            Does::Truncate => (Action::Custom, Own::Truncated),
            Does::Answer(_) => (Action::Custom, Own::Records(self.records(chosen))),
            Does::Addresses(v4, v6) => {
                let records = [v4.into(), v6.into()].map(LocalData::Address).to_vec();
                (Action::Custom, Own::Records(records))
            }
        }
    }

    /// All records that rules of the same rank as `chosen` answer: a list may give one name several.
    fn records(&self, chosen: &Candidate<'s>) -> Vec<LocalData> {
        let same = self.held.iter().filter(|found| found.rank() == chosen.rank());
        let records = same.filter_map(|found| match found.does {
            Does::Answer(records) => Some(records),
            _ => None,
        });
        let mut all: Vec<LocalData> = Vec::new();
        for record in records.flatten() {
            if !all.contains(record) {
                all.push(record.clone());
            }
        }
        all
    }
}

fn applies(conditions: &Conditions, policy: &Policy, question: &Question<'_>) -> bool {
    let is = |who: &ClientIs| match who {
        ClientIs::In(net) => holds(net, question.client),
        ClientIs::Named(name) => policy.client_nets(name).any(|net| holds(net, question.client)),
    };
    let any = |list: &[ClientIs]| list.is_empty() || list.iter().any(is);
    any(&conditions.clients)
        && !conditions.not_clients.iter().any(is)
        && (conditions.types.is_empty() || conditions.types.contains(&question.qtype))
        && !conditions.not_types.contains(&question.qtype)
        && !conditions.except.iter().any(|name| question.name.is_within(name.as_str()))
}

fn holds(net: &IpNet, client: IpAddr) -> bool {
    canonical(*net).contains(&client.to_canonical())
}

/// What an effect means in a list and a group; `None` where it does nothing.
fn does<'s>(effect: &'s Effect, list: &ListInfo, block: Action, udp: bool) -> Option<Does<'s>> {
    Some(match effect {
        Effect::Listed if list.role == Role::Allow => Does::Allow,
        Effect::Listed => match (list.action, list.addresses) {
            (Some(Action::Custom), Some((v4, v6))) => Does::Addresses(v4, v6),
            (action, _) => Does::Block(action.filter(|action| action.stops()).unwrap_or(block)),
        },
        // An exception of a list that is law, or of one that only says what is popular, frees nothing.
        Effect::Allow if list.role == Role::Mandatory => return None,
        Effect::Allow => Does::Allow,
        // What an allowlist blocks is not for it to say.
        _ if list.role == Role::Allow => return None,
        Effect::Stop(action) => Does::Block(*action),
        Effect::Answer(records) => Does::Answer(records),
        Effect::TcpOnly if udp => Does::Truncate,
        Effect::TcpOnly => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lists::{Rule, Scope, Trigger};
    use crate::policy::Group;
    use crate::policy::groups::Groups;
    use crate::policy::identity::Identity;
    use crate::snapshot::Builder;

    const ASKED: &str = "a.b.c.example";
    const SUFFIXES: [&str; 4] = ["example", "c.example", "b.c.example", ASKED];
    const PATTERNS: [&str; 2] = ["^a", "xample$"];

    /// One rule: its list, what it looks at (suffix, pattern or client), allow, important.
    type Spec = (usize, usize, bool, bool);

    fn rule((_, trigger, allow, important): Spec) -> Rule {
        let trigger = match trigger {
            0..4 => Trigger::Name(Name::parse(SUFFIXES[trigger]).unwrap(), Scope::Suffix),
            4..6 => Trigger::Pattern(PATTERNS[trigger - 4].into()),
            _ => Trigger::Client(["10.0.0.0/8", "10.0.0.1/32"][trigger - 6].parse().unwrap()),
        };
        let effect = if allow { Effect::Allow } else { Effect::Listed };
        Rule { trigger, effect, conditions: Conditions { important, ..Conditions::default() } }
    }

    /// Whether `a` goes before `b`, said in words and not by a key: the module's five points one by one.
    fn goes_before(a: Spec, b: Spec) -> bool {
        let length = |(_, trigger, allow, _): Spec| match (trigger, allow) {
            (0..4, _) => SUFFIXES[trigger].len(),
            (4..6, true) => 1_000,
            (4..6, false) => 0,
            (6, _) => 8,
            _ => 32,
        };
        if a.3 != b.3 {
            return a.3;
        }
        if (a.1 >= 6) != (b.1 >= 6) {
            return a.1 >= 6;
        }
        if length(a) != length(b) {
            return length(a) > length(b);
        }
        if a.2 != b.2 {
            return a.2;
        }
        a.0 < b.0
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_rule_that_goes_before_all_others_decides(
            specs in prop::collection::vec((0usize..3, 0usize..8, any::<bool>(), any::<bool>()), 1..8),
        ) {
            let mut builder = Builder::new(1, [1; 16]);
            for list in 0..3 {
                builder.list(&format!("l{list}"), Role::Block, "");
            }
            for spec in &specs {
                builder.add_rule(spec.0 as u16, &rule(*spec)).unwrap();
            }
            let snapshot = Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap();
            let policy = Policy { groups: vec![Group::default()], ..Policy::default() };
            let groups = Groups::new(&policy, snapshot.lists());
            let (name, client) = (Name::parse(ASKED).unwrap(), "10.0.0.1".parse().unwrap());
            let question = Question { name: &name, qtype: 1, client, udp: true, now_ms: 0 };
            let mut matches = snapshot.lookup_client(client);
            matches.extend(snapshot.lookup(&name));
            let found = Candidates::of(matches, &snapshot, groups.of(client, &Identity::default()), &policy, &question);
            prop_assert_eq!(found.held.len(), specs.iter().collect::<std::collections::HashSet<_>>().len());
            let chosen = found.choose(Mode::Enforce, Role::is_chosen).unwrap();
            let first = specs.iter().find(|a| specs.iter().all(|b| a == &b || !goes_before(*b, **a))).unwrap();
            let want = if first.2 { Does::Allow } else { Does::Block(Action::Nxdomain) };
            prop_assert_eq!(chosen.does, want);
            prop_assert_eq!(chosen.order as usize, first.0);
        }
    }
}
