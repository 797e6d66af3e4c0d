//! The challenger: another model that scores the same names beside the model in force and touches no verdict.
//!
//! Both are asked as the filter asks its small model: allow, uncertain or block by their own thresholds, and popular
//! names are never blocked. Where a scorer would have settled an uncertain name, that is not known here: it stays
//! uncertain. The surprise: a name counts once, however often it is asked for, so agreement is that of names and not of
//! questions.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use dnsvet_core::model::Model;
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::Snapshot;
use dnsvet_core::verdict::cascade::LEAST_BLOCKING_P;
use dnsvet_core::verdict::round_score;
use serde::{Deserialize, Serialize};

use crate::store::control::models::ModelRef;

/// Names of each side that are shown.
pub const MOST_EXAMPLES: usize = 20;
/// Names that are remembered; past them all are forgotten, and some count twice.
const MOST_SEEN: usize = 65_536;

/// A challenger and what it saw, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Challenge {
    /// The challenger.
    pub model: ModelRef,
    /// Who put it up.
    pub author: String,
    /// When, milliseconds since 1970.
    pub since_ms: u64,
    /// What it saw.
    pub saw: Saw,
}

/// What a challenger saw beside one champion.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Saw {
    /// The model in force meanwhile, `name@hash`; another one begins the count anew.
    pub champion: String,
    /// Distinct names.
    pub names: u64,
    /// Names of which both say the same: allow, uncertain or block.
    pub agreed: u64,
    /// Names that both would block.
    pub both_block: u64,
    /// Names that only the champion would block.
    pub only_champion_blocks: u64,
    /// Names that only the challenger would block.
    pub only_challenger_blocks: u64,
    /// The newest of those, [`MOST_EXAMPLES`] at most.
    pub champion_examples: Vec<Example>,
    /// The newest of these, [`MOST_EXAMPLES`] at most.
    pub challenger_examples: Vec<Example>,
}

/// A name that one of both would block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The name.
    pub name: String,
    /// The champion's probability of malicious, [0, 1].
    pub champion: f64,
    /// The challenger's.
    pub challenger: f64,
}

/// What a model would do with a name by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Would {
    Allow,
    Unsure,
    Block,
}

/// What `model` would do with a name of this logit where `snapshot` is in force, and its probability.
fn would(model: &Model, logit: f32, name: &str, snapshot: &Snapshot) -> (Would, f64) {
    let policy = snapshot.policy();
    let p = round_score(model.probability(logit, policy.prior));
    let limits = model.thresholds();
    let popular = || Name::parse(name).is_ok_and(|name| snapshot.popularity(&name) >= policy.popular_lists);
    let would = if p < limits.allow_below {
        Would::Allow
    } else if p < limits.block_above.max(LEAST_BLOCKING_P) {
        Would::Unsure
    } else if popular() {
        Would::Allow
    } else {
        Would::Block
    };
    (would, p)
}

/// The challenger at work.
pub struct Ring {
    challenge: Challenge,
    challenger: Model,
    seen: HashSet<u64>,
    state: RandomState,
}

impl Ring {
    /// Goes on with what the challenger saw.
    pub fn new(challenge: Challenge, challenger: Model) -> Self {
        Self { challenge, challenger, seen: HashSet::new(), state: RandomState::new() }
    }

    /// The challenger, and what it saw so far.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Lets both judge a name that the champion gave this logit.
    pub fn see(&mut self, champion: &Model, logit: f32, name: &str, snapshot: &Snapshot) {
        if self.challenge.saw.champion != champion.id() {
            self.challenge.saw = Saw { champion: champion.id().to_owned(), ..Saw::default() };
            self.seen.clear();
        }
        if self.seen.len() >= MOST_SEEN {
            self.seen.clear();
        }
        if !self.seen.insert(self.state.hash_one(name)) {
            return;
        }
        let (by_champion, champion) = would(champion, logit, name, snapshot);
        let other = self.challenger.logit(name);
        let (by_challenger, challenger) = would(&self.challenger, other, name, snapshot);
        let saw = &mut self.challenge.saw;
        saw.names += 1;
        saw.agreed += u64::from(by_champion == by_challenger);
        let example = || Example { name: name.to_owned(), champion, challenger };
        match (by_champion, by_challenger) {
            (Would::Block, Would::Block) => saw.both_block += 1,
            (Would::Block, _) => {
                saw.only_champion_blocks += 1;
                keep(&mut saw.champion_examples, example());
            }
            (_, Would::Block) => {
                saw.only_challenger_blocks += 1;
                keep(&mut saw.challenger_examples, example());
            }
            _ => {}
        }
    }
}

