//! DNS messages (RFC 1035 section 4), decoded in bounds: bytes from outside never panic, never loop.
//!
//! ```text
//! client ─► decode_query ─► Query ─► response::synthesize ─► client
//!                             └► runner ─► upstream ─► decode_answer ─► Answer (inspected)
//! ```
//!
//! Its surprise: bytes after the last record, and records in sections where a query has none, are tolerated
//! instead of refused. The resolver never passes a query on as it came; it builds another one from what was
//! decoded.

mod answer;
mod query;
mod types;
mod wire;

pub(crate) use answer::for_each_answer;
pub use answer::{Answer, Data, Record, decode_answer, min_ttl};
pub use query::{Edns, Header, Malformed, Query, Question, decode_query};
pub use types::{QueryType, UnknownType};
pub(crate) use types::{name_of_type, type_of};
pub use wire::DecodeError;
pub(crate) use wire::{put_u16, put_u32};

/// The longest message, bytes (RFC 1035 section 4.2.2: two bytes of length).
pub const MAX_MESSAGE_BYTES: usize = 65_535;
/// The most that we send over UDP, bytes, and what we say that we take (DNS flag day 2020).
pub const UDP_BYTES: u16 = 1232;

/// Record types by number (IANA), those that the filter tells apart.
pub mod rtype {
    /// IPv4 address.
    pub const A: u16 = 1;
    /// Alias.
    pub const CNAME: u16 = 5;
    /// Start of authority.
    pub const SOA: u16 = 6;
    /// Pointer, for reverse zones.
    pub const PTR: u16 = 12;
    /// Mail server.
    pub const MX: u16 = 15;
    /// Text.
    pub const TXT: u16 = 16;
    /// IPv6 address.
    pub const AAAA: u16 = 28;
    /// Server of a service (RFC 2782).
    pub const SRV: u16 = 33;
    /// EDNS (RFC 6891).
    pub const OPT: u16 = 41;
    /// Service binding (RFC 9460).
    pub const SVCB: u16 = 64;
    /// Service binding of the web (RFC 9460).
    pub const HTTPS: u16 = 65;
    /// Any type (RFC 8482).
    pub const ANY: u16 = 255;
}

/// Response codes by number (IANA).
pub mod rcode {
    /// No error.
    pub const NOERROR: u16 = 0;
    /// The message can't be decoded.
    pub const FORMERR: u16 = 1;
    /// We failed.
    pub const SERVFAIL: u16 = 2;
    /// The name does not exist.
    pub const NXDOMAIN: u16 = 3;
    /// We don't do that.
    pub const NOTIMP: u16 = 4;
    /// We don't do that for you.
    pub const REFUSED: u16 = 5;
    /// An EDNS version that we don't speak.
    pub const BADVERS: u16 = 16;
}

/// EDNS options by number (IANA).
pub(crate) mod option {
    pub(crate) const CLIENT_SUBNET: u16 = 8;
    pub(crate) const COOKIE: u16 = 10;
    pub(crate) const PADDING: u16 = 12;
    pub(crate) const EDE: u16 = 15;
}

/// Bits of the header's second word.
pub(crate) mod flag {
    pub(crate) const QR: u16 = 0x8000;
    pub(crate) const TC: u16 = 0x0200;
    pub(crate) const RD: u16 = 0x0100;
    pub(crate) const RA: u16 = 0x0080;
    pub(crate) const AD: u16 = 0x0020;
    pub(crate) const CD: u16 = 0x0010;
}

#[cfg(test)]
mod tests;
