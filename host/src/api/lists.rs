//! Lists and policy: how lists stand and what they blocked, look at them now, take what is kept back; groups.
//!
//! `status`, `update_here` and `accept_here` are the control socket's.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use dnsvet_core::policy::Group;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Admin, Viewer};
use super::queries::{read, since};
use super::{Api, Problem};
use crate::control::now_ms;
use crate::store::StoreError;
use crate::store::control::Identity;

/// `POST /api/v1/lists/update`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// One list; all, if it is left out.
    name: Option<String>,
}

/// `POST /api/v1/lists/accept`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accept {
    name: String,
}

/// `GET /api/v1/lists`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    since: Option<String>,
}

/// How each list stands and what it did since a time, and the groups.
pub async fn list(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let since_ms = since(params.since.as_deref().unwrap_or("7d"), now_ms())?;
    let mut hits = read(&api, move |store| store.rules(identity.tenant, since_ms)).await?;
    let status = api.control.status();
    let mut lists = Vec::with_capacity(status.lists.len());
    for list in &status.lists {
        let found = hits.iter().position(|hits| hits.rule == list.name).map(|at| hits.remove(at));
        let mut shown = json!(list);
        shown["hits"] = json!(found.unwrap_or_default());
        lists.push(shown);
    }
    // Names of groups' own rules are no lists, and of lists that are gone counts stay.
    let groups: Vec<Value> = api
        .control
        .published()
        .map_or(Vec::new(), |published| published.opened.policy().groups.iter().map(group).collect());
    Ok(Json(json!({
        "since_ms": since_ms,
        "serial": status.serial,
        "problem": status.problem,
        "lists": lists,
        "other": hits,
        "groups": groups,
    })))
}

/// A group as the dashboard shows it: path ids, certificates and tokens are counted, not told.
fn group(group: &Group) -> Value {
    json!({
        "name": group.name,
        "clients": group.clients,
        "secrets": group.path_ids.len() + group.sans.len() + group.tokens.len(),
        "lists": group.lists,
        "models": group.models,
        "failure_mode": group.failure_mode,
        "block_action": group.block_action,
        "use_lists": group.use_lists,
        "bundles": group.bundles,
        "rules": group.rules.len(),
        "schedules": group.schedules.len(),
    })
}

/// Has lists looked at; answers at once with their names.
pub async fn update(
    State(api): State<Api>,
    Admin(_): Admin,
    update: Result<Json<Update>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    update_as(&api, update)
}

/// Puts what is kept back in force; answers once the snapshot with it is served.
pub async fn accept(
    State(api): State<Api>,
    Admin(identity): Admin,
    accept: Result<Json<Accept>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    accept_as(&api, identity, accept).await
}

/// How each list stands.
pub async fn status(State(api): State<Api>) -> Json<Value> {
    Json(json!({"lists": api.control.status().lists}))
}

/// [`update`] over the control socket.
pub async fn update_here(
    State(api): State<Api>,
    update: Result<Json<Update>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    update_as(&api, update)
}

/// [`accept`] over the control socket.
pub async fn accept_here(
    State(api): State<Api>,
    accept: Result<Json<Accept>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    accept_as(&api, Identity::local(), accept).await
}

fn update_as(api: &Api, update: Result<Json<Update>, JsonRejection>) -> Result<Json<Value>, Problem> {
    let Json(update) = update.map_err(|rejected| Problem::body(&rejected))?;
    Ok(Json(json!({"lists": api.control.update_lists(update.name.as_deref())?})))
}

async fn accept_as(
    api: &Api,
    who: Identity,
    accept: Result<Json<Accept>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Accept { name }) = accept.map_err(|rejected| Problem::body(&rejected))?;
    let control = api.control.clone();
    let taken = tokio::task::spawn_blocking(move || {
        control.accept_list(&who, &name)?;
        Ok::<_, crate::control::ControlError>((name, control.status()))
    });
    let (name, status) = taken.await.map_err(|_| StoreError::Closed)??;
    Ok(Json(json!({"name": name, "snapshot": status.id, "serial": status.serial})))
}
