//! Tunnels and floods by their behaviour: how many unlike names are asked for below one registrable domain in a
//! minute, and how many bytes they could have carried.
//!
//! ```text
//!            ┌─> counters by client and registrable domain ─> names, bytes ─> tunnel
//! a name ────┤
//!            └─> counters by registrable domain ────────────> names of all clients ─> flood
//! ```
//!
//! Data that leaves by DNS leaves in names, so it needs many, or long ones, whatever they look like; and a flood of
//! random labels comes from many clients, each of which asks little. Memory is fixed: tables of 8-way sets, each slot
//! a linear counter (Whang, 1990). A full set gives up the slot that was quiet for longest. The surprise: a slot's
//! minute starts with its first name, not with the clock's, so a burst is never split by a minute's end.

use std::net::IpAddr;

use super::shape::carried_bytes;
use crate::hash::keyed;
use crate::name::Name;

/// Slots for clients of a sketch made by [`TunnelSketch::new`].
pub const SLOTS: usize = 4096;
/// The most distinct names of one client that a slot can tell from more.
pub const MAX_COUNT: u32 = 1421;
/// Distinct names under one registrable domain from all clients in a minute that make a flood.
pub const FLOOD_NAMES_PER_MINUTE: u32 = 1000;

const WAYS: usize = 8;
const WINDOW_MS: u64 = 60_000;
/// Slots for clients for each one for everybody.
const SHARE: usize = 8;
/// Words of a counter: of one client, and of everybody.
const CLIENT_WORDS: usize = 4;
const EVERYBODY_WORDS: usize = 16;

/// What was asked for below a registrable domain in the running minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Distinct names that the client asked for: exact to about 5 % at 200, at most [`MAX_COUNT`].
    pub names: u32,
    /// Bytes that these could have carried before the registrable domain.
    pub bytes: u32,
    /// Distinct names that all clients asked for: exact to about 5 % at 1,000.
    pub everybodys: u32,
}

/// Counts distinct names, and what they could carry, for each client and registrable domain and for each registrable
/// domain alone.
pub struct TunnelSketch {
    secret: u64,
    clients: Table<CLIENT_WORDS>,
    everybody: Table<EVERYBODY_WORDS>,
}

impl TunnelSketch {
    /// A sketch of [`SLOTS`] slots. The secret keeps clients from choosing whom they share a set with.
    pub fn new(secret: u64) -> Self {
        Self::with_slots(secret, SLOTS)
    }

    /// A sketch of at least that many slots for clients.
    pub fn with_slots(secret: u64, slots: usize) -> Self {
        Self { secret, clients: Table::new(slots), everybody: Table::new(slots.div_ceil(SHARE)) }
    }

    /// Memory that it holds, bytes: the same from the first name to the last.
    pub fn memory_bytes(&self) -> usize {
        self.clients.memory_bytes() + self.everybody.memory_bytes()
    }

    /// Writes down that `client` asked for `name`, and says what was asked for below `registrable` in the running
    /// minute.
    pub fn observe(&mut self, client: IpAddr, registrable: &str, name: &Name, now_ms: u64) -> Seen {
        let octets = match client {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let hash = keyed(self.secret, &[name.as_str().as_bytes()]);
        let bytes = || carried_bytes(name, registrable);
        let own = keyed(self.secret, &[&octets, registrable.as_bytes()]);
        let (names, bytes) = self.clients.observe(own, hash, bytes, now_ms);
        let all = keyed(self.secret, &[registrable.as_bytes()]);
        let (everybodys, _) = self.everybody.observe(all, hash, || 0, now_ms);
        Seen { names, bytes, everybodys }
    }
}

/// A linear counter of `64 * WORDS` bits, with its key and its minute.
#[derive(Clone, Copy)]
struct Slot<const WORDS: usize> {
    /// 0 for an empty slot.
    key: u64,
    start_ms: u64,
    last_ms: u64,
    /// What the names that set a bit could carry.
    bytes: u32,
    bits: [u64; WORDS],
}

impl<const WORDS: usize> Slot<WORDS> {
    const EMPTY: Self = Self { key: 0, start_ms: 0, last_ms: 0, bytes: 0, bits: [0; WORDS] };
    const BITS: u32 = WORDS as u32 * u64::BITS;

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms.abs_diff(self.start_ms) >= WINDOW_MS
    }

