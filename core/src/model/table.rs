//! The table CNN: our own family of models, small in the filter and larger in the scorer.
//!
//! ```text
//! tokens -> embedding -> convolutions of several widths -> relu -> max and mean -> dense -> relu -> logit
//!           '------- folded: T[tap][token][filter] ------'
//! ```
//!
//! No nonlinearity stands between embedding and convolution, so the two fold into one table for each tap
//! and a convolution is `width` row additions a position. The surprise: a window that sees padding only
//! has one value, computed when the weights are loaded, so the work follows the length of the name. Every
//! sum has one fixed order (bias, taps; positions; inputs), the same for one name and for many, native and
//! wasm, so logits are equal to the bit.

use super::ModelError;
use super::codec::{Reader, Writer};
use super::tokenizer::{ALPHABET, Framed, PAD, TEXT_TOKENS, tokens};

/// Filters and hidden units come in groups of this many: one group is a row of the table.
pub const LANES: usize = 16;
/// The widest convolution, in tokens.
pub const MAX_WIDTH: usize = 16;
/// The most convolutions of one network.
pub const MAX_BANKS: usize = 16;
/// The most filters of one convolution, and the most hidden units.
pub const MAX_FILTERS: usize = 512;

type Row = [f32; LANES];

/// One convolution of a [`TableWeights`].
#[derive(Debug, Clone, PartialEq)]
pub struct BankWeights {
    /// Tokens that a filter sees, 1 to [`MAX_WIDTH`].
    pub width: usize,
    /// One for each filter; a multiple of [`LANES`] filters.
    pub bias: Vec<f32>,
    /// `[tap][token][filter]`.
    pub table: Vec<f32>,
}

/// A table CNN's weights as they are trained, exported and stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TableWeights {
    /// The convolutions, 1 to [`MAX_BANKS`].
    pub banks: Vec<BankWeights>,
    /// `[input][hidden]`; inputs are, for each bank, the maximum of each filter and then the mean of each.
    pub hidden: Vec<f32>,
    /// One for each hidden unit; a multiple of [`LANES`].
    pub hidden_bias: Vec<f32>,
    /// One for each hidden unit.
    pub output: Vec<f32>,
    /// The logit of a name that no hidden unit answers to.
    pub output_bias: f32,
}

impl TableWeights {
    /// Inputs of the hidden layer.
    pub fn inputs(&self) -> usize {
        self.banks.iter().map(|bank| 2 * bank.bias.len()).sum()
    }
}

/// Sixteen filters of one convolution.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    width: usize,
    bias: Row,
    /// `[tap][token]`
    rows: Vec<Row>,
    /// What a window of padding gives, relu applied.
    padding: Row,
}

/// A table CNN ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    weights: TableWeights,
    /// The filters in groups, with the hidden layer's inputs that each fills: maximum, then mean.
    groups: Vec<(Group, usize, usize)>,
    /// `[group of hidden units][input]`, with their biases and output weights.
    hidden: Vec<(Vec<Row>, Row, Row)>,
    inputs: usize,
}

/// Buffers of a forward pass, to be kept between passes.
#[derive(Debug, Default, Clone)]
pub struct Scratch {
    pooled: Vec<f32>,
    pub(super) features: Vec<u32>,
}

