//! What a snapshot of a list costs: `cargo xtask bench snapshot [LIST]`.
//!
//! LIST is a plain or hosts list, `.gz` or not. Prints bytes a name, in the file and in the memory of the plugin
//! that fetched it; times to compile and to open; look-up times natively and in wasm, in one run: best of rounds
//! over shuffled names, warm (the same 4,096 names again) and cold (each name of the list once).

use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dnsvet::wasm::{Limits, MetricValue, OutgoingCall, Runtime, SharedState, Vm};
use dnsvet_core::host::Counter;
use dnsvet_core::lists::{Format, Scope, parse};
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Builder, Role, Snapshot, etag_matches, serve_range};

#[path = "../tests/measure/mod.rs"]
mod measure;

use measure::{Measure, built};

const WARM_NAMES: usize = 4_096;
const WARM_ROUNDS: usize = 30;
const COLD_ROUNDS: usize = 3;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let Some(path) = args.first() else {
        eprintln!("usage: cargo bench -p dnsvet --bench snapshot -- LIST");
        return;
    };
    let text = read(Path::new(path));
    let start = Instant::now();
    let mut names = Vec::new();
    parse(&text, Format::detect(&text), |entry| names.extend(entry.rule.name().cloned()), |_| ());
    let parsed = start.elapsed();
    let mut builder = builder(&names, 1);
    let start = Instant::now();
    let file = builder.build(None).expect("the snapshot builds");
    let compiled = start.elapsed();
    let start = Instant::now();
    builder.serial(2).build(None).expect("the snapshot builds again");
    let again = start.elapsed();
    let bytes = Bytes::from(file);
    let start = Instant::now();
    let snapshot = Snapshot::open(bytes.clone(), &[]).expect("the snapshot opens");
    let opened = start.elapsed();

    let count = snapshot.name_count();
    let sections = snapshot.section_bytes();
    let map = sections.iter().find(|(name, _)| *name == "name map").map_or(0, |(_, bytes)| *bytes);
    let each = |bytes: u64| bytes as f64 / count.max(1) as f64;
    println!("names               {count}");
    println!("name map            {map} bytes, {:.3} a name", each(map));
    println!("snapshot            {} bytes, {:.3} a name", bytes.len(), each(bytes.len() as u64));
    println!("parse               {:.0} ms", ms(parsed));
    println!("compile             {:.0} ms, again with the same names {:.0} ms", ms(compiled), ms(again));
    println!("open and check      {:.1} ms", ms(opened));
    if let Some(memory) = Memory::measure(&bytes, &names) {
        let Memory { empty, loaded, replaced } = memory;
        let more = each((loaded - empty) as u64);
        println!("plugin memory       {loaded} bytes, {more:.3} a name above an empty snapshot's {empty}");
        println!(
            "  after one whose every byte changed  {replaced} bytes, {:.2} times",
            ratio(replaced, loaded)
        );
    }
    look_ups(&snapshot, &bytes, names);
}

fn builder(names: &[Name], serial: u64) -> Builder {
    // Another key for another serial: nothing of one is in the other.
    let mut builder = Builder::new(serial, [serial as u8; 16]);
    builder.list("bench", Role::Block, "");
    for name in names {
        builder.add(0, name, Scope::Suffix);
    }
    builder
}

/// Bytes of memory that the real plugin takes. Memory of wasm never shrinks, so they are peaks.
struct Memory {
    /// With a snapshot of no names.
    empty: usize,
    /// With the list.
    loaded: usize,
    /// After the list under another key replaced it.
    replaced: usize,
}

impl Memory {
    fn measure(bytes: &Bytes, names: &[Name]) -> Option<Self> {
        let wasm = std::fs::read(built("dnsvet.wasm")?).expect("the plugin can be read");
        let runtime = Runtime::load(&wasm, None, Limits::default()).expect("the plugin loads");
        let fresh = || Plugin::start(&runtime);
        let mut without = fresh();
        without.fetch(&Bytes::from(builder(&[], 1).build(None).expect("an empty snapshot builds")));
        let mut with = fresh();
        with.fetch(bytes);
        let loaded = with.vm.memory_bytes();
        with.fetch(&Bytes::from(builder(names, 2).build(None).expect("the snapshot builds")));
        Some(Self { empty: without.vm.memory_bytes(), loaded, replaced: with.vm.memory_bytes() })
    }
}

/// The real plugin with a control plane that is this benchmark.
struct Plugin {
    vm: Vm,
    shared: std::sync::Arc<SharedState>,
}

impl Plugin {
    fn start(runtime: &std::sync::Arc<Runtime>) -> Self {
        let shared = SharedState::new(["control"]);
        let config = br#"{"control_cluster": "control"}"#;
        let vm = Vm::start(runtime, config, shared.clone()).expect("the plugin starts");
        Self { vm, shared }
    }

