//! The thread that looks at lists when they are due: four at a time, with jitter, slower after failures.
//!
//! ```text
//! due? ─► task (look) ─► landed: state, next time ─► changed? ─► one compile for all that changed ─► idle
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use super::look::{self, LookError, Looked, Stamp, Tools};
use super::shelf::Shelf;
use super::{Compile, ListState, Phase, Shared, Timing, on_shelf};
use crate::config::ListConfig;
use crate::control::secret;
use crate::lists::Place;
use crate::store::now_ms;

/// Lists looked at at once.
const AT_ONCE: usize = 4;
/// What has changed waits this long for other lists that are under way, so that one compile serves all.
const GATHER: Duration = Duration::from_secs(2);
/// The longest wait that a server may ask for.
const MOST_RETRY_AFTER: Duration = Duration::from_secs(86_400);
/// A sleep with nothing to do.
const LONG: Duration = Duration::from_secs(86_400);

/// What the worker is asked.
pub enum Order {
    /// These lists from now on.
    Configure(Vec<Sub>),
    /// Look at these now, by key.
    Update(Vec<String>),
}

/// A list that is looked at.
pub struct Sub {
    /// What the configuration says.
    pub list: ListConfig,
    /// Its key on the shelf, and here.
    pub key: String,
    next: Instant,
    next_ms: u64,
    failures: u32,
    stamp: Option<Stamp>,
    busy: bool,
}

impl Sub {
    /// A list as earlier runs left it. A file is taken as it is now: the compile that follows reads it.
    pub fn new(list: &ListConfig, shelf: &Shelf, timing: Timing) -> Self {
        let key = Shelf::key(&list.name, &list.source.place.to_string());
        let stamp = match &list.source.place {
            Place::File(path) => Stamp::of(path).ok(),
            _ => None,
        };
        let every = interval(list, timing);
        let wait = match &list.source.place {
            Place::Url(_) | Place::Transfer(_) => {
                on_shelf(shelf, &key).last_fetched_ms.map_or(Duration::ZERO, |fetched_ms| {
                    every.saturating_sub(Duration::from_millis(now_ms().saturating_sub(fetched_ms)))
                })
            }
            _ => every,
        };
        let (next, next_ms) = after(wait);
        Self { list: list.clone(), key, next, next_ms, failures: 0, stamp, busy: false }
    }

    /// How it stands, before it was looked at in this run.
    pub fn state(&self, shelf: &Shelf) -> ListState {
        let shelved = match &self.list.source.place {
            Place::Url(_) | Place::Transfer(_) => on_shelf(shelf, &self.key),
            _ => ListState { last_fetched_ms: self.stamp.map(|_| now_ms()), ..ListState::default() },
        };
        let source = self.list.source.place.to_string();
        ListState { source, next_fetch_ms: Some(self.next_ms), ..shelved }
    }
}

/// What a look brought back.
type Landed = (String, Result<(Looked, Option<Stamp>), LookError>);

/// The state of the thread.
pub struct Worker {
    subs: Vec<Sub>,
    tools: Tools,
    timing: Timing,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    compile: Compile,
    looks: JoinSet<Landed>,
    /// Changed and not compiled yet, with when the first of them changed.
    changed: Vec<String>,
    changed_at: Option<Instant>,
    compiling: Option<Compiling>,
}

/// A compile under way, and the lists that wait for it.
type Compiling = (JoinHandle<Result<(), String>>, Vec<String>);

impl Worker {
    pub fn new(
        subs: Vec<Sub>,
        tools: Tools,
        timing: Timing,
        shared: Arc<Shared>,
        orders: mpsc::UnboundedReceiver<Order>,
        compile: Compile,
    ) -> Self {
        let (looks, changed) = (JoinSet::new(), Vec::new());
        Self {
            subs,
            tools,
            timing,
            shared,
            orders,
            compile,
            looks,
            changed,
            changed_at: None,
            compiling: None,
        }
    }

