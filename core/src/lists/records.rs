//! Records in text: type names, and data to what goes on the wire.
//!
//! RPZ, Unbound's `local-data` and AdGuard's `$dnsrewrite` all write records so. Any type can be written as
//! `\# LENGTH HEX` (RFC 3597); the common ones have their own reader here. The surprise: data of a record that
//! makes a zone cut or a subtree (NS, SOA, DNAME) is refused, since a policy answers names, not zones.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine;

use super::master::{Word, octets};
use super::{LocalData, Why};
use crate::message::name_of_type;
use crate::name::Name;

pub(super) use crate::message::rtype::{A, AAAA, CNAME, HTTPS, MX, PTR, SRV, SVCB, TXT};

/// Whether the type belongs to DNSSEC's signing of a zone.
pub(super) fn signs_zones(rtype: u16) -> bool {
    matches!(rtype, 46 | 47 | 48 | 50 | 51 | 59 | 60 | 63)
}

/// Reads a record's data. `name` makes a name of a word, relative to whatever the format says.
pub(super) fn data(
    rtype: u16,
    words: &[Word],
    name: &dyn Fn(&str) -> Result<Name, Why>,
) -> Result<LocalData, Why> {
    if let [generic, length, hex @ ..] = words
        && !generic.quoted
        && generic.text == r"\#"
    {
        return generic_data(rtype, length, hex);
    }
    let mut fields = Fields { rtype, words: words.iter(), name, wire: Vec::new() };
    match rtype {
        A => {
            let address = fields.parsed::<Ipv4Addr>("an IPv4 address")?;
            fields.end("an IPv4 address")?;
            return Ok(LocalData::Address(IpAddr::V4(address)));
        }
        AAAA => {
            let address = fields.parsed::<Ipv6Addr>("an IPv6 address")?;
            fields.end("an IPv6 address")?;
            return Ok(LocalData::Address(IpAddr::V6(address)));
        }
        CNAME => {
            let target = (fields.name)(fields.word("a name")?.text)?;
            fields.end("a name")?;
            return Ok(LocalData::Cname(target));
        }
        2 => return Err(Why::NotLocalData("NS")),
        6 => return Err(Why::NotLocalData("SOA")),
        39 => return Err(Why::NotLocalData("DNAME")),
        PTR => fields.name("a name")?,
        MX | 18 | 36 => {
            fields.u16("a number and a name")?;
            fields.name("a number and a name")?;
        }
        17 => {
            fields.name("two names")?;
            fields.name("two names")?;
        }
        13 => {
            fields.string("two texts")?;
            fields.string("two texts")?;
        }
        TXT | 99 => fields.strings("one or more texts of at most 255 bytes")?,
        SRV => {
            for _ in 0..3 {
                fields.u16("priority, weight, port and a name")?;
            }
            fields.name("priority, weight, port and a name")?;
        }
        35 => {
            let expected = "order, preference, three texts and a name";
            fields.u16(expected)?;
            fields.u16(expected)?;
            for _ in 0..3 {
                fields.string(expected)?;
            }
            fields.name(expected)?;
        }
        43 => {
            fields.u16("key tag, algorithm, digest type and hex")?;
            fields.u8("key tag, algorithm, digest type and hex")?;
            fields.u8("key tag, algorithm, digest type and hex")?;
            fields.hex("key tag, algorithm, digest type and hex")?;
        }
        44 => {
            fields.u8("algorithm, type and hex")?;
            fields.u8("algorithm, type and hex")?;
            fields.hex("algorithm, type and hex")?;
        }
        52 | 53 => {
            for _ in 0..3 {
                fields.u8("usage, selector, matching type and hex")?;
            }
            fields.hex("usage, selector, matching type and hex")?;
        }
        SVCB | HTTPS => fields.service()?,
        256 => {
            fields.u16("priority, weight and a URI")?;
            fields.u16("priority, weight and a URI")?;
            fields.rest_of_data("priority, weight and a URI")?;
        }
        257 => {
            fields.u8("flags, tag and a text")?;
            fields.string("flags, tag and a text")?;
            fields.rest_of_data("flags, tag and a text")?;
        }
        _ => return Err(Why::RecordType(format!("{} without \\#", name_of_type(rtype)))),
    }
    fields.end("nothing more")?;
    if fields.wire.len() > usize::from(u16::MAX) {
        return Err(Why::LongLine(fields.wire.len()));
    }
    Ok(LocalData::Record { rtype, rdata: fields.wire })
}

