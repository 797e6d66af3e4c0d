//! The schemes: what publications say of kinds of generators, as data.
//!
//! Each entry names the families whose descriptions it was written after. What is taken from them is the
//! shape (alphabet, lengths, order, suffixes) as prose and tables print it and as samples on public lists
//! show it: Plohmann et al., "A Comprehensive Measurement Study of Domain Generating Malware" (USENIX
//! Security 2016) for most, the reports that each kind names for the others. Families that differ by their
//! constants alone share an entry.

use std::ops::RangeInclusive;

use super::words::Class::{
    self, Adjectives, Endings, Formal, Given, Latin, Nouns, Places, Plain, Technical, Verbs,
};
use Label::{Base64, Changed, Drawn, Fixed, Held, Permuted, Series, Subset, Syllables, Text, Words};

/// Ranges of lengths, one of them picked first.
pub(super) type Lengths = &'static [RangeInclusive<usize>];

/// How a label is made.
pub(super) enum Label {
    /// This text.
    Fixed(&'static str),
    /// Characters of an alphabet, one by one.
    Drawn(&'static str, Lengths),
    /// Characters of as many (second) of an alphabet as a campaign picks.
    Subset(&'static str, Lengths, Lengths),
    /// Units of `c` and `v` put side by side, cut to a length.
    Syllables {
        /// What `c` stands for.
        consonants: &'static str,
        /// What `v` stands for.
        vowels: &'static str,
        /// One is picked again and again.
        units: &'static [&'static str],
        /// Where it is cut.
        lengths: Lengths,
    },
    /// A word for each slot, of one of the slot's classes, with a joint between.
    Words(&'static [&'static [Class]], &'static [&'static str]),
    /// Words, until a length is reached.
    Text(&'static [Class], Lengths),
    /// Base64 in lower case, cut to a length.
    Base64(&'static Label, Lengths),
    /// The same in a whole campaign.
    Held(&'static Label),
    /// The letters of what a campaign holds, in another order.
    Permuted(&'static Label),
    /// Letters replaced: the first ones of what a campaign holds, or any of a fresh label.
    Changed {
        /// The first ones, not any.
        first: bool,
        /// How many.
        letters: usize,
        /// By what.
        alphabet: &'static str,
        /// Of what.
        inner: &'static Label,
    },
    /// One after the other.
    Series(&'static [Label]),
}

/// A scheme.
pub(super) struct Scheme {
    /// How often, among the schemes of its kind.
    pub weight: usize,
    /// How its label is made.
    pub label: Label,
    /// One is put behind the label; the more often it stands here, the more often.
    pub suffixes: &'static [&'static str],
}

/// Schemes whose names look alike.
pub(super) struct Kind {
    /// What it is called.
    pub name: &'static str,
    /// At least one.
    pub schemes: &'static [Scheme],
}

/// The kinds, after Plohmann et al., their "arithmetic" divided by what it looks like.
pub(super) static KINDS: [Kind; 7] = [
    Kind { name: "arithmetic", schemes: ARITHMETIC },
    Kind { name: "alphanumeric", schemes: ALPHANUMERIC },
    Kind { name: "hash", schemes: HASH },
    Kind { name: "syllables", schemes: SYLLABLES },
    Kind { name: "words", schemes: WORDS },
    Kind { name: "text", schemes: TEXT },
    Kind { name: "permutation", schemes: PERMUTATION },
];

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz";
/// A remainder of 25 where 26 was meant: many generators never say `z`.
const NO_Z: &str = "abcdefghijklmnopqrstuvwxy";
const DIGITS: &str = "0123456789";
const LETTERS_DIGITS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const HEXADECIMAL: &str = "0123456789abcdef";
const CONSONANTS: &str = "bcdfghjklmnpqrstvwxz";
const SPOKEN: &str = "bcdfghjklmnprstvw";
const VOWELS: &str = "aeiou";
const VOWELS_Y: &str = "aeiouy";

const COM: &[&str] = &["com"];
const COMMON: &[&str] = &[
    "com", "com", "com", "net", "net", "org", "org", "info", "biz", "ru", "cc", "top", "xyz", "eu", "su",
    "pw", "in", "me",
];
const CLASSIC: &[&str] = &["com", "net", "org", "info", "biz"];
const RUSSIAN: &[&str] = &["ru", "su", "com", "net", "kz"];
/// Cryptolocker, GameOver Zeus, Necurs and Locky each use a handful of these.
const COUNTRIES: &[&str] = &[
    "com", "net", "org", "biz", "info", "ru", "co.uk", "de", "it", "be", "fr", "nl", "pl", "us", "in", "eu",
    "tf", "yt", "pm", "uk", "tw", "cn", "ws", "cc", "to", "tv", "la", "ac", "sc", "sh", "mx", "im", "ir",
    "kz", "tj", "me", "co", "name", "mobi", "pro", "hk", "jp", "nu", "vn", "ch", "gs", "at", "cz",
];
const CHEAP: &[&str] = &[
    "top", "xyz", "live", "life", "online", "site", "club", "space", "fun", "store", "icu", "cyou", "info",
    "click", "work", "bid", "pro", "tech", "support", "shop", "art", "fans", "com", "net",
];
const DYNAMIC: &[&str] = &[
    "ddns.net",
    "duckdns.org",
    "dyndns.org",
    "hopto.org",
    "no-ip.biz",
    "mooo.com",
    "yi.org",
    "dynserv.com",
    "zapto.org",
    "servebeer.com",
    "sytes.net",
];
const FREE_HOST: &[&str] = &["github.io", "blogspot.com", "com", "net"];

const fn scheme(weight: usize, label: Label, suffixes: &'static [&'static str]) -> Scheme {
    Scheme { weight, label, suffixes }
}

const fn syllables(units: &'static [&'static str], lengths: Lengths) -> Label {
    Syllables { consonants: CONSONANTS, vowels: VOWELS, units, lengths }
}

/// Letters, each as likely as another, by congruences and shifts over a date or a constant. Porras et al.,
/// "An Analysis of Conficker's Logic and Rendezvous Points" (SRI, 2009); Stone-Gross et al., "Your Botnet is
/// My Botnet" (Torpig, CCS 2009); Plohmann et al. for the rest.
const ARITHMETIC: &[Scheme] = &[
    // Conficker A and B: 5 to 11; C: 4 to 9.
    scheme(8, Drawn(LETTERS, &[5..=11, 4..=9]), &["com", "net", "org", "info", "biz", "ws", "cn", "cc"]),
    // Virut: six letters; Torpig, Proslikefan (6 to 12), Expiro: short ones.
    scheme(5, Drawn(LETTERS, &[6..=8, 6..=12]), COMMON),
    // Necurs (7 to 21), Locky (5 to 17), Nymaim (5 to 12), Hesperbot (8 to 24), DirCrypt (8 to 20).
    scheme(6, Drawn(NO_Z, &[5..=17, 7..=21, 8..=12]), COUNTRIES),
    // Cryptolocker, Tinba, Feodo, Bedep, Ranbyus, Mirai, Flubot, Emotet: one length, 12 to 18.
    scheme(8, Drawn(NO_Z, &[12..=12, 12..=15, 14..=14, 14..=17, 16..=16, 18..=18]), COUNTRIES),
    scheme(3, Drawn(LETTERS, &[12..=18, 10..=16]), CLASSIC),
    // Ramnit (8 to 19), Tempedreve (7 to 11), Fobber (10 or 17).
    scheme(6, Drawn(LETTERS, &[8..=19, 7..=11, 10..=10, 17..=17]), COMMON),
    // Qakbot (8 to 25), Zloader (20), GameOver Zeus (11 to 32), Murofet (to 47): long ones.
    scheme(5, Drawn(LETTERS, &[8..=25, 20..=20, 11..=32]), CLASSIC),
    scheme(1, Drawn(LETTERS, &[24..=44]), CLASSIC),
    // Bedep and Rovnix: letters, and a digit or two at the end.
    scheme(1, Series(&[Drawn(LETTERS, &[9..=16]), Drawn(DIGITS, &[1..=2])]), COM),
    // Ramdo: every other letter of the alphabet.
    scheme(2, Drawn("acegikmoqsuwy", &[16..=16, 14..=16]), &["org", "com", "net"]),
    // Padcrypt, Mydoom, Bazar: few letters, which stand for digits.
    scheme(3, Subset(LETTERS, &[8..=13], &[8..=16, 12..=12, 16..=16]), COMMON),
    scheme(1, Drawn("abcdefghijkl", &[10..=16]), COMMON),
    // Dmsniff, Torpig: a campaign's first letters, then others.
    scheme(1, Series(&[Held(&Drawn(LETTERS, &[2..=3])), Drawn(LETTERS, &[5..=8])]), COMMON),
    // Kraken's first: under free dynamic DNS.
    scheme(2, Drawn(LETTERS, &[6..=12]), DYNAMIC),
    // Qsnatch: as short as can be, under any suffix.
    scheme(1, Drawn(LETTERS, &[4..=6]), COUNTRIES),
    // Tofsee: three letters twice, then one.
    scheme(
        1,
        Series(&[Held(&Drawn(LETTERS, &[3..=3])), Held(&Drawn(LETTERS, &[3..=3])), Drawn(LETTERS, &[1..=1])]),
        &["biz", "ch"],
    ),
];

/// Letters and digits, each as likely as another. Plohmann et al.; vendors' reports on the younger ones.
const ALPHANUMERIC: &[Scheme] = &[
    // GameOver Zeus after its fall (20 to 28).
    scheme(3, Drawn(LETTERS_DIGITS, &[20..=28, 24..=28]), CLASSIC),
    // Chinad, Rovnix (16 to 18), Qadars (12), Shiotob (10 to 15), Reconyc (10), Bumblebee (11).
    scheme(5, Drawn(LETTERS_DIGITS, &[10..=15, 12..=12, 16..=18, 10..=11]), COMMON),
    scheme(2, Drawn(LETTERS_DIGITS, &[10..=16]), CHEAP),
    // Shiotob starts with a letter and has fewer digits.
    scheme(2, Series(&[Drawn(LETTERS, &[1..=4]), Drawn(LETTERS_DIGITS, &[8..=11])]), CLASSIC),
    scheme(1, Drawn("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz123456789", &[10..=15]), CLASSIC),
    // Corebot: under dynamic DNS, some of the letters only.
    scheme(2, Subset(LETTERS_DIGITS, &[18..=26], &[12..=23]), DYNAMIC),
    // Qsnatch.
    scheme(1, Drawn(LETTERS_DIGITS, &[5..=8]), COUNTRIES),
];

/// Digests of a date and a counter, or their heads, and other codes. Plohmann et al.; "Dyre: Emerging threat
/// on financial fraud landscape" (Symantec, 2015); "CCleanup: A Vast Number of Machines at Risk" (Talos,
/// 2017).
const HASH: &[Scheme] = &[
    // Bamital, Omexo, Tinynuke (32), Gspy (16); Dyre puts a letter before.
    scheme(4, Drawn(HEXADECIMAL, &[32..=32, 16..=16, 10..=12, 20..=24]), CLASSIC),
    scheme(
        2,
        Series(&[Drawn(LETTERS, &[1..=1]), Drawn(HEXADECIMAL, &[33..=33])]),
        &["cc", "ws", "to", "in", "hk", "cn", "tk", "so"],
    ),
    // Orchard, DarkWatchman, Sharkbot, Monerominer (13), Enviserv (10): heads of digests, cheap suffixes.
    scheme(4, Drawn(HEXADECIMAL, &[8..=8, 16..=16, 13..=13, 10..=10]), CHEAP),
    scheme(1, Drawn(HEXADECIMAL, &[8..=12]), DYNAMIC),
    // CCleaner's back door: a fixed head before a digest.
    scheme(1, Series(&[Held(&Drawn(LETTERS, &[2..=3])), Drawn(HEXADECIMAL, &[8..=13, 32..=32])]), COMMON),
    // Padcrypt: the digits of a digest written with letters.
    scheme(3, Drawn("abcdefklmno", &[16..=16, 24..=24]), COUNTRIES),
    scheme(2, Subset(LETTERS, &[10..=16], &[16..=16, 24..=24]), COMMON),
    // Sisron, Sharkbot: a date in base64.
    scheme(2, Base64(&Drawn(DIGITS, &[8..=9]), &[11..=12]), CLASSIC),
    scheme(1, Base64(&Series(&[Drawn(DIGITS, &[3..=4]), Drawn(LETTERS, &[8..=12])]), &[14..=20]), CHEAP),
    // Infy's first: a word and a number.
    scheme(1, Series(&[Held(&Words(&[&[Nouns, Technical]], &[""])), Drawn(DIGITS, &[3..=5])]), CHEAP),
];

/// What can be spoken and means nothing. Royal, "Analysis of the Kraken Botnet" (Damballa, 2008), and that
/// house on Pushdo (2013); Plohmann et al.
const SYLLABLES: &[Scheme] = &[
    // Simda: a consonant and a vowel by turns, 5 to 11 letters.
    scheme(4, syllables(&["cv"], &[7..=7, 5..=11]), &["com", "eu", "info", "net", "su"]),
    scheme(
        3,
        Syllables {
            consonants: CONSONANTS,
            vowels: VOWELS_Y,
            units: &["cv", "cv", "cvc"],
            lengths: &[7..=13],
        },
        COMMON,
    ),
    // Pushdo: syllables of two or three letters.
    scheme(
        4,
        Syllables {
            consonants: SPOKEN,
            vowels: VOWELS,
            units: &["cv", "cvc", "cvv"],
            lengths: &[8..=8, 9..=12],
        },
        RUSSIAN,
    ),
    // Pykspa, Vawtrak, Oderoor: near to a language, with clusters.
    scheme(
        3,
        Syllables {
            consonants: SPOKEN,
            vowels: VOWELS_Y,
            units: &["cv", "vc", "cvc", "ccv", "vcc"],
            lengths: &[6..=12, 7..=12],
        },
        COMMON,
    ),
    scheme(
        2,
        Syllables { consonants: LETTERS, vowels: VOWELS, units: &["cv", "cvc", "vc"], lengths: &[6..=15] },
        &["com", "biz", "info", "net", "org", "cc"],
    ),
    // Bazar: vowels first as often as not.
    scheme(
        3,
        Syllables {
            consonants: CONSONANTS,
            vowels: VOWELS_Y,
            units: &["vc", "cv", "vc"],
            lengths: &[8..=8, 8..=10],
        },
        &["bazar", "com", "net", "bit"],
    ),
    // Pitou: two vowels after a consonant.
    scheme(2, syllables(&["cvv", "cv", "cvvc"], &[8..=10]), COMMON),
    // Kraken: syllables with an English ending.
    scheme(2, Series(&[syllables(&["cv", "cvc", "vc"], &[4..=8]), Words(&[&[Endings]], &[""])]), DYNAMIC),
    scheme(1, Series(&[syllables(&["cv", "cvc", "vc"], &[4..=8]), Words(&[&[Endings]], &[""])]), COMMON),
    // Symmi: under dynamic DNS.
    scheme(2, syllables(&["cv", "vc", "cvv"], &[8..=15]), DYNAMIC),
];

/// A few words of a list. Geffner, "End-to-End Analysis of a Domain Generating Algorithm Malware Family"
/// (Suppobox, Black Hat 2013); Check Point on Matsnu (2015); 360 Netlab on BigViktor (2020).
const WORDS: &[Scheme] = &[
    // Suppobox, Pizd: two words of one list.
    scheme(
        9,
        Words(&[&[Nouns, Verbs, Adjectives, Plain], &[Nouns, Verbs, Adjectives]], &[""]),
        &["net", "net", "com", "ru", "org"],
    ),
    scheme(2, Words(&[&[Given], &[Given, Nouns]], &[""]), &["net", "com"]),
    // Matsnu: noun, verb, noun, up to 24 letters, sometimes with hyphens.
    scheme(4, Words(&[&[Nouns, Verbs], &[Verbs, Nouns], &[Nouns]], &["", "", "-"]), COM),
    scheme(3, Words(&[&[Nouns], &[Verbs], &[Nouns], &[Verbs]], &["", "", "-"]), COM),
    // Nymaim's second generator: two words, under many suffixes, sometimes with a hyphen.
    scheme(
        5,
        Words(&[&[Nouns, Verbs, Adjectives, Plain, Technical], &[Places, Nouns, Verbs, Formal]], &["", "-"]),
        COUNTRIES,
    ),
    // BigViktor: verb, adjective, noun.
    scheme(3, Words(&[&[Verbs], &[Adjectives], &[Nouns]], &["", "-"]), CHEAP),
    // Beebone, Fosniw: a word or two with a number.
    scheme(2, Series(&[Words(&[&[Nouns, Verbs], &[Nouns]], &[""]), Drawn(DIGITS, &[1..=3])]), COMMON),
    scheme(
        1,
        Series(&[
            Fixed("app"),
            Drawn(LETTERS, &[1..=1]),
            Fixed("."),
            Held(&Words(&[&[Technical, Places], &[Technical]], &[""])),
            Drawn(DIGITS, &[1..=3]),
        ]),
        COM,
    ),
    // Two characters of a known name replaced: Peck et al., "CharBot: A Simple and Effective Method for
    // Evading DGA Classifiers" (2019).
    scheme(
        4,
        Changed {
            first: false,
            letters: 2,
            alphabet: LETTERS_DIGITS,
            inner: &Words(&[&[Nouns, Technical, Given, Places], &[Nouns, Verbs, Technical]], &["", "", "-"]),
        },
        COUNTRIES,
    ),
    scheme(
        2,
        Changed {
            first: false,
            letters: 2,
            alphabet: LETTERS_DIGITS,
            inner: &Words(&[&[Nouns, Verbs, Given, Technical, Places, Formal]], &[""]),
        },
        COUNTRIES,
    ),
];

/// Words of a running text, until there are enough letters. Plohmann et al. on Gozi and Rovnix;
/// Curtin et al., "Detecting DGA domains with recurrent neural networks and side information" (2018).
const TEXT: &[Scheme] = &[
    // Gozi: standards, constitutions, Latin theses (12 to 24).
    scheme(4, Text(&[Plain, Plain, Technical, Technical, Nouns, Verbs], &[10..=20]), &["com", "com", "ru"]),
    scheme(3, Text(&[Plain, Formal, Formal, Verbs, Nouns], &[10..=20]), &["com", "com", "ru"]),
    scheme(3, Text(&[Latin], &[10..=20]), &["com", "com", "ru"]),
    // Rovnix: the words of a declaration (18 and more).
    scheme(
        5,
        Text(&[Plain, Plain, Formal, Formal], &[16..=26]),
        &["com", "com", "com", "biz", "net", "cn", "ru"],
    ),
    scheme(2, Text(&[Plain, Nouns, Verbs, Adjectives], &[14..=24]), COMMON),
];

/// One name, turned about. "Volatile Cedar" (Check Point, 2015); Plohmann et al. on Banjori.
const PERMUTATION: &[Scheme] = &[
    // Volatile Cedar: letters of a plain name swapped.
    scheme(4, Permuted(&Words(&[&[Technical, Nouns], &[Technical, Nouns]], &[""])), COMMON),
    scheme(1, Permuted(&Subset(LETTERS, &[5..=8], &[5..=8])), FREE_HOST),
    // Banjori: the first four letters of a long seed.
    scheme(
        4,
        Changed {
            first: true,
            letters: 4,
            alphabet: LETTERS,
            inner: &Series(&[
                Words(&[&[Nouns, Given, Adjectives], &[Nouns, Adjectives]], &[""]),
                Drawn(LETTERS, &[2..=6]),
            ]),
        },
        COM,
    ),
    scheme(
        2,
        Changed { first: true, letters: 4, alphabet: LETTERS, inner: &Drawn(LETTERS, &[15..=24]) },
        COM,
    ),
    // DarkCracks: the first three of a short one.
    scheme(2, Changed { first: true, letters: 3, alphabet: LETTERS, inner: &Drawn(LETTERS, &[9..=12]) }, COM),
];
