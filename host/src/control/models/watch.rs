//! The watcher: a thread that looks at what filters scored, beside them and never in their way.
//!
//! ```text
//! POST /v1/events ─► names that the small model scored ─► [queue, bounded] ─► thread: score again ─► drift
//!                     (so many a second; others are counted)         └─► the challenger, if there is one
//! ```
//!
//! Events carry a probability rounded to five digits, which is 0 for most benign names, so the model scores the names
//! again here. What that may cost is bounded: [`MOST_A_SECOND`] names, one thread that stands back for questions, and a
//! queue past which names are passed over. The surprise: so on a busy day it looks at a sample, and says how large.

use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dnsvet_core::event::Event;
use dnsvet_core::model::{Calibration, Model};
use dnsvet_core::verdict::{Reason, Step};
use dnsvet_models::registry::RegistryError;
use serde::Serialize;
use tokio::sync::watch::Receiver as Published;

use super::PromoteError;
use super::challenge::{Challenge, Ring};
use super::drift::{Drift, Kept, Scored, Signal, Watch};
use crate::background;
use crate::config::{Config, Models};
use crate::control::Published as Snapshot;
use crate::store::control::ControlStore;
use crate::store::{Tenant, now_ms};

/// Names that are looked at in a second.
pub const MOST_A_SECOND: u64 = 1_000;
/// How often it looks which model is in force, if no names come.
const LOOK: Duration = Duration::from_secs(1);
/// How often what the challenger saw is kept, milliseconds.
const KEEP_MS: u64 = 10_000;
/// Batches that wait for the thread.
const MOST_WAITING: usize = 64;
/// Under which the store keeps the watch.
pub(super) const KEPT: &str = "drift";

/// A name that a filter's model scored.
struct Seen {
    name: String,
    uncertain: bool,
}

/// How the watch stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Standing {
    /// The model that is watched; empty before the first name.
    pub model: String,
    /// Whether its first window is full, so that others can be compared.
    pub has_baseline: bool,
    /// Distinct names in the window that fills.
    pub filled: u64,
    /// Names that were looked at since the start.
    pub looked_at: u64,
    /// Names that were passed over since the start, because too many came.
    pub passed_over: u64,
    /// The last full window beside the baseline.
    pub last: Option<Drift>,
}

impl Standing {
    /// How a watch stands by what is kept of it.
    pub(super) fn of(kept: Kept) -> Self {
        Self { model: kept.model, has_baseline: kept.baseline.is_some(), last: kept.last, ..Self::default() }
    }

    /// What is past its threshold.
    pub fn alarms(&self) -> &[Signal] {
        self.last.as_ref().map(|drift| drift.alarms.as_slice()).unwrap_or_default()
    }
}

/// What the thread and those who ask share.
struct Shared {
    standing: Mutex<Standing>,
    limits: Mutex<Models>,
    /// The challenger at work; locked while what it saw is stored, so that none that was taken away comes back.
    ring: Mutex<Option<Ring>>,
    looked_at: AtomicU64,
    passed_over: AtomicU64,
    /// What was usual is to be forgotten.
    rebase: AtomicBool,
    /// Whether there is a challenger.
    is_challenged: AtomicBool,
    /// The second that is counted, since 1970, and how many names may still come in it.
    budget: Mutex<(u64, u64)>,
}

/// Takes events in; the thread ends with it.
pub struct Watcher {
    queue: SyncSender<Vec<Seen>>,
    shared: Arc<Shared>,
}

