//! Names: absolute, lower-case, in A-label (punycode) form.
//!
//! A [`Name`] can't be wrong: labels are 1 to 63 bytes, 255 bytes on the wire at most (RFC 1035 section 2.3.4).
//! Its surprise: the text has one dot for each label boundary and for nothing else. A byte that is not
//! a letter, digit, hyphen or underscore is written `\DDD` (RFC 1035 section 5.1), so a dot inside a label
//! is `\046` and text can be split at dots safely.

use std::fmt;

/// The longest name on the wire, bytes, root label included (RFC 1035 section 2.3.4).
pub const MAX_WIRE_BYTES: usize = 255;
/// The longest label, bytes (RFC 1035 section 2.3.4).
pub const MAX_LABEL_BYTES: usize = 63;
/// No text of a name is longer, bytes: each byte on the wire takes at most four, escaped or as UTF-8.
pub const MAX_TEXT_BYTES: usize = 4 * MAX_WIRE_BYTES;

/// Why a text or a wire form is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot at the start.
    #[error("empty label")]
    EmptyLabel,
    /// A label is longer than 63 bytes; carries its length.
    #[error("label of {0} bytes; a label has at most 63")]
    LongLabel(usize),
    /// The name is longer than 255 bytes on the wire; carries its length.
    #[error("name of {0} bytes on the wire; a name has at most 255")]
    LongName(usize),
    /// An international name that IDNA (UTS #46) refuses.
    #[error("not a valid international name (UTS #46)")]
    Idna,
    /// A `\` that is not followed by three digits up to 255.
    #[error("bad escape; write \\DDD with three digits up to 255")]
    Escape,
    /// A character that no name has in text, such as a space or a slash.
    #[error("character {0:?} can't stand in a name")]
    Character(char),
}

/// An absolute DNS name, lower case. The root is the empty text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Name {
    text: String,
}

impl Name {
    /// The root name.
    pub fn root() -> Self {
        Self::default()
    }

    /// Parses text as people and lists write it: any case, a trailing dot or none, U-labels or A-labels.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(NameError::LongName(text.len()));
        }
        if text.is_ascii() {
            return Self::parse_ascii(text);
        }
        // UTS #46 maps other scripts' full stops to dots, so the trailing one may appear only now.
        let ascii = idna::domain_to_ascii(text).map_err(|_| NameError::Idna)?;
        Self::parse_ascii(&ascii)
    }

    /// Parses text of letters, digits, `-`, `_` and dots, as nearly all names are, in one pass; `None` for other
    /// text.
    pub(crate) fn parse_plain(text: &str) -> Option<Result<Self, NameError>> {
        if !is_plain(text) {
            return None;
        }
        let bare = text.strip_suffix('.').unwrap_or(text);
        let mut start = 0;
        let mut fits = bare.len() + 2 <= MAX_WIRE_BYTES;
        for (at, _) in bare.bytes().enumerate().filter(|&(_, byte)| byte == b'.') {
            fits &= (1..=MAX_LABEL_BYTES).contains(&(at - start));
            start = at + 1;
        }
        fits &= (1..=MAX_LABEL_BYTES).contains(&(bare.len() - start));
        if fits {
            return Some(Ok(Self { text: bare.to_ascii_lowercase() }));
        }
        // The root, or a name that is none: told which by the slower way.
        Some(if bare.is_empty() {
            Ok(Self::root())
        } else {
            Self::from_labels(bare.split('.').map(str::as_bytes))
        })
    }

    fn parse_ascii(text: &str) -> Result<Self, NameError> {
        if let Some(name) = Self::parse_plain(text) {
            return name;
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut builder = NameBuilder::default();
        for label in text.split('.') {
            let mut bytes = Vec::with_capacity(label.len());
            let mut rest = label.bytes();
            while let Some(byte) = rest.next() {
                if byte != b'\\' {
                    if byte <= b' ' || matches!(byte, b'/' | b':' | b'@' | b'?' | b'#' | b',' | 0x7f) {
                        return Err(NameError::Character(char::from(byte)));
                    }
                    bytes.push(byte);
                    continue;
                }
                let mut value = 0u16;
                for _ in 0..3 {
                    let digit = rest.next().filter(u8::is_ascii_digit).ok_or(NameError::Escape)?;
                    value = value * 10 + u16::from(digit - b'0');
                }
                bytes.push(u8::try_from(value).map_err(|_| NameError::Escape)?);
            }
            builder.push(&bytes)?;
        }
        Ok(builder.finish())
    }

    /// Builds a name from wire labels (without the root label), lower-casing ASCII.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, NameError> {
        let mut builder = NameBuilder::default();
        for label in labels {
            builder.push(label)?;
        }
        Ok(builder.finish())
    }

    /// The text, without a trailing dot; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.text.is_empty()
    }

    /// The labels as text, left to right.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.text.split('.').filter(|label| !label.is_empty())
    }

    /// How many labels the name has; 0 for the root.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// The name itself, then each parent, down to the top-level label: `a.b.c`, `b.c`, `c`.
    pub fn suffixes(&self) -> impl Iterator<Item = &str> {
        let first = (!self.text.is_empty()).then_some(self.text.as_str());
        std::iter::successors(first, |text| text.split_once('.').map(|(_, parent)| parent))
    }

    /// Whether `self` is `parent` or lies below it. Everything lies below the root. `parent` is text as
    /// [`Self::as_str`] gives it; a dot in it is always a boundary of labels, never part of one.
    pub fn is_within(&self, parent: &str) -> bool {
        parent.is_empty()
            || self.text.strip_suffix(parent).is_some_and(|head| head.is_empty() || head.ends_with('.'))
    }

    /// The registrable domain: one label under the public suffix, the list's private section included.
    /// `None` for the root and for a name that is itself a public suffix. A suffix that the list does not know
    /// is one label (the list's rule `*`).
    pub fn registrable_domain(&self) -> Option<&str> {
        psl::domain_str(&self.text)
    }

    /// The wire form, root label included (RFC 1035 section 3.1).
    pub fn to_wire(&self) -> Vec<u8> {
        let mut wire = Vec::with_capacity(self.text.len() + 2);
        for label in self.labels() {
            let start = wire.len();
            wire.push(0);
            let mut rest = label.bytes();
            while let Some(byte) = rest.next() {
                if byte == b'\\' {
                    let value =
                        rest.by_ref().take(3).fold(0u16, |v, d| v * 10 + u16::from(d.wrapping_sub(b'0')));
                    wire.push(value as u8);
                } else {
                    wire.push(byte);
                }
            }
            let length = wire.len() - start - 1;
            if let Some(slot) = wire.get_mut(start) {
                *slot = length as u8;
            }
        }
        wire.push(0);
        wire
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.text })
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

