//! Promotion and rollback over the API: who may, what is served then, what is refused.

use dnsvet_core::model::{Calibration, Model, Spec, Thresholds};
use dnsvet_models::registry::Registry;

use super::*;

/// The model that comes with dnsvet, under another name and calibration, in a registry.
fn add(registry: &Path, name: &str, change: impl FnOnce(&mut Spec)) -> String {
    let small = Registry::bundled().get("small").unwrap();
    let mut spec = Spec { name: name.into(), ..small.manifest.spec() };
    change(&mut spec);
    let artifact = small.with_spec(spec).unwrap();
    artifact.store(registry, "").unwrap();
    artifact.manifest.id
}

/// Blocks nothing.
fn quiet(spec: &mut Spec) {
    spec.thresholds.block_above = 1.0;
}

/// Blocks nearly every name.
fn loud(spec: &mut Spec) {
    spec.calibration = Calibration { intercept: 60.0, ..spec.calibration };
    spec.thresholds = Thresholds { allow_below: 0.5, block_above: 0.9 };
}

async fn with_registry() -> (Server, std::path::PathBuf) {
    let server = Server::start(&[("block:plain:a.txt", "evil.example\n")]).await;
    let registry = server.folder.path().join("registry");
    std::fs::create_dir(&registry).unwrap();
    server.config.lock().unwrap().models.registry = registry.clone();
    let control = server.control.clone();
    tokio::task::spawn_blocking(move || control.reload()).await.unwrap().unwrap();
    (server, registry)
}

/// The model in the snapshot that is served.
fn served(control: &Control) -> String {
    let published = control.published().unwrap();
    Model::decode(published.opened.small_model().unwrap()).unwrap().id().to_owned()
}

