//! The hashed bag: each feature of a name has a short vector, and their sum goes through a small dense layer.
//!
//! ```text
//! content -> features -> rows of i8, summed in i32 -> x scale / sqrt(features) -> dense -> relu -> logit
//! ```
//!
//! It knows words and their pieces by heart, which a CNN of the same speed can't. Rows are bytes, so that the
//! table fits where a filter runs; sums of integers are exact, so no order matters.

use super::ModelError;
use super::codec::{Reader, Writer};
use super::features::{FEATURE_BITS, Reading};

/// Numbers in a feature's row.
pub const DIMENSIONS: usize = 16;
/// The largest table is `2^MAX_BITS` rows.
pub const MAX_BITS: u8 = FEATURE_BITS as u8;
/// The most hidden units.
pub const MAX_UNITS: usize = 64;

/// A bag's weights.
#[derive(Debug, Clone, PartialEq)]
pub struct BagWeights {
    /// What it reads.
    pub reading: Reading,
    /// The table has `2^bits` rows, 1 to [`MAX_BITS`].
    pub bits: u8,
    /// `[feature]`.
    pub rows: Vec<[i8; DIMENSIONS]>,
    /// What a step of each dimension's bytes is worth.
    pub scale: [f32; DIMENSIONS],
    /// `[hidden]`, each one weight a dimension.
    pub hidden: Vec<[f32; DIMENSIONS]>,
    /// One for each hidden unit.
    pub hidden_bias: Vec<f32>,
    /// One for each hidden unit.
    pub output: Vec<f32>,
    /// The logit where no hidden unit answers.
    pub output_bias: f32,
}

/// A bag ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Bag {
    weights: BagWeights,
}

impl Bag {
    /// Checks that the parts fit.
    pub fn new(weights: BagWeights) -> Result<Self, ModelError> {
        if !(1..=MAX_BITS).contains(&weights.bits) || weights.rows.len() != 1 << weights.bits {
            return Err(ModelError::Shape("a bag has 2^bits rows, 1 to 20 bits"));
        }
        let units = weights.hidden.len();
        let same = [weights.hidden_bias.len(), weights.output.len()].iter().all(|length| *length == units);
        if !(1..=MAX_UNITS).contains(&units) || !same {
            return Err(ModelError::Shape(
                "a bag has 1 to 64 hidden units, each with bias and output weight",
            ));
        }
        Ok(Self { weights })
    }

    /// The weights it was made of.
    pub fn weights(&self) -> &BagWeights {
        &self.weights
    }

    /// Which features [`Bag::logit`] wants.
    pub fn reading(&self) -> Reading {
        self.weights.reading
    }

    /// How many numbers were trained.
    pub fn parameters(&self) -> usize {
        let units = self.weights.hidden.len();
        self.weights.rows.len() * DIMENSIONS + units * (DIMENSIONS + 2) + 1
    }

    /// What a feature adds to each dimension, before the features' number is divided by.
    #[cfg(feature = "attribution")]
    pub(super) fn row(&self, feature: u32) -> [f64; DIMENSIONS] {
        let shift = FEATURE_BITS.saturating_sub(u32::from(self.weights.bits));
        let row = self.weights.rows.get((feature >> shift) as usize).copied().unwrap_or_default();
        let mut values = row.map(f64::from);
        for (value, scale) in values.iter_mut().zip(self.weights.scale) {
            *value *= f64::from(scale);
        }
        values
    }

    /// The logit of a content with these features.
    pub fn logit(&self, found: &[u32]) -> f32 {
        let w = &self.weights;
        let shift = FEATURE_BITS.saturating_sub(u32::from(w.bits));
        let mut sums = [0i32; DIMENSIONS];
        for row in found.iter().filter_map(|feature| w.rows.get((*feature >> shift) as usize)) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value);
            }
        }
        let share = 1.0 / (found.len().max(1) as f32).sqrt();
        let mut values = [0.0; DIMENSIONS];
        for ((value, sum), scale) in values.iter_mut().zip(sums).zip(w.scale) {
            *value = sum as f32 * scale * share;
        }
        let mut logit = w.output_bias;
        for ((weights, bias), output) in w.hidden.iter().zip(&w.hidden_bias).zip(&w.output) {
            let mut sum = *bias;
            for (value, weight) in values.iter().zip(weights) {
                sum += value * weight;
            }
            if sum > 0.0 {
                logit += sum * output;
            }
        }
        logit
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let index = usize::from(reader.u8("reading of a bag")?);
        let reading =
            *Reading::ALL.get(index).ok_or(ModelError::Shape("a bag reads in a way not known here"))?;
        let bits = reader.u8("size of a bag")?;
        if !(1..=MAX_BITS).contains(&bits) {
            return Err(ModelError::Shape("a bag has 2^bits rows, 1 to 20 bits"));
        }
        let units = usize::from(reader.u8("hidden units of a bag")?);
        let bytes = reader.take(DIMENSIONS << bits, "rows of a bag")?;
        let rows = bytes.as_chunks::<DIMENSIONS>().0.iter().map(|row| row.map(|byte| byte as i8)).collect();
        let scales = reader.floats(DIMENSIONS, "scale of a bag")?;
        let scale = scales.first_chunk::<DIMENSIONS>().copied().unwrap_or_default();
        let hidden = reader.floats(units * DIMENSIONS, "hidden layer of a bag")?;
        Self::new(BagWeights {
            reading,
            bits,
            rows,
            scale,
            hidden: hidden.as_chunks::<DIMENSIONS>().0.to_vec(),
            hidden_bias: reader.floats(units, "hidden layer of a bag")?,
            output: reader.floats(units, "output of a bag")?,
            output_bias: reader.floats(1, "output of a bag")?.first().copied().unwrap_or_default(),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let w = &self.weights;
        writer.u8(w.reading as u8);
        writer.u8(w.bits);
        writer.u8(w.hidden.len() as u8);
        writer.bytes.extend(w.rows.as_flattened().iter().map(|value| *value as u8));
        writer.floats(&w.scale);
        writer.floats(w.hidden.as_flattened());
        writer.floats(&w.hidden_bias);
        writer.floats(&w.output);
        writer.floats(&[w.output_bias]);
    }
}
