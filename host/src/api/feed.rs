//! For filters: the snapshot feed (RFC 9110 validators and ranges, deltas) and the event sink.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dnsvet_core::event::{Batch, Event};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Unsatisfiable, etag_matches, serve_range};

use super::auth::Filter;
use super::{Api, MAX_BODY_BYTES, Problem};
use crate::control::{Published, now_ms};

/// The longest that something new is waited for.
const MOST_WAIT: Duration = Duration::from_secs(30);
/// The most events in a batch.
const MAX_EVENTS: usize = 10_000;
/// Longest source id, bytes.
const MAX_SOURCE_BYTES: usize = 200;
/// An event's time is at most this far ahead of ours, milliseconds: a filter whose clock is wrong must not keep
/// its events from ever being old.
const MAX_AHEAD_MS: u64 = 5 * 60_000;
/// How long a filter waits for the commit before it is told to come again, seconds.
const COMMIT_S: u64 = 10;

/// `GET /v1/snapshot`
pub async fn snapshot(State(api): State<Api>, _: Filter, headers: HeaderMap) -> Result<Response, Problem> {
    let published = published(&api)?;
    let etag = format!("\"{}\"", published.id);
    let response = if is_known(&headers, &published) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let total = published.bytes.len();
        // A range of another version would be bytes of nothing: If-Range turns it into the whole.
        let if_range = text(&headers, header::IF_RANGE);
        let range = text(&headers, header::RANGE).filter(|_| if_range.is_none_or(|tag| tag == etag));
        match serve_range(total as u64, range) {
            Ok(None) => Body::from(published.bytes.clone()).into_response(),
            Ok(Some(part)) => {
                let content = format!("bytes {}-{}/{total}", part.start, part.end - 1);
                let part = published.bytes.slice(part.start as usize..part.end as usize);
                (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, content)], Body::from(part))
                    .into_response()
            }
            Err(Unsatisfiable { len }) => {
                let content = format!("bytes */{len}");
                (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, content)]).into_response()
            }
        }
    };
    let ranges = (header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(([ranges], described(response, &published)).into_response())
}

/// The query of [`delta`].
#[derive(Debug, serde::Deserialize)]
pub struct Since {
    /// The serial that the filter holds.
    from: u64,
}

/// `GET /v1/snapshot/delta?from=SERIAL`: what a filter with that snapshot lacks; 304 if nothing, 404 if that is
/// not known or too much, and the filter fetches ranges. With `Prefer: wait=SECONDS` (RFC 7240 section 4.3) and
/// nothing to send, something new is waited for.
pub async fn delta(
    State(api): State<Api>,
    _: Filter,
    headers: HeaderMap,
    query: Result<Query<Since>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Since { from }) = query.map_err(|_| Problem::bad_request("from: the serial that is held"))?;
    let wait = preferred_wait(&headers);
    let published = match wait {
        Some(wait) => news(&api, &headers, wait).await,
        None => published(&api),
    }?;
    let mut response = if is_known(&headers, &published) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let made = api.deltas.lock().unwrap_or_else(PoisonError::into_inner).since(from);
        Body::from(made.map_err(|none| Problem::new(StatusCode::NOT_FOUND, none.to_string()))?)
            .into_response()
    };
    if wait.is_some() {
        response.headers_mut().insert("preference-applied", HeaderValue::from_static("wait"));
    }
    Ok(described(response, &published))
}

/// How long a filter would have something new waited for.
fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let fields = headers.get_all("prefer").iter().filter_map(|field| field.to_str().ok());
    let mut preferences = fields.flat_map(|field| field.split(',')).map(str::trim);
    let seconds = preferences.find_map(|preference| preference.strip_prefix("wait=")?.trim().parse().ok());
    seconds.map(Duration::from_secs).map(|wait| wait.min(MOST_WAIT))
}

