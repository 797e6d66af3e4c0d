//! Rules of one's own, groups by path id, relief, discovery: the same at every door.

use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use dnsvet_tests::client::{Client, Door, Reply, question};
use dnsvet_tests::flow::Flow;
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, eventually};
use dnsvet_tests::upstream::ADDRESS;
use hickory_proto::rr::{RData, RecordType};
use serde_json::json;
use xtask::line::free_port;
use xtask::shell;

const PATH_ID: &str = "phone-0123456789abcdefghij";
const WITHIN: Duration = Duration::from_secs(2);

const KEYS: &str = r#"
rules = [
  "||blocked.rules.example^",
  "@@||fine.blocked.rules.example^",
  "|alias.rules.example^$dnsrewrite=NOERROR;CNAME;target.rules.example",
  "|nas.rules.example^$dnsrewrite=10.9.8.7",
  "||aaaa.rules.example^$dnstype=AAAA",
  "/^pattern[0-9]+\\.rules\\./",
  "||not-for-tv.example^$client='tv.lan.test'",
]
client_ptr = "{upstream}"
discovery = [{ name = "dns.example", protocols = ["h2"], port = 8443, doh_path = "/dns-query{?dns}", addresses = ["192.0.2.53"] }]
"#;

const GROUPS: &str = r#"
keep_clients_here = true
nodata_types = ["HTTPS"]

[[groups]]
name = "phone"
path_ids = ["phone-0123456789abcdefghij"]
models = "off"
rules = ["||only-phone.example^"]
bundles = ["safe_search"]
"#;

/// What the upstream answers to aliases of others.
const ALIASES: &str = r#"
  local-zone: "aliases.test." static
  local-data: "to-listed.aliases.test. 60 IN CNAME ads.listed.example."
  local-data: "to-open.aliases.test. 60 IN CNAME open.example."
  local-zone: "127.in-addr.arpa." transparent
  local-data-ptr: "127.0.1.9 60 tv.lan.test"
"#;

/// Where the policy zone is served.
fn zone_port() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| free_port().expect("a free port"))
}

/// One rig for the tests of this file, one test at a time.
fn rig() -> MutexGuard<'static, Rig> {
    static SHARED: OnceLock<Mutex<Rig>> = OnceLock::new();
    let start = || {
        let blocked = vec!["listed.example".to_owned()];
        let plan = Plan { blocked, scorer: false, ..Plan::new("policy") };
        let zone =
            format!("rpz = {{ listen = \"127.0.0.1:{}\", allow_from = [\"127.0.0.0/8\"] }}\n", zone_port());
        let (keys, group, upstream) = (format!("{KEYS}{zone}"), GROUPS.into(), ALIASES.into());
        Mutex::new(Rig::start(Plan { keys, group, upstream, ..plan }))
    };
    SHARED.get_or_init(start).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn ask(client: &Client, door: Door, name: &str, qtype: RecordType) -> Reply {
    client.send(door, question(7, name, qtype))
}

#[test]
fn a_rule_for_a_client_holds_once_the_network_has_told_its_name() {
    let rig = rig();
    let client = rig.client();
    let ask = |from: [u8; 4]| {
        client.run(async {
            let mut flow = Flow::open(&client, Door::Udp, from.into()).await;
            flow.ask(vec![question(7, "not-for-tv.example", RecordType::A)]).await.remove(0).rcode()
        })
    };
    assert_eq!(ask([127, 0, 1, 9]), Some(0), "its name is not known yet");
    let told = eventually(Duration::from_secs(30), || ask([127, 0, 1, 9]) == Some(3));
    assert!(told.is_some(), "never blocked");
    assert_eq!(ask([127, 0, 1, 10]), Some(0), "another client");
}

#[test]
fn rules_of_ones_own_hold_at_every_door() {
    let rig = rig();
    let client = rig.client();
    for door in Door::ALL {
        let code = |name: &str, qtype| ask(&client, door, name, qtype).rcode();
        assert_eq!(code("a.blocked.rules.example", RecordType::A), Some(3), "{door:?}");
        assert_eq!(code("a.fine.blocked.rules.example", RecordType::A), Some(0), "{door:?}");
        assert_eq!(code("pattern12.rules.example", RecordType::A), Some(3), "{door:?}");
        assert_eq!(code("patternx.rules.example", RecordType::A), Some(0), "{door:?}");
        assert_eq!(code("aaaa.rules.example", RecordType::AAAA), Some(3), "{door:?}");
        assert_eq!(code("aaaa.rules.example", RecordType::A), Some(0), "{door:?}");
        let nas = ask(&client, door, "nas.rules.example", RecordType::A);
        assert_eq!(nas.addresses(), ["10.9.8.7".parse::<std::net::Ipv4Addr>().unwrap()], "{door:?}");
        let https = ask(&client, door, "plain.rules.example", RecordType::HTTPS);
        assert_eq!((https.rcode(), https.message().answers.len()), (Some(0), 0), "{door:?}");
    }
}

