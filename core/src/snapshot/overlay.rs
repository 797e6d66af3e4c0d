//! What changed since a map's shards were built: exact hashes that win over them.
//!
//! ```text
//! flags u32 · names of the map u64 · count x (hash u64 · set u32), sorted by hash
//! ```
//!
//! A change of a few names would change most shards, so it is written here and the shards stay as they are, byte
//! for byte. A set is a number in the map's list-set table; [`ABSENT`] takes the name back. In front of the rows
//! is a bit for each of sixteen times as many hashes, so that a name that did not change costs one load.

use bytes::Bytes;

use super::wire::{Reader, Writer};

/// The most entries of an overlay.
pub(super) const MOST_OVERLAY: usize = 65_536;
/// The set of a name that the map no longer holds.
pub(super) const ABSENT: u32 = u32::MAX;
/// Flag: at least one entry is a single label.
const SINGLE_LABEL: u32 = 1;
const HEADER_BYTES: usize = 12;
/// Bits of the prefilter for each entry, at least.
const BITS_AN_ENTRY: usize = 16;

/// What an overlay says of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing: the shards say.
    Nothing,
    /// It is not held, whatever the shards say.
    Absent,
    /// It is held, with this set.
    Set(u32),
}

/// An overlay opened for reading; by default an empty one.
#[derive(Debug, Clone, Default)]
pub(super) struct Overlay {
    /// The prefilter; its length is a power of two, or 0.
    filter: Vec<u64>,
    rows: Bytes,
    names: u64,
    single_label: bool,
}

impl Overlay {
    /// Opens the piece; says what is wrong with it otherwise.
    pub(super) fn open(piece: &Bytes) -> Result<Self, &'static str> {
        let mut reader = Reader::new(piece);
        let cut = "an overlay is cut short";
        let flags = reader.u32().ok_or(cut)?;
        let names = reader.u64().ok_or(cut)?;
        let rows = piece.slice(HEADER_BYTES.min(piece.len())..);
        let (whole, rest) = rows.as_chunks::<12>();
        if !rest.is_empty() || whole.len() > MOST_OVERLAY {
            return Err("an overlay has another length than rows have, or too many of them");
        }
        if !whole.is_sorted_by(|a, b| hash_of(a) < hash_of(b)) {
            return Err("an overlay's rows are not in order");
        }
        let mut filter = vec![0u64; (whole.len() * BITS_AN_ENTRY).div_ceil(64).next_power_of_two()];
        for hash in whole.iter().map(hash_of) {
            let (word, bit) = place(hash, filter.len());
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Ok(Self { filter, rows, names, single_label: flags & SINGLE_LABEL != 0 })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn has_single_label(&self) -> bool {
        self.single_label
    }

    /// Names of the map with its overlay; `None` where there is no overlay.
    pub(super) fn names(&self) -> Option<u64> {
        (!self.filter.is_empty()).then_some(self.names)
    }

    #[inline(always)]
    pub(super) fn get(&self, hash: u64) -> Said {
        let (word, bit) = place(hash, self.filter.len());
        match self.filter.get(word) {
            Some(word) if word & bit != 0 => self.search(hash),
            _ => Said::Nothing,
        }
    }

    #[inline(never)]
    fn search(&self, hash: u64) -> Said {
        let rows = self.rows.as_chunks::<12>().0;
        let found = rows.binary_search_by_key(&hash, hash_of).ok().and_then(|at| rows.get(at)?.last_chunk());
        match found.map(|bytes| u32::from_le_bytes(*bytes)) {
            None => Said::Nothing,
            Some(ABSENT) => Said::Absent,
            Some(set) => Said::Set(set),
        }
    }
}

#[inline(always)]
fn place(hash: u64, words: usize) -> (usize, u64) {
    ((hash >> 6) as usize & words.wrapping_sub(1), 1 << (hash & 63))
}

fn hash_of(row: &[u8; 12]) -> u64 {
    row.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Builds the piece from rows sorted by hash. `names` is how many names the map has with it.
pub(super) fn build(rows: &[(u64, u32)], names: u64, single_label: bool) -> Bytes {
    let mut piece = Writer::with_capacity(HEADER_BYTES + rows.len() * 12);
    piece.u32(if single_label { SINGLE_LABEL } else { 0 }).u64(names);
    for (hash, set) in rows {
        piece.u64(*hash).u32(*set);
    }
    piece.finish().into()
}

#[cfg(test)]
mod tests {
    use super::super::fuse::mix;
    use super::*;

    #[test]
    fn an_overlay_says_what_its_rows_say_and_nothing_of_any_other_hash() {
        for size in [0usize, 1, 2, 100, 5_000, MOST_OVERLAY] {
            let mut rows: Vec<(u64, u32)> =
                (0..size as u64).map(|i| (mix(i), if i % 3 == 0 { ABSENT } else { i as u32 })).collect();
            rows.sort_unstable();
            let overlay = Overlay::open(&build(&rows, 7, size == 1)).unwrap();
            assert_eq!((overlay.names(), overlay.has_single_label()), (Some(7), size == 1));
            for (hash, set) in &rows {
                let want = if *set == ABSENT { Said::Absent } else { Said::Set(*set) };
                assert_eq!(overlay.get(*hash), want, "{size}");
            }
            assert!((0..100_000).all(|i| overlay.get(mix(i + (1 << 40))) == Said::Nothing), "{size}");
        }
        assert_eq!((Overlay::default().get(0), Overlay::default().names()), (Said::Nothing, None));
    }

    #[test]
    fn damaged_overlays_are_refused() {
        let good = build(&[(1, 1), (2, 2)], 2, false);
        assert!(Overlay::open(&good).is_ok());
        for len in (0..good.len()).filter(|len| !matches!(len, 12 | 24)) {
            assert!(Overlay::open(&good.slice(..len)).is_err(), "{len}");
        }
        assert!(Overlay::open(&build(&[(2, 1), (1, 2)], 2, false)).is_err(), "not in order");
        assert!(Overlay::open(&build(&[(1, 1), (1, 2)], 2, false)).is_err(), "one hash twice");
        let many: Vec<(u64, u32)> = (0..MOST_OVERLAY as u64 + 1).map(|hash| (hash, 0)).collect();
        assert!(Overlay::open(&build(&many, 2, false)).is_err(), "too many");
    }
}
