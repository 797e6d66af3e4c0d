//! Subscriptions inside a control plane: what clients are answered by.

use dnsvet_core::name::Name;
use dnsvet_core::snapshot::Snapshot;

use super::server::{Server, ok};
use super::*;
use crate::config::Config;
use crate::control::Control;

fn start(config: &Config) -> Arc<Control> {
    let again = config.clone();
    let tools = Tools { fetcher: fetcher(), shelf: Shelf::of(&config.data_dir) };
    Control::start_with(config, Box::new(move || Ok(again.clone())), tools, BY_HAND).unwrap()
}

fn is_listed(control: &Control, name: &str) -> bool {
    let published = control.published().unwrap();
    let snapshot = Snapshot::open(published.bytes.clone(), &[]).unwrap();
    snapshot.is_listed(&Name::parse(name).unwrap())
}

#[test]
fn a_list_is_in_force_soon_and_after_a_restart_without_a_network_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| ok(&[], "bad.example\n"));
    let lists = vec![list("ads", "block", &server.url("/ads"))];
    let config = Config { data_dir: folder.path().join("data"), lists, ..Config::default() };
    let control = start(&config);
    until("in force", || is_listed(&control, "bad.example"));
    until("settled", || control.status().lists[0].state.phase == Phase::Idle);
    let status = control.status().lists.remove(0);
    assert_eq!((status.name.as_str(), status.entries, status.state.problem), ("ads", 1, None));
    assert!(control.metrics().contains("dnsvet_list_looks_total{outcome=\"changed\"} 1"));
    drop(control);
    let address = server.address.to_string();
    drop(server);
    // So that the copies alone are left to start from.
    std::fs::remove_file(config.data_dir.join(crate::control::SNAPSHOT_FILE)).unwrap();
    let control = start(&config);
    assert!(is_listed(&control, "bad.example"));
    control.update_lists(None).unwrap();
    until("tried", || control.status().lists[0].state.problem.is_some());
    let state = control.status().lists.remove(0).state;
    assert!(state.problem.unwrap().contains("can't connect"));
    assert!(is_listed(&control, "bad.example"), "the last good copy stays");
    let _server = Server::at(&address, None, |_| ok(&[], "bad.example\nworse.example\n"));
    control.reload().unwrap();
    until("in force", || is_listed(&control, "worse.example"));
}

#[test]
fn a_first_fetch_that_fails_stops_nothing_and_is_tried_again_on_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ours = folder.path().join("ours.txt");
    std::fs::write(&ours, "worse.example\n").unwrap();
    let lists = vec![
        list("ads", "block", &format!("http://{address}/")),
        format!("plain:{}", ours.display()).parse().unwrap(),
    ];
    let config = Config { data_dir: folder.path().join("data"), lists, ..Config::default() };
    let control = start(&config);
    assert!(is_listed(&control, "worse.example"));
    until("tried", || {
        control.status().lists[0].state.problem.as_deref().is_some_and(|p| p.contains("connect"))
    });
    let status = control.status().lists.remove(0);
    assert!(status.state.problem.unwrap().starts_with("not fetched yet: can't connect to"));
    assert_eq!(status.entries, 0);
    let popular = control.status().lists.iter().filter(|list| list.role == "popular").count();
    assert_eq!(popular, 2, "without a popular list the bundled ones protect popular names");

    let _server = Server::at(&address.to_string(), None, |_| ok(&[], "bad.example\n"));
    control.reload().unwrap();
    until("in force", || is_listed(&control, "bad.example"));
    until("settled", || control.status().lists[0].state.phase == Phase::Idle);
    assert_eq!(control.status().lists[0].state.problem, None);
}

#[test]
fn a_file_that_can_not_be_taken_keeps_no_other_list_from_changing() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    std::fs::write(&ours, "bad.example\n").unwrap();
    std::fs::write(&theirs, "worse.example\n").unwrap();
    let lists = [&ours, &theirs].map(|path| path.display().to_string().parse().unwrap()).to_vec();
    let config = Config { data_dir: folder.path().join("data"), lists, ..Config::default() };
    let control = start(&config);
    let problems = || -> Vec<Option<String>> {
        control.status().lists.into_iter().take(2).map(|list| list.state.problem).collect()
    };
    let refused: [(&str, &dyn Fn()); 4] = [
        ("No such file", &|| std::fs::remove_file(&ours).unwrap()),
        ("not a regular file", &|| std::fs::create_dir(&ours).unwrap()),
        ("none of its 1 lines is a plain rule", &|| {
            std::fs::remove_dir(&ours).unwrap();
            std::fs::write(&ours, "<html>\n").unwrap();
        }),
        ("NUL bytes", &|| std::fs::write(&ours, "b\0a\0d\0.\0e\0x\0\n\0").unwrap()),
    ];
    for (number, (why, spoil)) in refused.into_iter().enumerate() {
        spoil();
        let more = format!("more{number}.example");
        std::fs::write(&theirs, format!("worse.example\n{more}\n")).unwrap();
        control.reload().unwrap();
        assert!(is_listed(&control, &more), "{why}");
        assert!(is_listed(&control, "bad.example"), "{why}");
        let found = problems();
        assert!(found[0].as_deref().is_some_and(|problem| problem.contains(why)), "{found:?}");
        assert_eq!(found[1], None);
    }
    std::fs::write(&ours, "other.example\n").unwrap();
    control.reload().unwrap();
    assert_eq!(problems(), [None, None]);
    assert!(is_listed(&control, "other.example") && !is_listed(&control, "bad.example"));
}

#[test]
fn what_a_list_is_configured_to_do_is_in_the_snapshot() {
    use dnsvet_core::policy::Mode;
    use dnsvet_core::verdict::Action;
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|_| ok(&[], "bad.example\n"));
    let mut ads = list("ads", "block", &server.url("/ads"));
    (ads.licence, ads.mode, ads.action) = ("CC0-1.0".into(), Mode::Log, Some(Action::Null));
    let config = Config { data_dir: folder.path().join("data"), lists: vec![ads], ..Config::default() };
    let control = start(&config);
    until("in force", || is_listed(&control, "bad.example"));
    let snapshot = Snapshot::open(control.published().unwrap().bytes.clone(), &[]).unwrap();
    let info = &snapshot.lists()[0];
    assert_eq!((info.licence.as_str(), info.mode, info.action), ("CC0-1.0", Mode::Log, Some(Action::Null)));
}