/// Data as `\# LENGTH HEX` (RFC 3597 section 5).
fn generic_data(rtype: u16, length: &Word, hex: &[Word]) -> Result<LocalData, Why> {
    let wrong = || Why::Data { rtype: name_of_type(rtype), expected: "\\# LENGTH HEX, as long as it says" };
    let length: usize = length.text.parse().map_err(|_| wrong())?;
    let mut rdata = Vec::new();
    for word in hex {
        rdata.extend(hex_bytes(word.text).ok_or_else(wrong)?);
    }
    if rdata.len() != length || length > usize::from(u16::MAX) {
        return Err(wrong());
    }
    match rtype {
        A => <[u8; 4]>::try_from(rdata.as_slice())
            .map(|address| LocalData::Address(IpAddr::from(address)))
            .map_err(|_| wrong()),
        AAAA => <[u8; 16]>::try_from(rdata.as_slice())
            .map(|address| LocalData::Address(IpAddr::from(address)))
            .map_err(|_| wrong()),
        2 => Err(Why::NotLocalData("NS")),
        CNAME | 6 | 39 => Err(wrong()),
        _ => Ok(LocalData::Record { rtype, rdata }),
    }
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|value| u8::try_from(value).ok())).collect();
    let digits = digits?;
    let pairs = digits.chunks_exact(2);
    pairs
        .remainder()
        .is_empty()
        .then(|| digits.chunks_exact(2).filter_map(|pair| Some(pair.first()? << 4 | pair.last()?)).collect())
}

/// A record's words, one after another, and what they became.
struct Fields<'a> {
    rtype: u16,
    words: std::slice::Iter<'a, Word<'a>>,
    name: &'a dyn Fn(&str) -> Result<Name, Why>,
    wire: Vec<u8>,
}

impl<'a> Fields<'a> {
    fn wrong(&self, expected: &'static str) -> Why {
        Why::Data { rtype: name_of_type(self.rtype), expected }
    }

    fn word(&mut self, expected: &'static str) -> Result<&'a Word<'a>, Why> {
        self.words.next().ok_or_else(|| self.wrong(expected))
    }

    fn end(&mut self, expected: &'static str) -> Result<(), Why> {
        if self.words.len() == 0 { Ok(()) } else { Err(self.wrong(expected)) }
    }

    fn parsed<T: std::str::FromStr>(&mut self, expected: &'static str) -> Result<T, Why> {
        self.word(expected)?.text.parse().map_err(|_| self.wrong(expected))
    }

    fn u8(&mut self, expected: &'static str) -> Result<(), Why> {
        let value = self.parsed::<u8>(expected)?;
        self.wire.push(value);
        Ok(())
    }

    fn u16(&mut self, expected: &'static str) -> Result<(), Why> {
        let value = self.parsed::<u16>(expected)?;
        self.wire.extend(value.to_be_bytes());
        Ok(())
    }

    fn name(&mut self, expected: &'static str) -> Result<(), Why> {
        let name = (self.name)(self.word(expected)?.text)?;
        self.wire.extend(name.to_wire());
        Ok(())
    }

    fn string(&mut self, expected: &'static str) -> Result<(), Why> {
        let octets = octets(self.word(expected)?.text)?;
        let length = u8::try_from(octets.len()).map_err(|_| self.wrong(expected))?;
        self.wire.push(length);
        self.wire.extend(octets);
        Ok(())
    }

