//! Snapshots and deltas, as filters fetch them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_snapshot_is_served_with_validators_and_ranges() {
    let server = Server::start(&[("block:plain:a.txt", "evil.example\n")]).await;
    let token = format!("Bearer {}", server.control.plugin_token());
    let ask = async |method: Method, fields: &[(&str, &str)]| {
        let fields: Vec<_> =
            [("authorization", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        server.ask(method, "/v1/snapshot", &fields, "").await
    };
    let whole = ask(Method::GET, &[]).await;
    let etag = whole.field(header::ETAG).to_owned();
    let opened = Snapshot::open(whole.body.clone(), &[]).unwrap();
    assert_eq!((whole.status, etag.clone()), (StatusCode::OK, format!("\"{}\"", opened.id())));
    assert_eq!(opened.lookup(&Name::parse("www.evil.example").unwrap()).len(), 1);
    let same = ask(Method::GET, &[("if-none-match", &etag)]).await;
    assert_eq!((same.status, same.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let part = ask(Method::GET, &[("range", "bytes=8-15"), ("if-range", &etag)]).await;
    assert_eq!((part.status, part.body), (StatusCode::PARTIAL_CONTENT, whole.body.slice(8..16)));
    assert_eq!(part.headers[header::CONTENT_RANGE], format!("bytes 8-15/{}", whole.body.len()));
    let other = ask(Method::GET, &[("range", "bytes=8-15"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status, other.body), (StatusCode::OK, whole.body.clone()));
    let past = ask(Method::GET, &[("range", "bytes=99999999-")]).await;
    assert_eq!(past.status, StatusCode::RANGE_NOT_SATISFIABLE);
    let head = ask(Method::HEAD, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.field(header::CONTENT_LENGTH), whole.body.len().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_is_served_from_a_serial_that_was_served_here() {
    let text: String = (0..20_000u32).map(|i| format!("n{i}.example\n")).collect();
    let server = Server::start(&[("block:plain:a.txt", &text)]).await;
    let token = format!("Bearer {}", server.control.plugin_token());
    let ask = async |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> =
            [("authorization", token.as_str())].into_iter().chain(fields.iter().copied()).collect();
        server.ask(Method::GET, path, &fields, "").await
    };
    let old = Snapshot::open(ask("/v1/snapshot", &[]).await.body, &[]).unwrap();
    let from = format!("/v1/snapshot/delta?from={}", old.serial());
    let etag = format!("\"{}\"", old.id());
    assert_eq!(ask(&from, &[("if-none-match", &etag)]).await.status, StatusCode::NOT_MODIFIED);
    let body = json!({"name": "decided.example", "decision": "malicious"});
    server.post("/api/v1/vetting", &server.token(Role::Vetter), &body).await;
    let delta = ask(&from, &[("if-none-match", &etag)]).await;
    assert_eq!(delta.status, StatusCode::OK);
    assert_ne!(delta.field(header::ETAG), etag);
    assert!(delta.body.len() < 8_192, "{}", delta.body.len());
    let unknown = ask("/v1/snapshot/delta?from=4000000000", &[]).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    assert!(unknown.json()["detail"].as_str().unwrap().contains("fetch ranges"), "{:?}", unknown.body);
    assert_eq!(ask("/v1/snapshot/delta?from=x", &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(ask("/v1/snapshot/delta", &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(server.get(&from, "wrong").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_is_waited_for_as_long_as_the_filter_prefers() {
    let server = Server::start(&[("block:plain:a.txt", "evil.example\n")]).await;
    let token = format!("Bearer {}", server.control.plugin_token());
    let ask = async |path: &str, etag: &str, prefer: &str| {
        let fields = [("authorization", token.as_str()), ("if-none-match", etag), ("prefer", prefer)];
        server.ask(Method::GET, path, &fields, "").await
    };
    let old = ask("/v1/snapshot", "", "").await;
    let (serial, etag) =
        (Snapshot::open(old.body.clone(), &[]).unwrap().serial(), old.field(header::ETAG).to_owned());
    let from = format!("/v1/snapshot/delta?from={serial}");
    let start = Instant::now();
    let nothing = ask(&from, &etag, "return=minimal, wait=1").await;
    assert_eq!(nothing.status, StatusCode::NOT_MODIFIED);
    assert_eq!(nothing.headers["preference-applied"], "wait");
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let start = Instant::now();
    let vetter = server.token(Role::Vetter);
    let body = json!({"name": "decided.example", "decision": "malicious"});
    let decide = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.post("/api/v1/vetting", &vetter, &body).await
    };
    let (news, _) = tokio::join!(ask(&from, &etag, "wait=20"), decide);
    assert_eq!(news.status, StatusCode::OK);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(ask(&from, &etag, "wait=20").await.status, StatusCode::OK, "there is something already");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

/// Drives a core feed against the server until it has nothing to ask; the last snapshot it made ready.
async fn drive(server: &Server, feed: &mut Feed, now_ms: u64) -> Option<Snapshot> {
    let mut ready = None;
    while let Some(callout) = feed.next_request(now_ms) {
        let fields: Vec<(&str, &str)> =
            callout.headers.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let answer = server.ask(callout.method.parse().unwrap(), &callout.path, &fields, callout.body).await;
        let headers = answer.headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned()));
        let reply = dnsvet_core::host::Reply {
            status: answer.status.as_u16(),
            headers: headers.collect(),
            body: answer.body.to_vec(),
        };
        match feed.on_reply(&reply, now_ms) {
            FeedStep::Ready(snapshot) => ready = Some(snapshot),
            FeedStep::Refused(error) => panic!("refused: {error}"),
            FeedStep::Idle | FeedStep::More | FeedStep::Swapped(_) => {}
        }
    }
    ready
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_among_100_000_names_reaches_a_feed_in_one_small_request() {
    let text: String =
        (0..100_000u32).map(|i| format!("n{:x}.example\n", i.wrapping_mul(2_654_435_761))).collect();
    let server = Server::start(&[("block:plain:many.txt", &text)]).await;
    let config = FeedConfig { token: server.control.plugin_token().to_owned(), ..FeedConfig::default() };
    let mut feed = Feed::new(config, None);
    let first = drive(&server, &mut feed, 0).await.expect("a first snapshot");
    assert_eq!(first.name_count(), 100_000);
    let name = Name::parse("fresh.decided.example").unwrap();
    assert!(first.vetted(&name).is_none());

    let started = Instant::now();
    let body = json!({"name": "decided.example", "decision": "malicious"});
    let answer = server.post("/api/v1/vetting", &server.token(Role::Vetter), &body).await;
    let took = started.elapsed();
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    println!("100,000 names: a decision is served after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(5), "{took:?}");

    let second = drive(&server, &mut feed, 10_000).await.expect("another snapshot");
    assert!(second.serial() > first.serial());
    assert_eq!(second.vetted(&name).unwrap().decision, Vetted::Malicious);
    assert_eq!(second.vetted(&name).unwrap().author, "token:vetter");
    assert_eq!(answer.json()["serial"], second.serial());
    let body = json!({"name": "decided.example", "decision": "none"});
    server.post("/api/v1/vetting", &server.token(Role::Vetter), &body).await;
    let third = drive(&server, &mut feed, 20_000).await.unwrap();
    assert!(third.vetted(&name).is_none());
}