    /// Sets the bit of a name; whether it was not set before.
    fn set(&mut self, hash: u64) -> bool {
        let bit = hash % u64::from(Self::BITS);
        let Some(word) = self.bits.get_mut((bit / 64) as usize) else { return false };
        let before = *word;
        *word |= 1 << (bit % 64);
        *word != before
    }

    fn bits_set(&self) -> u32 {
        self.bits.iter().map(|word| word.count_ones()).sum()
    }

    /// Linear counting: what number of names leaves this share of bits unset.
    fn names(&self) -> u32 {
        // A full counter counts one more than one with a single bit unset: how many more, it can't say.
        let bits = f64::from(Self::BITS);
        match Self::BITS - self.bits_set() {
            0 => (bits * bits.ln()).round() as u32 + 1,
            unset => (bits * (bits / f64::from(unset)).ln()).round() as u32,
        }
    }

    /// What all names could carry: those that found their bit set carry what the others do.
    fn all_bytes(&self) -> u32 {
        let set = u64::from(self.bits_set().max(1));
        u32::try_from(u64::from(self.bytes) * u64::from(self.names()) / set).unwrap_or(u32::MAX)
    }
}

/// Slots in sets.
struct Table<const WORDS: usize> {
    sets: Vec<[Slot<WORDS>; WAYS]>,
}

impl<const WORDS: usize> Table<WORDS> {
    fn new(slots: usize) -> Self {
        Self { sets: vec![[Slot::EMPTY; WAYS]; slots.div_ceil(WAYS).max(1)] }
    }

    fn memory_bytes(&self) -> usize {
        size_of_val(self.sets.as_slice())
    }

