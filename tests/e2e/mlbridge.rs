//! The old middleware's protocol over the real resolver: what the CoreDNS plugin of 2020 sends, and what it reads.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;
use std::time::Duration;

use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, eventually};
use serde_json::Value;
use xtask::line::free_port;
use xtask::{shell, workspace};

const GROUP: &str = r#"
[[groups]]
name = "kids"
clients = ["10.1.0.0/16"]
models = "off"
rules = ["||kids-only.example^"]
"#;

struct Old {
    rig: Rig,
    port: u16,
}

/// What is answered: HTTP status and body.
type Answer = (u16, Value);

impl Old {
    fn start(name: &'static str, blocked: &[String], allow_from: &str) -> Self {
        let port = free_port().expect("a free port");
        let example = workspace::root().join("examples/coredns/dnsvet.toml");
        let example = std::fs::read_to_string(example).expect("the example");
        assert!(example.contains(":5000\""), "where the plugin asks");
        let rules =
            r#"rules = ["|own.example^$dnsrewrite=192.0.2.5", "|alias.example^$dnsrewrite=safe.example"]"#;
        let keys = format!("{}{rules}\n{allow_from}", example.replace(":5000", &format!(":{port}")));
        let (group, blocked) = (GROUP.into(), blocked.to_vec());
        let plan = Plan { blocked, scorer: false, envoy: false, keys, group, ..Plan::new(name) };
        let old = Self { rig: Rig::start(plan), port };
        let open = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        assert!(eventually(Duration::from_secs(10), open).is_some(), "the door is open");
        old
    }

