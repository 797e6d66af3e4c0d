//! Who is asking: login with argon2id, session cookies, bearer tokens, roles, rate limit.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use axum::Json;
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Problem};
use crate::control::{now_ms, secret};
use crate::store::control::{AuditRow, Identity, Role};

/// Name of the session cookie.
const COOKIE: &str = "dnsvet_session";
/// How long a session lasts, milliseconds.
const SESSION_MS: u64 = 12 * 3_600_000;
/// Failed logins a minute from one address, and for one user.
const FAILURES_PER_ADDRESS: u32 = 5;
const FAILURES_PER_USER: u32 = 30;
/// Addresses and users that the limiter remembers.
const LIMITER_ENTRIES: usize = 10_000;

/// Failed logins of the last minute.
#[derive(Default)]
pub struct Limiter {
    failures: Mutex<HashMap<Failed, (u64, u32)>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Failed {
    From(IpAddr),
    As(String),
}

impl Limiter {
    /// Seconds to wait before another try is looked at, or none.
    fn wait_s(&self, address: IpAddr, user: &str, now_ms: u64) -> Option<u64> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = |key: Failed, most: u32| {
            let (since, count) = failures.get(&key)?;
            let ends = since + 60_000;
            (*count >= most && now_ms < ends).then(|| (ends - now_ms).div_ceil(1000))
        };
        wait(Failed::From(address), FAILURES_PER_ADDRESS)
            .max(wait(Failed::As(user.to_owned()), FAILURES_PER_USER))
    }

    fn failed(&self, address: IpAddr, user: &str, now_ms: u64) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, (since, _)| *since + 60_000 > now_ms);
        if failures.len() >= LIMITER_ENTRIES {
            return;
        }
        for key in [Failed::From(address), Failed::As(user.to_owned())] {
            failures.entry(key).or_insert((now_ms, 0)).1 += 1;
        }
    }
}

/// `POST /api/v1/login`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    user: String,
    password: String,
}

/// Opens a session; its cookie can't be read by scripts nor sent by other sites.
pub async fn login(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    login: Result<Json<Login>, axum::extract::rejection::JsonRejection>,
) -> Result<Response, Problem> {
    let Json(login) =
        login.map_err(|_| Problem::bad_request("send {\"user\": ..., \"password\": ...} as JSON"))?;
    let now = now_ms();
    if let Some(seconds) = api.limiter.wait_s(peer.ip(), &login.user, now) {
        let detail = format!("too many failed logins; try again in {seconds} s");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(seconds));
    }
    let user = api.control.state().user(&login.user)?;
    let identity = user.as_ref().map(|user| user.identity.clone());
    let right = secret::verify(login.password, user.map(|user| user.password)).await;
    let Some(identity) = identity.filter(|_| right) else {
        api.limiter.failed(peer.ip(), &login.user, now);
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "user or password is wrong"));
    };
    let (session, hash) = secret::fresh();
    api.control.state().open_session(&hash, &identity.name, now + SESSION_MS)?;
    let line = AuditRow {
        time_ms: now,
        author: identity.name.clone(),
        what: "login".into(),
        detail: peer.ip().to_string(),
    };
    api.control.state().audit(identity.tenant, &line)?;
    let cookie =
        format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}", SESSION_MS / 1000);
    let mut response = Json(who(&identity)).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Ends the session.
pub async fn logout(State(api): State<Api>, headers: HeaderMap) -> Result<Response, Problem> {
    if let Some(session) = cookie(&headers) {
        api.control.state().close_session(&secret::hash(session))?;
    }
    let gone = HeaderValue::from_static("dnsvet_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok(([(header::SET_COOKIE, gone)], StatusCode::NO_CONTENT).into_response())
}

/// Who is logged in.
pub async fn me(Viewer(identity): Viewer) -> Json<Value> {
    Json(who(&identity))
}

fn who(identity: &Identity) -> Value {
    json!({"user": identity.name, "role": identity.role.as_str()})
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

fn identify(api: &Api, parts: &Parts) -> Result<Identity, Problem> {
    let bearer = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some(token) = bearer
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
    {
        return api.control.state().token(&secret::hash(token.1.trim()))?.ok_or_else(Problem::unauthorized);
    }
    let session = cookie(&parts.headers).ok_or_else(Problem::unauthorized)?;
    let identity =
        api.control.state().session(&secret::hash(session), now_ms())?.ok_or_else(Problem::unauthorized)?;
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    if !reads && !parts.headers.contains_key("x-dnsvet-csrf") {
        return Err(Problem::forbidden("a write with a session needs the field `x-dnsvet-csrf: 1`"));
    }
    Ok(identity)
}

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident: $allows:expr, $wants:literal;)+) => {$(
        $(#[$doc])*
        pub struct $name(pub Identity);

        impl FromRequestParts<Api> for $name {
            type Rejection = Problem;

            async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
                let identity = identify(api, parts)?;
                let allows: fn(Role) -> bool = $allows;
                if allows(identity.role) {
                    return Ok(Self(identity));
                }
                let role = identity.role.as_str();
                Err(Problem::forbidden(format!("this needs the role {}; yours is {role}", $wants)))
            }
        }
    )+};
}

roles! {
    /// A plugin, or an admin who looks at what plugins get.
    Filter: |role| matches!(role, Role::Filter | Role::Admin), "filter";
    /// Anybody who may look.
    Viewer: |role| role >= Role::Viewer, "viewer";
    /// Anybody who may decide.
    Vetter: |role| role >= Role::Vetter, "vetter";
    /// An administrator.
    Admin: |role| role == Role::Admin, "admin";
}
