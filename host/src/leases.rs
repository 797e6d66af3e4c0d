//! Names of clients from a DHCP server's file of leases: dnsmasq, ISC dhcpd, Kea.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use dnsvet_core::policy::NamedClient;
use ipnet::IpNet;

/// The largest file of leases that is read, bytes.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a file of leases. What has run out by `now_s` (seconds since 1970) is left out.
///
/// # Errors
/// If the file can't be read, or is larger than 16 MiB.
pub fn read(path: &Path, now_s: u64) -> std::io::Result<Vec<NamedClient>> {
    if std::fs::metadata(path)?.len() > MOST_BYTES {
        return Err(std::io::Error::other("more than 16 MiB of leases; is it the right file?"));
    }
    Ok(parse(&String::from_utf8_lossy(&std::fs::read(path)?), now_s))
}

/// Clients with names, by name; an address that was leased twice belongs to the later lease.
pub fn parse(text: &str, now_s: u64) -> Vec<NamedClient> {
    let mut holders: BTreeMap<IpAddr, Option<String>> = BTreeMap::new();
    let mut found = |address: IpAddr, name: &str, ends_s: Option<u64>| {
        let name = name.trim().trim_matches('"').trim_end_matches('.');
        let holds = ends_s.is_none_or(|ends| ends == 0 || ends > now_s);
        let name = (holds && !name.is_empty() && name != "*").then(|| name.to_ascii_lowercase());
        holders.insert(address, name);
    };
    if text.contains("lease ") && text.contains('{') {
        isc(text, &mut found);
    } else if text.starts_with("address,") {
        kea(text, &mut found);
    } else {
        dnsmasq(text, &mut found);
    }
    let mut clients: BTreeMap<String, Vec<IpNet>> = BTreeMap::new();
    for (address, name) in holders {
        if let Some(name) = name {
            clients.entry(name).or_default().push(address.into());
        }
    }
    clients.into_iter().map(|(name, nets)| NamedClient { name, nets }).collect()
}

type Found<'a> = dyn FnMut(IpAddr, &str, Option<u64>) + 'a;

/// `EXPIRY MAC ADDRESS NAME CLIENT-ID`; 0 never runs out.
fn dnsmasq(text: &str, found: &mut Found<'_>) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (expiry, _, address, name) = (words.next(), words.next(), words.next(), words.next());
        let parsed = expiry.zip(address).and_then(|(expiry, address)| {
            Some((expiry.parse::<u64>().ok()?, address.parse::<IpAddr>().ok()?))
        });
        if let (Some((expiry, address)), Some(name)) = (parsed, name) {
            found(address, name, Some(expiry));
        }
    }
}

/// `lease ADDRESS { … binding state active; … client-hostname "NAME"; }`
fn isc(text: &str, found: &mut Found<'_>) {
    for block in text.split("lease ").skip(1) {
        let Some((head, rest)) = block.split_once('{') else { continue };
        let Ok(address) = head.trim().parse::<IpAddr>() else { continue };
        let body = rest.split_once('}').map_or(rest, |(body, _)| body);
        let statement = |key: &str| {
            let line = body.split(';').map(str::trim).find_map(|line| line.strip_prefix(key));
            line.map(str::trim)
        };
        let active = statement("binding state").is_none_or(|state| state == "active");
        found(address, statement("client-hostname").filter(|_| active).unwrap_or_default(), None);
    }
}

/// Kea's memfile: CSV with a head; `expire` in seconds since 1970, `state` 0 for a lease in use.
fn kea(text: &str, found: &mut Found<'_>) {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| head.iter().position(|field| *field == name);
    let (Some(address), Some(name)) = (column("address"), column("hostname")) else { return };
    let (expire, state) = (column("expire"), column("state"));
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |at: Option<usize>| at.and_then(|at| fields.get(at).copied());
        let Some(address) = field(Some(address)).and_then(|text| text.parse::<IpAddr>().ok()) else {
            continue;
        };
        let in_use = field(state).is_none_or(|state| state == "0");
        let ends_s = field(expire).and_then(|text| text.parse().ok());
        found(address, field(Some(name)).filter(|_| in_use).unwrap_or_default(), ends_s);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, String)> {
        let clients = parse(text, 1_000).into_iter();
        clients.map(|client| (client.name, client.nets.iter().map(|net| net.to_string()).collect())).collect()
    }

    fn pair(name: &str, net: &str) -> (String, String) {
        (name.into(), net.into())
    }

    #[test]
    fn leases_of_dnsmasq_are_read_and_those_that_ran_out_are_not() {
        let text = "2000 aa:bb:cc:00:11:22 10.0.0.5 TV 01:aa\n900 aa:bb:cc:00:11:23 10.0.0.6 old *\n\
            0 aa:bb:cc:00:11:24 10.0.0.7 printer *\n2000 aa:bb:cc:00:11:25 10.0.0.8 * *\nduid 00:01\n\
            2000 12345 fd00::9 laptop 00:01\n";
        let want = [pair("laptop", "fd00::9/128"), pair("printer", "10.0.0.7/32"), pair("tv", "10.0.0.5/32")];
        assert_eq!(names(text), want);
    }

    #[test]
    fn leases_of_isc_are_read_and_the_later_one_of_an_address_holds() {
        let text = "lease 10.0.0.5 {\n  binding state active;\n  client-hostname \"First\";\n}\n\
            lease 10.0.0.5 {\n  binding state active;\n  client-hostname \"second\";\n}\n\
            lease 10.0.0.6 {\n  binding state free;\n  client-hostname \"gone\";\n}\n";
        assert_eq!(names(text), [pair("second", "10.0.0.5/32")]);
    }

    #[test]
    fn leases_of_kea_are_read() {
        let text = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n\
            10.0.0.5,aa:bb,,3600,2000,1,0,0,cam.lan.,0\n10.0.0.6,aa:bc,,3600,900,1,0,0,old,0\n\
            10.0.0.7,aa:bd,,3600,2000,1,0,0,declined,1\n";
        assert_eq!(names(text), [pair("cam.lan", "10.0.0.5/32")]);
    }

    #[test]
    fn what_is_no_lease_is_passed_over() {
        for text in ["", "x", "lease {", "address,\n,,,", "1 2 3", "\u{0}\u{1}"] {
            assert!(names(text).is_empty(), "{text:?}");
        }
    }
}
