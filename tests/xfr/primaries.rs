//! Our client against real primaries: all of a zone, then what changed, then nothing; with and without keys.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use dnsvet::xfr::{Fetched, Key, Limits, Serial, Source, Way, Zone, fetch};
use dnsvet_core::name::Name;
use xtask::child::Child;
use xtask::line::free_port;

use super::{KEY_NAME, SECRET, ZONE, find, folder, key, runtime, start, wait_for, write};

/// Names of the zone: enough for many messages, so that signatures lie far apart where a primary spaces them.
const NAMES: usize = 20_000;

/// The zone at a serial, with names of its own at each.
fn master_file(serial: u32) -> String {
    let mut text = format!(
        "$ORIGIN {ZONE}.\n$TTL 60\n@ SOA ns.example. admin.example. {serial} 3600 600 604800 60\n@ NS localhost.\n"
    );
    for number in 0..NAMES {
        let _ = writeln!(text, "name{number}.listed.test CNAME .\n*.name{number}.listed.test CNAME .");
    }
    let _ = writeln!(text, "at{serial}.test CNAME rpz-passthru.\nlocal.test A 192.0.2.{serial}");
    text.push_str("odd.test TXT \"a \\\"quoted\\\" text\" \"\\000\\255\"\nodd.test TYPE65400 \\# 3 ABCDEF\n");
    text
}

/// What [`master_file`] is as a zone.
fn expected(serial: u32) -> Vec<String> {
    let mut lines: Vec<String> = master_file(serial)
        .lines()
        .skip(2)
        .map(|line| {
            let (owner, rest) = line.split_once(' ').expect("a record");
            format!("{owner} 60 IN {rest}")
        })
        .collect();
    lines.sort();
    lines
}

fn lines(zone: &Zone) -> Vec<String> {
    let mut lines: Vec<String> = zone.to_master_text().lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    lines
}

struct Primary {
    child: Child,
    port: u16,
    zone_file: PathBuf,
}

type Config = fn(&Path, u16, Option<&str>) -> String;

impl Primary {
    /// Starts a server; `config` writes its configuration for a folder, a port and perhaps an algorithm.
    fn start(
        test: &str,
        program: &str,
        flags: &[&str],
        config: Config,
        algorithm: Option<&str>,
    ) -> Option<Self> {
        let program = find(program)?;
        let folder = folder(&format!("{test}-{}", algorithm.unwrap_or("open")));
        let zone_file = folder.join("zone.db");
        write(&zone_file, &master_file(1));
        let port = free_port().expect("a free port");
        let path = folder.join("server.conf");
        write(&path, &config(&folder, port, algorithm));
        let mut arguments = flags.to_vec();
        let path = path.to_string_lossy().into_owned();
        arguments.push(&path);
        Some(Self { child: start(&program, &arguments, &folder), port, zone_file })
    }

    /// Puts the zone at another serial in force.
    fn change(&self, serial: u32) {
        write(&self.zone_file, &master_file(serial));
        self.child.signal("HUP").expect("it runs");
    }
}

fn bind(folder: &Path, port: u16, algorithm: Option<&str>) -> String {
    let folder = folder.display();
    let who = algorithm.map_or("127.0.0.1".to_owned(), |_| format!("key {KEY_NAME}"));
    let key = algorithm.map_or(String::new(), |algorithm| {
        format!("key {KEY_NAME} {{ algorithm {algorithm}; secret \"{SECRET}\"; }};")
    });
    format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  pid-file none; session-keyfile none; recursion no; notify no; max-ixfr-ratio unlimited; }};
controls {{ }};
{key}
zone {ZONE} {{ type primary; file \"zone.db\"; allow-transfer {{ {who}; }}; ixfr-from-differences yes; }};
"
    )
}

fn nsd(folder: &Path, port: u16, algorithm: Option<&str>) -> String {
    let folder = folder.display();
    let who = algorithm.map_or("NOKEY", |_| KEY_NAME);
    let key = algorithm.map_or(String::new(), |algorithm| {
        format!("key:\n  name: \"{KEY_NAME}\"\n  algorithm: {algorithm}\n  secret: \"{SECRET}\"\n")
    });
    format!(
        "server:
  ip-address: 127.0.0.1@{port}
  username: \"\"
  chroot: \"\"
  zonesdir: \"{folder}\"
  xfrdir: \"{folder}\"
  database: \"\"
  pidfile: \"{folder}/nsd.pid\"
  xfrdfile: \"{folder}/xfrd.state\"
  zonelistfile: \"{folder}/zone.list\"
  zonefiles-check: yes
remote-control:
  control-enable: no
{key}zone:
  name: {ZONE}
  zonefile: zone.db
  provide-xfr: 127.0.0.1 {who}
  store-ixfr: yes
  create-ixfr: yes
"
    )
}

