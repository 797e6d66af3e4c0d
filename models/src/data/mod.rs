//! Names to learn from: which sources may be used, and who learns, who calibrates, who judges.
//!
//! Names are split by registrable domain, never by row, so that no part knows another's domains. A model
//! that ships learns only from sources whose licence allows it ([`SOURCES`]); generated names (DGA) come
//! from [`dga`], generators of our own. The surprise: label counts are a shortcut (popular lists hold deep
//! names, blocklists bare ones), so [`Example::varied`] cuts and prefixes names of both classes alike.

pub mod dga;
mod load;
mod random;
pub mod suite;

pub use load::{DataError, lines};
pub use random::Random;

use std::path::Path;

use dnsvet_core::name::Name;

/// A source that a shipped model may learn from.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    /// The tag in the data's source column, before any `/`.
    pub tag: &'static str,
    /// Where it comes from.
    pub origin: &'static str,
    /// SPDX identifier, or the words of the source.
    pub licence: &'static str,
}

/// Every source that may be used. Others in the data are skipped: no licence stated, research or
/// non-commercial use only, or copyleft.
pub const SOURCES: [Source; 11] = [
    source("umbrella100k-2025", "github.com/cjbarker/top-domains (Cisco Umbrella)", "Apache-2.0"),
    source("umbrella20k-2024-2026", "github.com/MISP/misp-warninglists (cisco_top20k)", "CC0-1.0"),
    source("hageziTop-2023", "github.com/hagezi/dns-data-collection", "MIT"),
    source("chinalist-2026", "github.com/felixonmars/dnsmasq-china-list", "WTFPL"),
    source("universities-2026", "github.com/Hipo/university-domains-list", "MIT"),
    source("gsa-federal", "github.com/GSA/data", "US public domain"),
    source("maltrail", "github.com/stamparm/maltrail", "MIT"),
    source("blocklistproject", "github.com/blocklistproject/Lists", "Unlicense"),
    source("polkadot-phishing", "github.com/polkadot-js/phishing", "Apache-2.0"),
    source("globalantiscam", "github.com/elliotwutingfeng/GlobalAntiScamOrg-blocklist", "BSD-3-Clause"),
    source("shadowwhisperer", "github.com/ShadowWhisperer/BlockLists", "Unlicense"),
];

const fn source(tag: &'static str, origin: &'static str, licence: &'static str) -> Source {
    Source { tag, origin, licence }
}

/// Our own generators, as they are named among the sources.
pub const GENERATED: &str = "generated";

/// One labelled name.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Lower case, no trailing dot.
    pub name: String,
    /// Where the registrable domain starts in the name.
    pub domain_at: usize,
    /// Whether it is malicious by its source.
    pub malicious: bool,
    /// Benign, and in two independent lists or under .edu or .gov: what false blocks are counted on.
    pub clean: bool,
    /// How much it counts in training, above 0.
    pub weight: f32,
}

impl Example {
    /// The registrable domain, or the whole name where there is none.
    pub fn domain(&self) -> &str {
        &self.name[self.domain_at..]
    }

    /// The name as one epoch sees it: sometimes cut to its registrable domain, sometimes put under
    /// a prefix that benign names have, in both classes alike.
    pub fn varied(&self, prefixes: &[String], random: &mut Random) -> String {
        let bare = self.domain_at == 0;
        match random.below(4) {
            0 | 1 if !bare => self.domain().to_owned(),
            0 if bare && !prefixes.is_empty() => {
                format!("{}{}", prefixes[random.below(prefixes.len())], self.name)
            }
            _ => self.name.clone(),
        }
    }
}

/// How many names a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUse {
    /// As in [`SOURCES`], or [`GENERATED`].
    pub tag: String,
    /// Its licence.
    pub licence: String,
    /// Names used for training.
    pub names: usize,
}

/// The names, split by registrable domain: 65, 5, 20 and 10 % of the domains.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Weights are fitted on these.
    pub train: Vec<Example>,
    /// The epoch to keep is chosen by these.
    pub validation: Vec<Example>,
    /// Calibration and thresholds come from these.
    pub calibration: Vec<Example>,
    /// What the card says comes from these.
    pub test: Vec<Example>,
    /// Prefixes of benign training names, dot at the end, for [`Example::varied`].
    pub prefixes: Vec<String>,
    /// What was used.
    pub sources: Vec<SourceUse>,
}

impl Corpus {
    /// Loads the data folder's files, keeps allowed sources, adds generated names, splits, and draws at
    /// most `sample` names for training (half of them malicious), the same for the same `seed`.
    pub fn load(dir: &Path, sample: usize, seed: u64) -> Result<Self, DataError> {
        let mut tagged = load::benign(dir)?;
        tagged.extend(load::malicious(dir)?);
        let malicious = tagged.iter().filter(|(_, example)| example.malicious).count();
        let generated = (malicious / 8).min(sample / 8 + 1_000);
        tagged.extend(dga::names(generated, seed).into_iter().map(|name| {
            let example = example(name, true, false);
            (GENERATED, example)
        }));
        Ok(Self::split(tagged, sample, seed))
    }

