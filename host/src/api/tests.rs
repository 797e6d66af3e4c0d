//! The API over real HTTP: who is let in, what filters get, how soon a decision is served.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use dnsvet_core::event::{Batch, Event};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Decision as Vetted, Feed, FeedConfig, FeedStep, Snapshot};
use dnsvet_core::verdict::{Action, Reason, Step, TraceLine, Verdict};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Api, ControlSocket, MAX_BODY_BYTES, ask_socket};
use crate::commands::check;
use crate::config::{Config, ListConfig};
use crate::control::subscription::tests::server as publisher;
use crate::control::{Control, SNAPSHOT_FILE, now_ms, secret};
use crate::store::control::Role;
use crate::store::{Search, Tenant};

mod feed;
mod lists;
mod models;
mod names;
mod vetting;

struct Server {
    folder: tempfile::TempDir,
    control: Arc<Control>,
    /// What the configuration file would say now.
    config: Arc<Mutex<Config>>,
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    ending: watch::Sender<bool>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    fn field(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    async fn start(lists: &[(&str, &str)]) -> Self {
        Self::start_with(lists, |_| (), |_| None).await
    }

    /// The same, with a filter that checks names.
    async fn start_with_filter(lists: &[(&str, &str)]) -> Self {
        Self::start_with(lists, |_| (), |control| Some(check::live(control.clone(), "", None))).await
    }

    async fn start_with(
        lists: &[(&str, &str)],
        configure: impl FnOnce(&mut Config),
        checker: impl FnOnce(&Arc<Control>) -> Option<super::Checker>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: folder.path().join("data"), ..Config::default() };
        for (spec, text) in lists {
            let path = folder.path().join(spec.rsplit(':').next().unwrap());
            std::fs::write(&path, text).unwrap();
            let prefix = spec.rsplit_once(':').map_or(String::new(), |(prefix, _)| format!("{prefix}:"));
            config.lists.push(format!("{prefix}{}", path.display()).parse().unwrap());
        }
        configure(&mut config);
        let file = Arc::new(Mutex::new(config.clone()));
        let read = file.clone();
        let control = Control::start(&config, Box::new(move || Ok(read.lock().unwrap().clone()))).unwrap();
        let mut published = control.watch();
        published.wait_for(Option::is_some).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (ending, ended) = watch::channel(false);
        let socket = ControlSocket::bind(&config.data_dir).unwrap();
        let api = Api::new(control.clone(), checker(&control), ended);
        tokio::spawn(api.serve(listener, socket));
        let client = Client::builder(TokioExecutor::new()).build_http();
        let server = Self { folder, control, config: file, address, client, ending };
        while server.get("/healthz", "").await.status != StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(Method::GET, path, &[("authorization", &format!("Bearer {token}"))], "").await
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        let fields = [("authorization", &*format!("Bearer {token}")), ("content-type", "application/json")];
        self.ask(Method::POST, path, &fields, body.to_string()).await
    }

    fn token(&self, role: Role) -> String {
        self.token_of(role.as_str(), role)
    }

    fn token_of(&self, label: &str, role: Role) -> String {
        let (token, hash) = secret::fresh();
        self.control.state().set_token(Tenant::DEFAULT, &hash, label, role, now_ms()).unwrap();
        token
    }

    async fn login(&self, user: &str, password: &str) -> Answer {
        let body = json!({"user": user, "password": password}).to_string();
        self.ask(Method::POST, "/api/v1/login", &[("content-type", "application/json")], body).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.ending.send(true);
    }
}

fn event(seq: u64, name: &str, reason: Reason) -> Event {
    let unsure = reason == Reason::NotConfident;
    let action = if reason == Reason::List { Action::Nxdomain } else { Action::Allow };
    let verdict = Verdict {
        action,
        would: None,
        reasons: vec![reason],
        rule: None,
        score: Some(0.5),
        model: None,
        group: "default".into(),
        snapshot: "0011223344556677".into(),
        ttl_s: 0,
        own: Default::default(),
        trace: vec![TraceLine {
            step: Step::Lists,
            said: format!("{name} <b>&amp;").into(),
            decided: true,
            score: None,
        }],
    };
    let (name, client, door) = (name.into(), "10.0.0.7".into(), "udp".into());
    Event { seq, time_ms: now_ms(), client, name, qtype: 1, door, verdict, not_confident: unsure, took_us: 9 }
}

