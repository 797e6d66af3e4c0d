//! People's decisions: the queue of names that wait, and what was decided.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::auth::{Vetter, Viewer};
use super::queries::read;
use super::{Api, Problem};
use crate::control::ControlError;
use crate::store::control::{Decision, Identity, Scope};
use crate::store::{Pending, Tenant};

/// Names in the queue.
const QUEUE: usize = 1_000;
/// How long a queue that was read serves those who ask again.
const KEPT: Duration = Duration::from_secs(2);

/// The queue as it was read last. Every open dashboard asks for it every few seconds, and it is a look at each
/// event that waits; those who ask meanwhile wait for the one that reads.
#[derive(Default)]
pub struct Queue(Mutex<Option<(Instant, Tenant, Vec<Pending>)>>);

/// The decisions in force.
struct Decided(HashMap<String, Scope>);

impl Decided {
    /// Whether one is on this name, or on one above it with all below.
    fn covers(&self, name: &str) -> bool {
        let mut suffixes =
            std::iter::successors(Some(name), |text| text.split_once('.').map(|(_, parent)| parent));
        suffixes
            .any(|suffix| self.0.get(suffix).is_some_and(|scope| *scope == Scope::Suffix || suffix == name))
    }
}

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

/// Names that no model could settle and no decision covers. A decision takes its names out at once.
pub async fn queue(api: &Api, tenant: Tenant) -> Result<Vec<Pending>, Problem> {
    let rows = api.control.state().vetted(tenant)?.into_iter();
    let decided = Arc::new(Decided(rows.map(|row| (row.name, row.scope)).collect()));
    let mut kept = api.queue.0.lock().await;
    if let Some((read, whose, waiting)) = kept.as_ref()
        && *whose == tenant
        && read.elapsed() < KEPT
    {
        return Ok(waiting.iter().filter(|pending| !decided.covers(&pending.name)).cloned().collect());
    }
    let waiting = read(api, move |store| store.pending(tenant, QUEUE, &|name| decided.covers(name))).await?;
    *kept = Some((Instant::now(), tenant, waiting.clone()));
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
    let Json(decide) = decide.map_err(|rejected| match rejected.status() {
        status @ (StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE) => {
            Problem::new(status, rejected.body_text())
        }
        _ => Problem::bad_request(rejected.body_text()),
    })?;
    let control = api.control.clone();
    let who = identity.clone();
    let started = Instant::now();
    let work = move || {
        let decided = control.vet(&who, &decide.name, decide.decision, decide.scope)?;
        let took = started.elapsed();
        let frees = decide.decision == Decision::Benign;
        let mandatory = if frees { control.mandatory(&decided.row.name) } else { BTreeSet::new() };
        Ok::<_, ControlError>((mandatory, took, decided))
    };
    let decided = tokio::task::spawn_blocking(work).await;
    let (mandatory, took, decided) = decided.map_err(|_| crate::store::StoreError::Closed)??;
    Ok(Json(json!({
        "name": decided.row.name,
        "decision": decided.row.decision,
        "scope": decided.row.scope,
        "author": decided.row.author,
        "time_ms": decided.row.time_ms,
        "serial": decided.serial,
        "snapshot": decided.snapshot,
        "mandatory": mandatory,
        "took_ms": took.as_millis() as u64,
    })))
}
