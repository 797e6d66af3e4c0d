//! Subscriptions against real HTTP servers on this machine.

mod control;
mod fetch;
mod keep;
pub(crate) mod server;
mod transfer;

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use url::Url;

use super::fetch::{Roots, Wanted};
use super::resolve::Resolver;
use super::*;

/// A fetcher that asks nobody for addresses.
fn fetcher() -> Fetcher {
    Fetcher::new(Resolver::Demo, Roots::System)
}

fn wanted(url: &str) -> Wanted {
    let url = Url::parse(url).unwrap();
    Wanted { url, validators: Default::default(), allow_private: true, most_bytes: 1 << 20 }
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Never looks again by itself.
const BY_HAND: Timing = Timing {
    hour: Duration::from_secs(3_600),
    retry: Duration::from_secs(600),
    most_retry: Duration::from_secs(600),
};

/// A list at a server of this machine.
fn list(name: &str, role: &str, url: &str) -> ListConfig {
    let text =
        format!("lists = [{{ name = \"{name}\", source = \"{role}:plain:{url}\", allow_private = true }}]");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dnsvet.toml");
    std::fs::write(&path, text).unwrap();
    crate::config::Config::load(Some(&path), [], &[]).unwrap().lists.remove(0)
}

/// Subscriptions over a folder, with compiles counted.
struct Subscribed {
    subscriptions: Subscriptions,
    compiles: Arc<AtomicUsize>,
}

impl Subscribed {
    fn start(folder: &tempfile::TempDir, lists: &[ListConfig], timing: Timing) -> Self {
        let compiles = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&compiles);
        let compile: Compile = Arc::new(move || {
            count.fetch_add(1, Relaxed);
            Ok(())
        });
        let tools = Tools { fetcher: fetcher(), shelf: Shelf::of(folder.path()) };
        let subscriptions = Subscriptions::start(lists, tools, timing, compile).unwrap();
        Self { subscriptions, compiles }
    }

    fn state(&self, name: &str) -> ListState {
        self.subscriptions.state(name).unwrap()
    }

    /// Waits until no list is looked at.
    fn settle(&self) {
        let is_idle = |shown: &Shown| shown.state.phase == Phase::Idle;
        until("settled", || self.subscriptions.shared.lists().iter().all(is_idle));
    }

    /// Looks at all lists and waits for what comes of it.
    fn update(&self) {
        self.subscriptions.update(None).unwrap();
        self.settle();
    }

    fn compiles(&self) -> usize {
        self.compiles.load(Relaxed)
    }
}

/// What is in force of a list.
fn in_force(folder: &tempfile::TempDir, list: &ListConfig) -> Option<String> {
    let key = Shelf::key(&list.name, &list.source.place.to_string());
    let copy = Shelf::of(folder.path()).read(&key, Slot::Good).unwrap()?;
    Some(String::from_utf8(copy.text).unwrap())
}

/// A text that a test changes while its server runs.
type Changing<T> = Arc<Mutex<T>>;
