//! Names: what is known of one, which were asked for most, and what a registry says of one when somebody asks.
//!
//! ```text
//! GET  /name?name=&since=&until=&step=        series, verdicts, clients, related names, decision, last event
//! GET  /names?side=&since=&until=&limit=      malicious or benign names, most asked first; `format=csv` as a file
//! POST /rdap {"name"}                         the only thing here that leaves this machine
//! ```

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use dnsvet_core::name::Name;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Vetter, Viewer};
use super::queries::{read, since};
use super::render::item;
use super::{Api, Problem, csv};
use crate::control::now_ms;
use crate::store::control::{Scope, VettedRow};
use crate::store::names::{MOST_BUCKETS, Side, Step};
use crate::store::{NameAsked, NameStory, Ranking, RankingAsked};

/// The time that is looked at where nothing is said.
const SPAN: &str = "24h";
/// Names of a ranking where nothing is said, and at most.
const RANKED: usize = 20;
/// See [`RANKED`].
const MOST_RANKED: usize = 1_000;

/// `GET /api/v1/name`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameParams {
    name: String,
    since: Option<String>,
    until: Option<String>,
    /// `minute`, `hour` or `day`; where it is left out, the finest that makes no more than 400 steps.
    step: Option<String>,
}

/// `GET /api/v1/names`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RankingParams {
    side: String,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    format: Option<String>,
}

/// `POST /api/v1/rdap`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registered {
    name: String,
}

/// What is known of a name. One that nobody asked for has no series, and may be decided on all the same.
pub async fn name(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    params: Result<Query<NameParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let name = parsed(&params.name)?;
    let (since_ms, until_ms) = span(params.since.as_deref(), params.until.as_deref())?;
    let step = step(params.step.as_deref(), until_ms - since_ms)?;
    let (asked, tenant) = (name.clone(), identity.tenant);
    let story = read(&api, move |store| {
        let (name, registrable) = (asked.to_string(), asked.registrable_domain());
        store.name(tenant, &NameAsked { name: &name, registrable, since_ms, until_ms, step })
    });
    let story = story.await?;
    let text = name.to_string();
    let rows = api.control.state().vetted(tenant)?;
    let known = story.is_some();
    let story =
        story.unwrap_or(NameStory { since_ms, until_ms, bucket_s: step.seconds(), ..NameStory::default() });
    let mut body = json!(story);
    body["name"] = json!(text);
    body["known"] = json!(known);
    body["registrable"] = json!(name.registrable_domain());
    body["decision"] = json!(deciding(&rows, &text));
    body["mandatory"] = json!(api.control.mandatory(&text));
    body["last"] = story.last.as_ref().map_or(Value::Null, item);
    body["rdap"] = json!(api.control.rdap().is_on());
    Ok(Json(body))
}

/// The decision that holds for a name: its own, or the nearest above it with all below.
fn deciding<'a>(rows: &'a [VettedRow], name: &str) -> Option<&'a VettedRow> {
    let mut suffixes =
        std::iter::successors(Some(name), |text| text.split_once('.').map(|(_, parent)| parent));
    suffixes.find_map(|suffix| {
        rows.iter().find(|row| row.name == suffix && (row.name == name || row.scope == Scope::Suffix))
    })
}

/// Names of one side, as JSON or as a file.
pub async fn ranking(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    params: Result<Query<RankingParams>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let side = match params.side.as_str() {
        "malicious" => Side::Malicious,
        "benign" => Side::Benign,
        other => return Err(Problem::bad_request(format!("side={other}: malicious or benign"))),
    };
    let (since_ms, until_ms) = span(params.since.as_deref(), params.until.as_deref())?;
    let limit = params.limit.unwrap_or(RANKED);
    if !(1..=MOST_RANKED).contains(&limit) {
        return Err(Problem::bad_request(format!("limit: 1 to {MOST_RANKED}")));
    }
    let asked = RankingAsked { side, since_ms, until_ms, limit };
    let ranking = read(&api, move |store| store.ranking(identity.tenant, &asked)).await?;
    match params.format.as_deref() {
        None | Some("json") => Ok(Json(json!(ranking)).into_response()),
        Some("csv") => Ok(file(&params.side, &ranking)),
        Some(other) => Err(Problem::bad_request(format!("format={other}: json or csv"))),
    }
}

fn file(side: &str, ranking: &Ranking) -> Response {
    let columns =
        ["name", "queries", "blocked", "action", "would", "reason", "not_confident", "score", "last_ms"];
    let mut text = csv::line(columns.map(str::to_owned));
    for it in &ranking.names {
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        text += &csv::line([
            it.name.clone(),
            it.queries.to_string(),
            it.blocked.to_string(),
            or_empty(&it.action),
            or_empty(&it.would),
            or_empty(&it.reason),
            it.not_confident.to_string(),
            it.score.map(|score| score.to_string()).unwrap_or_default(),
            it.last_ms.map(|ms| ms.to_string()).unwrap_or_default(),
        ]);
    }
    let attachment = format!("attachment; filename=\"dnsvet-{side}.csv\"");
    let fields = [(header::CONTENT_TYPE, csv::TYPE.to_owned()), (header::CONTENT_DISPOSITION, attachment)];
    (fields, text).into_response()
}

/// Asks the registry about the registrable domain of a name.
pub async fn rdap(
    State(api): State<Api>,
    Vetter(identity): Vetter,
    asked: Result<Json<Registered>, JsonRejection>,
) -> Result<Json<Value>, Problem> {
    let Json(Registered { name }) = asked.map_err(|rejected| Problem::body(&rejected))?;
    let name = parsed(&name)?;
    let record = api.control.rdap().ask(&name).await?;
    tracing::info!(who = %identity.name, name = %record.name, cached = record.cached, "a registry was asked");
    Ok(Json(json!(record)))
}

fn parsed(name: &str) -> Result<Name, Problem> {
    Name::parse(name.trim()).map_err(|error| Problem::bad_request(format!("name: {error}")))
}

/// From and until, milliseconds since 1970.
fn span(from: Option<&str>, until: Option<&str>) -> Result<(u64, u64), Problem> {
    let now = now_ms();
    let some = |text: Option<&str>, or: &str| since(text.filter(|text| !text.is_empty()).unwrap_or(or), now);
    let (from, until) = (some(from, SPAN)?, some(until, "0s")?);
    if from >= until {
        return Err(Problem::bad_request("since: has to lie before until"));
    }
    Ok((from, until))
}

fn step(word: Option<&str>, span_ms: u64) -> Result<Step, Problem> {
    let few = |step: &Step| span_ms / 1000 / step.seconds() <= 400;
    let step = match word.filter(|word| !word.is_empty()) {
        None => [Step::Minute, Step::Hour].into_iter().find(few).unwrap_or(Step::Day),
        Some("minute") => Step::Minute,
        Some("hour") => Step::Hour,
        Some("day") => Step::Day,
        Some(other) => return Err(Problem::bad_request(format!("step={other}: minute, hour or day"))),
    };
    if span_ms.div_ceil(1000 * step.seconds()) > MOST_BUCKETS {
        let detail = format!("more than {MOST_BUCKETS} steps; take a coarser `step`, or a shorter time");
        return Err(Problem::bad_request(detail));
    }
    Ok(step)
}
