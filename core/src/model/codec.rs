//! Bounded reading and writing of the artifact's bytes, little-endian.

use super::ModelError;

/// Weights beyond this are refused: sums of any allowed network then stay far from infinity.
const LARGEST_WEIGHT: f32 = 1e5;

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], ModelError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(ModelError::Truncated { what })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], ModelError> {
        let bytes = self.take(N, what)?;
        bytes.try_into().map_err(|_| ModelError::Truncated { what })
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, ModelError> {
        Ok(u8::from_le_bytes(self.array(what)?))
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, ModelError> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    pub fn f64(&mut self, what: &'static str) -> Result<f64, ModelError> {
        Ok(f64::from_le_bytes(self.array(what)?))
    }

    /// `count` weights, all finite and of sane size. Nothing is allocated before the bytes are there.
    pub fn floats(&mut self, count: usize, what: &'static str) -> Result<Vec<f32>, ModelError> {
        let bytes = self.take(count.saturating_mul(4), what)?;
        let (floats, _) = bytes.as_chunks::<4>();
        let floats: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        if floats.iter().any(|weight| !weight.is_finite() || weight.abs() > LARGEST_WEIGHT) {
            return Err(ModelError::WeightRange { what });
        }
        Ok(floats)
    }

    pub fn finish(self) -> Result<(), ModelError> {
        if self.rest.is_empty() { Ok(()) } else { Err(ModelError::Trailing(self.rest.len())) }
    }
}

#[derive(Default)]
pub(super) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn u16(&mut self, value: u16) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn f64(&mut self, value: f64) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn floats(&mut self, values: &[f32]) {
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }
}