    /// Works until the handle is dropped.
    pub async fn run(mut self) {
        loop {
            self.look_at_due();
            self.compile_changed();
            let wake = self.wake();
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                Some(landed) = self.looks.join_next(), if !self.looks.is_empty() => match landed {
                    Ok(landed) => self.land(landed),
                    Err(error) => tracing::error!(%error, "a look at a list was lost"),
                },
                done = end_of(&mut self.compiling) => self.compiled(done),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn take(&mut self, order: Order) {
        match order {
            Order::Configure(fresh) => {
                let mut before = std::mem::take(&mut self.subs);
                self.subs = fresh;
                for sub in &mut self.subs {
                    let Some(known) = before.iter_mut().find(|known| known.key == sub.key) else { continue };
                    // What failed is tried at once: that is what a person reloads for.
                    if known.failures > 0 {
                        (sub.next, sub.next_ms) = after(Duration::ZERO);
                    } else if known.next < sub.next {
                        (sub.next, sub.next_ms) = (known.next, known.next_ms);
                    }
                    (sub.failures, sub.busy) = (known.failures, known.busy);
                }
                for Sub { key, next_ms, .. } in &self.subs {
                    self.shared.change(key, |state| state.next_fetch_ms = Some(*next_ms));
                }
            }
            Order::Update(keys) => {
                for sub in self.subs.iter_mut().filter(|sub| keys.contains(&sub.key)) {
                    (sub.next, sub.next_ms) = after(Duration::ZERO);
                }
            }
        }
    }

    fn look_at_due(&mut self) {
        let now = Instant::now();
        let all: Arc<[ListConfig]> = self.subs.iter().map(|sub| sub.list.clone()).collect();
        for sub in self.subs.iter_mut().filter(|sub| !sub.busy && sub.next <= now) {
            if self.looks.len() >= AT_ONCE {
                return;
            }
            sub.busy = true;
            self.shared.change(&sub.key, |state| state.phase = Phase::Fetching);
            let (key, list, stamp) = (sub.key.clone(), sub.list.clone(), sub.stamp);
            let (tools, all) = (self.tools.clone(), Arc::clone(&all));
            self.looks.spawn(async move {
                // In a task of its own, so that one that panics is a failure like others.
                let looked = tokio::spawn(async move { look(&tools, &list, stamp, all).await }).await;
                (key, looked.unwrap_or_else(|error| Err(error.into())))
            });
        }
    }

    fn land(&mut self, (key, looked): Landed) {
        let Some(sub) = self.subs.iter_mut().find(|sub| sub.key == key) else { return };
        sub.busy = false;
        let outcomes = &self.shared.outcomes;
        let shelved = on_shelf(&self.tools.shelf, &key);
        let is_url = sub.list.source.place.is_remote();
        let (mut problem, mut is_changed) = (None, false);
        let wait = match looked {
            Ok((looked, stamp)) => {
                sub.failures = 0;
                sub.stamp = stamp.or(sub.stamp);
                is_changed = looked == Looked::Changed;
                let outcome = match looked {
                    Looked::Unchanged => &outcomes.unchanged,
                    Looked::Changed => &outcomes.changed,
                    Looked::Held => &outcomes.kept_back,
                };
                outcome.fetch_add(1, Relaxed);
                tracing::debug!(list = sub.list.name, ?looked, "list looked at");
                jittered(interval(&sub.list, self.timing))
            }
            Err(error) => {
                sub.failures = sub.failures.saturating_add(1);
                outcomes.failed.fetch_add(1, Relaxed);
                let wait = backoff(&error, sub, self.timing);
                let retry_s = wait.as_secs();
                let blame = if let LookError::Fetch(error) = &error { Some(error.blame()) } else { None };
                tracing::warn!(list = sub.list.name, %error, ?blame, retry_s, "a list was not fetched");
                problem = Some(error.to_string());
                wait
            }
        };
        (sub.next, sub.next_ms) = after(wait);
        if is_changed {
            self.changed.push(key.clone());
            self.changed_at.get_or_insert_with(Instant::now);
        }
        let next_ms = sub.next_ms;
        // Also if it was looked at again before the snapshot with the last change is there.
        let in_compile = self.compiling.as_ref().is_some_and(|(_, keys)| keys.contains(&key));
        let is_waiting = in_compile || self.changed.contains(&key);
        self.shared.change(&key, |state| {
            state.phase = if is_waiting { Phase::Compiling } else { Phase::Idle };
            state.next_fetch_ms = Some(next_ms);
            if is_url {
                state.last_fetched_ms = shelved.last_fetched_ms;
                state.last_changed_ms = shelved.last_changed_ms;
                state.kept_back = shelved.kept_back;
            } else if problem.is_none() {
                state.last_fetched_ms = Some(now_ms());
                state.last_changed_ms = if is_changed { Some(now_ms()) } else { state.last_changed_ms };
            }
            state.problem = problem;
        });
    }

    fn compile_changed(&mut self) {
        let gathered = self.looks.is_empty() || self.changed_at.is_some_and(|at| at.elapsed() >= GATHER);
        if self.compiling.is_some() || self.changed.is_empty() || !gathered {
            return;
        }
        self.changed_at = None;
        let compile = Arc::clone(&self.compile);
        let task = tokio::task::spawn_blocking(move || compile());
        self.compiling = Some((task, std::mem::take(&mut self.changed)));
    }

    fn compiled(&mut self, done: Result<(), String>) {
        let Some((_, keys)) = self.compiling.take() else { return };
        for key in keys {
            // Changed again meanwhile: the next compile has it.
            let again = self.changed.contains(&key);
            self.shared.change(&key, |state| {
                if !again && state.phase == Phase::Compiling {
                    state.phase = Phase::Idle;
                }
                if let Err(why) = &done {
                    state.problem = Some(format!("no snapshot could be made with it: {why}"));
                }
            });
        }
    }

    fn wake(&self) -> Instant {
        let now = Instant::now();
        let has_room = self.looks.len() < AT_ONCE;
        let due = self.subs.iter().filter(|sub| has_room && !sub.busy).map(|sub| sub.next);
        let gathered = self.changed_at.map(|at| at + GATHER).filter(|_| self.compiling.is_none());
        due.chain(gathered).min().unwrap_or(now + LONG).max(now)
    }
}

/// What came of the compile; waits forever where there is none.
async fn end_of(compiling: &mut Option<Compiling>) -> Result<(), String> {
    match compiling {
        Some((task, _)) => task.await.unwrap_or_else(|error| Err(error.to_string())),
        None => std::future::pending().await,
    }
}

async fn look(
    tools: &Tools,
    list: &ListConfig,
    stamp: Option<Stamp>,
    all: Arc<[ListConfig]>,
) -> Result<(Looked, Option<Stamp>), LookError> {
    match &list.source.place {
        Place::Url(url) => Ok((look::url(tools, list, url, all).await?, None)),
        Place::File(path) => {
            let path = path.clone();
            let looked = tokio::task::spawn_blocking(move || look::file(&path, stamp)).await?;
            let (looked, stamp) = looked.map_err(LookError::File)?;
            Ok((looked, Some(stamp)))
        }
        Place::Transfer(wanted) => Ok((look::transfer(tools, list, wanted, all).await?, None)),
    }
}

fn interval(list: &ListConfig, timing: Timing) -> Duration {
    timing.hour * list.every_h
}

/// The wait after a failure: doubled each time, never longer than the list's interval, and no shorter than the
/// server asks for.
fn backoff(error: &LookError, sub: &Sub, timing: Timing) -> Duration {
    let doubled = timing.retry.saturating_mul(1 << sub.failures.saturating_sub(1).min(16));
    let wait = jittered(doubled.min(timing.most_retry).min(interval(&sub.list, timing)));
    let asked = match error {
        LookError::Fetch(error) => error.retry_after_s().map(Duration::from_secs).unwrap_or_default(),
        _ => Duration::ZERO,
    };
    wait.max(asked.min(MOST_RETRY_AFTER))
}

/// Give or take a tenth, so that not all of the world asks at once.
fn jittered(wait: Duration) -> Duration {
    let [byte] = secret::random::<1>();
    wait.mul_f64(0.9 + 0.2 * f64::from(byte) / 255.0)
}

/// From now: by the clock that sleeps, and by the one that people read.
fn after(wait: Duration) -> (Instant, u64) {
    (Instant::now() + wait, now_ms() + wait.as_millis() as u64)
}
