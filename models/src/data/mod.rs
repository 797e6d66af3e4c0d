//! Names to learn from: what each is, where it comes from; who learns, who judges.
//!
//! ```text
//! files -> rows, each looked at -> allowed sources, names of our own -> parts -> sample -> weights
//! ```
//!
//! Parts are made by registrable domain, never by row, so that none knows another's domains. A model that
//! ships learns only from sources whose licence allows it ([`Sources::Shippable`]); its generated names (DGA)
//! come from [`dga`], its phishing under platforms from [`lures`], generators of our own. What lists of popular names lack,
//! hosts of machines and platforms, is drawn from shapes that providers document. The surprise: every name to learn from also judges. In each of three folds
//! a model of the same recipe learns from the two others, and its scores are what calibration and thresholds rest on.

pub mod dga;
mod hosts;
mod load;
pub mod lures;
mod random;
mod source;
pub mod suite;

pub use load::{DataError, RowFault, lines};
pub use random::Random;
pub use source::{GENERATED, HOSTS, SOURCES, Source, SourceUse, Sources, known};

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use dnsvet_core::model::Parts;
use dnsvet_core::name::Name;
use serde::{Deserialize, Serialize};

/// What a name is by its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// On a list of popular names.
    Benign,
    /// Steals what people type in.
    Phishing,
    /// Spreads or serves malware.
    Malware,
    /// Commands infected machines.
    CommandAndControl,
    /// Cheats people.
    Scam,
    /// Made by an algorithm (DGA).
    Generated,
}

impl Class {
    /// All of them, benign first.
    pub const ALL: [Self; 6] =
        [Self::Benign, Self::Phishing, Self::Malware, Self::CommandAndControl, Self::Scam, Self::Generated];

    /// The word in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Benign => "benign",
            Self::Phishing => "phishing",
            Self::Malware => "malware",
            Self::CommandAndControl => "c2",
            Self::Scam => "scam",
            Self::Generated => "dga",
        }
    }
}

/// One labelled name.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Lower case, no trailing dot.
    pub name: String,
    /// Where the registrable domain starts in the name.
    pub domain_at: usize,
    /// What it is by its source.
    pub class: Class,
    /// Benign, and in two independent lists or under .edu or .gov: what false blocks are counted on.
    pub clean: bool,
    /// Source, or `source/family`.
    pub origin: Arc<str>,
    /// How much it counts in training, above 0.
    pub weight: f32,
}

impl Example {
    /// A name with its registrable domain found. `clean` weighs ten times a benign name of a single list.
    pub fn new(name: String, class: Class, clean: bool, origin: Arc<str>) -> Self {
        let domain_at = Name::parse(&name)
            .ok()
            .and_then(|parsed| parsed.registrable_domain().map(|domain| name.len() - domain.len()))
            .unwrap_or(0);
        let weight = match (class, clean) {
            (Class::Benign, true) => 3.0,
            (Class::Benign, false) => 0.3,
            _ => 1.0,
        };
        Self { name, domain_at, class, clean, origin, weight }
    }

    /// Whether it is of any class but benign.
    pub fn is_malicious(&self) -> bool {
        self.class != Class::Benign
    }

    /// The registrable domain, or the whole name where there is none.
    pub fn domain(&self) -> &str {
        &self.name[self.domain_at..]
    }

    /// The tag of its source.
    pub fn source(&self) -> &str {
        self.origin.split('/').next().unwrap_or_default()
    }

    /// The family, where the source says one.
    pub fn family(&self) -> Option<&str> {
        self.origin.split_once('/').map(|(_, family)| family)
    }
}

/// Parts of the names to learn from that are held back in turn.
pub const FOLDS: usize = 3;

/// The names, split by registrable domain: 90 % of the domains to learn from, 10 % to judge by.
#[derive(Debug, Default)]
pub struct Corpus {
    /// Models learn from these, and are calibrated on those that were held back from them: see [`Corpus::split`].
    pub learning: Vec<Example>,
    /// What the card says comes from these.
    pub test: Vec<Example>,
    /// What was used for training.
    pub sources: Vec<SourceUse>,
}

/// Who learns, and who is held back.
#[derive(Debug, Default)]
pub struct Split<'a> {
    /// Which fold is held back, if any.
    pub fold: Option<usize>,
    /// Weights are fitted on these.
    pub train: Vec<&'a Example>,
    /// The epoch to keep is chosen by these, 5 % of the domains that are not held back.
    pub validation: Vec<&'a Example>,
    /// The fold, each with its index in [`Corpus::learning`].
    pub held: Vec<(usize, &'a Example)>,
}

