//! Batches of events to the control plane: offered, and kept until they are stored or refused.

use super::Filter;
use crate::host::{Callout, Counter, Host, Level, Peer, Reply};
use crate::verdict::cache::lasts;

/// How long the longest pause between two offers of events is, milliseconds.
const MOST_EVENTS_PAUSE_MS: u64 = 5_000;
/// How long the control plane may take for a batch of events, milliseconds.
const EVENTS_TIMEOUT_MS: u32 = 5_000;

impl Filter {
    pub(super) fn send_events(&mut self, host: &mut dyn Host) {
        let waits = host.now_ms() < self.events_due_ms
            && lasts(self.events_due_ms, host.now_ms(), MOST_EVENTS_PAUSE_MS);
        if self.config.control_cluster.is_empty() || self.events_callout.is_some() || waits {
            return;
        }
        let Some(batch) = self.spool.batch() else { return };
        let callout = Callout {
            peer: Peer::Control,
            method: "POST",
            path: "/v1/events".into(),
            headers: vec![
                ("content-type".into(), "application/json".into()),
                ("authorization".into(), format!("Bearer {}", self.config.token)),
            ],
            body: serde_json::to_vec(&batch).unwrap_or_default(),
            timeout_ms: EVENTS_TIMEOUT_MS,
        };
        match host.callout(callout) {
            Ok(id) => self.events_callout = Some(id),
            Err(_) => self.events_not_stored(host, 0),
        }
    }

    /// The control plane is away, or can't take events now: they are offered again later, and later still if
    /// that fails too.
    fn events_not_stored(&mut self, host: &mut dyn Host, status: u16) {
        self.spool.retry();
        if self.events_failed == 0 {
            let said = format!("control plane takes no events (status {status}); they stay until it does");
            host.log(Level::Warn, &said);
        }
        let pause = (250u64 << self.events_failed.min(16)).min(MOST_EVENTS_PAUSE_MS);
        self.events_failed = self.events_failed.saturating_add(1);
        self.events_due_ms = host.now_ms() + pause;
    }

    pub(super) fn on_events_stored(&mut self, host: &mut dyn Host, reply: &Reply) {
        // It says that it can't take this batch, not that it can't take one now.
        if matches!(reply.status, 400 | 413 | 415 | 422) {
            let dropped = self.spool.refused();
            if dropped > 0 {
                host.count(Counter::EventsDropped, dropped);
                let said: String = String::from_utf8_lossy(&reply.body).chars().take(300).collect();
                host.log(Level::Error, &format!("control plane refused an event, it is dropped: {said}"));
            }
            return self.send_events(host);
        }
        if !(200..300).contains(&reply.status) {
            return self.events_not_stored(host, reply.status);
        }
        if std::mem::take(&mut self.events_failed) > 0 {
            host.log(Level::Info, "control plane takes events again");
        }
        let sent = self.spool.acknowledge();
        host.count(Counter::EventsSent, sent);
        self.send_events(host);
    }
}
