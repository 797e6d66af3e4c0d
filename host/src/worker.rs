//! Workers: threads that share nothing but the addresses they listen on.
//!
//! ```text
//!            ┌ worker 1: runtime, VM, cache, UDP + TCP + DoH + further sockets
//! kernel ────┤ worker 2: the same
//! REUSEPORT  └ …
//! ```
//!
//! The surprise: a worker starts its VM first and gets its sockets later, when all VMs have a snapshot.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dnsvet_core::policy::FailureMode;
use rustls::ServerConfig;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

use crate::callout::{Caller, Clusters};
use crate::config::Config;
use crate::guest::{Guest, GuestSettings};
use crate::listener::{self, Access, BindError, doh};
use crate::metrics::WorkerMetrics;
use crate::pipeline::{Door, Pipeline, Vetting};
use crate::upstream::{Forwarder, Upstreams};
use crate::wasm::VmError;

/// How long a draining worker waits for questions under way.
const DRAIN: Duration = Duration::from_secs(5);

/// Why a worker does not start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The system gives no thread, or no event loop.
    #[error("can't start a worker: {0}")]
    System(#[from] std::io::Error),
    /// The plugin does not start.
    #[error("the plugin does not start: {0}")]
    Plugin(#[from] VmError),
    /// The thread ended before it said anything.
    #[error("a worker ended while it started; its message is above")]
    Ended,
}

/// What every worker gets a copy of.
#[derive(Clone)]
pub struct WorkerSettings {
    /// Who may ask.
    pub access: Access,
    /// Where questions go on to.
    pub upstreams: Upstreams,
    /// Answer cache of one worker, bytes.
    pub cache_bytes: usize,
    /// What happens where the plugin fails.
    pub failure_mode: FailureMode,
    /// The plugin.
    pub guest: GuestSettings,
    /// Where the plugin's callouts go.
    pub clusters: Clusters,
    /// The certificate of the DoH door.
    pub tls: Option<Arc<ServerConfig>>,
    /// All clients get the same answers.
    pub one_policy: bool,
}

/// One worker's sockets.
#[derive(Default)]
pub struct Doors {
    /// DNS over UDP.
    pub udp: Option<UdpSocket>,
    /// DNS over TCP.
    pub tcp: Option<TcpListener>,
    /// DNS over HTTPS.
    pub doh: Option<TcpListener>,
    /// Forwarding door.
    pub forward: Option<TcpListener>,
    /// The old middleware's protocol.
    pub mlbridge: Option<TcpListener>,
}

/// A door that is open: its name and address.
pub type OpenDoor = (&'static str, SocketAddr);

/// Opens every worker's sockets, and tells where each door is: its name and address.
pub fn open_doors(config: &Config, workers: usize) -> Result<(Vec<Doors>, Vec<OpenDoor>), BindError> {
    let listen = &config.listen;
    let mut doors: Vec<Doors> = (0..workers).map(|_| Doors::default()).collect();
    let mut open = Vec::new();
    if let Some(address) = listen.dns {
        let sockets = listener::bind_udp(address, workers)?;
        let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(address);
        open.push(("udp", address));
        doors.iter_mut().zip(sockets).for_each(|(door, socket)| door.udp = Some(socket));
        // The same port as UDP, also where the system picked it.
        let sockets = listener::bind_tcp(address, workers)?;
        open.push(("tcp", address));
        doors.iter_mut().zip(sockets).for_each(|(door, socket)| door.tcp = Some(socket));
    }
    type Place = fn(&mut Doors) -> &mut Option<TcpListener>;
    let mut http = |address: Option<SocketAddr>, name, place: Place| -> Result<(), BindError> {
        let Some(address) = address else { return Ok(()) };
        let sockets = listener::bind_tcp(address, workers)?;
        open.push((name, sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(address)));
        doors.iter_mut().zip(sockets).for_each(|(door, socket)| *place(door) = Some(socket));
        Ok(())
    };
    http(listen.doh, "doh", |doors| &mut doors.doh)?;
    http(listen.forward, "forward", |doors| &mut doors.forward)?;
    http(config.compat.mlbridge_listen, "mlbridge", |doors| &mut doors.mlbridge)?;
    Ok((doors, open))
}

/// A running worker.
pub struct Worker {
    doors: mpsc::UnboundedSender<Doors>,
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts a worker and waits until its plugin runs. It has no doors yet.
    pub fn start(
        index: usize,
        settings: WorkerSettings,
        metrics: Arc<WorkerMetrics>,
    ) -> Result<Self, WorkerError> {
        let (doors, incoming) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let (started, starts) = oneshot::channel();
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = started.send(Err(WorkerError::System(error)));
                    return;
                }
            };
            LocalSet::new().block_on(&runtime, run(settings, metrics, incoming, stopped, started));
        })?;
        starts.blocking_recv().map_err(|_| WorkerError::Ended)??;
        Ok(Self { doors, stop, thread })
    }

    /// Gives the worker its sockets; it serves from now on.
    pub fn open(&self, doors: Doors) {
        // A worker that has ended says so when it is joined.
        let _ = self.doors.send(doors);
    }

    /// Asks the worker to take no more questions and to end what is under way.
    pub fn drain(&self) {
        let _ = self.stop.send(true);
    }

    /// Waits until it has ended; after [`Worker::drain`].
    ///
    /// # Errors
    /// The worker panicked.
    pub fn join(self) -> Result<(), WorkerError> {
        self.thread.join().map_err(|_| WorkerError::Ended)
    }
}

