//! `dnsvet-scorer serve`: listens, reloads on SIGHUP, drains on SIGTERM.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, oneshot};

use crate::backend::{BackendError, Device, Factory};
use crate::http::{App, router};
use crate::lane::Limits;
use crate::registry::{self, RegistryError};
use crate::service::{Service, ServiceError};

/// Options of `serve`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Address to listen on; port 0 takes a free one and prints it.
    #[arg(long, default_value = "127.0.0.1:8600", env = "DNSVET_SCORER_LISTEN")]
    pub listen: SocketAddr,
    /// Where to score.
    #[arg(long, value_enum, default_value = "auto", env = "DNSVET_SCORER_DEVICE")]
    pub device: Device,
    /// Model of requests that name none.
    #[arg(long, default_value = "large", env = "DNSVET_SCORER_MODEL")]
    pub model: String,
    /// Folder of models; the bundled ones without it.
    #[arg(long, env = "DNSVET_SCORER_REGISTRY")]
    pub registry: Option<PathBuf>,
    /// Worker threads for each model on the CPU, or to hash a stack's features for the GPU (2 to 8); 0: one a core.
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Names of a full batch.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub batch_names: u32,
    /// How long a batch waits for more names, microseconds.
    #[arg(long, default_value_t = 200)]
    pub batch_wait_us: u32,
    /// Names that may wait for each model; past it 429.
    #[arg(long, default_value_t = 262_144)]
    pub queue_names: u32,
    /// Requests in work at once; past it 429.
    #[arg(long, default_value_t = 1_024)]
    pub in_flight: u16,
    /// How long SIGTERM waits for requests in work, seconds.
    #[arg(long, default_value_t = 30)]
    pub drain_s: u16,
}

/// Why `serve` can't go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The device.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The models.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The models on the device.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The address.
    #[error("can't listen on {address}: {source}; give another --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Threads, signals, sockets.
    #[error("operating system: {0}")]
    System(#[from] std::io::Error),
}

/// Serves until SIGTERM or SIGINT.
pub fn run(args: &Args) -> Result<ExitCode, ServeError> {
    let factory = Factory::open(args.device)?;
    let entries = registry::open(args.registry.as_deref())?;
    let threads = match args.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let limits = Limits {
        batch_names: args.batch_names as usize,
        batch_wait: Duration::from_micros(u64::from(args.batch_wait_us)),
        queue_names: args.queue_names as usize,
    };
    let service = Service::start(&entries, &args.model, factory, threads, limits)?;
    let app = Arc::new(App {
        service,
        in_flight: Arc::new(Semaphore::new(usize::from(args.in_flight))),
        draining: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(args, Arc::clone(&app)))?;
    app.service.finish();
    // What still runs is a request that outlived the drain.
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: &Args, app: Arc<App>) -> Result<(), ServeError> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let listen = |source| ServeError::Listen { address: args.listen, source };
    let listener = TcpListener::bind(args.listen).await.map_err(listen)?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| {
        // Small replies: without it they wait for the peer's acknowledgement.
        let _ = stream.set_nodelay(true);
    });
    tracing::info!(%address, "listening");
    // For scripts, and for port 0. A closed stdout is no reason not to serve.
    let _ = writeln!(std::io::stdout(), "dnsvet-scorer listening on http://{address}");

    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router(Arc::clone(&app)));
    let mut server = tokio::spawn(
        server
            .with_graceful_shutdown(async {
                let _ = stopped.await;
            })
            .into_future(),
    );

    loop {
        tokio::select! {
            _ = hangup.recv() => reload(args.registry.clone(), Arc::clone(&app)).await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            ended = &mut server => {
                return ended.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(ServeError::from);
            }
        }
    }
    tracing::info!(wait_s = args.drain_s, "draining");
    app.draining.store(true, Ordering::Relaxed);
    let _ = stop.send(());
    let wait = Duration::from_secs(u64::from(args.drain_s));
    if tokio::time::timeout(wait, wait_or_signal(&mut server, &mut terminate)).await.is_err() {
        tracing::warn!("requests are still in work; closing them");
    }
    Ok(())
}

/// A second SIGTERM ends the drain at once.
async fn wait_or_signal<T>(server: &mut T, terminate: &mut Signal)
where
    T: Future + Unpin,
{
    tokio::select! {
        _ = server => {}
        _ = terminate.recv() => {}
    }
}

async fn reload(registry: Option<PathBuf>, app: Arc<App>) {
    let swapped = tokio::task::spawn_blocking(move || {
        let outcome = registry::open(registry.as_deref())
            .map_err(ServeError::from)
            .and_then(|entries| Ok(app.service.swap(&entries)?));
        match outcome {
            Ok(()) => {
                app.service.metrics().reloads.inc();
                tracing::info!("registry opened again");
            }
            Err(error) => {
                app.service.metrics().failed_reloads.inc();
                tracing::error!(%error, "registry refused; the models in force stay");
            }
        }
    });
    if swapped.await.is_err() {
        tracing::error!("reload panicked; the models in force stay");
    }
}
