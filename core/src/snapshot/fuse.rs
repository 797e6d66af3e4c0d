//! One shard of a name map: a 4-wise binary fuse retrieval structure (Graf and Lemire 2022).
//!
//! ```text
//! hash ─► four slots ─► XOR of four u8  = 8 fingerprint bits?   no (255 of 256 misses): not held
//!                    └► XOR of four u32 = 24 fingerprint bits?  no: not held
//!                                         the low 8 bits: the value
//! ```
//!
//! The planes lie apart, so that a miss touches the small one only. Building can fail for a seed; the caller
//! gets another one tried, with a larger table after some. The parameters hold near the size they were tuned
//! for, so they are computed from the number of keys. No key twice: a duplicate never peels.

use bytes::Bytes;

const MIX_1: u64 = 0xbf58_476d_1ce4_e5b9;
const MIX_2: u64 = 0x94d0_49bb_1331_11eb;
const FINGERPRINT: u64 = 0x9e37_79b9_7f4a_7c15;
/// Seeds tried before giving up; each succeeds about two times in three.
const MOST_SEEDS: u32 = 600;
/// After so many failures the table grows.
const SEEDS_A_SIZE: u32 = 25;

/// What one needs to find a key's slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Chosen so that every key found its own slot.
    pub seed: u64,
    /// Slots where a key's first segment may start: a multiple of the segment.
    pub starts: u32,
    /// Slots of a segment less one; the segment is a power of two.
    pub mask: u32,
}

impl Shape {
    /// Slots of each plane.
    pub(super) fn slots(&self) -> u64 {
        u64::from(self.starts) + 3 * (u64::from(self.mask) + 1)
    }

    /// Whether the fields fit together.
    fn is_sound(&self) -> bool {
        let segment = u64::from(self.mask) + 1;
        segment.is_power_of_two()
            && self.starts > 0
            && u64::from(self.starts) % segment == 0
            && self.slots() < 1 << 28
    }

    /// Whether planes of `len` bytes are what the shape says.
    pub(super) fn fits(&self, len: usize) -> bool {
        self.is_sound() && self.slots() * 5 == len as u64
    }

    #[inline(always)]
    fn slots_of(&self, hash: u64) -> [usize; 4] {
        let mut z = (hash ^ self.seed).wrapping_mul(MIX_1);
        z ^= z >> 32;
        z = z.wrapping_mul(MIX_2);
        let start = ((z >> 32) * u64::from(self.starts)) >> 32;
        let (start, low, mask) = (start as u32, z as u32, self.mask);
        let segment = mask + 1;
        [
            start as usize,
            ((start + segment) ^ (low & mask)) as usize,
            ((start + 2 * segment) ^ (low.rotate_left(11) & mask)) as usize,
            ((start + 3 * segment) ^ (low.rotate_left(22) & mask)) as usize,
        ]
    }

    fn sized(keys: usize, failures: u32, seed: u64) -> Self {
        let n = keys.max(2) as f64;
        let segment_log2 = (n.ln() / 2.91f64.ln() - 0.5).floor().clamp(0.0, 18.0) as u32;
        // The textbook's slack, less what a few more seeds buy once there are enough keys: of seeds, one in two
        // works at 30,000 keys and more, one in ten at 10,000.
        let textbook = (0.77 + 0.305 * 600_000f64.ln() / n.ln()).max(1.075);
        let (tuned, round_up) = match keys {
            30_000.. => (textbook - 0.0275, true),
            8_000.. => (1.155, false),
            _ => (textbook, true),
        };
        let factor = tuned + 0.005 * f64::from(failures / SEEDS_A_SIZE);
        let segment = 1u32 << segment_log2;
        let slots = (n * factor).ceil() as u32;
        let segments = if round_up { slots.div_ceil(segment) } else { slots / segment };
        let segments = segments.saturating_sub(3).max(1);
        Self { seed, starts: segments * segment, mask: segment - 1 }
    }
}

#[inline(always)]
fn fingerprint(hash: u64) -> (u8, u32) {
    let print = (hash.wrapping_mul(FINGERPRINT) >> 32) as u32;
    ((print >> 24) as u8, print << 8)
}

/// A shard opened for reading, over bytes that lie anywhere.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    shape: Shape,
    large: Bytes,
    small: Bytes,
}

impl Shard {
    /// Opens the two planes. `None` if their size is not what the shape says.
    pub(super) fn open(shape: Shape, planes: &Bytes) -> Option<Self> {
        if !shape.fits(planes.len()) {
            return None;
        }
        let slots = usize::try_from(shape.slots()).ok()?;
        Some(Self { shape, large: planes.slice(..slots * 4), small: planes.slice(slots * 4..) })
    }

    /// The value of a key; for what is no key, `None` but for one time in 2^32.
    #[inline(always)]
    pub(super) fn get(&self, hash: u64) -> Option<u8> {
        let [a, b, c, d] = self.shape.slots_of(hash);
        let (first, rest) = fingerprint(hash);
        let small: &[u8] = &self.small;
        if small.get(a)? ^ small.get(b)? ^ small.get(c)? ^ small.get(d)? != first {
            return None;
        }
        let large = self.large.as_chunks::<4>().0;
        let word = |slot: usize| large.get(slot).map(|bytes| u32::from_le_bytes(*bytes));
        let found = word(a)? ^ word(b)? ^ word(c)? ^ word(d)? ^ rest;
        (found <= 0xff).then_some(found as u8)
    }
}

