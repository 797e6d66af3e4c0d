//! The seed: the CNN that this project grew from (2020), 1,913 parameters, kept for parity with Keras.
//!
//! ```text
//! code points 16x16x1 -> conv 2x2x16 -> max 2x2 -> conv 2x2x16 -> max 2x2 -> conv 2x2x8 -> 32 -> 8 -> 1
//!                              14x14        7x7         6x6         3x3         2x2
//! ```
//!
//! Convolutions are "valid" with relu; the logit goes out, its sigmoid is the score. Output channels are
//! the last axis and every sum runs bias first, then row, column, input channel: so compilers vectorise
//! over channels and native code and wasm give equal bits. The surprise: most of a name's 256 cells are
//! padding, and rows of padding come out of a layer as one constant pixel, computed once when the weights
//! are loaded.

use super::ModelError;
use super::codec::{Reader, Writer};

/// Parameters of the network.
pub const PARAMETERS: usize = 1_913;
/// Code points of a name that the network reads; names are zero-padded to it.
pub const CODE_POINTS: usize = 256;

const SIDE: usize = 16;
type Pixel = [f32; 16];
type Small = [f32; 8];

/// The seed's weights, ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Seed {
    kernel1: [Pixel; 4],
    bias1: Pixel,
    kernel2: [[Pixel; 16]; 4],
    bias2: Pixel,
    kernel3: [[Small; 16]; 4],
    bias3: Small,
    dense1: [Small; 32],
    dense1_bias: Small,
    dense2: Small,
    dense2_bias: f32,
    /// What padding becomes behind the first pooling and behind the second convolution.
    padding1: Pixel,
    padding2: Pixel,
}

impl Seed {
    /// Takes the weights in Keras' order: for each layer kernel then bias, output channel last.
    pub fn from_weights(weights: &[f32]) -> Result<Self, ModelError> {
        if weights.len() != PARAMETERS {
            return Err(ModelError::Weights { expected: PARAMETERS, got: weights.len() });
        }
        let mut rest = weights.iter().copied();
        let mut pixel = || std::array::from_fn::<f32, 16, _>(|_| rest.next().unwrap_or(0.0));
        let kernel1 = std::array::from_fn(|_| pixel());
        let bias1 = pixel();
        let kernel2 = std::array::from_fn(|_| std::array::from_fn(|_| pixel()));
        let bias2 = pixel();
        let mut small = || std::array::from_fn::<f32, 8, _>(|_| rest.next().unwrap_or(0.0));
        let kernel3 = std::array::from_fn(|_| std::array::from_fn(|_| small()));
        let bias3 = small();
        let dense1 = std::array::from_fn(|_| small());
        let dense1_bias = small();
        let dense2 = small();
        let dense2_bias = rest.next().unwrap_or(0.0);
        let mut seed = Self {
            kernel1,
            bias1,
            kernel2,
            bias2,
            kernel3,
            bias3,
            dense1,
            dense1_bias,
            dense2,
            dense2_bias,
            padding1: [0.0; 16],
            padding2: [0.0; 16],
        };
        seed.padding1 = seed.pooled1([&[0.0; 3]; 3]);
        seed.padding2 = seed.convolved2([&seed.padding1; 4]);
        Ok(seed)
    }

    /// The weights in the order that [`Seed::from_weights`] takes.
    pub fn weights(&self) -> Vec<f32> {
        let mut out = Vec::with_capacity(PARAMETERS);
        out.extend(self.kernel1.as_flattened());
        out.extend(self.bias1);
        out.extend(self.kernel2.as_flattened().as_flattened());
        out.extend(self.bias2);
        out.extend(self.kernel3.as_flattened().as_flattened());
        out.extend(self.bias3);
        out.extend(self.dense1.as_flattened());
        out.extend(self.dense1_bias);
        out.extend(self.dense2);
        out.push(self.dense2_bias);
        out
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        Self::from_weights(&reader.floats(PARAMETERS, "seed weights")?)
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.floats(&self.weights());
    }