impl Watcher {
    /// Starts the thread.
    ///
    /// # Errors
    /// If there can be no thread.
    pub(in crate::control) fn start(
        config: &Config,
        state: Arc<dyn ControlStore>,
        published: Published<Option<Arc<Snapshot>>>,
    ) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(MOST_WAITING);
        let shared = Arc::new(Shared {
            standing: Mutex::default(),
            limits: Mutex::new(config.models.clone()),
            ring: Mutex::default(),
            looked_at: AtomicU64::new(0),
            passed_over: AtomicU64::new(0),
            rebase: AtomicBool::new(false),
            is_challenged: AtomicBool::new(false),
            budget: Mutex::default(),
        });
        if let Ok(Some(challenge)) = super::noted_challenge(state.as_ref(), Tenant::DEFAULT) {
            match super::whole(state.as_ref(), &challenge.model) {
                Ok(Ok(model)) => {
                    *lock(&shared.ring) = Some(Ring::new(challenge, model.1));
                    shared.is_challenged.store(true, Relaxed);
                }
                Ok(Err(why)) => {
                    tracing::error!(model = challenge.model.id, %why, "the challenger is damaged in control.db; put it up again");
                }
                Err(error) => tracing::error!(%error, "the challenger can't be read"),
            }
        }
        let kept_names = lock(&shared.ring).as_ref().map_or(0, |ring| ring.challenge().saw.names);
        let kept = (0, kept_names);
        let mut thread = Thread { state, published, shared: Arc::clone(&shared), world: None, kept };
        let work = move || thread.run(&waiting);
        std::thread::Builder::new().name("models".into()).spawn(work)?;
        Ok(Self { queue, shared })
    }

    /// Takes other thresholds.
    pub(in crate::control) fn configure(&self, config: &Config) {
        *lock(&self.shared.limits) = config.models.clone();
    }

    /// Hands on the names of a batch that a model scored, as many as may be looked at. Never waits.
    pub fn saw(&self, events: &[Event]) {
        if lock(&self.shared.limits).watch_names == 0 && !self.shared.is_challenged.load(Relaxed) {
            return;
        }
        let scored = |event: &&Event| {
            event.verdict.trace.iter().any(|line| line.step == Step::Model && line.score.is_some())
        };
        let count = events.iter().filter(scored).count() as u64;
        let mut take = self.shared.take(count, now_ms() / 1_000);
        if take > 0 {
            let names = events.iter().filter(scored).take(take as usize).map(|event| Seen {
                name: event.name.clone(),
                uncertain: event.verdict.reasons.contains(&Reason::NotConfident),
            });
            if self.queue.try_send(names.collect()).is_err() {
                take = 0;
            }
        }
        self.shared.passed_over.fetch_add(count - take, Relaxed);
    }

    /// Lets a challenger score from now on, in the place of another one.
    pub(in crate::control) fn put_up(
        &self,
        state: &dyn ControlStore,
        challenge: &Challenge,
    ) -> Result<(), PromoteError> {
        let whole = super::whole(state, &challenge.model)?;
        let (_, model) = whole.map_err(|source| {
            PromoteError::Registry(RegistryError::Model { name: challenge.model.id.clone(), source })
        })?;
        *lock(&self.shared.ring) = Some(Ring::new(challenge.clone(), model));
        self.shared.is_challenged.store(true, Relaxed);
        Ok(())
    }

    /// Lets the challenger score no more; returns it with what it saw.
    pub(in crate::control) fn stop_challenge(&self) -> Option<Challenge> {
        self.shared.is_challenged.store(false, Relaxed);
        lock(&self.shared.ring).take().map(|ring| ring.challenge().clone())
    }

    /// The challenger, with what it saw so far.
    pub fn challenge(&self) -> Option<Challenge> {
        lock(&self.shared.ring).as_ref().map(|ring| ring.challenge().clone())
    }

    /// Forgets what was usual; the next names say it.
    pub(in crate::control) fn rebase(&self) {
        self.shared.rebase.store(true, Relaxed);
        *lock(&self.shared.standing) = Standing::default();
    }

    /// How the watch stands.
    pub fn standing(&self) -> Standing {
        if self.shared.rebase.load(Relaxed) {
            return Standing::default();
        }
        let (looked_at, passed_over) = (&self.shared.looked_at, &self.shared.passed_over);
        let standing = lock(&self.shared.standing).clone();
        Standing { looked_at: looked_at.load(Relaxed), passed_over: passed_over.load(Relaxed), ..standing }
    }

    /// `dnsvet_model_*` as Prometheus text.
    pub fn render(&self, out: &mut String) {
        let standing = self.standing();
        let counters = [
            ("watched", "Scored names that were looked at for drift.", standing.looked_at),
            (
                "passed_over",
                "Scored names that were not looked at, because too many came.",
                standing.passed_over,
            ),
        ];
        for (name, help, count) in counters {
            let name = format!("dnsvet_model_{name}_names_total");
            // Writing to a String can't fail.
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
        }
        self.render_challenge(out);
        let Some(drift) = &standing.last else { return };
        const DRIFT: &str = "dnsvet_model_drift";
        let _ = writeln!(
            out,
            "# HELP {DRIFT} The last window beside the baseline: stability indexes of scores and TLDs, uncertain share less that of the baseline.\n# TYPE {DRIFT} gauge"
        );
        for signal in Signal::ALL {
            let _ = writeln!(out, "{DRIFT}{{signal=\"{}\"}} {}", signal.as_str(), drift.of(signal));
        }
        let _ = writeln!(
            out,
            "# HELP {DRIFT}_alarm 1 if that is past its threshold.\n# TYPE {DRIFT}_alarm gauge"
        );
        for signal in Signal::ALL {
            let raised = u8::from(drift.alarms.contains(&signal));
            let _ = writeln!(out, "{DRIFT}_alarm{{signal=\"{}\"}} {raised}", signal.as_str());
        }
    }
}

