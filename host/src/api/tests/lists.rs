//! Lists and policy over the API: how lists stand, what each did, who may look at them now.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn each_list_has_its_state_and_what_it_did_and_groups_tell_no_secret() {
    let secret = "0123456789abcdefghijklmnop";
    let server = Server::start_with(
        &[("block:plain:a.txt", "evil.example\nworse.example\n"), ("allow:plain:b.txt", "good.example\n")],
        |config| {
            let group = |text: &str| toml::from_str(text).unwrap();
            config.groups = vec![
                group(&format!("name = \"kids\"\nclients = [\"10.1.0.0/16\"]\npath_ids = [\"{secret}\"]\nmodels = \"enforce\"")),
                group("name = \"all\""),
            ];
        },
        |_| None,
    )
    .await;
    let admin = server.token(Role::Admin);
    let lists = server.get("/api/v1/lists", &admin).await;
    let (block, allow) = (&lists.json()["lists"][0], &lists.json()["lists"][1]);
    let name = block["name"].as_str().unwrap().to_owned();
    assert_eq!(
        (&block["role"], &block["entries"], &block["phase"]),
        (&json!("block"), &json!(2), &json!("idle"))
    );
    assert_eq!(block["hits"], json!({"rule": "", "blocked": 0, "would": 0, "allowed": 0}));
    let by = |seq, name: &str, rule: &str, action, would| {
        let mut event = event(seq, name, Reason::List);
        (event.verdict.rule, event.verdict.action, event.verdict.would) = (Some(rule.into()), action, would);
        event
    };
    let allowlist = allow["name"].as_str().unwrap();
    let events = batch(vec![
        by(1, "evil.example", &name, Action::Nxdomain, None),
        by(2, "evil.example", &name, Action::Nxdomain, None),
        by(3, "worse.example", &name, Action::Allow, Some(Action::Nxdomain)),
        by(4, "good.example", allowlist, Action::Allow, None),
        by(5, "gone.example", "a list of before", Action::Nxdomain, None),
        event(6, "plain.example", Reason::Model),
    ]);
    assert_eq!(
        server.post("/v1/events", server.control.plugin_token(), &events).await.status,
        StatusCode::NO_CONTENT
    );
    let told = server.get("/api/v1/lists?since=1h", &server.token(Role::Viewer)).await.json();
    assert_eq!(told["lists"][0]["hits"], json!({"rule": name, "blocked": 2, "would": 1, "allowed": 0}));
    assert_eq!(told["lists"][1]["hits"]["allowed"], 1);
    assert_eq!(told["other"], json!([{"rule": "a list of before", "blocked": 1, "would": 0, "allowed": 0}]));
    let kids = &told["groups"][0];
    assert_eq!(
        (&kids["name"], &kids["clients"], &kids["secrets"]),
        (&json!("kids"), &json!(["10.1.0.0/16"]), &json!(1))
    );
    assert_eq!(kids["models"], "enforce");
    assert!(!told.to_string().contains(secret));
    // The list behind a number holds as many.
    let query: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    for (filter, count) in [("&action=blocked", 2), ("&action=allow", 1), ("&limit=1", 1)] {
        let page = server.get(&format!("/api/v1/queries?rule={query}{filter}"), &admin).await.json();
        assert_eq!(page["items"].as_array().unwrap().len(), count, "{filter}");
        assert_eq!(page["next"].is_null(), filter != "&limit=1", "{filter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_has_lists_looked_at_and_takes_what_is_kept_back() {
    let names = |count: u32| (0..count).map(|i| format!("n{i}.example\n")).collect::<String>();
    let text = Arc::new(Mutex::new(names(100)));
    let served = text.clone();
    let publisher = publisher::Server::start(move |_| publisher::ok(&[], served.lock().unwrap().clone()));
    let url = publisher.url("/ads.txt");
    let server = Server::start_with(
        &[],
        |config| {
            let list =
                format!("[[lists]]\nname = \"ads\"\nsource = \"block:plain:{url}\"\nallow_private = true");
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("dnsvet.toml");
            std::fs::write(&path, list).unwrap();
            config.lists = Config::load(Some(&path), [], &[]).unwrap().lists;
        },
        |_| None,
    )
    .await;
    let (admin, vetter) = (server.token(Role::Admin), server.token(Role::Vetter));
    let until = async |holds: fn(&Value) -> bool| {
        for _ in 0..500 {
            let told = server.get("/api/v1/lists", &admin).await.json();
            if holds(&told["lists"][0]) {
                return told["lists"][0].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?}", server.get("/api/v1/lists", &admin).await.body);
    };
    until(|list| list["entries"] == 100 && list["phase"] == "idle").await;
    *text.lock().unwrap() = names(10);
    let look = json!({"name": "ads"});
    assert_eq!(server.post("/api/v1/lists/update", &vetter, &look).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.post("/api/v1/lists/update", &admin, &look).await.json(), json!({"lists": ["ads"]}));
    let held = until(|list| !list["kept_back"].is_null()).await;
    assert_eq!((&held["entries"], &held["kept_back"]["entries"]), (&json!(100), &json!(10)));
    assert_eq!(server.post("/api/v1/lists/accept", &vetter, &look).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.post("/api/v1/lists/accept", &admin, &look).await.status, StatusCode::OK);
    until(|list| list["entries"] == 10).await;
    let audit = server.control.state().audit_trail(Tenant::DEFAULT, 9).unwrap();
    assert!(
        audit.iter().any(|line| line.what == "list accepted" && line.author == "token:admin"),
        "{audit:?}"
    );
    assert_eq!(
        server.post("/api/v1/lists/update", &admin, &json!({"name": "adds"})).await.status,
        StatusCode::NOT_FOUND
    );
}
