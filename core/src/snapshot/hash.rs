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
        let mut hash = 0;
        self.suffixes(text, false, |found, _| hash = found);
        hash
    }

    /// Visits each suffix of `text`, shortest first, with its hash and where it starts in `text`. Skips the
    /// suffix of one label if `skip_top`.
    #[inline]
    pub(super) fn suffixes(&self, text: &str, skip_top: bool, mut visit: impl FnMut(u64, usize)) {
        let bytes = text.as_bytes();
        let len = bytes.len();
        let (mut end, mut sip, mut skip) = (len, self.start, skip_top);
        loop {
            let (word, taken) = block_before(bytes, end);
            let mut dots = dots_in(word);
            while dots != 0 {
                let inside = dots.trailing_zeros() / 8;
                dots &= dots - 1;
                if std::mem::take(&mut skip) {
                    continue;
                }
                let start = end - inside as usize;
                let tail = word & !(u64::MAX << (8 * inside));
                visit(sip.finish(tail | ((len - start) as u64) << 56), start);
            }
            if taken < 8 {
                if !skip && len > 0 {
                    visit(sip.finish(word | (len as u64) << 56), 0);
                }
                return;
            }
            sip.block(word);
            end -= 8;
        }
    }
}

/// The up to eight bytes before `end`, the last one lowest; and how many they are.
#[inline]
fn block_before(bytes: &[u8], end: usize) -> (u64, usize) {
    if let Some(block) = end.checked_sub(8).and_then(|from| bytes.get(from..end)?.first_chunk()) {
        return (u64::from_be_bytes(*block), 8);
    }
    let head = bytes.get(..end).unwrap_or_default();
    match bytes.first_chunk() {
        Some(block) if end > 0 => (u64::from_be_bytes(*block) >> (8 * (8 - end)), end),
        _ => (head.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), end),
    }
}

/// 0x80 in each byte that is a dot.
#[inline]
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
