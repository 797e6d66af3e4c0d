//! What is taken, what is kept back, and what is left when things go wrong.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::server::{Server, body, ok, status, stream};
use super::*;
use crate::store::now_ms;

/// A server with one text that a test changes; its validator is the text's hash.
fn one_text(text: &str) -> (Server, Changing<(String, &'static str)>) {
    let now: Changing<(String, &'static str)> = Arc::new(Mutex::new((text.to_owned(), "text/plain")));
    let served = Arc::clone(&now);
    let server = Server::start(move |seen| {
        let (text, kind) = served.lock().unwrap().clone();
        let etag = format!("\"{}\"", blake3::hash(text.as_bytes()).to_hex());
        match seen.field("if-none-match") == etag {
            true => status(304, &[], body("")),
            false => ok(&[("etag", &etag), ("content-type", kind)], text),
        }
    });
    (server, now)
}

#[test]
fn a_list_is_fetched_once_and_then_asked_about() {
    let folder = tempfile::tempdir().unwrap();
    let (server, text) = one_text("a.example\nb.example\n");
    let ads = list("ads", "block", &server.url("/ads"));
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    until("fetched", || subscribed.state("ads").last_changed_ms.is_some());
    subscribed.settle();
    let first = subscribed.state("ads");
    assert_eq!((first.problem, first.kept_back, subscribed.compiles()), (None, None, 1));
    assert_eq!(in_force(&folder, &ads).unwrap(), "a.example\nb.example\n");
    let next_ms = first.next_fetch_ms.unwrap() - now_ms();
    let hour_ms = 3_600_000;
    assert!((21 * hour_ms..27 * hour_ms).contains(&next_ms), "a day, give or take a tenth: {next_ms}");

    subscribed.update();
    let again = subscribed.state("ads");
    assert!(again.last_fetched_ms >= first.last_fetched_ms && again.last_changed_ms == first.last_changed_ms);
    assert_eq!(subscribed.compiles(), 1, "nothing to compile");

    text.lock().unwrap().0 = "a.example\nb.example\nc.example\n".into();
    subscribed.update();
    assert_eq!(in_force(&folder, &ads).unwrap(), "a.example\nb.example\nc.example\n");
    assert_eq!(subscribed.compiles(), 2);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    assert_ne!(seen[2].field("if-none-match"), "");
    let mut metrics = String::new();
    subscribed.subscriptions.render(&mut metrics);
    for line in [
        "dnsvet_list_looks_total{outcome=\"changed\"} 2",
        "dnsvet_list_looks_total{outcome=\"unchanged\"} 1",
        "dnsvet_list_subscriptions 1",
        "dnsvet_list_never_fetched 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in\n{metrics}");
    }
}

/// Starts with one good copy, serves another, and gives what is in force after the next look.
fn after_change(before: &str, after: &str, kind: &'static str) -> (ListState, String, usize) {
    let folder = tempfile::tempdir().unwrap();
    let (server, text) = one_text(before);
    let ads = list("ads", "block", &server.url("/ads"));
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    until("fetched", || subscribed.state("ads").last_changed_ms.is_some());
    subscribed.settle();
    *text.lock().unwrap() = (after.to_owned(), kind);
    subscribed.update();
    (subscribed.state("ads"), in_force(&folder, &ads).unwrap(), subscribed.compiles())
}

#[test]
fn strange_copies_are_kept_back_and_the_old_one_stays() {
    let old = "a.example\nb.example\nc.example\n";
    let popular = "a.example\nb.example\nc.example\ngoogle.com\n";
    for (fresh, kind, why) in [
        ("<!DOCTYPE html><p>a.example", "text/plain", "it is a web page, not a list"),
        ("a.example\nb.example\nc.example\nd.example\n", "text/html", "it is a web page, not a list"),
        ("a.example\n", "text/plain", "it shrank from 3 rules to 1"),
        ("# moved\n", "text/plain", "none of its 1 lines is a plain rule"),
        (popular, "text/plain", "it would newly block popular names: google.com"),
    ] {
        let (state, in_force, compiles) = after_change(old, fresh, kind);
        let held = state.kept_back.unwrap_or_else(|| panic!("not kept back: {fresh}"));
        assert_eq!(held.why, why);
        assert_eq!((in_force.as_str(), compiles, state.problem), (old, 1, None));
    }
    let (state, in_force, compiles) = after_change(old, "a.example\nb.example\nd.example\n", "text/plain");
    assert_eq!(
        (state.kept_back, in_force.as_str(), compiles),
        (None, "a.example\nb.example\nd.example\n", 2)
    );
}

#[test]
fn a_copy_that_is_kept_back_waits_until_a_person_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let (server, text) = one_text("a.example\nb.example\nc.example\n");
    let ads = list("ads", "block", &server.url("/ads"));
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    until("fetched", || subscribed.state("ads").last_changed_ms.is_some());
    subscribed.settle();
    assert!(matches!(subscribed.subscriptions.accept("ads"), Err(SubscriptionError::NothingHeld(_))));
    let unknown = subscribed.subscriptions.accept("asd").unwrap_err().to_string();
    assert_eq!(unknown, "no list has the name `asd`; there are: ads");

    text.lock().unwrap().0 = "a.example\n".into();
    subscribed.update();
    let since_ms = subscribed.state("ads").kept_back.unwrap().since_ms;
    subscribed.update();
    assert_eq!(subscribed.state("ads").kept_back.unwrap().since_ms, since_ms, "still the same copy");
    assert_ne!(server.seen()[2].field("if-none-match"), server.seen()[1].field("if-none-match"));
    // Another run of the process knows of it.
    drop(subscribed);
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    assert_eq!(subscribed.state("ads").kept_back.unwrap().since_ms, since_ms);

    subscribed.subscriptions.accept("ads").unwrap();
    assert_eq!(in_force(&folder, &ads).unwrap(), "a.example\n");
    assert_eq!((subscribed.state("ads").kept_back, subscribed.compiles()), (None, 1));
    subscribed.update();
    assert_eq!(subscribed.state("ads").kept_back, None, "it is what later copies are measured by");
}

