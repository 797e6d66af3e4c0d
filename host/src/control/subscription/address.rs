//! Which addresses a list may come from: those of public hosts.
//!
//! A list's URL, or a redirect of its server, could otherwise make the control plane ask the network inside for
//! it. The kinds are those of IANA's special-purpose registries (RFC 6890) that are not globally reachable. The
//! surprise: an IPv6 address may carry an IPv4 one that a translator takes out again, and is judged by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of address this is, if it is not one of a public host.
pub fn why_not_public(address: IpAddr) -> Option<&'static str> {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4_kind(v4),
        IpAddr::V6(v6) => v6_kind(v6),
    }
}

fn v4_kind(v4: Ipv4Addr) -> Option<&'static str> {
    let kind = match v4.octets() {
        [0, ..] => "unspecified",
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => "private",
        [100, 64..=127, ..] => "shared (CGNAT)",
        [127, ..] => "loopback",
        [169, 254, ..] => "link-local",
        [192, 0, 0, _] | [192, 88, 99, _] => "special-purpose",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "documentation",
        [198, 18..=19, ..] => "benchmarking",
        [224..=239, ..] => "multicast",
        [240..=255, ..] => "reserved",
        _ => return None,
    };
    Some(kind)
}

fn v6_kind(v6: Ipv6Addr) -> Option<&'static str> {
    let embedded = |high: u16, low: u16| v4_kind(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("unspecified"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("loopback"),
        // NAT64 (RFC 6052), 6to4 (RFC 3056), ISATAP (RFC 5214).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        [0x2000..=0x3fff, .., 0 | 0x200, 0x5efe, high, low] => embedded(high, low),
        [0xfc00..=0xfdff, ..] => Some("private"),
        [0xfe80..=0xfebf, ..] => Some("link-local"),
        [0xff00..=0xffff, ..] => Some("multicast"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("documentation"),
        [0x2001, 0..=0x1ff, ..] => Some("special-purpose"),
        // All that is given out to networks so far.
        [0x2000..=0x3fff, ..] => None,
        _ => Some("reserved"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_public_hosts_are_let_through_and_no_others() {
        let kind = |text: &str| why_not_public(text.parse().unwrap());
        for public in [
            "9.9.9.9",
            "100.63.0.1",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "223.255.255.1",
            "192.0.1.1",
            "2620:fe::9",
            "2a00::1",
            "2001:4860::8888",
            "64:ff9b::909:909",
            "2002:909:909::1",
            "::ffff:9.9.9.9",
        ] {
            assert_eq!(kind(public), None, "{public}");
        }
        for (inside, want) in [
            ("0.0.0.0", "unspecified"),
            ("10.1.2.3", "private"),
            ("172.31.0.1", "private"),
            ("192.168.0.1", "private"),
            ("100.64.0.1", "shared (CGNAT)"),
            ("127.8.8.8", "loopback"),
            ("169.254.169.254", "link-local"),
            ("192.0.2.1", "documentation"),
            ("198.19.0.1", "benchmarking"),
            ("239.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::7f00:1", "reserved"),
            ("::ffff:127.0.0.1", "loopback"),
            ("64:ff9b::a00:1", "private"),
            ("64:ff9b:1::a00:1", "reserved"),
            ("2002:7f00:1::1", "loopback"),
            ("2a00::5efe:a00:1", "private"),
            ("2001:db8::1", "documentation"),
            ("3fff:1::1", "documentation"),
            ("2001::1", "special-purpose"),
            ("fd00::1", "private"),
            ("fe80::1", "link-local"),
            ("ff02::1", "multicast"),
            ("4000::1", "reserved"),
        ] {
            assert_eq!(kind(inside), Some(want), "{inside}");
        }
    }
}
