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
mod run;
mod tally;
mod when;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Instant;

use dnsvet_core::lists::Format;
use dnsvet_core::model::{BrandsError, ModelError};
use dnsvet_core::snapshot::Snapshot;
use dnsvet_models::registry::{Registry, RegistryError};
use ipnet::IpNet;

pub use self::change::{BadChange, With};
pub use self::decide::{Answer, Asked, Decided, Judge, Pair, Said};
pub use self::report::{LookedAt, Part, Report, TopName};
pub use self::tally::{Class, Kept};
pub use self::when::{BadTime, When};

use self::change::Prepared;
use self::run::Run;
use crate::lists::{CompileError, Place};
use crate::store::scan::Scan;
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
