//! Subscriptions: lists that are fetched, looked through, kept, and put in force, again and again.
//!
//! ```text
//! `lists` ─► worker thread: what is due? ─► look (fetch, judge) ─► data_dir/lists/ ─► compiler thread ─► snapshot
//!               ▲ update, accept (socket), reload      └─► kept back: a person accepts, or a better copy comes
//! ```
//!
//! [`Subscriptions`] is the handle; [`ListState`] says how a list stands. Its surprise: the compiler never waits
//! for the network. It reads the last good copies, and a list that was never fetched is empty until it is.

pub mod address;
pub mod error;
pub mod fetch;
pub mod guard;
pub mod look;
pub mod resolve;
pub mod shelf;
mod worker;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::mpsc;

use self::fetch::Fetcher;
use self::look::Tools;
use self::shelf::{Shelf, ShelfError, Slot};
use self::worker::{Order, Sub, Worker};
use crate::config::ListConfig;

/// How a list stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ListState {
    /// Where it is from; empty for one that comes with dnsvet.
    pub source: String,
    /// What happens to it just now.
    pub phase: Phase,
    /// When it was last found to be there, milliseconds since 1970.
    pub last_fetched_ms: Option<u64>,
    /// When it last changed.
    pub last_changed_ms: Option<u64>,
    /// When it is looked at next.
    pub next_fetch_ms: Option<u64>,
    /// Why the last look gave nothing.
    pub problem: Option<String>,
    /// The copy that is kept back.
    pub kept_back: Option<KeptBack>,
}

/// A copy that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptBack {
    /// What is strange about it.
    pub why: String,
    /// When it came, milliseconds since 1970.
    pub since_ms: u64,
    /// Rules in it.
    pub entries: u64,
}

/// What happens to a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing.
    #[default]
    Idle,
    /// It is to be looked at, and others are before it.
    Waiting,
    /// It is looked at.
    Fetching,
    /// It has changed, and the snapshot with it is not there yet.
    Compiling,
}

/// When lists are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// What `every_h` counts.
    pub hour: Duration,
    /// The first wait after a failure; doubled with each.
    pub retry: Duration,
    /// The longest wait after a failure.
    pub most_retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let (hour, retry) = (Duration::from_secs(3_600), Duration::from_secs(60));
        Self { hour, retry, most_retry: 6 * hour }
    }
}

/// Why a subscription did not do what a person asked.
#[derive(Debug, thiserror::Error)]
pub enum SubscriptionError {
    /// No such list; carries the names that there are.
    #[error("no list has the name `{0}`; there are: {1}")]
    Unknown(String, String),
    /// Nothing of it is kept back.
    #[error("nothing of the list `{0}` is kept back")]
    NothingHeld(String),
    /// The folder of copies.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// It is accepted, and no snapshot could be made.
    #[error("the list is accepted, and no snapshot could be made: {0}")]
    Compile(String),
    /// The worker has ended.
    #[error("the control plane is shutting down")]
    Closed,
}

/// Makes a snapshot of what the shelf and the files hold now; says why, if there is none.
pub type Compile = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The lists of a running control plane.
pub struct Subscriptions {
    orders: mpsc::UnboundedSender<Order>,
    shared: Arc<Shared>,
    shelf: Shelf,
    compile: Compile,
}

/// What the worker writes and others read.
#[derive(Default)]
struct Shared {
    lists: Mutex<Vec<Shown>>,
    outcomes: Outcomes,
}

/// A list by name and key, and how it stands.
#[derive(Clone)]
struct Shown {
    name: String,
    key: String,
    is_fetched: bool,
    state: ListState,
}

/// Looks by what came of them.
#[derive(Default)]
struct Outcomes {
    changed: AtomicU64,
    unchanged: AtomicU64,
    kept_back: AtomicU64,
    failed: AtomicU64,
}

