//! What is read off a name's labels: lengths, alphabets, and how much shorter a label would be written as a code than
//! as words.
//!
//! The last is the heart of it. A table of pairs of letters, counted in benign host names, says how many bits a
//! label costs as words; its alphabet and length say what it costs as a code (4 bits a letter for hex). The
//! difference is what writing it as a code *saves*: below nothing for `static-assets`, much for `mzxw6ytboi`.

use super::points::WORDS;

/// Shorter labels carry next to nothing.
const SHORTEST: usize = 6;
/// What a byte costs that no word has, in eighths of a bit.
const ESCAPED_COST: i32 = 96;
/// A label that saves more, in eighths of a bit, is taken for code.
const CODE: i32 = 64;

/// What the letters of a label are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alphabet {
    /// 0 to 9 only.
    Digits,
    /// a to z only.
    Letters,
    /// 0 to 9 and a to f, some of both.
    Hex,
    /// Letters, and digits of base32 (RFC 4648) or of iodine's: one end of the digits is missing.
    Base32,
    /// Letters and any digits, as base64 is once its case is folded.
    Alphanumeric,
    /// With hyphens or underscores, as base64url.
    Signs,
    /// With bytes that must be escaped, as base128.
    Bytes,
}

impl Alphabet {
    /// Bits that a letter carries, in eighths.
    fn capacity(self) -> usize {
        match self {
            Self::Digits => 27,
            Self::Letters => 38,
            Self::Hex => 32,
            Self::Base32 => 40,
            Self::Alphanumeric => 41,
            Self::Signs => 42,
            Self::Bytes => 56,
        }
    }

    /// What a person calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Digits => "digits",
            Self::Letters => "letters",
            Self::Hex => "hex",
            Self::Base32 => "base32",
            Self::Alphanumeric => "letters and digits",
            Self::Signs => "base64url",
            Self::Bytes => "bytes",
        }
    }
}

/// What speaks for and against data: one level of each group of [`super::points::POINTS`].
pub(super) type Levels = [usize; GROUPS];

pub(super) const GROUPS: usize = 17;
/// How many levels each group has.
#[cfg(test)]
pub(super) const LEVELS: Levels = [11, 16, 14, 9, 10, 6, 12, 8, 4, 7, 6, 6, 5, 7, 4, 4, 2];

/// The labels before a registrable domain, read once.
#[derive(Debug, Default)]
pub(super) struct Reading {
    labels: usize,
    /// Bits that all labels could carry, and what all of them save as codes, in eighths.
    bits: usize,
    saved: i32,
    /// How many labels are code, and how many are words.
    codes: usize,
    words: usize,
    /// Whether a whole other name stands in it, as content networks write their customers'.
    embeds: bool,
    /// The label that saves most, and its place.
    main: Label,
    main_at: usize,
    longest: usize,
    /// Labels as long as the longest.
    equal: usize,
    /// The first label, and the last.
    first: Label,
    last: Label,
}

impl Reading {
    /// Reads labels from left to right; `None` where none is long enough to carry anything.
    pub(super) fn of(prefix: &str) -> Option<Self> {
        if prefix.split('.').all(|label| label.len() < SHORTEST) {
            return None;
        }
        let mut all = Self::default();
        for (at, text) in prefix.split('.').enumerate() {
            let label = Label::of(text);
            all.bits += label.bits();
            all.saved += label.saved;
            all.codes += usize::from(label.saved > CODE);
            all.words += usize::from(label.saved <= 0 && label.len > 3);
            match label.len.cmp(&all.longest) {
                std::cmp::Ordering::Greater => (all.longest, all.equal) = (label.len, 1),
                std::cmp::Ordering::Equal => all.equal += 1,
                std::cmp::Ordering::Less => {}
            }
            all.embeds |= at > 0 && matches!(text, "com" | "net" | "org" | "cn");
            if at == 0 || label.saved > all.main.saved {
                (all.main, all.main_at) = (label, at);
            }
            if at == 0 {
                all.first = label;
            }
            all.last = label;
            all.labels += 1;
        }
        (all.longest >= SHORTEST).then_some(all)
    }

    /// Bytes that all labels could carry.
    pub(super) fn bytes(&self) -> u32 {
        (self.bits / 64) as u32
    }

    /// What the label that looks most like data is written in.
    pub(super) fn alphabet(&self) -> Alphabet {
        self.main.alphabet()
    }

