//! Replay: what a change would have done to the stored events.
//!
//! ```text
//! changes ─► Prepared (changed snapshot) ─┐
//! events ─► name + kind of client ────────┴─► Judge: now, then ─► Tally ─► Report
//! ```
//!
//! It needs no server. The snapshot in force is compared with the changed one, by the cascade of `core`, once for
//! each name and kind of client. The surprise: an event is not compared with what was answered at its time, but with
//! what would be answered now; only what the past decided (tunnels, budgets, a scorer, an upstream's answer) is taken
//! from the store.

mod change;
mod decide;
mod report;
mod tally;
mod when;

#[cfg(test)]
mod load;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dnsvet_core::lists::Format;
use dnsvet_core::model::{BrandsError, ModelError};
use dnsvet_core::name::Name;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::snapshot::Snapshot;
use dnsvet_models::registry::{Registry, RegistryError};
use hashlink::DefaultHashBuilder;
use ipnet::IpNet;

pub use self::change::{BadChange, With};
pub use self::decide::Answer;
pub use self::report::{LookedAt, Part, Report, TopName};
pub use self::tally::{Class, Kept};
pub use self::when::{BadTime, When};

use self::change::Prepared;
use self::decide::{Asked, Decided, Judge, Pair};
use self::tally::Tally;
use crate::lists::{CompileError, Place};
use crate::store::codes::{action_at, reason_at};
use crate::store::scan::{Row, Scan};
use crate::store::{StoreError, Tenant};

/// Between two tellings of how far it is, events.
const PROGRESS_EVENTS: u64 = 50_000;

/// What to replay.
#[derive(Debug, Clone)]
pub struct Request {
    /// The changes, all at once.
    pub with: Vec<With>,
    /// From this time on, milliseconds since 1970.
    pub since_ms: u64,
    /// Before this time.
    pub until_ms: u64,
    /// Only these clients.
    pub client: Option<IpNet>,
    /// Only clients of this group.
    pub group: Option<String>,
    /// Names shown of each kind.
    pub top: usize,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The snapshot has no such list.
    #[error("no list {name:?} in the snapshot; there are: {known}")]
    UnknownList {
        /// As it was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// The policy has no such group.
    #[error("no group {name:?} in the policy; there are: {known}")]
    UnknownGroup {
        /// As it was given.
        name: String,
        /// What there is.
        known: String,
    },
    /// A change of which there can be one was given twice.
    #[error("{0} is the second of its kind; give one")]
    Twice(With),
    /// The time holds nothing.
    #[error("--until is not after --since; give an earlier --since, as in --since 7d")]
    Time,
    /// A list that was to be added says nothing.
    #[error(
        "list {place}: none of its {lines} lines is a {format} rule; name its format, as in add-list:hosts:PATH"
    )]
    NoRules {
        /// Its file.
        place: Place,
        /// How many lines it has.
        lines: u64,
        /// What it was read as.
        format: Format,
    },
    /// A list that was to be added can't be used.
    #[error(transparent)]
    List(#[from] CompileError),
    /// A threshold of no model.
    #[error("the snapshot holds no small model, so there is no threshold to change; add model:small")]
    NoModel,
    /// A model that no filter runs.
    #[error("model {0} has no model.dvm, so it runs in a scorer only; train it with `dnsvet model train`")]
    OnlyScorer(String),
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The model with the changes is refused.
    #[error("{0}")]
    Model(ModelError),
    /// The snapshot's brands can't be read.
    #[error("the snapshot's brands: {0}; compile it again")]
    Brands(BrandsError),
    /// The events can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReplayError {
    /// Whether the request was wrong, and not the work.
    pub fn is_wrong_use(&self) -> bool {
        matches!(
            self,
            Self::UnknownList { .. }
                | Self::UnknownGroup { .. }
                | Self::Twice(_)
                | Self::Time
                | Self::Registry(RegistryError::Unknown { .. })
        )
    }
}

/// Replays the events of the store at `store` against `base` with the changes. `progress` is told how many of how
/// many events are done.
pub fn replay(
    request: &Request,
    base: &Snapshot,
    registry: &Registry,
    (store, tenant): (&Path, Tenant),
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, ReplayError> {
    let started = Instant::now();
    if request.until_ms <= request.since_ms {
        return Err(ReplayError::Time);
    }
    let prepared = Prepared::new(base, &request.with, registry)?;
    let scan = Scan::open(store, tenant)?;
    let mut run = Run::new(request, base, prepared, &scan)?;
    let (first, last) = scan.ends()?;
    let all = u64::try_from(last - first).unwrap_or_default();
    let mut told = 0;
    scan.rows::<ReplayError>(first..=last, request.since_ms, request.until_ms, |row| {
        let done = u64::try_from(row.id - first).unwrap_or_default();
        if done >= told + PROGRESS_EVENTS {
            told = done;
            progress(done, all);
        }
        run.see(row)
    })?;
    let mut report = run.report(request, base)?;
    report.took_ms = started.elapsed().as_millis() as u64;
    Ok(report)
}

/// A client, and whom it may stand for.
struct Client {
    address: IpAddr,
    /// Clients of one kind are answered alike: those of a group that no rule names.
    kind: u32,
    /// A rule of a changed list looks at it.
    touched: bool,
    /// It is asked about.
    wanted: bool,
}

/// A question that stands for itself: name, client, QTYPE, over UDP, minute.
type Alone = (i64, i64, u16, bool, u64);

struct Run<'a> {
    scan: &'a Scan,
    prepared: Prepared,
    judge: Judge,
    clients: HashMap<i64, Client, DefaultHashBuilder>,
    decided: HashMap<(i64, u32), Decided, DefaultHashBuilder>,
    alone: HashMap<Alone, Decided, DefaultHashBuilder>,
    stored: HashMap<i64, Arc<Answer>, DefaultHashBuilder>,
    tally: Tally,
    udp: Option<i64>,
    /// Whether the time of day may decide.
    timed: bool,
}

