//! Names of clients that become known while we run: what the network's own name server calls them (PTR records,
//! RFC 1035 section 3.5), and a DHCP server's leases.
//!
//! ```text
//! events ─► saw ─► addresses that are due ─► PTR question ─► name ─► policy of the next snapshot
//! file of leases ─► changed? ──────────────────────────────────────┘
//! ```
//!
//! Its surprise: only addresses of private networks are asked for, and only of the server that the configuration
//! names, so that nothing of the inside is told outside.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use dnsvet_core::message::{Data, decode_answer, rtype};
use dnsvet_core::name::Name;
use dnsvet_core::policy::NamedClient;
use dnsvet_core::verdict::inspect::is_inside;
use tokio::sync::watch;

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
/// The most clients that are asked for in one look.
const MOST_A_LOOK: usize = 64;
/// How long a name holds before it is asked for again, as its TTL says within these bounds, seconds.
const NAME_S: (u32, u32) = (60, 86_400);
/// How soon is asked again for a client that has no name, seconds.
const NO_NAME_S: u32 = 600;
/// How soon is asked again where the server did not answer, seconds.
const NO_ANSWER_S: u32 = 60;

/// Clients whose names come from elsewhere than the configuration.
pub(super) struct ClientNames {
    server: Option<SocketAddr>,
    leases: Mutex<PathBuf>,
    seen: Mutex<HashMap<IpAddr, Seen>>,
}

/// A client that has asked.
#[derive(Default)]
struct Seen {
    name: Option<String>,
    /// When it is to be asked for, milliseconds since 1970.
    due_ms: u64,
}

impl ClientNames {
    pub(super) fn of(config: &Config) -> Self {
        let leases = Mutex::new(config.dhcp_leases.clone());
        Self { server: config.client_ptr, leases, seen: Mutex::default() }
    }

    /// Takes another file of leases.
    pub(super) fn configure(&self, config: &Config) {
        *lock(&self.leases) = config.dhcp_leases.clone();
    }

    /// Notes clients that have asked, as events name them.
    fn saw<'a>(&self, clients: impl Iterator<Item = &'a str>) {
        if self.server.is_none() {
            return;
        }
        let mut seen = lock(&self.seen);
        for client in clients.filter_map(|client| client.parse::<IpAddr>().ok()) {
            let client = client.to_canonical();
            if is_inside(client) && (seen.len() < MOST_CLIENTS || seen.contains_key(&client)) {
                seen.entry(client).or_default();
            }
        }
    }

    /// Clients with names. A name that the configuration gives stays with its own clients: who calls himself so,
    /// towards a DHCP server, must not come by another's rules.
    pub(super) fn named(&self, config: &Config) -> Vec<NamedClient> {
        let mut clients: BTreeMap<String, NamedClient> = BTreeMap::new();
        for (address, seen) in lock(&self.seen).iter() {
            if let Some(name) = &seen.name {
                let client = clients.entry(name.clone()).or_default();
                client.name.clone_from(name);
                client.nets.push((*address).into());
            }
        }
        let path = lock(&self.leases).clone();
        let leased = match path.as_os_str().is_empty() {
            true => Ok(Vec::new()),
            false => leases::read(&path, now_ms() / 1_000),
        };
        let leased = leased.unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "leases can't be read; clients have no names from them");
            Vec::new()
        });
        for client in leased {
            let held = clients.entry(client.name.clone()).or_default();
            held.name = client.name;
            held.nets.extend(client.nets);
        }
        let own =
            |name: &str| config.client_names.iter().any(|client| client.name.eq_ignore_ascii_case(name));
        let mut clients: Vec<NamedClient> =
            clients.into_values().filter(|client| !own(&client.name)).collect();
        for client in &mut clients {
            client.nets.sort_unstable();
            client.nets.dedup();
        }
        clients
    }

    /// Clients that are to be asked for now.
    fn due(&self, now_ms: u64) -> Vec<IpAddr> {
        let seen = lock(&self.seen);
        let due = seen.iter().filter(|(_, seen)| seen.due_ms <= now_ms);
        due.map(|(client, _)| *client).take(MOST_A_LOOK).collect()
    }

    /// Asks for a client; whether its name is another now.
    async fn ask(&self, server: SocketAddr, client: IpAddr) -> bool {
        let asked = ask(server, client).await;
        let mut seen = lock(&self.seen);
        let seen = seen.entry(client).or_default();
        let (name, holds_s) = match asked {
            Ok(Some((name, ttl_s))) => (Some(name), ttl_s.clamp(NAME_S.0, NAME_S.1)),
            Ok(None) => (None, NO_NAME_S),
            Err(error) => {
                tracing::debug!(%server, %client, %error, "a client's name is not known");
                (seen.name.clone(), NO_ANSWER_S)
            }
        };
        seen.due_ms = now_ms() + u64::from(holds_s) * 1_000;
        std::mem::replace(&mut seen.name, name) != seen.name
    }

    fn leases_changed_at(&self) -> Option<SystemTime> {
        std::fs::metadata(&*lock(&self.leases)).and_then(|file| file.modified()).ok()
    }
}

