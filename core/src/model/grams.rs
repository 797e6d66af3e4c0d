//! How usual three letters beside each other are among the labels of brands.
//!
//! A slip of the finger leaves letters beside each other that no word has (`googke`); a word that happens to be
//! one edit from a brand does not. Digits count as one letter, and so does each end of a label.

const LETTERS: usize = 29;
const DIGIT: usize = 26;
const HYPHEN: usize = 27;
const END: usize = 28;

/// Counts of three letters beside each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Grams {
    counts: Vec<u8>,
}

impl Grams {
    /// Counts those of the labels.
    pub(super) fn new<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = vec![0_u8; LETTERS.pow(3)];
        for label in labels {
            for at in 0..label.len() {
                if let Some(count) = counts.get_mut(place(label.as_bytes(), at)) {
                    *count = count.saturating_add(1);
                }
            }
        }
        Self { counts }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.counts.len()
    }

    /// How usual the letters around a place are: the least and the mean of the counts' bit lengths, [0, 8].
    pub(super) fn around(&self, label: &str, place_of_edit: usize) -> (u32, u32) {
        let first = place_of_edit.saturating_sub(1);
        let last = (place_of_edit + 1).min(label.len().saturating_sub(1));
        let (mut least, mut sum, mut many) = (8, 0, 0);
        for at in first..=last {
            let count = self.counts.get(place(label.as_bytes(), at)).copied().unwrap_or(0);
            let bits = u8::BITS - count.leading_zeros();
            (least, sum, many) = (bits.min(least), sum + bits, many + 1);
        }
        (least, sum / many.max(1))
    }
}

/// The place of the three letters with the middle one at `at`.
fn place(label: &[u8], at: usize) -> usize {
    let code = |at: Option<usize>| match at.and_then(|at| label.get(at)) {
        Some(letter @ b'a'..=b'z') => usize::from(letter - b'a'),
        Some(b'0'..=b'9') => DIGIT,
        Some(_) => HYPHEN,
        None => END,
    };
    (code(at.checked_sub(1)) * LETTERS + code(Some(at))) * LETTERS + code(at.checked_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_that_stand_beside_each_other_often_are_usual() {
        let grams = Grams::new(["google", "goober", "goofy", "a"].into_iter());
        assert_eq!(grams.around("google", 1), (1, 1), "^go, goo, oog");
        assert_eq!(grams.around("gookle", 3).0, 0);
        assert_eq!(grams.around("", 0), (0, 0));
        assert_eq!(Grams::default().around("google", 5), (0, 0));
    }
}
