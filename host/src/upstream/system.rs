//! Which upstreams a configuration means: its own, else the system's, else a public pair. Never ourselves.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::listener::canonical_ip;

/// Asked if neither the configuration nor the system names an upstream: Quad9, Cloudflare.
pub const PUBLIC_PAIR: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(9, 9, 9, 9)), IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1))];
/// Where the system names its upstreams.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";
const DNS_PORT: u16 = 53;

/// Why upstreams can't be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UpstreamsError {
    /// Neither an address nor an address with port.
    #[error("upstreams: {0:?} is no address; write 192.0.2.1, 192.0.2.1:53, 2001:db8::1 or [2001:db8::1]:53")]
    Address(String),
    /// An upstream is one of our own doors.
    #[error("upstreams: {0} is a door of this server; questions would go round in a circle")]
    Loop(SocketAddr),
}

/// The upstreams to use, in order. `doors`: our own listeners.
pub fn choose(
    configured: &[String],
    resolv_conf: &Path,
    doors: &[SocketAddr],
) -> Result<Vec<SocketAddr>, UpstreamsError> {
    if !configured.is_empty() {
        return configured
            .iter()
            .map(|text| {
                let server = name_server(text).ok_or_else(|| UpstreamsError::Address(text.clone()))?;
                if is_own(server, doors) { Err(UpstreamsError::Loop(server)) } else { Ok(server) }
            })
            .collect();
    }
    let text = std::fs::read_to_string(resolv_conf).unwrap_or_default();
    let mut servers = name_servers(&text);
    servers.retain(|server| !is_own(*server, doors));
    if servers.is_empty() {
        servers.extend(PUBLIC_PAIR.map(|ip| SocketAddr::new(ip, DNS_PORT)));
    }
    Ok(servers)
}

/// A name server as `ADDRESS` or `ADDRESS:PORT`; port 53 if none is said.
pub fn name_server(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| Some(SocketAddr::new(text.parse().ok()?, DNS_PORT)))
}

fn name_servers(resolv_conf: &str) -> Vec<SocketAddr> {
    let lines = resolv_conf.lines().filter_map(|line| {
        let mut fields = line.split_whitespace();
        (fields.next()? == "nameserver").then_some(())?;
        // A zone (fe80::1%eth0) can't be expressed without asking the system for its number.
        name_server(fields.next()?)
    });
    lines.collect()
}

/// Whether `server` is one of `doors`; a door on every address is meant by each address of this machine,
/// of which only loopback is known for sure.
fn is_own(server: SocketAddr, doors: &[SocketAddr]) -> bool {
    let ip = canonical_ip(server.ip());
    doors.iter().any(|door| {
        let own = canonical_ip(door.ip());
        door.port() == server.port()
            && (own == ip || (own.is_unspecified() && (ip.is_loopback() || ip.is_unspecified())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_from(
        configured: &[&str],
        resolv_conf: &str,
        doors: &[&str],
    ) -> Result<Vec<String>, UpstreamsError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        std::fs::write(&path, resolv_conf).unwrap();
        let configured: Vec<_> = configured.iter().map(|s| (*s).to_owned()).collect();
        let doors: Vec<_> = doors.iter().map(|s| s.parse().unwrap()).collect();
        Ok(choose(&configured, &path, &doors)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_configuration_wins_then_the_system_then_the_public_pair() {
        let system = "# comment\nsearch example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n";
        assert_eq!(
            choose_from(&["192.0.2.1", "[::1]:54"], system, &[]).unwrap(),
            ["192.0.2.1:53", "[::1]:54"]
        );
        assert_eq!(choose_from(&[], system, &[]).unwrap(), ["192.0.2.53:53", "[2001:db8::53]:53"]);
        assert_eq!(choose_from(&[], "", &[]).unwrap(), ["9.9.9.9:53", "1.1.1.1:53"]);
    }

    #[test]
    fn our_own_doors_are_refused_when_configured_and_left_out_of_the_systems() {
        assert!(matches!(
            choose_from(&["127.0.0.1:5300"], "", &["127.0.0.1:5300"]),
            Err(UpstreamsError::Loop(_))
        ));
        assert!(matches!(choose_from(&["[::1]:5300"], "", &["[::]:5300"]), Err(UpstreamsError::Loop(_))));
        assert!(matches!(
            choose_from(&["[::ffff:127.0.0.1]:53"], "", &["127.0.0.1:53"]),
            Err(UpstreamsError::Loop(_))
        ));
        let servers = choose_from(&[], "nameserver 127.0.0.1\nnameserver 192.0.2.53", &["0.0.0.0:53"]);
        assert_eq!(servers.unwrap(), ["192.0.2.53:53"]);
    }

    #[test]
    fn a_name_is_no_upstream_and_the_error_says_what_is() {
        let error = choose_from(&["dns.example"], "", &[]).unwrap_err();
        assert!(error.to_string().contains("192.0.2.1:53"), "{error}");
    }
}
