//! Addresses of a list's host, asked of the configured upstreams.
//!
//! Not of the system's resolver: that may be this very process, which would answer by the lists that it waits for.
//! `/etc/hosts` is not looked at, for the same reason that names inside need `allow_private`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use dnsvet_core::message::{Answer, Data, decode_answer, rcode, rtype};
use dnsvet_core::name::{Name, NameError};

use crate::config::Config;
use crate::upstream::exchange::{self, Outgoing};
use crate::upstream::system::{RESOLV_CONF, UpstreamsError, choose};

/// Timeouts of the rounds over all upstreams.
const ROUNDS: [Duration; 2] = [Duration::from_millis(1_500), Duration::from_secs(3)];
/// In place of upstreams: there is no network.
const DEMO: &str = "demo";
const CLASS_IN: u16 = 1;

/// Why a host has no addresses.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// It can't be a name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The upstreams can't be used.
    #[error("{0}")]
    Upstreams(String),
    /// The configuration says that there is no network.
    #[error("`upstreams` is \"demo\", which has no network")]
    Demo,
    /// No such name.
    #[error("it does not exist")]
    NoName,
    /// The name has no addresses.
    #[error("it has no addresses")]
    NoAddress,
    /// No upstream answered; carries the last reason.
    #[error("no upstream answers ({0})")]
    Silent(String),
}

/// Asks upstreams for addresses.
#[derive(Debug, Clone)]
pub enum Resolver {
    /// These, in order.
    Servers(Vec<SocketAddr>),
    /// Nobody: a demonstration.
    Demo,
    /// Nobody: the configuration names none that can be used, for this reason.
    Unusable(String),
}

impl Resolver {
    /// Asks those that the resolver itself asks.
    pub fn of(config: &Config) -> Self {
        if config.upstreams == [DEMO] {
            return Self::Demo;
        }
        let doors: Vec<SocketAddr> = config.listen.dns.into_iter().collect();
        let chosen = choose(&config.upstreams, Path::new(RESOLV_CONF), &doors);
        chosen.map_or_else(|error: UpstreamsError| Self::Unusable(error.to_string()), Self::Servers)
    }

    /// The addresses of a host, IPv6 and IPv4 in turn.
    pub async fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = Name::parse(host)?;
        // Never asked of anybody (RFC 6761 section 6.3).
        if name.as_str() == "localhost" || name.as_str().ends_with(".localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let servers = match self {
            Self::Servers(servers) => servers,
            Self::Demo => return Err(ResolveError::Demo),
            Self::Unusable(why) => return Err(ResolveError::Upstreams(why.clone())),
        };
        let (v6, v4) = tokio::join!(ask(servers, &name, rtype::AAAA), ask(servers, &name, rtype::A));
        let (v6, v4) = match (v6, v4) {
            (Err(error), Err(_)) => return Err(error),
            (v6, v4) => (v6.unwrap_or_default(), v4.unwrap_or_default()),
        };
        let longer = v6.len().max(v4.len());
        let turns = (0..longer).flat_map(|at| v6.get(at).into_iter().chain(v4.get(at)));
        let addresses: Vec<IpAddr> = turns.copied().collect();
        if addresses.is_empty() { Err(ResolveError::NoAddress) } else { Ok(addresses) }
    }
}

async fn ask(servers: &[SocketAddr], name: &Name, qtype: u16) -> Result<Vec<IpAddr>, ResolveError> {
    let question = question(name, qtype);
    let mut last = "none is configured".to_owned();
    for limit in ROUNDS {
        for server in servers {
            let asked = match Outgoing::draw(&question, false, false) {
                Ok(outgoing) => exchange::ask(*server, &outgoing, limit).await,
                Err(error) => Err(error.into()),
            };
            let answer = match asked.map(|reply| decode_answer(&reply)) {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => {
                    last = format!("{server}: {error}");
                    continue;
                }
                Err(error) => {
                    last = format!("{server}: {error}");
                    continue;
                }
            };
            match answer.rcode {
                rcode::NOERROR => return Ok(addresses(name, &answer)),
                rcode::NXDOMAIN => return Err(ResolveError::NoName),
                code => last = format!("{server}: response code {code}"),
            }
        }
    }
    Err(ResolveError::Silent(last))
}

/// The addresses of the name, or of what it is an alias of.
fn addresses(name: &Name, answer: &Answer) -> Vec<IpAddr> {
    let mut owner = name;
    // Each step needs a record of its own, so a circle ends.
    for _ in 0..answer.records.len() {
        let alias = answer.records.iter().find_map(|record| match &record.data {
            Data::Cname(target) if record.owner == *owner => Some(target),
            _ => None,
        });
        match alias {
            Some(target) => owner = target,
            None => break,
        }
    }
    let own = answer.records.iter().filter(|record| record.owner == *owner && record.class == CLASS_IN);
    let addresses = own.filter_map(|record| match record.data {
        Data::Address(address) => Some(address),
        _ => None,
    });
    addresses.collect()
}

fn question(name: &Name, qtype: u16) -> Vec<u8> {
    let mut wire = name.to_wire();
    wire.extend_from_slice(&qtype.to_be_bytes());
    wire.extend_from_slice(&CLASS_IN.to_be_bytes());
    wire
}