impl Shared {
    fn lists(&self) -> MutexGuard<'_, Vec<Shown>> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how a list stands, if it is still there.
    fn change(&self, key: &str, change: impl FnOnce(&mut ListState)) {
        if let Some(shown) = self.lists().iter_mut().find(|shown| shown.key == key) {
            change(&mut shown.state);
        }
    }
}

impl Subscriptions {
    /// Starts the worker. What is due is fetched at once, and `compile` called when something changed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        lists: &[ListConfig],
        tools: Tools,
        timing: Timing,
        compile: Compile,
    ) -> std::io::Result<Self> {
        let (orders, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        let shelf = tools.shelf.clone();
        let subscriptions =
            Self { orders, shared: Arc::clone(&shared), shelf: shelf.clone(), compile: Arc::clone(&compile) };
        let subs = subscriptions.subs(lists, timing);
        let keys: Vec<String> = subs.iter().map(|sub| sub.key.clone()).collect();
        shelf.sweep(&keys);
        let worker = Worker::new(subs, tools, timing, shared, queue, compile);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("lists".into()).spawn(move || {
            runtime.block_on(worker.run());
            // A fetch under way is dropped; what it had is worth nothing.
            runtime.shutdown_background();
        })?;
        Ok(subscriptions)
    }

    /// Takes another configuration. What failed is tried again at once.
    pub fn configure(&self, lists: &[ListConfig], timing: Timing) {
        let subs = self.subs(lists, timing);
        // The worker has ended only if the whole process is about to.
        let _ = self.orders.send(Order::Configure(subs));
    }

    /// Looks at one list now, or at all; returns their names at once. [`Subscriptions::state`] tells how it goes.
    ///
    /// # Errors
    /// If there is no such list.
    pub fn update(&self, name: Option<&str>) -> Result<Vec<String>, SubscriptionError> {
        let mut keys = Vec::new();
        let mut names = Vec::new();
        let mut lists = self.shared.lists();
        let meant = |shown: &&mut Shown| name.is_none_or(|name| shown.name == name);
        for shown in lists.iter_mut().filter(meant) {
            if shown.state.phase == Phase::Idle {
                shown.state.phase = Phase::Waiting;
            }
            keys.push(shown.key.clone());
            names.push(shown.name.clone());
        }
        if let (Some(name), true) = (name, names.is_empty()) {
            return Err(unknown(name, &lists));
        }
        drop(lists);
        self.orders.send(Order::Update(keys)).map_err(|_| SubscriptionError::Closed)?;
        Ok(names)
    }

    /// Puts the copy of a list that is kept back in force; returns once the snapshot with it is served.
    ///
    /// # Errors
    /// If there is no such list, nothing of it is kept back, or no snapshot could be made.
    pub fn accept(&self, name: &str) -> Result<(), SubscriptionError> {
        let lists = self.shared.lists();
        let found = lists.iter().find(|shown| shown.name == name);
        let Some(key) = found.map(|shown| shown.key.clone()) else { return Err(unknown(name, &lists)) };
        drop(lists);
        if !self.shelf.accept(&key)? {
            return Err(SubscriptionError::NothingHeld(name.to_owned()));
        }
        let shelved = on_shelf(&self.shelf, &key);
        self.shared.change(&key, |state| {
            (state.last_fetched_ms, state.last_changed_ms) =
                (shelved.last_fetched_ms, shelved.last_changed_ms);
            state.kept_back = shelved.kept_back;
        });
        tracing::info!(list = name, "a copy that was kept back is accepted");
        (self.compile)().map_err(SubscriptionError::Compile)
    }

    /// How a list stands; `None` for one that comes with dnsvet.
    pub fn state(&self, name: &str) -> Option<ListState> {
        let lists = self.shared.lists();
        let shown = lists.iter().find(|shown| shown.name == name)?;
        let mut state = shown.state.clone();
        if shown.is_fetched && state.last_changed_ms.is_none() {
            let why = match (&state.problem, &state.kept_back) {
                (Some(problem), _) => problem.as_str(),
                (None, Some(_)) => "its first copy is kept back",
                (None, None) => "the first fetch is under way",
            };
            state.problem = Some(format!("not fetched yet: {why}"));
        }
        Some(state)
    }

    /// Appends numbers in Prometheus' text format.
    pub fn render(&self, out: &mut String) {
        let lists = self.shared.lists();
        let count = |is: fn(&Shown) -> bool| lists.iter().filter(|shown| is(shown)).count();
        let gauges = [
            ("subscriptions", "Lists that are looked at again and again.", lists.len()),
            ("problems", "Lists whose last look gave nothing.", count(|shown| shown.state.problem.is_some())),
            (
                "kept_back",
                "Lists with a copy that waits for a person.",
                count(|s| s.state.kept_back.is_some()),
            ),
            (
                "never_fetched",
                "Lists that were never fetched, and are empty.",
                count(|shown| shown.is_fetched && shown.state.last_changed_ms.is_none()),
            ),
        ];
        for (name, help, value) in gauges {
            // Writing to a String can't fail.
            let _ = writeln!(
                out,
                "# HELP dnsvet_list_{name} {help}\n# TYPE dnsvet_list_{name} gauge\ndnsvet_list_{name} {value}"
            );
        }
        const LOOKS: &str = "dnsvet_list_looks_total";
        let _ = writeln!(out, "# HELP {LOOKS} Looks at lists by what came of them.\n# TYPE {LOOKS} counter");
        let outcomes = &self.shared.outcomes;
        for (outcome, count) in [
            ("changed", &outcomes.changed),
            ("unchanged", &outcomes.unchanged),
            ("kept_back", &outcomes.kept_back),
            ("failed", &outcomes.failed),
        ] {
            let _ = writeln!(out, "{LOOKS}{{outcome=\"{outcome}\"}} {}", count.load(Relaxed));
        }
    }

    /// What is looked at, with what is known of it from earlier runs; shown from now on.
    fn subs(&self, lists: &[ListConfig], timing: Timing) -> Vec<Sub> {
        let subs: Vec<Sub> = lists.iter().map(|list| Sub::new(list, &self.shelf, timing)).collect();
        let mut shown = self.shared.lists();
        let before = std::mem::take(&mut *shown);
        *shown = subs
            .iter()
            .map(|sub| {
                let known = before.iter().find(|shown| shown.key == sub.key);
                known.cloned().unwrap_or_else(|| Shown {
                    name: sub.list.name.clone(),
                    key: sub.key.clone(),
                    is_fetched: sub.list.source.place.is_remote(),
                    state: sub.state(&self.shelf),
                })
            })
            .collect();
        subs
    }
}

fn unknown(name: &str, lists: &[Shown]) -> SubscriptionError {
    let names: Vec<&str> = lists.iter().map(|shown| shown.name.as_str()).collect();
    let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    SubscriptionError::Unknown(name.to_owned(), names)
}

/// What the shelf knows of a list.
fn on_shelf(shelf: &Shelf, key: &str) -> ListState {
    // One that can't be read is reported when the list is looked at.
    let good = shelf.peek(key, Slot::Good).ok().flatten();
    let held = shelf.peek(key, Slot::Held).ok().flatten();
    ListState {
        last_fetched_ms: good.as_ref().map(|(_, confirmed_ms)| *confirmed_ms),
        last_changed_ms: good.as_ref().map(|(head, _)| head.since_ms),
        kept_back: held.map(|(head, _)| KeptBack {
            why: head.why,
            since_ms: head.since_ms,
            entries: head.entries,
        }),
        ..ListState::default()
    }
}

/// The tools that a configuration means.
pub fn tools(config: &crate::config::Config) -> Tools {
    let fetcher = Fetcher::new(resolve::Resolver::of(config), fetch::Roots::System);
    Tools { fetcher, shelf: Shelf::of(&config.data_dir) }
}

#[cfg(test)]
pub(crate) mod tests;
