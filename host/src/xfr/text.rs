//! A zone as master-file text (RFC 1035 section 5), and back.
//!
//! ```text
//! $ORIGIN rpz.example.
//! @ 3600 IN SOA ns.example. admin.example. 7 3600 600 604800 60
//! *.bad.example 300 IN CNAME .
//! ```
//!
//! One record a line, owners relative to the zone, names in data absolute, in the order of their bytes: the
//! same zone gives the same text. A type without a form here is written as RFC 3597 says (`TYPE65 \# 2 AB12`).
//! What is read back is what is written here, not every master file.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use dnsvet_core::name::Name;

use super::message::{names_in, types};
use super::zone::{Record, RecordRef, Soa, Zone, name_end};

/// A text that is no zone of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}; delete the file, the zone is transferred again")]
pub struct TextError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub why: &'static str,
}

/// Types that have a mnemonic here.
const TYPES: [(u16, &str); 10] = [
    (types::A, "A"),
    (types::NS, "NS"),
    (types::CNAME, "CNAME"),
    (types::SOA, "SOA"),
    (types::PTR, "PTR"),
    (types::MX, "MX"),
    (types::TXT, "TXT"),
    (types::AAAA, "AAAA"),
    (types::SRV, "SRV"),
    (types::DNAME, "DNAME"),
];

impl Zone {
    /// The zone as text, SOA first. The same zone gives the same text.
    pub fn to_master_text(&self) -> String {
        let mut out = String::with_capacity(128 + 48 * self.len());
        out.push_str("$ORIGIN ");
        push_name(&mut out, self.apex());
        out.push('\n');
        let soa = self.soa().record(self.apex());
        for record in std::iter::once(soa.view()).chain(self.records()) {
            push_record(&mut out, record, self.apex());
        }
        out
    }

    /// Reads text that [`Zone::to_master_text`] wrote.
    ///
    /// # Errors
    /// With the line that is something else.
    pub fn parse_master_text(text: &str) -> Result<Self, TextError> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let at = |line| move |why| TextError { line, why };
        let origin = lines.next().and_then(|(_, line)| line.strip_prefix("$ORIGIN "));
        let apex = origin.ok_or("no `$ORIGIN` at the start").and_then(|text| parse_name(text, &[]));
        let apex = apex.map_err(at(1))?;
        let mut zone: Option<Zone> = None;
        for (line, content) in lines {
            let record = parse_record(content, &apex).map_err(at(line))?;
            let view = record.view();
            match &mut zone {
                None => {
                    let soa = (view.rtype == types::SOA && view.owner == apex)
                        .then(|| Soa::decode(view.ttl_s, view.data))
                        .flatten()
                        .ok_or(at(line)("not the zone's SOA"))?;
                    let origin = Name::from_labels(labels(&apex)).map_err(|_| at(1)("not a name"))?;
                    zone = Some(Zone::new(origin, soa));
                }
                Some(_) if view.rtype == types::SOA => return Err(at(line)("a second SOA")),
                Some(zone) => {
                    let new = zone.add(record);
                    new.then_some(()).ok_or(at(line)("a record that is there already"))?;
                }
            }
        }
        zone.ok_or(TextError { line: 2, why: "no SOA" })
    }
}

/// The labels of an uncompressed name.
fn labels(mut wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (&length, rest) = wire.split_first().filter(|(length, _)| **length > 0)?;
        let (label, rest) = rest.split_at_checked(usize::from(length))?;
        wire = rest;
        Some(label)
    })
}

/// An absolute name with its trailing dot.
pub(super) fn push_name(out: &mut String, wire: &[u8]) {
    for label in labels(wire) {
        for &byte in label {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'*' => out.push(char::from(byte)),
                _ => push(out, format_args!("\\{byte:03}")),
            }
        }
        out.push('.');
    }
    if wire.len() <= 1 {
        out.push('.');
    }
}

