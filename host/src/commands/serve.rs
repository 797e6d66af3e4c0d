//! `dnsvet serve`: the resolver and its control plane, until SIGTERM.
//!
//! ```text
//! configuration ─► control plane, API ─► plugin compiled ─► workers ─► snapshots there ─► doors open
//! SIGHUP: lists and policy again         SIGTERM: doors close, questions end, events go out, API closes
//! ```

use std::io::IsTerminal as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dnsvet_core::host::Counter;
use dnsvet_core::schema::PluginConfig;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::out;
use crate::api::{Api, ControlSocket};
use crate::callout::{ClusterError, Clusters};
use crate::commands::check;
use crate::config::{Config, ConfigError, Flags};
use crate::control::{Control, ControlError, rpz};
use crate::folder;
use crate::guest::GuestSettings;
use crate::listener::{Access, BindError};
use crate::metrics::{ResolverMetrics, plugin_metrics};
use crate::tls::{TlsError, server_config};
use crate::upstream::Upstreams;
use crate::upstream::system::{RESOLV_CONF, UpstreamsError, choose};
use crate::upstream::zone::{Zone, ZoneError};
use crate::wasm::{Limits, LoadError, MetricValue, Runtime, SharedState};
use crate::worker::{Worker, WorkerError, WorkerSettings, open_doors};
use crate::xfr;

/// Doors open after this even if a worker's plugin has no snapshot yet; its failure mode decides then.
const SNAPSHOT_WAIT: Duration = Duration::from_secs(10);
/// Answer cache of the whole process, bytes; workers share it out evenly.
const CACHE_BYTES: usize = 128 << 20;
/// The control plane's cluster in the plugin's configuration.
const CONTROL: &str = "control";
/// The scorer's cluster in the plugin's configuration.
const SCORER: &str = "scorer";
/// In place of upstreams: every name answers with an address from the documentation ranges.
const DEMO: &str = "demo";
/// The plugin's file beside the binary.
const PLUGIN_FILE: &str = "dnsvet.wasm";

/// Run the resolver and its control plane.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet serve
  dnsvet serve --config /etc/dnsvet.toml
  dnsvet serve --upstreams 192.0.2.53 --listen-dns 0.0.0.0:53
  dnsvet serve --roles resolver --control http://127.0.0.1:8080 --token-file plugin.token")]
pub struct Args {
    #[command(flatten)]
    config: Flags,
    /// What this process does.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Role::Resolver, Role::Control])]
    roles: Vec<Role>,
    /// Base URL of the control plane, if it is another process.
    #[arg(long, value_name = "URL", env = "DNSVET_CONTROL")]
    control: Option<String>,
    /// File with the token for that control plane [default: plugin.token in the data folder].
    #[arg(long, value_name = "FILE", env = "DNSVET_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// For demonstrations without a network: answer from this small zone file, and every other name with
    /// an address from the documentation ranges. Nothing is asked of upstreams.
    #[arg(long, value_name = "FILE")]
    demo_zone: Option<PathBuf>,
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Answers DNS questions.
    Resolver,
    /// Compiles snapshots, stores events, serves API and dashboard.
    Control,
}