impl Table {
    /// Checks the shapes and lays the weights out for the forward pass.
    pub fn new(weights: TableWeights) -> Result<Self, ModelError> {
        check_shapes(&weights)?;
        let inputs = weights.inputs();
        let mut groups = Vec::new();
        let mut input = 0;
        for bank in &weights.banks {
            let filters = bank.bias.len();
            for (index, bias) in bank.bias.as_chunks::<LANES>().0.iter().enumerate() {
                let rows: Vec<Row> = bank
                    .table
                    .chunks_exact(filters)
                    .filter_map(|row| row.as_chunks::<LANES>().0.get(index).copied())
                    .collect();
                let mut group = Group { width: bank.width, bias: *bias, rows, padding: [0.0; LANES] };
                let window = [PAD; MAX_WIDTH];
                group.padding = relu(group.window(window.get(..bank.width).unwrap_or(&window)));
                let maximum = input + index * LANES;
                groups.push((group, maximum, maximum + filters));
            }
            input += 2 * filters;
        }
        let units = weights.hidden_bias.len();
        let output = weights.output.as_chunks::<LANES>().0;
        let hidden = weights.hidden_bias.as_chunks::<LANES>().0.iter().zip(output).enumerate();
        let hidden = hidden
            .map(|(index, (bias, output))| {
                let rows = weights.hidden.chunks_exact(units);
                let rows = rows.filter_map(|row| row.as_chunks::<LANES>().0.get(index).copied()).collect();
                (rows, *bias, *output)
            })
            .collect();
        Ok(Self { weights, groups, hidden, inputs })
    }

    /// The weights it was made of.
    pub fn weights(&self) -> &TableWeights {
        &self.weights
    }

    /// Parameters after folding: what the artifact holds.
    pub fn parameters(&self) -> usize {
        let banks = self.weights.banks.iter().map(|bank| bank.bias.len() + bank.table.len());
        let w = &self.weights;
        banks.sum::<usize>() + w.hidden.len() + w.hidden_bias.len() + w.output.len() + 1
    }

    /// The logit of malicious.
    pub fn logit(&self, name: &str) -> f32 {
        let mut logit = [0.0];
        self.logits(&[name], &mut Scratch::default(), &mut logit);
        let [logit] = logit;
        logit
    }

    /// The logits of many names, as [`Table::logit`] gives them one by one, but with the tables kept in the
    /// first cache. Fills as many of `logits` as there are names.
    pub fn logits(&self, names: &[&str], scratch: &mut Scratch, logits: &mut [f32]) {
        const BLOCK: usize = 64;
        for (names, logits) in names.chunks(BLOCK).zip(logits.chunks_mut(BLOCK)) {
            let texts: Vec<_> = names.iter().map(|name| tokens(name)).collect();
            self.framed(&texts, scratch, logits);
        }
    }

