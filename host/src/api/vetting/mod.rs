//! People's decisions: the queue of names that wait, and what was decided.
//!
//! ```text
//! GET  /vetting            waiting (by priority), clusters, proposed, requests, decided
//! POST /vetting            one name            POST /vetting/clusters   many in one step
//! POST /vetting/confirm    a second person     POST /vetting/undo       an admin, of one author
//! GET  /vetting/rows       training rows       POST /unblock-requests[/decide]
//! ```
//!
//! The surprise: a decision may come back with 202 and `"state": "proposed"`. It is stored and changes no verdict
//! until a second person confirms it; [`crate::control::vetting`] says when.

pub mod clusters;
pub mod requests;
pub mod rows;
pub mod second;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use dnsvet_core::model::Model;
use dnsvet_core::verdict::cascade::LEAST_BLOCKING_P;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::auth::{Vetter, Viewer};
use super::queries::read;
use super::{Api, Problem};
use crate::control::vetting::clusters::{Cluster, Kind, clusters as clusters_of};
use crate::control::vetting::{Deciding, LATELY, MOST_LATELY, Served};
use crate::control::{Control, ControlError, Published, now_ms};
use crate::store::control::vetting::{Outcome, Proposal, Why};
use crate::store::control::{Decision, Identity, Scope};
use crate::store::{Order, Pending, StoreError, Tenant};

/// Names in the queue.
const QUEUE: usize = 1_000;
/// Proposals that are shown.
const MOST_SHOWN: usize = 2_000;
/// How long a queue that was read serves those who ask again.
const KEPT: Duration = Duration::from_secs(2);

/// The queue as it was read last. Every open dashboard asks for it every few seconds, and it is a look at each
/// event that waits; those who ask meanwhile wait for the one that reads.
#[derive(Default)]
pub struct Queue(Mutex<Option<Kept>>);

struct Kept {
    read: Instant,
    tenant: Tenant,
    /// Of the snapshot with this id.
    threshold: (String, f64),
    names: Vec<Pending>,
    clients: HashMap<(Kind, String), u64>,
}

/// What waits.
pub struct Waiting {
    /// Names, first one first.
    pub names: Vec<Pending>,
    /// Those that belong together.
    pub clusters: Vec<Cluster>,
}

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
    /// An admin's: no second person is waited for.
    #[serde(default)]
    alone: bool,
}

/// What waits and what was decided.
pub async fn list(State(api): State<Api>, Viewer(identity): Viewer) -> Result<Json<Value>, Problem> {
    let tenant = identity.tenant;
    let Waiting { names, clusters } = look(&api, tenant).await?;
    let state = api.control.state();
    let (proposed, proposals) = state.proposed(tenant, MOST_SHOWN)?;
    Ok(Json(json!({
        "waiting": names,
        "clusters": clusters,
        "requests": state.unblock_requests(tenant)?,
        "proposed": proposed,
        "proposals": proposals,
        "decided": state.vetted(tenant)?,
    })))
}

/// Names that no model could settle and no decision covers. A decision takes its names out at once.
pub async fn look(api: &Api, tenant: Tenant) -> Result<Waiting, Problem> {
    let rows = api.control.state().vetted(tenant)?.into_iter();
    let decided = Arc::new(Decided(rows.map(|row| (row.name, row.scope)).collect()));
    let mut kept = api.queue.0.lock().await;
    if let Some(kept) = kept.as_ref().filter(|kept| kept.tenant == tenant && kept.read.elapsed() < KEPT) {
        let left = kept.names.iter().filter(|pending| !decided.covers(&pending.name));
        return Ok(waiting(left.cloned().collect(), &kept.clients));
    }
    let known = kept.take().map(|kept| kept.threshold);
    let published = api.control.published();
    let fresh = read(api, move |store| {
        let threshold = threshold(published.as_deref(), known);
        let order = Order { limit: QUEUE, threshold: threshold.1, now_ms: now_ms() };
        let names = store.pending(tenant, order, &|name| decided.covers(name))?;
        let counted = clusters_of(&names, |cluster| store.clients_of(tenant, &cluster.names))?;
        let clients = counted.into_iter().map(|cluster| ((cluster.kind, cluster.label), cluster.clients));
        let clients = clients.collect();
        Ok(Kept { read: Instant::now(), tenant, threshold, names, clients })
    });
    let fresh = kept.insert(fresh.await?);
    Ok(waiting(fresh.names.clone(), &fresh.clients))
}

