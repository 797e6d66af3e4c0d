//! Networks and what belongs to them, by longest prefix.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

/// Networks with what belongs to them, found by longest prefix in one look-up for each length that occurs.
#[derive(Debug, Clone, Default)]
pub struct Nets {
    by_net: HashMap<IpNet, Vec<u32>>,
    /// Lengths that occur, longest first: of IPv4, of IPv6.
    lengths: [Vec<u8>; 2],
}

impl Nets {
    /// Adds a network, as [`canonical`] has it.
    pub fn add(&mut self, net: IpNet, number: u32) {
        let net = canonical(net);
        self.by_net.entry(net).or_default().push(number);
        if let Some(lengths) = self.lengths.get_mut(usize::from(net.addr().is_ipv6()))
            && let Err(at) = lengths.binary_search_by(|length| net.prefix_len().cmp(length))
        {
            lengths.insert(at, net.prefix_len());
        }
    }

    /// What belongs to the networks that hold an address, longest prefix first.
    pub fn holding(&self, address: IpAddr) -> impl Iterator<Item = (IpNet, u32)> {
        let address = address.to_canonical();
        let lengths = self.lengths.get(usize::from(address.is_ipv6())).map(Vec::as_slice).unwrap_or_default();
        lengths.iter().flat_map(move |length| {
            let net = IpNet::new(address, *length).map(|net| net.trunc()).ok();
            let numbers = net.and_then(|net| Some((net, self.by_net.get(&net)?)));
            numbers.into_iter().flat_map(|(net, numbers)| numbers.iter().map(move |number| (net, *number)))
        })
    }
}

/// A network as addresses are compared with it: without bits of the host, and one of IPv4 addresses that are written
/// as IPv6 (`::ffff:10.0.0.0/104`) as one of IPv4.
pub fn canonical(net: IpNet) -> IpNet {
    let net = net.trunc();
    let IpNet::V6(v6) = net else { return net };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, length)| Ipv4Net::new(address, length).ok()).map_or(net, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_found_longest_prefix_first() {
        let mut nets = Nets::default();
        for (number, net) in (0..).zip(["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "fd00::/8", "10.1.2.3/16"])
        {
            nets.add(net.parse().unwrap(), number);
        }
        let of = |address: &str| nets.holding(address.parse().unwrap()).map(|(_, n)| n).collect::<Vec<_>>();
        assert_eq!(of("10.1.9.9"), [1, 4, 0, 2]);
        assert_eq!(of("::ffff:10.1.9.9"), [1, 4, 0, 2]);
        assert_eq!(of("192.0.2.1"), [2]);
        assert_eq!(of("fd00::1"), [3]);
        assert!(of("2001:db8::1").is_empty());
    }
    #[test]
    fn ipv4_written_as_ipv6_is_ipv4() {
        for (net, want) in [
            ("::ffff:10.0.0.1/128", "10.0.0.1/32"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(canonical(net.parse().unwrap()).to_string(), want, "{net}");
        }
        let mut nets = Nets::default();
        nets.add("::ffff:10.0.0.0/104".parse().unwrap(), 7);
        assert_eq!(nets.holding("10.9.9.9".parse().unwrap()).map(|(_, n)| n).collect::<Vec<_>>(), [7]);
    }
}
