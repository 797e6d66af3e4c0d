//! `manifest.json`: what an artifact's files are, how its scores are to be read, where it comes from.

use dnsvet_core::model::features::{FEATURE_BITS, MAX_FEATURES, crossed};
use dnsvet_core::model::stack::slot;
use dnsvet_core::model::tokenizer::TEXT_TOKENS;
use dnsvet_core::model::{Calibration, Parts, Reading, Spec, Thresholds, features, tokenizer};
use serde::{Deserialize, Serialize};

use crate::data::Sources;
use crate::evaluate::Metrics;

/// The manifest's format.
pub const FORMAT: u32 = 1;
/// How far a golden vector's logit may be off: relative, plus absolute.
pub const GOLDEN_TOLERANCE: f64 = 1e-4;

/// An artifact's pins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// The model's name, as its folder in the registry.
    pub name: String,
    /// Name and hash: `small@1a2b3c4d`.
    pub id: String,
    /// Tokenizer version: 1 code points (256), 2 text (66 tokens), 3 parts (1091), 4 parts in
    /// three readings (2115), see [`tokens`].
    pub tokenizer: u8,
    /// Integers a name, the second axis of the input.
    pub length: usize,
    /// What the ONNX graph gives.
    pub output: Output,
    /// Parameters: of a single table CNN before folding, of a stack as it is stored.
    pub parameters: usize,
    /// BLAKE3 of `model.onnx`, hex.
    pub onnx_blake3: String,
    /// BLAKE3 of `model.dvm`, hex; absent where there is none (an imported graph).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dvm_blake3: Option<String>,
    /// From logit to probability.
    pub calibration: Scale,
    /// Share of malicious names that the thresholds hold for, in (0, 1).
    pub prior: f64,
    /// Where the probability at that prior becomes a decision.
    pub thresholds: Limits,
    /// Names with the logits that a right implementation gives.
    pub golden: Vec<Golden>,
    /// What it learnt from.
    pub sources: Vec<Origin>,
    /// The command that made it.
    pub made_by: String,
    /// How it was trained; absent where it was not trained here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// What it is worth on names that it did not see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
}

impl Manifest {
    /// What the model's own artifact says beside its weights.
    pub fn spec(&self) -> Spec {
        Spec {
            name: self.name.clone(),
            calibration: self.calibration.into(),
            prior: self.prior,
            thresholds: self.thresholds.into(),
        }
    }
}

/// What the same names are drawn again by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Passes over the names at most.
    pub epochs: usize,
    /// Names a step.
    pub batch: usize,
    /// Training names at most.
    pub sample: usize,
    /// Where all random choices started.
    pub seed: u64,
    /// Which sources it learnt from.
    pub sources: Sources,
}

/// What a graph's output means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// `[n]`: the logit of malicious.
    Logit,
    /// `[n]`: the probability of malicious.
    Probability,
    /// `[n, 2]`: logits of benign and malicious.
    TwoLogits,
}

/// [`Calibration`] in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Factor of the logit.
    pub slope: f64,
    /// Added to it.
    pub intercept: f64,
    /// Share of malicious names that both were fitted on.
    pub balance: f64,
}

impl From<Calibration> for Scale {
    fn from(Calibration { slope, intercept, balance }: Calibration) -> Self {
        Self { slope, intercept, balance }
    }
}

impl From<Scale> for Calibration {
    fn from(Scale { slope, intercept, balance }: Scale) -> Self {
        Self { slope, intercept, balance }
    }
}

/// [`Thresholds`] in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Below: benign enough.
    pub allow_below: f64,
    /// At or above: malicious enough.
    pub block_above: f64,
    /// False blocks per clean registrable domain that `block_above` was set for.
    pub false_block_budget: f64,
}

impl From<Limits> for Thresholds {
    fn from(limits: Limits) -> Self {
        Self { allow_below: limits.allow_below, block_above: limits.block_above }
    }
}

/// One golden vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// The name.
    pub name: String,
    /// Its logit.
    pub logit: f32,
}

impl Golden {
    /// Whether a logit is near enough.
    pub fn matches(&self, logit: f32) -> bool {
        let (expected, got) = (f64::from(self.logit), f64::from(logit));
        (got - expected).abs() <= GOLDEN_TOLERANCE * (1.0 + expected.abs())
    }
}

/// A source of training names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// What it is called.
    pub source: String,
    /// Where it comes from.
    pub origin: String,
    /// Its licence.
    pub licence: String,
    /// Names taken.
    pub names: usize,
}

/// The names of golden vectors: short, long, deep, international, with digits, with nothing.
pub const GOLDEN_NAMES: [&str; 24] = [
    "example.com",
    "www.example.com",
    "a.co",
    "google.com",
    "wikipedia.org",
    "bbc.co.uk",
    "nhs.uk",
    "mit.edu",
    "xn--bcher-kva.example",
    "0123456789.net",
    "login-secure-account-update.top",
    "qxvbzkjw.biz",
    "d41d8cd98f00b204e9800998ecf8427e.info",
    "_dmarc.example.org",
    "a.b.c.d.e.f.g.h.example.com",
    "x",
    "paypa1-verification.example.net",
    "cdn-77.images.static.example.io",
    "thequickbrownfoxjumpsoverthelazydog.com",
    "free-gift-card-2026.xyz",
    "mail.google.com",
    "7f3a9c.duckdns.org",
    "very-long-label-very-long-label-very-long-label-very.long-label-example.co",
    "",
];

/// Integers of a name under [`tokenizer::PARTS`]: the content's tokens, its features as [`Reading::Labels`], these
/// under its suffix, the suffix' slot.
pub const PARTS_LENGTH: usize = TEXT_TOKENS + 2 * MAX_FEATURES + 1;
/// The same under [`tokenizer::READINGS`], followed by the features of each other [`Reading`].
pub const READINGS_LENGTH: usize = PARTS_LENGTH + (Reading::ALL.len() - 1) * MAX_FEATURES;

/// What a graph reads of a name under a tokenizer version, `length` integers. In place of features that a name
/// does not have stands `2^FEATURE_BITS`.
pub fn tokens(version: u8, length: usize, name: &str, out: &mut Vec<i64>) {
    let end = out.len() + length;
    match version {
        tokenizer::CODE_POINTS => {
            out.extend(name.chars().take(length).map(|character| i64::from(u32::from(character))));
        }
        tokenizer::PARTS | tokenizer::READINGS => {
            let parts = Parts::of(name);
            let (tokens, _) = tokenizer::frame(parts.content);
            out.extend(tokens.map(i64::from));
            let nothing = || std::iter::repeat(1 << FEATURE_BITS);
            let mut found = Vec::new();
            for reading in Reading::ALL {
                features(parts.content, reading, &mut found);
                out.extend(found.iter().copied().chain(nothing()).take(MAX_FEATURES).map(i64::from));
                if reading == Reading::Labels {
                    let under = crossed(&found, parts.suffix).chain(nothing());
                    out.extend(under.take(MAX_FEATURES).map(i64::from));
                    out.push(slot(parts.suffix) as i64);
                }
                if version == tokenizer::PARTS {
                    break;
                }
            }
        }
        _ => {
            let (tokens, _) = tokenizer::tokens(name);
            out.extend(tokens.iter().take(length).map(|token| i64::from(*token)));
        }
    }
    out.resize(end, 0);
}