    fn strings(&mut self, expected: &'static str) -> Result<(), Why> {
        self.string(expected)?;
        while self.words.len() > 0 {
            self.string(expected)?;
        }
        Ok(())
    }

    fn rest_of_data(&mut self, expected: &'static str) -> Result<(), Why> {
        let octets = octets(self.word(expected)?.text)?;
        self.wire.extend(octets);
        Ok(())
    }

    fn hex(&mut self, expected: &'static str) -> Result<(), Why> {
        let bytes = hex_bytes(self.word(expected)?.text).ok_or_else(|| self.wrong(expected))?;
        self.wire.extend(bytes);
        while let Some(word) = self.words.next() {
            self.wire.extend(hex_bytes(word.text).ok_or_else(|| self.wrong(expected))?);
        }
        Ok(())
    }

    /// SVCB and HTTPS (RFC 9460 section 2.1): priority, target, parameters in the order of their keys.
    fn service(&mut self) -> Result<(), Why> {
        let expected = "priority, target and parameters such as alpn=h3";
        self.u16(expected)?;
        self.name(expected)?;
        let mut parameters = Vec::new();
        while let Some(word) = self.words.next() {
            let (key, value) = match word.text.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (word.text, None),
            };
            let value =
                value.map(|value| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value));
            parameters.push(parameter(key, value).ok_or_else(|| self.wrong(expected))?);
        }
        parameters.sort_by_key(|(key, _)| *key);
        if parameters.windows(2).any(|pair| pair.first().map(|p| p.0) == pair.last().map(|p| p.0)) {
            return Err(self.wrong("each parameter once"));
        }
        for (key, value) in parameters {
            let length = u16::try_from(value.len()).map_err(|_| self.wrong(expected))?;
            self.wire.extend(key.to_be_bytes());
            self.wire.extend(length.to_be_bytes());
            self.wire.extend(value);
        }
        Ok(())
    }
}

fn key_of(key: &str) -> Option<u16> {
    Some(match key {
        "mandatory" => 0,
        "alpn" => 1,
        "no-default-alpn" => 2,
        "port" => 3,
        "ipv4hint" => 4,
        "ech" => 5,
        "ipv6hint" => 6,
        "dohpath" => 7,
        "ohttp" => 8,
        _ => key.strip_prefix("key").filter(|n| n.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?,
    })
}

/// A parameter's key and its value on the wire.
fn parameter(key: &str, value: Option<&str>) -> Option<(u16, Vec<u8>)> {
    let code = key_of(key)?;
    let mut wire = Vec::new();
    match (code, value) {
        (2 | 8, None) => {}
        (0, Some(value)) => {
            let mut keys = value.split(',').map(key_of).collect::<Option<Vec<_>>>()?;
            keys.sort_unstable();
            wire.extend(keys.into_iter().flat_map(u16::to_be_bytes));
        }
        (1, Some(value)) => {
            for protocol in value.split(',') {
                let octets = octets(protocol).ok().filter(|octets| !octets.is_empty())?;
                wire.push(u8::try_from(octets.len()).ok()?);
                wire.extend(octets);
            }
        }
        (3, Some(value)) => wire.extend(value.parse::<u16>().ok()?.to_be_bytes()),
        (4, Some(value)) => {
            for address in value.split(',') {
                wire.extend(address.parse::<Ipv4Addr>().ok()?.octets());
            }
        }
        (5, Some(value)) => wire = base64::engine::general_purpose::STANDARD.decode(value).ok()?,
        (6, Some(value)) => {
            for address in value.split(',') {
                wire.extend(address.parse::<Ipv6Addr>().ok()?.octets());
            }
        }
        (2 | 8, Some(_)) | (0 | 1 | 3..=6, None) => return None,
        (_, value) => wire = octets(value.unwrap_or_default()).ok()?,
    }
    Some((code, wire))
}