    /// The logit of malicious. The name is read as it is: no newline, no dot at the end, its first 256
    /// code points.
    pub fn logit(&self, name: &str) -> f32 {
        let mut input = [[0.0f32; SIDE]; SIDE];
        let mut length = 0usize;
        for (cell, character) in input.as_flattened_mut().iter_mut().zip(name.chars()) {
            *cell = u32::from(character) as f32;
            length += 1;
        }

        // Row r of the first pooled map reads input rows 2r to 2r + 2: all padding from `length` on.
        let live = length.div_ceil(2 * SIDE);
        let mut pooled1 = [[self.padding1; 7]; 7];
        for (row, window) in pooled1.iter_mut().take(live).zip(input.array_windows::<3>().step_by(2)) {
            let [a, b, c] = window;
            let columns = a.array_windows::<3>().zip(b.array_windows()).zip(c.array_windows()).step_by(2);
            for (pixel, ((a, b), c)) in row.iter_mut().zip(columns) {
                *pixel = self.pooled1([a, b, c]);
            }
        }

        let mut convolved2 = [[self.padding2; 6]; 6];
        for (row, [upper, lower]) in convolved2.iter_mut().take(live).zip(pooled1.array_windows()) {
            let columns = upper.array_windows().zip(lower.array_windows());
            for (pixel, ([a, b], [c, d])) in row.iter_mut().zip(columns) {
                *pixel = self.convolved2([a, b, c, d]);
            }
        }

        let mut pooled2 = [[[0.0; 16]; 3]; 3];
        for (row, pair) in pooled2.iter_mut().zip(convolved2.as_chunks::<2>().0) {
            let [upper, lower] = pair;
            let columns = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            for (pixel, ([a, b], [c, d])) in row.iter_mut().zip(columns) {
                *pixel = maximum(maximum(*a, b), &maximum(*c, d));
            }
        }

        let mut hidden = self.dense1_bias;
        let mut dense1 = self.dense1.iter();
        for [upper, lower] in pooled2.array_windows() {
            for ([a, b], [c, d]) in upper.array_windows().zip(lower.array_windows()) {
                for (value, weights) in self.convolved3([a, b, c, d]).iter().zip(dense1.by_ref()) {
                    add_scaled(&mut hidden, *value, weights);
                }
            }
        }
        let products = relu(hidden).into_iter().zip(self.dense2);
        products.fold(self.dense2_bias, |sum, (value, weight)| sum + value * weight)
    }

    /// Four cells of the first convolution, their maximum, relu.
    fn pooled1(&self, [[a0, a1, a2], [b0, b1, b2], [c0, c1, c2]]: [&[f32; 3]; 3]) -> Pixel {
        let upper = maximum(self.convolved1([a0, a1, b0, b1]), &self.convolved1([a1, a2, b1, b2]));
        let lower = maximum(self.convolved1([b0, b1, c0, c1]), &self.convolved1([b1, b2, c1, c2]));
        relu(maximum(upper, &lower))
    }

    fn convolved1(&self, cells: [&f32; 4]) -> Pixel {
        let mut sum = self.bias1;
        for (cell, weights) in cells.into_iter().zip(&self.kernel1) {
            add_scaled(&mut sum, *cell, weights);
        }
        sum
    }

    fn convolved2(&self, pixels: [&Pixel; 4]) -> Pixel {
        relu(convolve(self.bias2, pixels, &self.kernel2))
    }

    fn convolved3(&self, pixels: [&Pixel; 4]) -> Small {
        relu(convolve(self.bias3, pixels, &self.kernel3))
    }
}

fn convolve<const N: usize>(
    mut sum: [f32; N],
    pixels: [&Pixel; 4],
    kernel: &[[[f32; N]; 16]; 4],
) -> [f32; N] {
    for (pixel, kernel) in pixels.into_iter().zip(kernel) {
        for (value, weights) in pixel.iter().zip(kernel) {
            add_scaled(&mut sum, *value, weights);
        }
    }
    sum
}

fn add_scaled<const N: usize>(sum: &mut [f32; N], value: f32, weights: &[f32; N]) {
    for (sum, weight) in sum.iter_mut().zip(weights) {
        *sum += value * weight;
    }
}

fn maximum<const N: usize>(mut a: [f32; N], b: &[f32; N]) -> [f32; N] {
    for (a, b) in a.iter_mut().zip(b) {
        *a = if *a > *b { *a } else { *b };
    }
    a
}

fn relu<const N: usize>(values: [f32; N]) -> [f32; N] {
    values.map(|value| if value > 0.0 { value } else { 0.0 })
}
