//! Names of clients that become known while we run: what the network's own name server calls them (PTR records,
//! RFC 1035 section 3.5), and a DHCP server's leases.
//!
//! ```text
//! events ─► saw ─► addresses that are due ─► PTR question ─► names ─┬─ others than before? ─► the next snapshot's policy
//! file of leases ───────────────────────────────────────────────────┘
//! ```
//!
//! Its surprise: only addresses of private networks are asked for, and only of the server that the configuration
//! names, so that nothing of the inside is told outside. And who calls himself something comes by nobody else's rules:
//! what the configuration says of an address or a name is all that is said of it, and what the name server says of a
//! name goes before leases, whose names are the clients' own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dnsvet_core::message::{Data, decode_answer, rcode, rtype};
use dnsvet_core::name::Name;
use dnsvet_core::policy::NamedClient;
use dnsvet_core::verdict::inspect::is_inside;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Control, Order};
use crate::config::Config;
use crate::leases;
use crate::store::now_ms;
use crate::upstream::exchange::{self, Outgoing};

/// How often is looked for new clients and leases.
const LOOK: Duration = Duration::from_secs(5);
/// How long the name server may take, over UDP and over TCP each.
const LIMIT: Duration = Duration::from_secs(2);
/// The most clients that are asked for.
const MOST_CLIENTS: usize = 4_096;
/// The most clients that are asked for in one look, all at once.
const MOST_A_LOOK: usize = 64;
/// The least time between two snapshots that only names of clients are the reason for.
const LEAST_GAP: Duration = Duration::from_secs(30);
/// A client that did not ask for so long is forgotten, milliseconds.
const FORGOTTEN_MS: u64 = 86_400_000;
/// A name that was not said again for so long past its time, since the server does not answer, does not hold, milliseconds.
const UNSAID_MS: u64 = 3_600_000;
/// How long a name holds before it is asked for again, as its TTL says within these bounds, seconds.
const NAME_S: (u32, u32) = (60, 86_400);
/// How soon is asked again for a client that has no name, seconds.
const NO_NAME_S: u32 = 600;
/// How soon is asked again where the server did not answer, seconds.
const NO_ANSWER_S: u32 = 60;

/// Clients whose names come from elsewhere than the configuration.
pub(super) struct ClientNames {
    server: Option<SocketAddr>,
    configured: Mutex<Configured>,
    seen: Mutex<HashMap<IpAddr, Seen>>,
    /// What the last snapshot was made with.
    given: Mutex<Vec<NamedClient>>,
}

/// What the configuration says of clients.
struct Configured {
    leases: PathBuf,
    clients: Vec<NamedClient>,
}

impl Configured {
    fn of(config: &Config) -> Self {
        Self { leases: config.dhcp_leases.clone(), clients: config.client_names.clone() }
    }
}

/// A client that has asked.
#[derive(Default)]
struct Seen {
    names: BTreeSet<String>,
    /// When it asked last, when it is to be asked for, and until when its names hold if nobody says them again:
    /// milliseconds since 1970.
    asked_ms: u64,
    due_ms: u64,
    holds_ms: u64,
}

impl ClientNames {
    pub(super) fn of(config: &Config) -> Self {
        let configured = Configured::of(config).into();
        Self { server: config.client_ptr, configured, seen: Mutex::default(), given: Mutex::default() }
    }

    /// Takes another file of leases, and other names of the configuration's own.
    pub(super) fn configure(&self, config: &Config) {
        *lock(&self.configured) = Configured::of(config);
    }