    /// Writes a name down in the slot of `key`; names and bytes in its minute.
    fn observe(&mut self, key: u64, name: u64, bytes: impl FnOnce() -> u32, now_ms: u64) -> (u32, u32) {
        let key = key.max(1);
        let set = (key >> 32) as usize % self.sets.len();
        let Some(slots) = self.sets.get_mut(set) else {
            return (0, 0);
        };
        let held = slots.iter().position(|slot| slot.key == key && !slot.is_over(now_ms));
        let chosen = held.or_else(|| {
            // An ended minute first, then the slot that was quiet for longest.
            let rank = |slot: &Slot<WORDS>| (slot.key != 0 && !slot.is_over(now_ms), slot.last_ms);
            let own = slots.iter().position(|slot| slot.key == key);
            own.or_else(|| (0..WAYS).min_by_key(|&way| slots.get(way).map(rank)))
        });
        let Some(slot) = chosen.and_then(|way| slots.get_mut(way)) else {
            return (0, 0);
        };
        if held.is_none() {
            *slot = Slot { key, start_ms: now_ms, ..Slot::EMPTY };
        }
        slot.last_ms = now_ms;
        if slot.set(name) {
            slot.bytes = slot.bytes.saturating_add(bytes());
        }
        (slot.names(), slot.all_bytes())
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
                let counted_now = sketch.observe(CLIENT, "example.com", &name(label), u64::from(step)).names;
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
            assert_eq!(sketch.observe(CLIENT, "example.com", &name("same"), now_ms).names, 1);
        }
    }

    #[test]
    fn clients_and_registrable_domains_are_counted_apart() {
        let mut sketch = TunnelSketch::new(1);
        for step in 0..100u32 {
            sketch.observe(CLIENT, "example.com", &name(step), 0);
        }
        assert_eq!(sketch.observe(client(9), "example.com", &name(1), 0).names, 1);
        assert_eq!(sketch.observe(CLIENT, "example.org", &name(1), 0).names, 1);
        let again = sketch.observe(CLIENT, "example.com", &name(1), 0).names;
        assert!((85..=115).contains(&again), "{again}");
    }

    #[test]
    fn a_minute_after_the_first_name_the_count_starts_again() {
        let mut sketch = TunnelSketch::new(1);
        for step in 0..100u32 {
            sketch.observe(CLIENT, "example.com", &name(step), 30_000);
        }
        assert!(sketch.observe(CLIENT, "example.com", &name("late"), 89_999).names > 80);
        assert_eq!(sketch.observe(CLIENT, "example.com", &name("next"), 90_000).names, 1);
        assert_eq!(
            sketch.observe(CLIENT, "example.com", &name("next"), 0).names,
            1,
            "a clock set back starts again"
        );
    }

    #[test]
    fn memory_stays_the_same_and_the_busy_slot_survives_a_flood_of_clients() {
        let mut sketch = TunnelSketch::new(7);
        let before = sketch.memory_bytes();
        assert!(before <= 352 * 1024, "{before} bytes");
        let mut last = 0;
        for step in 0..20_000u32 {
            if step % 40 == 0 {
                last = sketch.observe(CLIENT, "example.com", &name(step), u64::from(step)).names;
            }
            sketch.observe(client(step), "flood.example", &name(step), u64::from(step));
        }
        assert!((380..=640).contains(&last), "{last} of 500 distinct names");
        assert_eq!(sketch.memory_bytes(), before);
    }

    #[test]
    fn names_of_all_clients_are_counted_together() {
        let mut sketch = TunnelSketch::new(3);
        let mut last = Seen::default();
        for step in 0..3000u32 {
            last = sketch.observe(client(step % 1500), "example.com", &name(step), u64::from(step));
        }
        assert!(last.names <= 2, "{last:?}");
        assert!((2700..=3300).contains(&last.everybodys), "{last:?}");
    }

    #[test]
    fn bytes_are_those_of_distinct_names() {
        let mut sketch = TunnelSketch::new(5);
        let label = |number: u32| name(format!("{number:08x}{}", "0f".repeat(20)));
        let each = carried_bytes(&label(1), "example.com");
        assert_eq!(each, 24, "48 hex digits, and t");
        for again in 0..50 {
            let seen = sketch.observe(CLIENT, "example.com", &label(1), again);
            assert_eq!((seen.names, seen.bytes), (1, each));
        }
        let seen = (0..400).map(|number| sketch.observe(CLIENT, "example.com", &label(number), 100)).last();
        let bytes = seen.unwrap().bytes;
        assert!((8_000..=12_000).contains(&bytes), "{bytes} of {}", 401 * each);
    }

    #[test]
    fn a_counter_never_falls_on_a_rounding_edge_and_grows_with_the_bits() {
        fn holds<const WORDS: usize>() -> u32 {
            let bits = Slot::<WORDS>::BITS;
            let (mut slot, mut before) = (Slot::<WORDS>::EMPTY, 0);
            for bit in 0..bits {
                assert!(slot.set(u64::from(bit)) && !slot.set(u64::from(bit)));
                let unset = bits - bit - 1;
                if unset > 0 {
                    let exact = f64::from(bits) * (f64::from(bits) / f64::from(unset)).ln();
                    let edge = (exact.fract() - 0.5).abs();
                    assert!(edge > 1e-6, "a platform's logarithm could decide {exact}");
                }
                assert!(slot.names() > before);
                before = slot.names();
            }
            before
        }
        assert_eq!(holds::<CLIENT_WORDS>(), MAX_COUNT);
        assert!(holds::<EVERYBODY_WORDS>() > 7 * FLOOD_NAMES_PER_MINUTE);
    }
}
