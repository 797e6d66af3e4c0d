//! The skeleton of a label (UTS #39): what is left of it for the eye.

use super::confusables::{self, Kind};

/// A label as the eye takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skeleton {
    /// Every character read as plain letters and digits: `раypаl` is `paypal`, `paypa1` stays.
    pub(super) plain: String,
    /// `plain` with digits read as letters and pairs as one letter; only good to compare.
    pub(super) folded: String,
    /// It holds a Latin letter with a mark, or of a kind that few languages write.
    pub(super) accents: bool,
    /// One of those is not in Latin-1, so few languages write it.
    pub(super) rare_accents: bool,
    /// It holds a letter of another script.
    pub(super) look_alikes: bool,
    /// It holds plain letters.
    pub(super) latin: bool,
    /// It holds one character that looks like no plain one: [`UNKNOWN`] in `plain`.
    pub(super) unknown: bool,
    /// It may be read in a second way.
    pub(super) ambiguous: bool,
}

/// Stands for a character that looks like no plain one. No name holds it.
pub(super) const UNKNOWN: char = '?';

impl Skeleton {
    /// The skeleton of a label in A-label form. `None` if it does not decode, or holds more than one character
    /// that looks like no plain one.
    pub(super) fn of(label: &str) -> Option<Self> {
        Self::read_as(label, |_| None)
    }

    /// The skeleton by the second reading of those characters that have two.
    pub(super) fn second_of(label: &str) -> Option<Self> {
        Self::read_as(label, confusables::second)
    }

    /// Whether it is written in other scripts alone.
    pub(super) fn is_foreign(&self) -> bool {
        (self.look_alikes || self.unknown) && !self.latin
    }

    fn read_as(label: &str, second: impl Fn(char) -> Option<&'static str>) -> Option<Self> {
        let mut skeleton = Self {
            plain: String::with_capacity(label.len()),
            folded: String::new(),
            accents: false,
            rare_accents: false,
            look_alikes: false,
            latin: false,
            unknown: false,
            ambiguous: false,
        };
        match label.strip_prefix("xn--") {
            None => {
                skeleton.plain.push_str(label);
                skeleton.latin = true;
            }
            Some(encoded) => {
                for character in idna::punycode::decode_to_string(encoded)?.chars() {
                    skeleton.read(character, second(character))?;
                }
            }
        }
        skeleton.folded = fold(&skeleton.plain);
        Some(skeleton)
    }

    fn read(&mut self, character: char, second: Option<&str>) -> Option<()> {
        if character.is_ascii() {
            self.plain.push(character.to_ascii_lowercase());
            self.latin |= character.is_ascii_alphabetic();
        } else if confusables::is_mark(character) {
            (self.accents, self.rare_accents) = (true, true);
        } else if let Some((first, kind)) = confusables::plain(character) {
            self.plain.push_str(second.unwrap_or(first));
            self.ambiguous |= confusables::second(character).is_some();
            match kind {
                Kind::LookAlike if !is_latin(character) => self.look_alikes = true,
                Kind::LookAlike | Kind::Accent => {
                    self.accents = true;
                    self.latin = true;
                    self.rare_accents |= character > '\u{ff}';
                }
            }
        } else if self.unknown {
            return None;
        } else {
            self.unknown = true;
            self.plain.push(UNKNOWN);
        }
        Some(())
    }
}

/// Whether a letter outside ASCII is of the Latin script: `ə` is a letter of Azerbaijan.
fn is_latin(character: char) -> bool {
    let block = u32::from(character);
    matches!(block, 0x80..=0x2af | 0x1d00..=0x1dbf | 0x1e00..=0x1eff | 0x2c60..=0x2c7f | 0xa720..=0xa7ff | 0xab30..=0xab6f)
}

/// Digits as the letters that they stand for, `i` as `l`, `rn` as `m`, `vv` as `w`.
pub(super) fn fold(plain: &str) -> String {
    let mut folded = String::with_capacity(plain.len());
    for byte in plain.bytes() {
        let letter = letter_of(byte);
        let pair = match letter {
            'n' if folded.ends_with('r') => Some('m'),
            'v' if folded.ends_with('v') => Some('w'),
            _ => None,
        };
        match pair {
            Some(one) => {
                folded.pop();
                folded.push(one);
            }
            None => folded.push(letter),
        }
    }
    folded
}

