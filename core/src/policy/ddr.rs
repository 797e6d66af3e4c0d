//! Discovery of Designated Resolvers (RFC 9462): what `_dns.resolver.arpa` says of our own encrypted doors.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::lists::LocalData;
use crate::message::rtype;
use crate::name::Name;

/// The name that clients ask (RFC 9462 section 4).
pub const DISCOVERY_NAME: &str = "_dns.resolver.arpa";

/// One encrypted door.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Designated {
    /// The door's name, which its certificate has: `dns.example`.
    pub name: String,
    /// Protocols: `h2` and `h3` for DNS over HTTPS, `dot`, `doq`.
    pub protocols: Vec<String>,
    /// Port; 0: the protocol's own.
    pub port: u16,
    /// The path template of DNS over HTTPS (RFC 9461 section 5).
    pub doh_path: String,
    /// Its addresses, so that no further question is needed.
    pub addresses: Vec<IpAddr>,
}

impl Designated {
    /// The SVCB record, preferred before those of higher `priority`. `None` if the name is none.
    pub fn record(&self, priority: u16) -> Option<LocalData> {
        const ALPN: u16 = 1;
        const PORT: u16 = 3;
        const IPV4HINT: u16 = 4;
        const IPV6HINT: u16 = 6;
        const DOHPATH: u16 = 7;
        let target = Name::parse(&self.name).ok().filter(|name| !name.is_root())?;
        let mut rdata = priority.to_be_bytes().to_vec();
        rdata.extend(target.to_wire());
        let mut parameter = |key: u16, value: &[u8]| {
            if !value.is_empty() {
                rdata.extend(key.to_be_bytes());
                rdata.extend((value.len() as u16).to_be_bytes());
                rdata.extend_from_slice(value);
            }
        };
        let mut alpn = Vec::new();
        for protocol in &self.protocols {
            alpn.push(u8::try_from(protocol.len()).ok()?);
            alpn.extend_from_slice(protocol.as_bytes());
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => v4.extend(address.octets()),
                IpAddr::V6(address) => v6.extend(address.octets()),
            }
        }
        let port = if self.port == 0 { Vec::new() } else { self.port.to_be_bytes().to_vec() };
        parameter(ALPN, &alpn);
        parameter(PORT, &port);
        parameter(IPV4HINT, &v4);
        parameter(IPV6HINT, &v6);
        parameter(DOHPATH, self.doh_path.as_bytes());
        Some(LocalData::Record { rtype: rtype::SVCB, rdata })
    }
}

/// What is told of our doors, if `name` is [`DISCOVERY_NAME`] and there are any.
pub fn records(name: &Name, designated: &[Designated]) -> Option<Vec<LocalData>> {
    if name.as_str() != DISCOVERY_NAME {
        return None;
    }
    let doors: Vec<LocalData> =
        (1..).zip(designated).filter_map(|(priority, door)| door.record(priority)).collect();
    (!doors.is_empty()).then_some(doors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_is_a_service_record_with_its_parameters_in_order() {
        let door = Designated {
            name: "dns.example".into(),
            protocols: vec!["h2".into(), "h3".into()],
            port: 8443,
            doh_path: "/dns-query{?dns}".into(),
            addresses: vec!["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()],
        };
        let Some(LocalData::Record { rtype: 64, rdata }) = door.record(1) else { panic!("no record") };
        let mut want =
            b"\x00\x01\x03dns\x07example\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x03\x00\x02\x20\xfb".to_vec();
        want.extend(b"\x00\x04\x00\x04\xc0\x00\x02\x01\x00\x06\x00\x10\x20\x01\x0d\xb8");
        want.extend([0; 11]);
        want.extend(b"\x01\x00\x07\x00\x10/dns-query{?dns}");
        assert_eq!(rdata, want);
        assert_eq!(Designated::default().record(1), None, "no name, no door");
    }
}
