//! The stores side by side on a million events: `cargo xtask bench store`. Prints figures, asserts no time.
//!
//! The same events go into SQLite and into ClickHouse's engine (chdb behind HTTP) in batches of 1,000, four in flight:
//! names by Zipf's law, 1,000 clients, seven days, verdicts as the filter gives them. CPU time is that of our process,
//! and for ClickHouse that of the server beside it. Bytes are what lies on disk when merges are done, roll-ups and
//! indices included. Questions are those of the dashboard, each asked 40 times by one client.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use dnsvet::config::{ClickHouse, ClientAddresses, Retention};
use dnsvet::store::clickhouse::ClickHouseStore;
use dnsvet::store::sqlite::SqliteStore;
use dnsvet::store::{ActionFilter, EventStore, Order, Search, Tenant};
use dnsvet_core::event::{Batch, Event};
use dnsvet_core::verdict::{Action, Reason, Step, TraceLine, Verdict};
use dnsvet_tests::chdb::{Chdb, PASSWORD, USER};
use dnsvet_tests::names::Draw;

const NAMES: usize = 100_000;
const CLIENTS: u64 = 1_000;
const SPAN_MS: u64 = 7 * 86_400_000;
const BATCH: u64 = 1_000;
const IN_FLIGHT: usize = 4;
const ASKED: usize = 40;
const T: Tenant = Tenant::DEFAULT;

/// xorshift64*: the same events for both.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// In [0, 1).
    fn share(&mut self) -> f64 {
        (self.throw() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.throw() % bound
    }
}

fn main() {
    let events: u64 =
        std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    let mut draw = Draw::new("bench-store");
    let names: Vec<String> = (0..NAMES)
        .map(|n| if n % 3 == 0 { draw.domain() } else { format!("www{n}.{}", draw.domain()) })
        .collect();
    let end_ms = dnsvet::store::now_ms();
    let retention = Retention { raw_days: 30, store_bytes: 0, ..Retention::default() };
    println!("{events} events, {NAMES} names, {CLIENTS} clients, 7 days");

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.db");
    let store = SqliteStore::open(&path, retention.clone(), ClientAddresses::Truncate).expect("SQLite");
    fill("sqlite", &store, &names, (events, end_ms), None);
    let bytes = std::fs::metadata(&path).map_or(0, |file| file.len());
    println!("sqlite      {:.1} bytes an event", bytes as f64 / events as f64);
    questions("sqlite", &store, &names, end_ms);
    drop(store);

    let server = match Chdb::start() {
        Ok(server) => server,
        Err(error) => return println!("skipped: {error}"),
    };
    let config = ClickHouse {
        url: server.url.clone(),
        user: USER.into(),
        password: PASSWORD.into(),
        ..ClickHouse::default()
    };
    let spool = folder.path().join("spool");
    let store =
        ClickHouseStore::open(&config, &spool, retention, ClientAddresses::Truncate).expect("ClickHouse");
    fill("clickhouse", &store, &names, (events, end_ms), Some(server.pid()));
    for table in ["events", "rollup_verdicts", "rollup_names", "rollup_clients", "sources"] {
        server.ask(&format!("OPTIMIZE TABLE dnsvet.{table} FINAL")).unwrap_or_else(|error| panic!("{error}"));
    }
    let sql = "SELECT table, sum(rows), sum(bytes_on_disk) FROM system.parts WHERE database = 'dnsvet' AND active \
        GROUP BY table ORDER BY table FORMAT TabSeparated";
    let parts = server.ask(sql).unwrap_or_else(|error| panic!("{error}"));
    print!("{parts}");
    let bytes: u64 = parts.lines().filter_map(|line| line.rsplit('\t').next()?.parse::<u64>().ok()).sum();
    println!("clickhouse  {:.1} bytes an event", bytes as f64 / events as f64);
    questions("clickhouse", &store, &names, end_ms);
}

fn fill(
    what: &str,
    store: &dyn EventStore,
    names: &[String],
    (events, end_ms): (u64, u64),
    server: Option<u32>,
) {
    let mut dice = Dice(0x5eed);
    let (mut receipts, started) = (VecDeque::new(), Instant::now());
    let mut made = Duration::ZERO;
    let before = (cpu("self"), server.map(|pid| cpu(&pid.to_string())));
    for first in (0..events).step_by(BATCH as usize) {
        let making = cpu("self");
        let batch: Vec<Event> = (first..(first + BATCH).min(events))
            .map(|n| event(&mut dice, names, n + 1, end_ms - SPAN_MS + n * SPAN_MS / events))
            .collect();
        made += cpu("self") - making;
        let batch = Batch { source: "load/1/1".into(), dropped: 0, events: batch };
        receipts.push_back(store.append(T, batch).expect("room"));
        if receipts.len() >= IN_FLIGHT {
            receipts.pop_front().map(|receipt| receipt.blocking_recv().expect("a receipt").expect("stored"));
        }
    }
    for receipt in receipts {
        receipt.blocking_recv().expect("a receipt").expect("stored");
    }
    let (wall, ours) = (started.elapsed(), cpu("self") - before.0 - made);
    let theirs = server.zip(before.1).map_or(Duration::ZERO, |(pid, before)| cpu(&pid.to_string()) - before);
    let rate = |time: Duration| events as f64 / time.as_secs_f64();
    println!(
        "{what:<12}{:.0} rows a second of our CPU, {:.0} with the server's; {:.0} a second of time",
        rate(ours),
        rate(ours + theirs),
        rate(wall)
    );
}

