//! Which upstream is asked first: the quickest that answers. One that fails three times in a row rests, at
//! first a second, then longer, up to half a minute; if all rest, they are asked all the same.

use std::time::{Duration, Instant};

/// Failures in a row after which an upstream rests.
const FAILURES_TO_REST: u32 = 3;
/// The first rest; each further one is twice as long.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// What an upstream that was never asked is taken to need: it gets its try soon.
const UNTRIED: Duration = Duration::from_millis(1);

struct State {
    smoothed: Duration,
    failures: u32,
    rests_until: Option<Instant>,
}

/// What a worker knows about its upstreams.
pub struct Health {
    states: Vec<State>,
}

impl Health {
    /// `count` upstreams that were never asked.
    pub fn new(count: usize) -> Self {
        let state = || State { smoothed: UNTRIED, failures: 0, rests_until: None };
        Self { states: (0..count).map(|_| state()).collect() }
    }

    /// All upstreams in the order to ask them. Those not asked first get a little better each time, so that
    /// a slow moment is not held against them for ever.
    pub fn order(&mut self, now: Instant) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.states.len()).collect();
        order.sort_by_key(|&i| (self.rests(i, now), self.states[i].smoothed));
        for &i in order.iter().skip(1) {
            self.states[i].smoothed = self.states[i].smoothed * 98 / 100;
        }
        order
    }

    /// Whether each of them rests.
    pub fn all_down(&self, now: Instant) -> bool {
        !self.states.is_empty() && (0..self.states.len()).all(|i| self.rests(i, now))
    }

    /// `index` answered.
    pub fn answered(&mut self, index: usize, took: Duration) {
        let state = &mut self.states[index];
        state.smoothed = (state.smoothed * 7 + took) / 8;
        state.failures = 0;
        state.rests_until = None;
    }

    /// `index` gave no answer.
    pub fn failed(&mut self, index: usize, now: Instant) {
        let state = &mut self.states[index];
        state.failures += 1;
        state.smoothed = (state.smoothed * 2).clamp(Duration::from_millis(50), Duration::from_secs(5));
        if let Some(excess) = state.failures.checked_sub(FAILURES_TO_REST) {
            let rest = FIRST_REST * 2u32.pow(excess.min(5));
            state.rests_until = Some(now + rest.min(LONGEST_REST));
        }
    }

    fn rests(&self, index: usize, now: Instant) -> bool {
        self.states[index].rests_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_is_asked_first_and_one_that_fails_rests_and_comes_back() {
        let (mut health, now) = (Health::new(2), Instant::now());
        for _ in 0..20 {
            health.answered(0, Duration::from_millis(20));
            health.answered(1, Duration::from_millis(5));
        }
        assert_eq!(health.order(now), [1, 0]);
        for _ in 0..3 {
            health.failed(1, now);
        }
        assert_eq!(health.order(now), [0, 1]);
        assert!(!health.all_down(now));
        for _ in 0..3 {
            health.failed(0, now);
        }
        assert!(health.all_down(now));
        assert!(!health.all_down(now + FIRST_REST));
    }

    #[test]
    fn rests_grow_to_half_a_minute_and_an_answer_ends_them() {
        let (mut health, now) = (Health::new(1), Instant::now());
        for _ in 0..50 {
            health.failed(0, now);
        }
        assert!(health.all_down(now + Duration::from_secs(29)));
        assert!(!health.all_down(now + LONGEST_REST));
        health.answered(0, Duration::from_millis(1));
        assert!(!health.all_down(now));
    }
}
