//! Reading and writing wire bytes, in bounds.

use super::Header;
use crate::name::{Name, NameBuilder, NameError};

/// Why a message can't be decoded; offsets are bytes from the start of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends inside a field.
    #[error("message ends inside the {what} that starts at byte {at}")]
    Truncated {
        /// The field.
        what: &'static str,
        /// Where it starts.
        at: usize,
    },
    /// A compression pointer that does not point to an earlier name (RFC 1035 section 4.1.4).
    #[error("compression pointer at byte {at} does not point to an earlier name")]
    Pointer {
        /// Where it stands.
        at: usize,
    },
    /// A length byte that starts with `01` or `10`.
    #[error("label at byte {at} is of an unknown type")]
    LabelType {
        /// Where it stands.
        at: usize,
    },
    /// The labels make no name.
    #[error("name at byte {at}: {why}")]
    Name {
        /// Where it starts.
        at: usize,
        /// What is wrong with it.
        why: NameError,
    },
    /// A message has one question (RFC 9619); carries how many it says that it has.
    #[error("{0} questions; a message has exactly one")]
    Questions(u16),
    /// More than 65,535 bytes; carries how many.
    #[error("message of {0} bytes; a message has at most 65535")]
    Long(usize),
    /// A record whose data does not fit its type.
    #[error("data of the record of type {rtype} at byte {at} can't be decoded")]
    Data {
        /// The record's type.
        rtype: u16,
        /// Where its data starts.
        at: usize,
    },
    /// An OPT record that RFC 6891 forbids: a second one, an owner other than the root, a cut option.
    #[error("bad OPT record at byte {at}: {why}")]
    Opt {
        /// Where the record starts.
        at: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A response was expected (QR=1).
    #[error("a query stands where a response was expected")]
    NotResponse,
}

/// A place in a message.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    wire: &'a [u8],
    at: usize,
}

/// The fixed part of a record.
#[derive(Clone, Copy)]
pub(super) struct RecordHead {
    /// Where the record (its owner) starts.
    pub start: usize,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    /// Where the data starts.
    pub data_at: usize,
    /// Where the record ends.
    pub end: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(wire: &'a [u8], at: usize) -> Self {
        Self { wire, at }
    }

    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(super) fn take(&mut self, bytes: usize, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let rest = self.wire.get(self.at..).and_then(|rest| rest.get(..bytes));
        let taken = rest.ok_or(DecodeError::Truncated { what, at: self.at })?;
        self.at += bytes;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let chunk = self.wire.get(self.at..).and_then(|rest| rest.first_chunk::<N>());
        let array = *chunk.ok_or(DecodeError::Truncated { what, at: self.at })?;
        self.at += N;
        Ok(array)
    }

    #[inline]
    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.array(what).map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.array(what).map(u32::from_be_bytes)
    }

    /// Reads a name, compression pointers included, and stops behind it.
    #[inline]
    pub(super) fn name(&mut self) -> Result<Name, DecodeError> {
        let mut builder = NameBuilder::default();
        let start = self.at;
        self.walk_name(|label| builder.push(label).map_err(|why| DecodeError::Name { at: start, why }))?;
        Ok(builder.finish())
    }

    /// Stops behind a name; pointers are followed, so that what is skipped is a name.
    #[inline]
    pub(super) fn skip_name(&mut self) -> Result<(), DecodeError> {
        let start = self.at;
        let mut bytes = 1;
        self.walk_name(|label| {
            bytes += label.len() + 1;
            match bytes <= crate::name::MAX_WIRE_BYTES {
                true => Ok(()),
                false => Err(DecodeError::Name { at: start, why: NameError::LongName(bytes) }),
            }
        })
    }

    /// Each pointer leads before the run of labels that it ends and never into the header, so the walk ends.
    #[inline]
    fn walk_name(
        &mut self,
        mut on_label: impl FnMut(&'a [u8]) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut here = *self;
        let mut run_start = self.at;
        let mut behind = None;
        loop {
            let at = here.at;
            let [length] = here.array("name")?;
            match length {
                0 => break,
                1..=63 => on_label(here.take(usize::from(length), "label")?)?,
                0xc0.. => {
                    let [low] = here.array("compression pointer")?;
                    let target = usize::from(length & 0x3f) << 8 | usize::from(low);
                    if target >= run_start || target < Header::BYTES {
                        return Err(DecodeError::Pointer { at });
                    }
                    behind.get_or_insert(here.at);
                    run_start = target;
                    here.at = target;
                }
                _ => return Err(DecodeError::LabelType { at }),
            }
        }
        self.at = behind.unwrap_or(here.at);
        Ok(())
    }

    /// Reads type, class, TTL and length behind an owner that starts at `start`, and checks that the data
    /// lies in the message. Stops behind the record.
    #[inline]
    pub(super) fn record_body(&mut self, start: usize) -> Result<RecordHead, DecodeError> {
        let rtype = self.u16("record type")?;
        let class = self.u16("record class")?;
        let ttl = self.u32("TTL")?;
        let length = self.u16("record length")?;
        let data_at = self.at;
        self.take(usize::from(length), "record data")?;
        Ok(RecordHead { start, rtype, class, ttl, data_at, end: self.at })
    }

    /// A record whose owner does not matter.
    #[inline]
    pub(super) fn record(&mut self) -> Result<RecordHead, DecodeError> {
        let start = self.at;
        self.skip_name()?;
        self.record_body(start)
    }
}

/// EDNS options in the data of an OPT record: number and value. `None` where one is cut short.
pub(super) fn options(mut data: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        if data.is_empty() {
            return None;
        }
        let option = data.split_first_chunk::<4>().and_then(|([a, b, c, d], rest)| {
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*c, *d])))?;
            data = rest;
            Some((u16::from_be_bytes([*a, *b]), value))
        });
        if option.is_none() {
            data = &[];
        }
        Some(option)
    })
}

/// Appends a big-endian `u16`.
#[inline]
pub(crate) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// Appends a big-endian `u32`.
#[inline]
pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}