/// A plain label folded further, with letters read alike that only a hasty eye takes for each other: `q` as `g`, `b`
/// as `d`, `cl` as `d`, `nn` as `m`. Many words become one by it; only good to look for what is then compared.
pub(super) fn widen(plain: &str) -> String {
    let mut wide = String::with_capacity(plain.len());
    let mut before = None;
    for letter in plain.bytes() {
        let letter = if letter == b'1' { b'l' } else { letter };
        // Here `i` is no `l`: `discord` is `cliscord`.
        let pair = match (before, letter) {
            (Some(b'c'), b'l') => Some(b'd'),
            (Some(b'l'), b'b') => Some(b'b'),
            (Some(b'l'), b'h') => Some(b'h'),
            (Some(b'l'), b'c') => Some(b'k'),
            (Some(b'n'), b'n') | (Some(b'r'), b'n' | b'r') => Some(b'm'),
            (Some(b'v'), b'v') => Some(b'w'),
            _ => None,
        };
        before = Some(letter);
        if pair.is_some() {
            wide.pop();
            before = None;
        }
        wide.push(match letter_of(pair.unwrap_or(letter)) {
            'q' => 'g',
            'v' => 'u',
            'n' => 'm',
            'b' => 'd',
            'c' => 'e',
            'j' => 'l',
            other => other,
        });
    }
    wide
}

/// A digit as the letter that it stands for, `i` as `l`.
fn letter_of(letter: u8) -> char {
    match letter {
        b'0' => 'o',
        b'1' | b'i' => 'l',
        b'2' => 'z',
        b'3' => 'e',
        b'4' => 'a',
        b'5' => 's',
        b'6' | b'8' => 'b',
        b'7' => 't',
        b'9' => 'g',
        other => char::from(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(label: &str) -> Skeleton {
        let name = crate::name::Name::parse(label).unwrap();
        Skeleton::of(name.as_str()).unwrap()
    }

    #[test]
    fn labels_that_look_the_same_have_the_same_skeleton() {
        for (one, other) in [
            ("paypal", "раураӏ"),
            ("paypal", "paypa1"),
            ("paypal", "pàypál"),
            ("microsoft", "rnicr0s0ft"),
            ("microsoft", "mlcrosoft"),
            ("wellsfargo", "vvellsfarg0"),
            ("google", "gооgle"),
            ("facebook", "faceb00k"),
            ("twitter", "tw1tter"),
        ] {
            assert_eq!(of(one).folded, of(other).folded, "{one} {other}");
        }
        for (one, other) in [("paypal", "paypol"), ("google", "googles"), ("amazon", "anazon")] {
            assert_ne!(of(one).folded, of(other).folded, "{one} {other}");
        }
    }

    #[test]
    fn what_a_hasty_eye_reads_alike_is_wide() {
        for (one, other) in [
            ("discord", "cliscord"),
            ("dropbox", "clropdox"),
            ("google", "qooqle"),
            ("netflix", "me7f1ix"),
            ("amazon", "annazon"),
            ("kaltura", "lcaltura"),
            ("vmware", "unnvvare"),
        ] {
            assert_eq!(widen(one), widen(other), "{one} {other}");
        }
        assert_ne!(widen("google"), widen("gaagle"));
    }

    #[test]
    fn marks_and_other_scripts_are_told_apart() {
        let accents = of("pàypal");
        assert!(accents.accents && !accents.look_alikes);
        let cyrillic = of("pаypal");
        assert!(!cyrillic.accents && cyrillic.look_alikes);
        let plain = of("paypal");
        assert!(!plain.accents && !plain.look_alikes);
    }

    #[test]
    fn some_characters_have_a_second_reading() {
        let name = crate::name::Name::parse("faceßook").unwrap();
        assert!(of("faceßook").ambiguous && of("faceßook").plain == "facessook");
        assert_eq!(Skeleton::second_of(name.as_str()).unwrap().plain, "facebook");
        assert!(!of("fácebook").ambiguous);
    }

    #[test]
    fn one_character_that_looks_like_no_plain_one_is_kept_apart() {
        assert_eq!((of("faceジook").plain.as_str(), of("faceジook").unknown), ("face?ook", true));
    }

    #[test]
    fn what_looks_like_no_latin_word_has_no_skeleton() {
        assert_eq!(Skeleton::of(crate::name::Name::parse("例え").unwrap().as_str()), None);
        for broken in ["xn--", "xn--\\255", "xn--99999999999999", "xn--a-"] {
            assert!(Skeleton::of(broken).is_none_or(|skeleton| skeleton.plain.len() < 8), "{broken}");
        }
    }
}
