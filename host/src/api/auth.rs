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
/// The time that failed logins count for.
const MINUTE_MS: u64 = 60_000;
/// Addresses and users that the limiter remembers; past them it forgets the oldest.
const LIMITER_ENTRIES: usize = 10_000;

/// Logins of the last minute that failed or are still being checked.
#[derive(Default)]
pub struct Limiter {
    attempts: Mutex<HashMap<Attempt, (u64, u32)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Attempt {
    From(IpAddr),
    As(String),
}

impl Attempt {
    /// What an attempt counts for. Whoever has one IPv6 address has its whole /64.
    fn keys(address: IpAddr, user: &str) -> [(Attempt, u32); 2] {
        let network = match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::from((v6.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
            v4 => v4,
        };
        [(Attempt::From(network), FAILURES_PER_ADDRESS), (Attempt::As(user.to_owned()), FAILURES_PER_USER)]
    }
}

impl Limiter {
    /// Counts an attempt before its password is looked at, so that parallel ones can't pass together. `Err`
    /// with the seconds to wait if there were too many.
    fn begin(&self, address: IpAddr, user: &str, now_ms: u64) -> Result<(), u64> {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.retain(|_, (since, _)| *since + MINUTE_MS > now_ms);
        let keys = Attempt::keys(address, user);
        let wait = |(key, most): &(Attempt, u32)| {
            let (since, _) = attempts.get(key).filter(|(_, count)| count >= most)?;
            Some((since + MINUTE_MS - now_ms).div_ceil(1000))
        };
        if let Some(seconds) = keys.iter().filter_map(wait).max() {
            return Err(seconds);
        }
        for (key, _) in keys {
            while attempts.len() >= LIMITER_ENTRIES && !attempts.contains_key(&key) {
                let oldest = attempts.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| key.clone());
                oldest.and_then(|oldest| attempts.remove(&oldest));
            }
            attempts.entry(key).or_insert((now_ms, 0)).1 += 1;
        }
        Ok(())
    }

    /// Takes an attempt back: its password was right.
    fn succeeded(&self, address: IpAddr, user: &str) {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, _) in Attempt::keys(address, user) {
            if let Some((_, count)) = attempts.get_mut(&key) {
                *count = count.saturating_sub(1);
            }
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
    if login.user.len() > secret::MAX_USER_BYTES || login.password.len() > secret::MAX_PASSWORD_BYTES {
        let (user, password) = (secret::MAX_USER_BYTES, secret::MAX_PASSWORD_BYTES);
        let detail = format!("a user has at most {user} bytes, a password {password}");
        return Err(Problem::bad_request(detail));
    }
    let now = now_ms();
    if let Err(seconds) = api.limiter.begin(peer.ip(), &login.user, now) {
        let detail = format!("too many failed logins; try again in {seconds} s");
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after(seconds));
    }
    let user = api.control.state().user(&login.user)?;
    let identity = user.as_ref().map(|user| user.identity.clone());
    let right = secret::verify(login.password, user.map(|user| user.password)).await;
    let Some(identity) = identity.filter(|_| right) else {
        tracing::warn!(client = %peer.ip(), "a login failed");
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "user or password is wrong"));
    };
    api.limiter.succeeded(peer.ip(), &login.user);
    let (session, hash) = secret::fresh();
    api.control.state().open_session(&hash, &identity.name, now + SESSION_MS, now)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_count_from_their_start_and_a_right_password_takes_one_back() {
        let limiter = Limiter::default();
        let from: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..5 {
            limiter.begin(from, "ana", 1_000).unwrap();
        }
        assert_eq!(limiter.begin(from, "ana", 1_000), Err(60), "five are under way");
        assert_eq!(limiter.begin("::ffff:192.0.2.1".parse().unwrap(), "ana", 30_500), Err(31));
        limiter.succeeded(from, "ana");
        limiter.begin(from, "ana", 2_000).unwrap();
        limiter.begin(from, "ana", 61_000).unwrap();
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let limiter = Limiter::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for host in 1..=5 {
            limiter.begin(address(&format!("2001:db8::{host}:1")), &format!("u{host}"), 0).unwrap();
        }
        assert!(limiter.begin(address("2001:db8::ffff:0:0:1"), "u6", 0).is_err());
        limiter.begin(address("2001:db8:0:1::1"), "u6", 0).unwrap();
    }

    #[test]
    fn a_full_limiter_forgets_the_oldest_and_counts_on() {
        let limiter = Limiter::default();
        for number in 0..LIMITER_ENTRIES as u32 {
            let from = IpAddr::from(number.to_be_bytes());
            limiter.begin(from, &format!("old{number}"), u64::from(number / 100)).unwrap();
        }
        let fresh: IpAddr = "2001:db8::1".parse().unwrap();
        for number in 0..5 {
            limiter.begin(fresh, &format!("user{number}"), 1_000).unwrap();
        }
        assert!(limiter.begin(fresh, "other", 1_000).is_err());
        assert!(limiter.attempts.lock().unwrap().len() <= LIMITER_ENTRIES);
    }
}
