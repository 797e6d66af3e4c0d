//! The models to serve: those that come with dnsvet, or a folder of them.

use std::path::Path;
use std::sync::Arc;

use dnsvet_core::model::{Calibration, Model, Thresholds};
use dnsvet_models::infer::{Backend, InferError, Scorer};
use dnsvet_models::manifest::Manifest;
pub use dnsvet_models::registry::RegistryError;
use dnsvet_models::registry::{Artifact, Registry};

/// One model of a registry, checked: hashes and golden vectors hold.
#[derive(Debug, Clone)]
pub struct Entry {
    artifact: Artifact,
    calibration: Calibration,
}

impl Entry {
    /// What people call it.
    pub fn name(&self) -> &str {
        &self.artifact.manifest.name
    }

    /// Name and hash: `large@1a2b3c4d`.
    pub fn id(&self) -> &str {
        &self.artifact.manifest.id
    }

    /// Its pins.
    pub fn manifest(&self) -> &Manifest {
        &self.artifact.manifest
    }

    /// The ONNX graph.
    pub fn onnx(&self) -> &[u8] {
        &self.artifact.onnx
    }

    /// The model for our own forward pass and our kernels; `None` for an imported graph.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.artifact.model()
    }

    /// A scorer for one thread.
    pub fn scorer(&self, backend: Backend) -> Result<Box<dyn Scorer>, InferError> {
        self.artifact.scorer(backend)
    }

    /// The calibrated probability of malicious under the training balance, in [0, 1].
    pub fn score(&self, logit: f32) -> f64 {
        self.calibration.score(logit)
    }

    /// The probability of malicious at the prior that [`Entry::thresholds`] hold for, in [0, 1].
    pub fn probability(&self, logit: f32) -> f64 {
        self.calibration.probability(logit, self.artifact.manifest.prior)
    }

    /// Where [`Entry::probability`] becomes a decision.
    pub fn thresholds(&self) -> Thresholds {
        self.artifact.manifest.thresholds.into()
    }
}

/// Loads and checks every model of a folder, or of those that come with dnsvet.
pub fn open(folder: Option<&Path>) -> Result<Vec<Entry>, RegistryError> {
    let registry = match folder {
        Some(folder) => Registry::open(folder)?,
        None => Registry::bundled(),
    };
    let load = |name: String| -> Result<Entry, RegistryError> {
        let artifact = registry.get(&name)?;
        let calibration = artifact.manifest.calibration.into();
        Ok(Entry { artifact, calibration })
    };
    registry.names()?.into_iter().map(load).collect()
}
