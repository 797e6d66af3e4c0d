//! Names to learn from: what each is, where it comes from; who learns, who calibrates, who judges.
//!
//! ```text
//! files -> rows, each looked at -> allowed sources, generated names -> parts -> sample -> weights
//! ```
//!
//! Parts are made by registrable domain, never by row, so that none knows another's domains. A model that
//! ships learns only from sources whose licence allows it ([`Sources::Shippable`]); its generated names (DGA)
//! come from [`dga`], generators of our own. The surprise: label counts are a shortcut (popular lists hold deep
//! names, blocklists bare ones), so [`Example::varied`] cuts and prefixes names of both classes alike.

pub mod dga;
mod load;
mod random;
mod source;
pub mod suite;

pub use load::{DataError, RowFault, lines};
pub use random::Random;
pub use source::{GENERATED, SOURCES, Source, SourceUse, Sources, known};

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

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

    /// The name as one epoch sees it: sometimes cut to its registrable domain, sometimes put under
    /// a prefix that benign names have, in both classes alike.
    pub fn varied(&self, prefixes: &[String], random: &mut Random) -> String {
        let bare = self.domain_at == 0;
        match random.below(4) {
            0 | 1 if !bare => self.domain().to_owned(),
            0 if bare && !prefixes.is_empty() => format!("{}{}", random.pick(prefixes), self.name),
            _ => self.name.clone(),
        }
    }
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
    /// What was used for training.
    pub sources: Vec<SourceUse>,
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
        // Real samples of generated names don't ship; our own generators make up for them.
        if sources == Sources::Shippable {
            let generated = dga::names((malicious / 8).min(sample / 8 + 1_000), seed);
            let origin: Arc<str> = Arc::from(GENERATED.tag);
            let example = |name| Example::new(name, Class::Generated, false, Arc::clone(&origin));
            examples.extend(generated.into_iter().map(example));
        }
        Ok(Self::split(examples, sample, seed))
    }

    fn split(examples: Vec<Example>, sample: usize, seed: u64) -> Self {
        let mut corpus = Self::default();
        let mut train = Vec::new();
        for example in examples {
            match hash(example.domain(), 0) % 100 {
                0..65 => train.push(example),
                65..70 => corpus.validation.push(example),
                70..90 => corpus.calibration.push(example),
                _ => corpus.test.push(example),
            }
        }
        // The order of a keyed hash is a shuffle that does not depend on the order of the files.
        train.sort_by_cached_key(|example| hash(&example.name, seed | 1));
        let mut left = [sample / 2; 2];
        train.retain(|example| {
            let left = &mut left[usize::from(example.is_malicious())];
            let kept = *left > 0;
            *left = left.saturating_sub(1);
            kept
        });
        let mut used: BTreeMap<&str, usize> = BTreeMap::new();
        for example in &train {
            *used.entry(example.source()).or_default() += 1;
        }
        corpus.sources =
            used.into_iter().map(|(tag, names)| SourceUse { tag: tag.to_owned(), names }).collect();
        let deep = train.iter().filter(|example| !example.is_malicious() && example.domain_at > 0);
        corpus.prefixes = deep.map(|example| example.name[..example.domain_at].to_owned()).collect();
        corpus.train = train;
        corpus.balance();
        corpus
    }

    /// Makes both classes of the training names weigh the same, 1 a name on average.
    fn balance(&mut self) {
        let half = self.train.len() as f64 / 2.0;
        for malicious in [false, true] {
            let class = self.train.iter().filter(|example| example.is_malicious() == malicious);
            let total: f64 = class.map(|example| f64::from(example.weight)).sum();
            let factor = (half / total.max(1e-9)) as f32;
            for example in self.train.iter_mut().filter(|example| example.is_malicious() == malicious) {
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
        let corpus = Corpus::split(examples(), 10_000, 7);
        let parts = [&corpus.train, &corpus.validation, &corpus.calibration, &corpus.test];
        let mut home = HashMap::new();
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
        let corpus = Corpus::split(examples(), 200, 7);
        let mut reversed = examples();
        reversed.reverse();
        assert_eq!(Corpus::split(reversed, 200, 7).train, corpus.train);
        assert_ne!(Corpus::split(examples(), 200, 8).train, corpus.train);
        let weight = |malicious: bool| -> f32 {
            let class = corpus.train.iter().filter(|example| example.is_malicious() == malicious);
            class.map(|example| example.weight).sum()
        };
        assert_eq!(corpus.train.len(), 200);
        assert!((weight(true) - 100.0).abs() < 0.01 && (weight(false) - 100.0).abs() < 0.01);
        assert_eq!(corpus.sources, [SourceUse { tag: "list".into(), names: 200 }]);
        let first = &corpus.train[0];
        assert_eq!((first.source(), first.family()), ("list", Some("family")));
    }

    #[test]
    fn names_are_varied_within_their_registrable_domain() {
        let of = |name: &str, class| Example::new(name.into(), class, false, Arc::from("list"));
        let deep = of("a.b.example.co.uk", Class::Scam);
        assert_eq!(deep.domain(), "example.co.uk");
        let prefixes = vec!["cdn.".to_owned()];
        let mut random = Random::new(1);
        let mut seen = |example: &Example| -> Vec<String> {
            let names: std::collections::BTreeSet<String> =
                (0..50).map(|_| example.varied(&prefixes, &mut random)).collect();
            names.into_iter().collect()
        };
        assert_eq!(seen(&deep), ["a.b.example.co.uk", "example.co.uk"]);
        let bare = of("example.co.uk", Class::Benign);
        assert_eq!(seen(&bare), ["cdn.example.co.uk", "example.co.uk"]);
    }
}
