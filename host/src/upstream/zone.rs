//! A tiny zone that answers in the process, for demonstrations where no upstream can be reached.
//!
//! Not a name server: a few lines `NAME [TTL] [IN] A|AAAA|CNAME|TXT DATA`, names absolute, `;` comments. Any
//! other name exists too, with addresses from the documentation ranges (RFC 5737, RFC 3849) that depend on
//! the name alone, so that whoever looks can see which answer came from here.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use dnsvet_core::name::Name;

use super::message::{question_end, u16_at};

/// TTL of records that state none, seconds.
const DEFAULT_TTL_S: u32 = 60;

/// Why a zone file was refused.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// The file can't be read.
    #[error("{path}: can't read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("{path}:{line}: {why}; write `NAME [TTL] [IN] A|AAAA|CNAME|TXT DATA`", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
}

struct ZoneRecord {
    rtype: u16,
    ttl_s: u32,
    data: Vec<u8>,
}

/// The records, by owner name.
#[derive(Default)]
pub struct Zone {
    records: HashMap<Name, Vec<ZoneRecord>>,
}

impl Zone {
    /// Reads a zone file.
    pub fn load(path: &Path) -> Result<Self, ZoneError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ZoneError::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|(line, why)| ZoneError::Line { path: path.into(), line, why })
    }

    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let mut zone = Self::default();
        for (index, line) in text.lines().enumerate() {
            let content = line.split(';').next().unwrap_or("").trim();
            if !content.is_empty() {
                let (owner, record) = parse_record(content).map_err(|why| (index + 1, why))?;
                zone.records.entry(owner).or_default().push(record);
            }
        }
        Ok(zone)
    }

    /// Answers a question message; `None` if it is none.
    pub fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        let end = question_end(query)?;
        let qtype = u16_at(query, end - 4)?;
        let labels = labels(&query[12..end - 4]);
        let name = Name::from_labels(labels).ok()?;
        let mut out = query[..end].to_vec();
        out[2] = 0x80 | query[2] & 0x01;
        out[3] = 0x80;
        out[6..12].fill(0);
        let mut count = 0u16;
        let mut push = |owner: &[u8], rtype: u16, ttl_s: u32, data: &[u8]| {
            out.extend_from_slice(owner);
            out.extend_from_slice(&rtype.to_be_bytes());
            out.extend_from_slice(&[0, 1]);
            out.extend_from_slice(&ttl_s.to_be_bytes());
            out.extend_from_slice(&(data.len() as u16).to_be_bytes());
            out.extend_from_slice(data);
            count += 1;
        };
        let mut owner = vec![0xc0, 12];
        let mut target = Some(name);
        for _ in 0..8 {
            let Some(name) = target.take() else { break };
            match self.records.get(&name) {
                None => synthetic(&name, qtype, |data| push(&owner, qtype, DEFAULT_TTL_S, data)),
                Some(records) => {
                    for record in records.iter().filter(|r| r.rtype == qtype) {
                        push(&owner, record.rtype, record.ttl_s, &record.data);
                    }
                    if let Some(alias) = records.iter().find(|r| r.rtype == 5 && qtype != 5) {
                        push(&owner, 5, alias.ttl_s, &alias.data);
                        target = Name::from_labels(self::labels(&alias.data)).ok();
                        owner.clone_from(&alias.data);
                    }
                }
            }
        }
        out[6..8].copy_from_slice(&count.to_be_bytes());
        Some(out)
    }
}

/// The labels of an uncompressed name.
fn labels(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = wire.split_first()?;
        if length == 0 || usize::from(length) > rest.len() {
            return None;
        }
        let (label, rest) = rest.split_at(usize::from(length));
        wire = rest;
        Some(label)
    })
}

fn synthetic(name: &Name, qtype: u16, push: impl FnOnce(&[u8])) {
    let hash = blake3::hash(name.as_str().as_bytes());
    let bytes = hash.as_bytes();
    match qtype {
        1 => push(&Ipv4Addr::new(198, 51, 100, bytes[0].clamp(1, 254)).octets()),
        28 => {
            let word = u16::from_be_bytes([bytes[1], bytes[2]]);
            push(&Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, word).octets());
        }
        _ => {}
    }
}

fn parse_record(line: &str) -> Result<(Name, ZoneRecord), &'static str> {
    let mut fields = line.split_whitespace().peekable();
    let owner = fields.next().and_then(|text| Name::parse(text).ok()).ok_or("no name at the start")?;
    let ttl_s = match fields.peek().and_then(|field| field.parse().ok()) {
        Some(ttl_s) => {
            fields.next();
            ttl_s
        }
        None => DEFAULT_TTL_S,
    };
    fields.next_if(|field| field.eq_ignore_ascii_case("IN"));
    let rtype = fields.next().ok_or("no type")?;
    let data = fields.collect::<Vec<_>>().join(" ");
    let (rtype, data) = match rtype {
        "A" => (1, data.parse::<Ipv4Addr>().map_err(|_| "not an IPv4 address")?.octets().to_vec()),
        "AAAA" => (28, data.parse::<Ipv6Addr>().map_err(|_| "not an IPv6 address")?.octets().to_vec()),
        "CNAME" => (5, Name::parse(&data).map_err(|_| "not a name")?.to_wire()),
        "TXT" => {
            let text = data.trim_matches('"').as_bytes();
            let length = u8::try_from(text.len()).map_err(|_| "text of more than 255 bytes")?;
            (16, [&[length], text].concat())
        }
        _ => return Err("type is not A, AAAA, CNAME or TXT"),
    };
    Ok((owner, ZoneRecord { rtype, ttl_s, data }))
}

#[cfg(test)]
mod tests {
    use super::super::message::{records, tests::query};
    use super::*;

    #[test]
    fn names_of_the_zone_answer_from_it_and_aliases_are_followed() {
        let zone = Zone::parse("; demo\nwww.example. 30 IN CNAME host.example.\nhost.example A 192.0.2.7\n")
            .unwrap();
        let answer = zone.answer(&query("www.example", 1)).unwrap();
        let spans = records(&answer).unwrap();
        assert_eq!(spans.len(), 2);
        assert_eq!(answer[spans[1].end - 4..spans[1].end], [192, 0, 2, 7]);
        assert_eq!(records(&zone.answer(&query("host.example", 28)).unwrap()).unwrap().len(), 0, "no data");
    }

    #[test]
    fn any_other_name_has_a_documentation_address_of_its_own() {
        let zone = Zone::default();
        let first = zone.answer(&query("one.example", 1)).unwrap();
        assert_eq!(first[first.len() - 4..first.len() - 1], [198, 51, 100]);
        assert_eq!(first, zone.answer(&query("one.example", 1)).unwrap());
    }

    #[test]
    fn a_bad_line_is_refused_with_its_number() {
        assert_eq!(Zone::parse("a.example A 1.2.3.4\nb.example MX 1 c").err().unwrap().0, 2);
    }
}
