//! Verdicts told instead of answered, for a door that can't say them in DNS.

use super::alias::is_alias;
use crate::verdict::{Action, Own, Reason, Verdict};

/// The door of the old middleware's protocol, where answers are verdicts: the filter keeps those of its questions for
/// [`Filter::take_told`](super::Filter::take_told).
pub const TELLING_DOOR: &str = "mlbridge";

/// The final verdict on a question of a door that can't say it in DNS; see [`TELLING_DOOR`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Told {
    /// Whether the name is kept from the client.
    pub blocks: bool,
    /// Probability of malicious, [0, 1]; `None` if no model ran.
    pub score: Option<f64>,
}

impl Told {
    /// What a final verdict comes to.
    pub(super) fn of(verdict: &Verdict) -> Self {
        Self { blocks: keeps_away(verdict), score: verdict.score }
    }

    /// As text, for runners that carry texts: `block 0.98`, `pass 0.01`, `pass -`.
    pub fn to_text(self) -> String {
        let word = if self.blocks { "block" } else { "pass" };
        self.score.map_or_else(|| format!("{word} -"), |score| format!("{word} {score}"))
    }

    /// Reads what [`Told::to_text`] wrote; `None` for other bytes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (word, score) = std::str::from_utf8(text).ok()?.split_once(' ')?;
        let blocks = match word {
            "block" => true,
            "pass" => false,
            _ => return None,
        };
        let score = match score {
            "-" => None,
            score => Some(score.parse().ok().filter(|score| (0.0..=1.0).contains(score))?),
        };
        Some(Self { blocks, score })
    }
}

/// Whether a verdict keeps the client from what it asked for: not so an alias, which leads on, nor an address that
/// special names have by right.
fn keeps_away(verdict: &Verdict) -> bool {
    let by_right = verdict.action == Action::Custom && verdict.reason() == Some(Reason::Special);
    verdict.action.stops() && !by_right && !is_alias(verdict) && verdict.own != Own::Truncated
}
