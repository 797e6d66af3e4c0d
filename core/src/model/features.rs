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

use std::ops::Range;

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
    read(content, reading, out);
}

/// The same features in the same order, each with the bytes of the content that it is read from: bit `i` is byte `i`.
/// Bytes from 64 on have no bit; no name's content has them ([`super::Parts`]).
#[cfg(feature = "attribution")]
pub(super) fn features_with_bytes(content: &str, reading: Reading) -> Vec<(u32, u64)> {
    let mut out = Vec::new();
    read(content, reading, &mut out);
    out
}

fn read(content: &str, reading: Reading, out: &mut impl Output) {
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

/// Takes features; who does not want the bytes that they are read from pays nothing for them.
trait Output {
    fn take(&mut self, feature: u32, from: u64);
    fn count(&self) -> usize;
}

impl Output for Vec<u32> {
    #[inline]
    fn take(&mut self, feature: u32, _: u64) {
        self.push(feature);
    }

    #[inline]
    fn count(&self) -> usize {
        self.len()
    }
}

#[cfg(feature = "attribution")]
impl Output for Vec<(u32, u64)> {
    fn take(&mut self, feature: u32, from: u64) {
        self.push((feature, from));
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// Bytes beside each other, as bits.
#[inline]
fn bits(bytes: Range<usize>) -> u64 {
    let below = |end: usize| if end < 64 { (1u64 << end) - 1 } else { u64::MAX };
    below(bytes.end) & !below(bytes.start)
}

/// A label or a word, and where in the content it starts.
#[derive(Clone, Copy, Default)]
struct Part<'a> {
    at: usize,
    bytes: &'a [u8],
}

impl Part<'_> {
    fn range(self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }
}

/// Parts that follow each other with `gap` bytes between.
fn placed<'a>(
    at: usize,
    parts: impl Iterator<Item = &'a [u8]>,
    gap: usize,
) -> impl Iterator<Item = Part<'a>> {
    parts.scan(at, move |next, bytes| {
        let at = *next;
        *next += bytes.len() + gap;
        Some(Part { at, bytes })
    })
}

/// The labels of a content that hold something.
fn labels(content: &str) -> impl Iterator<Item = Part<'_>> {
    let labels = placed(0, content.as_bytes().split(|byte| *byte == b'.'), 1);
    labels.filter(|label| !label.bytes.is_empty())
}

struct Sink<'a, O> {
    out: &'a mut O,
    grams: [usize; 2],
    /// Whether words and labels are read with the one before.
    neighbours: bool,
}