impl Corpus {
    /// Loads the data folder's files, keeps allowed sources, adds generated names, splits, and draws at
    /// most `sample` names for training (half of them malicious), the same for the same `seed`.
    pub fn load(dir: &Path, sources: Sources, sample: usize, seed: u64) -> Result<Self, DataError> {
        let mut origins: HashMap<String, Arc<str>> = HashMap::new();
        let mut examples = Vec::new();
        for row in load::rows(dir)? {
            if sources.takes(row.origin.split('/').next().unwrap_or_default()) {
                let origin = origins.entry(row.origin).or_insert_with_key(|origin| Arc::from(&**origin));
                examples.push(Example::new(row.name, row.class, row.clean, Arc::clone(origin)));
            }
        }
        let count = |wanted: fn(&Example) -> bool| examples.iter().filter(|example| wanted(example)).count();
        let malicious = count(Example::is_malicious);
        let benign = examples.len() - malicious;
        for (class, found) in
            [("benign", benign), ("clean benign", count(|example| example.clean)), ("malicious", malicious)]
        {
            if found == 0 {
                return Err(DataError::Empty { path: dir.to_owned(), class, sources: sources.as_str() });
            }
        }
        let mut add = |names: Vec<(String, f32)>, class, source: &Source| {
            let origin: Arc<str> = Arc::from(source.tag);
            let example = |(name, weight)| {
                let example = Example::new(name, class, false, Arc::clone(&origin));
                Example { weight: weight * example.weight, ..example }
            };
            examples.extend(names.into_iter().map(example));
        };
        // Real samples of generated names don't ship, nor do those of phishing under platforms: generators of our own
        // make up for them.
        if sources == Sources::Shippable {
            let generated = dga::names((malicious / 8).min(sample / 8 + 1_000), seed);
            let lures = lures::names((malicious / 24).min(sample / 24 + 300), seed);
            let even = |names: Vec<String>| names.into_iter().map(|name| (name, 1.0)).collect();
            add(even(generated), Class::Generated, &GENERATED);
            add(even(lures), Class::Phishing, &GENERATED);
        }
        add(hosts::names((benign / 16).min(sample / 16 + 100), seed), Class::Benign, &HOSTS);
        Ok(Self::of(examples, sample, seed))
    }

    /// Splits, and draws at most `sample` names to learn from.
    pub(crate) fn of(examples: Vec<Example>, sample: usize, seed: u64) -> Self {
        let judges = |example: &Example| hash(example.domain(), 0) % 100 >= 90;
        let (test, mut learning): (Vec<_>, Vec<_>) = examples.into_iter().partition(judges);
        // The order of a keyed hash is a shuffle that does not depend on the order of the files.
        learning.sort_by_cached_key(|example| hash(&example.name, seed | 1));
        let mut left = [sample / 2; 2];
        learning.retain(|example| {
            let left = &mut left[usize::from(example.is_malicious())];
            let kept = *left > 0;
            *left = left.saturating_sub(1);
            kept
        });
        let mut used: BTreeMap<&str, usize> = BTreeMap::new();
        for example in &learning {
            *used.entry(example.source()).or_default() += 1;
        }
        let sources = used.into_iter().map(|(tag, names)| SourceUse { tag: tag.to_owned(), names }).collect();
        let mut corpus = Self { learning, test, sources };
        corpus.balance();
        corpus
    }