fn bundled() -> String {
    Registry::bundled().get("small").unwrap().manifest.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_model_is_served_survives_a_restart_and_is_rolled_back() {
    let (server, registry) = with_registry().await;
    let quiet = add(&registry, "quiet", quiet);
    let admin = server.token(Role::Admin);
    let before = server.control.published().unwrap().serial;
    let promoted = server.post("/api/v1/models/promote", &admin, &json!({"name": "quiet"})).await;
    assert_eq!(promoted.status, StatusCode::OK, "{:?}", promoted.body);
    let promoted = promoted.json();
    assert_eq!((&promoted["to"]["id"], &promoted["from"]["id"]), (&json!(quiet), &json!(bundled())));
    assert_eq!((&promoted["author"], &promoted["even_so"]), (&json!("token:admin"), &json!(false)));
    let gate = &promoted["evidence"]["gate"];
    assert!(gate["suite_names"].as_u64() > Some(2_500) && gate["popular_names"].as_u64() > Some(30_000));
    assert_eq!((&gate["against"], served(&server.control)), (&json!(0), quiet.clone()));
    assert!(promoted["serial"].as_u64() > Some(before));

    // What was promoted stays, though the registry goes.
    std::fs::remove_dir_all(&registry).unwrap();
    let config = Config { data_dir: server.data(), ..server.config.lock().unwrap().clone() };
    let again = Control::start(&config.clone(), Box::new(move || Ok(config.clone()))).unwrap();
    let kept = again.published().unwrap().serial;
    let reloaded = again.clone();
    tokio::task::spawn_blocking(move || reloaded.reload()).await.unwrap().unwrap();
    assert!(again.published().unwrap().serial > kept);
    assert_eq!(served(&again), quiet);

    let standing = server.get("/api/v1/models", &server.token(Role::Viewer)).await.json();
    assert_eq!((&standing["in_force"]["id"], &standing["before"]["id"]), (&json!(quiet), &json!(bundled())));
    let back = server.post("/api/v1/models/rollback", &admin, &json!({})).await.json();
    assert_eq!((&back["to"]["id"], served(&server.control)), (&json!(bundled()), bundled()));
    let standing = server.get("/api/v1/models", &admin).await.json();
    assert_eq!((&standing["before"], &standing["history"].as_array().unwrap().len()), (&Value::Null, &2));
    let none = server.post("/api/v1/models/rollback", &admin, &json!({})).await;
    assert_eq!(none.status, StatusCode::CONFLICT);
    assert!(none.json()["detail"].as_str().unwrap().contains("none to go back to"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_blocks_names_which_none_may_is_refused_by_name_until_it_is_said_even_so() {
    let (server, registry) = with_registry().await;
    let loud = add(&registry, "loud", loud);
    let admin = server.token(Role::Admin);
    let refused = server.post("/api/v1/models/promote", &admin, &json!({"name": "loud"})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    // The first name of the suite that no list knows.
    assert!(detail.contains("even_so") && detail.contains("(banks)"), "{detail}");
    assert_eq!(served(&server.control), bundled());
    let standing = server.get("/api/v1/models", &admin).await.json();
    assert_eq!((&standing["in_force"]["id"], &standing["history"]), (&json!(bundled()), &json!([])));

    let asked = json!({"name": "loud", "even_so": true});
    let promoted = server.post("/api/v1/models/promote", &admin, &asked).await.json();
    assert_eq!((&promoted["even_so"], served(&server.control)), (&json!(true), loud));
    let gate = &promoted["evidence"]["gate"];
    assert!(gate["against"].as_u64() > Some(1_000), "{gate}");
    assert_eq!(gate["names"].as_array().unwrap().len(), 50);
    let trail = server.control.state().audit_trail(Tenant::DEFAULT, 1).unwrap();
    assert!(trail[0].what == "model promote" && trail[0].detail.contains("although"), "{trail:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_popular_name_that_would_newly_be_blocked_closes_the_gate_if_the_cascade_does_not_guard_it() {
    // In one list: the cascade guards names of two.
    let lists = [
        ("popular:plain:p.txt", "popular.example\nallowed.example\n"),
        ("allow:plain:a.txt", "allowed.example\n"),
    ];
    let server = Server::start(&lists).await;
    let snapshot = server.control.published().unwrap().opened.clone();
    let look = |change: fn(&mut Spec), popular: &[&str]| {
        let small = Registry::bundled().get("small").unwrap();
        let mut spec = small.manifest.spec();
        change(&mut spec);
        let model = small.with_spec(spec).unwrap().model().unwrap().clone();
        let popular: Vec<String> = popular.iter().map(|name| (*name).to_owned()).collect();
        crate::control::models::gate::look(&snapshot, &model, &popular).unwrap()
    };
    let suite = look(loud, &[]);
    assert!(suite.against > suite.suite_names / 2 && suite.popular_names == 0, "{}", suite.against);
    let gate = look(loud, &["popular.example", "allowed.example", "unknown.example"]);
    assert_eq!(gate.popular_names, 2, "the other one is in no popularity list of the snapshot");
    assert_eq!(gate.against, suite.against + 1, "what is on an allowlist is no model's to block");
    assert_eq!(look(quiet, &["popular.example"]).against, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_is_not_what_it_claims_and_one_that_is_not_there_change_nothing() {
    let (server, registry) = with_registry().await;
    add(&registry, "quiet", quiet);
    let admin = server.token(Role::Admin);
    let refused = async |body: Value, status: StatusCode| -> String {
        let answer = server.post("/api/v1/models/promote", &admin, &body).await;
        assert_eq!(answer.status, status, "{:?}", answer.body);
        assert_eq!(served(&server.control), bundled());
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    let unknown = refused(json!({"name": "quite", "even_so": true}), StatusCode::NOT_FOUND).await;
    assert!(unknown.contains("there are: quiet"), "{unknown}");
    let path = registry.join("quiet/manifest.json");
    let manifest = std::fs::read_to_string(&path).unwrap();
    let mut other: Value = serde_json::from_str(&manifest).unwrap();
    other["golden"][0]["logit"] = json!(other["golden"][0]["logit"].as_f64().unwrap() + 1.0);
    std::fs::write(&path, other.to_string()).unwrap();
    let body = json!({"name": "quiet", "even_so": true});
    let golden = refused(body.clone(), StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(golden.contains("not the model it claims to be"), "{golden}");
    std::fs::write(&path, &manifest).unwrap();
    std::fs::write(registry.join("quiet/model.dvm"), b"DVM1").unwrap();
    let hash = refused(body, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(hash.contains("does not match the hash"), "{hash}");
    let path = json!({"name": "quiet", "registry": "/"});
    assert!(refused(path, StatusCode::BAD_REQUEST).await.contains("unknown field `registry`"));
}

/// An event of a name that a filter's model scored.
fn scored(seq: u64, name: &str, uncertain: bool) -> Event {
    let reason = if uncertain { Reason::NotConfident } else { Reason::Model };
    let mut event = event(seq, name, reason);
    event.verdict.trace[0] =
        TraceLine { step: Step::Model, said: "".into(), decided: true, score: Some(0.1) };
    event
}

/// Sends fresh names, as many as are looked at in a second, until `holds`; how many were sent. `None` if it never does.
async fn send(
    server: &Server,
    seq: &mut u64,
    name: impl Fn(u64) -> (String, bool),
    holds: impl Fn(&Value) -> bool,
) -> Option<u64> {
    let (filter, viewer) = (server.control.plugin_token().to_owned(), server.token(Role::Viewer));
    for batches in 1..60 {
        let events = (*seq..*seq + 250).map(&name).zip(*seq..);
        let events = events.map(|((name, uncertain), seq)| scored(seq, &name, uncertain)).collect();
        *seq += 250;
        assert_eq!(server.post("/v1/events", &filter, &batch(events)).await.status, StatusCode::NO_CONTENT);
        tokio::time::sleep(Duration::from_millis(300)).await;
        if holds(&server.get("/api/v1/models", &viewer).await.json()["drift"]) {
            return Some(batches * 250);
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_told_everywhere_for_a_shifted_stream_and_nowhere_for_the_same_one() {
    let (server, _) = with_registry().await;
    let mut models = server.config.lock().unwrap().models.clone();
    (models.watch_names, models.watch_minutes) = (750, 0);
    server.config.lock().unwrap().models = models;
    let control = server.control.clone();
    tokio::task::spawn_blocking(move || control.reload()).await.unwrap().unwrap();
    let admin = server.token(Role::Admin);
    let text = async |path: &str| String::from_utf8(server.get(path, &admin).await.body.to_vec()).unwrap();
    let doctor = || {
        let config = server.config.lock().unwrap().clone();
        let findings = crate::commands::doctor::examine(&config);
        findings.into_iter().find(|finding| finding.check == "model").unwrap()
    };

    const SHOPS: [&str; 6] = ["garden", "book", "coffee", "bicycle", "travel", "music"];
    let usual = |seq: u64| {
        let (first, second) = (SHOPS[(seq % 6) as usize], SHOPS[(seq / 6 % 6) as usize]);
        (
            format!("www{seq}.{first}{second}.{}", ["com", "org", "de"][(seq % 3) as usize]),
            seq.is_multiple_of(50),
        )
    };
    let mut seq = 1;
    let compared = |drift: &Value| drift["last"]["names"].is_u64();
    send(&server, &mut seq, usual, compared).await.expect("a window after the baseline");
    let first = server.get("/api/v1/models", &admin).await.json()["drift"]["last"].clone();
    send(&server, &mut seq, usual, |drift| drift["last"]["time_ms"] != first["time_ms"])
        .await
        .expect("another one");
    let drift = server.get("/api/v1/models", &admin).await.json()["drift"].clone();
    assert_eq!((&drift["last"]["alarms"], &drift["has_baseline"]), (&json!([]), &json!(true)), "{drift}");
    assert!(
        text("/healthz").await.ends_with(&format!("serial={}\n", server.control.published().unwrap().serial))
    );
    assert!(text("/metrics").await.contains("dnsvet_model_drift_alarm{signal=\"score\"} 0"));
    assert_eq!(doctor().health, crate::commands::doctor::Health::Ok, "{:?}", doctor());

    let drawn = dnsvet_models::data::dga::names(20_000, 5);
    let shifted = |seq: u64| {
        let label = drawn[seq as usize % drawn.len()].split('.').next().unwrap();
        (format!("{label}{seq}.xyz"), seq.is_multiple_of(3))
    };
    let all = |drift: &Value| drift["last"]["alarms"] == json!(["score", "tld", "uncertain"]);
    send(&server, &mut seq, shifted, all).await.expect("all three alarms");
    assert!(text("/healthz").await.ends_with(" drift=score,tld,uncertain\n"));
    let metrics = text("/metrics").await;
    for signal in ["score", "tld", "uncertain"] {
        assert!(metrics.contains(&format!("dnsvet_model_drift_alarm{{signal=\"{signal}\"}} 1")), "{metrics}");
    }
    assert_eq!(
        server.get("/api/v1/overview", &admin).await.json()["drift"],
        json!(["score", "tld", "uncertain"])
    );
    let found = doctor();
    assert!(
        found.health == crate::commands::doctor::Health::Warning && found.found.contains("tld "),
        "{found:?}"
    );

    assert_eq!(server.post("/api/v1/models/rebase", &admin, &json!({})).await.status, StatusCode::OK);
    assert!(!text("/healthz").await.contains("drift"));
    send(&server, &mut seq, shifted, compared).await.expect("a window after the new baseline");
    assert_eq!(server.get("/api/v1/models", &admin).await.json()["drift"]["last"]["alarms"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_names_than_may_be_looked_at_are_counted_and_keep_nobody_waiting() {
    let server = Server::start(&[]).await;
    let filter = server.control.plugin_token().to_owned();
    for first in [1, 2_001, 4_001, 6_001] {
        let events =
            (first..first + 2_000).map(|seq| scored(seq, &format!("n{seq}.example"), false)).collect();
        assert_eq!(server.post("/v1/events", &filter, &batch(events)).await.status, StatusCode::NO_CONTENT);
    }
    let viewer = server.token(Role::Viewer);
    let mut drift = Value::Null;
    for _ in 0..100 {
        drift = server.get("/api/v1/models", &viewer).await.json()["drift"].clone();
        let count = |field: &str| drift[field].as_u64().unwrap();
        if count("looked_at") + count("passed_over") == 8_000 {
            assert!(count("passed_over") > 0 && count("looked_at") >= 1_000, "{drift}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{drift}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenger_scores_real_names_touches_nothing_and_its_promotion_says_what_it_saw() {
    let (server, registry) = with_registry().await;
    let loud = add(&registry, "loud", loud);
    let admin = server.token(Role::Admin);
    let challenge = async |body: Value| server.post("/api/v1/models/challenge", &admin, &body).await;
    let unchanged = server.control.published().unwrap().serial;
    assert_eq!(challenge(json!({"stop": true})).await.status, StatusCode::CONFLICT, "there is none");
    assert_eq!(challenge(json!({})).await.status, StatusCode::BAD_REQUEST);
    let put_up = challenge(json!({"name": "loud"})).await.json();
    assert_eq!((&put_up["model"]["id"], &put_up["author"]), (&json!(loud), &json!("token:admin")));

    let filter = server.control.plugin_token().to_owned();
    let names =
        (1..=300).map(|seq| scored(seq, &format!("corner-shop{}.example", seq % 200), false)).collect();
    assert_eq!(server.post("/v1/events", &filter, &batch(names)).await.status, StatusCode::NO_CONTENT);
    let standing = async || server.get("/api/v1/models", &admin).await.json();
    let mut saw = Value::Null;
    for _ in 0..100 {
        saw = standing().await["challenger"]["saw"].clone();
        if saw["names"] == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((&saw["names"], &saw["champion"]), (&json!(200), &json!(bundled())), "{saw}");
    let count = |field: &str| saw[field].as_u64().unwrap();
    assert_eq!(count("only_challenger_blocks") + count("both_block"), 200, "{saw}");
    assert_eq!(count("agreed"), count("both_block"), "{saw}");
    assert!(saw["challenger_examples"].as_array().unwrap().len() <= 20, "{saw}");
    let metrics = String::from_utf8(server.get("/metrics", "").await.body.to_vec()).unwrap();
    assert!(metrics.contains("\ndnsvet_challenger_names 200\n"), "{metrics}");
    assert_eq!((server.control.published().unwrap().serial, served(&server.control)), (unchanged, bundled()));

    let config = server.config.lock().unwrap().clone();
    let again = Control::start(&config.clone(), Box::new(move || Ok(config.clone()))).unwrap();
    let kept = again.models(Tenant::DEFAULT).unwrap().challenger.unwrap();
    assert!(kept.model.id == loud && kept.saw.names > 0, "{kept:?}");
    drop(again);

    let promoted =
        server.post("/api/v1/models/promote", &admin, &json!({"name": "loud", "even_so": true})).await;
    let canary = promoted.json()["evidence"]["challenger"]["saw"].clone();
    assert_eq!(canary, saw, "what it saw is recorded");
    let standing = standing().await;
    assert_eq!((&standing["challenger"], &standing["in_force"]["id"]), (&Value::Null, &json!(loud)));
    assert_eq!(standing["history"][0]["evidence"]["challenger"]["saw"]["names"], json!(200));
    assert_eq!(challenge(json!({"name": "loud"})).await.status, StatusCode::CONFLICT, "it is in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_tells_what_each_model_says_of_itself_and_what_is_wrong_with_one() {
    let (server, registry) = with_registry().await;
    let quiet = add(&registry, "quiet", quiet);
    std::fs::write(registry.join("quiet/CARD.md"), "# quiet\n\n<script>alert(1)</script>\n").unwrap();
    std::fs::create_dir(registry.join("broken")).unwrap();
    std::fs::write(registry.join("broken/manifest.json"), "{").unwrap();
    let told = server.get("/api/v1/models/registry", &server.token(Role::Viewer)).await.json();
    let [broken, described] = told["models"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&broken["name"], &broken["manifest"]), (&json!("broken"), &Value::Null));
    assert!(broken["problem"].as_str().unwrap().contains("manifest of broken"), "{broken}");
    assert_eq!((&described["manifest"]["id"], &described["filters"]), (&json!(quiet), &json!(true)));
    assert_eq!(described["manifest"]["thresholds"]["block_above"], 1.0);
    assert!(
        described["manifest"]["golden"].is_null()
            && described["card"].as_str().unwrap().starts_with("# quiet")
    );

    let bundled = Server::start(&[]).await;
    let told = bundled.get("/api/v1/models/registry", &bundled.token(Role::Viewer)).await.json();
    let names: Vec<&str> =
        told["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["large", "seed", "small"]);
    assert!(told["models"][2]["card"].as_str().unwrap().contains("# small"));
}
