//! Tunnels by their behaviour: how many unlike names one client asks for below one registrable domain in a
//! minute. Data that leaves by DNS leaves in names, so it needs many, whatever they look like.
//!
//! Memory is fixed: a table of 8-way sets, each slot a linear counter of 256 bits (Whang, 1990). A full set
//! gives up the slot that was quiet for longest. The surprise: a slot's minute starts with its first name, not
//! with the clock's, so a burst is never split by a minute's end.

use std::net::IpAddr;

use crate::hash::keyed;
use crate::name::Name;

/// Slots of a sketch made by [`TunnelSketch::new`].
pub const SLOTS: usize = 4096;
/// The most distinct names that a slot can tell from more.
pub const MAX_COUNT: u32 = 1421;

const WAYS: usize = 8;
const WINDOW_MS: u64 = 60_000;
const WORDS: usize = 4;
const BITS: u32 = WORDS as u32 * u64::BITS;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// 0 for an empty slot.
    key: u64,
    start_ms: u64,
    last_ms: u64,
    bits: [u64; WORDS],
}

impl Slot {
    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.start_ms) >= WINDOW_MS
    }

    /// Linear counting: what number of names leaves this share of bits unset.
    fn estimate(&self) -> u32 {
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        match BITS - set {
            0 => MAX_COUNT,
            unset => (f64::from(BITS) * (f64::from(BITS) / f64::from(unset)).ln()).round() as u32,
        }
    }
}

/// Counts distinct names for each client and registrable domain.
pub struct TunnelSketch {
    secret: u64,
    sets: Vec<[Slot; WAYS]>,
}

impl TunnelSketch {
    /// A sketch of [`SLOTS`] slots. The secret keeps clients from choosing whom they share a set with.
    pub fn new(secret: u64) -> Self {
        Self::with_slots(secret, SLOTS)
    }

    /// A sketch of at least that many slots.
    pub fn with_slots(secret: u64, slots: usize) -> Self {
        Self { secret, sets: vec![[Slot::default(); WAYS]; slots.div_ceil(WAYS).max(1)] }
    }

    /// Memory that it holds, bytes: the same from the first name to the last.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(self.sets.as_slice())
    }

    /// Writes down that `client` asked for `name` and says for how many distinct names below `registrable` it
    /// asked in the running minute: exact to about 5 % at 200, at most [`MAX_COUNT`].
    pub fn observe(&mut self, client: IpAddr, registrable: &str, name: &Name, now_ms: u64) -> u32 {
        let octets = match client {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let key = keyed(self.secret, &[&octets, registrable.as_bytes()]).max(1);
        let bit = keyed(self.secret, &[name.as_str().as_bytes()]) % u64::from(BITS);
        let set = (key >> 32) as usize % self.sets.len();
        let Some(slots) = self.sets.get_mut(set) else {
            return 0;
        };
        let held = slots.iter().position(|slot| slot.key == key && !slot.is_over(now_ms));
        let chosen = held.or_else(|| {
            // An ended minute first, then the slot that was quiet for longest.
            let rank = |slot: &Slot| (slot.key != 0 && !slot.is_over(now_ms), slot.last_ms);
            let own = slots.iter().position(|slot| slot.key == key);
            own.or_else(|| (0..WAYS).min_by_key(|&way| slots.get(way).map(rank)))
        });
        let Some(slot) = chosen.and_then(|way| slots.get_mut(way)) else {
            return 0;
        };
        if held.is_none() {
            *slot = Slot { key, start_ms: now_ms, ..Slot::default() };
        }
        slot.last_ms = now_ms;
        if let Some(word) = slot.bits.get_mut((bit / 64) as usize) {
            *word |= 1 << (bit % 64);
        }
        slot.estimate()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn client(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(number))
    }

    fn name(label: impl std::fmt::Display) -> Name {
        Name::parse(&format!("{label}.t.example.com")).unwrap()
    }

    #[test]
    fn count_follows_the_exact_number_of_distinct_names() {
        let (mut worst, mut squares, mut counted) = (0f64, 0f64, 0);
        for secret in 0..50u64 {
            let mut sketch = TunnelSketch::new(secret);
            let mut exact = HashSet::new();
            for step in 0..1200u32 {
                let label = step * 7 % 401;
                exact.insert(label);
                let counted_now = sketch.observe(CLIENT, "example.com", &name(label), u64::from(step));
                let error = (f64::from(counted_now) - exact.len() as f64) / (exact.len() as f64).max(50.0);
                worst = worst.max(error.abs());
                squares += error * error;
                counted += 1;
            }
        }
        let deviation = (squares / f64::from(counted)).sqrt();
        assert!(worst < 0.35 && deviation < 0.08, "worst {worst:.3}, deviation {deviation:.3}");
    }

    #[test]
    fn one_name_asked_again_and_again_counts_once() {
        let mut sketch = TunnelSketch::new(1);
        for now_ms in 0..5000 {
            assert_eq!(sketch.observe(CLIENT, "example.com", &name("same"), now_ms), 1);
        }
    }

    #[test]
    fn clients_and_registrable_domains_are_counted_apart() {
        let mut sketch = TunnelSketch::new(1);
        for step in 0..100u32 {
            sketch.observe(CLIENT, "example.com", &name(step), 0);
        }
        assert_eq!(sketch.observe(client(9), "example.com", &name(1), 0), 1);
        assert_eq!(sketch.observe(CLIENT, "example.org", &name(1), 0), 1);
        let again = sketch.observe(CLIENT, "example.com", &name(1), 0);
        assert!((85..=115).contains(&again), "{again}");
    }

    #[test]
    fn a_minute_after_the_first_name_the_count_starts_again() {
        let mut sketch = TunnelSketch::new(1);
        for step in 0..100u32 {
            sketch.observe(CLIENT, "example.com", &name(step), 30_000);
        }
        assert!(sketch.observe(CLIENT, "example.com", &name("late"), 89_999) > 80);
        assert_eq!(sketch.observe(CLIENT, "example.com", &name("next"), 90_000), 1);
        assert_eq!(
            sketch.observe(CLIENT, "example.com", &name("next"), 0),
            1,
            "a clock set back starts again"
        );
    }

    #[test]
    fn memory_stays_the_same_and_the_busy_slot_survives_a_flood_of_clients() {
        let mut sketch = TunnelSketch::new(7);
        let before = sketch.memory_bytes();
        assert!(before <= 256 * 1024, "{before} bytes");
        let mut last = 0;
        for step in 0..20_000u32 {
            if step % 40 == 0 {
                last = sketch.observe(CLIENT, "example.com", &name(step), u64::from(step));
            }
            sketch.observe(client(step), "flood.example", &name(step), u64::from(step));
        }
        assert!((380..=640).contains(&last), "{last} of 500 distinct names");
        assert_eq!(sketch.memory_bytes(), before);
    }

    #[test]
    fn estimate_never_falls_on_a_rounding_edge_and_grows_with_the_bits() {
        let mut slot = Slot::default();
        let mut before = 0;
        for bit in 0..BITS {
            slot.bits[(bit / 64) as usize] |= 1 << (bit % 64);
            let unset = BITS - bit - 1;
            if unset > 0 {
                let exact = f64::from(BITS) * (f64::from(BITS) / f64::from(unset)).ln();
                assert!((exact.fract() - 0.5).abs() > 1e-6, "a platform's logarithm could decide {exact}");
            }
            assert!(slot.estimate() > before);
            before = slot.estimate();
        }
        assert_eq!(before, MAX_COUNT);
    }
}