    /// The bytes that Go's `http.Post(url, "application/json", body)` sends.
    fn send(&self, body: &str) -> Answer {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("the door is open");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time");
        let request = format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: {}\r\n\
             Content-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n{body}",
            self.port,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it takes the request");
        let (mut answer, mut part) = (Vec::new(), [0; 4_096]);
        let (head, body) = loop {
            let read = stream.read(&mut part).expect("an answer");
            assert!(read > 0, "closed early: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..read]);
            if let Some(parts) = parts(&answer) {
                break parts;
            }
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    fn p(&self, name: &str, client: &str) -> f64 {
        // Go writes the keys of a map in their order.
        let (status, body) = self.send(&format!(r#"{{"Domain Name":"{name}","IP":"{client}"}}"#));
        assert_eq!((status, body.as_object().map(serde_json::Map::len)), (200, Some(1)), "{body}");
        let p: f64 = body["p"].as_str().and_then(|p| p.parse().ok()).unwrap_or_else(|| panic!("{body}"));
        assert!((0.0..=1.0).contains(&p), "{body}");
        p
    }
}

/// Head and body of an answer, once it is whole.
fn parts(answer: &[u8]) -> Option<(String, String)> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let fields = head.to_lowercase();
    let length = fields.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let is_whole = length.parse().is_ok_and(|length: usize| body.len() >= length);
    is_whole.then(|| (head.to_owned(), body.to_owned()))
}

#[test]
fn the_old_plugin_hears_what_the_cascade_says_and_each_of_its_questions_is_an_event() {
    let mut draw = Draw::new("mlbridge");
    let listed = draw.domain();
    let old = Old::start("mlbridge", std::slice::from_ref(&listed), "");
    let (client, kid) = ("10.0.0.7", "10.1.0.7");
    let (bad, good, trap) = (draw.plain_domain(), draw.domain(), draw.plain_domain());
    old.rig.dnsvet(&["vet", &bad, "malicious"]);
    old.rig.dnsvet(&["vet", &good, "benign"]);
    old.rig.dnsvet(&["vet", &trap, "honeypot"]);
    // Connections go to one worker or another, each of which takes the snapshot when it does.
    let blocked = |name: &str| old.p(&format!("{name}."), client) >= 0.5;
    let settled = || (0..20).all(|_| blocked(&trap) && blocked(&bad) && !blocked(&good));
    assert!(eventually(Duration::from_secs(5), settled).is_some(), "the decisions are in force");

    assert!(old.p(&format!("{listed}."), client) >= 0.5, "listed");
    assert!(old.p(&format!("deep.{listed}"), client) >= 0.5, "below a listed name, without the last dot");
    assert!(old.p(&format!("{bad}."), client) >= 0.5, "vetted malicious");
    assert!(old.p(&format!("{good}."), client) < 0.5, "vetted benign");
    assert!(old.p("localhost.", client) < 0.5);
    assert!(old.p("alias.example.", client) < 0.5, "an alias leads on");
    assert!(old.p("own.example.", client) >= 0.5, "an address that the protocol can't carry");
    assert!(old.p("kids-only.example.", client) < 0.5, "a rule of others");
    assert!(old.p("kids-only.example.", kid) >= 0.5, "their rule");
    assert!(old.p("kids-only.example.", &format!("{kid}:40000")) >= 0.5, "an address with a port");

    // Where a model decides, its score is told as it is, on the verdict's side.
    let names: Vec<String> =
        (0..60).map(|i| if i % 2 == 0 { draw.machine_domain() } else { draw.plain_domain() }).collect();
    let (mut blocked, mut scored) = (0, 0);
    for (name, checked) in names.iter().zip(old.rig.check(&names)) {
        let stops = checked["verdict"]["action"] != "allow";
        let score = checked["score"].as_f64();
        let p = old.p(&format!("{name}."), client);
        assert_eq!(p >= 0.5, stops, "{name}: {p}, {checked}");
        if let Some(score) = score.filter(|score| (*score >= 0.5) == stops) {
            assert!((score - p).abs() < 1e-5, "{name}: {p}, {checked}");
            scored += 1;
        }
        blocked += usize::from(stops);
    }
    println!("{blocked} of {} names blocked by the model, {scored} scores told", names.len());
    assert!(scored > 0, "no score was told");

    let api = old.rig.api();
    let of = |name: &str| api.queries_at_least(&format!("name={name}"), 1);
    let event = &of(&format!("deep.{listed}"))[0];
    assert_eq!((&event["door"], &event["client"]), (&"mlbridge".into(), &client.into()), "{event}");
    assert_eq!(event["verdict"]["reasons"][0], "list", "{event}");
    assert_eq!(of("kids-only.example").len(), 3, "one event a question");
    assert_eq!(of(&names[0]).len(), 1);
    assert!(api.metric("dnsvet_resolver_queries_total") > 0.0);
}

#[test]
fn what_is_no_question_is_refused_in_json_and_curl_is_served_as_well() {
    let old = Old::start("mlbridge-bad", &[], "");
    let refused = |body: &str, expected: u16, said: &str| {
        let (status, answer) = old.send(body);
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{body}: {answer}"));
        assert_eq!(status, expected, "{body}: {error}");
        assert!(error.contains(said), "{body}: {error}");
    };
    refused("", 400, "body");
    refused("{", 400, "body");
    refused("[]", 400, "Domain Name");
    refused(r#"{"IP":"10.0.0.7"}"#, 400, "missing field `Domain Name`");
    refused(r#"{"Domain Name":"a.example."}"#, 400, "missing field `IP`");
    refused(r#"{"Domain Name":7,"IP":"10.0.0.7"}"#, 400, "body");
    refused(r#"{"Domain Name":"a..example.","IP":"10.0.0.7"}"#, 400, "`a..example.` is no name");
    refused(r#"{"Domain Name":"a.example.","IP":"here"}"#, 400, "`here` is no address");
    refused(&format!(r#"{{"Domain Name":"{}","IP":"10.0.0.7"}}"#, "a".repeat(5_000)), 413, "4096 bytes");
    let url = format!("http://127.0.0.1:{}/", old.port);
    let curl = |arguments: &[&str]| {
        let mut curl = Command::new("curl");
        shell::output(
            curl.args(["--silent", "--max-time", "10", "--write-out", "%{http_code}"]).args(arguments),
        )
        .expect("curl")
    };
    let body = r#"{"Domain Name": "plain.example.", "IP": "10.0.0.7"}"#;
    assert!(curl(&["--json", body, &url]).ends_with("\"}200"));
    assert!(curl(&[&url]).ends_with("405"));
    assert!(curl(&["--json", body, &format!("{url}predict")]).ends_with("404"));
}

#[test]
fn who_is_not_in_allow_from_gets_no_verdict() {
    let old = Old::start("mlbridge-access", &[], "allow_from = [\"192.0.2.0/24\"]\n");
    let (status, answer) = old.send(r#"{"Domain Name":"a.example.","IP":"192.0.2.7"}"#);
    assert_eq!(status, 403, "{answer}");
    assert_eq!(answer["error"], "127.0.0.1 is not in allow_from");
}