/// Whether text has only letters, digits, `-`, `_` and dots.
fn is_plain(text: &str) -> bool {
    // All bytes at once, which takes no branch for each of them.
    text.bytes().fold(true, |plain, byte| {
        plain & (byte.is_ascii_alphanumeric() | (byte == b'-') | (byte == b'_') | (byte == b'.'))
    })
}

/// What a byte of a label becomes in text: itself, its lower case, or 0 where it must be escaped.
#[inline]
fn text_of(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => byte,
        b'A'..=b'Z' => byte | 0x20,
        _ => 0,
    }
}

/// Collects labels from left to right, held to the limits of a name.
pub(crate) struct NameBuilder {
    text: Vec<u8>,
    wire_bytes: usize,
}

impl Default for NameBuilder {
    fn default() -> Self {
        Self { text: Vec::with_capacity(48), wire_bytes: 1 }
    }
}

impl NameBuilder {
    #[inline]
    pub(crate) fn push(&mut self, label: &[u8]) -> Result<(), NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL_BYTES {
            return Err(NameError::LongLabel(label.len()));
        }
        self.wire_bytes += label.len() + 1;
        if self.wire_bytes > MAX_WIRE_BYTES {
            return Err(NameError::LongName(self.wire_bytes));
        }
        if !self.text.is_empty() {
            self.text.push(b'.');
        }
        let start = self.text.len();
        self.text.extend(label.iter().map(|&byte| text_of(byte)));
        let plain = self.text.get(start..).is_some_and(|text| !text.contains(&0));
        if !plain {
            self.text.truncate(start);
            self.push_escaped(label);
        }
        Ok(())
    }

    #[cold]
    fn push_escaped(&mut self, label: &[u8]) {
        for &byte in label {
            if text_of(byte) == 0 {
                self.text.push(b'\\');
                self.text.extend([byte / 100, byte / 10 % 10, byte % 10].map(|digit| b'0' + digit));
            } else {
                self.text.push(text_of(byte));
            }
        }
    }

    #[inline]
    pub(crate) fn finish(self) -> Name {
        // Every byte pushed is ASCII, so the fallback never runs.
        Name { text: String::from_utf8(self.text).unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests;
