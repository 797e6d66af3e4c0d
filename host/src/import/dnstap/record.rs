//! The parts of `dnstap.proto` that an event needs, decoded by prost, and the question of a DNS message.

use std::net::IpAddr;

use dnsvet_core::name::Name;
use prost::Message as _;

use super::super::{MOST_MS, RowError};

/// `Message.Type`: a client's query as the server received it.
pub(super) const CLIENT_QUERY: i32 = 5;
/// `Message.Type`: the response that the server sent.
pub(super) const CLIENT_RESPONSE: i32 = 6;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Dnstap {
    #[prost(message, optional, tag = "14")]
    pub(super) message: Option<Message>,
    #[prost(int32, required, tag = "15")]
    pub(super) kind: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(int32, required, tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub(super) query_address: Option<Vec<u8>>,
    #[prost(uint32, optional, tag = "6")]
    pub(super) query_port: Option<u32>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) query_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "9")]
    pub(super) query_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "10")]
    pub(super) query_message: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) response_time_sec: Option<u64>,
    #[prost(fixed32, optional, tag = "13")]
    pub(super) response_time_nsec: Option<u32>,
    #[prost(bytes = "vec", optional, tag = "14")]
    pub(super) response_message: Option<Vec<u8>>,
    #[prost(message, optional, tag = "15")]
    pub(super) policy: Option<Policy>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Policy {
    #[prost(string, optional, tag = "1")]
    pub(super) kind: Option<String>,
    /// A name in wire format.
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) rule: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "3")]
    pub(super) action: Option<i32>,
    #[prost(int32, optional, tag = "4")]
    pub(super) matched: Option<i32>,
}

/// `Policy.Action`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolicyAction {
    Nxdomain,
    Nodata,
    Pass,
    Drop,
    Truncate,
    LocalData,
}

/// `Policy.Match`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Qname,
    ClientIp,
    ResponseIp,
    NsName,
    NsIp,
}

impl Policy {
    pub(super) fn did(&self) -> Option<PolicyAction> {
        use PolicyAction::{Drop, LocalData, Nodata, Nxdomain, Pass, Truncate};
        at(&[Nxdomain, Nodata, Pass, Drop, Truncate, LocalData], self.action)
    }

    pub(super) fn looked_at(&self) -> Option<Match> {
        use Match::{ClientIp, NsIp, NsName, Qname, ResponseIp};
        at(&[Qname, ClientIp, ResponseIp, NsName, NsIp], self.matched)
    }
}

/// A member of an enumeration that counts from 1.
fn at<T: Copy>(all: &[T], number: Option<i32>) -> Option<T> {
    all.get(usize::try_from(number?.checked_sub(1)?).ok()?).copied()
}

impl Message {
    /// The message within a data frame.
    pub(super) fn decode(frame: &[u8]) -> Result<Self, RowError> {
        let dnstap = Dnstap::decode(frame).map_err(|_| RowError::Damaged("no dnstap record"))?;
        dnstap.message.ok_or(RowError::Damaged("a dnstap record without a message"))
    }

    /// Who asked.
    pub(super) fn client(&self) -> Result<IpAddr, RowError> {
        let bytes = self.query_address.as_deref().unwrap_or_default();
        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
        let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from));
        ip.map_err(|_| RowError::Damaged("a client's address that has neither 4 nor 16 bytes"))
    }

    /// When the query or the response passed, milliseconds since 1970; that of the other where it is not said.
    pub(super) fn time_ms(&self, response: bool) -> Result<u64, RowError> {
        let query = self.query_time_sec.map(|seconds| (seconds, self.query_time_nsec));
        let answer = self.response_time_sec.map(|seconds| (seconds, self.response_time_nsec));
        let said = if response { answer.or(query) } else { query.or(answer) };
        let (seconds, nanoseconds) = said.ok_or(RowError::Damaged("a message without a time"))?;
        let ms =
            seconds.saturating_mul(1_000).saturating_add(u64::from(nanoseconds.unwrap_or(0)) / 1_000_000);
        if ms < MOST_MS { Ok(ms) } else { Err(RowError::Time(format!("{seconds} s"))) }
    }
}

/// Name and type of a message's one question, of the Internet's class or any other.
pub(super) fn question(wire: &[u8]) -> Option<(Name, u16)> {
    let (header, rest) = wire.split_first_chunk::<12>()?;
    if header[4..6] != [0, 1] {
        return None;
    }
    let (name, rest) = labels(rest)?;
    let (qtype, rest) = rest.split_first_chunk()?;
    rest.first_chunk::<2>()?;
    Some((name, u16::from_be_bytes(*qtype)))
}

/// A name in wire format, without compression.
pub(super) fn name(wire: &[u8]) -> Option<Name> {
    labels(wire).map(|(name, _)| name)
}

fn labels(mut wire: &[u8]) -> Option<(Name, &[u8])> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = wire.split_first()?;
        let length = usize::from(*length);
        // A name has 127 labels at most; lengths from 64 on are pointers.
        if length > 63 || labels.len() > 127 {
            return None;
        }
        let (label, rest) = rest.split_at_checked(length)?;
        wire = rest;
        if label.is_empty() {
            return Some((Name::from_labels(labels).ok()?, wire));
        }
        labels.push(label);
    }
}
