//! A snapshot takes over under load while the control plane is killed in the midst of it: each question is answered
//! by the old one or by the new one.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use dnsvet_tests::client::{Client, Door, Reply, question};
use dnsvet_tests::flow::Flow;
use dnsvet_tests::load::Workers;
use dnsvet_tests::names::Draw;
use dnsvet_tests::rig::{Plan, Rig};
use hickory_proto::rr::RecordType;
use xtask::shell;

/// Names of each list, enough that it takes many requests to fetch and takes over shard by shard.
const NAMES: usize = 250_000;
const WITHIN: Duration = Duration::from_secs(30);
/// Questions under way at once on each connection.
const TOGETHER: usize = 8;
const CONNECTIONS: usize = 4;
/// VMs of Envoy: one of each worker, and the main thread's.
const VMS: f64 = 3.0;

/// Which snapshots may answer: their numbers are the last byte of the address that they answer with.
struct Span {
    from: AtomicU8,
    to: AtomicU8,
}

fn names(number: u8) -> Vec<String> {
    (0..NAMES).map(|name| format!("n{name}.list{number}.example")).collect()
}

fn rules(number: u8) -> String {
    format!("rules = [\"||swap.example^$dnsrewrite=10.0.0.{number}\"]\n")
}

/// Writes list and rules of a number for the next reload or start.
fn write(rig: &Rig, number: u8) {
    let folder = &rig.options.folder;
    fs::write(folder.join("blocked.txt"), names(number).join("\n")).expect("the list can be written");
    let config = folder.join("dnsvet.toml");
    let text = fs::read_to_string(&config).expect("the configuration");
    let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("rules = ")).collect();
    fs::write(&config, rules(number) + &kept.join("\n")).expect("the configuration can be written");
}

fn signal(rig: &Rig, signal: &str) {
    let pid = rig.serve.as_ref().expect("serve runs").pid().to_string();
    shell::output(Command::new("kill").args([signal, &pid])).unwrap_or_else(|error| panic!("{error}"));
}

/// How many snapshots were served since the start.
fn served(rig: &Rig) -> usize {
    rig.serve.as_ref().map_or(0, |serve| serve.printed().matches("snapshot served").count())
}

/// How many Envoy's VMs have put in force.
fn loaded(rig: &Rig) -> f64 {
    rig.envoy_metric("dnsvet_filter_snapshots_loaded_total")
}

/// The number of the snapshot that answered.
fn number(reply: &Reply) -> Option<u8> {
    (reply.header() == Some((0, 1))).then(|| reply.addresses()[0].octets()[3])
}

/// Waits until every worker of Envoy answers from this snapshot.
fn wait_for(rig: &Rig, wanted: u8) {
    let took = Workers::open(rig, Door::Envoy)
        .wait("wait.swap.example", WITHIN, |reply| number(reply) == Some(wanted));
    assert!(took.is_some(), "snapshot {wanted} is never in force");
}

/// Asks each name of a sequence once until told to end; how many.
fn load(client: &Client, span: &Span, ending: &AtomicBool) -> usize {
    let mut sequence = 0;
    client.run(async {
        let mut flows = Vec::new();
        for _ in 0..CONNECTIONS {
            flows.push(Flow::open(client, Door::Envoy, std::net::Ipv4Addr::LOCALHOST).await);
        }
        while !ending.load(Ordering::SeqCst) {
            for flow in &mut flows {
                let asked: Vec<String> =
                    (sequence..sequence + TOGETHER).map(|number| format!("s{number}.swap.example")).collect();
                sequence += TOGETHER;
                let from = span.from.load(Ordering::SeqCst);
                let replies =
                    flow.ask(asked.iter().map(|name| question(0, name, RecordType::A)).collect()).await;
                let to = span.to.load(Ordering::SeqCst);
                for (name, reply) in asked.iter().zip(replies) {
                    let by = number(&reply);
                    assert!(
                        by.is_some_and(|by| (from..=to).contains(&by)),
                        "{name}: {by:?} of {from}..={to}: {reply:?}"
                    );
                }
            }
        }
    });
    sequence
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let arguments = ["-a".as_ref(), from.as_os_str(), to.as_os_str()];
    shell::output(Command::new("cp").args(arguments)).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn each_question_is_answered_by_the_old_or_the_new_snapshot_though_the_control_plane_is_killed_amid() {
    let rounds = if std::env::var_os("DNSVET_LONG").is_some() { 20 } else { 4 };
    let plan = Plan { blocked: names(1), keys: rules(1), scorer: false, ..Plan::new("swap") };
    let mut rig = Rig::start(plan);
    wait_for(&rig, 1);
    let older = rig.options.folder.join("older");
    copy(&rig.data_dir(), &older);
    let mut draw = Draw::new("swap");
    let (span, ending) = (Span { from: 1.into(), to: 1.into() }, AtomicBool::new(false));
    let client = rig.client();
    let mut amid = 0;
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&client, &span, &ending));
        for round in 2..2 + rounds {
            write(&rig, round);
            let (served_before, loaded_before) = (served(&rig), loaded(&rig));
            span.to.store(round, Ordering::SeqCst);
            signal(&rig, "-HUP");
            while served(&rig) == served_before {
                assert!(!loading.is_finished(), "the load has ended");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(draw.below(40) as u64));
            signal(&rig, "-KILL");
            rig.serve = None;
            amid += usize::from(loaded(&rig) < loaded_before + VMS);
            std::thread::sleep(Duration::from_millis(300));
            rig.serve = Some(rig.options.start_serve().unwrap_or_else(|error| panic!("{error}")));
            wait_for(&rig, round);
            span.from.store(round, Ordering::SeqCst);
        }
        ending.store(true, Ordering::SeqCst);
        let asked = loading.join().expect("every question was answered by the old or the new snapshot");
        println!("{asked} questions over {rounds} changes, {amid} of them cut off on their way");
    });
    assert!(amid > 0, "no kill came in the midst of a fetch");

    // A replay of the first snapshot, with its keys: right in all but its age.
    let newest = 1 + rounds;
    rig.serve = None;
    fs::remove_dir_all(rig.data_dir()).expect("a folder of ours");
    copy(&older, &rig.data_dir());
    write(&rig, 1);
    let refused = rig.envoy_metric("dnsvet_filter_snapshots_refused_total");
    rig.serve = Some(rig.options.start_serve().unwrap_or_else(|error| panic!("{error}")));
    let is_refused = || rig.envoy_metric("dnsvet_filter_snapshots_refused_total") >= refused + VMS;
    assert!(dnsvet_tests::rig::eventually(WITHIN, is_refused).is_some(), "every worker refuses it");
    wait_for(&rig, newest);
}