impl<O: Output> Sink<'_, O> {
    fn labels(&mut self, content: &str) {
        let mut rest = labels(content).peekable();
        let (mut count, mut before) = (0, Part::default());
        while let Some(label) = rest.next() {
            let registered = rest.peek().is_none();
            self.grams(label, if registered { Sort::RegisteredGram } else { Sort::OwnerGram });
            if self.neighbours && !before.bytes.is_empty() {
                let ends = before.bytes.iter().rev().take(3).chain([&b'.']).chain(label.bytes.iter().take(3));
                let from =
                    before.range().end.saturating_sub(3).max(before.at)..label.at + label.bytes.len().min(3);
                self.add(Sort::Boundary, ends, from);
            }
            self.words(label, if registered { Sort::RegisteredWord } else { Sort::OwnerWord });
            if registered {
                self.add(Sort::RegisteredLabel, label.bytes, label.range());
                if count > 0 {
                    let both = before.bytes.iter().chain([&b'.']).chain(label.bytes);
                    self.add(Sort::LastLabels, both, before.at..label.range().end);
                }
                self.shape(label, count + 1, content.len());
            } else {
                self.add(Sort::OwnerLabel, label.bytes, label.range());
                if count == 0 {
                    self.add(Sort::FirstLabel, label.bytes, label.range());
                }
            }
            (count, before) = (count + 1, label);
        }
    }

    fn content(&mut self, content: &str) {
        if content.is_empty() {
            return;
        }
        self.grams(Part { at: 0, bytes: content.as_bytes() }, Sort::ContentGram);
        let (count, registered) =
            labels(content).fold((0, Part::default()), |(count, _), label| (count + 1, label));
        self.shape(registered, count, content.len());
    }

    /// Two pairs of neighbours, of which the second starts 2 to 4 bytes after the first.
    fn skips(&mut self, content: &[u8]) {
        for (at, first) in content.windows(2).enumerate() {
            for gap in 2..=4 {
                let Some(second) = content.get(at + gap..at + gap + 2) else { break };
                let state = hashed(Sort::Skip, [gap as u8].iter().chain(first).chain(second));
                self.push(state, bits(at..at + 2) | bits(at + gap..at + gap + 2));
            }
        }
    }

    fn push(&mut self, state: u32, from: u64) {
        if self.out.count() < MAX_FEATURES {
            self.out.take(finish(state) >> (32 - FEATURE_BITS), from);
        }
    }

    fn add<'b>(&mut self, sort: Sort, bytes: impl IntoIterator<Item = &'b u8>, from: Range<usize>) {
        self.push(hashed(sort, bytes), bits(from));
    }

    fn grams(&mut self, label: Part<'_>, sort: Sort) {
        let [shortest, longest] = self.grams;
        let length = label.bytes.len();
        let framed = || [START].into_iter().chain(label.bytes.iter().copied()).chain([END]);
        for at in 0..length + 2 {
            let mut state = step(hash::START, sort as u8);
            for (index, byte) in framed().skip(at).take(longest).enumerate() {
                state = step(state, byte);
                if index + 1 >= shortest {
                    // The frame is no byte of the content: a mark alone is read from the byte beside it.
                    let [first, last] = [at, at + index].map(|framed| framed.max(1).min(length));
                    self.push(state, bits(label.at + first.saturating_sub(1)..label.at + last));
                }
            }
        }
    }

    fn words(&mut self, label: Part<'_>, sort: Sort) {
        let mut before = Part::default();
        let runs = placed(label.at, runs(label.bytes), 0);
        for word in runs.filter(|run| run.bytes.first().is_some_and(|byte| kind(*byte) != b'-')) {
            self.add(Sort::Word, word.bytes, word.range());
            self.add(sort, word.bytes, word.range());
            if self.neighbours && !before.bytes.is_empty() {
                let both = before.bytes.iter().chain([&b'|']).chain(word.bytes);
                self.add(Sort::Words, both, before.at..word.range().end);
            }
            before = word;
        }
    }

    fn shape(&mut self, label: Part<'_>, labels: usize, length: usize) {
        let small = |number: usize, most: usize| number.min(most) as u8;
        let Part { bytes, .. } = label;
        let count = |set: &[u8]| bytes.iter().filter(|byte| set.contains(byte)).count();
        self.add(Sort::Length, &[small(bytes.len(), 30)], label.range());
        self.add(Sort::Labels, &[small(labels, 6), small(length / 8, 7)], 0..length);
        self.add(Sort::Marks, &[small(count(b"0123456789"), 8), small(count(b"-"), 4)], label.range());
        let kinds: Vec<u8> =
            runs(bytes).filter_map(|run| run.first().map(|byte| kind(*byte))).take(12).collect();
        self.add(Sort::Outline, &kinds, label.range());
        let vowels = 10 * count(b"aeiou") / bytes.len().max(1);
        self.add(Sort::Vowels, &[small(vowels, 10), small(bytes.len() / 4, 6)], label.range());
    }
}

fn hashed<'a>(sort: Sort, bytes: impl IntoIterator<Item = &'a u8>) -> u32 {
    bytes.into_iter().fold(step(hash::START, sort as u8), |state, byte| step(state, *byte))
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
