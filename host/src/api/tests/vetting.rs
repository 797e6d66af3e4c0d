//! Vetting over real HTTP: what one person alone can't do, what two can, and what an admin takes back.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::bundled;

/// Two popularity lists that both hold `popular0.example` to `popular9.example`.
fn popular() -> [(&'static str, &'static str); 2] {
    const NAMES: &str = "popular0.example\npopular1.example\npopular2.example\npopular3.example\npopular4.example\n\
        popular5.example\npopular6.example\npopular7.example\npopular8.example\npopular9.example\n";
    [("popular:plain:p.txt", NAMES), ("popular:plain:q.txt", NAMES)]
}

fn malicious(name: &str) -> Value {
    json!({"name": name, "decision": "malicious"})
}

impl Server {
    async fn vet(&self, token: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.post("/api/v1/vetting", token, body).await;
        (answer.status, answer.json())
    }

    fn vetted(&self, name: &str) -> Option<Vetted> {
        let published = self.control.published().unwrap();
        published.opened.vetted(&Name::parse(name).unwrap()).map(|vetted| vetted.decision)
    }

    async fn waiting(&self, events: Vec<Event>) -> Value {
        let sent = self.post("/v1/events", self.control.plugin_token(), &batch(events)).await;
        assert_eq!(sent.status, StatusCode::NO_CONTENT, "{:?}", sent.body);
        self.get("/api/v1/vetting", &self.token_of("watcher", Role::Viewer)).await.json()
    }

    fn audited(&self, what: &str) -> Vec<String> {
        let trail = self.control.state().audit_trail(Tenant::DEFAULT, 5_000).unwrap();
        trail.into_iter().filter(|line| line.what == what).map(|line| line.detail).collect()
    }
}

