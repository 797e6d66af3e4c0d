//! Where events and the control plane's state are kept.
//!
//! ```text
//! POST /v1/events ─► bounded queue ─► writer thread ─► one transaction for all that waits ─► receipt
//!                                          │                                              └► live tail
//! API ◄── reader connections ◄── SQLite (WAL): dictionaries, events, roll-ups
//! ```
//!
//! [`EventStore`] is what the API asks; [`sqlite::SqliteStore`] is the default, [`clickhouse`] one for many, and the assertions of
//! `conformance` hold for each store. Every row has a tenant. The one
//! surprise: an event's verdict is kept as a *shape* (its JSON with every number and the name taken out) and
//! its arguments ([`codes`]), so a trace costs a few bytes and comes back byte for byte.
//! [`control::ControlStore`] keeps users, tokens, decisions and the audit trail in a file of its own.

pub mod clickhouse;
mod clients;
pub mod codes;
pub mod control;
mod id;
pub mod names;
mod pending;
mod queue;
mod ranges;
pub mod remote;
mod rules;
pub mod scan;
mod search;
mod shipper;
mod spool;
pub mod sqlite;

use std::sync::Arc;
use std::time::SystemTime;

use dnsvet_core::event::{Batch, Event};
use serde::Serialize;
use tokio::sync::{broadcast, oneshot};

use crate::config::{Config, StoreKind};
use clickhouse::ClickHouseStore;
pub use id::EventId;
pub use names::{NameAsked, NameStory, Ranking, RankingAsked};
pub use pending::{Order, Pending};
pub use rules::RuleHits;
pub use search::{ActionFilter, Search};
use sqlite::SqliteStore;

/// Whose rows. One installation has one tenant today; the column is there from the first row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tenant(pub i64);

impl Tenant {
    /// The tenant of an installation that knows no tenants.
    pub const DEFAULT: Tenant = Tenant(1);
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite refused.
    #[error("{path}: {source}; check that the disk has room and that the folder is writable")]
    Sqlite {
        /// The database file.
        path: String,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// There is no database file, and none can be made.
    #[error("{path}: {source}; check that the folder is there and writable")]
    File {
        /// The database file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A store on another machine failed.
    #[error(transparent)]
    Remote(#[from] remote::RemoteError),
    /// Nothing more can wait for a store on another machine.
    #[error(
        "the event store is away and its spool is full; filters keep events until it is back, or raise \
         retention.spool_bytes"
    )]
    SpoolFull,
    /// The writer's queue is full: try again.
    #[error("the store's queue is full; send the batch again in a second")]
    Busy,
    /// The writer has ended.
    #[error("the store has shut down")]
    Closed,
    /// A stored verdict can't be read back.
    #[error("event {0}: its stored verdict is damaged; restore the store from a backup")]
    Damaged(EventId),
    /// There are as many decisions as a snapshot holds.
    #[error(
        "{most} names are decided, the most that a snapshot holds; take decisions back, decide a name with all below it \
         instead of each, or put names in a list"
    )]
    DecisionsFull {
        /// How many.
        most: usize,
    },
    /// Vetting: a second person, or one request more than is kept.
    #[error(transparent)]
    Vetting(#[from] control::vetting::VettingError),
    /// Which model is in force can't change so.
    #[error(transparent)]
    Promotion(#[from] control::models::PromotionError),
    /// A newer dnsvet wrote this file.
    #[error("{path}: schema {found} is newer than this build's {known}; start the newer dnsvet")]
    Newer {
        /// The database file.
        path: String,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Events that are new and committed.
    pub stored: u64,
    /// Events that were there already.
    pub known: u64,
}

/// Comes once the batch is committed, or could not be.
pub type Receipt = oneshot::Receiver<Result<Appended, StoreError>>;

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// What it is called in this store; newer ones are greater.
    pub id: EventId,
    /// The filter that sent it.
    pub source: String,
    /// The event.
    pub event: Event,
}

/// One page of a search, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The events.
    pub items: Vec<Stored>,
    /// Cursor of the next page; `None` on the last.
    pub next: Option<EventId>,
}

