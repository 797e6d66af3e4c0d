//! A bounded reader of the HDF5 that Keras writes, enough to fetch weights by path.
//!
//! Superblock 0, old-style groups (B-tree, local heap, symbol nodes), version 1 object headers, contiguous
//! little-endian `f32` data: what h5py writes by default. Anything else is refused by its name, not guessed.
//! After "HDF5 File Format Specification Version 3.0", whose sections are named below. No input panics or
//! loops: offsets are checked, and every walk has a limit.

use std::collections::BTreeMap;

const SIGNATURE: &[u8; 8] = b"\x89HDF\r\n\x1a\n";
/// Nodes of one walk; Keras' files have tens.
const MAX_NODES: usize = 10_000;

/// Why a file could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Hdf5Error {
    /// The signature is missing.
    #[error("not an HDF5 file")]
    Signature,
    /// An offset points outside of the file.
    #[error("HDF5 file is cut off or corrupt: its {0} lies outside of it")]
    Outside(&'static str),
    /// A structure has other marks than it should.
    #[error("HDF5 file is corrupt: bad {0}")]
    Corrupt(&'static str),
    /// A feature that Keras does not write.
    #[error("HDF5 file uses {0}, which is not read here; save the model by Keras 2 as .hdf5")]
    Unsupported(&'static str),
    /// A path is missing.
    #[error("HDF5 file has no {0}")]
    Missing(String),
}

/// Numbers with their shape, last axis fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Length of each axis.
    pub shape: Vec<usize>,
    /// As many as the shape says.
    pub values: Vec<f32>,
}

/// An opened file.
#[derive(Debug)]
pub struct File<'a> {
    bytes: &'a [u8],
    root: u64,
}

type Result<T> = std::result::Result<T, Hdf5Error>;

