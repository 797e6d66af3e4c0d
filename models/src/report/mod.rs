//! What a model is worth, with how sure that is: one report for the model and for baselines on the same names.
//!
//! ```text
//! names ─► scores ─► rows ─┬─► ROC, AUC ─► recall by class, source, family
//!                          ├─► reliability          ├─► false positives by suffix, source
//!                          ├─► decisions, false blocks, budgets
//!                          └─► names changed ─► scores ─► shortcuts      all ─► Report ─► JSON, text, SVG
//! ```
//!
//! All parts are pure functions of rows; the same rows give the same report to the byte. Main types: [`Row`],
//! [`Subject`], [`Evidence`], [`Report`].
//!
//! The surprise: a recall has two intervals. [`Share`]'s own (Wilson) takes the threshold as given and each name
//! as drawn on its own; it is the narrower one. The bootstrap draws registrable domains, sets the threshold anew
//! on each draw, and so also says how far the few clean names at the threshold carry. [`Recall::interval`] is
//! the one to quote.

mod auc;
mod baseline;
mod budget;
mod decisions;
mod false_positives;
mod interval;
mod recall;
mod reliability;
mod roc;
mod run;
mod shortcut;
pub mod svg;
mod text;

pub use auc::Auc;
pub use baseline::{Baseline, Grams, Odds};
pub use budget::Budget;
pub use decisions::{Call, Calls, Decision, FalseBlock, FalseBlocks};
pub use false_positives::{FalsePositives, SourceRate, SuffixRate};
pub use interval::Share;
pub use recall::{Group, Recall, Recalls};
pub use reliability::{Bin, Reliability};
pub use roc::Point;
pub use run::{EvaluateError, Evaluation, evaluate};
pub use shortcut::Shortcut;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::data::{Class, Example};
use crate::evaluate::descending;

/// The false-positive rates that recall is given at.
pub const RATES: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Rounds of each bootstrap.
pub const ROUNDS: usize = 200;
/// Where the bootstrap's random choices start.
pub const SEED: u64 = 1;

/// One name with its score.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// What is known of the name.
    pub example: &'a Example,
    /// The calibrated probability of malicious among as many benign as malicious names, in [0, 1].
    pub score: f64,
}

/// Who is judged.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The word in tables and legends.
    pub label: &'a str,
    /// What it is, in a sentence.
    pub about: &'a str,
    /// Where its score becomes a decision.
    pub decision: Decision,
    /// Scores other names as the rows were scored.
    pub score: &'a dyn Fn(&[String]) -> Vec<f64>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A class without names.
    #[error("no {0} names to judge by; a report needs clean benign names and malicious ones")]
    Empty(&'static str),
}

/// The names that all were judged by, and what came out for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Which names.
    pub names: Names,
    /// Rounds of each bootstrap.
    pub bootstrap_rounds: usize,
    /// Where the bootstrap's random choices started.
    pub bootstrap_seed: u64,
    /// The model.
    pub model: Evidence,
    /// What it has to beat, on the same names.
    pub baselines: Vec<Evidence>,
}

impl Report {
    /// The model, then the baselines.
    pub fn all(&self) -> impl Iterator<Item = &Evidence> {
        std::iter::once(&self.model).chain(&self.baselines)
    }
}

/// Which names a report is on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Names {
    /// BLAKE3 of all rows, sorted, hex: two reports with the same hash are on the same names and labels.
    pub blake3: String,
    /// How many there are of each kind: clean, other benign, then the malicious classes.
    pub kinds: Vec<Kind>,
}

/// Names of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// `clean`, `benign` (of one list only), or a malicious class.
    pub kind: String,
    /// Names.
    pub names: usize,
    /// Registrable domains.
    pub domains: usize,
}