/// Why the server does not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The control plane.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The control socket.
    #[error("can't open the control socket: {0}")]
    Socket(std::io::Error),
    /// The upstreams.
    #[error(transparent)]
    Upstreams(#[from] UpstreamsError),
    /// The demonstration's zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
    /// The URL of the scorer or the control plane.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A door.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The plugin is no plugin that we can run.
    #[error("{path}: {source}", path = path.display())]
    Plugin {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: LoadError,
    },
    /// A file can't be read, or a folder not made.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is no plugin where it is looked for; carries the places.
    #[error("no plugin found ({0}); build it with `cargo xtask build` or name it with --plugin")]
    NoPlugin(String),
    /// The door without vetting is open to the network.
    #[error("listen.forward: {0} is not a loopback address; this door forwards without vetting")]
    ForwardNotLoopback(SocketAddr),
    /// A resolver needs a control plane.
    #[error("the role resolver needs a control plane: add the role control, or --control URL")]
    NoControl,
    /// A control plane needs an address.
    #[error("the role control needs listen.api")]
    NoApi,
    /// The system.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT.
pub fn run(args: Args) -> Result<ExitCode, ServeError> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DNSVET_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Another subscriber is there only in tests.
    let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
    let config = args.config.load()?;
    if let Some(forward) = config.listen.forward.filter(|address| !address.ip().to_canonical().is_loopback())
    {
        return Err(ServeError::ForwardNotLoopback(forward));
    }
    folder::make(&config.data_dir)
        .map_err(|source| ServeError::File { path: config.data_dir.clone(), source })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(args, config));
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(args: Args, running: Config) -> Result<ExitCode, ServeError> {
    let mut told_to_end = pin!(told_to_end()?);
    let mut hangup = signal(SignalKind::hangup())?;
    let (ending, ended) = watch::channel(false);
    // Starting may take long, if a list lies on a disk that does not answer.
    let started = tokio::select! {
        started = start(&args, &running, ended) => started?,
        () = &mut told_to_end => return Ok(ExitCode::SUCCESS),
    };
    let (control, mut api, resolver) = started;
    let code = loop {
        tokio::select! {
            () = &mut told_to_end => break ExitCode::SUCCESS,
            _ = hangup.recv() => tokio::select! {
                () = reload(control.as_ref().map(|(control, _)| control)) => {}
                () = &mut told_to_end => break ExitCode::SUCCESS,
            },
            why = end_of(api.as_mut()) => {
                // Filters without a control plane get no decisions and no lists: better to be started again.
                tracing::error!(why, "the API ended; so does this process");
                api = None;
                break ExitCode::FAILURE;
            }
        }
    };
    tracing::info!("draining");
    if let Some(resolver) = resolver {
        tokio::task::spawn_blocking(move || resolver.drain()).await.map_err(std::io::Error::other)??;
    }
    let _ = ending.send(true);
    if let Some(api) = api {
        let _ = tokio::time::timeout(Duration::from_secs(3), api).await;
    }
    Ok(code)
}

/// Waits for SIGTERM or SIGINT.
fn told_to_end() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Starts what the roles ask for.
async fn start(args: &Args, running: &Config, ended: watch::Receiver<bool>) -> Result<Started, ServeError> {
    let (control, api) = match args.roles.contains(&Role::Control) {
        true => start_control(args, running, ended).await.map(|(control, api)| (Some(control), Some(api)))?,
        false => (None, None),
    };
    let resolver = if args.roles.contains(&Role::Resolver) {
        let starting = Starting::new(args, running, control.as_ref())?;
        Some(tokio::task::spawn_blocking(move || starting.start()).await.map_err(std::io::Error::other)??)
    } else {
        None
    };
    Ok((control, api, resolver))
}

/// Why the API ended; waits forever where none runs.
async fn end_of(api: Option<&mut JoinHandle<()>>) -> String {
    match api {
        Some(api) => api.await.map_or_else(|error| error.to_string(), |()| "it was not told to".to_owned()),
        None => std::future::pending().await,
    }
}

/// The upstreams; `None` in demonstrations, which ask nobody.
fn servers(args: &Args, config: &Config) -> Result<Option<Vec<SocketAddr>>, UpstreamsError> {
    if args.demo_zone.is_some() || config.upstreams == [DEMO] {
        return Ok(None);
    }
    let doors: Vec<SocketAddr> = config.listen.dns.into_iter().collect();
    choose(&config.upstreams, Path::new(RESOLV_CONF), &doors).map(Some)
}

/// The control plane, and where its API is reached.
type RunningControl = (Arc<Control>, SocketAddr);

/// What runs: the control plane, its API, the resolver.
type Started = (Option<RunningControl>, Option<JoinHandle<()>>, Option<Resolver>);