impl<'a> File<'a> {
    /// Reads the superblock (section II.A).
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        if !bytes.starts_with(SIGNATURE) {
            return Err(Hdf5Error::Signature);
        }
        let file = Self { bytes, root: 0 };
        if file.number::<1>(8, "superblock")? != 0 {
            return Err(Hdf5Error::Unsupported("a superblock newer than version 0"));
        }
        if file.take(13, 2, "superblock")? != [8, 8] {
            return Err(Hdf5Error::Unsupported("offsets other than 8 bytes"));
        }
        let root = file.number::<8>(64, "superblock")?;
        Ok(Self { root, ..file })
    }

    /// The names in a group, sorted. The empty path is the root.
    pub fn list(&self, path: &str) -> Result<Vec<String>> {
        Ok(self.children(self.find(path)?)?.into_keys().collect())
    }

    /// The numbers at a path.
    pub fn dataset(&self, path: &str) -> Result<Dataset> {
        let messages = self.messages(self.find(path)?)?;
        let message = |wanted: u16, what: &'static str| {
            let found = messages.iter().find(|(kind, _, _)| *kind == wanted);
            found.map(|(_, at, _)| *at).ok_or(Hdf5Error::Corrupt(what))
        };
        let shape = self.dataspace(message(1, "dataset without a dataspace")?)?;
        // Class 1 (floating point) of 4 bytes, little-endian (section IV.A.2.d).
        let datatype = message(3, "dataset without a datatype")?;
        let [class, order, ..] = self.take(datatype, 8, "datatype")? else {
            return Err(Hdf5Error::Corrupt("datatype"));
        };
        if class & 15 != 1 || order & 1 != 0 || self.number::<4>(datatype + 4, "datatype")? != 4 {
            return Err(Hdf5Error::Unsupported("a data type other than little-endian 32-bit floats"));
        }
        let layout = message(8, "dataset without a layout")?;
        if self.take(layout, 2, "layout")? != [3, 1] {
            return Err(Hdf5Error::Unsupported("a layout other than contiguous, version 3"));
        }
        let at = self.number::<8>(layout + 2, "layout")?;
        let count = shape.iter().try_fold(1usize, |product, axis| product.checked_mul(*axis));
        let size = count.and_then(|count| count.checked_mul(4)).ok_or(Hdf5Error::Outside("data"))?;
        let data = self.take(at, size as u64, "data")?;
        let values = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Dataset { shape, values })
    }

    fn dataspace(&self, at: u64) -> Result<Vec<usize>> {
        let rank = self.number::<1>(at + 1, "dataspace")?;
        let dimensions = match self.number::<1>(at, "dataspace")? {
            1 => at + 8,
            2 => at + 4,
            _ => return Err(Hdf5Error::Unsupported("a newer dataspace")),
        };
        if rank > 32 {
            return Err(Hdf5Error::Corrupt("rank"));
        }
        (0..rank).map(|axis| Ok(self.number::<8>(dimensions + 8 * axis, "dataspace")? as usize)).collect()
    }

    fn find(&self, path: &str) -> Result<u64> {
        path.split('/').filter(|part| !part.is_empty()).try_fold(self.root, |at, part| {
            let children = self.children(at)?;
            children.get(part).copied().ok_or_else(|| Hdf5Error::Missing(path.to_owned()))
        })
    }

    /// Links of the group whose object header is at `at` (sections III.A to III.D).
    fn children(&self, at: u64) -> Result<BTreeMap<String, u64>> {
        let messages = self.messages(at)?;
        let Some((_, table, _)) = messages.iter().find(|(kind, _, _)| *kind == 0x11) else {
            return Err(Hdf5Error::Unsupported("new-style groups"));
        };
        let tree = self.number::<8>(*table, "symbol table")?;
        let heap = self.number::<8>(table + 8, "symbol table")?;
        self.mark(heap, b"HEAP")?;
        let names = self.number::<8>(heap + 24, "local heap")?;
        let mut children = BTreeMap::new();
        let mut waiting = vec![tree];
        let mut visited = 0;
        while let Some(at) = waiting.pop() {
            visited += 1;
            if visited > MAX_NODES {
                return Err(Hdf5Error::Corrupt("group tree"));
            }
            if self.take(at, 4, "group tree")? == b"SNOD" {
                for entry in 0..self.number::<2>(at + 6, "symbol node")? {
                    let entry = at + 8 + 40 * entry;
                    let name = self.text(names.saturating_add(self.number::<8>(entry, "symbol")?))?;
                    children.insert(name, self.number::<8>(entry + 8, "symbol")?);
                }
                continue;
            }
            self.mark(at, b"TREE")?;
            for child in 0..self.number::<2>(at + 6, "group tree")? {
                waiting.push(self.number::<8>(at + 32 + 16 * child, "group tree")?);
            }
        }
        Ok(children)
    }

    /// Kind, place and size of each message of an object header (section IV.A.1.a).
    fn messages(&self, at: u64) -> Result<Vec<(u16, u64, u64)>> {
        if self.number::<1>(at, "object header")? != 1 {
            return Err(Hdf5Error::Unsupported("object headers newer than version 1"));
        }
        let mut messages = Vec::new();
        let mut blocks = vec![(at + 16, self.number::<4>(at + 8, "object header")?)];
        while let Some((mut at, size)) = blocks.pop() {
            let end = at.checked_add(size).ok_or(Hdf5Error::Outside("object header"))?;
            while at + 8 <= end {
                let kind = self.number::<2>(at, "message")? as u16;
                let size = self.number::<2>(at + 2, "message")?;
                if kind == 0x10 {
                    let next = self.number::<8>(at + 8, "continuation")?;
                    blocks.push((next, self.number::<8>(at + 16, "continuation")?));
                }
                messages.push((kind, at + 8, size));
                if messages.len() > MAX_NODES {
                    return Err(Hdf5Error::Corrupt("object header"));
                }
                at += 8 + size;
            }
        }
        Ok(messages)
    }

    fn take(&self, at: u64, count: u64, what: &'static str) -> Result<&'a [u8]> {
        let start = usize::try_from(at).map_err(|_| Hdf5Error::Outside(what))?;
        let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count));
        end.and_then(|end| self.bytes.get(start..end)).ok_or(Hdf5Error::Outside(what))
    }

    fn number<const N: u64>(&self, at: u64, what: &'static str) -> Result<u64> {
        let bytes = self.take(at, N, what)?;
        let value = bytes.iter().rev().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
        // Half of the range is beyond any file, so sums with small offsets can't overflow.
        if N == 8 && value > u64::MAX / 2 { Err(Hdf5Error::Outside(what)) } else { Ok(value) }
    }

    fn mark(&self, at: u64, mark: &'static [u8; 4]) -> Result<()> {
        if self.take(at, 4, "node")? == mark { Ok(()) } else { Err(Hdf5Error::Corrupt("node signature")) }
    }

    fn text(&self, at: u64) -> Result<String> {
        let start = usize::try_from(at).map_err(|_| Hdf5Error::Outside("name"))?;
        let rest = self.bytes.get(start..).ok_or(Hdf5Error::Outside("name"))?;
        let end = rest.iter().take(4_096).position(|byte| *byte == 0).ok_or(Hdf5Error::Corrupt("name"))?;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_data;

    #[test]
    fn keras_weights_are_read_by_path() {
        let Some(bytes) = test_data("mlbridge_model.hdf5") else { return };
        let file = File::open(&bytes).unwrap();
        assert_eq!(file.list("").unwrap(), ["model_weights", "optimizer_weights"]);
        let layers = file.list("model_weights").unwrap();
        assert!(layers.contains(&"conv2d_62".to_owned()) && layers.contains(&"dense_25".to_owned()));
        let kernel = file.dataset("model_weights/conv2d_63/conv2d_63/kernel:0").unwrap();
        assert_eq!((kernel.shape, kernel.values.len()), (vec![2, 2, 16, 16], 1_024));
        assert!(kernel.values.iter().all(|value| value.is_finite() && value.abs() < 10.0));
        assert_eq!(file.dataset("nowhere/bias:0"), Err(Hdf5Error::Missing("nowhere/bias:0".into())));
    }

    #[test]
    fn a_broken_file_is_refused_and_never_panics() {
        assert_eq!(File::open(b"no hdf5").unwrap_err(), Hdf5Error::Signature);
        let Some(bytes) = test_data("mlbridge_model.hdf5") else { return };
        let path = "model_weights/dense_25/dense_25/kernel:0";
        for end in (0..bytes.len()).step_by(97) {
            if let Ok(file) = File::open(&bytes[..end]) {
                let _: Result<Dataset> = file.dataset(path);
            }
        }
        let mut random = crate::data::Random::new(9);
        let mut refused = 0;
        for _ in 0..2_000 {
            let mut broken = bytes.clone();
            for _ in 0..8 {
                let at = random.below(broken.len().min(6_000));
                broken[at] = random.bits() as u8;
            }
            refused += usize::from(File::open(&broken).and_then(|file| file.dataset(path)).is_err());
        }
        assert!(refused > 0);
    }
}
