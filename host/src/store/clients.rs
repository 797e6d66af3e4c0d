//! How a client's address is stored.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::ClientAddresses;

/// An address as it is stored: private ones whole, public ones cut unless the configuration says otherwise.
pub(super) fn stored(client: &str, addresses: ClientAddresses) -> String {
    let Ok(address) = client.parse::<IpAddr>() else { return client.to_owned() };
    let keep = match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
        }
    };
    if keep || addresses == ClientAddresses::Plain {
        return address.to_string();
    }
    let prefix = if address.is_ipv4() { 24 } else { 56 };
    IpNet::new(address, prefix).map_or_else(|_| client.to_owned(), |net| net.trunc().addr().to_string())
}
