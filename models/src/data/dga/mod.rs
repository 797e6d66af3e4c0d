//! Generators of algorithmic names, our own, after what publications say of their kinds.
//!
//! Plohmann et al., "A Comprehensive Measurement Study of Domain Generating Malware" (USENIX Security
//! 2016), sort generators by seed (date or constant) and by scheme: arithmetic, hash, word list,
//! permutation. Each kind here follows that description; none is a copy of any program, and no name of
//! a real campaign is meant.

use super::random::{Random, mix};

/// `count` names, evenly of every kind, the same for the same seed.
pub fn names(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed ^ 0xD6A);
    (0..count).map(|i| KINDS[i % KINDS.len()](&mut random)).collect()
}

type Kind = fn(&mut Random) -> String;
const KINDS: [Kind; 8] =
    [linear, dated, hexadecimal, alphanumeric, two_words, syllables, dynamic, word_and_digits];

const COMMON: [&str; 14] =
    ["com", "net", "org", "info", "biz", "ru", "cc", "top", "xyz", "eu", "su", "pw", "in", "me"];
const CONSONANTS: &[u8] = b"bcdfghjklmnpqrstvwxz";
const VOWELS: &[u8] = b"aeiouy";

/// Arithmetic, constant seed: letters from a linear congruential generator (Numerical Recipes' constants).
fn linear(random: &mut Random) -> String {
    let mut state = random.bits() as u32;
    let mut step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 16
    };
    let length = 7 + step() % 9;
    let label: String = (0..length).map(|_| char::from(b'a' + (step() % 26) as u8)).collect();
    format!("{label}.{}", random.pick(&COMMON))
}

/// Arithmetic, date as seed: a fixed length for each campaign, shift registers over year, month, day.
fn dated(random: &mut Random) -> String {
    let (year, month, day) = (2014 + random.below(13), 1 + random.below(12), 1 + random.below(28));
    let mut state = [year as u32, month as u32 * 0x9E37, day as u32 * 0x79B9];
    let length = 12 + random.below(7);
    let label: String = (0..length)
        .map(|i| {
            for part in &mut state {
                *part ^= (*part << 13).wrapping_add((i as u32).wrapping_mul(0x85EB_CA6B));
                *part ^= *part >> 17;
                *part ^= *part << 5;
            }
            char::from(b'a' + ((state[0] ^ state[1] ^ state[2] ^ random.bits() as u32) % 25) as u8)
        })
        .collect();
    format!("{label}.{}", random.pick(&COMMON))
}

/// Hash: the first hex digits of a digest of date and counter.
fn hexadecimal(random: &mut Random) -> String {
    let digits = format!("{:016x}{:016x}", mix(random.bits()), mix(random.bits()));
    let length = [8, 12, 16, 20, 32][random.below(5)];
    format!("{}.{}", &digits[..length], random.pick(&COMMON))
}

/// Hash, written with letters and digits: long labels.
fn alphanumeric(random: &mut Random) -> String {
    let length = 16 + random.below(13);
    let label: String = (0..length)
        .map(|i| match random.below(36) as u8 {
            // A label that starts with a letter is the rule in samples.
            digit @ 0..10 if i > 0 => char::from(b'0' + digit),
            other => char::from(b'a' + other % 26),
        })
        .collect();
    format!("{label}.{}", random.pick(&["com", "net", "org", "biz", "info"]))
}

/// Word list: two or three words put together.
fn two_words(random: &mut Random) -> String {
    let count = 2 + usize::from(random.below(5) == 0);
    let label: String = (0..count).map(|_| *random.pick(&WORDS)).collect();
    format!("{label}.{}", random.pick(&["net", "com", "ru", "org", "info"]))
}

/// Arithmetic over syllables: can be spoken, means nothing.
fn syllables(random: &mut Random) -> String {
    let count = 3 + random.below(4);
    let mut label = String::new();
    for _ in 0..count {
        label.push(char::from(*random.pick(CONSONANTS)));
        label.push(char::from(*random.pick(VOWELS)));
    }
    if random.below(2) == 0 {
        label.push(char::from(*random.pick(CONSONANTS)));
    }
    format!("{label}.{}", random.pick(&COMMON))
}