/// Writing to a `String` can't fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn push_record(out: &mut String, record: RecordRef<'_>, apex: &[u8]) {
    match record.owner.strip_suffix(apex) {
        Some([]) => out.push('@'),
        Some(below) => {
            // Behind the labels only the zone follows, which `$ORIGIN` says.
            push_name(out, below);
            out.pop();
        }
        None => push_name(out, record.owner),
    }
    push(out, format_args!(" {} IN ", record.ttl_s));
    match TYPES.iter().find(|(rtype, _)| *rtype == record.rtype) {
        Some((_, mnemonic)) => out.push_str(mnemonic),
        None => push(out, format_args!("TYPE{}", record.rtype)),
    }
    let start = out.len();
    if push_data(out, record.rtype, record.data).is_none() {
        out.truncate(start);
        push(out, format_args!(" \\# {}", record.data.len()));
        if !record.data.is_empty() {
            out.push(' ');
        }
        for byte in record.data {
            push(out, format_args!("{byte:02X}"));
        }
    }
    out.push('\n');
}

/// The data in its type's own form; `None` if it has none, or the data is not what the type should have.
fn push_data(out: &mut String, rtype: u16, data: &[u8]) -> Option<()> {
    match rtype {
        types::A => push(out, format_args!(" {}", Ipv4Addr::from(<[u8; 4]>::try_from(data).ok()?))),
        types::AAAA => push(out, format_args!(" {}", Ipv6Addr::from(<[u8; 16]>::try_from(data).ok()?))),
        types::TXT => {
            let mut rest = data;
            (!rest.is_empty()).then_some(())?;
            while let Some((&length, behind)) = rest.split_first() {
                let (string, behind) = behind.split_at_checked(usize::from(length))?;
                out.push_str(" \"");
                for &byte in string {
                    match byte {
                        b'"' | b'\\' => push(out, format_args!("\\{}", char::from(byte))),
                        b' '..=b'~' => out.push(char::from(byte)),
                        _ => push(out, format_args!("\\{byte:03}")),
                    }
                }
                out.push('"');
                rest = behind;
            }
        }
        types::SOA => {
            let soa = Soa::decode(0, data)?;
            for name in [&soa.mname, &soa.rname] {
                out.push(' ');
                push_name(out, name);
            }
            for number in [soa.serial.0, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s] {
                push(out, format_args!(" {number}"));
            }
        }
        types::NS | types::CNAME | types::PTR | types::DNAME | types::MX | types::SRV => {
            let (numbers, name) = data.split_at_checked(names_in(rtype).0)?;
            for number in numbers.as_chunks().0 {
                push(out, format_args!(" {}", u16::from_be_bytes(*number)));
            }
            (name_end(name) == name.len() && name.last() == Some(&0)).then_some(())?;
            out.push(' ');
            push_name(out, name);
        }
        _ => return None,
    }
    Some(())
}

fn parse_record(line: &str, apex: &[u8]) -> Result<Record, &'static str> {
    let mut fields = line.splitn(5, ' ');
    let mut next = || fields.next().ok_or("not a record");
    let (owner, ttl, class, rtype, data) = (next()?, next()?, next()?, next()?, next()?);
    let owner = if owner == "@" { apex.to_vec() } else { parse_name(owner, apex)? };
    let ttl_s = ttl.parse().map_err(|_| "TTL is not a number")?;
    if class != "IN" {
        return Err("class is not IN");
    }
    let known = TYPES.iter().find(|(_, mnemonic)| *mnemonic == rtype).map(|(rtype, _)| *rtype);
    let numbered = || rtype.strip_prefix("TYPE").and_then(|number| number.parse().ok());
    let rtype = known.or_else(numbered).ok_or("unknown type")?;
    let data = match data.strip_prefix("\\# ") {
        Some(generic) => parse_generic(generic)?,
        None => parse_data(rtype, data)?,
    };
    Ok(Record::new(&owner, rtype, ttl_s, &data))
}

