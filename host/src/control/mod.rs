//! The control plane: lists, policy and people's decisions become snapshots; filters' events become history.
//!
//! ```text
//! lists ──┐      (subscriptions fetch those that are URLs)
//! policy ─┼─► compiler thread ─► snapshot, serial + 1 ─► data_dir/snapshot.dvs ─► GET /v1/snapshot
//! vetted ─┘      ▲ reload (SIGHUP, API), vet (API, socket), a list that has changed
//! ```
//!
//! [`Control`] is the whole of it; the API asks it. Its surprise: a decision is stored first and compiled
//! then, so one whose compile fails is still there for the next.

mod clients;
mod compile;
mod loaded;
mod metrics;
pub mod models;
mod own;
pub mod rdap;
mod relief;
pub mod rpz;
pub mod secret;
pub mod subscription;
pub mod vetting;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use dnsvet_core::lists::Effect;
use dnsvet_core::name::Name;
use dnsvet_core::policy::Mode;
use dnsvet_core::snapshot::{ListInfo, Role as ListRole, Snapshot};
use serde::Serialize;
use tokio::sync::watch;

use self::subscription::look::Tools;
use self::subscription::{ListState, SubscriptionError, Subscriptions, Timing};
use crate::background;
use crate::config::{Config, ConfigError};
use crate::folder;
use crate::store::control::{AuditRow, ControlStore, Identity, Role, SqliteControl};
use crate::store::{EventStore, StoreError, Tenant};
use crate::xfr::Publisher;

pub use crate::store::now_ms;

pub use compile::{CompileError, SNAPSHOT_FILE};
pub use metrics::MetricsSource;

/// Label of the built-in plugin's token.
const PLUGIN_TOKEN: &str = "built-in plugin";

/// Reads the configuration again.
pub type Loader = Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>;

