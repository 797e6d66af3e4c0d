//! Subscriptions over the control socket: how lists stand, look at them now, take what is kept back.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Problem};
use crate::store::StoreError;
use crate::store::control::Identity;

/// `POST /lists/update`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// One list; all, if it is left out.
    name: Option<String>,
}

/// `POST /lists/accept`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    name: String,
}

/// How each list stands.
pub async fn status(State(api): State<Api>) -> Json<Value> {
    Json(json!({"lists": api.control.status().lists}))
}

/// Has lists looked at; answers at once with their names.
pub async fn update(
    State(api): State<Api>,
    update: Result<Json<Update>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(update) = update.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    Ok(Json(json!({"lists": api.control.update_lists(update.name.as_deref())?})))
}

/// Puts what is kept back in force; answers once the snapshot with it is served.
pub async fn accept(
    State(api): State<Api>,
    accept: Result<Json<Accept>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Accept { name }) = accept.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let control = api.control.clone();
    let taken = tokio::task::spawn_blocking(move || {
        control.accept_list(&Identity::local(), &name)?;
        Ok::<_, crate::control::ControlError>((name, control.status()))
    });
    let (name, status) = taken.await.map_err(|_| StoreError::Closed)??;
    Ok(Json(json!({"name": name, "snapshot": status.id, "serial": status.serial})))
}
