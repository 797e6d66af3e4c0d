//! The dashboard in a real browser: what a person decides there is in force at every door within two seconds.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dnsvet_tests::client::{Client, Door};
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::Rig;
use dnsvet_tests::scorer::uncertain;
use xtask::{ui, workspace};

use crate::line::rig;

const WITHIN_MS: u64 = 2_000;
/// The browser starts, logs in and looks around before it decides.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_decision_in_the_dashboard_is_in_force_at_every_door_within_two_seconds() {
    let (rig, _) = rig();
    let client = rig.client();
    let mut draw = Draw::new("dashboard");
    let name = allowed_name(&rig, &mut draw);
    for door in Door::MAIN {
        assert_eq!(client.ask(door, &name).rcode(), Some(0), "{door:?} {name}: allowed before");
    }
    let folder = workspace::root().join("host/ui");
    let shots = workspace::target().join("tmp/dashboard");
    let url = format!("http://127.0.0.1:{}", rig.options.ports.api);
    let arguments = [url, "admin".into(), rig.password().into(), shots.display().to_string(), name.clone()];
    let browser = std::thread::spawn(move || browse(&folder, "e2e", &arguments));
    let blocked = blocked_at(&client, &name);
    let printed = browser.join().expect("the browser's thread").unwrap_or_else(|error| panic!("{error}"));
    let decided = printed.lines().find_map(|line| line.strip_prefix("decided at ")?.parse::<u64>().ok());
    let decided = decided.unwrap_or_else(|| panic!("the script did not say when it decided:\n{printed}"));
    assert_eq!(blocked.len(), Door::MAIN.len(), "doors where {name} was blocked: {blocked:?}");
    for (door, at) in blocked {
        let took = at.saturating_sub(decided);
        println!("{door:?}: in force after {took} ms");
        assert!(took <= WITHIN_MS, "{door:?}: in force after {took} ms");
    }
}

#[test]
fn every_number_and_name_of_the_dashboard_leads_to_what_is_behind_it() {
    let (rig, listed) = rig();
    let (client, mut draw) = (rig.client(), Draw::new("screens"));
    let (blocked, allowed) = (draw.pick(listed).clone(), allowed_name(&rig, &mut draw));
    for (name, rcode) in [(&blocked, 3), (&allowed, 0)] {
        // Often enough to be among the first 20.
        for _ in 0..400 {
            assert_eq!(client.ask(Door::Udp, name).rcode(), Some(rcode), "{name}");
        }
    }
    // Some of what the small model can't settle the large one can't either: it waits for a person.
    for name in uncertain(&rig, 60) {
        client.ask(Door::Udp, &name);
    }
    rig.api().queries_at_least("action=not_confident", 3);
    rig.api().queries_at_least(&format!("name={blocked}&exact=true"), 400);
    let folder = workspace::root().join("host/ui");
    let shots = workspace::target().join("tmp/screens");
    let url = format!("http://127.0.0.1:{}", rig.options.ports.api);
    let arguments =
        [url, "admin".into(), rig.password().into(), shots.display().to_string(), blocked, allowed];
    browse(&folder, "screens", &arguments).unwrap_or_else(|error| panic!("{error}"));
}

fn browse(folder: &Path, script: &str, arguments: &[String]) -> Result<String, xtask::error::Error> {
    let arguments: Vec<&str> =
        ["run", script, "--"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    ui::npm(folder, "browser", &arguments)
}

/// When each door first blocked the name, milliseconds since 1970.
fn blocked_at(client: &Client, name: &str) -> BTreeMap<Door, u64> {
    let (start, mut blocked) = (Instant::now(), BTreeMap::new());
    while blocked.len() < Door::MAIN.len() && start.elapsed() < PATIENCE {
        for door in Door::MAIN {
            if !blocked.contains_key(&door) && client.ask(door, name).rcode() == Some(3) {
                blocked.insert(door, now_ms());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    blocked
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

fn allowed_name(rig: &Rig, draw: &mut Draw) -> String {
    let names: Vec<String> = (0..50).map(|_| draw.plain_domain()).collect();
    let checks = rig.check(&names);
    let found = names.iter().zip(&checks).find(|(_, check)| check["verdict"]["action"] == "allow");
    found.map(|(name, _)| name.clone()).expect("one of 50 plain names is allowed")
}