/// The snapshot that is served as soon as the filter does not have it, or after `wait` has passed.
async fn news(api: &Api, headers: &HeaderMap, wait: Duration) -> Result<Arc<Published>, Problem> {
    let (mut watch, mut ending) = (api.control.watch(), api.ending.clone());
    let is_news =
        |served: &Option<Arc<Published>>| served.as_deref().is_some_and(|it| !is_known(headers, it));
    tokio::select! {
        _ = watch.wait_for(is_news) => {}
        _ = ending.wait_for(|ending| *ending) => {}
        () = tokio::time::sleep(wait) => {}
    }
    published(api)
}

/// The snapshot that is served, noted so that deltas from it can be made later.
fn published(api: &Api) -> Result<Arc<Published>, Problem> {
    let Some(published) = api.control.published() else {
        let detail = "no snapshot yet: the first one is being compiled";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1));
    };
    let mut deltas = api.deltas.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = deltas.serve(&published.id, &published.bytes) {
        tracing::error!(%error, "no deltas: what is served is no snapshot");
    }
    Ok(published)
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether the filter said that it has it.
fn is_known(headers: &HeaderMap, published: &Published) -> bool {
    etag_matches(text(headers, header::IF_NONE_MATCH), &published.id)
}

fn described(mut response: Response, published: &Published) -> Response {
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", published.id)) {
        fields.insert(header::ETAG, etag);
    }
    response
}

/// `POST /v1/events`: 204 once the batch is committed.
pub async fn events(
    State(api): State<Api>,
    Filter(identity): Filter,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Problem> {
    let body = body.map_err(|rejected| match rejected.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("a batch has at most {MAX_BODY_BYTES} bytes; send fewer events at once");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        }
        _ => Problem::bad_request("the body could not be read"),
    })?;
    let mut batch: Batch = serde_json::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("no batch of events: {error}")))?;
    check(&batch).map_err(Problem::bad_request)?;
    let latest_ms = now_ms() + MAX_AHEAD_MS;
    batch.events.iter_mut().for_each(|event| event.time_ms = event.time_ms.min(latest_ms));
    api.control.saw_clients(batch.events.iter().map(|event| event.client.as_str()));
    api.control.saw_events(&batch.events);
    let receipt = api.control.store().append(identity.tenant, batch)?;
    match tokio::time::timeout(Duration::from_secs(COMMIT_S), receipt).await {
        Ok(Ok(result)) => {
            let appended = result?;
            api.control.count_events(appended.stored, appended.known);
            Ok(StatusCode::NO_CONTENT)
        }
        Ok(Err(_)) => Err(crate::store::StoreError::Closed.into()),
        Err(_) => Err(crate::store::StoreError::Busy.into()),
    }
}

/// What the store may rely on: a bad event is told with its place.
fn check(batch: &Batch) -> Result<(), String> {
    if batch.source.is_empty()
        || batch.source.len() > MAX_SOURCE_BYTES
        || batch.source.contains(char::is_control)
    {
        return Err(format!("source: 1 to {MAX_SOURCE_BYTES} bytes without control characters"));
    }
    if batch.events.len() > MAX_EVENTS {
        return Err(format!("{} events; a batch has at most {MAX_EVENTS}", batch.events.len()));
    }
    for (index, event) in batch.events.iter().enumerate() {
        check_event(event).map_err(|why| format!("events[{index}].{why}"))?;
    }
    Ok(())
}

fn check_event(event: &Event) -> Result<(), String> {
    let name = Name::parse(&event.name).map_err(|error| format!("name: {error}"))?;
    if name.as_str() != event.name {
        return Err(format!("name: not canonical; send {name}"));
    }
    if event.client.parse::<std::net::IpAddr>().is_err() {
        return Err("client: no IP address".into());
    }
    if event.door.is_empty()
        || event.door.len() > 16
        || !event.door.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        return Err("door: 1 to 16 letters and digits".into());
    }
    if event.seq == 0 || event.seq > i64::MAX as u64 || event.time_ms > 1 << 52 || event.took_us > 1 << 52 {
        return Err("seq: from 1; time_ms and took_us: below 2^52".into());
    }
    Ok(())
}
