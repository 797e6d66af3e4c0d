//! `dnsvet replay` as a person or a program runs it.

use std::path::Path;
use std::process::{Command, Output};

use dnsvet::config::{ClientAddresses, Retention};
use dnsvet::store::sqlite::SqliteStore;
use dnsvet::store::{EventStore, Tenant, now_ms};
use dnsvet_core::event::{Batch, Event};
use dnsvet_core::lists::Scope;
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Builder, Role};
use dnsvet_core::verdict::{Action, Reason, Verdict};

/// A data folder with a snapshot and two events on a listed name.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut builder = Builder::new(1, [1; 16]);
    let ads = builder.list("ads", Role::Block, "");
    builder.add(ads, &Name::parse("ads.example").unwrap(), Scope::Suffix);
    std::fs::write(folder.path().join("snapshot.dvs"), builder.build(None).unwrap()).unwrap();
    let verdict = Verdict {
        action: Action::Nxdomain,
        would: None,
        reasons: vec![Reason::List],
        rule: Some("ads".into()),
        score: None,
        model: None,
        group: "default".into(),
        snapshot: String::new(),
        ttl_s: 60,
        trace: vec![],
        own: Default::default(),
    };
    let event = |seq| Event {
        seq,
        time_ms: now_ms() - 60_000,
        client: "10.0.0.1".into(),
        name: "ads.example".into(),
        qtype: 1,
        door: "udp".into(),
        verdict: verdict.clone(),
        not_confident: false,
        took_us: 5,
    };
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path, Retention::default(), ClientAddresses::Truncate).unwrap();
    let batch = Batch { source: "n/1/1".into(), dropped: 0, events: vec![event(1), event(2)] };
    store.append(Tenant::DEFAULT, batch).unwrap().blocking_recv().unwrap().unwrap();
    folder
}

fn replay(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dnsvet"));
    command.current_dir(folder).arg("replay").arg("--data-dir").arg(folder);
    command.args(arguments).output().unwrap()
}

#[test]
fn figures_are_text_for_people_and_one_object_for_programs() {
    let folder = folder();
    let asked = ["--since", "7d", "--with", "remove-list:ads"];
    let text = replay(folder.path(), &asked);
    let shown = String::from_utf8(text.stdout).unwrap();
    assert_eq!(text.status.code(), Some(0), "{}", String::from_utf8_lossy(&text.stderr));
    assert!(shown.starts_with("2 events of 7 days (1 name, 1 client), replayed in "), "{shown}");
    assert!(shown.contains("ads.example") && shown.contains("nxdomain (list ads)"), "{shown}");
    let json = replay(folder.path(), &[&asked[..], &["--json"]].concat());
    let lines: Vec<&str> = std::str::from_utf8(&json.stdout).unwrap().lines().collect();
    let [line] = lines[..] else { panic!("{lines:?}") };
    let read: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&read["allowed"]["events"], &read["blocked"]["events"]), (&2.into(), &0.into()));
}

#[test]
fn wrong_use_ends_with_two_and_says_how_it_is_right() {
    let folder = folder();
    let said = |arguments: &[&str], code: i32| {
        let output = replay(folder.path(), arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{text}");
        text
    };
    let text = said(&["--since", "yesterday", "--with", "remove-list:ads"], 2);
    assert!(text.contains("as in 7d, 36h or 90m"), "{text}");
    let text = said(&["--since", "7d", "--with", "remove-list:adds"], 2);
    assert_eq!(text, "dnsvet: no list \"adds\" in the snapshot; there are: ads\n");
    let text = said(&["--since", "7d", "--with", "add-list:https://lists.example/a.txt"], 2);
    assert!(text.contains("curl -o"), "{text}");
    let text = said(&["--since", "7d", "--client", "lab", "--with", "remove-list:ads"], 2);
    assert!(text.contains("10.0.0.0/8"), "{text}");
    std::fs::remove_file(folder.path().join("events.db")).unwrap();
    let text = said(&["--since", "7d", "--with", "remove-list:ads"], 1);
    assert!(text.contains("let `dnsvet serve` run for a while"), "{text}");
}