/// Builds the planes for distinct hashes with their values: the `u32` plane, then the `u8` plane. `None` if no
/// seed works, which for distinct keys does not happen in practice.
pub(super) fn build(keys: &[(u64, u8)], salt: u64) -> Option<(Shape, Vec<u8>)> {
    let mut scratch = Scratch::default();
    (0..MOST_SEEDS).find_map(|failures| {
        let seed = mix(salt ^ mix(u64::from(failures)));
        let shape = Shape::sized(keys.len(), failures, seed);
        scratch.peel(&shape, keys).then(|| (shape, scratch.assign(&shape, keys)))
    })
}

/// SplitMix64's finaliser.
pub(super) fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(FINGERPRINT);
    z = (z ^ (z >> 30)).wrapping_mul(MIX_1);
    z = (z ^ (z >> 27)).wrapping_mul(MIX_2);
    z ^ (z >> 31)
}

/// Reused between tries.
#[derive(Default)]
struct Scratch {
    /// For each slot: how many unplaced keys use it, and the XOR of their numbers.
    uses: Vec<(u32, u32)>,
    /// Slots that one key uses alone.
    alone: Vec<u32>,
    /// Keys in the order in which they were freed, each with its own slot.
    order: Vec<(u32, u32)>,
}

impl Scratch {
    /// Frees keys one by one, each by a slot that no other key uses. Whether all were freed.
    fn peel(&mut self, shape: &Shape, keys: &[(u64, u8)]) -> bool {
        self.uses.clear();
        self.uses.resize(shape.slots() as usize, (0, 0));
        self.order.clear();
        for (number, &(hash, _)) in keys.iter().enumerate() {
            for slot in shape.slots_of(hash) {
                if let Some((count, sum)) = self.uses.get_mut(slot) {
                    *count += 1;
                    *sum ^= number as u32;
                }
            }
        }
        self.alone.clear();
        let single = self.uses.iter().enumerate().filter(|(_, uses)| uses.0 == 1);
        self.alone.extend(single.map(|(slot, _)| slot as u32));
        while let Some(slot) = self.alone.pop() {
            let Some(&(1, number)) = self.uses.get(slot as usize) else { continue };
            let Some(&(hash, _)) = keys.get(number as usize) else { return false };
            self.order.push((number, slot));
            for other in shape.slots_of(hash) {
                let Some((count, sum)) = self.uses.get_mut(other) else { return false };
                *count -= 1;
                *sum ^= number;
                if *count == 1 {
                    self.alone.push(other as u32);
                }
            }
        }
        self.order.len() == keys.len()
    }

    /// Gives each key its slot, last freed first, so that its four slots XOR to fingerprint and value.
    fn assign(&self, shape: &Shape, keys: &[(u64, u8)]) -> Vec<u8> {
        let slots = shape.slots() as usize;
        let mut table = vec![(0u8, 0u32); slots];
        for &(number, slot) in self.order.iter().rev() {
            let Some(&(hash, value)) = keys.get(number as usize) else { continue };
            let (mut small, mut large) = fingerprint(hash);
            large |= u32::from(value);
            for other in shape.slots_of(hash) {
                let held = table.get(other).copied().unwrap_or_default();
                small ^= held.0;
                large ^= held.1;
            }
            if let Some(own) = table.get_mut(slot as usize) {
                *own = (small, large);
            }
        }
        let mut planes = Vec::with_capacity(slots * 5);
        planes.extend(table.iter().flat_map(|cell| cell.1.to_le_bytes()));
        planes.extend(table.iter().map(|cell| cell.0));
        planes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(n: usize) -> Vec<(u64, u8)> {
        (0..n as u64).map(|i| (mix(i), (i % 251) as u8)).collect()
    }

    #[test]
    fn every_key_of_any_number_gives_its_value() {
        for n in [1, 2, 3, 4, 5, 7, 10, 31, 100, 1_000, 10_000, 30_000, 62_500, 250_000] {
            let keys = keys(n);
            let (shape, planes) = build(&keys, n as u64).unwrap();
            let shard = Shard::open(shape, &planes.into()).unwrap();
            assert!(keys.iter().all(|&(hash, value)| shard.get(hash) == Some(value)), "{n}");
            let false_matches =
                (0..1_000_000u64).filter(|&i| shard.get(mix(i + (1 << 40))).is_some()).count();
            assert!(false_matches <= 1, "{false_matches} of a million at {n} keys");
        }
    }

    #[test]
    fn a_full_shard_takes_little_more_than_a_slot_a_key() {
        let (shape, _) = build(&keys(62_500), 7).unwrap();
        assert!(shape.slots() as f64 / 62_500.0 <= 1.13, "{}", shape.slots());
    }

    #[test]
    fn one_key_twice_never_builds() {
        assert!(build(&[(5, 1), (5, 2)], 1).is_none());
    }

    #[test]
    fn planes_of_another_size_are_refused() {
        let (shape, planes) = build(&keys(100), 1).unwrap();
        assert!(Shard::open(shape, &Bytes::from(planes[1..].to_vec())).is_none());
        assert!(Shard::open(Shape { mask: 6, ..shape }, &Bytes::from(planes)).is_none());
    }
}