async fn start_control(
    args: &Args,
    config: &Config,
    ended: watch::Receiver<bool>,
) -> Result<(RunningControl, JoinHandle<()>), ServeError> {
    let address = config.listen.api.ok_or(ServeError::NoApi)?;
    let bind_error = |source| BindError { address, kind: "api", source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(bind_error)?;
    let address = listener.local_addr().map_err(bind_error)?;
    // Bound before anything in the folder is touched: it may be another dnsvet's.
    let socket = ControlSocket::bind(&config.data_dir).map_err(ServeError::Socket)?;
    let (starting, flags) = (config.clone(), args.config.clone());
    let start = move || Control::start(&starting, Box::new(move || flags.load()));
    let control = tokio::task::spawn_blocking(start).await;
    let control = control.map_err(std::io::Error::other)??;
    out::announce(format_args!("api      http://{address}/"));
    if let Some(password) = control.first_password()? {
        out::announce(format_args!("login    admin {password}   (shown this once)"));
    }
    if let (Some(address), Some(zone)) = (config.rpz.listen, control.rpz()) {
        let (_, rules) = rpz::configured(&config.rpz).map_err(ControlError::from)?;
        let server = xfr::Server::bind(&[address], rules)?;
        for address in server.addresses() {
            out::announce(format_args!("rpz      {address}  {}", config.rpz.zone));
        }
        tokio::spawn(server.run(zone.clone(), ended.clone()));
    }
    tokio::spawn(Arc::clone(&control).watch_clients(ended.clone()));
    let resolver = servers(args, config)?.and_then(|servers| servers.first().copied());
    let checker = check::live(Arc::clone(&control), &config.scorer, resolver);
    let api = Api::new(Arc::clone(&control), Some(checker), ended);
    Ok(((control, address), tokio::spawn(api.serve(listener, socket))))
}

/// As `POST /api/v1/reload` does; it goes on as before if that fails.
async fn reload(control: Option<&Arc<Control>>) {
    let Some(control) = control.map(Arc::clone) else {
        tracing::info!("nothing to reload: lists and policy come from the control plane");
        return;
    };
    match tokio::task::spawn_blocking(move || control.reload()).await {
        Ok(Ok(published)) => tracing::info!(serial = published.serial, id = published.id, "reloaded"),
        Ok(Err(error @ ControlError::Config(_))) => tracing::error!(%error, "reload refused"),
        Ok(Err(error)) => tracing::error!(%error, "reload failed"),
        Err(error) => tracing::error!(%error, "reload failed"),
    }
}

/// Everything that the resolver needs, checked and not yet started.
struct Starting {
    config: Config,
    settings: WorkerSettings,
    control: Option<Arc<Control>>,
    plugin: PathBuf,
}

impl Starting {
    fn new(args: &Args, config: &Config, control: Option<&RunningControl>) -> Result<Self, ServeError> {
        let mut clusters = Clusters::default();
        let token = match control {
            Some((control, address)) => {
                clusters.add(CONTROL, &format!("http://{}", reachable(*address)))?;
                control.plugin_token().to_owned()
            }
            None => {
                clusters.add(CONTROL, args.control.as_deref().ok_or(ServeError::NoControl)?)?;
                let path = args.token_file.clone().unwrap_or_else(|| config.data_dir.join("plugin.token"));
                read_token(&path).map_err(|source| ServeError::File { path, source })?
            }
        };
        if !config.scorer.is_empty() {
            clusters.add(SCORER, &config.scorer)?;
        }
        let snapshot_keys = snapshot_keys(&config.data_dir);
        if snapshot_keys.is_empty() {
            let folder = config.data_dir.display();
            tracing::warn!(%folder, "no snapshot.pub: snapshots are taken whoever signed them; copy it from the control plane's data folder");
        }
        let plugin_config = PluginConfig {
            node: node_name(),
            door: "doh".into(),
            control_cluster: CONTROL.into(),
            token,
            scorer_cluster: if config.scorer.is_empty() { String::new() } else { SCORER.into() },
            snapshot_keys,
            failure_mode: config.failure_mode,
            ..PluginConfig::default()
        };
        let plugin = find_plugin(&config.plugin)?;
        let wasm =
            std::fs::read(&plugin).map_err(|source| ServeError::File { path: plugin.clone(), source })?;
        let limits = Limits::for_workers(worker_count(config));
        let runtime = Runtime::load(&wasm, Some(&config.data_dir.join("compiled")), limits)
            .map_err(|source| ServeError::Plugin { path: plugin.clone(), source })?;
        let upstreams = match (servers(args, config)?, &args.demo_zone) {
            (Some(servers), _) => {
                tracing::info!(?servers, "upstreams");
                Upstreams::Servers(servers)
            }
            (None, Some(path)) => Upstreams::Demo(Arc::new(Zone::load(path)?)),
            (None, None) => Upstreams::Demo(Arc::default()),
        };
        let tls = match config.listen.doh {
            Some(address) => {
                let client_ca = Some(config.client_ca.as_path()).filter(|path| !path.as_os_str().is_empty());
                Some(server_config(&config.data_dir, address.ip(), client_ca)?)
            }
            None => None,
        };
        let settings = WorkerSettings {
            access: Access::new(&config.allow_from),
            upstreams,
            cache_bytes: CACHE_BYTES / worker_count(config),
            failure_mode: config.failure_mode,
            guest: GuestSettings {
                runtime,
                config: serde_json::to_vec(&plugin_config).map_err(std::io::Error::other)?,
                shared: SharedState::new(clusters.names()),
            },
            clusters,
            tls,
            one_policy: config.one_policy(),
        };
        Ok(Self { config: config.clone(), settings, control: control.map(|(c, _)| Arc::clone(c)), plugin })
    }

    fn start(self) -> Result<Resolver, ServeError> {
        let count = worker_count(&self.config);
        let metrics: Vec<_> = (0..count).map(|_| Arc::default()).collect();
        let shared = Arc::clone(&self.settings.guest.shared);
        if let Some(control) = &self.control {
            let (resolver, shared) = (ResolverMetrics::new(metrics.clone()), Arc::clone(&shared));
            control.add_metrics(Box::new(move |text| {
                resolver.render(text);
                plugin_metrics(&shared, text);
            }));
        }
        let sha256 = self.settings.guest.runtime.sha256().to_owned();
        let mut workers = Vec::with_capacity(count);
        for (index, metrics) in metrics.iter().enumerate() {
            workers.push(Worker::start(index, self.settings.clone(), Arc::clone(metrics))?);
        }
        let resolver = Resolver { workers };
        if !wait_for_snapshots(&shared, count as u64) {
            let wait_s = SNAPSHOT_WAIT.as_secs();
            tracing::warn!(wait_s, "no snapshot yet; the failure mode decides until there is one");
        }
        out::announce(format_args!("plugin   {sha256}  {}", self.plugin.display()));
        let (doors, addresses) = open_doors(&self.config, count)?;
        for (worker, doors) in resolver.workers.iter().zip(doors) {
            worker.open(doors);
        }
        for (name, address) in addresses {
            out::announce(format_args!("{name:<8} {address}"));
        }
        Ok(resolver)
    }
}

/// The running workers.
struct Resolver {
    workers: Vec<Worker>,
}

impl Resolver {
    /// Ends them: no more questions, those under way answered, events sent.
    fn drain(self) -> Result<(), ServeError> {
        self.workers.iter().for_each(Worker::drain);
        for worker in self.workers {
            worker.join()?;
        }
        Ok(())
    }
}

/// Waits until each worker's plugin has taken a snapshot.
fn wait_for_snapshots(shared: &SharedState, workers: u64) -> bool {
    let deadline = Instant::now() + SNAPSHOT_WAIT;
    while Instant::now() < deadline {
        let loaded = shared.metrics().into_iter().find(|(name, _)| name == Counter::SnapshotsLoaded.name());
        if matches!(loaded, Some((_, MetricValue::Counter(loaded))) if loaded >= workers) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

fn worker_count(config: &Config) -> usize {
    match config.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        count => count,
    }
}

/// An address to reach a listener at: one on every address is reached over loopback.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The configured plugin; else the one beside the binary, or where `cargo xtask build` puts it.
pub(super) fn find_plugin(configured: &Path) -> Result<PathBuf, ServeError> {
    if !configured.as_os_str().is_empty() {
        return Ok(configured.to_owned());
    }
    let binary = std::env::current_exe()?;
    plugin_beside(binary.parent().unwrap_or(Path::new(".")))
}

pub(super) fn plugin_beside(folder: &Path) -> Result<PathBuf, ServeError> {
    let places = [folder.join(PLUGIN_FILE), folder.join("../plugin").join(PLUGIN_FILE)];
    places.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
        let looked = places.each_ref().map(|path| path.display().to_string()).join(", ");
        ServeError::NoPlugin(looked)
    })
}

/// The control plane's public key, where it shares our data folder.
fn snapshot_keys(data_dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(data_dir.join("snapshot.pub"));
    text.into_iter().map(|key| key.trim().to_owned()).collect()
}

fn read_token(path: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(path)?;
    match text.trim() {
        "" => Err(std::io::Error::other("it is empty; put the control plane's token in it")),
        token => Ok(token.to_owned()),
    }
}

/// What events call this process.
fn node_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "resolver".to_owned() } else { name.trim().to_owned() }
}
