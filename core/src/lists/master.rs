//! Master file text (RFC 1035 section 5): words, quotes, escapes, parentheses, comments.
//!
//! The surprise: [`record_lines`] tells how many lines a record takes before anyone reads it. A parenthesis that
//! is still open after [`MOST_RECORD_LINES`] lines is taken for a slip of its first line alone, so that it can't
//! swallow the rest of a list.

use super::{Lines, MOST_LINE_BYTES, Why};
use crate::message::type_of;
use crate::name::{Name, NameError};

/// The most lines of one record.
const MOST_RECORD_LINES: u32 = 32;

/// A word of a record, escapes left as they stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    /// The word, without its quotes.
    pub text: &'a str,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

/// How many further lines belong to the record that starts with `first`; `rest` are the lines behind it.
pub(super) fn record_lines(first: &[u8], rest: &Lines) -> u32 {
    if !first.contains(&b'(') {
        return 0;
    }
    let mut depth = depth_behind(0, first);
    let mut more = 0;
    let mut bytes = first.len();
    for line in rest.clone().take(MOST_RECORD_LINES as usize - 1) {
        bytes += line.bytes.len();
        if depth == 0 || bytes > MOST_LINE_BYTES {
            break;
        }
        more += 1;
        depth = depth_behind(depth, line.bytes);
    }
    if depth == 0 { more } else { 0 }
}

fn depth_behind(mut depth: u32, line: &[u8]) -> u32 {
    let mut quoted = false;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => _ = bytes.next(),
            b'"' => quoted = !quoted,
            b';' if !quoted => break,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    depth
}

/// The words of a record: comments left out, parentheses and line ends taken for white space.
pub(super) fn words(text: &str) -> Result<Vec<Word<'_>>, Why> {
    let mut words = Vec::with_capacity(8);
    let mut depth = 0u32;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.checked_sub(1).ok_or(Why::Unclosed("parenthesis"))?,
            b';' => at = end_of(bytes, at, |byte| matches!(byte, b'\n' | b'\r')),
            byte if byte.is_ascii_whitespace() => {}
            b'"' => {
                let end = end_of_quote(bytes, at + 1)?;
                words.push(Word { text: text.get(at + 1..end).unwrap_or_default(), quoted: true });
                at = end;
            }
            _ => {
                let end = end_of_word(bytes, at)?;
                words.push(Word { text: text.get(at..end).unwrap_or_default(), quoted: false });
                at = end;
                continue;
            }
        }
        at += 1;
    }
    if depth > 0 { Err(Why::Unclosed("parenthesis")) } else { Ok(words) }
}

fn end_of(bytes: &[u8], from: usize, stop: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().position(|&byte| stop(byte)).map_or(bytes.len(), |length| from + length)
}

/// Where the quote that was opened closes: on the same line.
fn end_of_quote(bytes: &[u8], from: usize) -> Result<usize, Why> {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\n' | b'\r' => break,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err(Why::Unclosed("quote"))
}

fn end_of_word(bytes: &[u8], from: usize) -> Result<usize, Why> {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b')' | b';' => break,
            byte if byte.is_ascii_whitespace() => break,
            // As in alpn="h2,h3".
            b'"' => at = end_of_quote(bytes, at + 1)? + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Ok(at.min(bytes.len()))
}

/// The type of a record and its data, behind its owner: TTL and class may stand before the type in any order.
pub(super) fn type_and_data<'a, 'b>(words: &'b [Word<'a>]) -> Result<(u16, &'b [Word<'a>]), Why> {
    let (mut ttl, mut class) = (false, false);
    let mut rest = words;
    while let [word, behind @ ..] = rest {
        if !class && let Some(other) = class_of(word.text) {
            if !other.eq_ignore_ascii_case("IN") {
                return Err(Why::Class(other.to_owned()));
            }
            class = true;
        } else if !ttl && is_ttl(word.text) {
            ttl = true;
        } else {
            let rtype = type_of(word.text).ok_or_else(|| Why::RecordType(word.text.to_owned()))?;
            return if behind.is_empty() { Err(Why::NoRecord) } else { Ok((rtype, behind)) };
        }
        rest = behind;
    }
    Err(Why::NoRecord)
}

fn class_of(word: &str) -> Option<&str> {
    ["IN", "CH", "HS", "CS"].into_iter().find(|class| class.eq_ignore_ascii_case(word)).map(|_| word)
}

/// Seconds, or BIND's `1h30m`.
fn is_ttl(word: &str) -> bool {
    let unit = |byte: &u8| matches!(byte.to_ascii_lowercase(), b's' | b'm' | b'h' | b'd' | b'w');
    word.starts_with(|first: char| first.is_ascii_digit())
        && word.bytes().all(|byte| byte.is_ascii_digit() || unit(&byte))
}

/// Bytes of a text with `\DDD` and `\X`.
pub(super) fn octets(text: &str) -> Result<Vec<u8>, Why> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        octets.push(if byte == b'\\' { escaped(&mut rest)? } else { byte });
    }
    Ok(octets)
}

fn escaped(rest: &mut std::str::Bytes) -> Result<u8, Why> {
    let bad = Why::Name(NameError::Escape);
    let first = rest.next().ok_or(bad.clone())?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = rest.next().filter(u8::is_ascii_digit).ok_or(bad.clone())?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| bad)
}

/// A name as it stands, and whether it ended in a dot.
pub(super) fn name(text: &str) -> Result<(Name, bool), Why> {
    if let Some(name) = Name::parse_plain(text) {
        return Ok((name?, text.ends_with('.')));
    }
    if !text.contains('\\') {
        return Ok((Name::parse(text)?, text.ends_with('.')));
    }
    let mut labels = Vec::new();
    let mut label = Vec::new();
    let mut rest = text.bytes();
    let mut absolute = false;
    while let Some(byte) = rest.next() {
        absolute = byte == b'.';
        match byte {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => label.push(escaped(&mut rest)?),
            _ => label.push(byte),
        }
    }
    if !absolute {
        labels.push(label);
    }
    Ok((Name::from_labels(labels.iter().map(Vec::as_slice))?, absolute))
}

/// A name below another.
pub(super) fn below(name: &Name, parent: &Name) -> Result<Name, Why> {
    if name.is_root() || parent.is_root() {
        return Ok(if name.is_root() { parent.clone() } else { name.clone() });
    }
    Ok(Name::parse(&format!("{}.{}", name.as_str(), parent.as_str()))?)
}