/// An event with a trace of four lines: a fifth is blocked, a fiftieth waits for a person.
fn event(dice: &mut Dice, names: &[String], seq: u64, time_ms: u64) -> Event {
    let rank = ((names.len() as f64).powf(dice.share()) - 1.0) as usize % names.len();
    let who = (dice.share() * dice.share() * CLIENTS as f64) as u64;
    let name = &names[rank];
    let (action, reason) = match rank % 50 {
        0..10 => (Action::Nxdomain, Reason::List),
        10 => (Action::Allow, Reason::NotConfident),
        _ => (Action::Allow, Reason::Model),
    };
    let score = (rank % 997) as f64 / 997.0;
    let line =
        |step, said: String, score| TraceLine { step, said: said.into(), decided: action.stops(), score };
    let verdict = Verdict {
        action,
        would: None,
        reasons: vec![reason],
        rule: action.stops().then(|| "kadhosts".into()),
        score: Some(score),
        model: Some("small@1a2b3c4d".into()),
        group: "default".into(),
        snapshot: format!("{:016x}", seq / 200_000),
        ttl_s: 60,
        own: Default::default(),
        trace: vec![
            line(Step::Group, "the client is in group default".into(), None),
            line(Step::Lists, format!("{name} is looked for in 3 lists"), None),
            line(Step::Lists, format!("{name} is line {rank} of kadhosts"), None),
            line(Step::Model, format!("small gives {score:.5}, block above 0.98"), Some(score)),
        ],
    };
    Event {
        seq,
        time_ms,
        client: format!("10.0.{}.{}", who / 250, who % 250 + 1),
        name: name.clone(),
        qtype: [1, 1, 1, 28, 65][dice.below(5) as usize],
        door: if dice.below(10) < 8 { "udp" } else { "doh" }.into(),
        verdict,
        not_confident: reason == Reason::NotConfident,
        took_us: 5 + dice.below(200),
    }
}

fn questions(what: &str, store: &dyn EventStore, names: &[String], end_ms: u64) {
    let (hour, day) = (3_600_000, 86_400_000);
    let page = || Search { limit: 100, ..Search::default() };
    let part = |at: usize| names[at * 37 % 5_000].split('.').next().unwrap_or_default().to_owned();
    let search = |search: Search| store.search(T, &search).expect("a page").items.len();
    let overview = |span: u64| store.overview(T, end_ms - span, end_ms).expect("counts").queries as usize;
    let order = Order { limit: 1_000, threshold: 0.9, now_ms: end_ms };
    type Question<'a> = (&'static str, Box<dyn Fn(usize) -> usize + 'a>);
    let all: [Question<'_>; 10] = [
        ("overview, 1 hour", Box::new(|_| overview(hour))),
        ("overview, 24 hours", Box::new(|_| overview(day))),
        ("overview, 7 days", Box::new(|_| overview(7 * day))),
        ("newest page", Box::new(|_| search(page()))),
        ("blocked", Box::new(|_| search(Search { action: Some(ActionFilter::Blocked), ..page() }))),
        ("a frequent name", Box::new(|at| search(Search { name: Some(names[at].clone()), ..page() }))),
        ("part of a rarer name", Box::new(|at| search(Search { name: Some(part(at)), ..page() }))),
        ("a name of nobody", Box::new(|at| search(Search { name: Some(format!("zq{at}xqv")), ..page() }))),
        ("a client", Box::new(|at| search(Search { client: Some(format!("10.0.3.{}", at + 1)), ..page() }))),
        ("the vetting queue", Box::new(|_| store.pending(T, order, &|_| false).expect("the queue").len())),
    ];
    for (question, ask) in all {
        let mut took: Vec<(Duration, usize)> = (0..ASKED)
            .map(|at| {
                let started = Instant::now();
                let found = ask(at);
                (started.elapsed(), found)
            })
            .collect();
        let found = took.iter().map(|(_, found)| found).sum::<usize>() / ASKED;
        took.sort();
        let ms = |share: f64| took[((ASKED - 1) as f64 * share) as usize].0.as_secs_f64() * 1000.0;
        println!(
            "{what:<12}{question:<24}{:>8.1} ms median {:>8.1} ms p95   ({found} found)",
            ms(0.5),
            ms(0.95)
        );
    }
}

/// CPU time of a process so far.
fn cpu(pid: &str) -> Duration {
    let path = Path::new("/proc").join(pid).join("stat");
    let stat = std::fs::read_to_string(path).expect("a process");
    let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
    let fields: Vec<u64> = after.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
    Duration::from_millis((fields[11] + fields[12]) * 10)
}