fn parse_generic(text: &str) -> Result<Vec<u8>, &'static str> {
    let (length, digits) = text.split_once(' ').unwrap_or((text, ""));
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let data: Vec<u8> = pairs.collect::<Option<_>>().ok_or("not hexadecimal digits")?;
    if length.parse() != Ok(data.len()) { Err("data is not as long as it says") } else { Ok(data) }
}

fn parse_data(rtype: u16, text: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(32);
    match rtype {
        types::A => out.extend(text.parse::<Ipv4Addr>().map_err(|_| "not an IPv4 address")?.octets()),
        types::AAAA => out.extend(text.parse::<Ipv6Addr>().map_err(|_| "not an IPv6 address")?.octets()),
        types::TXT => parse_strings(text, &mut out)?,
        types::SOA => {
            for (index, field) in text.split(' ').enumerate() {
                match index {
                    0 | 1 => out.extend(parse_name(field, &[])?),
                    _ => out.extend(field.parse::<u32>().map_err(|_| "not a number")?.to_be_bytes()),
                }
            }
        }
        types::NS | types::CNAME | types::PTR | types::DNAME | types::MX | types::SRV => {
            let fields: Vec<&str> = text.split(' ').collect();
            let (name, numbers) = fields.split_last().ok_or("no data")?;
            if 2 * numbers.len() != names_in(rtype).0 {
                return Err("other fields than the type has");
            }
            for number in numbers {
                out.extend(number.parse::<u16>().map_err(|_| "not a number")?.to_be_bytes());
            }
            out.extend(parse_name(name, &[])?);
        }
        _ => return Err("data is not in the form of unknown types (RFC 3597)"),
    }
    Ok(out)
}

fn parse_strings(text: &str, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let mut rest = text;
    while !rest.is_empty() {
        let mut bytes = rest.trim_start().strip_prefix('"').ok_or("text is not quoted")?.bytes();
        let at = out.len();
        out.push(0);
        loop {
            match bytes.next().ok_or("text does not end")? {
                b'"' => break,
                b'\\' => out.push(unescape(&mut bytes)?),
                byte => out.push(byte),
            }
        }
        out[at] = u8::try_from(out.len() - at - 1).map_err(|_| "text of more than 255 bytes")?;
        rest = rest.get(rest.len() - bytes.len()..).ok_or("text does not end")?;
    }
    Ok(())
}

/// What stands behind a `\`: three digits, or a character that means itself.
fn unescape(bytes: &mut std::str::Bytes<'_>) -> Result<u8, &'static str> {
    let first = bytes.next().ok_or("an escape without its character")?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u32::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or("an escape without three digits")?;
        value = value * 10 + u32::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| "an escape above 255")
}

/// An absolute name, or one relative to `apex` if that is not empty.
fn parse_name(text: &str, apex: &[u8]) -> Result<Vec<u8>, &'static str> {
    if text == "." {
        return Ok(vec![0]);
    }
    let mut wire = Vec::with_capacity(text.len() + 2 + apex.len());
    let mut bytes = text.bytes();
    let (mut at, mut open) = (0, true);
    wire.push(0);
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => {
                open = bytes.len() > 0;
                at = wire.len();
                if open {
                    wire.push(0);
                }
                continue;
            }
            b'\\' => wire.push(unescape(&mut bytes)?.to_ascii_lowercase()),
            _ => wire.push(byte.to_ascii_lowercase()),
        }
        wire[at] += 1;
        if wire[at] > 63 {
            return Err("a label of more than 63 bytes");
        }
    }
    match (open, apex.is_empty()) {
        (false, _) => wire.push(0),
        (true, false) => wire.extend_from_slice(apex),
        (true, true) => return Err("a name without its trailing dot"),
    }
    if wire.len() > 255 {
        return Err("a name of more than 255 bytes");
    }
    // A label of no bytes would end the name early.
    if name_end(&wire) == wire.len() { Ok(wire) } else { Err("an empty label") }
}
