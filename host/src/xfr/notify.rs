//! NOTIFY to secondaries (RFC 1996): once for each new version, again until they answer.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::message::{Message, Question, Section, Writer, flags, opcode, types};
use super::publish::{Publisher, Version};
use super::rcode_name;
use super::server::Secondary;
use super::tsig::{Chain, Stamp, TsigError, now_s};

/// How long an answer is waited for, one try after the other: about two minutes in all.
const TRIES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
];
/// The longest answer, bytes.
const MOST_BYTES: usize = 4096;

/// Why a secondary did not take a NOTIFY.
#[derive(Debug, thiserror::Error)]
enum NotifyError {
    #[error("network: {0}")]
    Network(#[from] io::Error),
    #[error("it answers {}; allow NOTIFY from this address or key there", rcode_name(*.0))]
    Refused(u8),
    #[error(transparent)]
    Tsig(#[from] TsigError),
}

/// Tells a secondary of each version, the one that is there at the start too, until the publisher is gone.
pub(super) async fn keep_informed(secondary: Secondary, publisher: Publisher) {
    let mut versions = publisher.watch();
    // It must not hold the publisher that it waits for to go.
    drop(publisher);
    loop {
        let version = versions.borrow_and_update().clone();
        let newer = match version {
            None => versions.changed().await,
            Some(version) => {
                tokio::select! {
                    () = inform(&secondary, &version) => versions.changed().await,
                    newer = versions.changed() => newer,
                }
            }
        };
        if newer.is_err() {
            return;
        }
    }
}

async fn inform(secondary: &Secondary, version: &Version) {
    let (address, serial) = (secondary.address, version.zone.serial());
    for limit in TRIES {
        match timeout(limit, notify(secondary, version)).await {
            Ok(Ok(())) => return tracing::debug!(secondary = %address, %serial, "notified"),
            Ok(Err(NotifyError::Network(error))) => {
                tracing::debug!(secondary = %address, %serial, %error, "not notified yet");
                // An ICMP error comes at once; the next try should not.
                tokio::time::sleep(limit).await;
            }
            Ok(Err(error)) => {
                return tracing::warn!(secondary = %address, %serial, %error, "secondary took no notice");
            }
            Err(_) => tracing::debug!(secondary = %address, %serial, "no answer to NOTIFY yet"),
        }
    }
    tracing::warn!(secondary = %address, %serial, "secondary does not answer NOTIFY; it will refresh by itself");
}

/// Sends one NOTIFY and waits for the answer to it.
async fn notify(secondary: &Secondary, version: &Version) -> Result<(), NotifyError> {
    let local = match secondary.address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(local).await?;
    // Connected, the kernel drops what comes from elsewhere.
    socket.connect(secondary.address).await?;
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let id = u16::from_be_bytes(id);
    let question = Question::new(version.zone.apex(), types::SOA);
    let flags = u16::from(opcode::NOTIFY) << 11 | flags::AA;
    let mut writer = Writer::new(id, flags, Some(&question), MOST_BYTES);
    writer.push(Section::Answer, version.soa.view());
    let mut wire = writer.finish();
    let mut chain = secondary.key.as_ref().map(|key| {
        let mac = Chain::request(key).sign(&mut wire, &Stamp { time_s: now_s(), ..Stamp::default() });
        Chain::response(key, &mac)
    });
    socket.send(&wire).await?;
    let mut reply = vec![0; MOST_BYTES];
    loop {
        let length = socket.recv(&mut reply).await?;
        let wire = &reply[..length];
        let Ok(message) = Message::decode(wire) else { continue };
        if message.id != id || !message.is_response() || message.opcode() != opcode::NOTIFY {
            continue;
        }
        if let Some(chain) = &mut chain {
            match chain.check(wire, &message, now_s()) {
                // A refusal may come unsigned, from a secondary that does not know the key.
                Err(TsigError::Unsigned) if message.rcode() != 0 => {}
                checked => drop(checked?),
            }
        }
        return match message.rcode() {
            0 => Ok(()),
            rcode => Err(NotifyError::Refused(rcode)),
        };
    }
}
