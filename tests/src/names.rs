//! Names and messages drawn at random, from one printed seed.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A small generator (SplitMix64); good enough to draw names.
#[derive(Debug, Clone)]
pub struct Draw(u64);

impl Draw {
    /// A stream of its own for each caller, all from the run's seed.
    ///
    /// # Panics
    /// If the system has no random source.
    pub fn new(what: &str) -> Self {
        static SEED: OnceLock<u64> = OnceLock::new();
        static STREAM: AtomicU64 = AtomicU64::new(1);
        let seed = *SEED.get_or_init(|| {
            let given = std::env::var("DNSVET_SEED").ok().and_then(|text| text.parse().ok());
            given.unwrap_or_else(|| getrandom::u64().expect("the system's random source works"))
        });
        println!("DNSVET_SEED={seed} ({what})");
        let own = what.bytes().fold(STREAM.load(Ordering::Relaxed), |sum, byte| {
            sum.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte)
        });
        Self(seed ^ own)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..below`.
    pub fn below(&mut self, below: usize) -> usize {
        (self.bits() % below.max(1) as u64) as usize
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.bits() as u8).collect()
    }

    /// A label of random letters.
    pub fn label(&mut self, letters: usize) -> String {
        (0..letters).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    /// A registrable domain that looks like words, under a top-level domain with few abuses.
    pub fn plain_domain(&mut self) -> String {
        const PARTS: [&str; 24] = [
            "garden", "river", "north", "school", "music", "travel", "bakery", "harbor", "stone", "forest",
            "cycle", "paper", "museum", "valley", "summer", "studio", "family", "energy", "market", "city",
            "health", "sport", "print", "craft",
        ];
        const ENDINGS: [&str; 6] = ["com", "org", "net", "de", "fr", "co.uk"];
        let (first, second) = (*self.pick(&PARTS), *self.pick(&PARTS));
        // Two letters keep it from being anybody's.
        format!("{first}{second}{}.{}", self.label(2), self.pick(&ENDINGS))
    }

    /// A registrable domain as an algorithm makes them.
    pub fn machine_domain(&mut self) -> String {
        const ENDINGS: [&str; 6] = ["top", "xyz", "biz", "info", "cfd", "com"];
        let letters = 10 + self.below(10);
        format!("{}.{}", self.label(letters), self.pick(&ENDINGS))
    }

    /// A plain or a machine-made one.
    pub fn domain(&mut self) -> String {
        if self.below(2) == 0 { self.plain_domain() } else { self.machine_domain() }
    }

    /// The name with letters in random case (0x20).
    pub fn mixed_case(&mut self, name: &str) -> String {
        name.chars().map(|c| if self.below(2) == 0 { c.to_ascii_uppercase() } else { c }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ_and_are_names() {
        let mut draw = Draw::new("names");
        let names: std::collections::BTreeSet<String> = (0..200).map(|_| draw.machine_domain()).collect();
        assert_eq!(names.len(), 200);
        assert!(names.iter().all(|name| dnsvet_core::name::Name::parse(name).is_ok()));
    }
}
