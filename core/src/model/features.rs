//! What a bag reads of a name: hashed n-grams, words, labels and the shape of its content.
//!
//! ```text
//! "a.pay-pal1"  ->  2- to 5-grams of "^a$" and, hashed apart, of "^pay-pal1$"
//!                   words pay, pal, 1 and their neighbours; labels a, pay-pal1; lengths, digits, outline a-a9
//! ```
//!
//! A feature is an index below `2^FEATURE_BITS`. The surprise: the last label of the content, which somebody registered,
//! is hashed apart from those before it, which a name's owner makes up.

use crate::hash::{self, finish, step};

/// The shortest and the longest n-gram, bytes.
pub const GRAMS: [usize; 2] = [2, 5];
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
}

/// Replaces `out` by the features of a content, at most [`MAX_FEATURES`].
pub fn features(content: &str, out: &mut Vec<u32>) {
    out.clear();
    let mut sink = Sink { out };
    let mut rest =
        content.as_bytes().split(|byte| *byte == b'.').filter(|label| !label.is_empty()).peekable();
    let (mut count, mut before): (usize, &[u8]) = (0, &[]);
    while let Some(label) = rest.next() {
        let registered = rest.peek().is_none();
        sink.grams(label, if registered { Sort::RegisteredGram } else { Sort::OwnerGram });
        if !before.is_empty() {
            let ends = before.iter().rev().take(3).chain([&b'.']).chain(label.iter().take(3));
            sink.add(Sort::Boundary, ends);
        }
        sink.words(label, if registered { Sort::RegisteredWord } else { Sort::OwnerWord });
        if registered {
            sink.add(Sort::RegisteredLabel, label);
            if count > 0 {
                sink.add(Sort::LastLabels, before.iter().chain([&b'.']).chain(label));
            }
            sink.shape(label, count + 1, content.len());
        } else {
            sink.add(Sort::OwnerLabel, label);
            if count == 0 {
                sink.add(Sort::FirstLabel, label);
            }
        }
        (count, before) = (count + 1, label);
    }
}

struct Sink<'a> {
    out: &'a mut Vec<u32>,
}

impl Sink<'_> {
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
        let [shortest, longest] = GRAMS;
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
            if !before.is_empty() {
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

    fn of(content: &str) -> Vec<u32> {
        let mut out = vec![7];
        features(content, &mut out);
        out
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