    /// Notes clients that have asked, as events name them.
    fn saw<'a>(&self, clients: impl Iterator<Item = &'a str>, now_ms: u64) {
        if self.server.is_none() {
            return;
        }
        let mut seen = lock(&self.seen);
        for client in clients.filter_map(|client| client.parse::<IpAddr>().ok()) {
            let client = client.to_canonical();
            if is_inside(client) && (seen.len() < MOST_CLIENTS || seen.contains_key(&client)) {
                seen.entry(client).or_default().asked_ms = now_ms;
            }
        }
    }

    /// Makes room for others: clients that are gone, and, where there are too many, those without a name.
    fn forget(&self, now_ms: u64) {
        let mut seen = lock(&self.seen);
        seen.retain(|_, seen| now_ms.saturating_sub(seen.asked_ms) < FORGOTTEN_MS);
        if seen.len() >= MOST_CLIENTS {
            seen.retain(|_, seen| !seen.names.is_empty() || seen.due_ms <= now_ms);
            let named = seen.values().filter(|seen| !seen.names.is_empty()).count();
            tracing::warn!(
                named,
                most = MOST_CLIENTS,
                "more clients ask than are asked for; some have no name"
            );
        }
    }

    /// Clients with names, for the next snapshot.
    pub(super) fn take(&self) -> Vec<NamedClient> {
        let named = self.named();
        lock(&self.given).clone_from(&named);
        named
    }

    /// Clients with names, by name.
    fn named(&self) -> Vec<NamedClient> {
        let mut clients: BTreeMap<String, NamedClient> = BTreeMap::new();
        for (address, seen) in lock(&self.seen).iter() {
            for name in &seen.names {
                let client = clients.entry(name.clone()).or_default();
                client.name.clone_from(name);
                client.nets.push((*address).into());
            }
        }
        let configured = lock(&self.configured);
        let path = &configured.leases;
        let leased = match path.as_os_str().is_empty() {
            true => Ok(Vec::new()),
            false => leases::read(path, now_ms() / 1_000),
        };
        let leased = leased.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "leases can't be read; clients have no names from them");
            Vec::new()
        });
        for client in leased {
            // What the name server calls others is not for who calls himself so.
            clients.entry(client.name.clone()).or_insert(client);
        }
        let own = &configured.clients;
        clients.retain(|name, client| {
            client.nets.retain(|net| !own.iter().flat_map(|own| &own.nets).any(|own| own.contains(net)));
            client.nets.sort_unstable();
            client.nets.dedup();
            !client.nets.is_empty() && !own.iter().any(|own| own.name.eq_ignore_ascii_case(name))
        });
        clients.into_values().collect()
    }

    /// Clients that are to be asked for now, the longest due ones first.
    fn due(&self, now_ms: u64) -> Vec<IpAddr> {
        let seen = lock(&self.seen);
        let due = seen.iter().filter(|(_, seen)| seen.due_ms <= now_ms);
        let mut due: Vec<(u64, IpAddr)> = due.map(|(client, seen)| (seen.due_ms, *client)).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, client)| client).take(MOST_A_LOOK).collect()
    }

    /// Asks for a client.
    async fn ask(&self, server: SocketAddr, client: IpAddr) {
        let asked = ask(server, client).await;
        self.learn(client, asked, now_ms());
    }

    /// Takes what came of a question for a client.
    fn learn(&self, client: IpAddr, asked: Result<Called, String>, now_ms: u64) {
        let mut seen = lock(&self.seen);
        let Some(seen) = seen.get_mut(&client) else { return };
        let holds_s = match asked {
            Ok(called) => {
                let holds_s = match called.names.is_empty() {
                    true => NO_NAME_S,
                    false => called.ttl_s.clamp(NAME_S.0, NAME_S.1),
                };
                seen.names = called.names;
                seen.holds_ms = now_ms + u64::from(holds_s) * 1_000 + UNSAID_MS;
                holds_s
            }
            Err(error) => {
                tracing::debug!(%client, %error, "a client's name is not known");
                if seen.holds_ms <= now_ms {
                    seen.names.clear();
                }
                NO_ANSWER_S
            }
        };
        seen.due_ms = now_ms + u64::from(holds_s) * 1_000;
    }
}