    /// Holds back one of the [`FOLDS`], or none.
    pub fn split(&self, fold: Option<usize>) -> Split<'_> {
        let mut split = Split { fold, ..Split::default() };
        for (at, example) in self.learning.iter().enumerate() {
            let domain = example.domain();
            if fold == Some((hash(domain, 2) % FOLDS as u64) as usize) {
                split.held.push((at, example));
            } else if hash(domain, 3).is_multiple_of(20) {
                split.validation.push(example);
            } else {
                split.train.push(example);
            }
        }
        split
    }

    /// The suffixes that malicious names prefer: each holds a share of at least 0.1 % of them, twice its share of the
    /// benign ones; the worst first.
    pub fn worst_suffixes(&self) -> Vec<&str> {
        let mut seen: HashMap<&str, [usize; 2]> = HashMap::new();
        let mut all = [0usize; 2];
        for example in &self.learning {
            let class = usize::from(example.is_malicious());
            seen.entry(Parts::of(&example.name).suffix).or_default()[class] += 1;
            all[class] += 1;
        }
        let shares = |[benign, malicious]: [usize; 2]| {
            [(benign + 1) as f64 / (all[0] + 1) as f64, malicious as f64 / all[1].max(1) as f64]
        };
        let seen = seen.into_iter().map(|(suffix, counts)| (suffix, shares(counts)));
        let mut worst: Vec<(&str, f64)> = seen
            .filter(|(_, [benign, malicious])| *malicious >= 0.001 && malicious / benign >= 2.0)
            .map(|(suffix, [benign, malicious])| (suffix, malicious / benign))
            .collect();
        worst.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        worst.into_iter().map(|(suffix, _)| suffix).collect()
    }

    /// Makes both classes of the names to learn from weigh the same, 1 a name on average.
    fn balance(&mut self) {
        let half = self.learning.len() as f64 / 2.0;
        for malicious in [false, true] {
            let class = self.learning.iter().filter(|example| example.is_malicious() == malicious);
            let total: f64 = class.map(|example| f64::from(example.weight)).sum();
            let factor = (half / total.max(1e-9)) as f32;
            for example in self.learning.iter_mut().filter(|example| example.is_malicious() == malicious) {
                example.weight *= factor;
            }
        }
    }
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

    fn examples() -> Vec<Example> {
        let name = |i: u32, class: Class| {
            let label = if class == Class::Benign { "good" } else { "bad" };
            let clean = class == Class::Benign && i.is_multiple_of(2);
            Example::new(format!("a{}.{label}{}.com", i % 3, i / 3), class, clean, Arc::from("list/family"))
        };
        (0..900).flat_map(|i| [name(i, Class::Benign), name(i, Class::Phishing)]).collect()
    }

    #[test]
    fn no_registrable_domain_is_in_two_parts() {
        let corpus = Corpus::of(examples(), 10_000, 7);
        assert_eq!(corpus.learning.len() + corpus.test.len(), 1_800);
        let mut held_in = vec![None; corpus.learning.len()];
        for fold in 0..FOLDS {
            let split = corpus.split(Some(fold));
            let mut home = HashMap::new();
            let held: Vec<&Example> = split.held.iter().map(|(_, example)| *example).collect();
            let test: Vec<&Example> = corpus.test.iter().collect();
            for (part, examples) in [&split.train, &split.validation, &held, &test].into_iter().enumerate() {
                assert!(!examples.is_empty(), "part {part}");
                for example in examples {
                    assert_eq!(*home.entry(example.domain()).or_insert(part), part);
                }
            }
            for (at, example) in split.held {
                assert_eq!(&corpus.learning[at], example);
                assert_eq!(held_in[at].replace(fold), None);
            }
        }
        assert!(held_in.iter().all(Option::is_some), "each name is held back once");
        let whole = corpus.split(None);
        assert_eq!(whole.train.len() + whole.validation.len(), corpus.learning.len());
    }

    #[test]
    fn a_sample_is_balanced_and_depends_on_the_seed_only() {
        let corpus = Corpus::of(examples(), 200, 7);
        let mut reversed = examples();
        reversed.reverse();
        assert_eq!(Corpus::of(reversed, 200, 7).learning, corpus.learning);
        assert_ne!(Corpus::of(examples(), 200, 8).learning, corpus.learning);
        let weight = |malicious: bool| -> f32 {
            let class = corpus.learning.iter().filter(|example| example.is_malicious() == malicious);
            class.map(|example| example.weight).sum()
        };
        assert_eq!(corpus.learning.len(), 200);
        assert!((weight(true) - 100.0).abs() < 0.01 && (weight(false) - 100.0).abs() < 0.01);
        assert_eq!(corpus.sources, [SourceUse { tag: "list".into(), names: 200 }]);
        let first = &corpus.learning[0];
        assert_eq!((first.source(), first.family()), ("list", Some("family")));
    }

    #[test]
    fn the_worst_suffixes_are_those_of_malicious_names() {
        let of = |i: usize, suffix: &str, class| {
            Example::new(format!("n{i}.{suffix}"), class, false, Arc::from("list"))
        };
        let mut all: Vec<Example> = (0..300).map(|i| of(i, "com", Class::Benign)).collect();
        all.extend((0..200).map(|i| of(i, "top", Class::Scam)));
        all.extend((300..500).map(|i| of(i, "com", Class::Scam)));
        all.push(of(1, "rare", Class::Scam));
        assert_eq!(Corpus::of(all, 10_000, 1).worst_suffixes(), ["top"]);
    }
}
