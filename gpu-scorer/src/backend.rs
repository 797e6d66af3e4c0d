//! What turns names into logits: our own forward pass on the CPU, tract on the ONNX file, or CUDA.
//!
//! A [`Backend`] belongs to one worker thread and one model. [`Device`] is what the user asks for,
//! [`Factory`] what was found to be there.

use dnsvet_models::infer::{self, InferError, Scorer};

use crate::device::{Cuda, DeviceError, Program};
use crate::registry::Entry;

/// Why a backend can't start, or why it failed on a batch.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// The GPU or its driver.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A bug of ours.
    #[error("the backend panicked")]
    Panicked,
    /// A forward pass on the CPU.
    #[error(transparent)]
    Infer(#[from] InferError),
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

    /// One backend for each worker thread: `threads` on the CPU, one a stream on a GPU (2, for stacks up to 8).
    pub fn backends(&self, entry: &Entry, threads: usize) -> Result<Vec<Box<dyn Backend>>, BackendError> {
        match self {
            Self::Cpu if entry.model().is_some() => on_cpu(entry, infer::Backend::OwnCpu, threads),
            // An imported graph has no forward pass of ours.
            Self::Cpu | Self::Tract => on_cpu(entry, infer::Backend::Tract, threads),
            Self::Cuda(cuda) => match entry.model().and_then(|model| Program::of(model)) {
                Some(program) => Ok(cuda.backends(&program, threads)?),
                None => {
                    tracing::warn!(model = entry.id(), "no kernel for this network: scoring it on the cpu");
                    Self::Cpu.backends(entry, threads)
                }
            },
        }
    }
}

/// A forward pass on one thread of the CPU.
struct OnCpu {
    device: &'static str,
    scorer: Box<dyn Scorer>,
}

fn on_cpu(
    entry: &Entry,
    kind: infer::Backend,
    threads: usize,
) -> Result<Vec<Box<dyn Backend>>, BackendError> {
    let backend = |_| {
        let scorer = entry.scorer(kind)?;
        Ok(Box::new(OnCpu { device: kind.as_str(), scorer }) as Box<dyn Backend>)
    };
    (0..threads).map(backend).collect()
}

impl Backend for OnCpu {
    fn device(&self) -> &str {
        self.device
    }

    fn logits(&mut self, names: &[&str], logits: &mut [f32]) -> Result<(), BackendError> {
        Ok(self.scorer.score(names, logits)?)
    }
}