impl Names {
    /// Counts names, in any order.
    pub fn of<'a>(examples: impl IntoIterator<Item = &'a Example>) -> Self {
        let examples: Vec<&Example> = examples.into_iter().collect();
        let mut lines: Vec<String> = examples
            .iter()
            .map(|e| format!("{}\t{}\t{}\t{}\n", e.name, e.class.as_str(), e.clean, e.origin))
            .collect();
        lines.sort_unstable();
        let mut hasher = blake3::Hasher::new();
        for line in &lines {
            hasher.update(line.as_bytes());
        }
        let kinds = KINDS.into_iter().map(|kind| {
            let of_kind = || examples.iter().filter(|example| self::kind(example) == kind);
            let domains: HashSet<&str> = of_kind().map(|example| example.domain()).collect();
            Kind { kind: kind.to_owned(), names: of_kind().count(), domains: domains.len() }
        });
        Self { blake3: hasher.finalize().to_hex().to_string(), kinds: kinds.collect() }
    }

    /// All names.
    pub fn total(&self) -> usize {
        self.kinds.iter().map(|kind| kind.names).sum()
    }
}

/// The kinds of names in reports, in order.
const KINDS: [&str; 7] = ["clean", "benign", "phishing", "malware", "c2", "scam", "dga"];

/// Its class, with clean names apart from other benign ones.
fn kind(example: &Example) -> &'static str {
    if example.clean && example.class == Class::Benign { "clean" } else { example.class.as_str() }
}

/// What came out for one model or baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The word in tables and legends.
    pub label: String,
    /// What it is, in a sentence.
    pub about: String,
    /// Where its score becomes a decision.
    pub decision: Decision,
    /// Area under the ROC curve, clean names against malicious ones.
    pub clean_auc: Auc,
    /// The same with all benign names.
    pub auc: Auc,
    /// The ROC curve near zero: ten points a decade of false-positive rate, on clean names.
    pub roc: Vec<Point>,
    /// The share of malicious names found at each of [`RATES`].
    pub recall: Recalls,
    /// Whether a score of 0.8 means 80 %.
    pub reliability: Reliability,
    /// What would be done with names of each kind.
    pub calls: Vec<Calls>,
    /// The clean names that would be blocked.
    pub false_blocks: FalseBlocks,
    /// Where the false positives are.
    pub false_positives: FalsePositives,
    /// Whether a threshold set on some clean domains holds on others.
    pub budgets: Vec<Budget>,
    /// What changes when only the suffix or a prefix changes.
    pub shortcuts: Vec<Shortcut>,
}

impl Evidence {
    /// Judges by rows of at least one clean and one malicious name.
    pub fn of(subject: &Subject<'_>, rows: &[Row<'_>]) -> Result<Self, ReportError> {
        let scores = |wanted: fn(&Example) -> bool| -> Vec<f64> {
            rows.iter().filter(|row| wanted(row.example)).map(|row| row.score).collect()
        };
        let (clean, benign) = (scores(|e| e.clean), scores(|e| !e.is_malicious()));
        let malicious = scores(Example::is_malicious);
        for (found, class) in [(&clean, "clean benign"), (&malicious, "malicious")] {
            if found.is_empty() {
                return Err(ReportError::Empty(class));
            }
        }
        let cut = roc::cut(&descending(clean.clone()), RATES[0]);
        Ok(Self {
            label: subject.label.to_owned(),
            about: subject.about.to_owned(),
            decision: subject.decision,
            clean_auc: Auc::of(&clean, &malicious),
            auc: Auc::of(&benign, &malicious),
            roc: roc::points(&clean, &malicious),
            recall: recall::recalls(rows),
            reliability: reliability::reliability(&clean, &malicious),
            calls: decisions::calls(rows, subject.decision),
            false_blocks: decisions::false_blocks(rows, subject.decision),
            false_positives: false_positives::false_positives(rows, cut),
            budgets: budget::budgets(rows),
            shortcuts: shortcut::shortcuts(rows, cut, subject.decision, subject.score),
        })
    }
}

#[cfg(test)]
mod tests;