impl<'a> Run<'a> {
    fn new(
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
            alone: HashMap::default(),
            stored: HashMap::default(),
            tally: Tally::default(),
            udp,
            timed,
        })
    }

    /// Counts an event.
    fn see(&mut self, row: &Row) -> Result<(), ReplayError> {
        let Some(client) = self.clients.get(&row.client).filter(|client| client.wanted) else {
            return Ok(());
        };
        self.tally.events += 1;
        self.tally.clients.insert(row.client);
        let key = (row.name, client.kind);
        let udp = Some(row.door) == self.udp;
        if !self.decided.contains_key(&key) {
            self.tally.names.insert(row.name);
            let decided = match Name::parse(&self.scan.name(row.name)?) {
                Err(_) => Decided::Unreadable,
                Ok(name) if self.prepared.guesses || client.touched || self.prepared.touches(&name) => {
                    self.judge.decide(question(&name, row, client.address, udp))
                }
                Ok(_) => Decided::Same,
            };
            self.decided.insert(key, decided);
        }
        let mut decided = self.decided.get(&key);
        if let Some(Decided::ByQuestion) = decided {
            let minute = if self.timed { row.time_ms / 60_000 } else { 0 };
            let key = (row.name, row.client, row.qtype, udp, minute);
            if !self.alone.contains_key(&key)
                && let Ok(name) = Name::parse(&self.scan.name(row.name)?)
            {
                self.alone.insert(key, self.judge.decide_alone(question(&name, row, client.address, udp)));
            }
            decided = self.alone.get(&key);
        }
        match decided {
            Some(Decided::Differs(pair)) => {
                let pair = Arc::clone(pair);
                self.differs(row, &pair)?;
            }
            Some(Decided::Unreadable) => self.tally.kept.unreadable += 1,
            _ => self.stays(row),
        }
        Ok(())
    }

    fn stays(&mut self, row: &Row) {
        let passed = !action_at(row.action).stops();
        self.tally.kept.count(reason_at(row.reason), passed, self.prepared.changes_lists());
    }

    fn differs(&mut self, row: &Row, pair: &Pair) -> Result<(), ReplayError> {
        let reason = reason_at(row.reason);
        let Pair { now, then } = pair;
        let (open_now, open_then) = (now.is_open(reason), then.is_open(reason));
        if open_now && open_then {
            self.stays(row);
            return Ok(());
        }
        self.tally.kept.scorer += u64::from(now.is_unknown(reason) || then.is_unknown(reason));
        let stored = if open_now || open_then { Some(self.stored(row)?) } else { None };
        let own = stored.is_none() && now.own != then.own;
        let stored = stored.as_deref();
        let now = stored.filter(|_| open_now).unwrap_or(&now.answer);
        let then = stored.filter(|_| open_then).unwrap_or(&then.answer);
        match Class::of(now, then, own) {
            Some(class) => self.tally.change(class, row.name, row.client, now, then),
            None => self.stays(row),
        }
        Ok(())
    }

    /// What was answered then.
    fn stored(&mut self, row: &Row) -> Result<Arc<Answer>, ReplayError> {
        if let Some(answer) = self.stored.get(&row.verdict) {
            return Ok(Arc::clone(answer));
        }
        let verdict = self.scan.verdict(row, &self.scan.name(row.name)?)?;
        let answer = Arc::new(Answer::of(&verdict, true));
        self.stored.insert(row.verdict, Arc::clone(&answer));
        Ok(answer)
    }

    fn report(self, request: &Request, base: &Snapshot) -> Result<Report, ReplayError> {
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
                clients: self.tally.clients.len() as u64,
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

fn question<'n>(name: &'n Name, row: &Row, client: IpAddr, udp: bool) -> Asked<'n> {
    Asked { name, qtype: row.qtype, client, udp, time_ms: row.time_ms }
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
        (id, Client { address, kind, touched: prepared.touches_client(address), wanted })
    };
    Ok(scan.clients()?.into_iter().map(client).collect())
}
