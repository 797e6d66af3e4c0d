//! Which characters made a score, as programs read it.

use serde::{Deserialize, Serialize};

use crate::model::Model;

/// Spans that are told; what is beyond moved little.
const MOST_SPANS: usize = 5;

/// A logit of a model, shared out among the bytes of a name: `attribution` beside a score. Numbers are rounded to four
/// decimals; above 0 speaks for malicious, below for benign.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribution {
    /// The name that was scored: lower case, without trailing dot.
    pub name: String,
    /// The model that scored it, `name@hash`.
    pub model: String,
    /// The model's logit, before calibration: about [`Attribution::rest`] and all bytes together.
    pub logit: f64,
    /// What no byte is to blame for.
    pub rest: f64,
    /// One for each byte of [`Attribution::name`].
    pub bytes: Vec<f64>,
    /// The characters that counted most, strongest first.
    pub spans: Vec<Span>,
}

/// Characters beside each other that speak for the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    /// Where in the name they start, bytes.
    pub at: usize,
    /// The characters.
    pub text: String,
    /// What they moved together.
    pub logit: f64,
}

impl Attribution {
    /// Shares out what a model says of a name; `None` for a model that does not tell.
    pub fn of(model: &Model, name: &str) -> Option<Self> {
        let shared = model.attribution(name)?;
        let told = shared.spans(MOST_SPANS).into_iter().map(|found| Span {
            at: found.range.start,
            text: name.get(found.range).unwrap_or_default().to_owned(),
            logit: rounded(found.logit),
        });
        Some(Self {
            name: name.to_owned(),
            model: model.id().to_owned(),
            logit: rounded(f64::from(model.logit(name))),
            rest: rounded(shared.rest),
            spans: told.collect(),
            bytes: shared.bytes.into_iter().map(rounded).collect(),
        })
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