fn knot(folder: &Path, port: u16, algorithm: Option<&str>) -> String {
    let folder = folder.display();
    let key = algorithm.map_or(String::new(), |algorithm| {
        format!("key:\n  - id: {KEY_NAME}\n    algorithm: {algorithm}\n    secret: {SECRET}\n")
    });
    let who = algorithm.map_or("address: 127.0.0.1".to_owned(), |_| format!("key: {KEY_NAME}"));
    format!(
        "server:
    listen: 127.0.0.1@{port}
    rundir: {folder}
database:
    storage: {folder}
{key}acl:
  - id: ours
    {who}
    action: transfer
template:
  - id: default
    storage: {folder}
    zonefile-load: difference
    journal-content: changes
zone:
  - domain: {ZONE}
    file: zone.db
    acl: ours
"
    )
}

/// Axfr, nothing new, then the differences over two versions.
fn transfers(primary: Option<Primary>, key: Option<Key>, wrong: Option<Key>) {
    let Some(primary) = primary else { return };
    let runtime = runtime();
    let source = Source {
        primary: ([127, 0, 0, 1], primary.port).into(),
        zone: Name::parse(ZONE).expect("a name"),
        key,
        limits: Limits::default(),
    };
    let get = |have: Option<&Zone>| runtime.block_on(fetch(&source, have));
    let mut first = None;
    wait_for("the zone", &primary.child, || {
        first = get(None).ok();
        first.is_some()
    });
    let Some(Fetched::Zone { zone, way: Way::Full }) = first else { panic!("{first:?}") };
    assert_eq!(lines(&zone), expected(1));
    assert_eq!(Zone::parse_master_text(&zone.to_master_text()).as_ref(), Ok(&zone));

    let again = get(Some(&zone)).expect("an answer");
    assert!(matches!(again, Fetched::Unchanged { soa } if soa.serial == Serial(1)));

    let mut have = zone;
    for serial in 2..4 {
        primary.change(serial);
        let mut next = None;
        wait_for("the next version", &primary.child, || {
            next = match get(Some(&have)) {
                Ok(Fetched::Zone { zone, way }) => Some((zone, way)),
                Ok(Fetched::Unchanged { .. }) => None,
                Err(error) => panic!("{error}\n{}", primary.child.printed()),
            };
            next.is_some()
        });
        let Some((zone, way)) = next else { return };
        assert_eq!(lines(&zone), expected(serial));
        assert_eq!(way, Way::Incremental { removed: 2, added: 2 }, "the names and addresses of two serials");
        have = zone;
    }

    let Some(wrong) = wrong else { return };
    for (key, says) in [(Some(wrong), "BADSIG"), (None, "refused")] {
        let source = Source { key, ..source.clone() };
        let error = runtime.block_on(fetch(&source, None)).expect_err("must not be served").to_string();
        assert!(error.contains(says), "{error}");
    }
}

fn other_secret(algorithm: &str) -> Key {
    let secret = SECRET.replace("MDEy", "NDEy");
    format!("{algorithm}:{KEY_NAME}:{secret}").parse().expect("a key")
}

/// A server without key, and with each of these algorithms.
fn all(test: &str, program: &str, flags: &[&str], config: Config, algorithms: &[&str]) {
    transfers(Primary::start(test, program, flags, config, None), None, None);
    for algorithm in algorithms {
        let primary = Primary::start(test, program, flags, config, Some(algorithm));
        transfers(primary, Some(key(algorithm)), Some(other_secret(algorithm)));
    }
}

#[test]
fn a_zone_and_its_differences_come_from_bind() {
    let algorithms = ["hmac-sha256", "hmac-sha384", "hmac-sha512"];
    all("bind", "named", &["-g", "-n", "1", "-c"], bind, &algorithms);
}

#[test]
fn a_zone_and_its_differences_come_from_nsd() {
    all("nsd", "nsd", &["-d", "-c"], nsd, &["hmac-sha256", "hmac-sha512"]);
}

#[test]
fn a_zone_and_its_differences_come_from_knot() {
    all("knot", "knotd", &["-c"], knot, &["hmac-sha256"]);
}
