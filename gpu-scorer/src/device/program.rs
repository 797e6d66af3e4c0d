//! A model as the kernels take it: which kernel, its weights in one array, and names packed for it.

use dnsvet_core::model::{Model, Network, tokenizer};

/// Bytes of a name that seed.cu reads.
const SEED_BYTES: usize = 256;
/// Hidden units that table.cu has threads for.
const TABLE_UNITS: usize = 128;

/// A kernel of this crate, by its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kernel {
    /// kernels/seed.cu
    Seed,
    /// kernels/table.cu
    Table,
}

/// What a kernel needs to know of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Program {
    /// Which kernel runs it.
    pub kernel: Kernel,
    /// Table only: convolutions, hidden units, then width and filters of each convolution.
    pub shape: Vec<i32>,
    /// All weights, in the artifact's order.
    pub weights: Vec<f32>,
}

impl Program {
    /// `None` for a network that no kernel runs.
    pub fn of(model: &Model) -> Option<Self> {
        match model.network() {
            Network::Seed(seed) => {
                Some(Self { kernel: Kernel::Seed, shape: Vec::new(), weights: seed.weights() })
            }
            Network::Table(table) => {
                let parts = table.weights();
                let units = parts.hidden_bias.len();
                if units > TABLE_UNITS {
                    return None;
                }
                let mut shape = vec![parts.banks.len() as i32, units as i32];
                let mut weights = Vec::new();
                for bank in &parts.banks {
                    shape.extend([bank.width as i32, bank.bias.len() as i32]);
                    weights.extend(&bank.bias);
                    weights.extend(&bank.table);
                }
                weights.extend(&parts.hidden_bias);
                weights.extend(&parts.hidden);
                weights.extend(&parts.output);
                weights.push(parts.output_bias);
                Some(Self { kernel: Kernel::Table, shape, weights })
            }
            Network::Stack(_) => None,
        }
    }
}

/// Names as the kernels read them: name i is `text[ends[i - 1]..ends[i]]`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// The names, one behind the other, each cut to what the network reads.
    pub text: Vec<u8>,
    /// Where each ends; they never fall.
    pub ends: Vec<u32>,
}

impl Packed {
    /// Packs as many names from the front as fit, and at least one; says how many.
    pub fn fill(&mut self, kernel: Kernel, names: &[&str], max_names: usize, max_bytes: usize) -> usize {
        self.text.clear();
        self.ends.clear();
        for name in names.iter().take(max_names) {
            let bytes = match kernel {
                Kernel::Seed => &name.as_bytes()[..name.len().min(SEED_BYTES)],
                Kernel::Table => tokenizer::scored_text(name).as_bytes(),
            };
            if !self.ends.is_empty() && self.text.len() + bytes.len() > max_bytes {
                break;
            }
            self.text.extend_from_slice(bytes);
            self.ends.push(self.text.len() as u32);
        }
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_packed_up_to_the_bounds_and_none_is_lost() {
        let long = "x".repeat(300);
        let names = ["a.example", "bb.example", &long, "c.example"];
        let mut packed = Packed::default();
        let mut rest: &[&str] = &names;
        let mut launches = Vec::new();
        while !rest.is_empty() {
            let count = packed.fill(Kernel::Seed, rest, 2, 20);
            launches.push((count, packed.text.len(), packed.ends.clone()));
            rest = &rest[count..];
        }
        assert_eq!(launches, [(2, 19, vec![9, 19]), (1, 256, vec![256]), (1, 9, vec![9])]);
    }

    #[test]
    fn the_table_kernel_gets_the_scored_part_of_a_name() {
        let mut packed = Packed::default();
        packed.fill(Kernel::Table, &["www.example.com", &"y".repeat(100)], 8, 1_000);
        assert_eq!(packed.ends, [11, 75]);
        assert!(packed.text.starts_with(b"example.com"));
    }
}
