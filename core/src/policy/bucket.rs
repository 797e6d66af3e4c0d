//! Token buckets in fixed memory.
//!
//! A key that the table does not hold has a full bucket; that is why a full set gives up the bucket that is
//! nearest to full: it loses least, and who has just been refused stays refused.

const WAYS: usize = 4;
/// One token in the unit that is counted: a rate of 1/s adds one unit a millisecond.
const TOKEN: u64 = 1000;

#[derive(Clone, Copy, Default)]
struct Bucket {
    key: u64,
    used: bool,
    /// In thousandths of a token, at `at_ms`.
    level: u64,
    at_ms: u64,
}

/// A bounded table of token buckets with one rate and one burst.
pub struct TokenBuckets {
    rate_per_s: u64,
    burst: u64,
    sets: Vec<[Bucket; WAYS]>,
}

impl TokenBuckets {
    /// Buckets that gain `rate_per_s` tokens a second and hold at most `burst`. At least `buckets` of them are
    /// kept, 32 bytes each. A burst of 0 refuses everything.
    pub fn new(rate_per_s: u32, burst: u32, buckets: usize) -> Self {
        let sets = vec![[Bucket::default(); WAYS]; buckets.div_ceil(WAYS).max(1)];
        Self { rate_per_s: rate_per_s.into(), burst: u64::from(burst) * TOKEN, sets }
    }

    /// Memory that the table holds, bytes: the same from the first key to the last.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(self.sets.as_slice())
    }

    /// Takes a token from the bucket of `key` (a keyed hash, see [`crate::hash::keyed`]); `false` if there is
    /// none. A clock that was set back adds nothing.
    pub fn take(&mut self, key: u64, now_ms: u64) -> bool {
        let (rate, burst) = (self.rate_per_s, self.burst);
        let set = (key >> 32) as usize % self.sets.len();
        let Some(buckets) = self.sets.get_mut(set) else {
            return false;
        };
        let level_now = |bucket: &Bucket| match bucket.used {
            true => bucket
                .level
                .saturating_add(now_ms.saturating_sub(bucket.at_ms).saturating_mul(rate))
                .min(burst),
            false => burst,
        };
        let held = buckets.iter().position(|bucket| bucket.used && bucket.key == key);
        let fullest =
            || (0..WAYS).max_by_key(|&way| buckets.get(way).map(|bucket| (!bucket.used, level_now(bucket))));
        let Some(bucket) = held.or_else(fullest).and_then(|way| buckets.get_mut(way)) else {
            return false;
        };
        let level = if held.is_some() { level_now(bucket) } else { burst };
        let taken = level >= TOKEN;
        *bucket = Bucket { key, used: true, level: if taken { level - TOKEN } else { level }, at_ms: now_ms };
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::keyed;

    fn key(number: u32) -> u64 {
        keyed(1, &[&number.to_be_bytes()])
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let mut buckets = TokenBuckets::new(10, 5, 64);
        assert_eq!((0..8).filter(|_| buckets.take(key(1), 0)).count(), 5);
        assert!(!buckets.take(key(1), 99));
        assert!(buckets.take(key(1), 100));
        assert!(!buckets.take(key(1), 100));
        let passed = (0..100_000u64).filter(|&now_ms| buckets.take(key(1), 100 + now_ms)).count();
        assert_eq!(passed, 999, "100 s at 10/s");
    }

    #[test]
    fn an_idle_bucket_fills_to_its_burst_and_no_further() {
        let mut buckets = TokenBuckets::new(10, 5, 64);
        assert!(buckets.take(key(1), 0));
        assert_eq!((0..20).filter(|_| buckets.take(key(1), u64::MAX / 2)).count(), 5);
    }

    #[test]
    fn keys_are_apart() {
        let mut buckets = TokenBuckets::new(1, 1, 1024);
        for number in 0..200 {
            assert!(buckets.take(key(number), 0));
            assert!(!buckets.take(key(number), 0));
        }
    }

    #[test]
    fn a_flood_of_keys_does_not_free_who_was_refused() {
        let mut buckets = TokenBuckets::new(1, 3, 64);
        let before = buckets.memory_bytes();
        assert_eq!((0..9).filter(|_| buckets.take(key(0), 0)).count(), 3);
        for number in 1..100_000 {
            buckets.take(key(number), 0);
        }
        assert!(!buckets.take(key(0), 0));
        assert_eq!(buckets.memory_bytes(), before);
    }

    #[test]
    fn rate_0_never_fills_burst_0_refuses_and_a_clock_set_back_adds_nothing() {
        let mut never = TokenBuckets::new(0, 1, 1);
        assert!(never.take(1, 0));
        assert!(!never.take(1, u64::MAX));
        assert!(!TokenBuckets::new(5, 0, 1).take(1, 0));
        let mut back = TokenBuckets::new(1000, 1, 1);
        assert!(back.take(1, 5000));
        assert!(!back.take(1, 10));
    }
}