fn keep(examples: &mut Vec<Example>, example: Example) {
    if examples.len() >= MOST_EXAMPLES {
        examples.remove(0);
    }
    examples.push(example);
}

#[cfg(test)]
mod tests {
    use dnsvet_core::lists::Scope;
    use dnsvet_core::model::{Calibration, Spec, Thresholds};
    use dnsvet_core::snapshot::{Builder, Role};
    use dnsvet_models::registry::Registry;

    use super::*;

    /// A snapshot with one popular name, in two lists.
    fn snapshot() -> Snapshot {
        let mut builder = Builder::new(1, [1; 16]);
        for list in ["one", "two"] {
            let list = builder.list(list, Role::Popular, "");
            builder.add(list, &Name::parse("popular.example").unwrap(), Scope::Suffix);
        }
        Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()
    }

    /// The small model, shifted so far that it blocks every name, or none.
    fn model(name: &str, intercept: f64) -> Model {
        let small = Registry::bundled().get("small").unwrap();
        let spec = small.manifest.spec();
        let calibration = Calibration { intercept, ..spec.calibration };
        let thresholds = Thresholds { allow_below: 0.5, block_above: 0.9 };
        let spec = Spec { name: name.into(), calibration, thresholds, ..spec };
        Model::new(spec, small.model().unwrap().network().clone()).unwrap()
    }

    fn ring(challenger: Model) -> Ring {
        let model =
            ModelRef { id: challenger.id().into(), dvm_blake3: String::new(), onnx_blake3: String::new() };
        let challenge = Challenge { model, author: "ana".into(), since_ms: 1, saw: Saw::default() };
        Ring::new(challenge, challenger)
    }

    fn look(ring: &mut Ring, champion: &Model, names: impl IntoIterator<Item = String>) -> Saw {
        let snapshot = snapshot();
        for name in names {
            ring.see(champion, champion.logit(&name), &name, &snapshot);
        }
        ring.challenge().saw.clone()
    }

    fn names(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("n{number}.example"))
    }

    #[test]
    fn two_of_a_kind_agree_and_each_name_counts_once() {
        let champion = model("champion", 60.0);
        let saw = look(&mut ring(model("challenger", 60.0)), &champion, names(50).chain(names(50)));
        assert_eq!((saw.names, saw.agreed, saw.both_block), (50, 50, 50));
        assert_eq!((saw.champion.as_str(), saw.challenger_examples.len()), (champion.id(), 0));
    }

    #[test]
    fn what_only_one_would_block_is_counted_with_the_newest_names_and_never_a_popular_one() {
        let (quiet, loud) = (model("quiet", -60.0), model("loud", 60.0));
        let asked = || names(50).chain(["popular.example".to_owned()]);
        let saw = look(&mut ring(loud.clone()), &quiet, asked());
        assert_eq!((saw.names, saw.agreed, saw.only_challenger_blocks), (51, 1, 50));
        assert_eq!((saw.only_champion_blocks, saw.champion_examples.len()), (0, 0));
        let newest: Vec<&str> = saw.challenger_examples.iter().map(|example| &*example.name).collect();
        assert_eq!(newest, names(50).skip(30).collect::<Vec<_>>());
        assert!(saw.challenger_examples[0].challenger > 0.9 && saw.challenger_examples[0].champion < 0.1);
        let saw = look(&mut ring(quiet), &loud, asked());
        assert_eq!((saw.only_champion_blocks, saw.only_challenger_blocks, saw.agreed), (50, 0, 1));
    }

    #[test]
    fn another_champion_begins_the_count_anew() {
        let mut ring = ring(model("challenger", 60.0));
        assert_eq!(look(&mut ring, &model("one", 60.0), names(9)).names, 9);
        let saw = look(&mut ring, &model("two", -60.0), names(4));
        assert_eq!((saw.names, saw.only_challenger_blocks), (4, 4));
    }
}
