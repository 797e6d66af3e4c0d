//! What a command asks the dnsvet that runs on a data folder, over its socket.

use serde_json::Value;

use super::out;
use crate::api::ask_socket;
use crate::config::{Config, ConfigError};
use crate::control::socket_path;

/// Why nothing came of a question.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The configuration is bad.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Nobody answers on the socket.
    #[error("{socket}: {source}; is `dnsvet serve` running on this data folder, as this user?")]
    Socket {
        /// Its path.
        socket: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The control plane refused.
    #[error("{0}")]
    Refused(String),
}

/// Asks, and returns what was answered.
pub fn ask(config: &Config, path: &str, body: &Value) -> Result<Value, SocketError> {
    let socket = socket_path(&config.data_dir);
    let failed = |source| SocketError::Socket { socket: socket.display().to_string(), source };
    let reply = ask_socket(&socket, path, body).map_err(failed)?;
    match reply.status {
        // 202: taken, and it waits for somebody.
        200 | 202 => Ok(reply.body),
        _ => Err(SocketError::Refused(text(&reply.body, "detail").to_owned())),
    }
}

/// A field of an answer.
pub fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or("?")
}

/// Says of an answer that freed a name which lists hold it nonetheless.
pub fn warn_of_mandatory(body: &Value) {
    let lists: Vec<&str> =
        body["mandatory"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !lists.is_empty() {
        let lists = lists.join(", ");
        out::tell(format_args!("dnsvet: it stays blocked for whom the mandatory list {lists} holds"));
    }
}