#[test]
fn a_copy_that_is_kept_back_is_forgotten_when_a_good_one_comes() {
    let folder = tempfile::tempdir().unwrap();
    let old = "a.example\nb.example\nc.example\n";
    let (server, text) = one_text(old);
    let ads = list("ads", "block", &server.url("/ads"));
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    until("fetched", || subscribed.state("ads").last_changed_ms.is_some());
    subscribed.settle();
    for (good, compiles) in [(old, 1), ("a.example\nb.example\nd.example\n", 2)] {
        text.lock().unwrap().0 = "a.example\n".into();
        subscribed.update();
        assert!(subscribed.state("ads").kept_back.is_some());
        text.lock().unwrap().0 = good.into();
        subscribed.update();
        assert_eq!(subscribed.state("ads").kept_back, None);
        assert_eq!((in_force(&folder, &ads).unwrap().as_str(), subscribed.compiles()), (good, compiles));
    }
}

#[test]
fn a_first_copy_that_is_strange_is_not_put_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _text) = one_text("<html>log in</html>");
    let ads = list("ads", "block", &server.url("/ads"));
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    until("kept back", || subscribed.state("ads").kept_back.is_some());
    subscribed.settle();
    let state = subscribed.state("ads");
    assert_eq!(state.problem.as_deref(), Some("not fetched yet: its first copy is kept back"));
    assert_eq!((in_force(&folder, &ads), subscribed.compiles()), (None, 0));
}

