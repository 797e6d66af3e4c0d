//! Judges a model and its baselines on the held-back names of a corpus.
//!
//! ```text
//! two folds ─► baselines learn ─► the third ─► calibrated ─┐
//! artifact, seed ──────────────────────────────────────────┴─► corpus.test ─► Evaluation
//! ```

use std::cell::Cell;

use dnsvet_core::model::{Calibration, Model, Scratch, Thresholds, UNLISTED_PRIOR};
use serde::{Deserialize, Serialize};

use super::baseline::{self, Baseline};
use super::{Decision, Evidence, Names, ROUNDS, Report, ReportError, Row, SEED, Subject, shortcut};
use crate::data::{Corpus, Example};
use crate::evaluate::{self, Metrics, Scored};
use crate::publish::PublishError;
use crate::registry::{Artifact, Registry};

/// Names scored between two words of progress.
const BATCH: usize = 4_096;

/// A model's metrics and the whole report, in one JSON object.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The model: its name and hash.
    pub model: String,
    /// The metrics that its card gives, at the top of the object.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Everything else.
    pub report: Report,
}

/// Why a model could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// No model that can be measured.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The names don't carry a report.
    #[error(transparent)]
    Report(#[from] ReportError),
}

/// Judges on `corpus.test`; baselines learn from two of the folds and are calibrated on the third. `progress` is told who scores, how many names
/// have been scored by now and how many will be.
pub fn evaluate(
    artifact: &Artifact,
    corpus: &Corpus,
    progress: &dyn Fn(&str, u64, u64),
) -> Result<Evaluation, EvaluateError> {
    let manifest = &artifact.manifest;
    let model = artifact.model().ok_or_else(|| PublishError::NotTrained(manifest.name.clone()))?;
    let seed = Registry::bundled().get("seed").map_err(PublishError::from)?;
    let seed = seed.model().filter(|seed| seed.id() != model.id());
    let split = corpus.split(Some(0));
    let train: Vec<&Example> = split.train.iter().chain(&split.validation).copied().collect();
    let learnt = baseline::all(&train);
    let held: Vec<&Example> = split.held.iter().map(|(_, example)| *example).collect();

    let each = corpus.test.len() + shortcut::names(corpus.test.iter());
    let scorers = 1 + usize::from(seed.is_some()) + learnt.len();
    let told = Told { done: Cell::new(0), of: (scorers * each) as u64, progress };

    let judged = Judge::of_model(&manifest.name, "the model itself", model);
    let (model_evidence, logits) = judged.evidence(&corpus.test, &told)?;
    let mut baselines = Vec::new();
    if let Some(seed) = seed {
        let about = "the CNN of ML Bridge that dnsvet began with, as it was trained in 2020";
        baselines.push(Judge::of_model("seed", about, seed).evidence(&corpus.test, &told)?.0);
    }
    for baseline in &learnt {
        let judge = Judge::of_baseline(&**baseline, &held);
        baselines.push(judge.evidence(&corpus.test, &told)?.0);
    }

    let scored: Vec<Scored<'_>> =
        corpus.test.iter().zip(logits).map(|(example, logit)| Scored { example, logit }).collect();
    Ok(Evaluation {
        model: manifest.id.clone(),
        metrics: evaluate::metrics(&scored, model.thresholds(), |l| model.probability(l, model.prior())),
        report: Report {
            names: Names::of(&corpus.test),
            bootstrap_rounds: ROUNDS,
            bootstrap_seed: SEED,
            model: model_evidence,
            baselines,
        },
    })
}

/// Counts names for `progress`.
struct Told<'a> {
    done: Cell<u64>,
    of: u64,
    progress: &'a dyn Fn(&str, u64, u64),
}

/// One logit for each name.
type Logits<'a> = Box<dyn Fn(&[&str]) -> Vec<f32> + 'a>;

/// A scorer with its calibration and decision.
struct Judge<'a> {
    label: &'a str,
    about: &'a str,
    decision: Decision,
    logits: Logits<'a>,
    /// Logit to score at even shares.
    score: Box<dyn Fn(f32) -> f64 + 'a>,
}

impl<'a> Judge<'a> {
    fn of_model(label: &'a str, about: &'a str, model: &'a Model) -> Self {
        let logits = move |names: &[&str]| {
            let mut logits = vec![0.0; names.len()];
            model.logits(names, &mut Scratch::default(), &mut logits);
            logits
        };
        let Thresholds { allow_below, block_above } = model.thresholds();
        let decision = Decision { allow_below, block_above, prior: model.prior() };
        let score = move |logit| model.probability(logit, 0.5);
        Self { label, about, decision, logits: Box::new(logits), score: Box::new(score) }
    }

    /// Calibration and thresholds come about as a model's do, and from names that it had not learnt from.
    fn of_baseline(baseline: &'a dyn Baseline, held: &[&Example]) -> Self {
        let logit = |example: &Example| baseline.logit(&example.name);
        let scored: Vec<Scored<'_>> =
            held.iter().map(|example| Scored { example, logit: logit(example) }).collect();
        let calibration: Calibration = evaluate::calibrate(&scored);
        let Thresholds { allow_below, block_above } =
            evaluate::thresholds(&scored, &calibration, UNLISTED_PRIOR);
        let logits = move |names: &[&str]| names.iter().map(|name| baseline.logit(name)).collect();
        Self {
            label: baseline.label(),
            about: baseline.about(),
            decision: Decision { allow_below, block_above, prior: UNLISTED_PRIOR },
            logits: Box::new(logits),
            score: Box::new(move |logit| calibration.probability(logit, 0.5)),
        }
    }

    /// What comes out, and the logits of the names.
    fn evidence(&self, names: &[Example], told: &Told<'_>) -> Result<(Evidence, Vec<f32>), ReportError> {
        let texts: Vec<&str> = names.iter().map(|example| example.name.as_str()).collect();
        let logits = self.logits(&texts, told);
        let score = |logit: &f32| (self.score)(*logit);
        let rows: Vec<Row<'_>> =
            names.iter().zip(&logits).map(|(example, logit)| Row { example, score: score(logit) }).collect();
        let rescore = |names: &[String]| -> Vec<f64> {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.logits(&names, told).iter().map(score).collect()
        };
        let Self { label, about, decision, .. } = *self;
        let evidence = Evidence::of(&Subject { label, about, decision, score: &rescore }, &rows)?;
        Ok((evidence, logits))
    }

    fn logits(&self, names: &[&str], told: &Told<'_>) -> Vec<f32> {
        let mut logits = Vec::with_capacity(names.len());
        for batch in names.chunks(BATCH) {
            logits.extend((self.logits)(batch));
            told.done.set(told.done.get() + batch.len() as u64);
            (told.progress)(self.label, told.done.get(), told.of);
        }
        logits
    }
}
