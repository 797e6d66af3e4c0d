//! What bags read of a name: hashed n-grams, words, labels and the shape of its content.
//!
//! ```text
//! "a.pay-pal1"  labels:  2- to 5-grams of "^a$" and, hashed apart, of "^pay-pal1$"; words pay, pal, 1 and their
//!                        neighbours; labels a, pay-pal1; lengths, digits, outline a-a9
//!               content: 3- to 6-grams of "^a.pay-pal1$"; lengths, digits, outline
//!               skips:   as labels, with 1- to 4-grams and no neighbours; pairs of bytes 2 to 4 apart
//! ```
//!
//! A feature is an index below `2^FEATURE_BITS`. Bags that read unlike things err in unlike places, and are worth more
//! together. The surprise: the last label of the content, which somebody registered, is hashed apart from those
//! before it, which a name's owner makes up.

use crate::hash::{self, finish, step};

/// What a bag reads of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reading {
    /// Each label's n-grams, its words and their neighbours.
    #[default]
    Labels,
    /// N-grams of the whole, across its dots.
    Content,
    /// Each label's short n-grams and words, and bytes that stand apart.
    Skips,
}

impl Reading {
    /// All of them; an artifact holds the index.
    pub const ALL: [Self; 3] = [Self::Labels, Self::Content, Self::Skips];

    /// The shortest and the longest n-gram, bytes.
    fn grams(self) -> [usize; 2] {
        match self {
            Self::Labels => [2, 5],
            Self::Content => [3, 6],
            Self::Skips => [1, 4],
        }
    }
}

/// Features have this many bits; who has room for fewer leaves out the low ones.
pub const FEATURE_BITS: u32 = 20;
/// No name has more features; what is beyond is left out.
pub const MAX_FEATURES: usize = 512;

const START: u8 = 2;
const END: u8 = 3;

/// Sorts of features; each hashes apart.
#[derive(Debug, Clone, Copy)]
enum Sort {
    OwnerGram = 1,
    RegisteredGram,
    Boundary,
    Word,
    OwnerWord,
    RegisteredWord,
    Words,
    OwnerLabel,
    FirstLabel,
    RegisteredLabel,
    LastLabels,
    Length,
    Labels,
    Marks,
    Outline,
    Vowels,
    ContentGram,
    Skip,
}

/// Replaces `out` by the features of a content, at most [`MAX_FEATURES`].
pub fn features(content: &str, reading: Reading, out: &mut Vec<u32>) {
    out.clear();
    let mut sink = Sink { out, grams: reading.grams(), neighbours: reading == Reading::Labels };
    match reading {
        Reading::Labels => sink.labels(content),
        Reading::Content => sink.content(content),
        Reading::Skips => {
            sink.labels(content);
            sink.skips(content.as_bytes());
        }
    }
}

struct Sink<'a> {
    out: &'a mut Vec<u32>,
    grams: [usize; 2],
    /// Whether words and labels are read with the one before.
    neighbours: bool,
}

impl Sink<'_> {
    fn labels(&mut self, content: &str) {
        let mut rest =
            content.as_bytes().split(|byte| *byte == b'.').filter(|label| !label.is_empty()).peekable();
        let (mut count, mut before): (usize, &[u8]) = (0, &[]);
        while let Some(label) = rest.next() {
            let registered = rest.peek().is_none();
            self.grams(label, if registered { Sort::RegisteredGram } else { Sort::OwnerGram });
            if self.neighbours && !before.is_empty() {
                let ends = before.iter().rev().take(3).chain([&b'.']).chain(label.iter().take(3));
                self.add(Sort::Boundary, ends);
            }
            self.words(label, if registered { Sort::RegisteredWord } else { Sort::OwnerWord });
            if registered {
                self.add(Sort::RegisteredLabel, label);
                if count > 0 {
                    self.add(Sort::LastLabels, before.iter().chain([&b'.']).chain(label));
                }
                self.shape(label, count + 1, content.len());
            } else {
                self.add(Sort::OwnerLabel, label);
                if count == 0 {
                    self.add(Sort::FirstLabel, label);
                }
            }
            (count, before) = (count + 1, label);
        }
    }

    fn content(&mut self, content: &str) {
        if content.is_empty() {
            return;
        }
        self.grams(content.as_bytes(), Sort::ContentGram);
        let labels = || content.split('.').filter(|label| !label.is_empty());
        let registered = labels().next_back().unwrap_or_default();
        self.shape(registered.as_bytes(), labels().count(), content.len());
    }

    /// Two pairs of neighbours, of which the second starts 2 to 4 bytes after the first.
    fn skips(&mut self, content: &[u8]) {
        for (at, first) in content.windows(2).enumerate() {
            for gap in 2..=4 {
                let Some(second) = content.get(at + gap..at + gap + 2) else { break };
                self.add(Sort::Skip, [gap as u8].iter().chain(first).chain(second));
            }
        }
    }

    fn push(&mut self, state: u32) {
        if self.out.len() < MAX_FEATURES {
            self.out.push(finish(state) >> (32 - FEATURE_BITS));
        }
    }

    fn add<'b>(&mut self, sort: Sort, bytes: impl IntoIterator<Item = &'b u8>) {
        let state = bytes.into_iter().fold(step(hash::START, sort as u8), |state, byte| step(state, *byte));
        self.push(state);
    }

    fn grams(&mut self, label: &[u8], sort: Sort) {
        let [shortest, longest] = self.grams;
        let framed = || [START].into_iter().chain(label.iter().copied()).chain([END]);
        for at in 0..label.len() + 2 {
            let mut state = step(hash::START, sort as u8);
            for (index, byte) in framed().skip(at).take(longest).enumerate() {
                state = step(state, byte);
                if index + 1 >= shortest {
                    self.push(state);
                }
            }
        }
    }

    fn words(&mut self, label: &[u8], placed: Sort) {
        let mut before: &[u8] = &[];
        for word in runs(label).filter(|run| run.first().is_some_and(|byte| kind(*byte) != b'-')) {
            self.add(Sort::Word, word);
            self.add(placed, word);
            if self.neighbours && !before.is_empty() {
                self.add(Sort::Words, before.iter().chain([&b'|']).chain(word));
            }
            before = word;
        }
    }

    fn shape(&mut self, label: &[u8], labels: usize, length: usize) {
        let small = |number: usize, most: usize| number.min(most) as u8;
        let count = |set: &[u8]| label.iter().filter(|byte| set.contains(byte)).count();
        self.add(Sort::Length, &[small(label.len(), 30)]);
        self.add(Sort::Labels, &[small(labels, 6), small(length / 8, 7)]);
        self.add(Sort::Marks, &[small(count(b"0123456789"), 8), small(count(b"-"), 4)]);
        let kinds: Vec<u8> =
            runs(label).filter_map(|run| run.first().map(|byte| kind(*byte))).take(12).collect();
        self.add(Sort::Outline, &kinds);
        let vowels = 10 * count(b"aeiou") / label.len().max(1);
        self.add(Sort::Vowels, &[small(vowels, 10), small(label.len() / 4, 6)]);
    }
}

