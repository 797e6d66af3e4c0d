//! Our server's zone in real resolvers: they transfer it, block by it, and follow its changes.

use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use dnsvet::xfr::policy::{Action, Entry, Scope};
use dnsvet::xfr::{Publisher, Secondary, Server, ServerConfig, ZoneConfig};
use dnsvet_core::name::Name;
use dnsvet_tests::client::{Reply, question};
use dnsvet_tests::upstream::{ADDRESS, Upstream};
use hickory_proto::rr::RecordType;
use tokio::sync::watch;
use xtask::child::Child;
use xtask::line::free_port;

use super::{KEY_NAME, SECRET, ZONE, find, folder, key, runtime, start, wait_for, write};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
/// Refused queries and lost datagrams are asked again.
const REPLY: Duration = Duration::from_millis(500);

/// What a resolver says to a question for an address.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Nxdomain,
    Addresses(Vec<Ipv4Addr>),
    /// Nothing came, or another code.
    Other(String),
}

fn ask(port: u16, name: &str) -> Answer {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(REPLY)).expect("a timeout");
    socket.connect((Ipv4Addr::LOCALHOST, port)).expect("loopback");
    let _ = socket.send(&question(9, name, RecordType::A));
    let mut reply = vec![0; 4096];
    let Ok(length) = socket.recv(&mut reply) else { return Answer::Other("nothing".into()) };
    reply.truncate(length);
    let reply = Reply::Message(reply);
    match reply.rcode() {
        Some(0) => Answer::Addresses(reply.addresses()),
        Some(3) => Answer::Nxdomain,
        other => Answer::Other(format!("{other:?}")),
    }
}

fn entry(name: &str, scope: Scope, action: Action) -> Entry {
    Entry { name: Name::parse(name).expect("a name"), scope, action }
}

fn first_entries() -> Vec<Entry> {
    // Enough for many messages of a transfer.
    let many = (0..5_000).map(|n| entry(&format!("name{n}.listed.example"), Scope::Suffix, Action::Nxdomain));
    let mut entries: Vec<Entry> = many.collect();
    entries.extend([
        entry("bad.example", Scope::Suffix, Action::Nxdomain),
        entry("ok.deep.bad.example", Scope::Exact, Action::Passthru),
        entry("empty.example", Scope::Exact, Action::Nodata),
        entry("here.example", Scope::Exact, Action::Local(vec![LOCAL.into()])),
        entry("soon-free.example", Scope::Exact, Action::Nxdomain),
    ]);
    entries
}

/// Of the first version; the second is asked for below.
fn expectations() -> Vec<(&'static str, Answer)> {
    let free = Answer::Addresses(vec![ADDRESS]);
    vec![
        ("bad.example", Answer::Nxdomain),
        ("x.y.z.bad.example", Answer::Nxdomain),
        ("ok.deep.bad.example", free.clone()),
        ("deep.bad.example", Answer::Nxdomain),
        ("beside.deep.bad.example", Answer::Nxdomain),
        ("below.ok.deep.bad.example", Answer::Nxdomain),
        ("empty.example", Answer::Addresses(vec![])),
        ("below.empty.example", free.clone()),
        ("here.example", Answer::Addresses(vec![LOCAL])),
        ("soon-free.example", Answer::Nxdomain),
        ("soon-blocked.example", free.clone()),
        ("other.example", free),
        ("name0.listed.example", Answer::Nxdomain),
        ("x.name4999.listed.example", Answer::Nxdomain),
    ]
}

/// A resolver's configuration: folder, its port, our port, the upstream's port.
type Config = fn(&Path, u16, u16, u16) -> String;

/// How a resolver is run as our secondary.
struct Plan {
    program: &'static str,
    arguments: fn(&Path) -> Vec<String>,
    config: Config,
    /// Whether it signs.
    keyed: bool,
    /// Whether nothing but NOTIFY makes it look again; else it refreshes every second.
    notified: bool,
    /// What it logs once it took the second version by its differences.
    proof: &'static str,
}

