//! What turns names into logits: our own forward pass on the CPU, tract on the ONNX file, or CUDA.
//!
//! A [`Backend`] belongs to one worker thread and one model. [`Device`] is what the user asks for,
//! [`Factory`] what was found to be there.

use std::sync::Arc;

use dnsvet_core::model::{Model, Scratch};

use crate::device::{Cuda, DeviceError};
use crate::registry::{Entry, RegistryError};

/// Why a backend can't start, or why it failed on a batch.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The GPU or its driver.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// tract could not load or run the ONNX file.
    #[error("tract on model {model}: {reason}; use --device cpu")]
    Tract {
        /// The model's name.
        model: String,
        /// What tract said.
        reason: String,
    },
    /// A bug of ours.
    #[error("the backend panicked")]
    Panicked,
    /// The artifact's files.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Runs one model on one device.
pub trait Backend: Send {
    /// Where it runs: `cpu`, `tract`, `cuda:0`.
    fn device(&self) -> &str;

    /// Fills `logits`, which has the length of `names`.
    fn logits(&mut self, names: &[&str], logits: &mut [f32]) -> Result<(), BackendError>;
}

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Device {
    /// CUDA where there is a GPU, else the CPU.
    Auto,
    /// Our own forward pass.
    Cpu,
    /// tract on the model's ONNX file.
    Tract,
    /// The first GPU; an error where there is none.
    Cuda,
}

/// Makes backends on the device that was chosen at the start.
pub enum Factory {
    /// Our own forward pass.
    Cpu,
    /// tract.
    Tract,
    /// One GPU.
    Cuda(Cuda),
}

impl Factory {
    /// Looks for the device. With [`Device::Auto`] a missing GPU costs one log line and nothing else.
    pub fn open(device: Device) -> Result<Self, BackendError> {
        match device {
            Device::Cpu => Ok(Self::Cpu),
            Device::Tract => Ok(Self::Tract),
            Device::Cuda => Ok(Self::Cuda(Cuda::open()?)),
            Device::Auto => match Cuda::open() {
                Ok(cuda) => Ok(Self::Cuda(cuda)),
                Err(reason) => {
                    tracing::info!(%reason, "scoring on the cpu");
                    Ok(Self::Cpu)
                }
            },
        }
    }

    /// One backend for each worker thread: `threads` on the CPU, two streams' worth on a GPU.
    pub fn backends(&self, entry: &Entry, threads: usize) -> Result<Vec<Box<dyn Backend>>, BackendError> {
        match self {
            Self::Cpu => Ok((0..threads).map(|_| Cpu::boxed(&entry.model)).collect()),
            Self::Tract => (0..threads).map(|_| entry.tract()).collect(),
            Self::Cuda(cuda) => Ok(cuda.backends(&entry.model)?),
        }
    }
}

/// Our own forward pass, one thread.
pub struct Cpu {
    model: Arc<Model>,
    scratch: Scratch,
}

impl Cpu {
    /// For one worker thread.
    pub fn new(model: &Arc<Model>) -> Self {
        Self { model: Arc::clone(model), scratch: Scratch::default() }
    }

    fn boxed(model: &Arc<Model>) -> Box<dyn Backend> {
        Box::new(Self::new(model))
    }
}

impl Backend for Cpu {
    fn device(&self) -> &str {
        "cpu"
    }

    fn logits(&mut self, names: &[&str], logits: &mut [f32]) -> Result<(), BackendError> {
        self.model.logits(names, &mut self.scratch, logits);
        Ok(())
    }
}
