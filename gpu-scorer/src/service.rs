//! The models in force and the way to them: look up, score, hot swap, drain.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use dnsvet_core::name::{Name, NameError};
use dnsvet_core::schema::ScoreResult;

use crate::backend::{BackendError, Factory};
use crate::lane::{Failure, Lane, Limits, Refused, Ticket};
use crate::metrics::Metrics;
use crate::registry::Entry;

/// Why a text is not scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// It is no DNS name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The root.
    #[error("the root has no score; give a name")]
    Root,
}

/// Why names were not scored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// No such model; carries the name asked for and those that there are.
    #[error("no model {asked:?} here; there are: {known}")]
    UnknownModel {
        /// As asked.
        asked: String,
        /// Names of the models here.
        known: String,
    },
    /// The queue is full.
    #[error("overloaded: the queue of names is full; try again later")]
    Overload,
    /// Accepted, but not scored.
    #[error(transparent)]
    Failure(#[from] Failure),
}

/// Why the scorer has no models to serve.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A model does not run on the device.
    #[error("model {model}: {source}")]
    Backend {
        /// The model's identifier.
        model: String,
        /// Why.
        source: BackendError,
    },
    /// No thread for a worker.
    #[error("can't start a worker thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The default model is not in the registry.
    #[error("the registry has no model {asked:?} (--model); it has: {known}")]
    Default {
        /// As asked.
        asked: String,
        /// Names of the models there.
        known: String,
    },
}

type Lanes = BTreeMap<String, Arc<Lane>>;

/// Everything that serves: lanes by model name, and how to make new ones.
pub struct Service {
    lanes: RwLock<Arc<Lanes>>,
    default_model: String,
    factory: Factory,
    threads: usize,
    limits: Limits,
    metrics: Metrics,
}

/// Logits, and the lane they came from.
pub struct Scored {
    /// The model and device that scored.
    pub lane: Arc<Lane>,
    /// One for each name.
    pub logits: Vec<f32>,
}

impl Service {
    /// Starts lanes for the registry's models: `threads` workers each on the CPU.
    pub fn start(
        entries: &[Entry],
        default_model: &str,
        factory: Factory,
        threads: usize,
        limits: Limits,
    ) -> Result<Self, ServiceError> {
        let service = Self {
            lanes: RwLock::default(),
            default_model: default_model.to_owned(),
            factory,
            threads,
            limits,
            metrics: Metrics::new(),
        };
        service.swap(entries)?;
        Ok(service)
    }

    /// Puts the registry's models in force. A model that has not changed keeps its lane; of one that has,
    /// the old lane answers what it had accepted. On an error all stays as it was.
    pub fn swap(&self, entries: &[Entry]) -> Result<(), ServiceError> {
        let old = self.lanes();
        let mut new = Lanes::new();
        for entry in entries {
            let name = entry.name().to_owned();
            let kept = old.get(&name).filter(|lane| lane.model().id() == entry.id());
            let lane = match kept {
                Some(lane) => Arc::clone(lane),
                None => Arc::new(self.lane_for(entry)?),
            };
            new.insert(name, lane);
        }
        if !new.contains_key(&self.default_model) {
            return Err(ServiceError::Default { asked: self.default_model.clone(), known: names(&new) });
        }
        let new = Arc::new(new);
        *self.lanes.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        for (name, lane) in old.iter() {
            if !new.get(name).is_some_and(|kept| Arc::ptr_eq(kept, lane)) {
                lane.finish();
                tracing::info!(model = lane.model().id(), "model retired");
            }
        }
        Ok(())
    }

    fn lane_for(&self, entry: &Entry) -> Result<Lane, ServiceError> {
        let backends = self
            .factory
            .backends(entry, self.threads)
            .map_err(|source| ServiceError::Backend { model: entry.id().to_owned(), source })?;
        let lane = Lane::start(entry.clone(), backends, self.limits, &self.metrics)?;
        tracing::info!(model = lane.model().id(), device = lane.device(), "model in force");
        Ok(lane)
    }

    /// The models in force, by name.
    pub fn lanes(&self) -> Arc<BTreeMap<String, Arc<Lane>>> {
        Arc::clone(&self.lanes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The lane of a model, asked for by name or identifier; of the default model without either.
    pub fn lane(&self, asked: Option<&str>) -> Result<Arc<Lane>, ScoreError> {
        let lanes = self.lanes();
        let asked = asked.unwrap_or(&self.default_model);
        let name = asked.split_once('@').map_or(asked, |(name, _)| name);
        lanes
            .get(name)
            .filter(|lane| name == asked || lane.model().id() == asked)
            .cloned()
            .ok_or_else(|| ScoreError::UnknownModel { asked: asked.to_owned(), known: names(&lanes) })
    }

    /// Scores names; waits for the queue's turn, but not for room in it.
    pub async fn score(
        &self,
        asked: Option<&str>,
        mut names: Vec<Name>,
        deadline: Option<Instant>,
    ) -> Result<Scored, ScoreError> {
        loop {
            let lane = self.lane(asked)?;
            match lane.submit(names, deadline) {
                Ok(ticket) => {
                    let logits = ticket.logits().await?;
                    return Ok(Scored { lane, logits });
                }
                Err((Refused::Full, _)) => return Err(ScoreError::Overload),
                // Swapped out between look-up and submission: the map has its successor already.
                Err((Refused::Closed, back)) => names = back,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Queues names for scoring; waits for room.
    pub async fn queue(
        &self,
        asked: Option<&str>,
        mut names: Vec<Name>,
    ) -> Result<(Arc<Lane>, Ticket), ScoreError> {
        loop {
            let lane = self.lane(asked)?;
            match lane.submit_when_room(names).await {
                Ok(ticket) => return Ok((lane, ticket)),
                Err(back) => names = back,
            }
            tokio::task::yield_now().await;
        }
    }

    /// Ends the lanes once all that they accepted is answered. Blocks.
    pub fn finish(&self) {
        let lanes = std::mem::take(&mut *self.lanes.write().unwrap_or_else(PoisonError::into_inner));
        for lane in lanes.values() {
            lane.finish();
        }
    }
}

fn names(lanes: &Lanes) -> String {
    lanes.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Reads a text as a name that can be scored.
pub fn parse_name(text: &str) -> Result<Name, BadName> {
    let name = Name::parse(text)?;
    if name.is_root() { Err(BadName::Root) } else { Ok(name) }
}

/// What a model says of one name.
pub fn result(model: &Entry, asked: String, logit: f32) -> ScoreResult {
    let p = model.probability(logit);
    let thresholds = model.thresholds();
    let class = if p >= thresholds.block_above {
        "malicious"
    } else if p < thresholds.allow_below {
        "benign"
    } else {
        "uncertain"
    };
    ScoreResult {
        name: asked,
        score: Some(model.score(logit)),
        p: Some(p),
        class: Some(class.to_owned()),
        ..ScoreResult::default()
    }
}
