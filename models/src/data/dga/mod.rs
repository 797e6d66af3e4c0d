//! Generators of algorithmic names, our own, after what publications say of their kinds.
//!
//! ```text
//! schemes.rs  a table: how the label of each scheme is made, under which suffixes, how often
//! words.rs    words, typed out for this
//! mod.rs      one engine that draws names from the table
//! ```
//!
//! No scheme is a copy of a program or of its constants, and no name of a real campaign is meant: a scheme
//! says which letters, how many, in which order. The surprise: names come in campaigns, as malware's
//! do: a campaign keeps what is held (a seed word, a choice of letters), and only the rest varies.

mod schemes;
mod words;

use std::collections::HashSet;

use super::random::{Random, mix};
use schemes::{KINDS, Label, Scheme};
use words::Class;

/// How many names share a seed, and with it what a campaign holds.
const CAMPAIGN: usize = 16;

/// `count` names, none twice, evenly of every kind, the same for the same seed.
pub fn names(count: usize, seed: u64) -> Vec<String> {
    labelled(count, seed).into_iter().map(|(_, name)| name).collect()
}

/// A word of any class.
pub(super) fn word(random: &mut Random) -> &'static str {
    let class = *random.pick(&Class::ALL);
    random.pick::<&str>(class.words())
}

/// The names of [`names`], each with the kind of its scheme.
pub fn labelled(count: usize, seed: u64) -> Vec<(&'static str, String)> {
    let mut random = Random::new(seed ^ 0xD6A);
    let mut drawn = KINDS.each_ref().map(|kind| vec![0; kind.schemes.len()]);
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(count);
    while names.len() < count {
        let at = names.len() % KINDS.len();
        let kind = &KINDS[at];
        let (nth, scheme) = choose(kind.schemes, &mut random);
        let parts = [at, nth, drawn[at][nth] / CAMPAIGN];
        let campaign = parts.iter().fold(seed, |seed, &part| mix(seed.wrapping_add(part as u64 + 1)));
        // One that was there before counts too, so a campaign that has no more ends.
        drawn[at][nth] += 1;
        let mut draw = Draw { campaign: Random::new(campaign), random: &mut random };
        let label = draw.label(&scheme.label);
        let name = format!("{label}.{}", draw.random.pick(scheme.suffixes));
        if seen.insert(name.clone()) {
            names.push((kind.name, name));
        }
    }
    names
}

/// One of them by weight, and which.
fn choose(schemes: &'static [Scheme], random: &mut Random) -> (usize, &'static Scheme) {
    let mut left = random.below(schemes.iter().map(|scheme| scheme.weight).sum());
    for (nth, scheme) in schemes.iter().enumerate() {
        match left.checked_sub(scheme.weight) {
            Some(rest) => left = rest,
            None => return (nth, scheme),
        }
    }
    (0, &schemes[0])
}

/// One name in the making: what the whole campaign shares, and what is the name's own.
struct Draw<'a> {
    campaign: Random,
    random: &'a mut Random,
}

impl Draw<'_> {
    fn label(&mut self, label: &Label) -> String {
        match *label {
            Label::Fixed(text) => text.to_owned(),
            Label::Drawn(alphabet, lengths) => {
                let length = self.length(lengths);
                self.drawn(alphabet.as_bytes(), length)
            }
            Label::Subset(alphabet, sizes, lengths) => {
                let mut letters = alphabet.as_bytes().to_vec();
                self.campaign.shuffle(&mut letters);
                let range = self.campaign.pick(sizes);
                letters.truncate(range.start() + self.campaign.below(range.end() - range.start() + 1));
                let length = self.length(lengths);
                self.drawn(&letters, length)
            }
            Label::Syllables { consonants, vowels, units, lengths } => {
                let length = self.length(lengths);
                let mut text = String::new();
                while text.len() < length {
                    for unit in self.random.pick(units).bytes() {
                        let from = if unit == b'v' { vowels } else { consonants };
                        text.push(char::from(*self.random.pick(from.as_bytes())));
                    }
                }
                text.truncate(length);
                text
            }
            Label::Words(slots, joints) => {
                let joint = *self.random.pick(joints);
                let words: Vec<String> = slots.iter().map(|classes| self.word(classes)).collect();
                words.join(joint)
            }
            Label::Text(classes, lengths) => {
                let (length, mut text) = (self.length(lengths), String::new());
                while text.len() < length {
                    text.push_str(&self.word(classes));
                }
                text
            }
            Label::Base64(inner, lengths) => {
                let (text, length) = (self.label(inner), self.length(lengths));
                let mut code = base64(text.as_bytes());
                code.truncate(length);
                code
            }
            Label::Held(inner) => self.held(inner),
            Label::Permuted(inner) => {
                let mut bytes = self.held(inner).into_bytes();
                if self.random.below(2) == 0 {
                    self.random.shuffle(&mut bytes);
                } else {
                    for _ in 0..1 + self.random.below(4) {
                        let last = bytes.len() - 1;
                        bytes.swap(self.random.below(last), 1 + self.random.below(last));
                    }
                }
                bytes.into_iter().map(char::from).collect()
            }
            Label::Changed { first, letters, alphabet, inner } => {
                let text = if first { self.held(inner) } else { self.label(inner) };
                let mut bytes = text.into_bytes();
                for i in 0..letters {
                    let at = if first { i.min(bytes.len() - 1) } else { self.random.below(bytes.len()) };
                    bytes[at] = *self.random.pick(alphabet.as_bytes());
                }
                bytes.into_iter().map(char::from).collect()
            }
            Label::Series(parts) => parts.iter().map(|part| self.label(part)).collect(),
        }
    }

    /// The same for a whole campaign.
    fn held(&mut self, inner: &Label) -> String {
        let mut shared = self.campaign.clone();
        Draw { campaign: self.campaign.clone(), random: &mut shared }.label(inner)
    }

    fn length(&mut self, lengths: schemes::Lengths) -> usize {
        let range = self.random.pick(lengths);
        range.start() + self.random.below(range.end() - range.start() + 1)
    }

    fn drawn(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(*self.random.pick(alphabet))).collect()
    }

    /// A word of one of these classes, one in five in a form that no list has to hold.
    fn word(&mut self, classes: &[Class]) -> String {
        let class = *self.random.pick(classes);
        let mut word = (*self.random.pick(class.words())).to_owned();
        let endings: &[&str] = match class {
            Class::Nouns | Class::Technical => &["s", "s", "s", "ing", "er"],
            Class::Verbs | Class::Formal => &["s", "ed", "ing", "er"],
            Class::Adjectives => &["ly", "er", "est", "ness"],
            _ => return word,
        };
        let ending = match self.random.below(15) {
            0..2 => *self.random.pick(endings),
            2 => *self.random.pick(Class::Endings.words()),
            _ => return word,
        };
        if ending.starts_with(['e', 'i', 'a', 'o', 'y']) && word.ends_with(['e', 'y']) {
            word.pop();
        }
        word + ending
    }
}