    /// Serves the plugin a snapshot until it is in force.
    fn fetch(&mut self, bytes: &Bytes) {
        let before = self.loaded();
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.loaded() == before {
            assert!(Instant::now() < deadline, "the plugin takes no snapshot");
            self.vm.tick().expect("no trap");
            loop {
                let calls = self.vm.take_callouts();
                if calls.is_empty() {
                    break;
                }
                for call in calls {
                    let (headers, body) = serve(bytes, &call);
                    self.vm.callout_reply(call.token, &headers, body).expect("no trap");
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn loaded(&self) -> u64 {
        let metrics = self.shared.metrics();
        let found = metrics.into_iter().find(|(name, _)| name == Counter::SnapshotsLoaded.name());
        match found {
            Some((_, MetricValue::Counter(loaded))) => loaded,
            _ => 0,
        }
    }
}

/// `GET /v1/snapshot` as the control plane answers it.
fn serve(bytes: &Bytes, call: &OutgoingCall) -> (Vec<(&'static str, String)>, Vec<u8>) {
    let header =
        |name: &str| call.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let snapshot = Snapshot::open(bytes.clone(), &[]).expect("the snapshot opens");
    let etag = ("etag", format!("\"{}\"", snapshot.id()));
    if etag_matches(header("if-none-match"), snapshot.id()) {
        return (vec![(":status", "304".to_owned()), etag], Vec::new());
    }
    let whole = 0..bytes.len() as u64;
    let range = serve_range(whole.end, header("range")).expect("a range within").unwrap_or(whole);
    let said = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
    let body = bytes[range.start as usize..range.end as usize].to_vec();
    (vec![(":status", "206".to_owned()), ("content-range", said), etag], body)
}

fn look_ups(snapshot: &Snapshot, bytes: &Bytes, mut names: Vec<Name>) {
    shuffle(&mut names);
    let derived = |make: &dyn Fn(&Name) -> String| -> Vec<Name> {
        names.iter().map(|name| Name::parse(&make(name)).unwrap_or_else(|_| name.clone())).collect()
    };
    let kinds = [
        ("hit, exact", names.clone()),
        ("hit, one more label", derived(&|name| format!("www.{name}"))),
        ("miss", derived(&|name| format!("{name}q"))),
        ("miss, subdomain", derived(&|name| format!("www.{name}q"))),
    ];
    let mut wasm = Measure::start();
    if let Some(wasm) = &mut wasm {
        wasm.ask("/snapshot", bytes);
    }
    println!("look-up, ns           native warm  cold    wasm warm  cold    wasm/native warm  cold");
    for (what, asked) in kinds {
        let hits = asked.iter().filter(|name| snapshot.is_listed(name)).count();
        let some = asked.get(..WARM_NAMES).unwrap_or(&asked);
        let native = [
            best(WARM_ROUNDS, some, native(snapshot, some)),
            best(COLD_ROUNDS, &asked, native(snapshot, &asked)),
        ];
        print!("  {what:<20} {:>10.1} {:>6.1}", native[0], native[1]);
        if let Some(wasm) = &mut wasm {
            let [warm, cold] = [in_wasm(wasm, some, 50, WARM_ROUNDS), in_wasm(wasm, &asked, 1, COLD_ROUNDS)];
            print!("   {warm:>10.1} {cold:>6.1}   {:>16.2} {:>5.2}", warm / native[0], cold / native[1]);
        }
        println!("    ({hits} of {} found)", asked.len());
    }
}

fn native<'a>(snapshot: &'a Snapshot, asked: &'a [Name]) -> impl FnMut() + 'a {
    || {
        black_box(asked.iter().filter(|name| snapshot.is_listed(black_box(name))).count());
    }
}

/// Nanoseconds a name in wasm; the names go over once, and each call does many look-ups.
fn in_wasm(wasm: &mut Measure, asked: &[Name], times: usize, rounds: usize) -> f64 {
    let text: Vec<&str> = asked.iter().map(Name::as_str).collect();
    wasm.ask("/names", text.join("\n").as_bytes());
    let path = format!("/listed?{times}");
    best(rounds, asked, || drop(black_box(wasm.ask(&path, &[])))) / times as f64
}

/// Nanoseconds a name, best of rounds.
fn best(rounds: usize, asked: &[Name], mut round: impl FnMut()) -> f64 {
    let time = || {
        let start = Instant::now();
        round();
        start.elapsed().as_nanos() as f64 / asked.len().max(1) as f64
    };
    std::iter::repeat_with(time).take(rounds).fold(f64::INFINITY, f64::min)
}

fn read(path: &Path) -> Vec<u8> {
    let packed = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if !packed.starts_with(&[0x1f, 0x8b]) {
        return packed;
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut text).expect("a whole gzip file");
    text
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b.max(1) as f64
}

fn shuffle(names: &mut [Name]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for last in (1..names.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        names.swap(last, (state >> 33) as usize % (last + 1));
    }
}
