//! Each member four times: once for each fold that is held back, once on all names.
//!
//! ```text
//! recipe -> fold held back: train on the others -> logits of the fold ─┬─> HeldBack, one number a name
//!        -> fold ...                                                   ┘
//!        -> all names -> Learnt -> what the stack runs
//! ```
//!
//! The surprise: what a recipe has trained stays while a workshop is open, so a bag that stands in the small and
//! in the large stack is trained once, and is the same in both to the byte.

use std::path::PathBuf;
use std::sync::mpsc;
use std::{io, thread};

use dnsvet_core::model::stack::slot;
use dnsvet_core::model::{
    Bag, Member, ModelError, Parts, Reading, Scratch, Stack, StackWeights, SuffixWeights, Table, features,
};

use super::bag;
use super::kept::Kept;
use super::network::Params;
use super::stack::{self, Said};
use super::table;
use super::{Progress, Run, Stage};
use crate::data::{Corpus, FOLDS, Split};
use crate::recipe::{MemberRecipe, Recipe};

/// Why nothing was trained.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A training diverged, or the recipe does not hold together.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// What was trained can't be kept.
    #[error("{}: {source}; trainings are kept there until all are done", folder.display())]
    Keep {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a member learnt.
#[derive(Debug, Clone)]
pub(super) enum Learnt {
    /// A table CNN before folding.
    Table(Params<f32>),
    /// A bag, and what suffixes say beside it.
    Bag(Box<Bag>, Box<SuffixWeights>),
}

impl Learnt {
    /// The member as a stack runs it.
    pub fn member(&self) -> Result<Member, ModelError> {
        Ok(match self {
            Self::Table(params) => Member::Table(Box::new(Table::new(params.fold())?)),
            Self::Bag(bag, _) => Member::Bag(bag.clone()),
        })
    }

    /// What suffixes say, of a bag that reads what they are asked with.
    fn suffix(&self) -> Option<&SuffixWeights> {
        match self {
            Self::Bag(bag, suffix) if bag.reading() == Reading::Labels => Some(suffix),
            _ => None,
        }
    }
}

/// What a member says of names that it had not learnt from, by index in [`Corpus::learning`].
#[derive(Debug, Clone, Default)]
pub(super) struct HeldBack {
    /// The logit of each.
    pub logits: Vec<f32>,
    /// What suffixes say of each; empty for a member that gives no suffix' word.
    pub said: Said,
}

/// A member, trained.
#[derive(Debug, Clone)]
pub(super) struct Trained {
    /// On all names.
    pub learnt: Learnt,
    /// In folds.
    pub held: HeldBack,
}

/// A stack, and its logit of each name by members that had not learnt from it.
#[derive(Debug, Clone)]
pub struct Assembled {
    /// To run.
    pub stack: Stack,
    /// By index in [`Corpus::learning`].
    pub held: Vec<f32>,
}

/// Where members are trained, and kept for the next stack.
pub struct Workshop<'a> {
    corpus: &'a Corpus,
    seed: u64,
    threads: usize,
    /// Suffixes that malicious names prefer, with the slot of each; no two share one.
    watched: Vec<(usize, &'a str)>,
    trained: Vec<(MemberRecipe, Trained)>,
    kept: Option<Kept>,
}

impl<'a> Workshop<'a> {
    /// Opens one. The same corpus, recipes and `seed` give the same bytes, whatever `threads` is.
    pub fn new(corpus: &'a Corpus, seed: u64, threads: usize) -> Self {
        let mut watched: Vec<(usize, &str)> =
            corpus.worst_suffixes().into_iter().map(|suffix| (slot(suffix), suffix)).collect();
        watched.sort_unstable();
        watched.dedup_by_key(|(slot, _)| *slot);
        Self { corpus, seed, threads, watched, trained: Vec::new(), kept: None }
    }

    /// Keeps on disk what is trained, and goes on from what was kept.
    pub fn keeping(self, kept: Kept) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// Removes what was kept on disk: all is done.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn clear(&self) -> Result<(), TrainError> {
        let Some(kept) = &self.kept else { return Ok(()) };
        kept.remove().map_err(|source| TrainError::Keep { folder: kept.folder().to_owned(), source })
    }

    /// Trains what a recipe stacks, and weighs it.
    ///
    /// # Errors
    /// If a training diverged, can't be kept, or the recipe has no bag that reads labels.
    pub fn stack(
        &mut self,
        recipe: &Recipe,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Assembled, TrainError> {
        let mut at = Vec::new();
        for member in &recipe.members {
            at.push(self.train(member, progress)?);
        }
        let trained: Vec<&Trained> = at.iter().map(|&at| &self.trained[at].1).collect();
        let speaker = trained.iter().find_map(|member| Some((member, member.learnt.suffix()?)));
        let (speaker, suffix) = speaker.ok_or(ModelError::Shape("a recipe has a bag that reads labels"))?;
        let logits: Vec<&[f32]> = trained.iter().map(|member| member.held.logits.as_slice()).collect();
        let said = &speaker.held.said;
        let fitted = stack::fit(&logits, said, &self.corpus.learning);
        let weights = fitted.weights.iter().map(|weight| *weight as f32);
        let members: Vec<Member> =
            trained.iter().map(|member| member.learnt.member()).collect::<Result<_, _>>()?;
        let factor = fitted.factor as f32;
        let mut suffix = suffix.clone();
        for ((slot, _), lowered) in self.watched.iter().zip(&fitted.lowered) {
            suffix.terms[*slot] -= *lowered as f32;
        }
        suffix.terms.iter_mut().for_each(|term| *term *= factor);
        suffix.scale *= factor;
        let bias = fitted.bias as f32;
        let stack = Stack::new(StackWeights { members: weights.zip(members).collect(), suffix, bias })?;
        Ok(Assembled { stack, held: fitted.logits(&logits, said) })
    }

    /// Where the trained member lies.
    fn train(
        &mut self,
        recipe: &MemberRecipe,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<usize, TrainError> {
        if let Some(at) = self.trained.iter().position(|(known, _)| known == recipe) {
            return Ok(at);
        }
        let folds: Vec<Option<usize>> = (0..FOLDS).map(Some).chain([None]).collect();
        let mut held = HeldBack { logits: vec![0.0; self.corpus.learning.len()], ..HeldBack::default() };
        let mut whole = None;
        // A table CNN uses all threads by itself, a bag one.
        let together = if matches!(recipe, MemberRecipe::Bag(_)) { self.threads.max(1) } else { 1 };
        for folds in folds.chunks(together) {
            let splits: Vec<Split<'_>> = folds.iter().map(|fold| self.corpus.split(*fold)).collect();
            let learnt = self.run(recipe, &splits, progress)?;
            for (split, learnt) in splits.iter().zip(learnt) {
                match split.fold {
                    Some(_) => self.hold(&learnt, split, &mut held)?,
                    None => whole = Some(learnt),
                }
            }
        }
        let learnt = whole.ok_or(ModelError::Shape("a training did not end"))?;
        self.trained.push((recipe.clone(), Trained { learnt, held }));
        Ok(self.trained.len() - 1)
    }

    /// Trains one member on each of these, at the same time; `progress` is told by the caller's thread.
    fn run(
        &self,
        recipe: &MemberRecipe,
        splits: &[Split<'_>],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Learnt>, TrainError> {
        let (sender, told) = mpsc::channel();
        thread::scope(|scope| {
            let running: Vec<_> = splits
                .iter()
                .map(|split| {
                    let sender = sender.clone();
                    let tell = move |event| drop(sender.send(event));
                    scope.spawn(move || self.run_one(recipe, split, &mut { tell }))
                })
                .collect();
            drop(sender);
            told.iter().for_each(progress);
            let learnt = running.into_iter().map(|one| match one.join() {
                Ok(learnt) => learnt,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            learnt.collect()
        })
    }

    fn run_one(
        &self,
        recipe: &MemberRecipe,
        split: &Split<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Learnt, TrainError> {
        let fold = split.fold;
        if let Some(learnt) = self.kept.as_ref().and_then(|kept| kept.get(recipe, fold)) {
            return Ok(learnt);
        }
        let run = |member| Run { stage: Stage { member, fold }, seed: self.seed, threads: self.threads };
        let learnt = match recipe {
            MemberRecipe::Table(recipe) => Learnt::Table(table::train(recipe, run("cnn"), split, progress)),
            MemberRecipe::Bag(recipe) => {
                let params = bag::train(recipe, run("bag"), split, progress);
                Learnt::Bag(Box::new(params.quantised()?), Box::new(params.suffix()))
            }
        };
        if let Some(kept) = &self.kept {
            kept.put(recipe, fold, &learnt)
                .map_err(|source| TrainError::Keep { folder: kept.folder().to_owned(), source })?;
        }
        Ok(learnt)
    }

    /// Writes down what a member says of the names that were held back from it.
    fn hold(&self, learnt: &Learnt, split: &Split<'_>, held: &mut HeldBack) -> Result<(), ModelError> {
        let alone = StackWeights {
            members: vec![(1.0, learnt.member()?)],
            suffix: SuffixWeights::silent(),
            bias: 0.0,
        };
        let names: Vec<&str> = split.held.iter().map(|(_, example)| example.name.as_str()).collect();
        let mut logits = vec![0.0; names.len()];
        Stack::new(alone)?.logits(&names, &mut Scratch::default(), &mut logits);
        for ((at, _), logit) in split.held.iter().zip(logits) {
            held.logits[*at] = logit;
        }
        let Some(suffix) = learnt.suffix() else { return Ok(()) };
        let said = &mut held.said;
        said.unbound.resize(self.corpus.learning.len(), 0.0);
        said.watched.resize(self.corpus.learning.len(), None);
        let mut found = Vec::new();
        for (at, example) in &split.held {
            let parts = Parts::of(&example.name);
            features(parts.content, Reading::Labels, &mut found);
            said.unbound[*at] = suffix.unbound(&found, parts.suffix);
            let own = slot(parts.suffix);
            said.watched[*at] = self.watched.iter().position(|(slot, _)| *slot == own);
            if example.clean {
                said.moved
                    .push((*at, self.watched.iter().map(|(_, to)| suffix.unbound(&found, to)).collect()));
            }
        }
        Ok(())
    }
}
