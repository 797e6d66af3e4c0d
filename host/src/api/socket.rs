//! The control socket `data_dir/control.sock`: the same machine, the same user, no password.

use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::{UnixListener, UnixSocket};

use super::{Api, Problem, lists, models, relief, vetting};
use crate::control::socket_path;
use crate::store::StoreError;
use crate::store::control::Identity;

/// Longer than any compile of lists.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 128;

/// The control socket, bound. While it is, no other dnsvet runs on its data folder.
#[derive(Debug)]
pub struct ControlSocket(UnixListener);

impl ControlSocket {
    /// Binds the socket of a data folder, for its owner alone. A socket that nobody answers on is replaced.
    ///
    /// # Errors
    /// If another dnsvet answers there, or the folder takes no socket.
    pub fn bind(data_dir: &Path) -> io::Result<Self> {
        let path = socket_path(data_dir);
        let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        if UnixStream::connect(&path).is_ok() {
            return Err(told(io::Error::other("another dnsvet runs on this data folder; end it first")));
        }
        let _ = std::fs::remove_file(&path);
        let socket = UnixSocket::new_stream()?;
        socket.bind(&path).map_err(told)?;
        // Until it listens nobody can connect, so nobody does before the mode is set.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(told)?;
        Ok(Self(socket.listen(BACKLOG).map_err(told)?))
    }

    /// Serves it, without an end.
    pub(super) async fn serve(self, api: Api) {
        let router = Router::new()
            .route("/vetting", post(vet))
            .route("/vetting/confirm", post(confirm))
            .route("/vetting/undo", post(undo))
            .route("/reload", post(reload))
            .route("/unblocks", post(unblock))
            .route("/pauses", post(pause))
            .route("/lists/status", post(lists::status))
            .route("/lists/update", post(lists::update_here))
            .route("/lists/accept", post(lists::accept_here))
            .route("/models", post(models::list_here))
            .route("/models/promote", post(models::promote_here))
            .route("/models/rollback", post(models::roll_back_here))
            .route("/models/challenge", post(models::challenge_here))
            .route("/models/rebase", post(models::rebase_here))
            .with_state(api);
        if let Err(error) = axum::serve(self.0, router).await {
            tracing::error!(%error, "the control socket ended; `dnsvet vet` and `lists` will not work");
        }
    }
}

async fn vet(
    State(api): State<Api>,
    decide: Result<Json<vetting::Decide>, JsonRejection>,
) -> Result<Response, Problem> {
    vetting::decide_as(&api, &Identity::local(), decide).await
}

async fn confirm(
    State(api): State<Api>,
    confirm: Result<Json<vetting::second::Confirm>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    vetting::second::confirm_as(&api, &Identity::local(), confirm).await
}

async fn undo(
    State(api): State<Api>,
    undo: Result<Json<vetting::second::Undo>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    vetting::second::undo_as(&api, &Identity::local(), undo).await
}

async fn unblock(
    State(api): State<Api>,
    asked: Result<Json<relief::UnblockRequest>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    relief::unblock_as(&api, Identity::local(), asked).await
}

async fn pause(
    State(api): State<Api>,
    asked: Result<Json<relief::PauseRequest>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    relief::pause_as(&api, Identity::local(), asked).await
}

async fn reload(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let control = api.control.clone();
    let published =
        tokio::task::spawn_blocking(move || control.reload()).await.map_err(|_| StoreError::Closed)??;
    Ok(Json(json!({"snapshot": published.id, "serial": published.serial})))
}

/// What the socket answered.
#[derive(Debug)]
pub struct SocketReply {
    /// HTTP status.
    pub status: u16,
    /// JSON.
    pub body: Value,
}

/// Asks the dnsvet that runs on a data folder.
///
/// # Errors
/// If nobody listens on the socket, or what comes back is no answer.
pub fn ask_socket(socket: &Path, path: &str, body: &Value) -> io::Result<SocketReply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let body = body.to_string();
    let length = body.len();
    // In one piece: a handler that looks at no body may have answered and closed before a second one is written.
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let bad = || io::Error::other("the socket's answer is no HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(bad)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(bad)?;
    let body = serde_json::from_str(body).map_err(|_| bad())?;
    Ok(SocketReply { status, body })
}
