//! What the thresholds do with each kind of name, and the clean names that they would block.

use serde::{Deserialize, Serialize};

use super::{KINDS, Row, Share, kind};

/// At most so many false blocks are listed.
pub const LISTED: usize = 1_000;

/// Where a score becomes a decision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// A probability below is let through.
    pub allow_below: f64,
    /// A probability at or above is blocked.
    pub block_above: f64,
    /// The share of malicious names that the probability is for, in (0, 1).
    pub prior: f64,
}

/// What is done with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Let through.
    Allow,
    /// Passed on to a larger model.
    Uncertain,
    /// Blocked.
    Block,
}

impl Decision {
    /// The probability at the prior of a score at even shares.
    pub fn probability(&self, score: f64) -> f64 {
        let malicious = score * self.prior;
        malicious / (malicious + (1.0 - score) * (1.0 - self.prior))
    }

    /// What is done with a name of this score at even shares.
    pub fn call(&self, score: f64) -> Call {
        let probability = self.probability(score);
        if probability >= self.block_above {
            Call::Block
        } else if probability >= self.allow_below {
            Call::Uncertain
        } else {
            Call::Allow
        }
    }
}

/// A row of the confusion matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// `clean`, `benign` (of one list only), or a malicious class.
    pub kind: String,
    /// Let through.
    pub allow: Share,
    /// Passed on to a larger model.
    pub uncertain: Share,
    /// Blocked.
    pub block: Share,
}

/// The confusion matrix; kinds without names are left out.
pub(super) fn calls(rows: &[Row<'_>], decision: Decision) -> Vec<Calls> {
    let of_kind = |wanted: &str| {
        let mut counts = [0; 3];
        for row in rows.iter().filter(|row| kind(row.example) == wanted) {
            counts[decision.call(row.score) as usize] += 1;
        }
        let [allow, uncertain, block] = counts.map(|hits| Share::new(hits, counts.iter().sum()));
        Calls { kind: wanted.to_owned(), allow, uncertain, block }
    };
    KINDS.into_iter().map(of_kind).filter(|calls| calls.allow.of > 0).collect()
}

/// Clean names at or above `block_above`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FalseBlocks {
    /// How many of the clean names.
    pub names: Share,
    /// The worst of them, at most 1,000.
    pub listed: Vec<FalseBlock>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FalseBlock {
    /// The name.
    pub name: String,
    /// The list that calls it benign.
    pub source: String,
    /// Its score at even shares.
    pub score: f64,
    /// Its probability at the decision's prior.
    pub probability: f64,
}

pub(super) fn false_blocks(rows: &[Row<'_>], decision: Decision) -> FalseBlocks {
    let clean = rows.iter().filter(|row| row.example.clean);
    let mut blocked: Vec<&Row<'_>> =
        clean.clone().filter(|row| decision.call(row.score) == Call::Block).collect();
    blocked.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.example.name.cmp(&b.example.name)));
    let names = Share::new(blocked.len(), clean.count());
    let listed = blocked.into_iter().take(LISTED).map(|row| FalseBlock {
        name: row.example.name.clone(),
        source: row.example.source().to_owned(),
        score: row.score,
        probability: decision.probability(row.score),
    });
    FalseBlocks { names, listed: listed.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Class, Example};
    use dnsvet_core::model::Calibration;

    const AT_ONE_PERCENT: Decision = Decision { allow_below: 0.3, block_above: 0.9, prior: 0.01 };

    #[test]
    fn the_probability_is_the_one_that_the_filter_decides_by() {
        let calibration = Calibration { slope: 0.86, intercept: -0.13, balance: 0.5 };
        for logit in [-20.0, -3.0, 0.0, 0.7, 5.5, 8.3, 20.0] {
            let (score, expected) = (calibration.score(logit), calibration.probability(logit, 0.01));
            let got = AT_ONE_PERCENT.probability(score);
            assert!((got - expected).abs() < 1e-7 * expected.max(1e-7), "{logit}: {got}, {expected}");
        }
    }

    #[test]
    fn each_name_is_counted_once_under_its_kind() {
        let example = |name: &str, class, clean| Example::new(name.into(), class, clean, "list/one".into());
        let examples = [
            example("a.com", Class::Benign, true),
            example("b.com", Class::Benign, true),
            example("c.com", Class::Benign, false),
            example("d.com", Class::Scam, false),
        ];
        // Odds at 1 % are 99 times lower: 0.999 is 0.91 there, 0.99 is 0.5, 0.9 is 0.08.
        let scores = [0.999, 0.9, 0.99, 0.9995];
        let rows: Vec<Row> =
            examples.iter().zip(scores).map(|(example, score)| Row { example, score }).collect();
        let found: Vec<_> = calls(&rows, AT_ONE_PERCENT)
            .into_iter()
            .map(|c| (c.kind, c.allow.hits, c.uncertain.hits, c.block.hits))
            .collect();
        assert_eq!(found, [("clean".into(), 1, 0, 1), ("benign".into(), 0, 1, 0), ("scam".into(), 0, 0, 1)]);
        let blocks = false_blocks(&rows, AT_ONE_PERCENT);
        assert_eq!((blocks.names.hits, blocks.names.of, blocks.listed.len()), (1, 2, 1));
        assert_eq!((&*blocks.listed[0].name, &*blocks.listed[0].source), ("a.com", "list"));
    }

    #[test]
    fn a_long_list_is_cut_and_its_count_is_not() {
        let examples: Vec<Example> = (0..1_200)
            .map(|i| Example::new(format!("n{i}.com"), Class::Benign, true, "list".into()))
            .collect();
        let rows: Vec<Row> = examples.iter().map(|example| Row { example, score: 0.9999 }).collect();
        let blocks = false_blocks(&rows, AT_ONE_PERCENT);
        assert_eq!((blocks.names.hits, blocks.listed.len()), (1_200, LISTED));
    }
}