    /// The logits of a few texts. Fills as many of `logits` as there are texts.
    pub(super) fn framed(&self, texts: &[Framed], scratch: &mut Scratch, logits: &mut [f32]) {
        scratch.pooled.clear();
        scratch.pooled.resize(texts.len() * self.inputs, 0.0);
        for (group, maximum, mean) in &self.groups {
            for (pooled, (tokens, used)) in scratch.pooled.chunks_exact_mut(self.inputs).zip(texts) {
                let (max, average) = group.pool(tokens, *used);
                store(pooled, *maximum, &max);
                store(pooled, *mean, &average);
            }
        }
        logits.fill(self.weights.output_bias);
        for (rows, bias, output) in &self.hidden {
            for (pooled, logit) in scratch.pooled.chunks_exact(self.inputs).zip(logits.iter_mut()) {
                let mut sum = *bias;
                for (value, weights) in pooled.iter().zip(rows) {
                    for (sum, weight) in sum.iter_mut().zip(weights) {
                        *sum += value * weight;
                    }
                }
                for (unit, weight) in relu(sum).into_iter().zip(output) {
                    *logit += unit * weight;
                }
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let banks = usize::from(reader.u8("number of convolutions")?);
        let units = usize::from(reader.u16("number of hidden units")?);
        let mut shapes = Vec::with_capacity(banks);
        for _ in 0..banks {
            let width = usize::from(reader.u8("width of a convolution")?);
            let filters = usize::from(reader.u16("filters of a convolution")?);
            if width > MAX_WIDTH || filters > MAX_FILTERS {
                return Err(ModelError::Shape("a convolution is wider or has more filters than allowed"));
            }
            shapes.push((width, filters));
        }
        let inputs: usize = shapes.iter().map(|(_, filters)| 2 * filters).sum();
        let mut read = Vec::with_capacity(banks);
        for (width, filters) in shapes {
            let bias = reader.floats(filters, "bias of a convolution")?;
            let table = reader.floats(width * ALPHABET * filters, "table of a convolution")?;
            read.push(BankWeights { width, bias, table });
        }
        Self::new(TableWeights {
            banks: read,
            hidden_bias: reader.floats(units, "bias of the hidden layer")?,
            hidden: reader.floats(inputs * units, "weights of the hidden layer")?,
            output: reader.floats(units, "weights of the output")?,
            output_bias: reader.floats(1, "bias of the output")?.first().copied().unwrap_or(0.0),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        let weights = &self.weights;
        writer.u8(weights.banks.len() as u8);
        writer.u16(weights.hidden_bias.len() as u16);
        for bank in &weights.banks {
            writer.u8(bank.width as u8);
            writer.u16(bank.bias.len() as u16);
        }
        for bank in &weights.banks {
            writer.floats(&bank.bias);
            writer.floats(&bank.table);
        }
        writer.floats(&weights.hidden_bias);
        writer.floats(&weights.hidden);
        writer.floats(&weights.output);
        writer.floats(&[weights.output_bias]);
    }
}

impl Group {
    /// Sixteen filters over one window of `width` tokens.
    #[inline]
    fn window(&self, window: &[u8]) -> Row {
        let mut sum = self.bias;
        for (token, rows) in window.iter().zip(self.rows.chunks_exact(ALPHABET)) {
            if let Some(row) = rows.get(usize::from(*token)) {
                for (sum, weight) in sum.iter_mut().zip(row) {
                    *sum += weight;
                }
            }
        }
        sum
    }

    /// Maximum and mean of each filter over all windows, relu applied.
    fn pool(&self, tokens: &[u8; TEXT_TOKENS], used: usize) -> (Row, Row) {
        let windows = TEXT_TOKENS - self.width + 1;
        let live = windows.min(used + 1);
        let mut maximum = [0.0; LANES];
        let mut total = [0.0; LANES];
        for window in tokens.windows(self.width).take(live) {
            let values = relu(self.window(window));
            pick_larger(&mut maximum, &values);
            for (total, value) in total.iter_mut().zip(&values) {
                *total += value;
            }
        }
        if live < windows {
            pick_larger(&mut maximum, &self.padding);
            let rest = (windows - live) as f32;
            for (total, value) in total.iter_mut().zip(&self.padding) {
                *total += value * rest;
            }
        }
        let windows = windows as f32;
        (maximum, total.map(|total| total / windows))
    }
}

fn relu(values: Row) -> Row {
    values.map(|value| if value > 0.0 { value } else { 0.0 })
}

fn pick_larger(kept: &mut Row, values: &Row) {
    for (kept, value) in kept.iter_mut().zip(values) {
        *kept = if *kept > *value { *kept } else { *value };
    }
}

fn store(pooled: &mut [f32], at: usize, values: &Row) {
    if let Some(slots) = pooled.get_mut(at..at + LANES) {
        slots.copy_from_slice(values);
    }
}

fn check_shapes(weights: &TableWeights) -> Result<(), ModelError> {
    let grouped = |count: usize| count > 0 && count <= MAX_FILTERS && count.is_multiple_of(LANES);
    if weights.banks.is_empty() || weights.banks.len() > MAX_BANKS {
        return Err(ModelError::Shape("a table CNN has 1 to 16 convolutions"));
    }
    for bank in &weights.banks {
        if !(1..=MAX_WIDTH).contains(&bank.width) || !grouped(bank.bias.len()) {
            return Err(ModelError::Shape("a convolution has width 1 to 16 and 16 to 512 filters by 16"));
        }
        if bank.table.len() != bank.width * ALPHABET * bank.bias.len() {
            return Err(ModelError::Shape("a convolution's table is not width x alphabet x filters"));
        }
    }
    let units = weights.hidden_bias.len();
    if !grouped(units) || weights.output.len() != units || weights.hidden.len() != weights.inputs() * units {
        return Err(ModelError::Shape("the hidden layer is not inputs x units, 16 to 512 units by 16"));
    }
    Ok(())
}
