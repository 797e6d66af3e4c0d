//! The models that come with dnsvet, packed so that they weigh little in the binary.
//!
//! ```text
//! seed   zstd
//! small  zstd
//! large  zstd behind small's bytes: the members that both have are there once
//! ```
//!
//! Only a model's own form is packed; its ONNX graph is made of that when a model is unpacked, and has to have the
//! hash in the manifest like any other.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

use crate::registry::{Registry, RegistryError};

/// zstd's level. Packing takes seconds, and is done once for a release.
const LEVEL: i32 = 19;
/// zstd's window holds what is packed and what it is packed behind: 32 MiB.
const WINDOW_LOG: u32 = 25;

/// One packed model.
pub(crate) struct Packed {
    pub name: &'static str,
    pub manifest: &'static [u8],
    pub card: &'static str,
    dvm: &'static [u8],
    behind: Option<&'static str>,
}

macro_rules! packed {
    ($name:literal, $behind:expr) => {
        Packed {
            name: $name,
            manifest: include_bytes!(concat!("../artifacts/", $name, "/manifest.json")),
            card: include_str!(concat!("../artifacts/", $name, "/CARD.md")),
            dvm: include_bytes!(concat!("../artifacts/", $name, "/model.dvm.zst")),
            behind: $behind,
        }
    };
}

/// In the order of their names.
pub(crate) const MODELS: [Packed; 3] =
    [packed!("large", Some("small")), packed!("seed", None), packed!("small", None)];

impl Packed {
    /// The model's own form.
    pub fn dvm(&self) -> io::Result<Vec<u8>> {
        let behind = MODELS.iter().find(|model| Some(model.name) == self.behind);
        let prefix = behind.map_or_else(|| Ok(Vec::new()), Self::dvm)?;
        let mut decoder = zstd::Decoder::with_ref_prefix(self.dvm, &prefix)?;
        decoder.window_log_max(WINDOW_LOG)?;
        let mut dvm = Vec::new();
        decoder.read_to_end(&mut dvm)?;
        Ok(dvm)
    }

    /// Bytes that it takes in the binary.
    pub fn size(&self) -> usize {
        self.manifest.len() + self.card.len() + self.dvm.len()
    }
}

/// Bytes that the bundled models take in the binary.
pub fn size() -> usize {
    MODELS.iter().map(Packed::size).sum()
}

/// Packs a registry's `small` and `large` into a folder, as they are built into the binary: `NAME/manifest.json`,
/// `NAME/CARD.md`, `NAME/model.dvm.zst`.
///
/// # Errors
/// If the registry lacks one, or a file can't be written.
pub fn pack(registry: &Path, into: &Path) -> Result<(), RegistryError> {
    let models = Registry::open(registry)?;
    let mut behind = Vec::new();
    for name in ["small", "large"] {
        let dvm = models.get(name)?.dvm.unwrap_or_default();
        let (from, to) = (registry.join(name), into.join(name));
        let file = |source| RegistryError::File { path: to.clone(), source };
        fs::create_dir_all(&to).map_err(file)?;
        for part in ["manifest.json", "CARD.md"] {
            fs::copy(from.join(part), to.join(part)).map_err(file)?;
        }
        fs::write(to.join("model.dvm.zst"), packed(&dvm, &behind).map_err(file)?).map_err(file)?;
        behind = dvm.into_owned();
    }
    Ok(())
}

fn packed(dvm: &[u8], behind: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::with_ref_prefix(Vec::new(), LEVEL, behind)?;
    encoder.long_distance_matching(true)?;
    encoder.window_log(WINDOW_LOG)?;
    encoder.write_all(dvm)?;
    encoder.finish()
}
