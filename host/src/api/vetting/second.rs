//! The second person: `POST /api/v1/vetting/confirm`, and `POST /api/v1/vetting/undo`.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::run;
use crate::api::auth::{Admin, Vetter};
use crate::api::{Api, Problem};
use crate::store::control::{Decision, Identity};

/// One name or more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    /// What was seen proposed; anything else is refused.
    decision: Option<Decision>,
    /// Drops it instead.
    #[serde(default)]
    deny: bool,
    /// An admin's: what they proposed themselves.
    #[serde(default)]
    alone: bool,
}

/// Whose decisions, and of when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    author: String,
    since_ms: u64,
    until_ms: Option<u64>,
}

/// Puts proposals in force; answers once the snapshot with them is served.
pub async fn confirm(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    confirm: Result<Json<Confirm>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    confirm_as(&api, &identity, confirm).await
}

/// The same for whoever was let in.
pub async fn confirm_as(
    api: &Api,
    identity: &Identity,
    confirm: Result<Json<Confirm>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Confirm { name, mut names, decision, deny, alone }) =
        confirm.map_err(|rejected| Problem::body(&rejected))?;
    names.extend(name);
    let (who, started) = (identity.clone(), Instant::now());
    let count = names.len();
    let served = run(api, move |control| control.confirm(&who, &names, decision, deny, alone)).await?;
    Ok(Json(json!({
        "state": if deny { "denied" } else { "in_force" },
        "names": count,
        "decided": served.what,
        "serial": served.serial,
        "snapshot": served.snapshot,
        "took_ms": started.elapsed().as_millis() as u64,
    })))
}

/// Takes back what one author decided and proposed; answers once the snapshot without it is served.
pub async fn undo(
    State(api): State<Api>,
    Admin(identity): Admin,
    undo: Result<Json<Undo>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    undo_as(&api, &identity, undo).await
}

/// The same for whoever was let in.
pub async fn undo_as(
    api: &Api,
    identity: &Identity,
    undo: Result<Json<Undo>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Undo { author, since_ms, until_ms }) = undo.map_err(|rejected| Problem::body(&rejected))?;
    let (who, whose, started) = (identity.clone(), author.clone(), Instant::now());
    let served = run(api, move |control| control.undo(&who, &whose, since_ms, until_ms)).await?;
    let undone = served.what;
    Ok(Json(json!({
        "author": author,
        "restored": undone.restored,
        "kept": undone.kept,
        "proposals": undone.proposals,
        "serial": served.serial,
        "snapshot": served.snapshot,
        "took_ms": started.elapsed().as_millis() as u64,
    })))
}