/// Counts for the overview, from roll-ups.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Overview {
    /// Start of the time covered, milliseconds since 1970.
    pub since_ms: u64,
    /// All questions.
    pub queries: u64,
    /// Questions that the filter answered itself.
    pub blocked: u64,
    /// Queries by action.
    pub actions: Vec<(String, u64)>,
    /// Blocked queries by deciding reason.
    pub reasons: Vec<(String, u64)>,
    /// Seconds of one bucket of `series`.
    pub bucket_s: u64,
    /// Buckets: start (milliseconds), allowed, not confident, blocked.
    pub series: Vec<(u64, u64, u64, u64)>,
    /// Most blocked names.
    pub blocked_names: Vec<(String, u64)>,
    /// Busiest clients.
    pub clients: Vec<(String, u64)>,
    /// Events that filters dropped because their spool was full.
    pub dropped: u64,
    /// Filters: source, events, last time (milliseconds).
    pub sources: Vec<(String, u64, u64)>,
}

/// Keeps events and finds them again.
pub trait EventStore: Send + Sync {
    /// Takes a batch; the receipt comes when it is committed. An event that is there already (same source
    /// and number) is not stored twice.
    fn append(&self, tenant: Tenant, batch: Batch) -> Result<Receipt, StoreError>;

    /// One page of events, newest first.
    fn search(&self, tenant: Tenant, search: &Search) -> Result<Page, StoreError>;

    /// One event.
    fn event(&self, tenant: Tenant, id: EventId) -> Result<Option<Stored>, StoreError>;

    /// Names that wait for a decision, by priority, without those that `settled` holds.
    fn pending(
        &self,
        tenant: Tenant,
        order: Order,
        settled: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<Pending>, StoreError>;

    /// How many clients asked for any of the names while they waited.
    fn clients_of(&self, tenant: Tenant, names: &[String]) -> Result<u64, StoreError>;

    /// Counts since a time (milliseconds since 1970).
    fn overview(&self, tenant: Tenant, since_ms: u64, now_ms: u64) -> Result<Overview, StoreError>;

    /// What is known of one name; `None` if nobody ever asked for it.
    fn name(&self, tenant: Tenant, asked: &NameAsked<'_>) -> Result<Option<NameStory>, StoreError>;

    /// How often each list or rule decided since a time, milliseconds since 1970, cut to a whole hour.
    fn rules(&self, tenant: Tenant, since_ms: u64) -> Result<Vec<RuleHits>, StoreError>;

    /// Names of one side by how often they were asked for.
    fn ranking(&self, tenant: Tenant, asked: &RankingAsked) -> Result<Ranking, StoreError>;

    /// Events as they are committed; a slow reader loses the oldest.
    fn subscribe(&self) -> broadcast::Receiver<(Tenant, Arc<Stored>)>;

    /// Adds lines for `/metrics`.
    fn render(&self, _text: &mut String) {}
}

/// The event store that a configuration names.
///
/// # Errors
/// If its file, its folder or what is said of it can't be used.
pub fn open(config: &Config) -> Result<Arc<dyn EventStore>, StoreError> {
    let (retention, addresses) = (config.retention.clone(), config.client_addresses);
    Ok(match config.store_kind() {
        StoreKind::Sqlite(path) => Arc::new(SqliteStore::open(&path, retention, addresses)?),
        StoreKind::ClickHouse => {
            let spool = config.data_dir.join("store-spool");
            Arc::new(ClickHouseStore::open(&config.clickhouse, &spool, retention, addresses)?)
        }
    })
}

/// The same store for reading alone, beside a process that writes; nothing is made that is not there.
///
/// # Errors
/// As [`open`], and if there is no store yet.
pub fn open_reading(config: &Config) -> Result<Arc<dyn EventStore>, StoreError> {
    Ok(match config.store_kind() {
        StoreKind::Sqlite(path) => Arc::new(SqliteStore::open_reading(&path)?),
        StoreKind::ClickHouse => Arc::new(ClickHouseStore::open_reading(&config.clickhouse)?),
    })
}

/// Wall clock, milliseconds since 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod tests;