#[test]
fn an_alias_is_resolved_behind_the_name_that_was_asked_at_every_door() {
    let rig = rig();
    let client = rig.client();
    for door in Door::ALL {
        let message = ask(&client, door, "Alias.Rules.example", RecordType::A).message();
        let echoed = message.queries[0].name().to_ascii();
        assert_eq!(echoed.trim_end_matches('.'), "Alias.Rules.example", "{door:?}");
        let [alias, address] = message.answers.as_slice() else { panic!("{door:?}: {message:?}") };
        assert!(
            matches!(&alias.data, RData::CNAME(target) if target.0.to_ascii() == "target.rules.example.")
        );
        assert_eq!(address.name.to_ascii(), "target.rules.example.", "{door:?}");
        assert!(matches!(&address.data, RData::A(found) if found.0 == ADDRESS), "{door:?}");
    }
    let asked = rig.upstream.asked();
    assert!(asked.contains_key("target.rules.example") && !asked.contains_key("alias.rules.example"));
}

#[test]
fn a_path_id_chooses_the_group_and_goes_no_further() {
    let rig = rig();
    let ports = rig.options.ports;
    for port in [ports.doh, ports.envoy] {
        let ask = |path: &str, name: &str, method: &str| {
            let url = format!("+https={path}");
            let port = port.to_string();
            let arguments = ["@127.0.0.1", "-p", &port, &url, method, name, "A"];
            shell::output(Command::new("kdig").args(arguments)).unwrap_or_else(|error| panic!("{error}"))
        };
        for method in ["+nohttps-get", "+https-get"] {
            let with_id = format!("/dns-query/{PATH_ID}");
            let phone = ask(&with_id, "x.only-phone.example", method);
            assert!(phone.contains("status: NXDOMAIN"), "{port} {method}: {phone}");
            let everybody = ask("/dns-query", "x.only-phone.example", method);
            assert!(everybody.contains("status: NOERROR"), "{port} {method}: {everybody}");
            let safe = ask(&with_id, "www.google.com", method);
            assert!(safe.contains("forcesafesearch.google.com."), "{port} {method}: {safe}");
            assert!(safe.contains(&ADDRESS.to_string()), "{port} {method}: {safe}");
        }
    }
}

#[test]
fn a_client_that_looks_for_encrypted_doors_finds_ours_and_browsers_stay_here() {
    let rig = rig();
    let client = rig.client();
    let port = rig.options.ports.dns.to_string();
    let arguments = ["@127.0.0.1", "-p", &port, "_dns.resolver.arpa", "TYPE64", "+short"];
    let text = shell::output(Command::new("kdig").args(arguments)).unwrap_or_else(|error| panic!("{error}"));
    assert!(!text.trim().is_empty(), "kdig sees a record: {text}");
    for door in Door::ALL {
        let message = ask(&client, door, "_dns.resolver.arpa", RecordType::SVCB).message();
        let [door_of_ours] = message.answers.as_slice() else { panic!("{door:?}: {message:?}") };
        let RData::SVCB(svcb) = &door_of_ours.data else { panic!("{door:?}: {message:?}") };
        assert_eq!(svcb.target_name.to_ascii(), "dns.example.", "{door:?}");
        for canary in ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com", "dns.google"] {
            assert_eq!(client.ask(door, canary).rcode(), Some(3), "{door:?} {canary}");
        }
    }
}

#[test]
fn an_unblock_and_its_end_are_in_force_at_once_on_names_that_were_asked_before() {
    let rig = rig();
    let (client, api) = (rig.client(), rig.api());
    let name = format!("{}.listed.example", Draw::new("unblock").label(8));
    let holds = |code: u16| {
        for door in Door::MAIN {
            let took = eventually(WITHIN, || client.ask(door, &name).rcode() == Some(code));
            assert!(took.is_some(), "{code} at {door:?}");
        }
    };
    holds(3);
    let given = api.post("/api/v1/unblocks", &json!({"name": "listed.example", "for_s": 4}));
    assert_eq!(given.status, 200, "{}", given.text);
    let until_ms = given.json()["until_ms"].as_u64().unwrap();
    holds(0);
    let now_ms = || std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    std::thread::sleep(Duration::from_millis(until_ms.saturating_sub(now_ms()) + 1));
    for door in Door::MAIN {
        assert_eq!(client.ask(door, &name).rcode(), Some(3), "{door:?}, once its time is over");
    }
    rig.dnsvet(&["unblock", "listed.example", "--for", "1h"]);
    holds(0);
    rig.dnsvet(&["unblock", "listed.example", "--end"]);
    holds(3);
    let refused = api.post("/api/v1/unblocks", &json!({"name": "com", "for_s": 4}));
    assert_eq!(refused.status, 400, "{}", refused.text);
}

