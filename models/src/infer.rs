//! Native inference: one trait, two backends that give the same logits.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dnsvet_core::model::{Model, Scratch};
use tract_onnx::prelude::*;

use crate::manifest::{self, Manifest, Output};

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Our own forward pass, `dnsvet_core::model`.
    OwnCpu,
    /// The ONNX graph in tract.
    Tract,
}

impl Backend {
    /// The word in replies and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnCpu => "cpu",
            Self::Tract => "tract",
        }
    }
}

/// Why a model can't be run.
#[derive(Debug, thiserror::Error)]
pub enum InferError {
    /// tract refused the graph, or failed in it.
    #[error("tract could not run {model}: {reason}")]
    Tract {
        /// The model.
        model: String,
        /// What tract said, outermost first.
        reason: String,
    },
    /// No `.dvm`, so nothing for our own forward pass.
    #[error("{0} has no model.dvm; imported graphs run by tract only")]
    NoDvm(String),
    /// The `.dvm` is refused.
    #[error(transparent)]
    Model(#[from] dnsvet_core::model::ModelError),
}

/// Scores names in batches of any size. One for each thread.
pub trait Scorer: Send {
    /// Fills `logits`, one for each name in order; `logits` is at least as long as `names`.
    fn score(&mut self, names: &[&str], logits: &mut [f32]) -> Result<(), InferError>;
}

/// Our own forward pass.
pub struct OwnCpu {
    model: Arc<Model>,
    scratch: Scratch,
}

impl OwnCpu {
    /// Shares the weights with whoever holds them.
    pub fn new(model: Arc<Model>) -> Self {
        Self { model, scratch: Scratch::default() }
    }
}

impl Scorer for OwnCpu {
    fn score(&mut self, names: &[&str], logits: &mut [f32]) -> Result<(), InferError> {
        self.model.logits(names, &mut self.scratch, logits);
        Ok(())
    }
}

/// An ONNX graph in tract, optimised for one batch size; a smaller batch is padded to it.
pub struct Tract {
    plan: Arc<TypedRunnableModel>,
    name: String,
    tokenizer: u8,
    length: usize,
    batch: usize,
    output: Output,
}

impl Tract {
    /// Names in one run of the graph.
    pub const BATCH: usize = 64;

    /// Optimises the graph for batches of [`Tract::BATCH`].
    pub fn new(onnx: &[u8], manifest: &Manifest) -> Result<Self, InferError> {
        let batch = Self::BATCH;
        let plan = || -> TractResult<_> {
            // What an exporter noted of the tensors between names the open axis, which is closed here.
            let model = tract_onnx::onnx().with_ignore_value_info(true).model_for_read(&mut &*onnx)?;
            let fact = i64::fact([batch, manifest.length]);
            let model = model.with_input_fact(0, fact.into())?.into_optimized()?;
            check_output(model.output_fact(0)?, batch, manifest.output)?;
            model.into_runnable()
        };
        let plan = guarded(plan).map_err(|error| failed(&manifest.id, &error))?;
        Ok(Self {
            plan,
            name: manifest.id.clone(),
            tokenizer: manifest.tokenizer,
            length: manifest.length,
            batch,
            output: manifest.output,
        })
    }

    fn run(&self, names: &[&str], logits: &mut [f32]) -> TractResult<()> {
        let mut tokens = Vec::with_capacity(self.batch * self.length);
        for name in names {
            manifest::tokens(self.tokenizer, self.length, name, &mut tokens);
        }
        tokens.resize(self.batch * self.length, 0);
        let input = Tensor::from_shape(&[self.batch, self.length], &tokens)?;
        let output = self.plan.run(tvec!(input.into()))?;
        let view = output[0].to_plain_array_view::<f32>()?;
        let flat: Vec<f32> = view.iter().copied().collect();
        let classes = flat.len() / self.batch;
        for (logit, row) in logits.iter_mut().zip(flat.chunks_exact(classes.max(1))).take(names.len()) {
            *logit = match self.output {
                Output::Logit => row[0],
                Output::Probability => {
                    let p = row[0].clamp(1e-7, 1.0 - 1e-7);
                    (p / (1.0 - p)).ln()
                }
                Output::TwoLogits => row[classes - 1] - row[0],
            };
        }
        Ok(())
    }
}

impl Scorer for Tract {
    fn score(&mut self, names: &[&str], logits: &mut [f32]) -> Result<(), InferError> {
        for (names, logits) in names.chunks(self.batch).zip(logits.chunks_mut(self.batch)) {
            let ran = guarded(|| self.run(names, logits));
            ran.map_err(|error| failed(&self.name, &error))?;
        }
        Ok(())
    }
}

/// A graph may give other shapes than it states: then rows and names would not belong together.
fn check_output(fact: &TypedFact, batch: usize, output: Output) -> TractResult<()> {
    let classes = if output == Output::TwoLogits { 2 } else { 1 };
    let got = fact.shape.as_concrete();
    let right = got == Some(&[batch, classes]) || classes == 1 && got == Some(&[batch]);
    if right && fact.datum_type == f32::datum_type() {
        return Ok(());
    }
    let numbers = if classes == 1 { format!("[{batch}]") } else { format!("[{batch}, {classes}]") };
    let (kind, shape) = (fact.datum_type, &fact.shape);
    Err(TractError::msg(format!("for {batch} names it gives {kind:?} [{shape:?}], not F32 {numbers}")))
}

/// tract refuses most graphs that make no sense, and panics in others: in a look-up past a table's end, say. The
/// graph is to blame for that, and whoever runs it goes on.
fn guarded<T>(work: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    // What a panic leaves behind is dropped with the run's own state, or overwritten by the next one.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
        Err(TractError::msg(format!("it panicked: {text}")))
    })
}

fn failed(model: &str, error: &TractError) -> InferError {
    InferError::Tract { model: model.to_owned(), reason: format!("{error:#}") }
}