/// Runs of letters, of digits, of hyphens.
fn runs(label: &[u8]) -> impl Iterator<Item = &[u8]> {
    label.chunk_by(|a, b| kind(*a) == kind(*b))
}

fn kind(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'9',
        b'-' | b'_' => b'-',
        _ => b'a',
    }
}

/// The slot of a suffix among `2^bits` (1 to 31).
pub(super) fn suffix_slot(suffix: &str, bits: u32) -> usize {
    (finish(suffix_state(suffix)) >> (32 - bits.clamp(1, 31))) as usize
}

fn suffix_state(suffix: &str) -> u32 {
    suffix.bytes().fold(hash::START, step)
}

/// Features of a content as they are under one suffix, each below `2^FEATURE_BITS`.
pub fn crossed(found: &[u32], suffix: &str) -> impl Iterator<Item = u32> {
    let state = finish(suffix_state(suffix)).wrapping_mul(0x9E37_79B1);
    found.iter().map(move |feature| finish(feature.wrapping_mul(0xC2B2_AE35) ^ state) >> (32 - FEATURE_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str, reading: Reading) -> Vec<u32> {
        let mut out = vec![7];
        features(content, reading, &mut out);
        out
    }

    fn of(content: &str) -> Vec<u32> {
        read(content, Reading::Labels)
    }

    #[test]
    fn features_stay_below_the_bound_and_are_the_same_each_time() {
        let long = ["a1"; 32].concat();
        for content in ["", "a", "a.b.c", "pay-pal1.login", &long, "....", "-_-", &"x.".repeat(40)] {
            let found = of(content);
            assert!(found.len() <= MAX_FEATURES, "{content}");
            assert!(
                found
                    .iter()
                    .copied()
                    .chain(crossed(&found, "com"))
                    .all(|feature| feature >> FEATURE_BITS == 0)
            );
            assert_eq!(of(content), of(content));
        }
        assert!(of("").is_empty());
    }

    #[test]
    fn a_label_of_its_owner_is_told_from_a_registered_one() {
        let (alone, above) = (of("login"), of("login.shop"));
        let same = above.iter().filter(|feature| alone.contains(feature)).count();
        // The word `login`, and that neither registered label has digits or hyphens: marks and outline.
        assert_eq!(same, 3);
        let reversed = of("shop.login");
        assert!(alone.iter().filter(|feature| reversed.contains(feature)).count() >= alone.len() - 2);
    }

    #[test]
    fn features_are_others_under_another_suffix() {
        let found = of("pay-pal1.login");
        let [com, top]: [Vec<u32>; 2] = ["com", "top"].map(|suffix| crossed(&found, suffix).collect());
        assert_eq!((com.len(), top.len()), (found.len(), found.len()));
        assert!(com.iter().filter(|feature| top.contains(feature) || found.contains(feature)).count() <= 1);
    }

    #[test]
    fn n_grams_words_and_shape_are_counted() {
        // "^ab$": 3 + 2 + 1 n-grams; word twice, label, five of its shape.
        assert_eq!(of("ab").len(), 6 + 2 + 1 + 5);
    }
}
