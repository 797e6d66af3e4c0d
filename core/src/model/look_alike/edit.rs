//! What makes a brand's label another label: one edit, with which the hand slips, or letters that fool the eye.
//!
//! The kinds are those of the usual generators of such names (dnstwist, URLCrazy).

use crate::model::skeleton::UNKNOWN;

/// What was done to a brand's label, from the surest sign of a slip to the weakest where several fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A letter became a similar one: `q` for `g`.
    Similar,
    /// A letter became a digit or a digit another.
    Digit,
    /// A vowel became another.
    Vowel,
    /// A letter became one beside it on the keyboard.
    NearKey,
    /// A letter became one that differs in one bit.
    BitFlip,
    /// A letter became any other.
    Replaced,
    /// A letter stands twice.
    Doubled,
    /// A hyphen was put in.
    Hyphen,
    /// A digit was put in.
    DigitPut,
    /// A letter was put in beside one that is near it on the keyboard.
    NearKeyPut,
    /// An `s` came to the end.
    Plural,
    /// Any other letter was put in.
    Put,
    /// A doubled letter stands once.
    Halved,
    /// A hyphen was left out.
    HyphenLeftOut,
    /// Another letter was left out.
    LeftOut,
    /// Two neighbours changed places.
    Swapped,
    /// `www` or a suffix became part of the label.
    Glued,
    /// Digits stand for letters.
    Digits,
    /// `rn` stands for `m`, or `vv` for `w`.
    Together,
    /// `i` and `l` stand for each other.
    Exchanged,
    /// Several letters stand for similar ones.
    Hasty,
    /// A pair such as `cl` stands for a similar letter, or the other way round.
    Paired,
}

/// An edit of a brand's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) kind: Kind,
    /// Where, in the edited label; its length if the last letter was left out.
    pub(super) at: usize,
}

impl Edit {
    /// The edit that made `label` of `brand`, if it was one.
    pub(super) fn between(label: &str, brand: &str) -> Option<Self> {
        let (label, brand) = (label.as_bytes(), brand.as_bytes());
        let at = label.iter().zip(brand).take_while(|(here, there)| here == there).count();
        let most = label.len().min(brand.len()) - at;
        let pairs = label.iter().rev().zip(brand.iter().rev());
        let after = pairs.take(most).take_while(|(here, there)| here == there).count();
        let here = label.get(at..label.len() - after)?;
        let there = brand.get(at..brand.len() - after)?;
        let before = at.checked_sub(1).and_then(|before| label.get(before)).copied();
        let kind = match (here, there) {
            ([now], [was]) => replaced(*now, *was),
            ([put], []) => put_in(*put, before, label.get(at + 1).copied()),
            ([], [b'-']) => Kind::HyphenLeftOut,
            ([], [gone]) if before == Some(*gone) => Kind::Halved,
            ([], [_]) => Kind::LeftOut,
            ([a, b], [c, d]) if a == d && b == c => Kind::Swapped,
            _ => return None,
        };
        Some(Self { kind, at })
    }

    /// What made `label` of `brand`, where both have the same skeleton. None if the brand is the one with digits
    /// for letters: a word is not made to look like it.
    pub(super) fn of_look_alike(label: &str, brand: &str) -> Option<Self> {
        let mut differ =
            label.bytes().zip(brand.bytes()).enumerate().filter(|(_, (here, there))| here != there);
        let at = differ.clone().next().map_or(0, |(at, _)| at);
        let kind = if label.len() != brand.len() {
            Kind::Together
        } else if differ.clone().any(|(_, (_, there))| there.is_ascii_digit()) {
            return None;
        } else if differ.any(|(_, (here, _))| here.is_ascii_digit()) {
            Kind::Digits
        } else {
            Kind::Exchanged
        };
        Some(Self { kind, at })
    }

    /// The edit in words a person reads.
    pub(super) fn said(self, label: &str, brand: &str) -> String {
        let letter = |text: &str, at: usize| text.as_bytes().get(at).copied().map_or('?', char::from);
        let (now, was) = (letter(label, self.at), letter(brand, self.at));
        match self.kind {
            Kind::Similar => format!("{now} for the similar {was}"),
            Kind::Vowel => format!("the vowel {now} for {was}"),
            Kind::NearKey => format!("{now}, a neighbour key, for {was}"),
            Kind::BitFlip => format!("{now}, one bit away, for {was}"),
            Kind::Digit | Kind::Replaced if now == UNKNOWN => format!("a letter of another script for {was}"),
            Kind::Digit | Kind::Replaced => format!("{now} for {was}"),
            Kind::Doubled => format!("{now} doubled"),
            Kind::Hyphen => "a hyphen put in".to_owned(),
            Kind::NearKeyPut => format!("{now}, a neighbour key, put in"),
            Kind::Plural | Kind::Put | Kind::DigitPut => format!("{now} put in"),
            Kind::Halved => format!("double {was} written once"),
            Kind::HyphenLeftOut => "a hyphen left out".to_owned(),
            Kind::LeftOut => format!("{was} left out"),
            Kind::Swapped => format!("{was} and {now} exchanged"),
            Kind::Glued => "www or its suffix in the label".to_owned(),
            Kind::Digits => "digits for letters".to_owned(),
            Kind::Together => "letters that run together".to_owned(),
            Kind::Exchanged => "i and l exchanged".to_owned(),
            Kind::Hasty | Kind::Paired => "similar letters".to_owned(),
        }
    }
}

