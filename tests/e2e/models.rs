//! Another model in force: in both runtimes within seconds, over a restart, and back.

use std::time::Duration;

use dnsvet_core::model::{Calibration, Spec};
use dnsvet_models::registry::Registry;
use dnsvet_tests::client::{Client, Door, Reply};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig, eventually};
use dnsvet_tests::upstream::ADDRESS;
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(5);

/// A registry with a model that blocks nearly every name.
fn registry(rig: &Rig) -> String {
    let small = Registry::bundled().get("small").expect("it comes with dnsvet");
    let spec = small.manifest.spec();
    let calibration = Calibration { intercept: 60.0, ..spec.calibration };
    let loud = small.with_spec(Spec { name: "loud".into(), calibration, ..spec }).expect("a model");
    let folder = rig.options.folder.join("registry");
    loud.store(&folder, "").expect("the registry can be written");
    folder.display().to_string()
}

fn is_allowed(reply: &Reply) -> bool {
    matches!(reply, Reply::Message(_)) && reply.addresses() == [ADDRESS]
}

/// Waits until both runtimes answer fresh names so; a name may be cached, so each try draws another.
fn in_force(client: &Client, draw: &mut Draw, what: &str, holds: impl Fn(&Reply) -> bool) {
    for door in Door::MAIN {
        let took = eventually(WITHIN, || (0..8).all(|_| holds(&client.ask(door, &draw.plain_domain()))));
        println!("{what} at {door:?} after {took:?}");
        assert!(took.is_some(), "{what} is not in force at {door:?} within {WITHIN:?}");
    }
}

#[test]
fn a_promoted_model_decides_at_every_door_over_a_restart_and_until_it_is_rolled_back() {
    let mut rig = Rig::start(Plan { scorer: false, ..Plan::new("models") });
    let (client, mut draw) = (rig.client(), Draw::new("models"));
    let registry = registry(&rig);
    let standing = |rig: &Rig| -> Value {
        let lines = rig.dnsvet(&["model", "list", "--json"]);
        serde_json::from_str(lines.lines().last().expect("a line")).expect("JSON")
    };
    let bundled = standing(&rig)["in_force"]["id"].clone();
    in_force(&client, &mut draw, "the bundled model", is_allowed);

    rig.dnsvet(&["model", "promote", "loud", "--registry", &registry, "--even-so"]);
    let blocked = |reply: &Reply| reply.rcode() == Some(3);
    in_force(&client, &mut draw, "the promoted model", blocked);
    let now = standing(&rig);
    assert!(now["in_force"]["id"].as_str().is_some_and(|id| id.starts_with("loud@")), "{now}");
    assert_eq!((&now["before"]["id"], &now["history"][0]["even_so"]), (&bundled, &true.into()));

    rig.serve = None;
    rig.serve = Some(rig.options.start_serve().unwrap_or_else(|error| panic!("{error}")));
    in_force(&client, &mut draw, "the promoted model after a restart", blocked);
    rig.dnsvet(&["model", "rollback"]);
    in_force(&client, &mut draw, "the model before", is_allowed);
    assert_eq!(standing(&rig)["in_force"]["id"], bundled);
}