/// Starts the resolver and changes the zone under it.
fn follows(plan: Plan) {
    let Plan { program, arguments, config, keyed, notified, proof } = plan;
    let Some(path) = find(program) else { return };
    let folder = folder(&format!("secondary-{program}"));
    let upstream = Upstream::start(&folder.join("upstream"), "").unwrap_or_else(|error| panic!("{error}"));
    let port = free_port().expect("a free port");
    let key = keyed.then(|| key("hmac-sha256"));

    let runtime = runtime();
    let _entered = runtime.enter();
    let secondary = Secondary { address: (Ipv4Addr::LOCALHOST, port).into(), key: key.clone() };
    let config_of_ours = ServerConfig {
        keys: key.into_iter().collect(),
        allow_from: vec!["127.0.0.1/32".parse().expect("a network")],
        secondaries: if notified { vec![secondary] } else { Vec::new() },
    };
    let server = Server::bind(&[(Ipv4Addr::LOCALHOST, 0).into()], config_of_ours);
    let server = server.unwrap_or_else(|error| panic!("{error}"));
    let ours = server.addresses()[0].port();
    let origin = Name::parse(ZONE).expect("a name");
    let refresh_s = if notified { 86_400 } else { 1 };
    let zone = ZoneConfig { origin, refresh_s, retry_s: refresh_s, ..ZoneConfig::default() };
    let publisher = Publisher::new(zone, None);
    publisher.update(first_entries());
    let (_stop, stopped) = watch::channel(false);
    let _running = runtime.spawn(server.run(publisher.clone(), stopped));

    let text = config(&folder, port, ours, upstream.port);
    write(&folder.join("server.conf"), &text);
    let arguments = arguments(&folder);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let child = start(&path, &arguments, &folder);
    wait_for("its port", &child, || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    expect(&child, port, &expectations());

    let mut entries = first_entries();
    entries.pop();
    entries.push(entry("soon-blocked.example", Scope::Suffix, Action::Nxdomain));
    assert!(publisher.update(entries).changed);
    let free = Answer::Addresses(vec![ADDRESS]);
    expect(&child, port, &[("soon-blocked.example", Answer::Nxdomain), ("soon-free.example", free)]);
    expect(&child, port, &expectations()[..9]);
    wait_for(&format!("{proof:?} in its log"), &child, || child.printed().contains(proof));
}

fn expect(child: &Child, port: u16, expected: &[(&str, Answer)]) {
    for (name, answer) in expected {
        wait_for(&format!("{name} to be {answer:?}"), child, || ask(port, name) == *answer);
    }
}

fn unbound(folder: &Path, port: u16, ours: u16, upstream: u16) -> String {
    let folder = folder.display();
    format!(
        "server:
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  use-syslog: no
  verbosity: 4
  chroot: \"\"
  directory: \"{folder}\"
  pidfile: \"\"
  username: \"\"
  num-threads: 1
  cache-max-ttl: 0
  do-not-query-localhost: no
  module-config: \"respip iterator\"
remote-control:
  control-enable: no
rpz:
  name: {ZONE}
  primary: 127.0.0.1@{ours}
  allow-notify: 127.0.0.1
forward-zone:
  name: \".\"
  forward-addr: 127.0.0.1@{upstream}
"
    )
}

fn bind(folder: &Path, port: u16, ours: u16, upstream: u16) -> String {
    let folder = folder.display();
    format!(
        "options {{ directory \"{folder}\"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  pid-file none; session-keyfile none; recursion yes; dnssec-validation no; qname-minimization off;
  max-cache-ttl 1; max-ncache-ttl 1; empty-zones-enable no; notify no;
  forward only; forwarders {{ 127.0.0.1 port {upstream}; }};
  response-policy {{ zone \"{ZONE}\" min-update-interval 1; }}; }};
controls {{ }};
key {KEY_NAME} {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};
zone {ZONE} {{ type secondary; file \"zone.db\"; primaries {{ 127.0.0.1 port {ours} key {KEY_NAME}; }}; }};
"
    )
}

fn powerdns(folder: &Path, port: u16, ours: u16, upstream: u16) -> String {
    let lua = format!(
        "rpzPrimary(\"127.0.0.1:{ours}\", \"{ZONE}\", {{ refresh=1, tsigname=\"{KEY_NAME}\", \
         tsigalgo=\"hmac-sha256\", tsigsecret=\"{SECRET}\" }})\n"
    );
    write(&folder.join("rpz.lua"), &lua);
    let folder = folder.display();
    format!(
        "local-address=127.0.0.1
local-port={port}
socket-dir={folder}
lua-config-file={folder}/rpz.lua
forward-zones-recurse=.=127.0.0.1:{upstream}
dont-query=
dnssec=off
threads=1
max-cache-ttl=1
max-negative-ttl=1
packetcache-ttl=0
security-poll-suffix=
"
    )
}

#[test]
fn unbound_blocks_by_our_zone_and_follows_notify() {
    let arguments =
        |folder: &Path| vec!["-d".into(), "-c".into(), folder.join("server.conf").display().to_string()];
    let proof = "last IXFR packet";
    follows(Plan { program: "unbound", arguments, config: unbound, keyed: false, notified: true, proof });
}

#[test]
fn bind_blocks_by_our_zone_and_follows_notify_with_a_key() {
    let arguments = |folder: &Path| {
        let config = folder.join("server.conf").display().to_string();
        ["-g", "-n", "1", "-c", &config].map(str::to_owned).to_vec()
    };
    // Two SOAs around the differences, two within, one record taken out and two put in.
    let proof = "Transfer completed: 1 messages, 7 records";
    follows(Plan { program: "named", arguments, config: bind, keyed: true, notified: true, proof });
}

#[test]
fn powerdns_blocks_by_our_zone_and_follows_its_changes_with_a_key() {
    let arguments = |folder: &Path| {
        // It reads `recursor.conf` in the folder that it is given.
        let copied = std::fs::copy(folder.join("server.conf"), folder.join("recursor.conf"));
        copied.expect("a copy in a folder of ours");
        vec![format!("--config-dir={}", folder.display()), "--daemon=no".to_owned()]
    };
    let proof = "additions=\"2\"";
    follows(Plan {
        program: "pdns_recursor",
        arguments,
        config: powerdns,
        keyed: true,
        notified: false,
        proof,
    });
}