impl Control {
    /// Notes clients that have asked, as events name them.
    pub fn saw_clients<'a>(&self, clients: impl Iterator<Item = &'a str>) {
        self.clients.saw(clients);
    }

    /// Keeps names of clients up to date, until `ended`.
    pub async fn watch_clients(self: Arc<Self>, mut ended: watch::Receiver<bool>) {
        let mut leases = self.clients.leases_changed_at();
        loop {
            tokio::select! {
                _ = ended.changed() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let mut changed = false;
            if let Some(server) = self.clients.server {
                for client in self.clients.due(now_ms()) {
                    changed |= self.clients.ask(server, client).await;
                }
            }
            let leases_now = self.clients.leases_changed_at();
            changed |= std::mem::replace(&mut leases, leases_now) != leases_now;
            if changed && self.order(Order::Reload(None)).is_err() {
                return;
            }
        }
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks a name server what it calls a client: the name, and for how many seconds it may be kept.
async fn ask(server: SocketAddr, client: IpAddr) -> Result<Option<(String, u32)>, String> {
    let name = Name::parse(&reverse(client)).map_err(|error| error.to_string())?;
    let mut question = name.to_wire();
    question.extend([0, rtype::PTR as u8, 0, 1]);
    let outgoing = Outgoing::draw(&question, false, false).map_err(|error| error.to_string())?;
    let answer = exchange::ask(server, &outgoing, LIMIT).await.map_err(|error| error.to_string())?;
    let answer = decode_answer(&answer).map_err(|error| error.to_string())?;
    let called = answer.records.into_iter().find_map(|record| match record.data {
        Data::Pointer(name) if !name.is_root() => Some((name.as_str().to_owned(), record.ttl)),
        _ => None,
    });
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
        names.saw(
            ["10.0.0.1", "192.0.2.1", "8.8.8.8", "fd00::1", "::ffff:10.0.0.1", "no address"].into_iter(),
        );
        let mut due = names.due(now_ms());
        due.sort_unstable();
        assert_eq!(due, ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
        let many: Vec<String> =
            (0..MOST_CLIENTS * 2).map(|n| format!("10.9.{}.{}", n / 256, n % 256)).collect();
        names.saw(many.iter().map(String::as_str));
        let seen = lock(&names.seen).len();
        assert_eq!((seen, names.due(now_ms()).len()), (MOST_CLIENTS, MOST_A_LOOK));
        let without = ClientNames::of(&Config::default());
        without.saw(["10.0.0.1"].into_iter());
        assert_eq!(without.due(now_ms()), [] as [IpAddr; 0]);
    }

    #[test]
    fn a_configured_name_is_not_taken_by_who_calls_himself_so() {
        let folder = tempfile::tempdir().unwrap();
        let dhcp_leases = folder.path().join("leases");
        std::fs::write(&dhcp_leases, "0 aa 10.0.0.7 TV *\n0 bb 10.0.0.8 phone *\n").unwrap();
        let tv = NamedClient { name: "tv".into(), nets: vec!["10.0.0.9/32".parse().unwrap()] };
        let config = Config { dhcp_leases, client_names: vec![tv], ..Config::default() };
        let names = ClientNames::of(&config);
        let seen = Seen { name: Some("phone".into()), due_ms: 0 };
        lock(&names.seen).insert("10.0.0.3".parse().unwrap(), seen);
        let named = names.named(&config);
        let nets = ["10.0.0.3/32", "10.0.0.8/32"].map(|net| net.parse().unwrap()).to_vec();
        assert_eq!(named, [NamedClient { name: "phone".into(), nets }]);
    }
}