#[test]
fn a_pause_lets_everything_through_until_it_ends() {
    let rig = rig();
    let client = rig.client();
    rig.dnsvet(&["pause", "--for", "1h"]);
    for door in Door::MAIN {
        let open = || client.ask(door, "paused.listed.example").rcode() == Some(0);
        assert!(eventually(WITHIN, open).is_some(), "{door:?}");
    }
    rig.dnsvet(&["pause", "--end"]);
    for door in Door::MAIN {
        let shut = || client.ask(door, "paused.listed.example").rcode() == Some(3);
        assert!(eventually(WITHIN, shut).is_some(), "{door:?}");
    }
}

#[test]
fn check_looks_at_what_a_name_is_an_alias_of_if_told_whom_to_ask() {
    let rig = rig();
    let (client, api, server) = (rig.client(), rig.api(), rig.upstream.address());
    let names = ["to-listed.aliases.test", "to-open.aliases.test"];
    for (name, code, action) in [(names[0], 3, "nxdomain"), (names[1], 0, "allow")] {
        assert_eq!(client.ask(Door::Udp, name).rcode(), Some(code), "{name}");
        let said = |arguments: &[&str]| -> serde_json::Value {
            let always = ["check", "--json", "--mode", "policy", name];
            serde_json::from_str(&rig.dnsvet(&[&always, arguments].concat())).expect("a line of JSON")
        };
        assert_eq!(said(&[])["verdict"]["action"], "allow", "{name}, its answer left out");
        let resolved = said(&["--resolve", &server]);
        assert_eq!(resolved["verdict"]["action"], action, "{resolved}");
        let asked = api.get(&format!("/api/v1/check?name={name}&resolve=true")).json();
        assert_eq!(asked["trace"], resolved["trace"]);
        if code == 3 {
            let trace = resolved["trace"].to_string();
            assert!(trace.contains("ads.listed.example"), "{trace}");
            assert_eq!(resolved["without"]["action"], "allow", "{resolved}");
        }
    }
    let nobody = format!("127.0.0.1:{}", free_port().expect("a free port"));
    let said = rig.dnsvet(&["check", "--resolve", &nobody, names[0]]);
    assert!(said.contains(&format!("{nobody} does not answer")), "{said}");
}

#[test]
fn check_says_list_and_line_of_everything_that_matches_and_what_would_be_without() {
    let rig = rig();
    let names = ["x.blocked.rules.example", "a.listed.example"].map(str::to_owned);
    let found = rig.check(&names);
    let place = |item: &serde_json::Value, at: usize| {
        let found = &item["matches"][at];
        let place = &found["places"][0];
        (found["list"].clone(), place["line"].clone(), place["text"].clone())
    };
    assert_eq!(place(&found[0], 0), (json!("rules"), json!(1), json!("||blocked.rules.example^")));
    assert_eq!(place(&found[1], 0), (json!("blocked"), json!(1), json!("listed.example")));
    let without = json!({"rule": "blocked", "action": "allow"});
    for (key, value) in without.as_object().unwrap() {
        assert_eq!(&found[1]["without"][key], value, "{}", found[1]);
    }
    let answer = rig.api().get("/api/v1/check?name=a.listed.example");
    assert_eq!(answer.json()["without"], found[1]["without"]);
    assert_eq!(place(&answer.json(), 0).1, json!(1), "{}", answer.text);
}

#[test]
fn decisions_and_rules_are_served_as_a_policy_zone_at_once() {
    let rig = rig();
    let port = zone_port().to_string();
    let transfer = || {
        let arguments = ["@127.0.0.1", "-p", &port, "rpz.dnsvet", "AXFR"];
        shell::output(Command::new("kdig").args(arguments)).unwrap_or_else(|error| panic!("{error}"))
    };
    let has = |text: &str, owner: &str, target: &str| {
        text.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&owner) && words.last() == Some(&target)
        })
    };
    let before = transfer();
    assert!(has(&before, "blocked.rules.example.rpz.dnsvet.", "."), "{before}");
    let name = Draw::new("zone").plain_domain();
    assert!(!before.contains(&name));
    rig.dnsvet(&["vet", &name, "malicious"]);
    let after = || has(&transfer(), &format!("{name}.rpz.dnsvet."), ".");
    assert!(eventually(WITHIN, after).is_some(), "{}", transfer());
    rig.dnsvet(&["vet", &name, "none"]);
}