/// Base64 (RFC 4648 section 4) in lower case and without padding, as a label can hold it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz0123456789ab";
    let mut code = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().enumerate().fold(0u32, |word, (i, &byte)| word | u32::from(byte) << (16 - 8 * i));
        for i in 0..=chunk.len() {
            code.push(char::from(DIGITS[(word >> (18 - 6 * i) & 63) as usize]));
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnsvet_core::name::Name;
    use std::collections::HashMap;

    #[test]
    fn every_generated_name_is_a_name_with_a_registrable_domain() {
        let generated = names(14_000, 3);
        for name in &generated {
            let parsed = Name::parse(name).unwrap();
            assert_eq!(parsed.as_str(), name);
            assert!(parsed.registrable_domain().is_some(), "{name}");
        }
        let distinct: HashSet<&String> = generated.iter().collect();
        assert_eq!(distinct.len(), generated.len());
        assert_eq!(generated[..700], names(700, 3));
        assert_eq!(generated, names(14_000, 3));
        assert_ne!(generated, names(14_000, 4));
    }

    #[test]
    fn kinds_come_evenly_and_each_scheme_can_be_drawn() {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for (kind, _) in labelled(700, 3) {
            *counts.entry(kind).or_default() += 1;
        }
        assert_eq!(counts.len(), KINDS.len());
        assert!(counts.values().all(|&count| count == 700 / KINDS.len()));
        for scheme in KINDS.iter().flat_map(|kind| kind.schemes) {
            assert!(scheme.weight > 0 && !scheme.suffixes.is_empty());
        }
    }

    const INNER: Label = Label::Text(&[Class::Nouns], &[12..=12]);

    #[test]
    fn a_campaign_holds_what_it_holds() {
        let mut random = Random::new(1);
        let mut draw = Draw { campaign: Random::new(7), random: &mut random };
        let held = draw.held(&INNER);
        let (a, b) = (draw.label(&Label::Permuted(&INNER)), draw.label(&Label::Permuted(&INNER)));
        let sorted = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.sort_unstable();
            bytes
        };
        assert_eq!((sorted(&a), sorted(&b)), (sorted(&held), sorted(&held)));
        assert_ne!(a, b);
        let changed = draw.label(&Label::Changed { first: true, letters: 4, alphabet: "xyz", inner: &INNER });
        assert_eq!(changed[4..], held[4..]);
    }

    #[test]
    fn base64_in_lower_case_is_what_the_rfc_says() {
        for (text, code) in [("f", "zg"), ("fo", "zm8"), ("foo", "zm9v"), ("foobar", "zm9vymfy")] {
            assert_eq!(base64(text.as_bytes()), code);
        }
    }

    #[test]
    fn words_are_in_lower_case_and_each_once_in_its_class() {
        let mut all: HashSet<&str> = HashSet::new();
        for class in Class::ALL {
            let words = class.words();
            assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
            assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len(), "{class:?}");
            all.extend(words);
        }
        assert!(all.len() > 3_000, "{} words", all.len());
    }
}
