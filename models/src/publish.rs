//! From weights to a whole artifact in a registry: convert, train, import.

use std::borrow::Cow;
use std::path::Path;

use dnsvet_core::model::{
    Calibration, Model, ModelError, Network, Scratch, Spec, Thresholds, UNLISTED_PRIOR,
};

use crate::data::{self, Corpus, DataError, Example};
use crate::evaluate::{self, FALSE_BLOCK_BUDGET, Metrics, Scored};
use crate::infer::Backend;
use crate::keras::{self, KerasError};
use crate::manifest::{
    FORMAT, GOLDEN_NAMES, Golden, Limits, Manifest, Origin, Output, PARTS_LENGTH, READINGS_LENGTH, Training,
};
use crate::onnx::{self, ImportError, Latency, LatencyError};
use crate::recipe::Recipe;
use crate::registry::{Artifact, Registry, RegistryError, hex};
use crate::train::{Assembled, Kept, Progress, TrainError, Workshop};

mod card;

/// Why no artifact came about.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The names could not be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The Keras file is not the seed.
    #[error(transparent)]
    Keras(#[from] KerasError),
    /// The network is not usable.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Nothing was trained.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The artifact does not hold together, or can't be stored.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The ONNX file is refused.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The graph is too slow.
    #[error(transparent)]
    Latency(#[from] LatencyError),
    /// The graph takes or gives something else than its manifest says.
    #[error("graph has {got} {what}, its manifest says {said}")]
    Shape {
        /// Which number.
        what: &'static str,
        /// In the graph.
        got: usize,
        /// In the manifest.
        said: usize,
    },
    /// Evaluation needs weights of our own.
    #[error("{0} is an imported graph: it can't be measured here")]
    NotTrained(String),
    /// A manifest without golden vectors can't be checked.
    #[error("manifest has {0} golden vectors; at least 8 are needed")]
    Golden(usize),
}

/// Converts the seed's Keras file and stores it.
pub fn keras(hdf5: &[u8], name: &str, registry: &Path) -> Result<Manifest, PublishError> {
    let seed = keras::seed(hdf5)?;
    // The seed has no calibration of its own: its sigmoid is its score. Its thresholds are those of ML
    // Bridge: 90 % confident either way decides.
    let spec = Spec {
        name: name.to_owned(),
        calibration: Calibration::RAW,
        prior: 0.5,
        thresholds: Thresholds { allow_below: 0.1, block_above: 0.9 },
    };
    let parameters = seed.weights().len();
    let model = Model::new(spec, Network::Seed(Box::new(seed)))?;
    let sources = vec![Origin {
        source: "mlbridge".into(),
        origin: "github.com/mlbridge/mlbridge-machine-learning (weights of 2020)".into(),
        licence: "MIT".into(),
        names: 1_000,
    }];
    let made_by = "dnsvet model import-keras mlbridge_model.hdf5 --name seed".to_owned();
    let made = Made { length: 256, parameters, sources, made_by, training: None };
    store(model, made, None, registry)
}

/// Trains by recipes of one sample, seed and choice of sources on the names in `data`, calibrates, measures, and
/// stores each result. What is trained is kept in the registry until all is done, so one that was killed goes on.
pub fn train(
    recipes: &[Recipe],
    data: &Path,
    registry: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Manifest>, PublishError> {
    let Some(&Recipe { sources, sample, seed, threads, .. }) = recipes.first() else { return Ok(Vec::new()) };
    let corpus = Corpus::load(data, sources, sample, seed)?;
    let kept = Kept::new(registry.join(".training"), &corpus, seed);
    let mut workshop = Workshop::new(&corpus, seed, threads).keeping(kept);
    let made = recipes.iter().map(|recipe| train_one(recipe, &corpus, &mut workshop, registry, progress));
    let made = made.collect::<Result<_, _>>()?;
    workshop.clear()?;
    Ok(made)
}

fn train_one(
    recipe: &Recipe,
    corpus: &Corpus,
    workshop: &mut Workshop<'_>,
    registry: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<Manifest, PublishError> {
    let Assembled { stack, held } = workshop.stack(recipe, progress)?;
    let parameters = stack.parameters();
    let length = if stack.reads_labels_only() { PARTS_LENGTH } else { READINGS_LENGTH };
    let examples = corpus.learning.iter();
    let held: Vec<Scored> = examples.zip(held).map(|(example, logit)| Scored { example, logit }).collect();
    let calibration = evaluate::calibrate(&held);
    let spec = Spec {
        name: recipe.name.to_owned(),
        calibration,
        prior: UNLISTED_PRIOR,
        thresholds: evaluate::thresholds(&held, &calibration, UNLISTED_PRIOR),
    };
    let model = Model::new(spec, Network::Stack(Box::new(stack)))?;
    let sources = corpus.sources.iter().map(|used| {
        let known = data::known(&used.tag);
        Origin {
            source: used.tag.clone(),
            origin: known.map_or("the data folder", |source| source.origin).to_owned(),
            licence: known.map_or("not known here", |source| source.licence).to_owned(),
            names: used.names,
        }
    });
    let &Recipe { name, sample, seed, sources: taken, .. } = recipe;
    let table = recipe.tables().next();
    let (epochs, batch) = table.map_or((1, 1), |table| (table.epochs, table.batch));
    let made_by = format!(
        "dnsvet model train --recipe {name} --sources {} --epochs {epochs} --batch {batch} --sample {sample} --seed {seed}",
        taken.as_str()
    );
    let made = Made {
        length,
        parameters,
        sources: sources.collect(),
        made_by,
        training: Some(Training { epochs, batch, sample, seed, sources: taken }),
    };
    let metrics = measure(&model, &corpus.test);
    store(model, made, Some(metrics), registry)
}

/// Stores a model that comes with dnsvet, to begin a registry with.
pub fn export(name: &str, registry: &Path) -> Result<Manifest, PublishError> {
    let artifact = Registry::bundled().get(name)?;
    artifact.store(registry, &card::text(&artifact.manifest))?;
    Ok(artifact.manifest)
}

/// Checks an ONNX file against its manifest (operators, shape, hashes, golden vectors, time) and stores both.
pub fn import(
    onnx: Vec<u8>,
    manifest: Manifest,
    registry: &Path,
) -> Result<(Manifest, Latency), PublishError> {
    let shape = onnx::check(&onnx)?;
    let classes = if manifest.output == Output::TwoLogits { 2 } else { 1 };
    for (what, got, said) in
        [("tokens a name", shape.length, manifest.length), ("outputs a name", shape.classes, classes)]
    {
        if got != said {
            return Err(PublishError::Shape { what, got, said });
        }
    }
    if manifest.golden.len() < 8 {
        return Err(PublishError::Golden(manifest.golden.len()));
    }
    let id = format!("{}@{}", manifest.name, &hex(&onnx)[..8]);
    let manifest = Manifest { dvm_blake3: None, id, ..manifest };
    let artifact = Artifact::new(manifest, Cow::Owned(onnx), None)?;
    let mut scorer = artifact.scorer(Backend::Tract).map_err(LatencyError::from)?;
    let latency = onnx::latency(&mut *scorer, onnx::PATIENCE)?;
    artifact.store(registry, &card::text(&artifact.manifest))?;
    Ok((artifact.manifest, latency))
}

fn measure(model: &Model, examples: &[Example]) -> Metrics {
    let p = |logit| model.probability(logit, model.prior());
    evaluate::metrics(&score(model, examples), model.thresholds(), p)
}

fn score<'a>(model: &Model, examples: &'a [Example]) -> Vec<Scored<'a>> {
    let names: Vec<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    let mut logits = vec![0.0; names.len()];
    model.logits(&names, &mut Scratch::default(), &mut logits);
    examples.iter().zip(logits).map(|(example, logit)| Scored { example, logit }).collect()
}

/// What a model's manifest says beside the model itself.
struct Made {
    length: usize,
    parameters: usize,
    sources: Vec<Origin>,
    made_by: String,
    training: Option<Training>,
}

/// Stores an artifact after both backends gave its golden vectors.
fn store(
    model: Model,
    made: Made,
    metrics: Option<Metrics>,
    registry: &Path,
) -> Result<Manifest, PublishError> {
    let Thresholds { allow_below, block_above } = model.thresholds();
    let golden = GOLDEN_NAMES.map(|name| Golden { name: name.to_owned(), logit: model.logit(name) });
    let dvm = model.encode();
    let graph = onnx::export(&model).ok_or(ModelError::Shape("a network that can be exported"))?;
    let manifest = Manifest {
        format: FORMAT,
        name: model.spec().name.clone(),
        id: model.id().to_owned(),
        tokenizer: model.tokenizer(),
        length: made.length,
        output: Output::Logit,
        parameters: made.parameters,
        onnx_blake3: hex(&graph),
        dvm_blake3: Some(hex(&dvm)),
        calibration: model.spec().calibration.into(),
        prior: model.prior(),
        thresholds: Limits { allow_below, block_above, false_block_budget: FALSE_BLOCK_BUDGET },
        golden: golden.to_vec(),
        sources: made.sources,
        made_by: made.made_by,
        training: made.training,
        metrics,
    };
    let artifact = Artifact::new(manifest, Cow::Owned(graph), Some(Cow::Owned(dvm)))?;
    artifact.check_golden(Backend::Tract)?;
    artifact.store(registry, &card::text(&artifact.manifest))?;
    Ok(artifact.manifest)
}
