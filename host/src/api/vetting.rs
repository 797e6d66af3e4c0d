//! People's decisions: the queue of names that wait, and what was decided.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Vetter, Viewer};
use super::queries::read;
use super::{Api, Problem};
use crate::store::control::{Decision, Identity, Scope};
use crate::store::{Pending, Tenant};

/// Names looked at for the queue.
const QUEUE: usize = 1_000;

/// `POST /api/v1/vetting`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    name: String,
    decision: Decision,
    #[serde(default)]
    scope: Scope,
}

/// What waits and what was decided.
pub async fn list(State(api): State<Api>, Viewer(identity): Viewer) -> Result<Json<Value>, Problem> {
    let waiting = queue(&api, identity.tenant).await?;
    let decided = api.control.state().vetted(identity.tenant)?;
    Ok(Json(json!({"waiting": waiting, "decided": decided})))
}

/// Names that no model could settle and no decision covers.
pub async fn queue(api: &Api, tenant: Tenant) -> Result<Vec<Pending>, Problem> {
    let decided: HashMap<String, Scope> =
        api.control.state().vetted(tenant)?.into_iter().map(|row| (row.name, row.scope)).collect();
    let mut waiting = read(api, move |store| store.pending(tenant, QUEUE)).await?;
    waiting.retain(|pending| {
        let mut suffixes = std::iter::successors(Some(pending.name.as_str()), |text| {
            text.split_once('.').map(|(_, parent)| parent)
        });
        !suffixes.any(|suffix| {
            decided.get(suffix).is_some_and(|scope| *scope == Scope::Suffix || suffix == pending.name)
        })
    });
    Ok(waiting)
}

/// Decides; answers once the snapshot with it is served.
pub async fn decide(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    decide: Result<Json<Decide>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    put_in_force(&api, &identity, decide).await
}

/// Stores the decision and waits for the snapshot that holds it.
pub async fn put_in_force(
    api: &Api,
    identity: &Identity,
    decide: Result<Json<Decide>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(decide) = decide.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let control = api.control.clone();
    let who = identity.clone();
    let started = std::time::Instant::now();
    let decided =
        tokio::task::spawn_blocking(move || control.vet(&who, &decide.name, decide.decision, decide.scope))
            .await;
    let decided = decided.map_err(|_| crate::store::StoreError::Closed)??;
    Ok(Json(json!({
        "name": decided.row.name,
        "decision": decided.row.decision,
        "scope": decided.row.scope,
        "author": decided.row.author,
        "time_ms": decided.row.time_ms,
        "serial": decided.serial,
        "snapshot": decided.snapshot,
        "took_ms": started.elapsed().as_millis() as u64,
    })))
}
