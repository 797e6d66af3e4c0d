//! A list in parts, so that whoever reads it again need not read what did not change.
//!
//! ```text
//! text of before   | part 1 | part 2 | part 3 …
//! text of now      | part 1 | p a r t  2 | part 3 …      parts 1 and 3 are passed over
//! ```
//!
//! A part is some dozen kilobytes of whole lines. Where it ends is said by the text behind it, so a line that comes in
//! between moves the cuts near it and no others.

use memchr::memchr;

use super::{Counts, Entry, Lines, Out, Rejected};

/// The least bytes of a part but the last.
const LEAST_BYTES: usize = 1 << 15;
/// From so many bytes on a part ends with its line.
const MOST_BYTES: usize = 1 << 17;
/// One in so many lines may be the first of a part.
const ONE_LINE_IN: u64 = 64;

/// Takes what [`parse_into`](super::parse_into) finds.
pub trait Taker {
    /// An entry.
    fn entry(&mut self, entry: Entry);

    /// A line, or a part of one, that was not understood.
    fn rejected(&mut self, rejected: Rejected);

    /// A part begins. With counts it is passed over, and counted so: its entries are known.
    ///
    /// Of a format whose lines depend on each other nothing is told of parts.
    fn begins(&mut self, part: &[u8]) -> Option<Counts> {
        let _ = part;
        None
    }

    /// The part that began last was read. `alone`: its entries were all given, nothing was rejected or taken back, and
    /// no other part has a say in them.
    fn ended(&mut self, counts: Counts, alone: bool) {
        let _ = (counts, alone);
    }
}

/// Two closures are a taker too.
impl<E: FnMut(Entry), R: FnMut(Rejected)> Taker for (E, R) {
    fn entry(&mut self, entry: Entry) {
        self.0(entry);
    }

    fn rejected(&mut self, rejected: Rejected) {
        self.1(rejected);
    }
}

/// The part that is being read.
#[derive(Default)]
pub(super) struct Open {
    /// Where it ends in the text; 0 where none is read.
    end: usize,
    /// What was counted before it.
    before: Counts,
}

impl Open {
    /// Goes on to the next part at the end of this one, past those that the taker knows.
    pub(super) fn go_on(&mut self, lines: &mut Lines<'_>, counts: &mut Counts, out: &mut Out<'_>) {
        while lines.at >= self.end {
            let part = first(lines.rest());
            if part.is_empty() {
                return;
            }
            self.close(counts, out);
            match out.taker.begins(part) {
                Some(known) => {
                    lines.pass(part.len(), known.lines);
                    *counts += known;
                    out.entries += known.entries;
                }
                None => {
                    out.alone = true;
                    self.before = Counts { entries: out.entries, ..*counts };
                    self.end = lines.at + part.len();
                }
            }
        }
    }

    /// Tells of the part that was read, if one was.
    pub(super) fn close(&mut self, counts: &Counts, out: &mut Out<'_>) {
        if std::mem::take(&mut self.end) > 0 {
            let counts = Counts { entries: out.entries, ..*counts };
            out.taker.ended(counts.since(self.before), out.alone);
        }
    }
}

/// The part that a text starts with.
fn first(text: &[u8]) -> &[u8] {
    let mut end = LEAST_BYTES;
    while let Some(line) = text.get(end..).and_then(|rest| memchr(b'\n', rest)) {
        end += line + 1;
        let Some(next) = text.get(end..).and_then(<[u8]>::first_chunk) else { break };
        if hash(next).is_multiple_of(ONE_LINE_IN) || end >= MOST_BYTES {
            return text.get(..end).unwrap_or(text);
        }
    }
    text
}

/// Of so many bytes that most lines differ in them, whatever all lines start with (`0.0.0.0 `, `address=/`).
fn hash(bytes: &[u8; 24]) -> u64 {
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    // The high half of a product depends on all of both numbers (Knuth's multiplicative hashing).
    words.fold(0, |hash: u64, word| (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32)) >> 8
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn cut(mut text: &[u8]) -> Vec<&[u8]> {
        let mut parts = Vec::new();
        while !text.is_empty() {
            let part = first(text);
            parts.push(part);
            text = &text[part.len()..];
        }
        parts
    }

    #[test]
    fn parts_are_whole_lines_of_bounded_length_and_together_the_text() {
        let lines: String = (0..100_000u64).map(|n| format!("n{}.example\r\n", n * n)).collect();
        let same = "the-same.example\n".repeat(100_000);
        let no_line = "x".repeat(MOST_BYTES * 2);
        for text in [&lines, &same, &no_line, "", "\n", "a\n"] {
            let parts = cut(text.as_bytes());
            assert_eq!(parts.concat(), text.as_bytes());
            let Some((last, others)) = parts.split_last() else { continue };
            assert!(others.iter().all(|part| part.ends_with(b"\n")));
            assert!(others.iter().all(|part| (LEAST_BYTES..MOST_BYTES + 64).contains(&part.len())));
            assert!(last.len() < MOST_BYTES + 64 || text == no_line);
        }
        assert!(cut(lines.as_bytes()).len() > 20);
    }

    #[test]
    fn a_line_in_between_changes_few_parts() {
        for start in ["", "0.0.0.0 ", "address=/", "||"] {
            let lines: Vec<String> =
                (0..100_000u64).map(|n| format!("{start}n{}.example\n", n * n)).collect();
            let text = lines.concat();
            let before: HashSet<&[u8]> = cut(text.as_bytes()).into_iter().collect();
            assert!(before.iter().filter(|part| part.len() >= MOST_BYTES).count() < 3);
            for at in [0, 1, 50_000, 99_999] {
                let mut more = lines.clone();
                more.insert(at, format!("{start}one-more.example\n"));
                let more = more.concat();
                let parts = cut(more.as_bytes());
                let others = parts.iter().filter(|part| !before.contains(*part)).count();
                assert!(others <= 3, "{start}: {others} of {} after a line at {at}", parts.len());
            }
        }
    }
}
