//! A change that nobody compiled: what a snapshot would say with lists off, with others beside it, or with another
//! small model.
//!
//! ```text
//! base ── its lists, some off ──┐
//! beside ── lists after those ──┴─► one table of lists, one lookup ─► precedence, cascade
//! ```
//!
//! Its surprise: names are not in a snapshot, so none can be taken out of it or put into it. A list is left out by
//! its mode, and added ones are looked up in a snapshot of their own, under indices that follow the base's.

use std::sync::Arc;

use bytes::Bytes;

use super::{ListInfo, Match, Snapshot};
use crate::policy::Mode;

/// What is changed of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Indices of the lists that are off.
    pub without: Vec<u16>,
    /// Its lists come after the base's; all else of it is left aside.
    pub beside: Option<Snapshot>,
    /// The small model in the place of the base's.
    pub small_model: Option<Bytes>,
}

/// The change as a snapshot holds it.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) lists: Vec<ListInfo>,
    beside: Option<(u16, Snapshot)>,
    pub(super) small_model: Option<Bytes>,
}

impl Changed {
    /// The lists beside the base: the index of the first, and where they are looked up.
    pub(super) fn beside(&self) -> Option<&(u16, Snapshot)> {
        self.beside.as_ref()
    }
}

impl Snapshot {
    /// This snapshot with a change, in the place of an earlier one. It keeps its id and serial: it is for looking at what would be, not for serving.
    pub fn changed(&self, change: Change) -> Self {
        let mut lists = self.inner.lists.clone();
        for list in change.without {
            if let Some(info) = lists.get_mut(usize::from(list)) {
                info.mode = Mode::Off;
            }
        }
        let first = u16::try_from(lists.len()).unwrap_or(u16::MAX);
        let beside = change.beside.map(|beside| (first, beside));
        lists.extend(beside.iter().flat_map(|(_, beside)| beside.lists().iter().cloned()));
        let changed = Changed { lists, beside, small_model: change.small_model };
        Self { changed: Some(Arc::new(changed)), ..self.clone() }
    }

    /// Adds what the snapshot beside this one says, if there is one.
    pub(super) fn and_beside<'s>(
        &'s self,
        matches: &mut Vec<Match<'s>>,
        look_up: impl FnOnce(&'s Snapshot) -> Vec<Match<'s>>,
    ) {
        let Some((first, beside)) = self.beside() else { return };
        let found = look_up(beside).into_iter();
        matches.extend(found.map(|found| Match { list: first.saturating_add(found.list), ..found }));
    }

    pub(super) fn beside(&self) -> Option<&(u16, Snapshot)> {
        self.changed.as_ref().and_then(|changed| changed.beside())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::lists::{Effect, Rule, Scope, Trigger};
    use crate::name::Name;
    use crate::policy::Policy;
    use crate::policy::groups::Groups;
    use crate::policy::identity::Identity;
    use crate::snapshot::{Builder, Role};
    use crate::verdict::Action;
    use crate::verdict::precedence::{Candidates, Does, Question};

    fn snapshot(lists: &[(&str, Role, &[Rule])]) -> Snapshot {
        let mut builder = Builder::new(1, [7; 16]);
        for (name, role, rules) in lists {
            let list = builder.list(name, *role, "");
            rules.iter().for_each(|rule| builder.add_rule(list, rule).unwrap());
        }
        Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()
    }

    fn listed(name: &str) -> Rule {
        Rule::listed(Name::parse(name).unwrap(), Scope::Suffix)
    }

    /// What decides about a name: its list, and whether it blocks.
    fn decides(snapshot: &Snapshot, name: &str) -> Option<(String, bool)> {
        let (policy, name) = (Policy::default(), Name::parse(name).unwrap());
        let groups = Groups::new(&policy, snapshot.lists());
        let client: IpAddr = "10.0.0.1".parse().unwrap();
        let question = Question { name: &name, qtype: 1, client, udp: true, now_ms: 0 };
        let mut matches = snapshot.lookup_client(client);
        matches.extend(snapshot.lookup(&name));
        let found =
            Candidates::of(matches, snapshot, groups.of(client, &Identity::default()), &policy, &question);
        let chosen = found.choose(Mode::Enforce, Role::is_chosen)?;
        Some((chosen.list.name.clone(), chosen.does != Does::Allow))
    }

    #[test]
    fn lists_beside_a_snapshot_decide_as_if_they_were_in_it() {
        let important = {
            let mut rule = listed("c.example");
            rule.conditions.important = true;
            rule
        };
        let stop_client = Rule {
            trigger: Trigger::Client("10.0.0.1/32".parse().unwrap()),
            effect: Effect::Stop(Action::Refused),
            ..listed("x.example")
        };
        let base: [(&str, Role, &[Rule]); 2] = [
            ("ads", Role::Block, &[listed("a.example"), listed("b.example")]),
            ("ours", Role::Allow, &[listed("www.c.example")]),
        ];
        let added: [(&str, Role, &[Rule]); 2] = [
            ("free", Role::Allow, &[listed("a.example"), listed("x.b.example")]),
            ("new", Role::Block, &[important, listed("d.example"), listed("b.example")]),
        ];
        let names =
            ["a.example", "b.example", "x.b.example", "www.c.example", "c.example", "d.example", "e.example"];
        let whole = snapshot(&[base[0], base[1], added[0], added[1]]);
        let change = Change { beside: Some(snapshot(&added)), ..Change::default() };
        let beside = snapshot(&base).changed(change);
        for name in names {
            assert_eq!(decides(&beside, name), decides(&whole, name), "{name}");
        }
        assert_eq!(
            decides(&beside, "a.example"),
            Some(("free".into(), false)),
            "an allowlist that was added"
        );
        assert_eq!(decides(&beside, "b.example"), Some(("ads".into(), true)), "of two the first");
        assert_eq!(decides(&beside, "www.c.example"), Some(("new".into(), true)), "an important rule");

        let clients = snapshot(&[("clients", Role::Block, &[stop_client])]);
        let clients = snapshot(&base).changed(Change { beside: Some(clients), ..Change::default() });
        assert!(clients.is_client_listed("10.0.0.1".parse().unwrap()));
        assert_eq!(decides(&clients, "e.example"), Some(("clients".into(), true)));
    }

    #[test]
    fn a_list_left_out_decides_nothing_and_makes_nobody_popular() {
        let base = snapshot(&[
            ("ads", Role::Block, &[listed("a.example")]),
            ("more", Role::Block, &[listed("example")]),
            ("top", Role::Popular, &[listed("a.example")]),
        ]);
        let name = Name::parse("a.example").unwrap();
        assert_eq!((decides(&base, "a.example"), base.popularity(&name)), (Some(("ads".into(), true)), 1));
        let without = base.changed(Change { without: vec![0, 2], ..Change::default() });
        assert_eq!(
            (decides(&without, "a.example"), without.popularity(&name)),
            (Some(("more".into(), true)), 0)
        );
        let beside = snapshot(&[("top2", Role::Popular, &[listed("a.example")])]);
        let both = base.changed(Change { beside: Some(beside), ..Change::default() });
        assert_eq!(both.popularity(&name), 2);
        assert_eq!(base.lists()[0].mode, Mode::Enforce, "the base stays as it was");
    }
}
