//! The seed's weights out of the file that Keras wrote in 2020.

use dnsvet_core::model::Seed;
use dnsvet_core::model::seed::PARAMETERS;

use crate::hdf5::{File, Hdf5Error};

/// Why a Keras file is not the seed.
#[derive(Debug, thiserror::Error)]
pub enum KerasError {
    /// The container can't be read.
    #[error(transparent)]
    Hdf5(#[from] Hdf5Error),
    /// Another network.
    #[error("layer {layer} has shape {got:?}, the seed's CNN has {expected:?}")]
    Shape {
        /// Kernel or bias, by its path.
        layer: String,
        /// What the seed has.
        expected: Vec<usize>,
        /// What the file has.
        got: Vec<usize>,
    },
    /// Another number of layers with weights.
    #[error("file has {0} layers with weights, the seed's CNN has 5")]
    Layers(usize),
    /// The weights are not usable.
    #[error(transparent)]
    Model(#[from] dnsvet_core::model::ModelError),
}

/// Kernel shapes of the seed's layers; a bias has the last axis' length.
const KERNELS: [&[usize]; 5] = [&[2, 2, 1, 16], &[2, 2, 16, 16], &[2, 2, 16, 8], &[32, 8], &[8, 1]];

/// Reads the seed's CNN from a Keras 2 `.hdf5` file. Layers are taken in the order of Keras' counters, the
/// convolutions first.
pub fn seed(bytes: &[u8]) -> Result<Seed, KerasError> {
    let file = File::open(bytes)?;
    let names = file.list("model_weights")?;
    let mut layers: Vec<(bool, u32, String)> = names
        .into_iter()
        .filter_map(|name| {
            let (kind, number) = name.rsplit_once('_').unwrap_or((&name, "0"));
            let dense = match kind {
                "conv2d" => false,
                "dense" => true,
                _ => return None,
            };
            Some((dense, number.parse().ok()?, name.clone()))
        })
        .collect();
    layers.sort();
    if layers.len() != KERNELS.len() {
        return Err(KerasError::Layers(layers.len()));
    }
    let mut weights = Vec::with_capacity(PARAMETERS);
    for ((_, _, layer), kernel) in layers.iter().zip(KERNELS) {
        for (part, expected) in [("kernel:0", kernel), ("bias:0", &kernel[kernel.len() - 1..])] {
            let path = format!("model_weights/{layer}/{layer}/{part}");
            let read = file.dataset(&path)?;
            if read.shape != expected {
                return Err(KerasError::Shape { layer: path, expected: expected.to_vec(), got: read.shape });
            }
            weights.extend(read.values);
        }
    }
    Ok(Seed::from_weights(&weights)?)
}
