//! Record types by name (IANA's registry), as people write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Types by name (IANA's registry of DNS parameters), questions' types included.
#[rustfmt::skip]
const NAMES: [(&str, u16); 71] = [
    ("A", 1), ("NS", 2), ("CNAME", 5), ("SOA", 6), ("NULL", 10), ("WKS", 11), ("PTR", 12), ("HINFO", 13),
    ("MINFO", 14), ("MX", 15), ("TXT", 16), ("RP", 17), ("AFSDB", 18), ("X25", 19), ("ISDN", 20), ("RT", 21),
    ("SIG", 24), ("KEY", 25), ("PX", 26), ("GPOS", 27), ("AAAA", 28), ("LOC", 29), ("EID", 31), ("NIMLOC", 32),
    ("SRV", 33), ("ATMA", 34), ("NAPTR", 35), ("KX", 36), ("CERT", 37), ("DNAME", 39), ("OPT", 41), ("APL", 42),
    ("DS", 43), ("SSHFP", 44), ("IPSECKEY", 45), ("RRSIG", 46), ("NSEC", 47), ("DNSKEY", 48), ("DHCID", 49),
    ("NSEC3", 50), ("NSEC3PARAM", 51), ("TLSA", 52), ("SMIMEA", 53), ("HIP", 55), ("CDS", 59), ("CDNSKEY", 60),
    ("OPENPGPKEY", 61), ("CSYNC", 62), ("ZONEMD", 63), ("SVCB", 64), ("HTTPS", 65), ("SPF", 99), ("NID", 104),
    ("L32", 105), ("L64", 106), ("LP", 107), ("EUI48", 108), ("EUI64", 109), ("NXNAME", 128), ("TKEY", 249),
    ("TSIG", 250), ("IXFR", 251), ("AXFR", 252), ("MAILB", 253), ("MAILA", 254), ("ANY", 255), ("URI", 256),
    ("CAA", 257), ("AMTRELAY", 260), ("TA", 32768), ("DLV", 32769),
];

/// The type that a word names, in any case; also `TYPE65` (RFC 3597 section 5).
pub(crate) fn type_of(word: &str) -> Option<u16> {
    if let Some((_, code)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Some(*code);
    }
    let (head, number) = word.split_at_checked(4)?;
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    (head.eq_ignore_ascii_case("TYPE") && digits).then(|| number.parse().ok()).flatten()
}

/// A type's name; `record` for one that has none.
pub(crate) fn name_of_type(code: u16) -> &'static str {
    NAMES.iter().find(|(_, known)| *known == code).map_or("record", |(name, _)| name)
}

/// A record type, written by name: `AAAA`, `TYPE65`, `65`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueryType(pub u16);

/// A text that names no record type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no record type; write a name such as AAAA, or a number")]
pub struct UnknownType(pub String);

impl FromStr for QueryType {
    type Err = UnknownType;

    fn from_str(text: &str) -> Result<Self, UnknownType> {
        let number = || text.parse().ok();
        type_of(text).or_else(number).map(Self).ok_or_else(|| UnknownType(text.to_owned()))
    }
}

impl fmt::Display for QueryType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl Serialize for QueryType {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for QueryType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_by_name_and_number_and_written_by_name() {
        for (text, number, shown) in
            [("aaaa", 28, "AAAA"), ("TYPE65", 65, "HTTPS"), ("type999", 999, "TYPE999"), ("16", 16, "TXT")]
        {
            let read: QueryType = text.parse().unwrap();
            assert_eq!((read.0, read.to_string().as_str()), (number, shown));
        }
        for text in ["", "AAAAA", "TYPE", "TYPE70000", "-1"] {
            assert_eq!(text.parse::<QueryType>(), Err(UnknownType(text.into())));
        }
    }
}