    pub(super) fn levels(&self) -> Levels {
        let main = &self.main;
        let len = main.len.max(1);
        let after = self.labels - 1 - self.main_at;
        let code = usize::from(main.saved > CODE);
        [
            above(main.len, &[7, 9, 12, 16, 20, 26, 31, 32, 44, 56]),
            8 * code + if main.is_uuid() { 7 } else { main.alphabet() as usize },
            above(main.saved, &[-128, -64, -32, -8, 0, 24, 48, 80, 112, 160, 240, 360, 560]),
            above(self.saved - main.saved, &[-160, -80, -40, -16, 0, 32, 100, 300]),
            above(self.bits / 64, &[3, 5, 8, 12, 16, 24, 36, 60, 90]),
            above(self.labels, &[1, 2, 3, 4, 5]),
            6 * code + above(main.signs, &[0, 1, 2, 3, 4]),
            match main.digits {
                0 => 0,
                all if all == main.len => 7,
                some => 1 + above(some * 100 / len, &[10, 20, 30, 45, 60]),
            },
            if self.longest < 16 { 0 } else { self.equal.min(3) },
            match (after, self.last.len) {
                (0, _) => 0,
                (1, ..=2) => 1,
                (1, ..=5) => 2,
                (1, _) => 3,
                (2, _) => 4,
                (3, _) => 5,
                _ => 6,
            },
            match (self.main_at, &self.first) {
                (0, _) => 0,
                (1, first) if first.digits == first.len => 1,
                (1, first) if first.saved > 0 => 2,
                (1, first) if first.len <= 4 => 3,
                (1, _) => 4,
                _ => 5,
            },
            above(main.changes * 100 / len, &[0, 10, 20, 35, 50]),
            above(main.run, &[1, 2, 3, 5]),
            match (main.alphabet(), main.len) {
                (Alphabet::Hex, 8) => 1,
                (Alphabet::Hex, 16) => 2,
                (Alphabet::Hex, 32) => 3,
                (Alphabet::Hex, 40 | 64) => 4,
                (Alphabet::Hex, len) if len.is_multiple_of(2) => 5,
                (Alphabet::Hex, _) => 6,
                _ => 0,
            },
            self.codes.min(3),
            self.words.min(3),
            usize::from(self.embeds),
        ]
    }
}

/// Bytes that a name's labels before the registrable domain could carry.
pub(super) fn bytes(prefix: &str) -> u32 {
    let labels = prefix.split('.').filter(|label| !label.is_empty());
    (labels.map(|label| Label::of(label).bits()).sum::<usize>() / 64) as u32
}

/// How many of the limits a value is above.
fn above<T: PartialOrd>(value: T, limits: &[T]) -> usize {
    limits.iter().take_while(|&limit| value > *limit).count()
}

#[derive(Debug, Default, Clone, Copy)]
struct Label {
    /// Bytes on the wire.
    len: usize,
    digits: usize,
    /// Hyphens and underscores.
    signs: usize,
    escaped: usize,
    /// A letter beyond f; a digit of 0, 1; of 6, 7; of 8, 9.
    beyond_f: bool,
    low: bool,
    middle: bool,
    high: bool,
    /// Places where letters and digits meet.
    changes: usize,
    /// The longest run of one letter.
    run: usize,
    /// Bit i is set if there is a hyphen at i.
    hyphens: u64,
    /// Eighths of a bit that it is shorter as a code than as words.
    saved: i32,
}

impl Label {
    fn of(text: &str) -> Self {
        let mut label = Self::default();
        let (mut before, mut symbol, mut run) = (0, EDGE, 0);
        let mut cost = 0;
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            let next = symbol_of(byte);
            cost += match next {
                OTHER => ESCAPED_COST,
                next => pair(symbol, next),
            };
            match byte {
                b'0'..=b'9' => {
                    label.digits += 1;
                    label.low |= byte <= b'1';
                    label.middle |= matches!(byte, b'6' | b'7');
                    label.high |= byte >= b'8';
                }
                b'a'..=b'z' => label.beyond_f |= byte > b'f',
                b'-' | b'_' => {
                    label.signs += 1;
                    label.hyphens |= 1 << (label.len & 63);
                }
                _ => {
                    label.escaped += 1;
                    if byte == b'\\' {
                        rest.by_ref().take(3).for_each(drop);
                    }
                }
            }
            label.changes += usize::from((symbol == DIGIT) != (next == DIGIT) && label.len > 0);
            run = if byte == before { run + 1 } else { 1 };
            label.run = label.run.max(run);
            label.len += 1;
            (before, symbol) = (byte, next);
        }
        cost += pair(symbol, EDGE);
        label.saved = cost - label.as_code();
        label
    }

    fn alphabet(&self) -> Alphabet {
        match self {
            _ if self.escaped > 0 => Alphabet::Bytes,
            _ if self.signs > 0 => Alphabet::Signs,
            _ if self.digits == self.len => Alphabet::Digits,
            _ if self.digits == 0 => Alphabet::Letters,
            _ if !self.beyond_f => Alphabet::Hex,
            _ if self.high || (self.low && self.middle) => Alphabet::Alphanumeric,
            _ => Alphabet::Base32,
        }
    }

    /// Bits that it could carry, in eighths.
    fn bits(&self) -> usize {
        self.len * self.alphabet().capacity()
    }

    /// What it costs as code, in eighths of a bit.
    fn as_code(&self) -> i32 {
        match self.alphabet() {
            Alphabet::Bytes => 41 * (self.len - self.escaped) as i32 + 56 * self.escaped as i32,
            _ => self.bits() as i32,
        }
    }

    /// Whether it has the form of a UUID, as names of clouds' machines do.
    fn is_uuid(&self) -> bool {
        self.len == 36 && self.signs == 4 && self.hyphens == 1 << 8 | 1 << 13 | 1 << 18 | 1 << 23
    }
}

/// Symbols of [`WORDS`]: the edge of a label, 26 letters, digits, signs.
const EDGE: usize = 0;
const DIGIT: usize = 27;
const SIGN: usize = 28;
const OTHER: usize = 29;
pub(super) const SYMBOLS: usize = 29;

pub(super) fn symbol_of(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => usize::from(byte - b'a') + 1,
        b'0'..=b'9' => DIGIT,
        b'-' | b'_' => SIGN,
        _ => OTHER,
    }
}

/// What the second symbol costs after the first, in eighths of a bit.
fn pair(first: usize, second: usize) -> i32 {
    WORDS.get(first).and_then(|row| row.get(second)).copied().map_or(ESCAPED_COST, i32::from)
}