#[test]
fn a_fetch_that_is_killed_leaves_the_old_copy_whole() {
    let folder = tempfile::tempdir().unwrap();
    let slow: Changing<bool> = Arc::default();
    let is_slow = Arc::clone(&slow);
    let server = Server::start(move |_| match *is_slow.lock().unwrap() {
        false => ok(&[], "a.example\n"),
        true => status(200, &[], stream("b.example\n", Duration::from_millis(20), None)),
    });
    let ads = list("ads", "block", &server.url("/ads"));
    let subscribed = Subscribed::start(&folder, std::slice::from_ref(&ads), BY_HAND);
    until("fetched", || subscribed.state("ads").last_changed_ms.is_some());
    subscribed.settle();
    *slow.lock().unwrap() = true;
    subscribed.subscriptions.update(None).unwrap();
    until("under way", || server.seen().len() == 2);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(subscribed.state("ads").phase, Phase::Fetching);
    drop(subscribed);
    assert_eq!(in_force(&folder, &ads).unwrap(), "a.example\n");
    let files: Vec<_> = std::fs::read_dir(folder.path().join("lists")).unwrap().collect();
    assert_eq!(files.len(), 1, "nothing else is left: {files:?}");
}

#[test]
fn failures_are_tried_again_sooner_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let server = Server::start(move |_| match count.fetch_add(1, SeqCst) {
        0..3 => status(500, &[], body("")),
        _ => ok(&[], "a.example\n"),
    });
    let ads = list("ads", "block", &server.url("/ads"));
    let retry = Duration::from_millis(100);
    let subscribed = Subscribed::start(&folder, &[ads], Timing { retry, ..BY_HAND });
    let started = Instant::now();
    until("failed", || subscribed.state("ads").problem.is_some_and(|problem| problem.contains("500")));
    let problem = subscribed.state("ads").problem.unwrap();
    assert!(problem.starts_with("not fetched yet: the server answers 500; wait"), "{problem}");
    until("fetched", || subscribed.state("ads").last_changed_ms.is_some());
    assert!(started.elapsed() > Duration::from_millis(600), "100, 200 and 400 ms, less a tenth");
    assert_eq!((asked.load(SeqCst), subscribed.state("ads").problem), (4, None));
}

#[test]
fn four_lists_are_fetched_at_once_and_compiled_together() {
    let folder = tempfile::tempdir().unwrap();
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (running, peak) = (Arc::clone(&now), Arc::clone(&most));
    let server = Server::start(move |seen| {
        peak.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
        let (running, text) =
            (Arc::clone(&running), format!("{}.example\n", seen.path.trim_start_matches('/')));
        let frame = futures_util::stream::once(async move {
            tokio::time::sleep(Duration::from_millis(150)).await;
            running.fetch_sub(1, SeqCst);
            Ok(hyper::body::Frame::data(bytes::Bytes::from(text)))
        });
        use http_body_util::BodyExt as _;
        status(200, &[], http_body_util::StreamBody::new(frame).boxed_unsync())
    });
    let lists: Vec<_> =
        (0..9).map(|n| list(&format!("l{n}"), "block", &server.url(&format!("/l{n}")))).collect();
    let subscribed = Subscribed::start(&folder, &lists, BY_HAND);
    until("all fetched", || lists.iter().all(|list| subscribed.state(&list.name).last_changed_ms.is_some()));
    subscribed.settle();
    assert_eq!(most.load(SeqCst), 4);
    assert!(subscribed.compiles() <= 2, "{}", subscribed.compiles());
    assert_eq!(in_force(&folder, &lists[8]).unwrap(), "l8.example\n");
}

#[test]
fn a_file_that_changes_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ours.txt");
    std::fs::write(&path, "a.example\n").unwrap();
    let ours: ListConfig = path.display().to_string().parse().unwrap();
    let hour = Duration::from_millis(2);
    let subscribed = Subscribed::start(&folder, &[ours], Timing { hour, ..BY_HAND });
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(subscribed.compiles(), 0, "nothing has changed");
    std::fs::write(&path, "a.example\nb.example\n").unwrap();
    until("compiled", || subscribed.compiles() == 1);
    std::fs::remove_file(&path).unwrap();
    until("missed", || subscribed.state("ours").problem.is_some());
    assert_eq!(subscribed.compiles(), 1, "what was read last stays in force");
}
