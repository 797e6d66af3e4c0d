//! Keyed 64-bit hashes of all suffixes of a name in one pass.
//!
//! The hash of a suffix is SipHash-1-3 of its bytes *from right to left*, so one pass over a name meets each of
//! its suffixes on the way: at each dot a copy of the state is finalised. Eight bytes are taken at a time;
//! loaded big-endian they are the reversed text's little-endian block.

const DOTS: u64 = 0x2e2e_2e2e_2e2e_2e2e;
const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// A key, expanded to SipHash's start state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hasher {
    start: Sip,
}

impl Hasher {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let (low, high) = key.split_at(8);
        let word = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |word, &byte| word << 8 | u64::from(byte));
        Self { start: Sip::new(word(low), word(high)) }
    }

    /// The hash of a whole text.
    pub(super) fn whole(&self, text: &str) -> u64 {
        let (mut rest, mut sip) = (text.as_bytes(), self.start);
        while let Some((head, block)) = rest.split_last_chunk() {
            sip.block(u64::from_be_bytes(*block));
            rest = head;
        }
        sip.finish_text(start_of(text.as_bytes(), rest.len()), text.len())
    }

    /// Visits each suffix of `text`, shortest first, with its hash and where it starts in `text`. Skips the
    /// suffix of one label if `skip_top`.
    pub(super) fn suffixes(&self, text: &str, skip_top: bool, mut visit: impl FnMut(u64, usize)) {
        match self.suffixes_of_short(text, skip_top) {
            Some(suffixes) => suffixes.for_each(|(hash, start)| visit(hash, start)),
            None => self.suffixes_of_any(text, skip_top, &mut visit),
        }
    }

    /// The suffixes of a text of 8 to 31 bytes, as most names are: for who can't wait for [`Hasher::suffixes`].
    #[inline(always)]
    pub(super) fn suffixes_of_short(&self, text: &str, skip_top: bool) -> Option<Suffixes> {
        let bytes = text.as_bytes();
        let blocks = Blocks::of(bytes)?;
        let mut states = [self.start; BLOCKS];
        let mut sip = self.start;
        for (state, block) in states.iter_mut().skip(1).zip(blocks.0) {
            sip.block(block);
            *state = sip;
        }
        let mut lengths = blocks.dots() | 1 << bytes.len();
        if skip_top {
            lengths &= lengths - 1;
        }
        Some(Suffixes { blocks, states, lengths, len: bytes.len() })
    }

    /// [`Hasher::suffixes`] of a text of any length.
    #[cold]
    pub(super) fn suffixes_of_any(&self, text: &str, skip_top: bool, visit: &mut dyn FnMut(u64, usize)) {
        let bytes = text.as_bytes();
        let (mut rest, mut sip, mut skip) = (bytes, self.start, skip_top || bytes.is_empty());
        loop {
            let (head, block, mut dots) = match rest.split_last_chunk() {
                Some((head, block)) => (Some(head), u64::from_be_bytes(*block), 0),
                // The whole text is a suffix too, as if a dot stood before it.
                None => (None, start_of(bytes, rest.len()), 0x80 << (8 * rest.len())),
            };
            dots |= dots_in(block);
            while dots != 0 {
                let inside = dots.trailing_zeros() & 0x38;
                dots &= dots - 1;
                if std::mem::take(&mut skip) {
                    continue;
                }
                let start = rest.len() - (inside / 8) as usize;
                let tail = block & !(u64::MAX << inside);
                visit(sip.finish_text(tail, bytes.len() - start), start);
            }
            let Some(head) = head else { return };
            sip.block(block);
            rest = head;
        }
    }
}

/// The suffixes of a short text, shortest first: the hash of each, and where it starts.
pub(super) struct Suffixes {
    blocks: Blocks,
    /// Before each block.
    states: [Sip; BLOCKS],
    /// A bit for each suffix, in the place of its length.
    lengths: u64,
    len: usize,
}

impl Iterator for Suffixes {
    type Item = (u64, usize);

    #[inline(always)]
    fn next(&mut self) -> Option<(u64, usize)> {
        let len = self.lengths.trailing_zeros() as usize;
        let (block, state) = (self.blocks.0.get(len / 8)?, self.states.get(len / 8)?);
        self.lengths &= self.lengths - 1;
        let tail = block & !(u64::MAX << (8 * (len % 8)));
        Some((state.finish_text(tail, len), self.len - len))
    }
}

