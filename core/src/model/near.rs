//! An index of labels that finds those one edit away without a look at all of them.
//!
//! Every label is filed under itself and under itself less one letter, each in turn. Two labels that differ by
//! a letter left out, put in, replaced, or exchanged with its neighbour share one of these forms. The surprise:
//! only hashes of the forms are kept, and short ones at that, so a hit is a candidate until it is compared.

use crate::hash::{START, finish, step};

/// Longer labels are not looked at, bytes: a name of that length is hardly typed by hand.
const MAX_LABEL_BYTES: usize = 32;
/// Upper bits of a hash choose the bucket, the lower ones are compared in it.
const BUCKET_BITS: u32 = 16;
/// Bits of an entry that hold the label's number.
const NUMBER_BITS: u32 = 15;

/// Labels by their forms.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Near {
    /// Where each bucket ends in `entries`.
    ends: Vec<u32>,
    /// Hash bits above the number of the label.
    entries: Vec<u32>,
}

impl Near {
    /// Indexes labels by their place in the order given, as many as have a number.
    pub(super) fn new<'a>(labels: impl Iterator<Item = &'a str> + Clone) -> Self {
        let forms_of_all = || {
            let numbered = labels.clone().take(1 << NUMBER_BITS).enumerate();
            numbered.flat_map(|(number, label)| forms(label).map(move |form| (form, number as u32)))
        };
        let mut ends = vec![0_u32; 1 << BUCKET_BITS];
        let mut total = 0;
        for (form, _) in forms_of_all() {
            total += 1;
            if let Some(count) = ends.get_mut(bucket(form)) {
                *count += 1;
            }
        }
        let mut end = 0;
        for count in &mut ends {
            end += *count;
            // The start for now: it moves to the end as the bucket fills.
            *count = end - *count;
        }
        let mut entries = vec![0; total];
        for (form, number) in forms_of_all() {
            if let Some(next) = ends.get_mut(bucket(form)) {
                if let Some(entry) = entries.get_mut(*next as usize) {
                    *entry = form << NUMBER_BITS | number;
                }
                *next += 1;
            }
        }
        Self { ends, entries }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        4 * (self.ends.len() + self.entries.len())
    }

    /// Numbers of the labels that may be one edit away from this one or equal to it, each once, in order.
    pub(super) fn candidates(&self, label: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for form in forms(label) {
            let at = bucket(form);
            let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
            let end = self.ends.get(at).copied().unwrap_or(0);
            let entries = self.entries.get(start as usize..end as usize).unwrap_or_default();
            let same =
                entries.iter().filter(|&&entry| entry >> NUMBER_BITS == form << NUMBER_BITS >> NUMBER_BITS);
            found.extend(same.map(|entry| entry & ((1 << NUMBER_BITS) - 1)));
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn bucket(form: u32) -> usize {
    (form >> (u32::BITS - BUCKET_BITS)) as usize
}

/// Hashes of a label's forms. A run of one letter loses a letter in one way only.
fn forms(label: &str) -> impl Iterator<Item = u32> {
    let bytes = if label.len() <= MAX_LABEL_BYTES { label.as_bytes() } else { &[] };
    let whole = (!bytes.is_empty()).then(|| hash(bytes, &[]));
    let less_one = (0..bytes.len()).filter_map(|at| {
        let (before, after) = bytes.split_at_checked(at)?;
        let (gone, after) = after.split_first()?;
        (before.last() != Some(gone)).then(|| hash(before, after))
    });
    whole.into_iter().chain(less_one)
}

/// The hash of two pieces as one.
pub(super) fn hash(one: &[u8], other: &[u8]) -> u32 {
    finish(one.iter().chain(other).fold(START, |state, &byte| step(state, byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_one_edit_away_are_candidates() {
        let labels = ["google", "paypal", "amazon"];
        let near = Near::new(labels.into_iter());
        for label in
            ["google", "gogle", "gooogle", "goolge", "boogle", "googlex", "xgoogle", "googl", "go-ogle"]
        {
            assert_eq!(near.candidates(label), [0], "{label}");
        }
        assert_eq!(near.candidates("amzaon"), [2]);
        for label in ["", "elgoog", "paypalxx", "papyla", &"google".repeat(20)] {
            assert_eq!(near.candidates(label), [0_u32; 0], "{label}");
        }
        assert_eq!(Near::default().candidates("google"), [0_u32; 0]);
    }
}
