//! The zone that is served, and its last versions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use dnsvet_core::name::Name;
use tokio::sync::watch;

use super::Serial;
use super::message::types;
use super::policy::{self, Entry, Skipped};
use super::tsig::now_s;
use super::zone::{Record, RecordRef, Soa, Zone};

/// The policy zone: its name, its times, how far back differences are kept.
#[derive(Debug, Clone)]
pub struct ZoneConfig {
    /// Its name, under which names are written: the shorter, the longer they may be. Default `rpz.dnsvet`.
    pub origin: Name,
    /// The name of the server in SOA and NS. Nobody looks it up in a policy zone. Default `localhost`.
    pub server: Name,
    /// The mailbox of whoever is responsible, as a name. Default `hostmaster.localhost`.
    pub mailbox: Name,
    /// TTL of records, seconds: resolvers give it to their clients. Default 60.
    pub ttl_s: u32,
    /// When secondaries ask for a newer version if no NOTIFY came, seconds. Default 300.
    pub refresh_s: u32,
    /// When they ask again after a failure, seconds. Default 60.
    pub retry_s: u32,
    /// When they give the policy up if dnsvet is away, seconds. Default 30 days.
    pub expire_s: u32,
    /// Versions whose differences are kept. Default 64.
    pub journal_versions: usize,
    /// Records of differences that are kept in all; the oldest versions go first. Default one million.
    pub journal_records: usize,
}

impl Default for ZoneConfig {
    fn default() -> Self {
        let name = |labels: [&str; 2]| {
            let labels = labels.iter().filter(|label| !label.is_empty()).map(|label| label.as_bytes());
            Name::from_labels(labels).unwrap_or_default()
        };
        Self {
            origin: name(["rpz", "dnsvet"]),
            server: name(["localhost", ""]),
            mailbox: name(["hostmaster", "localhost"]),
            ttl_s: 60,
            refresh_s: 300,
            retry_s: 60,
            expire_s: 30 * 86_400,
            journal_versions: 64,
            journal_records: 1_000_000,
        }
    }
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The zone's version now.
    pub serial: Serial,
    /// Whether it is a new one.
    pub changed: bool,
    /// Records of the zone, the SOA left out.
    pub records: usize,
    /// Entries that are not in it.
    pub skipped: Skipped,
}

/// What changed from one version to the next.
#[derive(Debug)]
pub(super) struct Step {
    pub from: Record,
    pub to: Record,
    from_serial: Serial,
    pub removed: Vec<Record>,
    pub added: Vec<Record>,
}

impl Step {
    fn records(&self) -> usize {
        2 + self.removed.len() + self.added.len()
    }
}

/// The version that is served, and the way to it from those before.
#[derive(Debug)]
pub(super) struct Version {
    pub zone: Zone,
    pub soa: Record,
    /// Oldest first; each starts where the one before ends.
    steps: VecDeque<Arc<Step>>,
}

impl Version {
    /// The steps from a version that a secondary has; `None` if they are not kept, or are longer than the zone.
    pub fn steps_from(&self, serial: Serial) -> Option<impl Iterator<Item = RecordRef<'_>> + Send> {
        let first = self.steps.iter().position(|step| step.from_serial == serial)?;
        let steps = self.steps.iter().skip(first);
        let records: usize = steps.clone().map(|step| step.records()).sum();
        (records <= self.zone.len() + 2).then(|| {
            steps.flat_map(|step| {
                let removed = std::iter::once(&step.from).chain(&step.removed);
                removed.chain(std::iter::once(&step.to)).chain(&step.added).map(Record::view)
            })
        })
    }
}

/// Publishes the policy zone. Clones share it.
#[derive(Clone)]
pub struct Publisher(Arc<Inner>);

struct Inner {
    config: ZoneConfig,
    /// Held while a version is made.
    making: Mutex<()>,
    current: watch::Sender<Option<Arc<Version>>>,
}

impl Publisher {
    /// A publisher. `last` is what was published before a restart, kept as text: it is served at once, and the
    /// serial goes on from it. Without it, or if its name is another, nothing is served before the first
    /// update (queries get SERVFAIL, so that no secondary drops the policy it has), and the first serial is
    /// the time, seconds since 1970: newer than any before as long as there is less than a version a second.
    pub fn new(config: ZoneConfig, last: Option<Zone>) -> Self {
        let last = last.filter(|zone| *zone.origin() == config.origin);
        let version = last.map(|zone| {
            let soa = zone.soa().record(zone.apex());
            Arc::new(Version { zone, soa, steps: VecDeque::new() })
        });
        let current = watch::Sender::new(version);
        Self(Arc::new(Inner { config, making: Mutex::new(()), current }))
    }

    /// Makes the zone hold these entries and nothing else. The serial rises only if that changes a record.
    /// Secondaries are notified. Sorts all entries: not for an async worker.
    pub fn update(&self, entries: impl IntoIterator<Item = Entry>) -> Report {
        let Inner { config, making, current } = &*self.0;
        let _held = making.lock().unwrap_or_else(PoisonError::into_inner);
        let before = current.borrow().clone();
        let serial = before.as_ref().map_or(Serial((now_s() as u32).max(1)), |version| version.zone.serial());
        let mut zone = Zone::new(config.origin.clone(), soa(config, serial));
        let apex = zone.apex().to_vec();
        zone.add(Record::new(&apex, types::NS, config.ttl_s, &config.server.to_wire()));
        let skipped = policy::fill(&mut zone, entries, config.ttl_s);
        let records = zone.len();
        let Some(before) = before else {
            let soa = zone.soa().record(&apex);
            current.send_replace(Some(Arc::new(Version { zone, soa, steps: VecDeque::new() })));
            return Report { serial, changed: true, records, skipped };
        };
        let (removed, added) = before.zone.difference(&zone);
        if removed.is_empty() && added.is_empty() && before.zone.soa() == zone.soa() {
            return Report { serial, changed: false, records, skipped };
        }
        let next = serial.next();
        zone.set_soa(soa(config, next));
        let soa = zone.soa().record(&apex);
        let step = Step { from: before.soa.clone(), to: soa.clone(), from_serial: serial, removed, added };
        let mut steps = before.steps.clone();
        steps.push_back(Arc::new(step));
        let mut kept: usize = steps.iter().map(|step| step.records()).sum();
        while steps.len() > config.journal_versions || kept > config.journal_records {
            kept -= steps.pop_front().map_or(kept, |step| step.records());
        }
        current.send_replace(Some(Arc::new(Version { zone, soa, steps })));
        Report { serial: next, changed: true, records, skipped }
    }

    /// The zone as text, to be kept for [`Publisher::new`]; `None` before the first update.
    pub fn to_master_text(&self) -> Option<String> {
        self.version().map(|version| version.zone.to_master_text())
    }

    /// Its version; `None` before the first update.
    pub fn serial(&self) -> Option<Serial> {
        self.version().map(|version| version.zone.serial())
    }

    pub(super) fn version(&self) -> Option<Arc<Version>> {
        self.0.current.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Option<Arc<Version>>> {
        self.0.current.subscribe()
    }

    pub(super) fn origin(&self) -> &Name {
        &self.0.config.origin
    }
}

fn soa(config: &ZoneConfig, serial: Serial) -> Soa {
    Soa {
        mname: config.server.to_wire(),
        rname: config.mailbox.to_wire(),
        serial,
        refresh_s: config.refresh_s,
        retry_s: config.retry_s,
        expire_s: config.expire_s,
        minimum_s: config.ttl_s,
        ttl_s: config.ttl_s,
    }
}
