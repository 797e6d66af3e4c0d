//! How long an imported graph takes for a name: an answer after the filter's patience is none.
//!
//! The surprise: tract runs a graph for [`Tract::BATCH`] names, fewer are padded. A name that is asked for alone waits
//! as long as that many.

use std::fmt;
use std::time::{Duration, Instant};

use crate::data::dga;
use crate::infer::{InferError, Scorer, Tract};
use crate::manifest::GOLDEN_NAMES;

/// How long a filter waits for a scorer's answer.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// Names that are scored to know it.
const NAMES: usize = 1_000;

/// What a graph takes, on one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latency {
    /// Names that were scored.
    pub names: usize,
    /// What one of them took, on average.
    pub a_name: Duration,
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, a_name } = self;
        write!(f, "{:.1} us a name, {names} names by tract on one thread", a_name.as_secs_f64() * 1e6)?;
        let run = *a_name * Tract::BATCH as u32;
        if run > PATIENCE {
            let (batch, run) = (Tract::BATCH, run.as_millis());
            write!(
                f,
                "; a name asked for alone waits as long as {batch}, {run} ms, and the filter only {PATIENCE:?}"
            )?;
        }
        Ok(())
    }
}

/// Why a graph is of no use to a filter.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// Too slow.
    #[error("{0}; at most {PATIENCE:?} a name are taken, so make the model smaller")]
    Slow(Latency),
    /// It does not run on other names than its golden ones.
    #[error(transparent)]
    Infer(#[from] InferError),
}

/// Scores 1,000 names and takes the time; stops as soon as more than `limit` a name is certain.
pub fn latency(scorer: &mut dyn Scorer, limit: Duration) -> Result<Latency, LatencyError> {
    let mut names = dga::names(NAMES - GOLDEN_NAMES.len(), 1);
    names.extend(GOLDEN_NAMES.map(str::to_owned));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut logits = [0.0; Tract::BATCH];
    let (start, mut scored) = (Instant::now(), 0);
    for part in names.chunks(Tract::BATCH) {
        scorer.score(part, &mut logits)?;
        scored += part.len();
        let spent = start.elapsed();
        if spent > limit * NAMES as u32 {
            return Err(LatencyError::Slow(Latency { names: scored, a_name: spent / scored as u32 }));
        }
    }
    Ok(Latency { names: scored, a_name: start.elapsed() / scored as u32 })
}