/// Why the control plane did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No snapshot could be made; the last good one stays.
    #[error("{0}; the last good snapshot stays in force")]
    Compile(Arc<CompileError>),
    /// The configuration, read again, is bad.
    #[error("{0}; the running configuration stays")]
    Config(#[from] ConfigError),
    /// No snapshot could be made, and there is none of an earlier run.
    #[error("{0}; there is no snapshot of an earlier run to start with")]
    First(Arc<CompileError>),
    /// A name that can't be decided on.
    #[error("`{name}` can't be vetted: {why}")]
    Name {
        /// As given.
        name: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The model does not get into force; says why.
    #[error(transparent)]
    Promote(#[from] models::PromoteError),
    /// Vetting was asked for what can't be; says why.
    #[error(transparent)]
    Vetting(#[from] vetting::Refused),
    /// A list that is subscribed to.
    #[error(transparent)]
    Subscription(#[from] SubscriptionError),
    /// The policy zone.
    #[error(transparent)]
    Rpz(#[from] rpz::RpzError),
    /// A relief that can't be given; says why.
    #[error("{0}")]
    Relief(String),
    /// A file of the data folder can't be used.
    #[error("{}: {source}; check `data_dir` and who owns it", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The compiler thread has ended.
    #[error("the control plane is shutting down")]
    Closed,
}

impl ControlError {
    /// The same of a first start, where no good snapshot stays in force.
    fn first(self) -> Self {
        match self {
            Self::Compile(why) => Self::First(why),
            other => other,
        }
    }
}

/// A snapshot as it is served.
#[derive(Debug, Clone)]
pub struct Published {
    /// 16 hex digits.
    pub id: String,
    /// Greater than that of any snapshot before.
    pub serial: u64,
    /// The whole artifact.
    pub bytes: Bytes,
    /// The same, opened.
    pub opened: Snapshot,
    /// When it was made, milliseconds since 1970.
    pub built_ms: u64,
    /// The lists in it.
    pub lists: Vec<ListStatus>,
    /// Names of the groups in it, that for everybody included.
    pub groups: Vec<String>,
}

impl Published {
    /// Mandatory lists in force that hold a name for somebody, whatever people decide of it.
    pub fn mandatory(&self, name: &str) -> BTreeSet<String> {
        let Ok(name) = Name::parse(name) else { return BTreeSet::new() };
        let snapshot = &self.opened;
        let matches = snapshot.lookup(&name).into_iter().filter(|found| *found.effect != Effect::Allow);
        let lists = matches.filter_map(|found| snapshot.lists().get(usize::from(found.list)));
        let holds = |list: &&ListInfo| list.role == ListRole::Mandatory && list.mode == Mode::Enforce;
        lists.filter(holds).map(|list| list.name.clone()).collect()
    }
}

/// A list as the overview shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ListStatus {
    /// Its name.
    pub name: String,
    /// `block`, `allow`, `mandatory` or `popular`.
    pub role: String,
    /// Entries in force.
    pub entries: u64,
    /// Lines that were skipped.
    pub rejected: u64,
    /// The first of them: file, line and why.
    pub first_rejected: Option<String>,
    /// Why its text as it is now was not taken, and what was read last stays; its state's problem, if that has none.
    #[serde(skip)]
    pub not_taken: Option<String>,
    /// How its subscription stands.
    #[serde(flatten)]
    pub state: ListState,
}

/// What is in force.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Of the snapshot served; empty if none.
    pub id: String,
    /// Its serial; 0 if none.
    pub serial: u64,
    /// When it was made, milliseconds since 1970.
    pub built_ms: u64,
    /// Its lists.
    pub lists: Vec<ListStatus>,
    /// Why the last compile failed, if it did.
    pub problem: Option<String>,
}

/// What the compiler thread is asked.
enum Order {
    /// Decisions changed.
    Vetted,
    /// Read lists and policy again, under a new configuration if one is given.
    Reload(Option<Box<Config>>),
}

type Reply = Sender<Result<Arc<Published>, ControlError>>;

/// The control plane of one data folder.
pub struct Control {
    /// As it was at the start.
    running: Config,
    /// As it was read last.
    configured: Mutex<Arc<Config>>,
    load: Loader,
    store: Arc<dyn EventStore>,
    state: Arc<dyn ControlStore>,
    published: watch::Sender<Option<Arc<Published>>>,
    problem: Arc<Mutex<Option<String>>>,
    orders: Mutex<Sender<(Order, Reply)>>,
    token: String,
    metrics: metrics::Metrics,
    subscriptions: Arc<Subscriptions>,
    watcher: Arc<models::watch::Watcher>,
    timing: Timing,
    /// The policy zone, where it is served.
    rpz: Option<Publisher>,
    clients: Arc<clients::ClientNames>,
    rdap: rdap::Rdap,
}

impl Control {
    /// Opens the data folder and starts the compiler. The last good snapshot is served at once; the first
    /// compile runs in the background. `load` reads the configuration again, for [`Control::reload`].
    ///
    /// # Errors
    /// If the folder, a key in it, or a store can't be used.
    pub fn start(config: &Config, load: Loader) -> Result<Arc<Self>, ControlError> {
        Self::start_with(config, load, subscription::tools(config), Timing::default())
    }

    /// The same, with another way to fetch lists.
    ///
    /// # Errors
    /// As [`Control::start`].
    pub fn start_with(
        config: &Config,
        load: Loader,
        tools: Tools,
        timing: Timing,
    ) -> Result<Arc<Self>, ControlError> {
        let data_dir = &config.data_dir;
        let file_error = |path: &Path| {
            let path = path.to_owned();
            move |source| ControlError::File { path, source }
        };
        folder::make(data_dir).map_err(file_error(data_dir))?;
        let store = crate::store::open(config)?;
        let state: Arc<dyn ControlStore> = Arc::new(SqliteControl::open(&data_dir.join("control.db"))?);

        let token_file = data_dir.join("plugin.token");
        let token = secret::file(&token_file, || secret::fresh().0).map_err(file_error(&token_file))?;
        state.set_token(Tenant::DEFAULT, &secret::hash(&token), PLUGIN_TOKEN, Role::Filter, now_ms())?;

        let zone = match config.rpz.listen {
            Some(_) => Some(rpz::configured(&config.rpz)?.0),
            None => None,
        };
        let problem = Arc::new(Mutex::new(None));
        let clients = Arc::new(clients::ClientNames::of(config));
        let compiler = compile::Compiler::open(config.clone(), state.clone(), Arc::clone(&clients))?;
        let metrics = metrics::Metrics::new();
        let last_good = compiler.last_good();
        if let Some(last_good) = &last_good {
            // Filters refuse a lower serial, and `control.db` may be younger than the snapshot they have.
            state.raise_serial(last_good.serial)?;
        }
        let (published, _) = watch::channel(last_good);
        let (orders, queue) = channel();
        let compile = subscription_compile(orders.clone());
        let rdap = rdap::Rdap::new(&config.rdap, tools.fetcher.clone());
        let subscriptions = Subscriptions::start(&config.lists, tools, timing, compile);
        let subscriptions = Arc::new(subscriptions.map_err(file_error(Path::new("lists thread")))?);
        let shown = Arc::clone(&subscriptions);
        metrics.add(Box::new(move |text| shown.render(text)));
        let shown = Arc::clone(&store);
        metrics.add(Box::new(move |text| shown.render(text)));
        let watcher = models::watch::Watcher::start(config, state.clone(), published.subscribe());
        let watcher = Arc::new(watcher.map_err(file_error(Path::new("models thread")))?);
        let shown = Arc::clone(&watcher);
        metrics.add(Box::new(move |text| shown.render(text)));
        let control = Arc::new(Self {
            running: config.clone(),
            configured: Mutex::new(Arc::new(config.clone())),
            load,
            store,
            state,
            published: published.clone(),
            problem: problem.clone(),
            orders: Mutex::new(orders),
            token,
            metrics: metrics.clone(),
            subscriptions,
            watcher,
            timing,
            rpz: zone.clone(),
            clients,
            rdap,
        });
        let work = move || compiling(compiler, &queue, &published, &problem, &metrics, zone.as_ref());
        let spawned = std::thread::Builder::new().name("compiler".into()).spawn(work);
        spawned.map_err(file_error(Path::new("compiler thread")))?;
        let first = control.order(Order::Reload(None))?;
        if control.published().is_none() {
            // Nothing of an earlier run is served meanwhile, so that there is nothing to go on with.
            first.recv().map_err(|_| ControlError::Closed)?.map_err(ControlError::first)?;
        }
        Ok(control)
    }

    /// The event store.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// Users, tokens, decisions.
    pub fn state(&self) -> &dyn ControlStore {
        self.state.as_ref()
    }

    /// The built-in plugin's bearer token.
    pub fn plugin_token(&self) -> &str {
        &self.token
    }

    /// Makes the user `admin` where there is no user, and returns its password: to be shown at once, since it is kept
    /// nowhere.
    ///
    /// # Errors
    /// If the control store fails.
    pub fn first_password(&self) -> Result<Option<String>, ControlError> {
        first_user(self.state.as_ref())
    }

    /// The policy zone, where it is served.
    pub fn rpz(&self) -> Option<&Publisher> {
        self.rpz.as_ref()
    }

    /// Asks registries, when a person wants to know.
    pub fn rdap(&self) -> &rdap::Rdap {
        &self.rdap
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.running.data_dir
    }

    /// Where `dnsvet vet` finds the running control plane.
    pub fn socket_path(&self) -> PathBuf {
        socket_path(&self.running.data_dir)
    }

    /// The snapshot that is served, once there is one.
    pub fn published(&self) -> Option<Arc<Published>> {
        self.published.borrow().clone()
    }

    /// Mandatory lists that hold a name of the snapshot that is served.
    pub fn mandatory(&self, name: &str) -> BTreeSet<String> {
        self.published().map(|published| published.mandatory(name)).unwrap_or_default()
    }

    /// Tells when another snapshot is served.
    pub fn watch(&self) -> watch::Receiver<Option<Arc<Published>>> {
        self.published.subscribe()
    }

    /// What is in force, and what went wrong last.
    pub fn status(&self) -> Status {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(published) = self.published() else { return Status { problem, ..Status::default() } };
        Status {
            id: published.id.clone(),
            serial: published.serial,
            built_ms: published.built_ms,
            lists: published.lists.iter().map(|list| self.with_state(list)).collect(),
            problem,
        }
    }

    /// A list as it stands now.
    fn with_state(&self, list: &ListStatus) -> ListStatus {
        let mut state = self.subscriptions.state(&list.name).unwrap_or_default();
        state.problem = state.problem.or_else(|| list.not_taken.clone());
        ListStatus { state, ..list.clone() }
    }

    /// Looks at a list now, or at all; returns their names at once. [`Control::status`] tells how it goes.
    ///
    /// # Errors
    /// If there is no such list.
    pub fn update_lists(&self, name: Option<&str>) -> Result<Vec<String>, ControlError> {
        Ok(self.subscriptions.update(name)?)
    }

    /// Puts the copy of a list that is kept back in force, and waits for the snapshot with it.
    ///
    /// # Errors
    /// If there is no such list, nothing of it is kept back, or no snapshot could be made.
    pub fn accept_list(&self, who: &Identity, name: &str) -> Result<(), ControlError> {
        self.subscriptions.accept(name)?;
        self.audit(&who.name, "list accepted", name)
    }

    /// Reads the configuration, lists and policy again, and waits for the snapshot. Keys that this does not put
    /// in force are named in the log.
    ///
    /// # Errors
    /// If the configuration, a list or the policy is bad: the last good snapshot stays.
    pub fn reload(&self) -> Result<Arc<Published>, ControlError> {
        let fresh = (self.load)()?;
        let keys = self.running.needs_restart(&fresh).join(", ");
        if !keys.is_empty() {
            tracing::warn!(keys, "changed, and in effect from the next start");
        }
        self.subscriptions.configure(&fresh.lists, self.timing);
        self.clients.configure(&fresh);
        self.watcher.configure(&fresh);
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh.clone());
        self.order(Order::Reload(Some(Box::new(fresh))))?.recv().map_err(|_| ControlError::Closed)?
    }

    /// The configuration as it was read last.
    fn configured(&self) -> Arc<Config> {
        Arc::clone(&self.configured.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything that `/metrics` says.
    pub fn metrics(&self) -> String {
        self.metrics.text()
    }

    /// Adds what another part of the process counts to `/metrics`.
    pub fn add_metrics(&self, source: MetricsSource) {
        self.metrics.add(source);
    }

    /// Counts a stored batch.
    pub fn count_events(&self, stored: u64, known: u64) {
        self.metrics.events(stored, known);
    }

    /// Writes an audit line of the control plane itself.
    pub fn audit(&self, author: &str, what: &str, detail: &str) -> Result<(), ControlError> {
        let line =
            AuditRow { time_ms: now_ms(), author: author.into(), what: what.into(), detail: detail.into() };
        Ok(self.state.audit(Tenant::DEFAULT, &line)?)
    }

    fn order(&self, order: Order) -> Result<Receiver<Result<Arc<Published>, ControlError>>, ControlError> {
        let (reply, answer) = channel();
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.send((order, reply)).map_err(|_| ControlError::Closed)?;
        Ok(answer)
    }
}

/// What a list that has changed leads to: lists and policy are read again.
fn subscription_compile(orders: Sender<(Order, Reply)>) -> subscription::Compile {
    let orders = Mutex::new(orders);
    Arc::new(move || {
        let (reply, answer) = channel();
        let sent = orders.lock().unwrap_or_else(PoisonError::into_inner).send((Order::Reload(None), reply));
        let closed = || ControlError::Closed.to_string();
        sent.map_err(|_| closed())?;
        match answer.recv() {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(closed()),
        }
    })
}

/// Where the control plane of a data folder listens for its own machine.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// Makes the user `admin` where there is none, with a password that is returned.
fn first_user(state: &dyn ControlStore) -> Result<Option<String>, ControlError> {
    if state.user_count()? > 0 {
        return Ok(None);
    }
    let password = secret::password();
    let hash = secret::hash_password(&password)
        .map_err(|error| ControlError::Name { name: "admin".into(), why: error.to_string() })?;
    state.set_user(Tenant::DEFAULT, "admin", Role::Admin, &hash)?;
    Ok(Some(password))
}

/// Puts decisions and rules into the policy zone.
fn publish_zone(zone: &Publisher, compiler: &compile::Compiler) {
    match compiler.rpz_entries() {
        Ok(entries) => {
            let report = zone.update(entries);
            let skipped =
                report.skipped.too_long + report.skipped.not_expressible + report.skipped.conflicting;
            if skipped > 0 {
                let names = &report.skipped.names;
                tracing::warn!(skipped, ?names, "entries that the policy zone can't say are left out of it");
            }
        }
        Err(error) => tracing::error!(%error, "the policy zone stays as it was"),
    }
}

/// The compiler thread: takes all orders that wait as one.
fn compiling(
    mut compiler: compile::Compiler,
    queue: &Receiver<(Order, Reply)>,
    published: &watch::Sender<Option<Arc<Published>>>,
    problem: &Mutex<Option<String>>,
    metrics: &metrics::Metrics,
    zone: Option<&Publisher>,
) {
    while let Ok(first) = queue.recv() {
        background::step_back(background::COMPILER);
        let mut replies = Vec::new();
        let mut reload = false;
        for (order, reply) in std::iter::once(first).chain(queue.try_iter()) {
            if let Order::Reload(config) = order {
                reload = true;
                if let Some(config) = config {
                    compiler.configure(*config);
                }
            }
            replies.push(reply);
        }
        let started = std::time::Instant::now();
        let compiled = if reload { compiler.reload() } else { compiler.vetted_changed() };
        match compiled {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                let took_ms = started.elapsed().as_millis() as u64;
                tracing::info!(snapshot = %fresh.id, serial = fresh.serial, bytes = fresh.bytes.len(), took_ms, "snapshot served");
                metrics.compiled(fresh.serial, fresh.bytes.len() as u64, started.elapsed());
                published.send_replace(Some(fresh.clone()));
                *problem.lock().unwrap_or_else(PoisonError::into_inner) = None;
                replies.into_iter().for_each(|reply| drop(reply.send(Ok(fresh.clone()))));
                if let Some(zone) = zone {
                    publish_zone(zone, &compiler);
                }
                // Served first, kept then: the disk must not make a decision wait.
                if let Err(error) = compiler.keep(&fresh) {
                    tracing::warn!(%error, "the snapshot could not be kept; a restart will compile before it serves");
                }
            }
            Err(error) => {
                tracing::error!(%error, "no new snapshot; the last good one stays in force");
                metrics.compile_failed();
                *problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                let error = Arc::new(error);
                replies
                    .into_iter()
                    .for_each(|reply| drop(reply.send(Err(ControlError::Compile(error.clone())))));
            }
        }
    }
}
