//! Names unblocked for a while, and protection paused.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Vetter, Viewer};
use super::{Api, Problem};
use crate::control::ControlError;
use crate::store::control::Identity;

/// `POST /api/v1/unblocks`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnblockRequest {
    name: String,
    #[serde(default)]
    group: String,
    /// Seconds; 0 ends it.
    for_s: u64,
}

/// `POST /api/v1/pauses`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    #[serde(default)]
    group: String,
    /// Seconds; 0 ends it.
    for_s: u64,
}

/// What is unblocked and paused now.
pub async fn list(State(api): State<Api>, Viewer(identity): Viewer) -> Result<Json<Value>, Problem> {
    let reliefs = api.control.reliefs(identity.tenant)?;
    let (pauses, unblocks): (Vec<_>, Vec<_>) = reliefs.into_iter().partition(|relief| relief.name.is_empty());
    Ok(Json(json!({"unblocks": unblocks, "pauses": pauses})))
}

/// Unblocks a name; answers once the snapshot with it is served.
pub async fn unblock(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    asked: Result<Json<UnblockRequest>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    unblock_as(&api, identity, asked).await
}

/// Pauses protection; answers once the snapshot with it is served.
pub async fn pause(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    asked: Result<Json<PauseRequest>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    pause_as(&api, identity, asked).await
}

/// The same for whoever was let in.
pub async fn unblock_as(
    api: &Api,
    who: Identity,
    asked: Result<Json<UnblockRequest>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(asked) = asked.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    relieve(api, who, Some(asked.name), asked.group, asked.for_s).await
}

/// The same for whoever was let in.
pub async fn pause_as(
    api: &Api,
    who: Identity,
    asked: Result<Json<PauseRequest>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(asked) = asked.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    relieve(api, who, None, asked.group, asked.for_s).await
}

async fn relieve(
    api: &Api,
    who: Identity,
    name: Option<String>,
    group: String,
    for_s: u64,
) -> Result<Json<Value>, Problem> {
    let (control, started) = (api.control.clone(), Instant::now());
    let work = move || {
        let relieved = control.relieve(&who, name.as_deref(), &group, Duration::from_secs(for_s))?;
        let took = started.elapsed();
        let mandatory = if for_s > 0 { control.mandatory(&relieved.relief.name) } else { BTreeSet::new() };
        Ok::<_, ControlError>((mandatory, took, relieved))
    };
    let relieved = tokio::task::spawn_blocking(work).await;
    let (mandatory, took, relieved) = relieved.map_err(|_| crate::store::StoreError::Closed)??;
    let relief = &relieved.relief;
    Ok(Json(json!({
        "name": relief.name,
        "group": relief.group,
        "until_ms": relief.until_ms,
        "author": relief.author,
        "serial": relieved.serial,
        "snapshot": relieved.snapshot,
        "mandatory": mandatory,
        "took_ms": took.as_millis() as u64,
    })))
}