/// Arithmetic under free dynamic DNS.
fn dynamic(random: &mut Random) -> String {
    let length = 6 + random.below(7);
    let label: String = (0..length).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
    let zone = random.pick(&["ddns.net", "duckdns.org", "dyndns.org", "hopto.org", "no-ip.biz", "mooo.com"]);
    format!("{label}.{zone}")
}

/// A word and a counter.
fn word_and_digits(random: &mut Random) -> String {
    let digits = 100 + random.below(99_900);
    format!("{}{}{digits}.{}", random.pick(&WORDS), ["", "-"][random.below(2)], random.pick(&COMMON))
}

const WORDS: [&str; 162] = [
    "above",
    "account",
    "across",
    "action",
    "afraid",
    "again",
    "almost",
    "answer",
    "appear",
    "arrive",
    "autumn",
    "basket",
    "beauty",
    "become",
    "behind",
    "better",
    "beyond",
    "board",
    "bottle",
    "branch",
    "bread",
    "bridge",
    "bright",
    "broken",
    "brother",
    "building",
    "captain",
    "careful",
    "carry",
    "castle",
    "center",
    "chance",
    "change",
    "charge",
    "children",
    "choose",
    "circle",
    "clean",
    "clear",
    "clothes",
    "cloud",
    "coffee",
    "common",
    "company",
    "corner",
    "cotton",
    "country",
    "cover",
    "crowd",
    "daughter",
    "decide",
    "degree",
    "demand",
    "desert",
    "different",
    "dinner",
    "doctor",
    "double",
    "dream",
    "dress",
    "drive",
    "early",
    "effort",
    "either",
    "electric",
    "enemy",
    "engine",
    "english",
    "enough",
    "evening",
    "explain",
    "family",
    "famous",
    "father",
    "favor",
    "fellow",
    "fifteen",
    "figure",
    "finger",
    "finish",
    "flower",
    "follow",
    "foreign",
    "forest",
    "forget",
    "forward",
    "freedom",
    "fresh",
    "friend",
    "garden",
    "gather",
    "gentle",
    "glass",
    "glossary",
    "gold",
    "green",
    "ground",
    "group",
    "happen",
    "heaven",
    "heavy",
    "history",
    "honor",
    "hunger",
    "husband",
    "image",
    "increase",
    "inside",
    "journey",
    "kitchen",
    "knowledge",
    "labor",
    "laughter",
    "leader",
    "leave",
    "letter",
    "little",
    "machine",
    "market",
    "matter",
    "measure",
    "member",
    "middle",
    "minute",
    "mister",
    "modern",
    "moment",
    "morning",
    "mother",
    "mountain",
    "narrow",
    "nation",
    "nature",
    "necessary",
    "neighbor",
    "night",
    "number",
    "object",
    "office",
    "orange",
    "outside",
    "paper",
    "partial",
    "party",
    "people",
    "perhaps",
    "person",
    "picture",
    "pleasure",
    "possible",
    "prepare",
    "present",
    "probable",
    "promise",
    "quarter",
    "question",
    "quiet",
    "rather",
    "remember",
    "return",
    "school",
    "season",
];

#[cfg(test)]
mod tests {
    use super::*;
    use dnsvet_core::name::Name;

    #[test]
    fn every_generated_name_is_a_name_with_a_registrable_domain() {
        let generated = names(4_000, 3);
        for name in &generated {
            let parsed = Name::parse(name).unwrap();
            assert_eq!(parsed.as_str(), name);
            assert!(parsed.registrable_domain().is_some(), "{name}");
        }
        let distinct: std::collections::HashSet<&String> = generated.iter().collect();
        assert!(distinct.len() > 3_900);
        assert_eq!(generated, names(4_000, 3));
    }
}
