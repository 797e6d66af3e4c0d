//! dnstap files: DNS messages that a server saw, in protobuf, framed by Frame Streams.
//!
//! After `dnstap.proto` of dnstap.info and the Frame Streams format of Farsight's `fstrm`. A question is one event: the query
//! of a client and the response to it are put together by address, port, DNS id and question. Messages between servers are
//! passed over.
//!
//! The surprise: a response decides an event and gives it its number, the frame's. Queries that no response follows are a
//! source of their own, because they are only known as such when the file ends, or 65,536 others wait.

mod frames;
mod record;
#[cfg(test)]
pub(super) mod tests;

use std::net::IpAddr;
use std::path::Path;

use dnsvet_core::event::Event;
use dnsvet_core::message::{decode_answer, rcode};
use dnsvet_core::name::Name;
use dnsvet_core::verdict::{Action, Reason};
use hashlink::LinkedHashMap;

use self::frames::{Frame, Frames};
use self::record::{Match, Message, Policy, PolicyAction, question};
use super::{Asked, Decision, ImportError, Intake, RowError, System, event, fingerprint, shown};

/// Queries that may wait for their response.
const WAITING: usize = 65_536;

/// Whose response a message is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    client: IpAddr,
    port: u32,
    id: [u8; 2],
    name: Name,
    qtype: u16,
}

/// What a frame says.
enum Said {
    Query(Key, Asked),
    Response(Key, Asked, Decision),
    /// Not between a client and the server.
    Elsewhere,
}

/// Reads a file. Its first message names the source, the frame the number.
pub(super) fn read(path: &Path, intake: &mut Intake) -> Result<(), ImportError> {
    let mut frames = Frames::open(path)?;
    let mut waiting: LinkedHashMap<Key, Asked> = LinkedHashMap::new();
    let mut source = String::new();
    while let Some(frame) = frames.frame() {
        let (number, bytes) = match frame {
            Frame::Data(number, bytes) => (number, bytes),
            Frame::Bad(number, why) => {
                intake.bad(path, format_args!("frame {number}"), &why);
                continue;
            }
        };
        if source.is_empty() {
            source = format!("import/dnstap/{}", fingerprint(bytes));
        }
        match parse(number, bytes) {
            Ok(Said::Query(key, asked)) => {
                if waiting.contains_key(&key) {
                    intake.pass_over("queries sent again", 1);
                    continue;
                }
                waiting.insert(key, asked);
                if waiting.len() > WAITING
                    && let Some((_, oldest)) = waiting.pop_front()
                {
                    intake.take(&unanswered(&source), no_response(oldest))?;
                }
            }
            Ok(Said::Response(key, asked, decision)) => {
                let asked = match waiting.remove(&key) {
                    Some(query) => Asked {
                        seq: number,
                        took_us: asked.time_ms.saturating_sub(query.time_ms).saturating_mul(1_000),
                        ..query
                    },
                    None => asked,
                };
                intake.take(&source, event(System::Dnstap, asked, decision))?;
            }
            Ok(Said::Elsewhere) => intake.pass_over("messages between servers", 1),
            Err(why) => intake.bad(path, format_args!("frame {number}"), &why),
        }
        intake.progress(frames.bytes());
    }
    let unanswered = unanswered(&source);
    waiting.into_iter().try_for_each(|(_, query)| intake.take(&unanswered, no_response(query)))
}

fn unanswered(source: &str) -> String {
    format!("{source}/unanswered")
}

fn no_response(query: Asked) -> Event {
    event(System::Dnstap, query, Decision::new(Action::Allow, None, "no response in the file"))
}

fn parse(seq: u64, bytes: &[u8]) -> Result<Said, RowError> {
    let message = Message::decode(bytes)?;
    let is_response = match message.kind {
        record::CLIENT_QUERY => false,
        record::CLIENT_RESPONSE => true,
        _ => return Ok(Said::Elsewhere),
    };
    let wire = if is_response { &message.response_message } else { &message.query_message };
    let wire = wire.as_deref().or(message.query_message.as_deref());
    let wire = wire.ok_or(RowError::Damaged("a client's message without its DNS message"))?;
    let (name, qtype) = question(wire).ok_or(RowError::Damaged("a DNS message without one question"))?;
    let client = message.client()?;
    let time_ms = message.time_ms(is_response)?;
    let id = wire.first_chunk().copied().unwrap_or_default();
    let key = Key { client, port: message.query_port.unwrap_or(0), id, name: name.clone(), qtype };
    let asked = Asked { seq, time_ms, client, name, qtype, took_us: 0 };
    if !is_response {
        return Ok(Said::Query(key, asked));
    }
    // Servers may write the time of the query into the response's record too.
    let asked = match message.time_ms(false) {
        Ok(began) if began <= time_ms => {
            Asked { time_ms: began, took_us: (time_ms - began).saturating_mul(1_000), ..asked }
        }
        _ => asked,
    };
    Ok(Said::Response(key, asked, decision(&message)))
}

fn decision(message: &Message) -> Decision {
    let answer = message.response_message.as_deref().and_then(|wire| decode_answer(wire).ok());
    let answered = answer.map(|answer| answer.rcode).map_or_else(
        || "no answer that can be decoded".to_owned(),
        |code| match code {
            0 => "answered NOERROR".into(),
            code if code == rcode::NXDOMAIN => "answered NXDOMAIN".into(),
            code if code == rcode::REFUSED => "answered REFUSED".into(),
            code if code == rcode::SERVFAIL => "answered SERVFAIL".into(),
            code => format!("answered with code {code}"),
        },
    );
    let Some(policy) = &message.policy else { return Decision::new(Action::Allow, None, answered) };
    let (action, did) = match policy.did() {
        Some(PolicyAction::Nxdomain) => (Action::Nxdomain, "NXDOMAIN"),
        Some(PolicyAction::Nodata) => (Action::Nodata, "NODATA"),
        Some(PolicyAction::Drop) => (Action::Drop, "drop"),
        Some(PolicyAction::LocalData) => (Action::Custom, "local data"),
        Some(PolicyAction::Truncate) => (Action::Allow, "truncate"),
        Some(PolicyAction::Pass) => (Action::Allow, "pass"),
        None => (Action::Allow, "no action"),
    };
    let reason = match policy.looked_at() {
        Some(Match::ResponseIp | Match::NsName | Match::NsIp) => Reason::Response,
        _ if action == Action::Allow => Reason::Allowlist,
        _ => Reason::List,
    };
    let rule = rule(policy);
    Decision { rule, ..Decision::new(action, reason, format!("policy {did}, {answered}")) }
}

/// The rule's owner name, else the kind of policy.
fn rule(policy: &Policy) -> Option<String> {
    let labels = policy.rule.as_deref().and_then(record::name);
    let named = labels.map(|name| name.as_str().to_owned()).filter(|name| !name.is_empty());
    named.or_else(|| policy.kind.as_deref().map(shown))
}
