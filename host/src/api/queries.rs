//! What was asked: history, one event, counts, the live tail.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::sse::{Event as SseEvent, KeepAlive, Sse};
use dnsvet_core::schema::Attribution;
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use super::auth::Viewer;
use super::render::item;
use super::{Api, Problem};
use crate::control::now_ms;
use crate::store::codes::{action_of, reason_of};
use crate::store::{ActionFilter, EventId, EventStore, Search, StoreError, Stored, Tenant};

/// Events on a page where nothing is said.
const PAGE: usize = 100;
/// The live tail sends what came in this time at once, this many events at most.
const TAIL_MS: u64 = 250;
const TAIL_EVENTS: usize = 100;

/// `GET /api/v1/queries`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    name: Option<String>,
    /// Whether `name` is a whole name.
    #[serde(default)]
    exact: bool,
    client: Option<String>,
    action: Option<String>,
    reason: Option<String>,
    rule: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// A page of events, newest first, and the cursor of the next.
pub async fn list(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let search = search_of(params)?;
    let page = read(&api, move |store| store.search(identity.tenant, &search)).await?;
    let items: Vec<Value> = page.items.iter().map(item).collect();
    Ok(Json(json!({"items": items, "next": page.next.map(|next| next.to_string())})))
}

fn search_of(params: Params) -> Result<Search, Problem> {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let action = match some(params.action).as_deref() {
        None => None,
        Some("blocked") => Some(ActionFilter::Blocked),
        Some("not_confident") => Some(ActionFilter::NotConfident),
        Some(word) => Some(ActionFilter::Is(action_of(word).ok_or_else(|| {
            Problem::bad_request(format!("action={word}: expected allow, nxdomain, nodata, null, honeypot, custom, refused, drop, blocked or not_confident"))
        })?)),
    };
    let reason = some(params.reason)
        .map(|word| {
            reason_of(&word).ok_or_else(|| Problem::bad_request(format!("reason={word}: no such reason")))
        })
        .transpose()?;
    let since_ms = some(params.since).map(|text| since(&text, now_ms())).transpose()?;
    let until_ms = some(params.until).map(|text| since(&text, now_ms())).transpose()?;
    let cursor = some(params.cursor)
        .map(|text| text.parse().map_err(|_| Problem::bad_request("cursor: take `next` of the page before")))
        .transpose()?;
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=1_000).contains(&limit) {
        return Err(Problem::bad_request("limit: 1 to 1000"));
    }
    Ok(Search {
        name: some(params.name),
        exact: params.exact,
        client: some(params.client),
        action,
        reason,
        rule: some(params.rule),
        since_ms,
        until_ms,
        limit,
        cursor,
    })
}

/// A time: milliseconds since 1970, or how long ago: `90s`, `15m`, `24h`, `7d`.
pub fn since(text: &str, now_ms: u64) -> Result<u64, Problem> {
    let bad =
        || Problem::bad_request("since: milliseconds since 1970, or how long ago, such as 15m, 24h or 7d");
    if let Ok(time_ms) = text.parse::<u64>() {
        return Ok(time_ms);
    }
    let at = text.char_indices().next_back().map(|(at, _)| at).ok_or_else(bad)?;
    let (number, unit) = text.split_at(at);
    let unit_ms = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    Ok(now_ms.saturating_sub(number.saturating_mul(unit_ms)))
}

/// One event with its trace, and which characters made its score, worked out now.
pub async fn one(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let gone = || Problem::not_found(format!("no event {id}; raw events are kept for a limited time"));
    let id: EventId = id.parse().map_err(|_| gone())?;
    let found = read(&api, move |store| store.event(identity.tenant, id)).await?.ok_or_else(gone)?;
    let mut shown = item(&found);
    if let Some(attribution) = attribution(&api, found).await {
        shown["attribution"] = json!(attribution);
    }
    Ok(Json(shown))
}

/// `None` also where too many ask at once: the event is worth showing without.
async fn attribution(api: &Api, stored: Stored) -> Option<Attribution> {
    let checker = api.checker.clone()?;
    stored.event.verdict.model.as_ref()?;
    let work = move || checker.attribution(&stored.event.name, &stored.event.verdict);
    api.checks.run(work).await.ok().flatten()
}

/// `GET /api/v1/overview`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverviewParams {
    since: Option<String>,
}

/// Counts from the roll-ups, and what is in force.
pub async fn overview(
    State(api): State<Api>,
    Viewer(identity): Viewer,
    params: Result<Query<OverviewParams>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let now = now_ms();
    let since_ms = since(params.since.as_deref().unwrap_or("24h"), now)?;
    let counts = read(&api, move |store| store.overview(identity.tenant, since_ms, now)).await?;
    let waiting = super::vetting::look(&api, identity.tenant).await?.names.len();
    let mut body = serde_json::to_value(counts).map_err(|error| Problem::bad_request(error.to_string()))?;
    let status = api.control.status();
    body["waiting"] = json!(waiting);
    body["drift"] = json!(api.control.drifted());
    body["snapshot"] = json!({"id": status.id, "serial": status.serial, "built_ms": status.built_ms, "problem": status.problem, "lists": status.lists});
    Ok(Json(body))
}

/// Asks the store off the async threads.
pub async fn read<T: Send + 'static>(
    api: &Api,
    ask: impl FnOnce(&dyn EventStore) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let store = api.control.store().clone();
    let asked = tokio::task::spawn_blocking(move || ask(store.as_ref())).await;
    Ok(asked.map_err(|_| StoreError::Closed)??)
}

/// `GET /api/v1/events/stream`: arrays of events as they are committed, four times a second at most.
pub async fn stream(
    State(api): State<Api>,
    Viewer(identity): Viewer,
) -> Sse<impl Stream<Item = Result<SseEvent, Infallible>>> {
    let tail =
        Tail { events: api.control.store().subscribe(), ending: api.ending.clone(), tenant: identity.tenant };
    let events = unfold(tail, |mut tail| async move {
        let sent = tail.next().await?;
        Some((Ok(sent), tail))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

struct Tail {
    events: broadcast::Receiver<(Tenant, Arc<Stored>)>,
    ending: watch::Receiver<bool>,
    tenant: Tenant,
}

impl Tail {
    /// Waits for an event, then for what else comes in a moment.
    async fn next(&mut self) -> Option<SseEvent> {
        let (mut items, mut skipped) = (Vec::new(), 0u64);
        let mut closes = None;
        loop {
            let deadline = async {
                match closes {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.ending.wait_for(|ending| *ending) => return None,
                () = deadline => break,
                received = self.events.recv() => match received {
                    Ok((tenant, _)) if tenant != self.tenant => continue,
                    Ok((_, stored)) if items.len() < TAIL_EVENTS => items.push(item(&stored)),
                    Ok(_) => skipped += 1,
                    Err(RecvError::Lagged(lost)) => skipped += lost,
                    Err(RecvError::Closed) => return None,
                },
            }
            closes.get_or_insert_with(|| tokio::time::Instant::now() + Duration::from_millis(TAIL_MS));
        }
        let data = json!({"items": items, "skipped": skipped}).to_string();
        Some(SseEvent::default().event("queries").data(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_takes_a_time_or_how_long_ago() {
        assert_eq!(since("1700000000000", 0).unwrap(), 1_700_000_000_000);
        assert_eq!(since("15m", 1_000_000).unwrap(), 100_000);
        assert_eq!(since("7d", 5).unwrap(), 0);
        for bad in ["", "h", "1y", "-5m", "1.5h", "5µ"] {
            assert!(since(bad, 0).is_err(), "{bad}");
        }
    }
}
