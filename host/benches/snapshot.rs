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
use dnsvet_core::snapshot::{Builder, Deltas, Role, Snapshot, etag_matches, serve_range};

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
    let ours = builder.list("ours", Role::Block, "");
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
    let changed = changes(&mut builder, ours, &bytes, &names);
    if let Some(memory) = Memory::measure(&bytes, &changed, &names) {
        let Memory { empty, loaded, delta, replaced } = memory;
        let more = each((loaded - empty) as u64);
        println!("plugin memory       {loaded} bytes, {more:.3} a name above an empty snapshot's {empty}");
        println!(
            "  after one whose every byte changed  {} bytes, {:.2} times",
            replaced.bytes,
            ratio(replaced.bytes, loaded)
        );
        println!("plugin, 100 names changed   {delta}");
        println!("plugin, every byte changed  {replaced}");
    }
    look_ups(&snapshot, &bytes, names);
}

/// What a change of 100 names costs who builds; returns the changed snapshot.
fn changes(builder: &mut Builder, ours: u16, before: &Bytes, names: &[Name]) -> Bytes {
    let mut deltas = Deltas::default();
    let mut serve = |bytes: &Bytes| {
        let opened = Snapshot::open(bytes.clone(), &[]).expect("the snapshot opens");
        deltas.serve(opened.id(), bytes).expect("a snapshot");
        deltas.since(opened.serial() - 1).map_or(0, |delta| delta.len())
    };
    serve(before);
    for number in 0..100 {
        builder.add(ours, &Name::parse(&format!("changed{number}.example")).expect("a name"), Scope::Suffix);
    }
    let start = Instant::now();
    let changed = Bytes::from(builder.serial(2).build(None).expect("the snapshot builds"));
    let took = start.elapsed();
    println!("100 names added     built in {:.0} ms, a delta of {} bytes", ms(took), serve(&changed));
    let start = Instant::now();
    builder.clear_list(0);
    for (number, name) in
        names.iter().enumerate().filter(|(number, _)| number % (names.len() / 100).max(1) != 1)
    {
        builder.add(0, name, Scope::Suffix);
        black_box(number);
    }
    let added = start.elapsed();
    let start = Instant::now();
    let fewer = Bytes::from(builder.serial(3).build(None).expect("the snapshot builds"));
    let took = start.elapsed();
    let delta = serve(&fewer);
    println!(
        "the list replaced, 100 names fewer  added in {:.0} ms, built in {:.0} ms, a delta of {delta} bytes",
        ms(added),
        ms(took)
    );
    changed
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
    /// After 100 names were added.
    delta: Fetch,
    /// After the list under another key replaced it.
    replaced: Fetch,
}

impl Memory {
    fn measure(bytes: &Bytes, changed: &Bytes, names: &[Name]) -> Option<Self> {
        let wasm = std::fs::read(built("dnsvet.wasm")?).expect("the plugin can be read");
        let runtime = Runtime::load(&wasm, None, Limits::default()).expect("the plugin loads");
        let fresh = || Plugin::start(&runtime);
        let mut without = fresh();
        let empty =
            without.fetch(&Bytes::from(builder(&[], 1).build(None).expect("an empty snapshot builds")));
        let mut with = fresh();
        let loaded = with.fetch(bytes);
        let delta = with.fetch(changed);
        let other = Bytes::from(builder(names, 3).build(None).expect("the snapshot builds"));
        let replaced = with.fetch(&other);
        Some(Self { empty: empty.bytes, loaded: loaded.bytes, delta, replaced })
    }
}

/// What it cost the plugin to take a snapshot.
struct Fetch {
    /// Its memory afterwards.
    bytes: usize,
    callouts: usize,
    fetched: usize,
    /// The longest that one callback kept it from answering.
    slowest: Duration,
}

impl std::fmt::Display for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, callouts, fetched, slowest } = self;
        let slowest = ms(*slowest);
        write!(f, "{callouts} callouts, {fetched} bytes, longest callback {slowest:.1} ms, memory {bytes}")
    }
}

/// The real plugin with a control plane that is this benchmark.
struct Plugin {
    vm: Vm,
    shared: std::sync::Arc<SharedState>,
    deltas: Deltas,
}

impl Plugin {
    fn start(runtime: &std::sync::Arc<Runtime>) -> Self {
        let shared = SharedState::new(["control"]);
        let config = br#"{"control_cluster": "control"}"#;
        let vm = Vm::start(runtime, config, shared.clone()).expect("the plugin starts");
        Self { vm, shared, deltas: Deltas::default() }
    }

    /// Serves the plugin a snapshot until it is in force.
    fn fetch(&mut self, bytes: &Bytes) -> Fetch {
        let snapshot = Snapshot::open(bytes.clone(), &[]).expect("the snapshot opens");
        self.deltas.serve(snapshot.id(), bytes).expect("a snapshot");
        let before = self.loaded();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut cost = Fetch { bytes: 0, callouts: 0, fetched: 0, slowest: Duration::ZERO };
        while self.loaded() == before {
            assert!(Instant::now() < deadline, "the plugin takes no snapshot");
            self.vm.tick().expect("no trap");
            loop {
                let calls = self.vm.take_callouts();
                if calls.is_empty() {
                    break;
                }
                for call in calls {
                    let (headers, body) = serve(bytes, snapshot.id(), &mut self.deltas, &call);
                    cost.callouts += 1;
                    cost.fetched += body.len();
                    let start = Instant::now();
                    self.vm.callout_reply(call.token, &headers, body).expect("no trap");
                    cost.slowest = cost.slowest.max(start.elapsed());
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Fetch { bytes: self.vm.memory_bytes(), ..cost }
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

/// `GET /v1/snapshot` and its deltas as the control plane answers them.
fn serve(
    bytes: &Bytes,
    id: &str,
    deltas: &mut Deltas,
    call: &OutgoingCall,
) -> (Vec<(&'static str, String)>, Vec<u8>) {
    let header =
        |name: &str| call.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let etag = ("etag", format!("\"{id}\""));
    if etag_matches(header("if-none-match"), id) {
        return (vec![(":status", "304".to_owned()), etag], Vec::new());
    }
    if let Some((_, from)) = header(":path").and_then(|path| path.split_once("?from=")) {
        return match deltas.since(from.parse().expect("a serial")) {
            Ok(body) => (vec![(":status", "200".to_owned()), etag], body.to_vec()),
            Err(_) => (vec![(":status", "404".to_owned()), etag], Vec::new()),
        };
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
        // Made anew like the others, so that their texts lie one after the other too.
        ("hit, exact", derived(&|name| name.as_str().to_owned())),
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
