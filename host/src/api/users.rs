//! Administration: tokens, the audit trail, reload.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Admin, Viewer};
use super::{Api, Problem};
use crate::control::{now_ms, secret};
use crate::store::StoreError;
use crate::store::control::{AuditRow, Role};

/// Audit lines on a page.
const AUDIT_LINES: usize = 200;

/// `POST /api/v1/tokens`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddToken {
    label: String,
    role: Role,
}

/// Makes a token; it is shown this once.
pub async fn add_token(
    State(api): State<Api>,
    Admin(identity): Admin,
    add: Result<Json<AddToken>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(add) = add.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    if add.label.is_empty() || add.label.len() > 64 || add.label.contains(char::is_control) {
        return Err(Problem::bad_request("label: 1 to 64 bytes without control characters"));
    }
    let (token, hash) = secret::fresh();
    let now = now_ms();
    api.control.state().set_token(identity.tenant, &hash, &add.label, add.role, now)?;
    let detail = format!("{} ({})", add.label, add.role.as_str());
    let line = AuditRow { time_ms: now, author: identity.name, what: "token".into(), detail };
    api.control.state().audit(identity.tenant, &line)?;
    Ok(Json(json!({"label": add.label, "role": add.role, "token": token})))
}

/// Who did what, newest first.
pub async fn audit(State(api): State<Api>, Viewer(identity): Viewer) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"items": api.control.state().audit_trail(identity.tenant, AUDIT_LINES)?})))
}

/// Reads configuration and lists again and compiles them, as SIGHUP does.
pub async fn reload(State(api): State<Api>, Admin(identity): Admin) -> Result<Json<Value>, Problem> {
    let line =
        AuditRow { time_ms: now_ms(), author: identity.name, what: "reload".into(), detail: String::new() };
    api.control.state().audit(identity.tenant, &line)?;
    let control = api.control.clone();
    let reloaded = tokio::task::spawn_blocking(move || control.reload()).await;
    let published = reloaded.map_err(|_| StoreError::Closed)??;
    Ok(Json(json!({"snapshot": published.id, "serial": published.serial})))
}
