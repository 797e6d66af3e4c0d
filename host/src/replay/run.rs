//! A replay on its way: each event is counted as it comes, and each name and kind of client decided once.
//!
//! The surprise is its order: most rows are of names for which nothing changes, so that is asked first, of a bit.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dnsvet_core::name::Name;
use dnsvet_core::policy::Mode;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::snapshot::Snapshot;
use dnsvet_core::verdict::{Reason, Step};
use hashlink::DefaultHashBuilder;

use super::change::{Prepared, With};
use super::decide::{Answer, Asked, Decided, Judge, Pair};
use super::report::{LookedAt, Part, Report, TopName};
use super::tally::{Class, Tally};
use super::{ReplayError, Request};
use crate::store::codes::{action_at, reason_at};
use crate::store::scan::{Rest, Row, Scan};

/// A client, and whom it may stand for.
struct Client {
    address: IpAddr,
    /// Clients of one kind are answered alike: those of a group that no rule names.
    kind: u32,
    modes: Modes,
    /// A rule of a changed list looks at it.
    touched: bool,
    /// It is asked about.
    wanted: bool,
    /// An event of its was looked at.
    seen: bool,
}

/// What may be done in a group.
#[derive(Debug, Clone, Copy)]
struct Modes {
    lists: Mode,
    models: Mode,
}

/// A stored answer.
struct Past {
    answer: Answer,
    /// A scorer had a part in it.
    by_scorer: bool,
}

/// A question that stands for itself: name, client, QTYPE, over UDP, minute.
type Alone = (i64, i64, u16, bool, u64);

/// A replay on its way.
pub struct Run<'a> {
    scan: &'a Scan,
    prepared: Prepared,
    judge: Judge,
    clients: HashMap<i64, Client, DefaultHashBuilder>,
    decided: HashMap<(i64, u32), Decided, DefaultHashBuilder>,
    same: Same,
    alone: HashMap<Alone, Decided, DefaultHashBuilder>,
    stored: HashMap<i64, Arc<Past>, DefaultHashBuilder>,
    tally: Tally,
    udp: Option<i64>,
    /// Whether the time of day may decide.
    timed: bool,
}

impl<'a> Run<'a> {
    /// Nothing seen yet.
    pub fn new(
        request: &Request,
        base: &Snapshot,
        prepared: Prepared,
        scan: &'a Scan,
    ) -> Result<Self, ReplayError> {
        let judge = Judge::new(base.clone(), prepared.snapshot.clone(), !prepared.other_model)?;
        let policy = base.policy();
        let timed =
            !policy.unblocks.is_empty() || policy.groups.iter().any(|group| !group.schedules.is_empty());
        if let Some(name) = &request.group {
            let known: Vec<&str> = policy.groups.iter().map(|group| group.name.as_str()).collect();
            if !known.contains(&name.as_str()) {
                return Err(ReplayError::UnknownGroup { name: name.clone(), known: known.join(", ") });
            }
        }
        let clients = clients(request, &judge, &prepared, scan)?;
        let udp = scan.text("udp")?;
        Ok(Self {
            scan,
            prepared,
            judge,
            clients,
            decided: HashMap::default(),
            same: Same::default(),
            alone: HashMap::default(),
            stored: HashMap::default(),
            tally: Tally::default(),
            udp,
            timed,
        })
    }

    /// Counts an event.
    pub fn see(&mut self, row: &Row) -> Result<(), ReplayError> {
        let Some(client) = self.clients.get_mut(&row.client).filter(|client| client.wanted) else {
            return Ok(());
        };
        client.seen = true;
        let (kind, address, touched, modes) = (client.kind, client.address, client.touched, client.modes);
        self.tally.events += 1;
        if self.same.holds(kind, row.name) {
            self.stays(row);
            return Ok(());
        }
        let decided = match self.decided.get(&(row.name, kind)) {
            Some(decided) => decided.clone(),
            None => {
                let decided = self.decide(row, address, touched)?;
                self.tally.names.insert(row.name);
                if matches!(decided, Decided::Same) {
                    self.same.insert(kind, row.name);
                }
                self.decided.insert((row.name, kind), decided.clone());
                decided
            }
        };
        match decided {
            Decided::Same => self.stays(row),
            Decided::Differs(pair) => self.differs(row, &pair, modes)?,
            Decided::Unreadable => self.tally.kept.unreadable += 1,
            Decided::ByQuestion => {
                if let Decided::Differs(pair) = self.decide_alone(row, address)? {
                    self.differs(row, &pair, modes)?;
                } else {
                    self.stays(row);
                }
            }
        }
        Ok(())
    }

