//! Ten million events, and how long replays of them take, wall and CPU. Prints figures, asserts no time.
//!
//! The store is made once, in minutes and half a gigabyte, and kept in the folder that is given: names by Zipf's law,
//! 1,000 clients, seven days, verdicts of the bundled snapshot. An eighth of the events goes through the store's
//! writer; the others are copies of those rows with other clients and times, and are in no roll-up.

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dnsvet::bundled;
use dnsvet::commands::check::Checker;
use dnsvet::config::{ClientAddresses, Retention};
use dnsvet::replay::{Request, replay};
use dnsvet::store::sqlite::SqliteStore;
use dnsvet::store::{EventStore, Tenant};
use dnsvet_core::event::{Batch, Event};
use dnsvet_core::name::Name;
use dnsvet_core::policy::Mode;
use dnsvet_core::snapshot::{Role, Snapshot};
use dnsvet_models::registry::Registry;

const EVENTS: u64 = 10_000_000;
const WRITTEN: u64 = EVENTS / 8;
const NAMES: usize = 300_000;
const CLIENTS: u64 = 1_000;
const SPAN_MS: u64 = 7 * 86_400_000;
const START_MS: u64 = 1_795_000_000_000;

/// xorshift64*: the same events each time.
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

fn texts(role: Role) -> Vec<String> {
    let of_role = bundled::lists().iter().filter(|list| list.role == role);
    let texts = of_role.map(|list| String::from_utf8(list.text().unwrap()).unwrap());
    let mut names: Vec<String> =
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    names.retain(|name| !name.is_empty() && !name.starts_with('#'));
    names.sort();
    names.dedup();
    names
}

/// Names by how often they are asked: popular ones first, then popular and listed ones and inventions mixed.
fn names(dice: &mut Dice) -> Vec<String> {
    let (popular, listed) = (texts(Role::Popular), texts(Role::Block));
    let dga = dnsvet_models::data::dga::names(20_000, 7);
    let mut names: Vec<String> = Vec::with_capacity(NAMES);
    let mut known = HashSet::new();
    while names.len() < NAMES {
        let of = |names: &[String], dice: &mut Dice| names[dice.below(names.len() as u64) as usize].clone();
        let name = match dice.below(100) {
            0..8 if names.len() > 200 => of(&listed, dice),
            8..12 if names.len() > 5_000 => of(&dga, dice),
            12..40 => of(&popular, dice),
            40..70 => format!("www.{}", of(&popular, dice)),
            _ => format!("x{:x}.cdn.{}", dice.below(1 << 20), of(&popular, dice)),
        };
        if known.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

fn snapshot() -> Snapshot {
    let small = Registry::bundled().get("small").unwrap().dvm.unwrap().into_owned();
    let options = bundled::Options { small_model: Some(small), ..bundled::Options::default() };
    Snapshot::open(bundled::snapshot(&options).unwrap().into(), &[]).unwrap()
}

fn fill(path: &Path) {
    let retention =
        Retention { raw_days: 10_000, rollup_days: 10_000, store_bytes: 0, ..Retention::default() };
    let store = SqliteStore::open(path, retention, ClientAddresses::Truncate).unwrap();
    let mut dice = Dice(0x5eed);
    let names = names(&mut dice);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut checker = Checker::new(snapshot(), None, Some(Mode::Enforce)).unwrap();
    let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut decided: Vec<Option<Event>> = vec![None; names.len()];
    let mut receipts = VecDeque::new();
    for first in (0..WRITTEN).step_by(10_000) {
        let events = (first..first + 10_000).map(|number| {
            let rank = ((NAMES as f64).powf(dice.share()) - 1.0) as usize % NAMES;
            let event = decided[rank].get_or_insert_with(|| {
                runtime.block_on(checker.check(&Name::parse(&names[rank]).unwrap(), client)).unwrap()
            });
            let mut event = event.clone();
            let who = (dice.share() * dice.share() * CLIENTS as f64) as u64;
            event.client = format!("10.0.{}.{}", who / 250, who % 250 + 1);
            event.time_ms = START_MS + number * SPAN_MS / EVENTS;
            event.seq = number + 1;
            event.door = if dice.below(10) < 8 { "udp" } else { "doh" }.into();
            event.qtype = [1, 1, 1, 28, 65][dice.below(5) as usize];
            event
        });
        let batch = Batch { source: "load/1/1".into(), dropped: 0, events: events.collect() };
        receipts.push_back(store.append(Tenant::DEFAULT, batch).unwrap());
        if receipts.len() > 4 {
            receipts.pop_front().unwrap().blocking_recv().unwrap().unwrap();
        }
    }
    receipts.into_iter().for_each(|receipt| {
        receipt.blocking_recv().unwrap().unwrap();
    });
    drop(store);
    let mut connection = rusqlite::Connection::open(path).unwrap();
    let copies = connection.transaction().unwrap();
    let sql = "INSERT INTO events SELECT NULL, tenant_id, source_id, seq + ?1 * ?2, time_ms + ?1 * ?2 * ?3 / ?4, name_id,
       (client_id + ?1 * 37) % (SELECT count(*) FROM clients) + 1, qtype, door_id, action, reason, not_confident, took_us, verdict_id
       FROM events WHERE id <= ?2";
    for copy in 1..EVENTS / WRITTEN {
        let values = [copy, WRITTEN, SPAN_MS, EVENTS].map(|value| value as i64);
        copies.execute(sql, values).unwrap();
    }
    copies.commit().unwrap();
}

/// CPU time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<u64> = after.split(' ').map(|field| field.parse().unwrap_or(0)).collect();
    Duration::from_millis((fields[11] + fields[12]) * 10)
}

fn main() {
    // cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("replay-10m.db");
    if !path.exists() {
        println!("{}: filling it, which takes minutes", path.display());
        let fresh = folder.join("replay-10m.new");
        fill(&fresh);
        std::fs::rename(&fresh, &path).unwrap();
    }
    let base = snapshot();
    let ours = folder.join("added.txt");
    let mut dice = Dice(0x5eed);
    let added: Vec<String> = names(&mut dice).into_iter().skip(50).step_by(20).collect();
    std::fs::write(&ours, added.join("\n")).unwrap();
    let changes = [
        format!("add-list:plain:{}", ours.display()),
        "remove-list:bundled".to_owned(),
        "threshold:0.95".to_owned(),
    ];
    for change in changes {
        let request = Request {
            with: vec![change.parse().unwrap()],
            since_ms: START_MS,
            until_ms: START_MS + SPAN_MS,
            client: None,
            group: None,
            top: 3,
        };
        for round in 0..3 {
            let (wall, before) = (Instant::now(), cpu());
            let report =
                replay(&request, &base, &Registry::bundled(), (&path, Tenant::DEFAULT), |_, _| {}).unwrap();
            let (wall, cpu) = (wall.elapsed(), cpu() - before);
            println!("{change} round {round}: {wall:?} wall, {cpu:?} CPU");
            if round == 0 {
                println!("{}", report.describe());
            }
            assert_eq!(report.looked_at.events, EVENTS);
        }
    }
}