/// Names with the clusters that they make; who asked for those was counted when the queue was read.
fn waiting(names: Vec<Pending>, clients: &HashMap<(Kind, String), u64>) -> Waiting {
    // Where nobody counted, at least those who asked for one of the names did.
    let least = |cluster: &Cluster| {
        let within = names.iter().filter(|pending| cluster.names.contains(&pending.name));
        within.map(|pending| pending.clients).max().unwrap_or_default()
    };
    let counted = |cluster: &Cluster| {
        let known = clients.get(&(cluster.kind, cluster.label.clone())).copied();
        Ok::<_, std::convert::Infallible>(known.unwrap_or_else(|| least(cluster)))
    };
    let Ok(clusters) = clusters_of(&names, counted);
    Waiting { names, clusters }
}

/// The score from which the snapshot's model blocks; read once a snapshot.
fn threshold(published: Option<&Published>, known: Option<(String, f64)>) -> (String, f64) {
    let id = published.map(|published| published.id.clone()).unwrap_or_default();
    if let Some(known) = known.filter(|(of, _)| *of == id) {
        return known;
    }
    let model = published.and_then(|published| Model::decode(published.opened.small_model()?).ok());
    let from = model.map_or(LEAST_BLOCKING_P, |model| model.thresholds().block_above.max(LEAST_BLOCKING_P));
    (id, from)
}

/// Decides; answers once the snapshot with it is served.
pub async fn decide(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    decide: Result<Json<Decide>, JsonRejection>,
) -> Result<Response, Problem> {
    decide_as(&api, &identity, decide).await
}

/// The same for whoever was let in.
pub async fn decide_as(
    api: &Api,
    identity: &Identity,
    decide: Result<Json<Decide>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(Decide { name, decision, scope, alone }) =
        decide.map_err(|rejected| Problem::body(&rejected))?;
    let (who, started) = (identity.clone(), Instant::now());
    let work = move |control: &Control| {
        let names = [name];
        let deciding = Deciding { names: &names, decision, scope, alone, together: None };
        let decided = control.decide(&who, deciding)?;
        let took = started.elapsed();
        let frees = decision == Decision::Benign;
        let name = decided.what.first().map_or("", |outcome| outcome_name(outcome));
        let mandatory = if frees { control.mandatory(name) } else { BTreeSet::new() };
        Ok((mandatory, took, decided))
    };
    let (mandatory, took, decided) = run(api, work).await?;
    let Served { what, serial, snapshot } = decided;
    let row = match what.into_iter().next() {
        Some(Outcome::InForce(row)) => row,
        Some(Outcome::Proposed(proposal)) => {
            let mut body = json!(proposal);
            body["state"] = json!("proposed");
            body["detail"] = json!(why_proposed(&proposal, &identity.name));
            return Ok((StatusCode::ACCEPTED, Json(body)).into_response());
        }
        None => return Err(StoreError::Closed.into()),
    };
    Ok(Json(json!({
        "name": row.name,
        "decision": row.decision,
        "scope": row.scope,
        "author": row.author,
        "time_ms": row.time_ms,
        "state": "in_force",
        "serial": serial,
        "snapshot": snapshot,
        "mandatory": mandatory,
        "took_ms": took.as_millis() as u64,
    }))
    .into_response())
}

/// Works off the async threads.
async fn run<T: Send + 'static>(
    api: &Api,
    work: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Problem> {
    let control = api.control.clone();
    let done = tokio::task::spawn_blocking(move || work(&control)).await;
    Ok(done.map_err(|_| StoreError::Closed)??)
}

fn outcome_name(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::InForce(row) => &row.name,
        Outcome::Proposed(proposal) => &proposal.name,
    }
}

/// Why a decision is not in force, and what puts it there.
fn why_proposed(proposal: &Proposal, who: &str) -> String {
    let why = match proposal.why {
        Why::Popular => "the name is popular".to_owned(),
        Why::Many => {
            let minutes = LATELY.as_secs() / 60;
            format!("its author blocked more than {MOST_LATELY} names within {minutes} minutes")
        }
    };
    let by = if proposal.author == who { "you" } else { proposal.author.as_str() };
    format!(
        "{why}: proposed by {by}, and in force once another person with the role vetter or admin confirms it; an admin \
         may also decide alone"
    )
}