    /// Decides for all questions like this one.
    fn decide(&mut self, row: &Row, client: IpAddr, touched: bool) -> Result<Decided, ReplayError> {
        let Ok(name) = Name::parse(&self.scan.name(row.name)?) else { return Ok(Decided::Unreadable) };
        if !(self.prepared.guesses || touched || self.prepared.touches(&name)) {
            return Ok(Decided::Same);
        }
        let rest = self.scan.rest(row)?;
        Ok(self.judge.decide(question(&name, client, &rest, self.udp)))
    }

    /// Decides this question, or takes what was decided about one just like it.
    fn decide_alone(&mut self, row: &Row, client: IpAddr) -> Result<Decided, ReplayError> {
        let rest = self.scan.rest(row)?;
        let minute = if self.timed { rest.time_ms / 60_000 } else { 0 };
        let key = (row.name, row.client, rest.qtype, Some(rest.door) == self.udp, minute);
        if let Some(decided) = self.alone.get(&key) {
            return Ok(decided.clone());
        }
        let Ok(name) = Name::parse(&self.scan.name(row.name)?) else { return Ok(Decided::Unreadable) };
        let decided = self.judge.decide_alone(question(&name, client, &rest, self.udp));
        self.alone.insert(key, decided.clone());
        Ok(decided)
    }

    fn stays(&mut self, row: &Row) {
        let passed = !action_at(row.action).stops();
        self.tally.kept.count(reason_at(row.reason), passed, self.prepared.changes_lists());
    }

    fn differs(&mut self, row: &Row, pair: &Pair, modes: Modes) -> Result<(), ReplayError> {
        let reason = reason_at(row.reason);
        let Pair { now, then } = pair;
        let maybe = now.is_open(reason, true) || then.is_open(reason, true);
        let stored = if maybe { Some(self.stored(row)?) } else { None };
        let by_scorer = stored.as_ref().is_some_and(|stored| stored.by_scorer);
        let (open_now, open_then) = (now.is_open(reason, by_scorer), then.is_open(reason, by_scorer));
        if open_now && open_then {
            self.stays(row);
            return Ok(());
        }
        let unknown = now.is_unknown(reason, by_scorer) || then.is_unknown(reason, by_scorer);
        self.tally.kept.scorer += u64::from(unknown);
        let own = !open_now && !open_then && now.own != then.own;
        let mode = if reason == Some(Reason::Response) { modes.lists } else { modes.models };
        let stored = stored.map(|stored| stored.answer.under(mode));
        let now = stored.as_ref().filter(|_| open_now).unwrap_or(&now.answer);
        let then = stored.as_ref().filter(|_| open_then).unwrap_or(&then.answer);
        match Class::of(now, then, own) {
            Some(class) => self.tally.change(class, row.name, row.client, now, then),
            None => self.stays(row),
        }
        Ok(())
    }

    /// What was answered then.
    fn stored(&mut self, row: &Row) -> Result<Arc<Past>, ReplayError> {
        let verdict = self.scan.rest(row)?.verdict;
        if let Some(past) = self.stored.get(&verdict) {
            return Ok(Arc::clone(past));
        }
        let read = self.scan.verdict(row, verdict, &self.scan.name(row.name)?)?;
        let by_scorer = read.trace.iter().any(|line| line.step == Step::Scorer && line.score.is_some());
        let past = Arc::new(Past { answer: Answer::of(&read, true), by_scorer });
        self.stored.insert(verdict, Arc::clone(&past));
        Ok(past)
    }