impl Control {
    /// Notes clients that have asked, as events name them.
    pub fn saw_clients<'a>(&self, clients: impl Iterator<Item = &'a str>) {
        self.clients.saw(clients, now_ms());
    }

    /// Keeps names of clients up to date, until `ended`.
    pub async fn watch_clients(self: Arc<Self>, mut ended: watch::Receiver<bool>) {
        let mut ordered: Option<Instant> = None;
        loop {
            tokio::select! {
                _ = ended.changed() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Some(server) = self.clients.server {
                self.clients.forget(now_ms());
                let mut asked = JoinSet::new();
                for client in self.clients.due(now_ms()) {
                    let clients = Arc::clone(&self.clients);
                    asked.spawn(async move { clients.ask(server, client).await });
                }
                asked.join_all().await;
            }
            if ordered.is_some_and(|ordered| ordered.elapsed() < LEAST_GAP) {
                continue;
            }
            if self.clients.named() != *lock(&self.clients.given) {
                ordered = Some(Instant::now());
                if self.order(Order::Reload(None)).is_err() {
                    return;
                }
            }
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a name server calls a client, and for how many seconds that may be kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Called {
    names: BTreeSet<String>,
    ttl_s: u32,
}

/// Asks a name server what it calls a client.
async fn ask(server: SocketAddr, client: IpAddr) -> Result<Called, String> {
    let name = Name::parse(&reverse(client)).map_err(|error| error.to_string())?;
    let mut question = name.to_wire();
    question.extend([0, rtype::PTR as u8, 0, 1]);
    let outgoing = Outgoing::draw(&question, false, false).map_err(|error| error.to_string())?;
    let answer = exchange::ask(server, &outgoing, LIMIT).await.map_err(|error| error.to_string())?;
    called(&answer)
}

/// What an answer calls a client; an error if it does not say that there is no name.
fn called(answer: &[u8]) -> Result<Called, String> {
    let answer = decode_answer(answer).map_err(|error| error.to_string())?;
    if !matches!(answer.rcode, rcode::NOERROR | rcode::NXDOMAIN) {
        return Err(format!("answered with response code {}", answer.rcode));
    }
    let mut called = Called { names: BTreeSet::new(), ttl_s: u32::MAX };
    for record in answer.records {
        if let Data::Pointer(name) = record.data
            && !name.is_root()
        {
            called.names.insert(name.as_str().to_owned());
            called.ttl_s = called.ttl_s.min(record.ttl);
        }
    }
    Ok(called)
}

/// The name under which an address has its name (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let digits = v6.octets().into_iter().rev().flat_map(|byte| [byte & 15, byte >> 4]);
            digits.map(|digit| format!("{digit:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_reversed_as_the_rfcs_say() {
        assert_eq!(reverse("10.1.2.3".parse().unwrap()), "3.2.1.10.in-addr.arpa");
        // RFC 3596 section 2.5 has this one, below 4321:0:1:2:3:4:567:89ab.
        assert_eq!(
            reverse("4321:0:1:2:3:4:567:89ab".parse().unwrap()),
            "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.0.0.0.0.1.2.3.4.ip6.arpa"
        );
        assert_eq!(
            reverse("2001:db8::567:89ab".parse().unwrap()),
            "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn only_clients_of_private_networks_are_asked_for_and_only_so_many() {
        let server = Some("127.0.0.1:53".parse().unwrap());
        let names = ClientNames::of(&Config { client_ptr: server, ..Config::default() });
        let asked = ["10.0.0.1", "192.0.2.1", "8.8.8.8", "fd00::1", "::ffff:10.0.0.1", "no address"];
        names.saw(asked.into_iter(), now_ms());
        assert_eq!(names.due(now_ms()), [address("10.0.0.1"), address("fd00::1")]);
        let many: Vec<String> =
            (0..MOST_CLIENTS * 2).map(|n| format!("10.9.{}.{}", n / 256, n % 256)).collect();
        names.saw(many.iter().map(String::as_str), now_ms());
        let seen = lock(&names.seen).len();
        assert_eq!((seen, names.due(now_ms()).len()), (MOST_CLIENTS, MOST_A_LOOK));
        let without = ClientNames::of(&Config::default());
        without.saw(["10.0.0.1"].into_iter(), now_ms());
        assert_eq!(without.due(now_ms()), [] as [IpAddr; 0]);

        // Those that are gone make room, and those of whom nothing is known.
        names.learn(address("10.0.0.1"), Ok(said(&["phone"])), 1_000);
        names.learn(address("fd00::1"), Ok(said(&[])), 1_000);
        names.forget(2_000);
        let seen = |client: &str| lock(&names.seen).contains_key(&address(client));
        assert_eq!([seen("10.0.0.1"), seen("fd00::1")], [true, false]);
        names.forget(now_ms() + FORGOTTEN_MS);
        assert!(!seen("10.0.0.1"));
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn said(names: &[&str]) -> Called {
        Called { names: names.iter().map(|name| (*name).to_owned()).collect(), ttl_s: 300 }
    }

    #[test]
    fn a_name_stays_for_a_while_if_the_server_fails_and_goes_if_it_says_so() {
        let server = Some("127.0.0.1:53".parse().unwrap());
        let names = ClientNames::of(&Config { client_ptr: server, ..Config::default() });
        names.saw(["10.0.0.1", "10.0.0.2"].into_iter(), 0);
        let named = || names.named().into_iter().map(|client| client.name).collect::<Vec<_>>();
        let fails = || Err("no answer".to_owned());
        names.learn(address("10.0.0.1"), Ok(said(&["nas.lan", "files.lan"])), 0);
        assert_eq!(named(), ["files.lan", "nas.lan"]);
        assert_eq!(names.due(299_999), [address("10.0.0.2")]);
        names.learn(address("10.0.0.1"), fails(), 300_000);
        assert_eq!(named(), ["files.lan", "nas.lan"]);
        assert_eq!(
            names.due(360_000),
            [address("10.0.0.2"), address("10.0.0.1")],
            "the longest due one first"
        );
        names.learn(address("10.0.0.1"), fails(), 300_000 + UNSAID_MS);
        assert!(named().is_empty());
        names.learn(address("10.0.0.1"), Ok(said(&["nas.lan"])), 0);
        names.learn(address("10.0.0.1"), Ok(said(&[])), 1);
        assert!(named().is_empty());
    }

    #[test]
    fn an_answer_says_all_names_none_or_nothing() {
        // 1.0.0.10.in-addr.arpa PTR; names behind it are pointers to `in-addr.arpa` with a label before.
        let answer = |rcode: u8, names: &[&[u8]]| {
            let mut wire = vec![0, 7, 0x81, 0x80 | rcode, 0, 1, 0, names.len() as u8, 0, 0, 0, 0];
            wire.extend(b"\x011\x010\x010\x0210\x07in-addr\x04arpa\0\0\x0c\0\x01");
            for (ttl, name) in (60..).zip(names) {
                wire.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, ttl, 0, name.len() as u8]);
                wire.extend_from_slice(name);
            }
            wire
        };
        let both = called(&answer(0, &[b"\x03nas\x03lan\0", b"\x05files\x03lan\0"])).unwrap();
        assert_eq!(both, Called { ttl_s: 60, ..said(&["files.lan", "nas.lan"]) });
        assert_eq!(called(&answer(3, &[])).unwrap().names, BTreeSet::new());
        for failure in [2, 5] {
            assert!(called(&answer(failure, &[])).is_err());
        }
        assert_eq!(called(&answer(0, &[b"\x03nas"])).unwrap().names, BTreeSet::new(), "cut off");
    }

    #[test]
    fn a_configured_name_is_not_taken_by_who_calls_himself_so() {
        let folder = tempfile::tempdir().unwrap();
        let dhcp_leases = folder.path().join("leases");
        let leases = "0 aa 10.0.0.7 TV *\n0 bb 10.0.0.8 phone *\n0 cc 10.0.0.9 parents-phone *\n0 dd 10.0.0.6 desk *\n";
        std::fs::write(&dhcp_leases, leases).unwrap();
        let tv = NamedClient { name: "tv".into(), nets: vec!["10.0.0.9/32".parse().unwrap()] };
        let config = Config { dhcp_leases, client_names: vec![tv], ..Config::default() };
        let names = ClientNames::of(&config);
        let seen = Seen { names: said(&["phone"]).names, ..Seen::default() };
        lock(&names.seen).insert(address("10.0.0.3"), seen);
        let client =
            |name: &str, net: &str| NamedClient { name: name.into(), nets: vec![net.parse().unwrap()] };
        // Of `phone` what the name server says; of 10.0.0.9 what the configuration does.
        let want = [client("desk", "10.0.0.6/32"), client("phone", "10.0.0.3/32")];
        assert_eq!(names.named(), want);
        assert!(lock(&names.given).is_empty());
        assert_eq!(names.take(), want);
        assert_eq!(*lock(&names.given), want);
    }
}
