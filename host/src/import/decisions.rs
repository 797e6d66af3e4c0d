//! Decisions of people in another system, put in force here by a named author.
//!
//! Names that somebody has decided here stay as they are. The whole is written by who owns the data folder, so nothing waits
//! for a second person but popular names, which are proposed.

use std::collections::HashSet;
use std::path::Path;

use dnsvet_core::name::Name;
use dnsvet_core::snapshot::Snapshot;
use serde::Serialize;

use super::intake::Offered;
use crate::control::vetting::is_popular;
use crate::store::control::vetting::{Asked, Batch, Limit, Outcome, VettingStore as _};
use crate::store::control::{ControlStore as _, Decision, Scope, SqliteControl, VettedRow};
use crate::store::{StoreError, Tenant};

/// Decisions stored at a time.
const TOGETHER: usize = 1_000;

/// What became of offered decisions: names.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Written {
    /// In force from the next snapshot on.
    pub in_force: u64,
    /// They wait for a second person.
    pub proposed: u64,
    /// Decided here already.
    pub kept: u64,
}

/// Writes decisions into the `control.db` of a data folder. ML Bridge took `www.` off, so a decision holds for the name with
/// it too, and for no other below it. `time_ms`: now, milliseconds since 1970.
///
/// # Errors
/// If the store refuses.
pub fn write(
    folder: &Path,
    offered: &[Offered],
    author: &str,
    snapshot: &Snapshot,
    time_ms: u64,
) -> Result<Written, StoreError> {
    let state = SqliteControl::open(&folder.join("control.db"))?;
    let decided: HashSet<String> = state.vetted(Tenant::DEFAULT)?.into_iter().map(|row| row.name).collect();
    let mut written = Written::default();
    let names = offered.iter().flat_map(|offered| {
        let with = format!("www.{}", offered.name);
        [offered.name.clone(), with].map(|name| (name, offered.decision))
    });
    let mut asked = Vec::new();
    for (name, decision) in names {
        if decided.contains(&name) {
            written.kept += 1;
            continue;
        }
        let parsed = Name::parse(&name).ok();
        let popular = decision.blocks() && parsed.is_some_and(|name| is_popular(snapshot, &name));
        let row = VettedRow {
            name,
            decision,
            scope: Scope::Exact,
            author: author.to_owned(),
            time_ms,
            before: Decision::None,
            confirmed_by: None,
        };
        asked.push(Asked { row, popular });
    }
    let limit = Some(Limit { most: usize::MAX, since_ms: time_ms });
    for together in asked.chunks(TOGETHER) {
        let whole = format!("import from ML Bridge: {} names", together.len());
        let batch = Batch { asked: together, limit, whole: Some(&whole) };
        for outcome in state.decide_all(Tenant::DEFAULT, batch)? {
            match outcome {
                Outcome::InForce(_) => written.in_force += 1,
                Outcome::Proposed(_) => written.proposed += 1,
            }
        }
    }
    Ok(written)
}