/// Names that are in both of the bundled popularity lists.
fn bundled_popular(count: usize) -> Vec<String> {
    let lists: Vec<BTreeSet<String>> = bundled::lists()
        .iter()
        .filter(|list| list.role == dnsvet_core::snapshot::Role::Popular)
        .map(|list| String::from_utf8(list.text().unwrap()).unwrap().lines().map(str::to_owned).collect())
        .collect();
    let both = lists[0].intersection(&lists[1]);
    let domain = |name: &&String| Name::parse(name).unwrap().registrable_domain() == Some(name.as_str());
    both.filter(domain).step_by(20).take(count).cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_poisoning_script_changes_nothing_and_one_undo_takes_it_away() {
    let server = Server::start_with_filter(&[]).await;
    let vetter = server.token_of("mallory", Role::Vetter);
    let other = server.token_of("eve", Role::Vetter);
    let admin = server.token(Role::Admin);
    let names = bundled_popular(500);
    assert_eq!(names.len(), 500);
    let verdicts = async || {
        let mut verdicts = Vec::new();
        for name in &names {
            let checked = server.get(&format!("/api/v1/check?name={name}"), &vetter).await;
            assert_eq!(checked.status, StatusCode::OK, "{:?}", checked.body);
            let verdict = &checked.json()["verdict"];
            verdicts.push((verdict["action"].clone(), verdict["reasons"].clone()));
        }
        verdicts
    };
    let before = verdicts().await;
    let since_ms = now_ms();
    let serial = server.control.published().unwrap().serial;
    for name in &names {
        let (status, body) = server.vet(&vetter, &malicious(name)).await;
        assert_eq!((status, &body["state"]), (StatusCode::ACCEPTED, &json!("proposed")), "{name}: {body}");
        assert_eq!(body["why"], "popular", "{name}");
    }
    assert!(verdicts().await == before, "a verdict changed");
    assert_eq!(server.control.published().unwrap().serial, serial, "a proposal costs no compile");
    let shown = server.get("/api/v1/vetting", &other).await.json();
    let proposed: BTreeSet<&str> =
        shown["proposed"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(proposed, names.iter().map(String::as_str).collect());
    assert_eq!((&shown["proposals"], &shown["decided"]), (&json!(500), &json!([])));

    let undo = json!({"author": "token:mallory", "since_ms": since_ms});
    let undone = server.post("/api/v1/vetting/undo", &admin, &undo).await.json();
    assert_eq!(undone["proposals"].as_array().unwrap().len(), 500, "{undone}");
    let shown = server.get("/api/v1/vetting", &other).await.json();
    assert_eq!((&shown["proposed"], &shown["proposals"]), (&json!([]), &json!(0)));

    // Two people together may.
    let name = &names[250];
    server.vet(&vetter, &malicious(name)).await;
    let confirm = json!({"name": name});
    let own = server.post("/api/v1/vetting/confirm", &vetter, &confirm).await;
    assert_eq!(own.status, StatusCode::CONFLICT);
    assert!(own.json()["detail"].as_str().unwrap().contains("another person"), "{:?}", own.body);
    let confirmed = server.post("/api/v1/vetting/confirm", &other, &confirm).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{:?}", confirmed.body);
    assert_eq!(confirmed.json()["decided"][0]["confirmed_by"], "token:eve");
    let after = verdicts().await;
    let changed: Vec<usize> = (0..names.len()).filter(|at| after[*at] != before[*at]).collect();
    assert_eq!(changed, [250]);
    assert_eq!(after[250], (json!("nxdomain"), json!(["vetted"])));
    server.post("/api/v1/vetting/undo", &admin, &undo).await;
    assert!(verdicts().await == before, "undone like any other");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_author_blocks_twenty_names_and_requests_side_by_side_do_not_slip_past() {
    let server = Server::start(&popular()).await;
    let (vetter, admin) = (server.token(Role::Vetter), server.token(Role::Admin));
    let bodies: Vec<Value> = (0..30).map(|n| malicious(&format!("n{n}.example"))).collect();
    let answers = join_all(bodies.iter().map(|body| server.vet(&vetter, body))).await;
    let of = |status| answers.iter().filter(|answer| answer.0 == status).count();
    assert_eq!((of(StatusCode::OK), of(StatusCode::ACCEPTED)), (20, 10));
    let proposed = answers.iter().find(|answer| answer.0 == StatusCode::ACCEPTED).unwrap();
    assert_eq!(proposed.1["why"], "many");
    assert!(proposed.1["detail"].as_str().unwrap().contains("20 names within 10 minutes"), "{}", proposed.1);
    let blocked = (0..30).filter(|n| server.vetted(&format!("n{n}.example")).is_some()).count();
    assert_eq!(blocked, 20);
    assert_eq!(
        server.vet(&vetter, &json!({"name": "free.example", "decision": "benign"})).await.0,
        StatusCode::OK
    );
    assert_eq!(server.vet(&admin, &malicious("other.example")).await.0, StatusCode::OK, "another author");

    let shown = server.get("/api/v1/vetting", &admin).await.json();
    let names: Vec<&Value> = shown["proposed"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    let confirmed = server.post("/api/v1/vetting/confirm", &admin, &json!({"names": names})).await;
    assert_eq!(confirmed.status, StatusCode::OK, "{:?}", confirmed.body);
    assert_eq!((0..30).filter(|n| server.vetted(&format!("n{n}.example")).is_some()).count(), 30);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_is_the_only_person_decides_alone_and_the_audit_trail_says_so() {
    let server = Server::start(&popular()).await;
    let (vetter, admin) = (server.token(Role::Vetter), server.token(Role::Admin));
    let body = json!({"name": "www.popular1.example", "decision": "honeypot", "alone": true});
    assert_eq!(server.vet(&vetter, &body).await.0, StatusCode::FORBIDDEN);
    assert_eq!(server.vetted("www.popular1.example"), None);
    let (status, answer) = server.vet(&admin, &body).await;
    assert_eq!((status, &answer["state"]), (StatusCode::OK, &json!("in_force")), "{answer}");
    assert_eq!(server.vetted("www.popular1.example"), Some(Vetted::Honeypot));
    assert_eq!(server.audited("vet alone"), ["www.popular1.example honeypot (before: none)"]);
    assert_eq!(server.vet(&admin, &malicious("popular2.example")).await.0, StatusCode::ACCEPTED);
    let own = json!({"name": "popular2.example", "alone": true});
    assert_eq!(server.post("/api/v1/vetting/confirm", &admin, &own).await.status, StatusCode::OK);
    assert_eq!(server.vetted("popular2.example"), Some(Vetted::Malicious));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_decided_in_one_step_and_one_snapshot() {
    let server = Server::start(&popular()).await;
    let vetter = server.token(Role::Vetter);
    let names =
        ["x1y2z.top", "q9w8e.top", "p0o9i.top", "k3j4h.top", "m5n6b.top", "a.evil.example", "b.evil.example"];
    let events = names.iter().zip(1..).map(|(name, seq)| event(seq, name, Reason::NotConfident)).collect();
    let shown = server.waiting(events).await;
    let first = &shown["waiting"][0];
    for part in ["uncertainty", "novelty", "priority"] {
        assert!(first[part].as_f64().is_some_and(|part| part > 0.0 && part <= 1.0), "{first}");
    }
    assert_eq!((&first["clients"], &first["queries"]), (&json!(1), &json!(1)));
    let clusters = shown["clusters"].as_array().unwrap();
    let kinds: Vec<&Value> = clusters.iter().map(|cluster| &cluster["kind"]).collect();
    assert_eq!(kinds, ["shape", "domain"], "{shown}");
    assert_eq!((clusters[0]["names"].as_array().unwrap().len(), &clusters[0]["clients"]), (5, &json!(1)));
    let serial = server.control.published().unwrap().serial;
    let decide = json!({"id": clusters[0]["id"], "decision": "malicious", "scope": "exact"});
    let answer = server.post("/api/v1/vetting/clusters", &vetter, &decide).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    assert_eq!(answer.json()["in_force"].as_array().unwrap().len(), 5);
    assert_eq!(server.control.published().unwrap().serial, serial + 1);
    assert_eq!(names.iter().filter(|name| server.vetted(name) == Some(Vetted::Malicious)).count(), 5);
    assert_eq!(server.vetted("www.x1y2z.top"), None);
    assert_eq!((server.audited("vet").len(), server.audited("vet together").len()), (5, 1));
    let gone = server.post("/api/v1/vetting/clusters", &vetter, &decide).await;
    assert_eq!(gone.status, StatusCode::NOT_FOUND, "its names are decided");
    let shown = server.get("/api/v1/vetting", &vetter).await.json();
    assert_eq!(
        (shown["waiting"].as_array().unwrap().len(), shown["clusters"].as_array().unwrap().len()),
        (2, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_names_are_decided_all_or_none_and_within_the_limits() {
    let server = Server::start(&popular()).await;
    let vetter = server.token(Role::Vetter);
    let all = async |names: &[&str], decision: &str| {
        let body = json!({"names": names, "decision": decision});
        let answer = server.post("/api/v1/vetting/clusters", &vetter, &body).await;
        (answer.status, answer.json())
    };
    let (status, told) = all(&["good.example", "com"], "malicious").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{told}");
    assert_eq!(server.vetted("good.example"), None);
    assert_eq!(all(&[], "benign").await.0, StatusCode::BAD_REQUEST);
    let both = json!({"id": "x", "names": [], "decision": "benign"});
    assert_eq!(server.post("/api/v1/vetting/clusters", &vetter, &both).await.status, StatusCode::BAD_REQUEST);
    let many: Vec<String> = (0..24).map(|n| format!("n{n}.example")).collect();
    let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
    many.extend(["popular3.example", "n1.example"]);
    let (status, told) = all(&many, "malicious").await;
    assert_eq!((status, &told["state"]), (StatusCode::ACCEPTED, &json!("proposed")), "{told}");
    let count = |field: &str| told[field].as_array().unwrap().len();
    assert_eq!((count("in_force"), count("proposed")), (20, 5));
    assert_eq!(told["proposed"][4]["why"], "popular");
    assert_eq!(all(&many, "benign").await.0, StatusCode::OK, "to free them needs nobody");
    assert_eq!(server.get("/api/v1/vetting", &vetter).await.json()["proposals"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn someone_who_was_blocked_asks_and_a_vetter_decides() {
    let server = Server::start(&[("block:plain:a.txt", "shop.example\nnews.example\n")]).await;
    let (viewer, vetter) = (server.token(Role::Viewer), server.token(Role::Vetter));
    let ask = async |body: Value| server.post("/api/v1/unblock-requests", &viewer, &body).await;
    ask(json!({"name": "Shop.example.", "note": "for work"})).await;
    let again = ask(json!({"name": "shop.example"})).await.json();
    assert_eq!((&again["asked"], &again["note"]), (&json!(2), &json!("for work")));
    for name in ["news.example", "x.example"] {
        assert_eq!(ask(json!({"name": name})).await.status, StatusCode::OK);
    }
    for bad in [
        json!({"name": "com"}),
        json!({"name": "a..b"}),
        json!({"name": "y.example", "note": "x".repeat(501)}),
    ] {
        assert_eq!(ask(bad).await.status, StatusCode::BAD_REQUEST);
    }
    let listed = server.get("/api/v1/vetting", &viewer).await.json();
    assert_eq!(
        (listed["requests"].as_array().unwrap().len(), &listed["requests"][0]["name"]),
        (3, &json!("shop.example"))
    );
    let decide = async |token: &str, body: Value| {
        server.post("/api/v1/unblock-requests/decide", token, &body).await.status
    };
    let grant = json!({"name": "shop.example", "decision": "relief", "for_s": 60});
    assert_eq!(decide(&viewer, grant.clone()).await, StatusCode::FORBIDDEN);
    assert_eq!(decide(&vetter, grant.clone()).await, StatusCode::OK);
    assert_eq!(decide(&vetter, grant).await, StatusCode::NOT_FOUND, "it is decided");
    assert_eq!(decide(&vetter, json!({"name": "news.example", "decision": "benign"})).await, StatusCode::OK);
    assert_eq!(decide(&vetter, json!({"name": "x.example", "decision": "deny"})).await, StatusCode::OK);
    assert_eq!(server.control.reliefs(Tenant::DEFAULT).unwrap()[0].name, "shop.example");
    assert_eq!(server.vetted("news.example"), Some(Vetted::Benign));
    assert_eq!(server.vetted("x.example"), None);
    let listed = server.get("/api/v1/unblock-requests", &viewer).await.json();
    assert_eq!(listed["requests"], json!([]));
    assert_eq!(
        (server.audited("unblock request").len(), server.audited("unblock request decided").len()),
        (3, 3)
    );
}

#[derive(clap::Parser)]
struct VetCommand {
    #[command(flatten)]
    vet: crate::commands::vet::Args,
}

/// Runs `dnsvet vet` on the data folder, as a process beside the server would.
async fn vet_command(server: &Server, words: &str) -> Result<ExitCode, String> {
    let data = server.data().display().to_string();
    let words: Vec<String> = ["vet"].into_iter().chain(words.split(' ')).map(str::to_owned).collect();
    let run = move || {
        let words = words.into_iter().chain(["--data-dir".to_owned(), data]);
        let command = <VetCommand as clap::Parser>::try_parse_from(words).map_err(|e| e.to_string())?;
        crate::commands::vet::run(command.vet).map_err(|error| error.to_string())
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_ends_with_1_where_it_only_proposes_and_is_one_person() {
    let server = Server::start(&popular()).await;
    let vetter = server.token(Role::Vetter);
    let (done, waits) = (Ok(ExitCode::SUCCESS), Ok(ExitCode::FAILURE));
    assert_eq!(vet_command(&server, "plain.example malicious").await, done);
    assert_eq!(server.vetted("plain.example"), Some(Vetted::Malicious));
    assert_eq!(vet_command(&server, "popular4.example malicious").await, waits);
    assert_eq!(server.vetted("popular4.example"), None);
    let own = vet_command(&server, "popular4.example --confirm").await.unwrap_err();
    assert!(own.contains("another person"), "{own}");
    assert_eq!(vet_command(&server, "popular4.example --deny").await, done);
    assert_eq!(vet_command(&server, "popular4.example malicious --alone").await, done);
    assert_eq!(server.vetted("popular4.example"), Some(Vetted::Malicious));

    assert_eq!(server.vet(&vetter, &malicious("popular5.example")).await.0, StatusCode::ACCEPTED);
    assert_eq!(vet_command(&server, "popular5.example --confirm").await, done);
    assert_eq!(server.vetted("popular5.example"), Some(Vetted::Malicious));
    assert_eq!(vet_command(&server, "--undo-since 1h --author token:vetter").await, done);
    assert_eq!((server.vetted("popular5.example"), server.vetted("plain.example").is_some()), (None, true));

    // The owner of the data folder writes lists as well: numbers alone wait for nobody.
    for at in 0..25 {
        assert_eq!(vet_command(&server, &format!("n{at}.example malicious")).await, done, "{at}");
    }
    assert_eq!(server.vetted("n24.example"), Some(Vetted::Malicious));
}

#[tokio::test(flavor = "multi_thread")]
async fn training_rows_are_the_decisions_in_force_and_never_proposals() {
    let server = Server::start(&popular()).await;
    let (vetter, viewer) = (server.token(Role::Vetter), server.token(Role::Viewer));
    let events =
        vec![event(1, "asked.example", Reason::NotConfident), event(2, "listed.example", Reason::List)];
    server.waiting(events).await;
    server.vet(&vetter, &malicious("bad.example")).await;
    server.vet(&vetter, &malicious("popular6.example")).await;
    server.vet(&vetter, &json!({"name": "good.example", "decision": "benign", "scope": "exact"})).await;
    let rows = server.get("/api/v1/vetting/rows", &viewer).await;
    assert!(rows.field(header::CONTENT_TYPE).starts_with("text/tab-separated-values"));
    let text = String::from_utf8(rows.body.to_vec()).unwrap();
    let columns: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').take(3).collect()).collect();
    let mut sorted = columns.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [["bad.example", "malicious", "token:vetter"], ["good.example", "benign", "token:vetter"]]
    );
    let one = server.get("/api/v1/vetting/rows?per_author=1", &viewer).await;
    assert_eq!(String::from_utf8(one.body.to_vec()).unwrap().lines().count(), 1);
    let file = server.folder.path().join("rows.tsv");
    let command = format!("--export {}", file.display());
    assert_eq!(vet_command(&server, &command).await, Ok(ExitCode::SUCCESS));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}