    /// What was found; how long it took is for the caller to say.
    pub fn report(self, request: &Request, base: &Snapshot) -> Result<Report, ReplayError> {
        let part = |class| -> Result<Part, ReplayError> {
            let figures = self.tally.figures(class, request.top);
            let top = figures.top.into_iter().map(|changed| {
                let name = self.scan.name(changed.name)?;
                let (events, clients) = (changed.events, changed.clients);
                Ok(TopName { name, events, clients, now: changed.now, then: changed.then })
            });
            let top = top.collect::<Result<Vec<_>, ReplayError>>()?;
            Ok(Part { events: figures.events, names: figures.names, clients: figures.clients, top })
        };
        let [blocked, allowed, otherwise, would_block, would_allow] = Class::ALL.map(part);
        Ok(Report {
            with: request.with.iter().map(With::to_string).collect(),
            snapshot: base.id().to_owned(),
            since_ms: request.since_ms,
            until_ms: request.until_ms,
            looked_at: LookedAt {
                events: self.tally.events,
                names: self.tally.names.len() as u64,
                clients: self.clients.values().filter(|client| client.seen).count() as u64,
            },
            blocked: blocked?,
            allowed: allowed?,
            otherwise: otherwise?,
            would_block: would_block?,
            would_allow: would_allow?,
            not_replayed: self.tally.kept,
            said: self.prepared.said,
            notes: self.prepared.notes,
            took_ms: 0,
        })
    }
}

/// Names for which nothing changes, a bit each: nearly all rows end here, so it must stay in the CPU's cache.
#[derive(Default)]
struct Same {
    /// By kind of client, then by number of the name.
    kinds: Vec<Vec<u64>>,
}

impl Same {
    /// Kinds that are kept; clients that a rule names are kinds of their own, and may be many.
    const MOST_KINDS: usize = 64;
    /// Names that are kept.
    const MOST_NAMES: usize = 1 << 26;

    fn holds(&self, kind: u32, name: i64) -> bool {
        let word = self.kinds.get(kind as usize).and_then(|names| names.get((name >> 6) as usize));
        word.is_some_and(|word| word >> (name & 63) & 1 == 1)
    }

    fn insert(&mut self, kind: u32, name: i64) {
        let (kind, word) = (kind as usize, (name >> 6) as usize);
        if kind >= Self::MOST_KINDS || word >= Self::MOST_NAMES / 64 {
            return;
        }
        if self.kinds.len() <= kind {
            self.kinds.resize_with(kind + 1, Vec::new);
        }
        if self.kinds[kind].len() <= word {
            self.kinds[kind].resize(word + 1, 0);
        }
        self.kinds[kind][word] |= 1 << (name & 63);
    }
}

fn question<'n>(name: &'n Name, client: IpAddr, rest: &Rest, udp: Option<i64>) -> Asked<'n> {
    let Rest { time_ms, qtype, door, .. } = *rest;
    Asked { name, qtype, client, udp: Some(door) == udp, time_ms }
}

/// The store's clients, told apart as far as an answer may depend on it.
fn clients(
    request: &Request,
    judge: &Judge,
    prepared: &Prepared,
    scan: &Scan,
) -> Result<HashMap<i64, Client, DefaultHashBuilder>, ReplayError> {
    let groups = judge.groups();
    // The kinds of groups come first; one more is everybody's.
    let mut kinds = u32::MAX;
    let client = |(id, address): (i64, String)| {
        // What is no address is in no group of addresses.
        let address: IpAddr = address.parse().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let held = groups.of(address, &Identity::default());
        let kind = if prepared.snapshot.is_client_listed(address) {
            kinds -= 1;
            kinds
        } else {
            held.number
        };
        let inside = request.client.is_none_or(|net| net.contains(&address));
        let wanted = inside && request.group.as_ref().is_none_or(|group| held.group.name == *group);
        let modes = Modes { lists: held.group.lists, models: held.group.models };
        (id, Client { address, kind, modes, touched: prepared.touches_client(address), wanted, seen: false })
    };
    Ok(scan.clients()?.into_iter().map(client).collect())
}
