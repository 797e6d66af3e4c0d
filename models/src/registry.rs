//! The registry: a folder for each model, and the models that come with dnsvet.
//!
//! ```text
//! REGISTRY/NAME/model.onnx  model.dvm  manifest.json  CARD.md
//! ```
//!
//! An artifact is checked when it is loaded: hashes first, then golden vectors through our own forward
//! pass. So a model that would score otherwise than it did when it was made never runs.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dnsvet_core::model::{Model, ModelError, Spec, Thresholds, tokenizer};

use crate::bundled::{MODELS, Packed};
use crate::infer::{Backend, InferError, OwnCpu, Scorer, Tract};
use crate::manifest::{FORMAT, Limits, Manifest};
use crate::onnx;

/// Why a registry or a model of it can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No such model.
    #[error("no model {name:?} in {registry}; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where.
        registry: String,
        /// What there is.
        known: String,
    },
    /// The manifest is no JSON of ours.
    #[error("manifest of {name}: {source}")]
    Manifest {
        /// The model.
        name: String,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// The manifest is of another version.
    #[error("manifest of {name} has format {got}, this dnsvet reads {FORMAT}")]
    Format {
        /// The model.
        name: String,
        /// What the manifest says.
        got: u32,
    },
    /// A file is not the one that the manifest pins.
    #[error(
        "{file} of {name} does not match the hash in its manifest, its BLAKE3 is {got}; copy the whole folder again, or write the manifest anew"
    )]
    Hash {
        /// The model.
        name: String,
        /// The file.
        file: &'static str,
        /// The hash of what is there, or `none`.
        got: String,
    },
    /// A tokenizer that this version does not know.
    #[error(
        "manifest of {name} has tokenizer {got}; 1 (code points), 2 (text), 3 (parts) and 4 (parts in three readings) are known"
    )]
    Tokenizer {
        /// The model.
        name: String,
        /// What the manifest says.
        got: u8,
    },
    /// A golden vector came out otherwise.
    #[error(
        "{name} scores {golden:?} as {got}, its manifest says {expected}: not the model it claims to be, or not its tokenizer or output"
    )]
    Golden {
        /// The model.
        name: String,
        /// The name that was scored.
        golden: String,
        /// The logit in the manifest.
        expected: f32,
        /// The logit here.
        got: f32,
    },
    /// The `.dvm`, or what the manifest says of it, is refused.
    #[error("model {name}: {source}")]
    Model {
        /// The model.
        name: String,
        /// Why.
        source: ModelError,
    },
    /// The graph does not run.
    #[error(transparent)]
    Infer(#[from] InferError),
}

/// One model, checked.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its manifest.
    pub manifest: Manifest,
    /// The ONNX graph.
    pub onnx: Cow<'static, [u8]>,
    /// Our own form, if there is one: what goes into a snapshot.
    pub dvm: Option<Cow<'static, [u8]>>,
    model: Option<Arc<Model>>,
}

impl Artifact {
    /// Checks files against their manifest: format, hashes, golden vectors (through our own forward pass,
    /// or through tract where there is no `.dvm`).
    pub fn new(
        manifest: Manifest,
        onnx: Cow<'static, [u8]>,
        dvm: Option<Cow<'static, [u8]>>,
    ) -> Result<Self, RegistryError> {
        let name = manifest.name.clone();
        if manifest.format != FORMAT {
            return Err(RegistryError::Format { name, got: manifest.format });
        }
        let refuse = |source| RegistryError::Model { name: name.clone(), source };
        manifest.spec().check().map_err(refuse)?;
        if !(tokenizer::CODE_POINTS..=tokenizer::READINGS).contains(&manifest.tokenizer) {
            return Err(RegistryError::Tokenizer { name, got: manifest.tokenizer });
        }
        let got = hex(&onnx);
        if got != manifest.onnx_blake3 {
            return Err(RegistryError::Hash { name, file: "model.onnx", got });
        }
        let got = dvm.as_deref().map(hex);
        if got != manifest.dvm_blake3 {
            let got = got.unwrap_or_else(|| "none".into());
            return Err(RegistryError::Hash { name, file: "model.dvm", got });
        }
        let model = match &dvm {
            Some(dvm) => Some(Arc::new(Model::decode(dvm).map_err(refuse)?)),
            None => None,
        };
        let artifact = Self { manifest, onnx, dvm, model };
        let backend = if artifact.model.is_some() { Backend::OwnCpu } else { Backend::Tract };
        artifact.check_golden(backend)?;
        Ok(artifact)
    }