impl Watcher {
    fn render_challenge(&self, out: &mut String) {
        let Some(Challenge { saw, .. }) = self.challenge() else { return };
        let gauges = [
            ("names", "Distinct names that champion and challenger scored.", saw.names),
            ("agreed_names", "Of those, names of which both say the same.", saw.agreed),
        ];
        for (name, help, count) in gauges {
            // Writing to a String can't fail. Gauges: another champion or challenger begins them anew.
            let _ = writeln!(
                out,
                "# HELP dnsvet_challenger_{name} {help}\n# TYPE dnsvet_challenger_{name} gauge\ndnsvet_challenger_{name} {count}"
            );
        }
        const BLOCKS: &str = "dnsvet_challenger_blocked_names";
        let _ = writeln!(
            out,
            "# HELP {BLOCKS} Of those, names that would be blocked, by whom.\n# TYPE {BLOCKS} gauge"
        );
        let blocks = [
            ("both", saw.both_block),
            ("champion", saw.only_champion_blocks),
            ("challenger", saw.only_challenger_blocks),
        ];
        for (by, count) in blocks {
            let _ = writeln!(out, "{BLOCKS}{{by=\"{by}\"}} {count}");
        }
    }
}

impl Shared {
    /// How many of so many names may be looked at in this second.
    fn take(&self, count: u64, second: u64) -> u64 {
        let mut budget = lock(&self.budget);
        if budget.0 != second {
            *budget = (second, MOST_A_SECOND);
        }
        let take = count.min(budget.1);
        budget.1 -= take;
        take
    }
}

/// What names are scored with: the model of the snapshot that is served.
struct World {
    published: Arc<Snapshot>,
    model: Model,
    watch: Watch,
}

struct Thread {
    state: Arc<dyn ControlStore>,
    published: Published<Option<Arc<Snapshot>>>,
    shared: Arc<Shared>,
    world: Option<World>,
    /// When what the challenger saw was kept last, milliseconds since 1970, and of how many names.
    kept: (u64, u64),
}

