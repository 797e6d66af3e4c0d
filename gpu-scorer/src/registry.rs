//! The models to serve: those that are bundled, or a folder of artifacts.
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dnsvet_core::model::{Model, ModelError};

use crate::backend::{Backend, BackendError};

/// Why a registry can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file or folder can't be read.
    #[error("can't read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// An artifact is refused.
    #[error("{path}: {source}")]
    Model {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
    /// Nothing to serve.
    #[error("{0} holds no model (*.dvm); give another --registry")]
    Empty(PathBuf),
}

/// One model of a registry.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Ready to run.
    pub model: Arc<Model>,
}

impl Entry {
    /// tract on its ONNX.
    pub fn tract(&self) -> Result<Box<dyn Backend>, BackendError> {
        Err(BackendError::Tract { model: self.model.id().to_owned(), reason: "no ONNX".into() })
    }
}

/// Opens a folder.
pub fn open(dir: Option<&Path>) -> Result<Vec<Entry>, RegistryError> {
    let dir = dir.unwrap_or(Path::new("."));
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| RegistryError::Read { path, source }
    };
    let mut entries = Vec::new();
    for file in std::fs::read_dir(dir).map_err(read(dir))? {
        let path = file.map_err(read(dir))?.path();
        let path = path.join("model.dvm");
        if path.is_file() {
            let bytes = std::fs::read(&path).map_err(read(&path))?;
            let model = Model::decode(&bytes).map_err(|source| RegistryError::Model { path, source })?;
            entries.push(Entry { model: Arc::new(model) });
        }
    }
    if entries.is_empty() {
        return Err(RegistryError::Empty(dir.to_owned()));
    }
    Ok(entries)
}
