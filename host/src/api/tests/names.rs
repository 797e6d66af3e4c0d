//! Names over the API: the story of one, rankings, and a registry that is asked once.

use super::*;

const HOUR_MS: u64 = 3_600_000;

async fn with_events(events: Vec<Event>) -> (Server, String) {
    let server = Server::start(&[]).await;
    let sent = server.post("/v1/events", server.control.plugin_token(), &batch(events)).await;
    assert_eq!(sent.status, StatusCode::NO_CONTENT, "{:?}", sent.body);
    let token = server.token(Role::Vetter);
    (server, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_a_name_has_its_counts_its_decision_and_its_relatives() {
    let events = vec![
        event(1, "www.shop.example", Reason::Model),
        event(2, "www.shop.example", Reason::List),
        event(3, "img.shop.example", Reason::NotConfident),
    ];
    let (server, token) = with_events(events).await;
    let decide = json!({"name": "shop.example", "decision": "benign"});
    assert_eq!(server.post("/api/v1/vetting", &token, &decide).await.status, StatusCode::OK);
    let story = server.get("/api/v1/name?name=WWW.Shop.Example.&since=1h&step=minute", &token).await.json();
    assert_eq!((&story["name"], &story["known"]), (&json!("www.shop.example"), &json!(true)));
    assert_eq!((&story["queries"], &story["registrable"]), (&json!(2), &json!("shop.example")));
    assert_eq!(story["clients"], json!([["10.0.0.7", 2, 1]]));
    assert_eq!(story["related"], json!([["img.shop.example", 1, 0]]));
    assert_eq!(
        (&story["decision"]["name"], &story["decision"]["author"]),
        (&json!("shop.example"), &json!("token:vetter"))
    );
    assert_eq!(story["last"]["verdict"]["action"], "nxdomain");
    let first = story["first_ms"].as_u64().unwrap();
    assert!(now_ms() - first < HOUR_MS, "{first}");
    // The list behind the numbers holds as many.
    let behind = server.get("/api/v1/queries?name=shop.example&exact=true", &token).await.json();
    assert!(behind["items"].as_array().unwrap().is_empty(), "nobody asked for exactly that");
    let until = story["until_ms"].as_u64().unwrap();
    let path = format!("/api/v1/queries?name=www.shop.example&exact=true&until={until}");
    assert_eq!(server.get(&path, &token).await.json()["items"].as_array().unwrap().len(), 2);
    let path = format!("/api/v1/queries?name=www.shop.example&exact=true&until={first}");
    assert!(server.get(&path, &token).await.json()["items"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_nobody_asked_for_may_be_looked_at_and_what_is_none_is_refused() {
    let (server, token) = with_events(Vec::new()).await;
    let story = server.get("/api/v1/name?name=never.example", &token).await.json();
    assert_eq!(
        (&story["known"], &story["queries"], &story["last"]),
        (&json!(false), &json!(0), &Value::Null)
    );
    for bad in [
        "name=a..example",
        "name=x.example&step=second",
        "name=x.example&since=2h&until=3h",
        "name=x.example&since=7d&step=minute",
        "name=x.example&unknown=1",
    ] {
        let answer = server.get(&format!("/api/v1/name?{bad}"), &token).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {:?}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_json_here_and_text_in_a_file() {
    // As a filter writes `<script>` and a right-to-left override: everything but letters, digits, - and _ is escaped.
    let script = "\\060script\\062.example";
    let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
    let names =
        [script, "-1cmd.example", "\\226\\128\\174moc.example", "xn--80ak6aa92e.example", long.as_str()];
    let events = names.iter().zip(1..).map(|(name, seq)| event(seq, name, Reason::List)).collect();
    let (server, token) = with_events(events).await;
    for name in names {
        let query: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let story = server.get(&format!("/api/v1/name?name={query}"), &token).await;
        assert_eq!(story.json()["name"], name, "{:?}", story.body);
        assert_eq!(story.json()["queries"], 1);
    }
    let file = server.get("/api/v1/names?side=malicious&format=csv", &token).await;
    assert!(file.field(header::CONTENT_TYPE).starts_with("text/csv"));
    assert!(file.field(header::CONTENT_DISPOSITION).contains("dnsvet-malicious.csv"));
    let text = String::from_utf8(file.body.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 1 + names.len());
    assert!(text.contains("\"'-1cmd.example\",\"1\",\"1\",\"nxdomain\""), "no formula: {text}");
    assert!(text.lines().skip(1).all(|line| !line.starts_with("\"-") && !line.starts_with("\"=")));
}

#[tokio::test(flavor = "multi_thread")]
async fn rankings_put_each_name_on_one_side() {
    let mut unsure = event(1, "odd.example", Reason::NotConfident);
    unsure.verdict.score = Some(0.7);
    let events =
        vec![unsure, event(2, "evil.example", Reason::List), event(3, "good.example", Reason::Model)];
    let (server, token) = with_events(events).await;
    let names = async |side: &str| {
        let ranking = server.get(&format!("/api/v1/names?side={side}&since=1h"), &token).await.json();
        let names =
            ranking["names"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names("malicious").await, ["evil.example", "odd.example"]);
    assert_eq!(names("benign").await, ["good.example"]);
    for bad in ["side=ugly", "side=benign&limit=0", "side=benign&limit=1001", "side=benign&format=xls", ""] {
        let answer = server.get(&format!("/api/v1/names?{bad}"), &token).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}");
    }
}

/// A domain object as registries write it.
const RECORD: &str = r#"{"objectClassName":"domain","ldhName":"shop.example","status":["active","client hold"],
  "events":[{"eventAction":"registration","eventDate":"2026-11-20T08:00:00Z"},
    {"eventAction":"expiration","eventDate":"2027-11-20T08:00:00Z"}],
  "entities":[{"roles":["registrar"],"vcardArray":["vcard",[["version",{},"text","4.0"],
    ["fn",{},"text","<b>Registrar</b> Ltd"]]]}],
  "nameservers":[{"ldhName":"ns1.shop.example"},{"ldhName":"ns2.shop.example"}]}"#;

async fn with_registry(
    answer: impl Fn(&publisher::Seen) -> http::Response<publisher::Body> + Send + Sync + 'static,
) -> (Server, publisher::Server, String) {
    let registry = publisher::Server::start(answer);
    let base = registry.url("/rdap");
    let server = Server::start_with(&[], |config| config.rdap = base, |_| None).await;
    let token = server.token(Role::Vetter);
    (server, registry, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_asked_by_a_vetter_once_for_a_registrable_domain() {
    let (server, registry, token) = with_registry(|seen| match seen.path.as_str() {
        "/rdap/domain/shop.example" => publisher::redirect(302, "/registry/domain/shop.example"),
        "/registry/domain/shop.example" => {
            publisher::ok(&[("content-type", "application/rdap+json")], RECORD)
        }
        _ => publisher::status(404, &[], publisher::body("{}")),
    })
    .await;
    let ask =
        async |name: &str, token: &str| server.post("/api/v1/rdap", token, &json!({"name": name})).await;
    let viewer = server.token(Role::Viewer);
    assert_eq!(ask("www.shop.example", &viewer).await.status, StatusCode::FORBIDDEN);
    server.get("/api/v1/name?name=www.shop.example", &token).await;
    assert!(registry.seen().is_empty(), "looking at a name asks nobody");
    let first = ask("www.shop.example", &token).await.json();
    assert_eq!(
        (&first["name"], &first["registrar"]),
        (&json!("shop.example"), &json!("<b>Registrar</b> Ltd"))
    );
    assert_eq!(first["status"], json!(["active", "client hold"]));
    assert_eq!((&first["registered"], &first["cached"]), (&json!("2026-11-20T08:00:00Z"), &json!(false)));
    assert_eq!(first["nameservers"], json!(["ns1.shop.example", "ns2.shop.example"]));
    assert!(registry.seen()[0].field("accept").starts_with("application/rdap+json"));
    let again = ask("img.shop.example", &token).await.json();
    assert_eq!((&again["cached"], &again["expires"]), (&json!(true), &first["expires"]));
    assert_eq!(registry.seen().len(), 2, "one question and its redirect");
    let none = ask("free.example", &token).await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.json()["detail"].as_str().unwrap().contains("no record of `free.example`"));
    assert_eq!(ask("localhost", &token).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_is_spared_and_one_that_fails_says_why() {
    let (server, registry, token) = with_registry(|_| publisher::ok(&[], "<html>not here</html>")).await;
    let ask = async |name: String| server.post("/api/v1/rdap", &token, &json!({"name": name})).await;
    for n in 0..10 {
        let answer = ask(format!("n{n}.example")).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
        assert!(answer.json()["detail"].as_str().unwrap().contains("no RDAP record"), "{:?}", answer.body);
    }
    let spared = ask("n11.example".into()).await;
    assert_eq!(spared.status, StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=61).contains(&spared.field(header::RETRY_AFTER).parse::<u64>().unwrap()));
    assert_eq!(registry.seen().len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_or_off_or_inside_is_an_error_with_its_reason() {
    for (base, status, why) in [
        ("", StatusCode::NOT_IMPLEMENTED, "switched off"),
        ("ftp://rdap.example/", StatusCode::INTERNAL_SERVER_ERROR, "no http or https URL"),
        ("http://127.0.0.1:1/", StatusCode::BAD_GATEWAY, "can't connect to 127.0.0.1:1"),
        ("https://127.0.0.1:1/", StatusCode::BAD_GATEWAY, "loopback address"),
    ] {
        let server = Server::start_with(&[], |config| config.rdap = base.into(), |_| None).await;
        let answer =
            server.post("/api/v1/rdap", &server.token(Role::Vetter), &json!({"name": "a.example"})).await;
        assert_eq!(answer.status, status, "{base}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(why), "{base}: {detail}");
    }
}
