//! Which model is in force: what stands, promotion and rollback.

use std::path::PathBuf;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Admin, Viewer};
use super::{Api, Problem};
use crate::control::models::Asking;
use crate::control::vetting::Served;
use crate::control::{Control, ControlError};
use crate::store::StoreError;
use crate::store::control::Identity;
use crate::store::control::models::Promotion;

/// `POST /api/v1/models/promote`. The registry is the configured one: no client names folders of this machine.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promote {
    name: String,
    #[serde(default)]
    even_so: bool,
}

/// The same over the control socket, whose user may read the machine's folders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoteHere {
    name: String,
    registry: Option<PathBuf>,
    #[serde(default)]
    even_so: bool,
}

/// `POST /api/v1/models/challenge`: a model of the configured registry, or `stop`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    name: Option<String>,
    #[serde(default)]
    stop: bool,
}

/// The same over the control socket, whose user may read the machine's folders.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeHere {
    name: Option<String>,
    registry: Option<PathBuf>,
    #[serde(default)]
    stop: bool,
}

/// How models stand.
pub async fn list(State(api): State<Api>, Viewer(identity): Viewer) -> Result<Json<Value>, Problem> {
    list_as(&api, &identity).await
}

/// The configured registry, with what each model says of itself.
pub async fn registry(State(api): State<Api>, Viewer(_): Viewer) -> Result<Json<Value>, Problem> {
    let control = api.control.clone();
    let described = tokio::task::spawn_blocking(move || control.described_models()).await;
    Ok(Json(json!({"models": described.map_err(|_| StoreError::Closed)??})))
}

/// Puts a model of the configured registry in force; answers once the snapshot with it is served.
pub async fn promote(
    State(api): State<Api>,
    Admin(identity): Admin,
    promote: Result<Json<Promote>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Promote { name, even_so }) = promote.map_err(|rejected| Problem::body(&rejected))?;
    changed(&api, move |control| control.promote(&identity, &Asking { name, registry: None, even_so })).await
}

/// Puts the model before in force; answers once the snapshot with it is served.
pub async fn roll_back(State(api): State<Api>, Admin(identity): Admin) -> Result<Json<Value>, Problem> {
    changed(&api, move |control| control.roll_back(&identity)).await
}

/// Takes the names that come from now on as what is usual.
pub async fn rebase(State(api): State<Api>, Admin(identity): Admin) -> Result<Json<Value>, Problem> {
    rebase_as(&api, identity).await
}

/// Puts a challenger up, or takes it away.
pub async fn challenge(
    State(api): State<Api>,
    Admin(identity): Admin,
    challenge: Result<Json<Challenge>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Challenge { name, stop }) = challenge.map_err(|rejected| Problem::body(&rejected))?;
    challenge_as(&api, identity, ChallengeHere { name, registry: None, stop }).await
}

/// [`challenge`] over the control socket.
pub async fn challenge_here(
    State(api): State<Api>,
    challenge: Result<Json<ChallengeHere>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(challenge) = challenge.map_err(|rejected| Problem::body(&rejected))?;
    challenge_as(&api, Identity::local(), challenge).await
}

async fn challenge_as(api: &Api, who: Identity, asked: ChallengeHere) -> Result<Json<Value>, Problem> {
    let control = api.control.clone();
    let work = move || match (asked.name, asked.stop) {
        (None, true) => Ok(control.stop_challenge(&who)?),
        (Some(name), false) => {
            Ok(control.challenge(&who, &Asking { name, registry: asked.registry, even_so: false })?)
        }
        _ => Err(Problem::bad_request("send {\"name\": ...} or {\"stop\": true}")),
    };
    let done = tokio::task::spawn_blocking(work).await;
    Ok(Json(json!(done.map_err(|_| StoreError::Closed)??)))
}

/// [`rebase`] over the control socket.
pub async fn rebase_here(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    rebase_as(&api, Identity::local()).await
}

async fn rebase_as(api: &Api, who: Identity) -> Result<Json<Value>, Problem> {
    let control = api.control.clone();
    let rebased = tokio::task::spawn_blocking(move || control.rebase(&who)).await;
    rebased.map_err(|_| StoreError::Closed)??;
    Ok(Json(json!({})))
}

/// [`list`] over the control socket.
pub async fn list_here(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    list_as(&api, &Identity::local()).await
}

/// [`promote`] over the control socket.
pub async fn promote_here(
    State(api): State<Api>,
    promote: Result<Json<PromoteHere>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(PromoteHere { name, registry, even_so }) =
        promote.map_err(|rejected| Problem::body(&rejected))?;
    let asking = Asking { name, registry, even_so };
    changed(&api, move |control| control.promote(&Identity::local(), &asking)).await
}

/// [`roll_back`] over the control socket.
pub async fn roll_back_here(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    changed(&api, |control| control.roll_back(&Identity::local())).await
}

async fn list_as(api: &Api, identity: &Identity) -> Result<Json<Value>, Problem> {
    let (control, tenant) = (api.control.clone(), identity.tenant);
    let standing = tokio::task::spawn_blocking(move || control.models(tenant)).await;
    Ok(Json(json!(standing.map_err(|_| StoreError::Closed)??)))
}

/// Does what changes the model in force, off the async threads.
async fn changed(
    api: &Api,
    change: impl FnOnce(&Control) -> Result<Served<Promotion>, ControlError> + Send + 'static,
) -> Result<Json<Value>, Problem> {
    let (control, started) = (api.control.clone(), Instant::now());
    let done = tokio::task::spawn_blocking(move || change(&control)).await;
    let Served { what, serial, snapshot } = done.map_err(|_| StoreError::Closed)??;
    let mut body = json!(what);
    body["serial"] = json!(serial);
    body["snapshot"] = json!(snapshot);
    body["took_ms"] = json!(started.elapsed().as_millis() as u64);
    Ok(Json(body))
}