fn replaced(now: u8, was: u8) -> Kind {
    if is_similar(now, was) {
        Kind::Similar
    } else if now.is_ascii_digit() || was.is_ascii_digit() {
        Kind::Digit
    } else if is_vowel(now) && is_vowel(was) {
        Kind::Vowel
    } else if are_near(now, was) {
        Kind::NearKey
    } else if (now ^ was).is_power_of_two() {
        Kind::BitFlip
    } else {
        Kind::Replaced
    }
}

fn put_in(put: u8, before: Option<u8>, after: Option<u8>) -> Kind {
    let beside = |near: &dyn Fn(u8) -> bool| before.is_some_and(near) || after.is_some_and(near);
    if before == Some(put) && put.is_ascii_lowercase() {
        Kind::Doubled
    } else if put == b'-' {
        Kind::Hyphen
    } else if put.is_ascii_digit() {
        Kind::DigitPut
    } else if after.is_none() && put == b's' {
        Kind::Plural
    } else if beside(&|other| are_near(put, other)) {
        Kind::NearKeyPut
    } else {
        Kind::Put
    }
}

fn is_vowel(letter: u8) -> bool {
    matches!(letter, b'a' | b'e' | b'i' | b'o' | b'u')
}

/// Letters that are taken for each other; those that a skeleton folds are not here.
fn is_similar(one: u8, other: u8) -> bool {
    let pairs: [&[u8; 2]; 8] = [b"gq", b"uv", b"mn", b"hn", b"ij", b"vy", b"bd", b"ce"];
    pairs.iter().any(|&&[a, b]| (a, b) == (one, other) || (b, a) == (one, other))
}

/// Whether two keys touch, on a QWERTY, QWERTZ or AZERTY keyboard.
fn are_near(one: u8, other: u8) -> bool {
    const LAYOUTS: [[&[u8]; 4]; 3] = [
        [b"1234567890", b"qwertyuiop", b"asdfghjkl", b"zxcvbnm"],
        [b"1234567890", b"qwertzuiop", b"asdfghjkl", b"yxcvbnm"],
        [b"1234567890", b"azertyuiop", b"qsdfghjklm", b"wxcvbn"],
    ];
    let key = |layout: &[&[u8]; 4], letter: u8| {
        let mut rows = layout.iter().enumerate();
        rows.find_map(|(row, keys)| Some((row, keys.iter().position(|&key| key == letter)?)))
    };
    LAYOUTS.iter().any(|layout| match (key(layout, one), key(layout, other)) {
        (Some((row, at)), Some((below, under))) if row == below => at.abs_diff(under) == 1,
        // Each row is set half a key to the right of the one above it.
        (Some((row, at)), Some((below, under))) if row + 1 == below => at == under || at == under + 1,
        (Some((below, under)), Some((row, at))) if row + 1 == below => at == under || at == under + 1,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_edit_is_told_and_two_are_none() {
        for (label, brand, kind, at) in [
            ("goog1e", "google", Kind::Digit, 4),
            ("gooqle", "google", Kind::Similar, 3),
            ("googke", "google", Kind::NearKey, 4),
            ("guogle", "google", Kind::Vowel, 1),
            ("gooele", "google", Kind::BitFlip, 3),
            ("gootle", "google", Kind::NearKey, 3),
            ("googwe", "google", Kind::Replaced, 4),
            ("gooogle", "google", Kind::Doubled, 3),
            ("goo-gle", "google", Kind::Hyphen, 3),
            ("google1", "google", Kind::DigitPut, 6),
            ("googfle", "google", Kind::NearKeyPut, 4),
            ("googles", "google", Kind::Plural, 6),
            ("googlex", "google", Kind::Put, 6),
            ("gogle", "google", Kind::Halved, 2),
            ("googe", "google", Kind::LeftOut, 4),
            ("googl", "google", Kind::LeftOut, 5),
            ("goolge", "google", Kind::Swapped, 3),
            ("tmobile", "t-mobile", Kind::HyphenLeftOut, 1),
        ] {
            let edit = Edit::between(label, brand).unwrap_or_else(|| panic!("{label} is no edit of {brand}"));
            assert_eq!((edit.kind, edit.at), (kind, at), "{label} {brand}");
            assert!(!edit.said(label, brand).contains('?'), "{}", edit.said(label, brand));
        }
        for (label, brand) in
            [("google", "google"), ("gogel", "google"), ("", "ab"), ("", ""), ("ogogel", "google")]
        {
            assert_eq!(Edit::between(label, brand), None, "{label} {brand}");
        }
    }

    #[test]
    fn look_alikes_are_told_apart() {
        let kind = |label, brand| Edit::of_look_alike(label, brand).map(|edit| edit.kind);
        assert_eq!(kind("rnicr0soft", "microsoft"), Some(Kind::Together));
        assert_eq!(kind("micr0soft", "microsoft"), Some(Kind::Digits));
        assert_eq!(kind("mlcrosoft", "microsoft"), Some(Kind::Exchanged));
        assert_eq!(kind("delta", "de17a"), None);
    }

    #[test]
    fn keys_that_touch_are_near() {
        for (one, other) in
            [(b's', b'w'), (b's', b'e'), (b's', b'z'), (b's', b'x'), (b's', b'a'), (b'p', b'0'), (b'b', b'h')]
        {
            assert!(are_near(one, other) && are_near(other, one), "{one} {other}");
        }
        for (one, other) in [(b's', b's'), (b's', b'g'), (b'1', b'z'), (b'-', b'a'), (b'o', b'h')] {
            assert!(!are_near(one, other), "{one} {other}");
        }
    }
}
