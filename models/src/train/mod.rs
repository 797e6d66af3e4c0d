//! Training: the members of a stack, each by itself, and then how much each counts.
//!
//! ```text
//! fold 1, 2, 3:  table CNN, bags  ->  logits of the names held back  -> weights, bound, calibration, thresholds
//! all names:     table CNN, bags  ------------------------------------------------------> stack
//! ```
//!
//! The loops are our own, because they are tenfold quicker than a general one: [`table`] trains through folded
//! tables, [`bag`] moves only the rows that a name reads. The surprise: each member is trained four times. What its
//! stack is weighed and calibrated on are names that the member had not learnt from, and no name is lost to that.

mod bag;
mod folds;
mod kept;
mod network;
mod optimizer;
mod real;
mod stack;
mod table;

pub use bag::BagRecipe;
pub use folds::{Assembled, TrainError, Workshop};
pub use kept::Kept;
pub use network::Params;

use std::fmt;

use serde::Serialize;

use crate::data::FOLDS;

/// Which of its four trainings a member is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// What is trained.
    pub member: &'static str,
    /// The fold that is held back; none in the last training, on all names.
    pub fold: Option<usize>,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fold {
            Some(fold) => write!(f, "{}, fold {} of {FOLDS}", self.member, fold + 1),
            None => write!(f, "{}, all names", self.member),
        }
    }
}

/// What a training run tells while it runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Progress {
    /// After every step.
    Step {
        /// Which member, and what it learns from.
        #[serde(flatten)]
        stage: Stage,
        /// From 1.
        epoch: usize,
        /// Training names seen in this epoch.
        names: usize,
        /// Training names in an epoch.
        of: usize,
        /// Running mean of the weighted loss, nats.
        loss: f64,
    },
    /// After every epoch of a table CNN.
    Epoch {
        /// Which member, and what it learns from.
        #[serde(flatten)]
        stage: Stage,
        /// From 1.
        epoch: usize,
        /// Mean training loss, nats.
        loss: f64,
        /// Validation loss, nats.
        validation_loss: f64,
        /// Validation area under the ROC curve.
        validation_auc: f64,
        /// Whether this is the best epoch so far.
        best: bool,
    },
}

/// What one training is run with, beside its recipe.
#[derive(Debug, Clone, Copy)]
struct Run {
    stage: Stage,
    /// Where all random choices start.
    seed: u64,
    /// The result does not depend on it.
    threads: usize,
}

#[cfg(test)]
mod tests;