async fn run(
    settings: WorkerSettings,
    metrics: Arc<WorkerMetrics>,
    mut incoming: mpsc::UnboundedReceiver<Doors>,
    mut stop: watch::Receiver<bool>,
    started: oneshot::Sender<Result<(), WorkerError>>,
) {
    let caller = Caller::new(settings.clusters);
    let guest = match Guest::start(settings.guest, caller, Arc::clone(&metrics)) {
        Ok(guest) => guest,
        Err(error) => {
            let _ = started.send(Err(error.into()));
            return;
        }
    };
    tokio::task::spawn_local(Rc::clone(&guest).run());
    let forwarder = Forwarder::new(settings.upstreams, settings.cache_bytes, Arc::clone(&metrics));
    let forwarder = Rc::new(forwarder);
    let vetting = Vetting::new(Rc::clone(&guest), settings.failure_mode);
    let pipeline =
        Rc::new(Pipeline::new(settings.access, Some(vetting), Rc::clone(&forwarder), Arc::clone(&metrics)));
    tokio::task::spawn_local(watch_size(forwarder, metrics));
    let _ = started.send(Ok(()));
    let acceptor = settings.tls.map(TlsAcceptor::from);
    loop {
        let doors = tokio::select! {
            doors = incoming.recv() => doors,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        // The handle is gone, and nobody can ask to stop any more.
        let Some(doors) = doors else { break };
        if let Err(error) = serve(doors, &pipeline, acceptor.clone(), settings.one_policy, &stop) {
            tracing::error!(%error, "a door can't be served");
        }
    }
    // Whoever serves a question holds the pipeline.
    let quiet = async {
        while Rc::strong_count(&pipeline) > 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(DRAIN, quiet).await;
    guest.flush().await;
}

fn serve(
    doors: Doors,
    pipeline: &Rc<Pipeline>,
    acceptor: Option<TlsAcceptor>,
    one_policy: bool,
    stop: &watch::Receiver<bool>,
) -> std::io::Result<()> {
    if let Some(socket) = doors.udp {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        tokio::task::spawn_local(listener::udp::serve(socket, Rc::clone(pipeline), stop.clone()));
    }
    if let Some(socket) = doors.tcp {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        tokio::task::spawn_local(listener::tcp::serve(socket, Rc::clone(pipeline), stop.clone()));
    }
    let http = [(doors.doh, Door::Doh, acceptor), (doors.forward, Door::Forward, None)];
    for (socket, door, tls) in http {
        let Some(socket) = socket else { continue };
        let socket = tokio::net::TcpListener::from_std(socket)?;
        let options = doh::Options { door, tls, one_policy };
        tokio::task::spawn_local(doh::serve(socket, Rc::clone(pipeline), options, stop.clone()));
    }
    if let Some(socket) = doors.mlbridge {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        tokio::task::spawn_local(listener::mlbridge::serve(socket, Rc::clone(pipeline), stop.clone()));
    }
    Ok(())
}

/// Puts the cache's size where `/metrics` finds it.
async fn watch_size(forwarder: Rc<Forwarder>, metrics: Arc<WorkerMetrics>) {
    loop {
        let (entries, bytes) = forwarder.cache_size();
        metrics.cache_entries.set(entries as u64);
        metrics.cache_bytes.set(bytes as u64);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}
