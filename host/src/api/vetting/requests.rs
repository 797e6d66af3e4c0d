//! `/api/v1/unblock-requests`: people who were blocked ask, vetters decide.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Deserialize;
use serde_json::{Value, json};

use super::run;
use crate::api::auth::{Vetter, Viewer};
use crate::api::{Api, Problem};
use crate::control::Control;
use crate::control::vetting::Deciding;
use crate::store::control::{Decision, Scope};

/// How long a name is unblocked where nothing else is said, seconds.
const FOR_S: u64 = 3_600;

/// `POST /api/v1/unblock-requests`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    name: String,
    #[serde(default)]
    note: String,
}

/// `POST /api/v1/unblock-requests/decide`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decide {
    name: String,
    decision: Answer,
    /// Of a relief, seconds.
    for_s: Option<u64>,
    /// Of a relief; empty: for everybody.
    #[serde(default)]
    group: String,
    /// Of a decision.
    #[serde(default)]
    scope: Scope,
}

/// What is said to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Unblocked for a while.
    #[serde(alias = "grant")]
    Relief,
    /// Vetted benign.
    Benign,
    /// It stays as it is.
    Deny,
}

/// Open requests, most asked first.
pub async fn list(State(api): State<Api>, Viewer(identity): Viewer) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({"requests": api.control.state().unblock_requests(identity.tenant)?})))
}

/// Keeps a request, or counts it.
pub async fn ask(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    ask: Result<Json<Ask>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Ask { name, note }) = ask.map_err(|rejected| Problem::body(&rejected))?;
    let kept = run(&api, move |control| control.ask_unblock(&identity, &name, &note)).await?;
    Ok(Json(json!(kept)))
}

/// Decides on a request; answers once what it leads to is served.
pub async fn decide(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    decide: Result<Json<Decide>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Decide { name, decision, for_s, group, scope }) =
        decide.map_err(|rejected| Problem::body(&rejected))?;
    if decision != Answer::Relief && (for_s.is_some() || !group.is_empty()) {
        return Err(Problem::bad_request("`for_s` and `group` are of the decision `relief`"));
    }
    let for_s = for_s.unwrap_or(FOR_S);
    if for_s == 0 {
        return Err(Problem::bad_request("`for_s` is 1 or more; to refuse, send the decision `deny`"));
    }
    let work = move |control: &Control| {
        let name = control.asked_for(&identity, &name)?;
        let said = match decision {
            Answer::Relief => {
                control.relieve(&identity, Some(&name), &group, Duration::from_secs(for_s))?;
                format!("granted for {for_s} s")
            }
            Answer::Benign => {
                let names = [name.clone()];
                let decision = Decision::Benign;
                let deciding = Deciding { names: &names, decision, scope, alone: false, together: None };
                control.decide(&identity, deciding)?;
                "vetted benign".to_owned()
            }
            Answer::Deny => "denied".to_owned(),
        };
        // After what it leads to: if that fails, the request still waits.
        let request = control.close_request(&identity, &name, &said)?;
        let mandatory = if decision == Answer::Deny { Default::default() } else { control.mandatory(&name) };
        Ok((request, said, mandatory))
    };
    let (request, said, mandatory) = run(&api, work).await?;
    Ok(Json(json!({"request": request, "said": said, "mandatory": mandatory})))
}
