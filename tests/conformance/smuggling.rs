//! Envoy's door: nothing reaches the upstream that the plugin did not read, however the request is framed.

use bytes::Bytes;
use dnsvet_tests::client::{Door, Framing, Reply, base64url, question};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};
use hickory_proto::rr::RecordType;

struct Scene {
    rig: Rig,
    blocked: Vec<String>,
    draw: Draw,
}

impl Scene {
    fn new(name: &'static str) -> Self {
        let mut draw = Draw::new(name);
        let blocked: Vec<String> = (0..10).map(|_| draw.domain()).collect();
        let rig = Rig::start(Plan { blocked: blocked.clone(), scorer: false, ..Plan::new(name) });
        Self { rig, blocked, draw }
    }

    fn wire(name: &str) -> Vec<u8> {
        question(0, name, RecordType::A)
    }

    fn upstream_saw_no_blocked_name(&self) {
        let asked = self.rig.upstream.asked();
        for name in &self.blocked {
            assert!(!asked.contains_key(name), "the upstream saw {name}");
        }
    }
}

#[test]
fn a_second_question_in_the_path_goes_nowhere() {
    let mut scene = Scene::new("second-question");
    let client = scene.rig.client();
    for spelling in [
        "d%6Es={bad}&dns={good}",
        "dns={good}&dns={bad}",
        "x=1&dns={good}&d%6es={bad}",
        "DNS={bad}&dns={good}",
    ] {
        let good = scene.draw.plain_domain();
        scene.rig.dnsvet(&["vet", &good, "benign"]);
        let bad = scene.draw.pick(&scene.blocked).clone();
        let query = spelling
            .replace("{bad}", &base64url(&Scene::wire(&bad)))
            .replace("{good}", &base64url(&Scene::wire(&good)));
        let reply = client.send_framed(Framing::Get { query: query.clone() });
        assert_eq!(reply.rcode(), Some(0), "{query}: {reply:?}");
        let answered = reply.message().queries[0].name().to_ascii();
        assert_eq!(
            answered.trim_end_matches('.'),
            good,
            "{spelling}: the question that was read is answered"
        );
    }
    scene.upstream_saw_no_blocked_name();
}

#[test]
fn a_question_that_ends_in_trailers_is_decided_as_any_other() {
    let mut scene = Scene::new("trailers");
    let client = scene.rig.client();
    for name in scene.blocked.clone() {
        let body = Bytes::from(Scene::wire(&name));
        let reply = client.send_framed(Framing::Trailers { body });
        assert_eq!(reply.rcode(), Some(3), "{name}: {reply:?}");
    }
    let good = scene.draw.plain_domain();
    scene.rig.dnsvet(&["vet", &good, "benign"]);
    let reply = client.send_framed(Framing::Trailers { body: Bytes::from(Scene::wire(&good)) });
    assert_eq!(reply.rcode(), Some(0), "{good}: {reply:?}");
    let nothing = client.send_framed(Framing::Trailers { body: Bytes::new() });
    assert_eq!(nothing, Reply::Status(400), "no question before the trailers");
    scene.upstream_saw_no_blocked_name();
    assert_eq!(client.ask(Door::Envoy, &good).rcode(), Some(0), "Envoy goes on");
}
