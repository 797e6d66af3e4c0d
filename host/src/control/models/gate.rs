//! The gate before a promotion: names that no model may block, decided by the cascade with the one model and the other.
//!
//! ```text
//! artifact: hashes, golden vectors ─► runs in a filter? ─► frozen names ─► cascade now │ cascade with it ─► Against
//! ```
//!
//! The frozen names are the false-positive suite (`models/suite`) and all names of the popularity lists of the snapshot
//! in force, those of one list too: the cascade itself keeps a model from blocking names of two. The surprise: only what
//! is *newly* blocked counts. A name that the model in force blocks as well speaks for the suite, not against this change.

use std::net::{IpAddr, Ipv4Addr};

use dnsvet_core::message::rtype;
use dnsvet_core::model::{Model, Scratch};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Change, Snapshot};
use dnsvet_core::verdict::cascade::LEAST_BLOCKING_P;
use dnsvet_core::verdict::{Reason, round_score};
use dnsvet_models::data::suite::suites;
use serde::Serialize;

use crate::replay::{Asked, Decided, Judge, ReplayError};
use crate::store::now_ms;

/// Names that are shown and recorded; all are counted.
const MOST_SHOWN: usize = 50;
/// Names scored together.
const BATCH: usize = 1_024;
/// Who asks: an address of no network, so that the group for everybody answers.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// What names of popularity lists are shown as.
const POPULAR: &str = "popular";

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// Names of the suite that were looked at.
    pub suite_names: usize,
    /// Names of popularity lists that were looked at.
    pub popular_names: usize,
    /// Names that would newly be blocked; 0: the gate is open.
    pub against: usize,
    /// The first of them.
    pub names: Vec<Against>,
}

/// A name that would newly be blocked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Against {
    /// The name.
    pub name: String,
    /// Its category in the suite, or `popular`.
    pub of: &'static str,
    /// The model's probability of malicious at the policy's prior, [0, 1].
    pub p: f64,
}

/// Looks at a model in the place of the small model of `base`. `popular` are the names of its popularity lists; those
/// that the snapshot does not know as popular are passed over.
///
/// # Errors
/// If the snapshot's own model or brands can't be read.
pub fn look(base: &Snapshot, model: &Model, popular: &[String]) -> Result<Gate, ReplayError> {
    let change = Change { small_model: Some(model.encode().into()), ..Change::default() };
    let mut judge = Judge::enforcing(base.clone(), base.changed(change))?;
    let mut gate = Gate { suite_names: 0, popular_names: 0, against: 0, names: Vec::new() };
    for suite in suites() {
        gate.suite_names += suite.names.len();
        look_at(&mut gate, &mut judge, (base, model), suite.category, &suite.names);
    }
    let known = |name: &&str| Name::parse(name).is_ok_and(|name| base.popularity(&name) > 0);
    let popular: Vec<&str> = popular.iter().map(String::as_str).filter(known).collect();
    gate.popular_names = popular.len();
    look_at(&mut gate, &mut judge, (base, model), POPULAR, &popular);
    Ok(gate)
}

fn look_at(
    gate: &mut Gate,
    judge: &mut Judge,
    (base, model): (&Snapshot, &Model),
    of: &'static str,
    names: &[&str],
) {
    let (prior, least) = (base.policy().prior, model.thresholds().block_above.max(LEAST_BLOCKING_P));
    let (mut scratch, mut logits) = (Scratch::default(), vec![0.0; BATCH]);
    for batch in names.chunks(BATCH) {
        model.logits(batch, &mut scratch, &mut logits);
        for (name, logit) in batch.iter().zip(&logits) {
            let p = round_score(model.probability(*logit, prior));
            // Below, the cascade never blocks by this model: no need to walk it.
            if p >= least && newly_blocked(judge, name) {
                gate.against += 1;
                if gate.names.len() < MOST_SHOWN {
                    gate.names.push(Against { name: (*name).to_owned(), of, p });
                }
            }
        }
    }
}

/// Whether the model has the cascade block a name that it allows now.
fn newly_blocked(judge: &mut Judge, name: &str) -> bool {
    let Ok(name) = Name::parse(name) else { return false };
    let asked = Asked { name: &name, qtype: rtype::A, client: CLIENT, udp: true, time_ms: now_ms() };
    let Decided::Differs(pair) = judge.decide_alone(asked) else { return false };
    let (now, then) = (&pair.now.answer, &pair.then.answer);
    then.reason == Some(Reason::Model) && then.action.stops() && !now.action.stops()
}
