//! Questions by `?name=&type=` and answers as `application/dns-json`, in the form that Google's and
//! Cloudflare's resolvers made common.

use dnsvet_core::name::Name;
use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Record, RecordType};
use serde_json::{Value, json};

/// The answers' media type.
pub const CONTENT_TYPE: &str = "application/dns-json";

/// The question that a query string asks, as a DNS message with EDNS.
///
/// # Errors
/// What is wrong with the parameters, in one line.
pub fn question<'a, K, V>(parameters: impl Iterator<Item = (K, V)>) -> Result<Vec<u8>, &'static str>
where
    K: AsRef<str> + 'a,
    V: AsRef<str> + 'a,
{
    let (mut name, mut qtype, mut cd, mut dnssec_ok) = (None, 1, false, false);
    for (key, value) in parameters {
        let value = value.as_ref();
        match key.as_ref() {
            "name" => name = Some(Name::parse(value).map_err(|_| "parameter name is no DNS name")?),
            "type" => qtype = record_type(value).ok_or("parameter type is no record type")?,
            "cd" => cd = flag(value),
            "do" => dnssec_ok = flag(value),
            // Others have meanings elsewhere (edns_client_subnet, ct, random_padding); none changes an answer here.
            _ => {}
        }
    }
    let name = name.ok_or("give ?dns= (RFC 8484) or ?name=&type=")?;
    let mut question = name.to_wire();
    question.extend_from_slice(&qtype.to_be_bytes());
    question.extend_from_slice(&[0, 1]);
    Ok(crate::upstream::message::question_for_upstream(0, &question, cd, dnssec_ok))
}

fn flag(value: &str) -> bool {
    matches!(value, "1" | "true" | "")
}

fn record_type(text: &str) -> Option<u16> {
    text.parse().ok().or_else(|| text.to_ascii_uppercase().parse::<RecordType>().ok().map(u16::from))
}

/// An answer message as JSON; `None` if it can't be decoded.
pub fn render(message: &[u8]) -> Option<String> {
    let message = Message::from_vec(message).ok()?;
    let questions: Vec<Value> = message
        .queries
        .iter()
        .map(|query| json!({ "name": query.name().to_ascii(), "type": u16::from(query.query_type()) }))
        .collect();
    let metadata = &message.metadata;
    let mut value = json!({
        "Status": u16::from(metadata.response_code),
        "TC": metadata.truncation,
        "RD": metadata.recursion_desired,
        "RA": metadata.recursion_available,
        "AD": metadata.authentic_data,
        "CD": metadata.checking_disabled,
        "Question": questions,
    });
    for (key, records) in [("Answer", &message.answers), ("Authority", &message.authorities)] {
        if !records.is_empty() {
            value[key] = records.iter().map(record).collect();
        }
    }
    if let Some((code, text)) = message.edns.as_ref().and_then(extended_error) {
        value["extended_dns_errors"] = json!([{ "info_code": code, "extra_text": text }]);
    }
    Some(value.to_string())
}

/// Why the answer is what it is (RFC 8914).
fn extended_error(edns: &Edns) -> Option<(u16, String)> {
    let EdnsOption::Unknown(_, data) = edns.option(EdnsCode::Unknown(15))? else { return None };
    let (code, text) = data.split_first_chunk()?;
    Some((u16::from_be_bytes(*code), String::from_utf8_lossy(text).into_owned()))
}

fn record(record: &Record) -> Value {
    json!({
        "name": record.name.to_ascii(),
        "type": u16::from(record.record_type()),
        "TTL": record.ttl,
        "data": record.data.to_string(),
    })
}