    /// Scores the golden vectors by a backend and compares.
    pub fn check_golden(&self, backend: Backend) -> Result<(), RegistryError> {
        let golden = &self.manifest.golden;
        let names: Vec<&str> = golden.iter().map(|golden| golden.name.as_str()).collect();
        let mut logits = vec![0.0; names.len()];
        self.scorer(backend)?.score(&names, &mut logits)?;
        match golden.iter().zip(&logits).find(|(golden, logit)| !golden.matches(**logit)) {
            None => Ok(()),
            Some((golden, got)) => Err(RegistryError::Golden {
                name: self.manifest.name.clone(),
                golden: golden.name.clone(),
                expected: golden.logit,
                got: *got,
            }),
        }
    }

    /// The same network under another name, calibration, prior or thresholds, with what was measured of it left out.
    ///
    /// # Errors
    /// If it is an imported graph, or no model may have that.
    pub fn with_spec(&self, spec: Spec) -> Result<Self, RegistryError> {
        let Some(model) = &self.model else { return Err(InferError::NoDvm(self.manifest.id.clone()).into()) };
        let name = spec.name.clone();
        let model = Model::new(spec, model.network().clone())
            .map_err(|source| RegistryError::Model { name: name.clone(), source })?;
        let (dvm, spec) = (model.encode(), model.spec());
        let Thresholds { allow_below, block_above } = spec.thresholds;
        let manifest = Manifest {
            name,
            id: model.id().to_owned(),
            dvm_blake3: Some(hex(&dvm)),
            calibration: spec.calibration.into(),
            prior: spec.prior,
            thresholds: Limits { allow_below, block_above, ..self.manifest.thresholds },
            made_by: format!("{}, with another calibration or thresholds", self.manifest.made_by),
            metrics: None,
            ..self.manifest.clone()
        };
        Self::new(manifest, self.onnx.clone(), Some(dvm.into()))
    }

    /// The model for our own forward pass; `None` for an imported graph.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.model.as_ref()
    }

    /// A scorer for one thread.
    pub fn scorer(&self, backend: Backend) -> Result<Box<dyn Scorer>, InferError> {
        Ok(match (backend, &self.model) {
            (Backend::OwnCpu, Some(model)) => Box::new(OwnCpu::new(Arc::clone(model))),
            (Backend::OwnCpu, None) => return Err(InferError::NoDvm(self.manifest.id.clone())),
            (Backend::Tract, _) => Box::new(Tract::new(&self.onnx, &self.manifest)?),
        })
    }

    /// The backend that is quickest for this model.
    pub fn best_backend(&self) -> Backend {
        if self.model.is_some() { Backend::OwnCpu } else { Backend::Tract }
    }

    /// Writes the artifact and its card into a registry: whole, or not at all.
    pub fn store(&self, registry: &Path, card: &str) -> Result<(), RegistryError> {
        let name = &self.manifest.name;
        let file = |path: &Path| {
            let path = path.to_owned();
            move |source| RegistryError::File { path, source }
        };
        let (target, fresh) = (registry.join(name), registry.join(format!(".{name}.new")));
        let old = registry.join(format!(".{name}.old"));
        for leftover in [&fresh, &old] {
            if leftover.exists() {
                fs::remove_dir_all(leftover).map_err(file(leftover))?;
            }
        }
        fs::create_dir_all(&fresh).map_err(file(&fresh))?;
        let mut json = serde_json::to_vec_pretty(&self.manifest)
            .map_err(|source| RegistryError::Manifest { name: name.clone(), source })?;
        json.push(b'\n');
        let dvm = self.dvm.as_deref().map(|dvm| ("model.dvm", dvm));
        let files = [("model.onnx", &*self.onnx), ("manifest.json", &json), ("CARD.md", card.as_bytes())];
        for (part, bytes) in files.into_iter().chain(dvm) {
            let path = fresh.join(part);
            fs::write(&path, bytes).map_err(file(&path))?;
        }
        if target.exists() {
            fs::rename(&target, &old).map_err(file(&target))?;
        }
        fs::rename(&fresh, &target).map_err(file(&target))?;
        if old.exists() {
            fs::remove_dir_all(&old).map_err(file(&old))?;
        }
        Ok(())
    }
}

