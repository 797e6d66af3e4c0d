//! A circuit breaker: after several failures in a row nobody is asked for a while.

use crate::verdict::cache::lasts;

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it stays open, milliseconds; then one question tries again.
const OPEN_MS: u64 = 1_000;

/// Closed (asks), open (does not), or trying.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    open_until_ms: u64,
}

impl Breaker {
    /// Whether a callout may be made now. While it is open only one trial each second is let through.
    pub fn allows(&mut self, now_ms: u64) -> bool {
        if self.failures < FAILURES {
            return true;
        }
        if lasts(self.open_until_ms, now_ms, OPEN_MS) {
            return false;
        }
        self.open_until_ms = now_ms + OPEN_MS;
        true
    }

    /// A callout came back with a score.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// A callout failed.
    pub fn failed(&mut self, now_ms: u64) {
        self.failures = self.failures.saturating_add(1);
        if self.failures == FAILURES {
            self.open_until_ms = now_ms + OPEN_MS;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_tries_once_a_second() {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES {
            assert!(breaker.allows(10));
            breaker.failed(10);
        }
        assert!(!breaker.allows(11));
        assert!(breaker.allows(10 + OPEN_MS), "one trial");
        assert!(!breaker.allows(10 + OPEN_MS), "only one");
        breaker.succeeded();
        assert!(breaker.allows(10 + OPEN_MS));
    }
}