impl Thread {
    fn run(&mut self, waiting: &Receiver<Vec<Seen>>) {
        loop {
            let names = match waiting.recv_timeout(LOOK) {
                Ok(names) => names,
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            background::step_back(background::COMPILER);
            self.refresh();
            let limits = lock(&self.shared.limits).clone();
            let Some(world) = &mut self.world else { continue };
            if self.shared.rebase.swap(false, Relaxed) {
                world.watch = Watch::new(world.model.id(), None);
            }
            let mut closed = false;
            for Seen { name, uncertain } in &names {
                let logit = world.model.logit(name);
                if let Some(ring) = lock(&self.shared.ring).as_mut() {
                    ring.see(&world.model, logit, name, &world.published.opened);
                }
                let log_odds = log_odds(&world.model.spec().calibration, logit);
                let scored = Scored { name, log_odds, uncertain: *uncertain };
                closed |= limits.watch_names > 0 && world.watch.see(&scored, &limits, now_ms());
            }
            self.shared.looked_at.fetch_add(names.len() as u64, Relaxed);
            self.tell(closed);
            self.keep_challenge();
        }
    }

    /// Keeps what the challenger saw, now and then.
    fn keep_challenge(&mut self) {
        let now = now_ms();
        let ring = lock(&self.shared.ring);
        let Some(ring) = ring.as_ref().filter(|_| now >= self.kept.0 + KEEP_MS) else { return };
        let fresh = (now, ring.challenge().saw.names);
        if fresh.1 == self.kept.1 {
            return;
        }
        self.kept = fresh;
        let note = serde_json::to_value(ring.challenge()).unwrap_or_default();
        if let Err(error) = self.state.note(Tenant::DEFAULT, super::CHALLENGE, &note) {
            tracing::warn!(%error, "what the challenger saw could not be kept; a restart forgets it");
        }
    }

    /// Takes the model of the snapshot that is served now.
    fn refresh(&mut self) {
        let Some(published) = self.published.borrow_and_update().clone() else { return };
        if self.world.as_ref().is_some_and(|world| world.published.id == published.id) {
            return;
        }
        let Some(Ok(model)) = published.opened.small_model().map(Model::decode) else { return };
        match &mut self.world {
            Some(world) if world.model.id() == model.id() => world.published = published,
            world => {
                let kept = self.state.noted(Tenant::DEFAULT, KEPT).unwrap_or_else(|error| {
                    tracing::warn!(%error, "what is kept of drift can't be read; it begins anew");
                    None
                });
                let kept: Option<Kept> = kept.and_then(|kept| serde_json::from_value(kept).ok());
                let watch = Watch::new(model.id(), kept);
                *world = Some(World { published, model, watch });
            }
        }
    }

    /// Shows how the watch stands; keeps it, and logs alarms that come or go, where a window was closed.
    fn tell(&self, closed: bool) {
        let Some(world) = &self.world else { return };
        let kept = world.watch.kept();
        let standing = Standing { filled: world.watch.filled(), ..Standing::of(kept.clone()) };
        let before = std::mem::replace(&mut *lock(&self.shared.standing), standing.clone());
        if !closed {
            return;
        }
        if let Some(drift) = &standing.last {
            let model = &standing.model;
            for signal in Signal::ALL {
                let (was, is) = (before.alarms().contains(&signal), drift.alarms.contains(&signal));
                let (signal, value) = (signal.as_str(), drift.of(signal));
                match (was, is) {
                    (false, true) => tracing::warn!(
                        model,
                        signal,
                        value,
                        names = drift.names,
                        "drift: what is asked for no longer looks as it did; `dnsvet model list --json` says more"
                    ),
                    (true, false) => tracing::info!(model, signal, value, "drift is over"),
                    _ => {}
                }
            }
        }
        let note = serde_json::to_value(kept).unwrap_or_default();
        if let Err(error) = self.state.note(Tenant::DEFAULT, KEPT, &note) {
            tracing::warn!(%error, "drift could not be kept; a restart begins it anew");
        }
    }
}

fn log_odds(scale: &Calibration, logit: f32) -> f64 {
    scale.slope * f64::from(logit) + scale.intercept
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