/// A text of 8 to 31 bytes in blocks of eight from its end, each with its last byte lowest.
/// They are cut without a branch: names differ in length and labels, so that a branch would be guessed wrong.
struct Blocks([u64; BLOCKS]);

const BLOCKS: usize = 4;

impl Blocks {
    #[inline(always)]
    fn of(bytes: &[u8]) -> Option<Self> {
        if !(8..8 * BLOCKS).contains(&bytes.len()) {
            return None;
        }
        let block = |number: usize| {
            let end = bytes.len().saturating_sub(8 * number);
            let from = end.saturating_sub(8);
            let block = bytes.get(from..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default();
            // What is behind `end` is of the block before.
            u64::from_be_bytes(block).checked_shr(64 - 8 * (end - from) as u32).unwrap_or(0)
        };
        Some(Self(std::array::from_fn(block)))
    }

    /// A bit for each byte that is a dot, the last byte's first.
    #[inline(always)]
    fn dots(&self) -> u64 {
        /// Brings the lowest bits of eight bytes together in the highest byte.
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let dots = |block: u64| (dots_in(block) >> 7).wrapping_mul(GATHER) >> 56;
        (0..).zip(self.0).fold(0, |all, (number, block)| all | dots(block) << (8 * number))
    }
}

/// The first `len` bytes, fewer than eight, the last one lowest.
#[inline(always)]
fn start_of(bytes: &[u8], len: usize) -> u64 {
    match bytes.first_chunk() {
        Some(block) if len > 0 => u64::from_be_bytes(*block) >> (8 * (8 - len)),
        _ => bytes.iter().take(len).fold(0, |word, &byte| word << 8 | u64::from(byte)),
    }
}

/// 0x80 in each byte that is a dot.
#[inline(always)]
fn dots_in(word: u64) -> u64 {
    let x = word ^ DOTS;
    !(((x & LOW_SEVEN) + LOW_SEVEN) | x | LOW_SEVEN)
}

/// SipHash-1-3 (Aumasson, Bernstein 2012), one compression and three finalisation rounds.
#[derive(Debug, Clone, Copy)]
struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    fn new(k0: u64, k1: u64) -> Self {
        Self {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline(always)]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline(always)]
    fn block(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.v0 ^= word;
    }

    /// The hash with up to seven last bytes; `len` is that of the whole text.
    #[inline(always)]
    fn finish_text(self, last: u64, len: usize) -> u64 {
        self.finish(last | (len as u64) << 56)
    }

    #[inline(always)]
    fn finish(mut self, last: u64) -> u64 {
        self.block(last);
        self.v2 ^= 0xff;
        self.round();
        self.round();
        self.round();
        self.v0 ^ self.v1 ^ self.v2 ^ self.v3
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher as _;

    use super::*;

    /// The standard library's default hasher is SipHash-1-3 with a zero key.
    fn oracle(text: &str) -> u64 {
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        hasher.write(&text.bytes().rev().collect::<Vec<u8>>());
        hasher.finish()
    }

    fn check(text: &str) {
        let mut got = Vec::new();
        Hasher::new(&[0; 16]).suffixes(text, false, |hash, start| got.push((hash, start)));
        let mut starts: Vec<usize> = text.match_indices('.').map(|(at, _)| at + 1).rev().collect();
        if !text.is_empty() {
            starts.push(0);
        }
        let want: Vec<_> = starts.iter().map(|&start| (oracle(&text[start..]), start)).collect();
        assert_eq!(got, want, "{text:?}");
        let mut skipped = Vec::new();
        Hasher::new(&[0; 16]).suffixes(text, true, |hash, start| skipped.push((hash, start)));
        assert_eq!(skipped, want.get(1..).unwrap_or_default(), "{text:?} without its top label");
    }

    #[test]
    fn one_pass_gives_the_siphash_of_every_suffix() {
        for text in [
            "",
            "a",
            "com",
            "a.b",
            "example.com",
            "a.bcdefgh",
            "abcdefgh",
            "abcdefgh.abcdefgh",
            "x.abcdefg.y",
        ] {
            check(text);
        }
        check(&format!("{}.example", "a.".repeat(120)));
    }

    #[test]
    fn a_key_changes_every_hash() {
        let mut key = [0; 16];
        key[15] = 1;
        assert_ne!(Hasher::new(&key).whole("example.com"), Hasher::new(&[0; 16]).whole("example.com"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_hashes_as_the_oracle_does(text in "[a-d.]{0,60}") {
            check(&text);
        }
    }
}