fn batch(events: Vec<Event>) -> Value {
    serde_json::to_value(Batch { source: "node/1/1".into(), dropped: 0, events }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_route_lets_in_its_roles_and_nobody_else() {
    let server = Server::start(&[("block:plain:a.txt", "evil.example\n")]).await;
    let vet = json!({"name": "x.example", "decision": "benign"});
    let token = json!({"label": "t", "role": "viewer"});
    let events = batch(vec![]);
    let ask = json!({"name": "x.example"});
    let promote = json!({"name": "seed", "even_so": true});
    let challenge = json!({"name": "large"});
    let undo = json!({"author": "nobody", "since_ms": 0});
    let vet_all = json!({"names": ["x.example"], "decision": "benign"});
    let routes: [(&str, &str, &Value, &[Role]); 24] = [
        ("GET", "/v1/snapshot", &Value::Null, &[Role::Filter, Role::Admin]),
        ("POST", "/v1/events", &events, &[Role::Filter, Role::Admin]),
        ("GET", "/api/v1/lists", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/models", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/models/registry", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("POST", "/api/v1/models/promote", &promote, &[Role::Admin]),
        ("POST", "/api/v1/models/rollback", &Value::Null, &[Role::Admin]),
        ("POST", "/api/v1/models/challenge", &challenge, &[Role::Admin]),
        ("POST", "/api/v1/models/rebase", &Value::Null, &[Role::Admin]),
        ("GET", "/api/v1/me", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/queries", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/name?name=x.example", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/names?side=benign", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/overview", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/vetting", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/audit", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("POST", "/api/v1/vetting", &vet, &[Role::Vetter, Role::Admin]),
        ("GET", "/api/v1/vetting/rows", &Value::Null, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("POST", "/api/v1/vetting/clusters", &vet_all, &[Role::Vetter, Role::Admin]),
        ("POST", "/api/v1/vetting/undo", &undo, &[Role::Admin]),
        ("POST", "/api/v1/unblock-requests", &ask, &[Role::Viewer, Role::Vetter, Role::Admin]),
        ("POST", "/api/v1/tokens", &token, &[Role::Admin]),
        ("POST", "/api/v1/reload", &Value::Null, &[Role::Admin]),
        ("GET", "/api/v1/check?name=x.example", &Value::Null, &[]),
    ];
    let tokens =
        [Role::Filter, Role::Viewer, Role::Vetter, Role::Admin].map(|role| (role, server.token(role)));
    for (method, path, body, allowed) in routes {
        let ask = async |token: &str| match method {
            "GET" => server.get(path, token).await,
            _ => server.post(path, token, body).await,
        };
        let answer = server
            .ask(method.parse().unwrap(), path, &[("content-type", "application/json")], body.to_string())
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} without a token");
        assert_eq!(answer.field(header::CONTENT_TYPE), "application/problem+json");
        assert_eq!(ask("wrong").await.status, StatusCode::UNAUTHORIZED, "{path} with a wrong token");
        for (role, token) in &tokens {
            let status = ask(token).await.status;
            match (allowed.contains(role), path.starts_with("/api/v1/check")) {
                (true, _) => assert!(status.is_success(), "{path} as {role:?}: {status}"),
                (false, true) if *role >= Role::Viewer => assert_eq!(status, StatusCode::NOT_IMPLEMENTED),
                (false, _) => assert_eq!(status, StatusCode::FORBIDDEN, "{path} as {role:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_needs_the_password_and_its_writes_a_field_no_foreign_page_can_send() {
    let server = Server::start(&[]).await;
    let password = server.control.first_password().unwrap().unwrap();
    assert_eq!(server.login("admin", "wrong").await.status, StatusCode::UNAUTHORIZED);
    let answer = server.login("admin", &password).await;
    assert_eq!((answer.status, answer.json()["role"].as_str()), (StatusCode::OK, Some("admin")));
    let cookie = answer.field(header::SET_COOKIE);
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let body = json!({"name": "x.example", "decision": "malicious"}).to_string();
    let with = |extra: &'static [(&'static str, &'static str)]| {
        let mut fields = vec![("cookie", cookie.as_str()), ("content-type", "application/json")];
        fields.extend(extra);
        fields
    };
    let me = server.ask(Method::GET, "/api/v1/me", &with(&[]), "").await;
    assert_eq!(me.json()["user"], "admin");
    let refused = server.ask(Method::POST, "/api/v1/vetting", &with(&[]), body.clone()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let taken = server.ask(Method::POST, "/api/v1/vetting", &with(&[("x-dnsvet-csrf", "1")]), body).await;
    assert_eq!(taken.status, StatusCode::OK, "{:?}", taken.body);
    assert_eq!(
        server.ask(Method::POST, "/api/v1/logout", &with(&[]), "").await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(server.ask(Method::GET, "/api/v1/me", &with(&[]), "").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_logins_are_slowed_down() {
    let server = Server::start(&[]).await;
    for _ in 0..5 {
        assert_eq!(server.login("admin", "wrong").await.status, StatusCode::UNAUTHORIZED);
    }
    let password = server.control.first_password().unwrap().unwrap();
    let answer = server.login("admin", &password).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "even with the right password");
    let wait: u64 = answer.field(header::RETRY_AFTER).parse().unwrap();
    assert!((1..=60).contains(&wait));
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_logins_are_slowed_down_like_those_one_after_another() {
    let server = Server::start(&[]).await;
    let tries = futures_util::future::join_all((0..12).map(|_| server.login("admin", "wrong"))).await;
    let looked_at = tries.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED).count();
    assert_eq!(looked_at, 5);
    for (user, password) in [("u".repeat(65), "x".to_owned()), ("admin".to_owned(), "x".repeat(1_025))] {
        assert_eq!(server.login(&user, &password).await.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_model_scored_is_shown_with_the_characters_that_made_the_score() {
    let server = Server::start_with_filter(&[("block:plain:l.txt", "listed.example\n")]).await;
    let viewer = server.token(Role::Viewer);
    let checked = server.get("/api/v1/check?name=Xk3jq-Login.example", &viewer).await.json();
    let attribution = &checked["attribution"];
    let model = &checked["verdict"]["model"];
    assert_eq!((&attribution["name"], &attribution["model"]), (&json!("xk3jq-login.example"), model));
    let small = dnsvet_models::registry::Registry::bundled().get("small").unwrap();
    let logit = f64::from(small.model().unwrap().logit("xk3jq-login.example"));
    let bytes: Vec<f64> =
        attribution["bytes"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    assert_eq!(bytes.len(), "xk3jq-login.example".len());
    let sum = bytes.iter().sum::<f64>() + attribution["rest"].as_f64().unwrap();
    assert!((sum - logit).abs() < 0.01, "{attribution}, {logit}");
    let listed = server.get("/api/v1/check?name=listed.example", &viewer).await.json();
    assert!(listed["verdict"]["action"] == "nxdomain" && listed.get("attribution").is_none(), "{listed}");

    let mut scored = event(1, "xk3jq-login.example", Reason::NotConfident);
    scored.verdict.model = model.as_str().map(str::to_owned);
    let mut by_another = event(2, "xk3jq-login.example", Reason::NotConfident);
    by_another.verdict.model = Some("small@00000000".into());
    let mut of_another = event(3, "xk3jq-login.example", Reason::Budget);
    of_another.verdict.model = scored.verdict.model.clone();
    let token = server.control.plugin_token().to_owned();
    let sent = batch(vec![scored, by_another, of_another]);
    assert_eq!(server.post("/v1/events", &token, &sent).await.status, StatusCode::NO_CONTENT);
    let page = server.get("/api/v1/queries?name=xk3jq", &viewer).await.json();
    for item in page["items"].as_array().unwrap() {
        assert!(item.get("attribution").is_none(), "not for a whole page");
        let opened =
            server.get(&format!("/api/v1/queries/{}", item["id"].as_str().unwrap()), &viewer).await.json();
        let expected = if item["seq"] == 1 { attribution } else { &Value::Null };
        assert_eq!(opened.get("attribution").unwrap_or(&Value::Null), expected, "{item}");
    }
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_stored_once_and_found_with_their_trace() {
    let server = Server::start(&[]).await;
    let token = server.control.plugin_token().to_owned();
    let sent =
        batch(vec![event(1, "evil.example", Reason::List), event(2, "odd.example", Reason::NotConfident)]);
    for _ in 0..2 {
        assert_eq!(server.post("/v1/events", &token, &sent).await.status, StatusCode::NO_CONTENT);
    }
    let viewer = server.token(Role::Viewer);
    let page = server.get("/api/v1/queries?name=evil&action=blocked&since=1h", &viewer).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["next"], Value::Null);
    let item = &page["items"][0];
    assert_eq!(
        (&item["name"], &item["verdict"]["action"], &item["client"]),
        (&json!("evil.example"), &json!("nxdomain"), &json!("10.0.0.7"))
    );
    assert_eq!(item["trace"][0]["said"], "evil.example <b>&amp;");
    assert_eq!(item["score"], 0.5);
    let one = server.get(&format!("/api/v1/queries/{}", item["id"].as_str().unwrap()), &viewer).await.json();
    assert_eq!(&one, item);
    let vetting = server.get("/api/v1/vetting", &viewer).await.json();
    assert_eq!(vetting["waiting"][0]["name"], "odd.example");
    let decide = json!({"name": "odd.example", "decision": "benign"});
    server.post("/api/v1/vetting", &server.token(Role::Vetter), &decide).await;
    let vetting = server.get("/api/v1/vetting", &viewer).await.json();
    assert_eq!(vetting["waiting"], json!([]), "a decided name waits no more");
    assert_eq!(vetting["decided"][0]["author"], "token:vetter");
    let overview = server.get("/api/v1/overview", &viewer).await.json();
    assert_eq!((&overview["queries"], &overview["blocked"]), (&json!(2), &json!(1)));
    let metrics = server.get("/metrics", "").await;
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(
        text.contains("dnsvet_events_stored_total 2") && text.contains("dnsvet_events_known_total 2"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_read_once_for_all_who_ask_within_a_moment() {
    let server = Server::start(&[]).await;
    let (filter, viewer) = (server.control.plugin_token().to_owned(), server.token(Role::Viewer));
    let waiting = async |seq: u64, name: &str| {
        let sent = batch(vec![event(seq, name, Reason::NotConfident)]);
        server.post("/v1/events", &filter, &sent).await;
        server.get("/api/v1/vetting", &viewer).await.json()["waiting"].as_array().unwrap().len()
    };
    let started = Instant::now();
    let counts = (waiting(1, "one.example").await, waiting(2, "two.example").await);
    assert!(counts == (1, 1) || started.elapsed() > Duration::from_secs(2), "{counts:?}");
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(waiting(3, "three.example").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_clock_that_is_wrong_is_stored_as_of_now() {
    let server = Server::start(&[]).await;
    let ahead = Event { time_ms: now_ms() + 86_400_000, ..event(1, "ahead.example", Reason::Model) };
    let late = Event { time_ms: 1_000, ..event(2, "late.example", Reason::Model) };
    let sent = batch(vec![ahead, late]);
    assert_eq!(
        server.post("/v1/events", server.control.plugin_token(), &sent).await.status,
        StatusCode::NO_CONTENT
    );
    let search = Search { limit: 2, ..Search::default() };
    let page = server.control.store().search(Tenant::DEFAULT, &search).unwrap();
    let [late, ahead] = [&page.items[0].event, &page.items[1].event];
    assert_eq!((ahead.name.as_str(), late.time_ms), ("ahead.example", 1_000));
    assert!(ahead.time_ms <= now_ms() + 5 * 60_000, "{}", ahead.time_ms);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() {
    let server = Server::start(&[]).await;
    let (filter, admin) = (server.control.plugin_token().to_owned(), server.token(Role::Admin));
    let mut bad_name = batch(vec![event(1, "ok.example", Reason::List)]);
    bad_name["events"][0]["name"] = json!("Not Canonical");
    let mut bad_client = batch(vec![event(1, "ok.example", Reason::List)]);
    bad_client["events"][0]["client"] = json!("nobody");
    for (body, told) in
        [(bad_name, "events[0].name"), (bad_client, "events[0].client"), (json!({"x": 1}), "no batch")]
    {
        let answer = server.post("/v1/events", &filter, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{:?}", answer.body);
    }
    let large = vec![b' '; MAX_BODY_BYTES + 1];
    let answer = server
        .ask(Method::POST, "/v1/events", &[("authorization", &format!("Bearer {filter}"))], large)
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    for (path, told) in [
        ("/api/v1/queries?action=explode", "action=explode"),
        ("/api/v1/queries?reason=moon", "reason=moon"),
        ("/api/v1/queries?since=yesterday", "15m"),
        ("/api/v1/queries?limit=0", "1 to 1000"),
        ("/api/v1/queries?cursor=x", "cursor"),
        ("/api/v1/queries?nmae=x", "nmae"),
    ] {
        let answer = server.get(path, &admin).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{:?}", answer.body);
    }
    for (name, told) in [
        ("com", "public suffix"),
        ("github.io", "public suffix"),
        ("a..b", "empty label"),
        ("", "empty"),
        ("a b.example", "can't stand"),
    ] {
        let answer =
            server.post("/api/v1/vetting", &admin, &json!({"name": name, "decision": "malicious"})).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{name:?}");
        assert!(answer.json()["detail"].as_str().unwrap().contains(told), "{:?}", answer.body);
    }
    assert_eq!(server.get("/api/v1/nothing", &admin).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/v1/queries/77", &admin).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_list_is_reported_with_file_and_line_and_stays_as_it_was_read_last() {
    let server = Server::start(&[("block:plain:a.txt", "evil.example\nnot a name\n")]).await;
    let admin = server.token(Role::Admin);
    let lists = server.get("/api/v1/overview", &admin).await.json()["snapshot"]["lists"].clone();
    assert_eq!((&lists[0]["entries"], &lists[0]["rejected"]), (&json!(1), &json!(1)));
    assert!(lists[0]["first_rejected"].as_str().unwrap().contains("a.txt:2"), "{lists}");
    std::fs::remove_file(server.folder.path().join("a.txt")).unwrap();
    let answer = server.post("/api/v1/reload", &admin, &Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "the other lists go on");
    let listed = |name: &str| {
        let snapshot = Snapshot::open(server.control.published().unwrap().bytes.clone(), &[]).unwrap();
        snapshot.lookup(&Name::parse(name).unwrap()).len()
    };
    assert_eq!(listed("evil.example"), 1);
    let lists = server.get("/api/v1/overview", &admin).await.json()["snapshot"]["lists"].clone();
    assert!(lists[0]["problem"].as_str().unwrap().contains("a.txt: No such file"), "{lists}");
    assert_eq!(lists[0]["entries"], json!(1));
    let vet = json!({"name": "x.example", "decision": "benign"});
    assert_eq!(server.post("/api/v1/vetting", &admin, &vet).await.status, StatusCode::OK, "vetting goes on");
    std::fs::write(server.folder.path().join("a.txt"), "other.example\n").unwrap();
    assert_eq!(server.post("/api/v1/reload", &admin, &Value::Null).await.status, StatusCode::OK);
    assert_eq!([listed("other.example"), listed("evil.example")], [1, 0]);
    let snapshot = Snapshot::open(server.control.published().unwrap().bytes.clone(), &[]).unwrap();
    assert!(snapshot.vetted(&Name::parse("x.example").unwrap()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_frees_a_name_is_told_of_the_mandatory_lists_that_hold_it() {
    let court = ("mandatory:adblock:court.txt", "||court.example^\n@@||free.example^\n");
    let server = Server::start(&[court, ("block:plain:ads.txt", "ads.example\n")]).await;
    let vetter = server.token(Role::Vetter);
    for (name, decision, lists) in [
        ("court.example", "benign", json!(["court"])),
        ("www.court.example", "benign", json!(["court"])),
        ("court.example", "malicious", json!([])),
        ("free.example", "benign", json!([])),
        ("ads.example", "benign", json!([])),
    ] {
        let vet = json!({"name": name, "decision": decision});
        let answer = server.post("/api/v1/vetting", &vetter, &vet).await.json();
        assert_eq!(answer["mandatory"], lists, "{name} {decision}");
    }
    let unblock = |for_s: u64| json!({"name": "court.example", "for_s": for_s});
    let answer = server.post("/api/v1/unblocks", &vetter, &unblock(60)).await.json();
    assert_eq!(answer["mandatory"], json!(["court"]));
    let answer = server.post("/api/v1/unblocks", &vetter, &unblock(0)).await.json();
    assert_eq!(answer["mandatory"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_the_configuration_again() {
    let server = Server::start(&[("block:plain:a.txt", "evil.example\n")]).await;
    let path = server.folder.path().join("b.txt");
    std::fs::write(&path, "second.example\n").unwrap();
    server.config.lock().unwrap().lists.push(format!("block:plain:{}", path.display()).parse().unwrap());
    let answer = server.post("/api/v1/reload", &server.token(Role::Admin), &Value::Null).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let listed = |server: &Server| {
        let snapshot = Snapshot::open(server.control.published().unwrap().bytes.clone(), &[]).unwrap();
        snapshot.lookup(&Name::parse("second.example").unwrap()).len()
    };
    assert_eq!(listed(&server), 1);
    server.config.lock().unwrap().lists.pop();
    let socket = server.control.socket_path();
    let asked = tokio::task::spawn_blocking(move || ask_socket(&socket, "/reload", &json!({})).unwrap());
    assert_eq!((asked.await.unwrap().status, listed(&server)), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_vets_without_a_password_and_only_for_its_owner() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&[]).await;
    let socket = server.control.socket_path();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = async |body: Value| {
        let socket = socket.clone();
        tokio::task::spawn_blocking(move || ask_socket(&socket, "/vetting", &body).unwrap()).await.unwrap()
    };
    let reply = ask(json!({"name": "Bücher.example", "decision": "honeypot", "scope": "exact"})).await;
    assert_eq!(
        (reply.status, reply.body["name"].as_str()),
        (200, Some("xn--bcher-kva.example")),
        "{reply:?}"
    );
    let snapshot = Snapshot::open(server.control.published().unwrap().bytes.clone(), &[]).unwrap();
    let vetted = snapshot.vetted(&Name::parse("xn--bcher-kva.example").unwrap()).unwrap();
    assert_eq!((vetted.decision, vetted.exact, vetted.author.as_str()), (Vetted::Honeypot, true, "local"));
    assert_eq!(ask(json!({"name": "x.example", "decision": "perhaps"})).await.status, 400);
    let second = ControlSocket::bind(&server.data()).unwrap_err().to_string();
    assert!(second.contains("control.sock: another dnsvet runs"), "{second}");
}

#[derive(clap::Parser)]
struct ListsCommand {
    #[command(flatten)]
    lists: crate::commands::lists::Args,
}

/// Runs `dnsvet lists` on the data folder, as a process beside the server would.
async fn lists_command(server: &Server, words: &[&str]) -> Result<ExitCode, String> {
    let data = server.data().display().to_string();
    let words: Vec<String> = ["lists"].iter().chain(words).map(|word| (*word).to_owned()).collect();
    let run = move || {
        let words = words.into_iter().chain(["--data-dir".to_owned(), data]);
        let command = <ListsCommand as clap::Parser>::try_parse_from(words).map_err(|e| e.to_string())?;
        crate::commands::lists::run(command.lists).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_looked_after_over_the_socket() {
    let server = Server::start(&[]).await;
    assert_eq!(lists_command(&server, &["update"]).await, Ok(ExitCode::SUCCESS), "none are configured");
    let text = Arc::new(Mutex::new("a.example\nb.example\nc.example\n"));
    let served = text.clone();
    let publisher = publisher::Server::start(move |_| publisher::ok(&[], *served.lock().unwrap()));
    let mut list: ListConfig = format!("plain:{}", publisher.url("/ads.txt")).parse().unwrap();
    list.allow_private = true;
    server.config.lock().unwrap().lists.push(list);
    server.control.reload().unwrap();
    let status = async || {
        let socket = server.control.socket_path();
        let ask = move || ask_socket(&socket, "/lists/status", &json!({})).unwrap().body;
        tokio::task::spawn_blocking(ask).await.unwrap()["lists"][0].clone()
    };
    assert_eq!(lists_command(&server, &["update"]).await, Ok(ExitCode::SUCCESS));
    let ads = status().await;
    assert_eq!((&ads["name"], &ads["entries"], &ads["problem"]), (&json!("ads"), &json!(3), &Value::Null));
    assert!(ads["last_fetched_ms"].is_u64() && ads["next_fetch_ms"].is_u64(), "{ads}");
    let listed = |name: &str| {
        let snapshot = Snapshot::open(server.control.published().unwrap().bytes.clone(), &[]).unwrap();
        snapshot.is_listed(&Name::parse(name).unwrap())
    };
    assert!(listed("b.example"));

    *text.lock().unwrap() = "a.example\n";
    assert_eq!(lists_command(&server, &["update", "ads"]).await, Ok(ExitCode::FAILURE), "it is kept back");
    let held = status().await["kept_back"].clone();
    assert_eq!(held["why"], json!("it shrank from 3 rules to 1"));
    assert!(listed("b.example"), "the old copy stays in force");
    let overview = server.get("/api/v1/overview", &server.token(Role::Viewer)).await.json();
    assert_eq!(overview["snapshot"]["lists"][0]["kept_back"], held);
    assert_eq!(lists_command(&server, &["accept", "ads"]).await, Ok(ExitCode::SUCCESS));
    assert!(!listed("b.example") && listed("a.example"));
    assert!(lists_command(&server, &["accept", "ads"]).await.unwrap_err().contains("nothing of the list"));
    assert!(lists_command(&server, &["update", "adds"]).await.unwrap_err().contains("there are: ads"));
    assert_eq!(lists_command(&server, &["status", "--json"]).await, Ok(ExitCode::SUCCESS));
    let audit = server.control.state().audit_trail(Tenant::DEFAULT, 9).unwrap();
    assert!(audit.iter().any(|line| line.what == "list accepted" && line.detail == "ads"), "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_readable_by_their_owner_only_and_the_serial_rises_over_a_restart() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&[]).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.data()), 0o700);
    let databases = ["control.db", "control.db-wal", "control.db-shm", "events.db", "events.db-wal"];
    for file in ["plugin.token", "snapshot.key"].into_iter().chain(databases) {
        assert_eq!(mode(&server.data().join(file)), 0o600, "{file}");
    }
    let before = server.control.published().unwrap();
    let token = server.control.plugin_token().to_owned();
    assert!(server.control.first_password().unwrap().is_some());
    let config = Config { data_dir: server.data(), ..Config::default() };
    let again = Control::start(&config.clone(), Box::new(move || Ok(config.clone()))).unwrap();
    assert_eq!(again.plugin_token(), token);
    assert_eq!(again.first_password().unwrap(), None, "printed once");
    let mut published = again.watch();
    let next =
        published.wait_for(|p| p.as_ref().is_some_and(|p| p.serial > before.serial)).await.unwrap().clone();
    assert!(next.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serial_rises_over_the_loss_of_the_control_planes_state() {
    let server = Server::start(&[]).await;
    for _ in 0..3 {
        let control = server.control.clone();
        tokio::task::spawn_blocking(move || control.reload()).await.unwrap().unwrap();
    }
    let data = server.folder.path().join("restored");
    std::fs::create_dir(&data).unwrap();
    for file in ["snapshot.key", "names.key", SNAPSHOT_FILE] {
        std::fs::copy(server.data().join(file), data.join(file)).unwrap();
    }
    let config = Config { data_dir: data, ..Config::default() };
    let again = Control::start(&config.clone(), Box::new(move || Ok(config.clone()))).unwrap();
    let before = again.published().expect("the last good snapshot").serial;
    let next = tokio::task::spawn_blocking(move || again.reload()).await.unwrap().unwrap();
    assert!(next.serial > before && before > 1, "{} after {before}", next.serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_tell_browsers_to_be_careful() {
    let server = Server::start(&[]).await;
    for path in ["/", "/api/v1/me", "/queries"] {
        let answer = server.get(path, "").await;
        assert!(answer.field(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"), "{path}");
        assert_eq!(answer.field(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.field(header::X_FRAME_OPTIONS), "DENY");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_screen_of_a_name_is_a_page_though_a_name_has_dots_as_a_file_has() {
    let server = Server::start(&[]).await;
    for path in ["/name/www.shop.example", "/name/%5C060script%5C062.example", "/malicious"] {
        let page = server.get(path, "").await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.field(header::CONTENT_TYPE).starts_with("text/html"), "{path}");
        assert!(
            !String::from_utf8_lossy(&page.body).contains("060script"),
            "nothing of the path is in the page"
        );
    }
    assert_eq!(server.get("/api/v1/name/x.example", "").await.status, StatusCode::NOT_FOUND);
}
