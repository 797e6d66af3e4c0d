//! The snapshot feed against a control plane, or something on the way to it, that answers anything.
//!
//! What is signed by nobody we know is never put in force, and once the true control plane answers again, what it
//! serves is.

use std::sync::LazyLock;

use bytes::Bytes;
use dnsvet_core::host::{Callout, Reply};
use dnsvet_core::snapshot::{Deltas, Feed, FeedConfig, FeedStep, Snapshot, etag_matches, serve_range};
use ed25519_dalek::SigningKey;

use crate::forge;
use crate::input::Input;
use crate::snapshots::look_around;

/// Replies of an input, at most.
const MOST_REPLIES: usize = 48;
/// Requests in which the feed is up to date, once all is well: polls and ranges.
const MOST_REQUESTS: usize = 24;
/// Longer than any pause of a feed, milliseconds.
const LONG_MS: u64 = 120_000;

/// What the control plane serves, one after another.
static SERVED: LazyLock<[(Bytes, Snapshot); 3]> = LazyLock::new(|| {
    [5, 6, 7].map(|serial| {
        let bytes = crate::fixtures::served(serial, Some(&key()));
        let snapshot = Snapshot::open(bytes.clone(), &[]).unwrap_or_else(|error| panic!("{error}"));
        (bytes, snapshot)
    })
});

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// The control plane.
struct Control {
    /// Which of [`SERVED`].
    at: usize,
    deltas: Deltas,
}

impl Control {
    fn serve(&mut self, at: usize) {
        self.at = at.max(self.at).min(SERVED.len() - 1);
        let (bytes, snapshot) = &SERVED[self.at];
        assert_eq!(self.deltas.serve(snapshot.id(), bytes), Ok(()));
    }

    fn reply(&mut self, callout: &Callout) -> Reply {
        let (bytes, snapshot) = &SERVED[self.at];
        let id = snapshot.id();
        let header =
            |name: &str| callout.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let etag = ("etag".to_owned(), format!("\"{id}\""));
        let mut reply = Reply { status: 200, headers: vec![etag], body: Vec::new() };
        if etag_matches(header("if-none-match"), id) {
            reply.status = 304;
        } else if let Some((_, serial)) = callout.path.split_once("from=") {
            match self.deltas.since(serial.parse().unwrap_or_default()) {
                Ok(delta) => reply.body = delta.to_vec(),
                Err(_) => reply.status = 404,
            }
        } else {
            match serve_range(bytes.len() as u64, header("range")) {
                Ok(Some(range)) => {
                    reply.status = 206;
                    let last = range.end - 1;
                    let field = format!("bytes {}-{last}/{}", range.start, bytes.len());
                    reply.headers.push(("content-range".into(), field));
                    reply.body = bytes[range.start as usize..range.end as usize].to_vec();
                }
                Ok(None) => reply.body = bytes.to_vec(),
                Err(_) => reply.status = 416,
            }
        }
        reply
    }
}

/// A script: a byte says what comes next, and with what fields and bytes.
pub(crate) fn feed(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let signed = how & 1 == 0;
    let keys = if signed { vec![key().verifying_key()] } else { Vec::new() };
    let config =
        FeedConfig { keys, jitter_seed: u64::from(how), most_bytes: 1 << 20, ..FeedConfig::default() };
    let held = (how & 2 == 0).then_some(&SERVED[0].1);
    let mut feed = Feed::new(config, held);
    let mut serial = held.map_or(0, Snapshot::serial);
    let mut control = Control { at: 0, deltas: Deltas::default() };
    control.serve(0);
    let mut now_ms = 1_000_000;
    for _ in 0..MOST_REPLIES {
        if input.is_empty() {
            break;
        }
        let next = input.byte();
        now_ms += [0, 1_000, 5_000, LONG_MS][usize::from(next >> 6)];
        if next & 0x20 != 0 {
            control.serve(control.at + 1);
        }
        let Some(callout) = feed.next_request(now_ms) else { continue };
        let reply = reply(next & 0x1f, &callout, &mut control, &mut input);
        let step = feed.on_reply(&reply, now_ms);
        take(&step, &mut serial, signed);
    }
    if !signed {
        return;
    }
    // Now all is well.
    control.serve(SERVED.len() - 1);
    let newest = SERVED[control.at].1.serial();
    for _ in 0..MOST_REQUESTS {
        if serial == newest {
            return;
        }
        now_ms += LONG_MS;
        let Some(callout) = feed.next_request(now_ms) else { continue };
        let step = feed.on_reply(&control.reply(&callout), now_ms);
        take(&step, &mut serial, signed);
    }
    panic!("serial {serial} is in force, though {newest} was served long enough");
}

/// What the feed says is in force is newer, can be asked, and was signed if it had to be.
fn take(step: &FeedStep, serial: &mut u64, signed: bool) {
    let snapshots = match step {
        FeedStep::Ready(snapshot) => std::slice::from_ref(snapshot),
        FeedStep::Swapped(snapshots) => snapshots,
        _ => return,
    };
    for snapshot in snapshots {
        if signed {
            let known = SERVED.iter().any(|(_, served)| served.id() == snapshot.id());
            assert!(known, "{} was never served", snapshot.id());
        }
    }
    if let [snapshot] = snapshots {
        assert!(snapshot.serial() > *serial, "{} after {serial}", snapshot.serial());
        *serial = snapshot.serial();
        look_around(snapshot);
    }
}

fn reply(what: u8, callout: &Callout, control: &mut Control, input: &mut Input) -> Reply {
    let mut reply = control.reply(callout);
    match what % 8 {
        0 => {}
        1 => reply = Reply::nothing(),
        2 => reply.status = [200, 206, 304, 404, 410, 416, 503, 0][usize::from(input.byte() % 8)],
        3 => reply.body.truncate(usize::from(input.u16())),
        4 => {
            let (at, flip) = (usize::from(input.u16()), input.byte());
            if let Some(byte) = reply.body.get_mut(at) {
                *byte ^= flip;
            }
        }
        5 => reply.body.extend(input.bytes()),
        6 => reply.body = forge::split(input.bytes()).encode(),
        _ => {
            reply.status = [200, 206, 304, 416][usize::from(input.byte() % 4)];
            reply.headers.clear();
            for name in ["etag", "content-range"] {
                let value = String::from_utf8_lossy(input.bytes()).into_owned();
                reply.headers.push((name.to_owned(), value));
            }
            reply.body = input.bytes().to_vec();
        }
    }
    reply
}