    fn split(tagged: Vec<(&'static str, Example)>, sample: usize, seed: u64) -> Self {
        let mut corpus = Self::default();
        let mut train = Vec::new();
        for (tag, example) in tagged {
            match hash(example.domain(), 0) % 100 {
                0..65 => train.push((tag, example)),
                65..70 => corpus.validation.push(example),
                70..90 => corpus.calibration.push(example),
                _ => corpus.test.push(example),
            }
        }
        // The order of a keyed hash is a shuffle that does not depend on the order of the files.
        train.sort_by_cached_key(|(_, example)| hash(&example.name, seed | 1));
        let mut left = [sample / 2, sample / 2];
        let mut used: Vec<SourceUse> = Vec::new();
        for (tag, example) in train {
            let left = &mut left[usize::from(example.malicious)];
            if *left == 0 {
                continue;
            }
            *left -= 1;
            match used.iter_mut().find(|source| source.tag == tag) {
                Some(source) => source.names += 1,
                None => {
                    let known = SOURCES.iter().find(|source| source.tag == tag);
                    let licence = known.map_or("MIT OR Apache-2.0", |source| source.licence).to_owned();
                    used.push(SourceUse { tag: tag.to_owned(), licence, names: 1 });
                }
            }
            corpus.train.push(example);
        }
        used.sort_by(|a, b| a.tag.cmp(&b.tag));
        corpus.sources = used;
        let deep = corpus.train.iter().filter(|example| !example.malicious && example.domain_at > 0);
        corpus.prefixes = deep.map(|example| example.name[..example.domain_at].to_owned()).collect();
        corpus.balance();
        corpus
    }

    /// Makes both classes of the training names weigh the same, 1 a name on average.
    fn balance(&mut self) {
        for malicious in [false, true] {
            let class = self.train.iter().filter(|example| example.malicious == malicious);
            let total: f64 = class.map(|example| f64::from(example.weight)).sum();
            let factor = (self.train.len() as f64 / 2.0 / total.max(1e-9)) as f32;
            for example in self.train.iter_mut().filter(|example| example.malicious == malicious) {
                example.weight *= factor;
            }
        }
    }
}

/// A name with its registrable domain found. `clean` weighs ten times a benign name of a single list.
fn example(name: String, malicious: bool, clean: bool) -> Example {
    let domain_at = Name::parse(&name)
        .ok()
        .and_then(|parsed| parsed.registrable_domain().map(|domain| name.len() - domain.len()))
        .unwrap_or(0);
    let weight = match (malicious, clean) {
        (true, _) => 1.0,
        (false, true) => 3.0,
        (false, false) => 0.3,
    };
    Example { name, domain_at, malicious, clean, weight }
}

/// FNV-1a with a finisher (splitmix64); 0 is the salt of the split, which no seed changes.
fn hash(text: &str, salt: u64) -> u64 {
    let mut state = 0xCBF2_9CE4_8422_2325 ^ salt;
    for byte in text.bytes() {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
    }
    random::mix(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tagged() -> Vec<(&'static str, Example)> {
        let name = |i: u32, malicious: bool| {
            let label = if malicious { "bad" } else { "good" };
            example(format!("a{}.{label}{}.com", i % 3, i / 3), malicious, !malicious && i.is_multiple_of(2))
        };
        let benign = (0..900).map(|i| ("hageziTop-2023", name(i, false)));
        benign.chain((0..900).map(|i| ("maltrail", name(i, true)))).collect()
    }

    #[test]
    fn no_registrable_domain_is_in_two_parts() {
        let corpus = Corpus::split(tagged(), 10_000, 7);
        let parts = [&corpus.train, &corpus.validation, &corpus.calibration, &corpus.test];
        let mut home = std::collections::HashMap::new();
        for (part, examples) in parts.iter().enumerate() {
            assert!(!examples.is_empty(), "part {part}");
            for example in *examples {
                assert_eq!(*home.entry(example.domain().to_owned()).or_insert(part), part);
            }
        }
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), 1_800);
    }

    #[test]
    fn a_sample_is_balanced_and_depends_on_the_seed_only() {
        let corpus = Corpus::split(tagged(), 200, 7);
        let mut reversed = tagged();
        reversed.reverse();
        assert_eq!(Corpus::split(reversed, 200, 7).train, corpus.train);
        assert_ne!(Corpus::split(tagged(), 200, 8).train, corpus.train);
        let malicious = corpus.train.iter().filter(|example| example.malicious);
        assert_eq!((corpus.train.len(), malicious.count()), (200, 100));
        let weight = |malicious: bool| -> f32 {
            let class = corpus.train.iter().filter(|example| example.malicious == malicious);
            class.map(|example| example.weight).sum()
        };
        assert!((weight(true) - 100.0).abs() < 0.01 && (weight(false) - 100.0).abs() < 0.01);
    }

    #[test]
    fn names_are_varied_within_their_registrable_domain() {
        let deep = example("a.b.example.co.uk".into(), true, false);
        assert_eq!(deep.domain(), "example.co.uk");
        let prefixes = vec!["cdn.".to_owned()];
        let mut random = Random::new(1);
        let seen: std::collections::BTreeSet<String> =
            (0..50).map(|_| deep.varied(&prefixes, &mut random)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a.b.example.co.uk", "example.co.uk"]);
        let bare = example("example.co.uk".into(), false, true);
        let seen: std::collections::BTreeSet<String> =
            (0..50).map(|_| bare.varied(&prefixes, &mut random)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["cdn.example.co.uk", "example.co.uk"]);
    }
}
