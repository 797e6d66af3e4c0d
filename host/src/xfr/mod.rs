//! Zone transfer: policy zones (RPZ) fetched from others, and our own served to them.
//!
//! ```text
//! primary ─► client::fetch ─► transfer (AXFR, IXFR) ─► Zone ─► master-file text ─► list parser, last-good copy
//!                 │ TSIG
//! entries ─► policy ─► Publisher: Zone, serial + 1, journal ─► server: SOA, NS, AXFR, IXFR ─► secondaries
//!                                                       └────► notify: NOTIFY, retried ─────► secondaries
//! ```
//!
//! [`fetch`] asks a primary for a [`Zone`], and for the difference only when an older one is at hand.
//! [`Publisher`] turns policy entries into a zone, [`Server`] hands it out.
//!
//! Two surprises. Names and record data are kept as bytes, uncompressed and in lower case, so that a record of
//! any type passes through whole. And a policy zone needs more records than there are entries: by the rule of
//! the closest encloser (RFC 4592) an exception below a blocked name would lift the block from all around it,
//! so [`policy`] fills those places.

mod answer;
mod client;
mod message;
mod notify;
pub mod policy;
mod publish;
mod server;
mod text;
mod transfer;
mod tsig;
mod zone;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

pub use client::{Fetched, Limits, Source, Way, fetch};
pub use publish::{Publisher, Report, ZoneConfig};
pub use server::{Secondary, Server, ServerConfig, serve};
pub use text::TextError;
pub use tsig::{Algorithm, Key, KeyError, TsigError};
pub use zone::{RecordRef, Soa, Zone};

/// A zone's serial number, compared by serial number arithmetic (RFC 1982 section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Serial(pub u32);

impl Serial {
    /// Whether this is newer than `other`. Two serials that are 2^31 apart are each not newer than the other.
    pub fn is_newer_than(self, other: Serial) -> bool {
        let ahead = self.0.wrapping_sub(other.0);
        ahead != 0 && ahead < 1 << 31
    }

    /// The one after it; 0 is passed over, since some servers take it for "none".
    #[must_use]
    pub fn next(self) -> Serial {
        Serial(self.0.wrapping_add(1).max(1))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why no zone was transferred. The zone that was there before stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum XfrError {
    /// No connection.
    #[error("can't connect to primary {server}: {source}; check its address, and that it serves TCP")]
    Connect {
        /// The primary.
        server: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The connection failed.
    #[error("connection to primary {server} failed: {source}; it is tried again at the next refresh")]
    Network {
        /// The primary.
        server: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The primary ended the connection too early.
    #[error(
        "primary {server} closed the connection before the zone was whole; look into its log, most often it \
         does not allow transfers to this address"
    )]
    Closed {
        /// The primary.
        server: SocketAddr,
    },
    /// The primary was too slow.
    #[error("primary {server}: {what} took more than {} s; check the network, or raise the limit", limit.as_secs())]
    Timeout {
        /// The primary.
        server: SocketAddr,
        /// What took too long: `connecting`, `the next message`, `the whole transfer`.
        what: &'static str,
        /// How long it may take.
        limit: Duration,
    },
    /// The primary said no.
    #[error("primary refused zone {zone} with {}; {}", rcode_name(*rcode), rcode_remedy(*rcode))]
    Refused {
        /// The zone.
        zone: String,
        /// The response code, 1 to 15.
        rcode: u8,
    },
    /// The primary's message breaks the protocol.
    #[error("primary sent a bad message: {0}; its software is at fault")]
    Malformed(&'static str),
    /// The primary's message is not an answer to our question.
    #[error("primary sent a message with {0}; its software is at fault, or somebody else answers")]
    Mismatch(&'static str),
    /// A record lies outside of the zone.
    #[error("primary sent a record of {owner}, outside of zone {zone}; its zone is at fault")]
    OutOfZone {
        /// The record's owner.
        owner: String,
        /// The zone.
        zone: String,
    },
    /// The SOA at the end is another than that at the start (RFC 5936 section 2.2).
    #[error("zone changed while it was transferred, from serial {first} to {last}; try again")]
    Changed {
        /// The serial at the start.
        first: Serial,
        /// The serial at the end.
        last: Serial,
    },
    /// The differences don't fit the zone that is here (RFC 1995 section 4).
    #[error("primary's differences don't fit serial {serial} that is here: {why}; a full transfer helps")]
    Inconsistent {
        /// The serial of our zone.
        serial: Serial,
        /// What does not fit.
        why: &'static str,
    },
    /// More than is taken.
    #[error("zone is larger than {limit} {what}; raise the limit of this list, or take a smaller one")]
    TooLarge {
        /// What there is too much of: `bytes`, `records`.
        what: &'static str,
        /// How much is taken.
        limit: u64,
    },
    /// The signature is missing or wrong.
    #[error(transparent)]
    Tsig(#[from] TsigError),
    /// The operating system gave no random bytes.
    #[error("no random bytes from the operating system: {0}")]
    Random(getrandom::Error),
}

/// The mnemonic of a response code (RFC 6895 section 2.3).
fn rcode_name(rcode: u8) -> String {
    let names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
    match rcode {
        9 => "NOTAUTH".to_owned(),
        10 => "NOTZONE".to_owned(),
        _ => names.get(usize::from(rcode)).map_or_else(|| format!("RCODE {rcode}"), ToString::to_string),
    }
}

fn rcode_remedy(rcode: u8) -> &'static str {
    match rcode {
        2 => "it has not loaded the zone: look into its log",
        4 => "it does not serve transfers: ask its operator for the right address",
        5 => "it must allow transfers to this address or key: ask its operator",
        3 | 9 | 10 => "it does not serve that zone: check the zone's name and the key",
        _ => "look into its log",
    }
}

#[cfg(test)]
mod tests;