/// BLAKE3 in hex.
pub fn hex(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Models by name.
#[derive(Debug, Clone)]
pub struct Registry {
    folder: Option<PathBuf>,
}

impl Registry {
    /// The models of a folder; each is loaded and checked when it is asked for.
    pub fn open(folder: &Path) -> Result<Self, RegistryError> {
        fs::read_dir(folder).map_err(|source| RegistryError::File { path: folder.to_owned(), source })?;
        Ok(Self { folder: Some(folder.to_owned()) })
    }

    /// The models that come with dnsvet: `seed`, `small`, `large`.
    pub fn bundled() -> Self {
        Self { folder: None }
    }

    /// The names there are, sorted.
    pub fn names(&self) -> Result<Vec<String>, RegistryError> {
        let Some(folder) = &self.folder else {
            return Ok(MODELS.iter().map(|packed| packed.name.to_owned()).collect());
        };
        let file = |source| RegistryError::File { path: folder.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(folder).map_err(file)? {
            let entry = entry.map_err(file)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with('.') && entry.path().join("manifest.json").is_file() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// What a model says of itself: its manifest, unchecked, and its card, empty where there is none.
    ///
    /// # Errors
    /// If there is no such model, or its manifest can't be read.
    pub fn said(&self, name: &str) -> Result<(Manifest, String), RegistryError> {
        let Some(folder) = &self.folder else {
            let packed = self.packed(name)?;
            return Ok((parsed(name, packed.manifest)?, packed.card.to_owned()));
        };
        if !self.names()?.iter().any(|known| known == name) {
            return Err(self.unknown(name));
        }
        let path = folder.join(name).join("manifest.json");
        let manifest = fs::read(&path).map_err(|source| RegistryError::File { path, source })?;
        let card = fs::read_to_string(folder.join(name).join("CARD.md")).unwrap_or_default();
        Ok((parsed(name, &manifest)?, card))
    }

    fn packed(&self, name: &str) -> Result<&'static Packed, RegistryError> {
        MODELS.iter().find(|packed| packed.name == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> RegistryError {
        RegistryError::Unknown {
            name: name.to_owned(),
            registry: self.folder.as_ref().map_or("the bundled models".into(), |at| at.display().to_string()),
            known: self.names().unwrap_or_default().join(", "),
        }
    }

    /// Loads and checks a model.
    pub fn get(&self, name: &str) -> Result<Artifact, RegistryError> {
        let Some(folder) = &self.folder else {
            let packed = self.packed(name)?;
            let unpacked = |source| RegistryError::File { path: PathBuf::from(name), source };
            let dvm = packed.dvm().map_err(unpacked)?;
            let refuse = |source| RegistryError::Model { name: name.to_owned(), source };
            let graph = onnx::export(&Model::decode(&dvm).map_err(refuse)?).unwrap_or_default();
            return Artifact::new(parsed(name, packed.manifest)?, graph.into(), Some(dvm.into()));
        };
        if !self.names()?.iter().any(|known| known == name) {
            return Err(self.unknown(name));
        }
        let read = |part: &str| {
            let path = folder.join(name).join(part);
            fs::read(&path).map_err(|source| RegistryError::File { path, source })
        };
        let manifest: Manifest = parsed(name, &read("manifest.json")?)?;
        let dvm = manifest.dvm_blake3.as_ref().map(|_| read("model.dvm")).transpose()?;
        Artifact::new(manifest, read("model.onnx")?.into(), dvm.map(Cow::Owned))
    }
}

fn parsed(name: &str, manifest: &[u8]) -> Result<Manifest, RegistryError> {
    serde_json::from_slice(manifest)
        .map_err(|source| RegistryError::Manifest { name: name.to_owned(), source })
}
