//! Models of names: data, training, evaluation, ONNX, native inference, registry.
//!
//! ```text
//! data ─► train ─► evaluate ─► onnx + manifest + card + .dvm ─► registry ─► infer (own CPU | tract)
//! ```
//!
//! The forward pass itself is `dnsvet_core::model`, the same code that the plugin runs. The surprise: an
//! artifact is held in two forms. `model.onnx` is the interchange form that tract and others run;
//! `model.dvm` is ours, folded and checked. The manifest's golden vectors tie the two together.

pub mod bundled;
pub mod data;
pub mod evaluate;
pub mod hdf5;
pub mod infer;
pub mod keras;
pub mod manifest;
pub mod onnx;
pub mod publish;
pub mod recipe;
pub mod registry;
pub mod report;
pub mod train;

/// A file of the data folder (`TEST_DATA`, else `../shared/data` beside the repository); tells when it is
/// not there.
#[cfg(test)]
fn test_data(file: &str) -> Option<Vec<u8>> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let folder = std::env::var("TEST_DATA").unwrap_or_else(|_| beside.into());
    let bytes = std::fs::read(std::path::Path::new(&folder).join(file)).ok();
    if bytes.is_none() {
        println!("skipped: {file} is not in {folder}");
    }
    bytes
}
