//! The stack: unlike networks that read a name's content, and one bounded word of its suffix.
//!
//! ```text
//! name -> Parts -> content -> member 1 x weight ───┐
//!              |           -> member 2 x weight ───┼─ sum ─► logit
//!              └── suffix, and content under it ───┘
//! ```
//!
//! Networks that fail in different ways are worth more together. The surprise: whatever stands in the weights, a
//! suffix moves the logit by at most [`SuffixWeights::bound`] either way, because a name's suffix is free to
//! choose: an honest name under `.top` must not be blocked for it, nor a bad one under `.com` pass. How far below that
//! bound a suffix stays is for training to find.

use super::ModelError;
use super::bag::Bag;
use super::calibration::sigmoid;
use super::codec::{Reader, Writer};
use super::features::{FEATURE_BITS, Reading, crossed, features, suffix_slot};
use super::parts::Parts;
use super::table::{Scratch, Table};
use super::tokenizer::frame;

/// Suffixes share `2^SUFFIX_BITS` terms.
pub const SUFFIX_BITS: u32 = 12;
/// The most members.
pub const MAX_MEMBERS: usize = 8;
/// No suffix may say more, in units of the logit.
pub const MAX_BOUND: f32 = 8.0;

const KIND_TABLE: u8 = 1;
const KIND_BAG: u8 = 2;

/// A network that reads contents.
#[derive(Debug, Clone, PartialEq)]
pub enum Member {
    /// A table CNN on the content's tokens.
    Table(Box<Table>),
    /// A bag on its features.
    Bag(Box<Bag>),
}

impl Member {
    /// How many numbers were trained.
    pub fn parameters(&self) -> usize {
        match self {
            Self::Table(table) => table.parameters(),
            Self::Bag(bag) => bag.parameters(),
        }
    }
}

/// What a suffix says: by itself, and of what stands before it.
#[derive(Debug, Clone, PartialEq)]
pub struct SuffixWeights {
    /// What it may say at most, above 0 and up to [`MAX_BOUND`].
    pub bound: f32,
    /// `2^SUFFIX_BITS` numbers, by the suffix' hash.
    pub terms: Vec<f32>,
    /// The table of crossed features has `2^bits` rows, 1 to [`FEATURE_BITS`].
    pub bits: u8,
    /// By the hash of a feature and the suffix.
    pub rows: Vec<i8>,
    /// What a step of a row is worth.
    pub scale: f32,
}

impl SuffixWeights {
    /// No suffix says anything.
    pub fn silent() -> Self {
        Self { bound: 1.0, terms: vec![0.0; 1 << SUFFIX_BITS], bits: 1, rows: vec![0; 2], scale: 0.0 }
    }

    /// What a suffix would say of a content with these features ([`Reading::Labels`]), were it not bound.
    pub fn unbound(&self, found: &[u32], suffix: &str) -> f32 {
        let shift = FEATURE_BITS.saturating_sub(u32::from(self.bits));
        let rows = crossed(found, suffix).filter_map(|feature| self.rows.get((feature >> shift) as usize));
        let sum: i32 = rows.map(|value| i32::from(*value)).sum();
        let term = self.terms.get(slot(suffix)).copied().unwrap_or_default();
        term + sum as f32 * self.scale / (found.len().max(1) as f32).sqrt()
    }

    /// What it says: `bound x tanh(unbound / bound)`.
    pub fn say(&self, found: &[u32], suffix: &str) -> f32 {
        let share = f64::from(self.unbound(found, suffix) / self.bound);
        self.bound * (2.0 * sigmoid(2.0 * share) - 1.0) as f32
    }

    fn check(&self) -> Result<(), ModelError> {
        if self.terms.len() != 1 << SUFFIX_BITS {
            return Err(ModelError::Shape("a stack has 4096 suffix terms"));
        }
        if !(1..=FEATURE_BITS).contains(&u32::from(self.bits)) || self.rows.len() != 1 << self.bits {
            return Err(ModelError::Shape("crossed features have 2^bits rows, 1 to 20 bits"));
        }
        if !(self.bound > 0.0 && self.bound <= MAX_BOUND) {
            return Err(ModelError::Parameter("bound of suffixes"));
        }
        Ok(())
    }
}

/// A stack's parts.
#[derive(Debug, Clone, PartialEq)]
pub struct StackWeights {
    /// 1 to [`MAX_MEMBERS`], each with its weight.
    pub members: Vec<(f32, Member)>,
    /// The suffix' word.
    pub suffix: SuffixWeights,
    /// Added to every logit.
    pub bias: f32,
}

/// A stack ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    weights: StackWeights,
}

impl Stack {
    /// Checks that the parts fit.
    pub fn new(weights: StackWeights) -> Result<Self, ModelError> {
        if !(1..=MAX_MEMBERS).contains(&weights.members.len()) {
            return Err(ModelError::Shape("a stack has 1 to 8 members"));
        }
        weights.suffix.check()?;
        Ok(Self { weights })
    }

    /// Whether every bag reads labels, as the suffix' word does.
    pub fn reads_labels_only(&self) -> bool {
        let unlike = |member: &Member| matches!(member, Member::Bag(bag) if bag.reading() != Reading::Labels);
        !self.weights.members.iter().any(|(_, member)| unlike(member))
    }

    /// The parts it was made of.
    pub fn weights(&self) -> &StackWeights {
        &self.weights
    }

    /// How many numbers were trained.
    pub fn parameters(&self) -> usize {
        let members = self.weights.members.iter().map(|(_, member)| member.parameters() + 1);
        members.sum::<usize>() + self.weights.suffix.terms.len() + self.weights.suffix.rows.len() + 1
    }

    /// The logits of many names, each the same as alone. Fills as many of `logits` as there are names.
    pub fn logits(&self, names: &[&str], scratch: &mut Scratch, logits: &mut [f32]) {
        const BLOCK: usize = 64;
        for (names, logits) in names.chunks(BLOCK).zip(logits.chunks_mut(BLOCK)) {
            let parts: Vec<Parts<'_>> = names.iter().map(|name| Parts::of(name)).collect();
            for (logit, parts) in logits.iter_mut().zip(&parts) {
                let mut read = Reading::Labels;
                features(parts.content, read, &mut scratch.features);
                *logit = self.weights.bias + self.weights.suffix.say(&scratch.features, parts.suffix);
                for (weight, member) in &self.weights.members {
                    if let Member::Bag(bag) = member {
                        if bag.reading() != read {
                            read = bag.reading();
                            features(parts.content, read, &mut scratch.features);
                        }
                        *logit += weight * bag.logit(&scratch.features);
                    }
                }
            }
            let texts: Vec<_> = parts.iter().map(|parts| frame(parts.content)).collect();
            for (weight, member) in &self.weights.members {
                if let Member::Table(table) = member {
                    let mut own = [0.0; BLOCK];
                    table.framed(&texts, scratch, &mut own);
                    for (logit, own) in logits.iter_mut().zip(own).take(names.len()) {
                        *logit += weight * own;
                    }
                }
            }
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ModelError> {
        let count = usize::from(reader.u8("number of members")?);
        let mut members = Vec::new();
        for _ in 0..count {
            let kind = reader.u8("kind of a member")?;
            let weight = reader.floats(1, "weight of a member")?.first().copied().unwrap_or_default();
            let member = match kind {
                KIND_TABLE => Member::Table(Box::new(Table::decode(reader)?)),
                KIND_BAG => Member::Bag(Box::new(Bag::decode(reader)?)),
                other => return Err(ModelError::Kind(other)),
            };
            members.push((weight, member));
        }
        let bound = reader.floats(1, "bound of suffixes")?.first().copied().unwrap_or_default();
        let terms = reader.floats(1 << SUFFIX_BITS, "suffix terms")?;
        let bits = reader.u8("size of crossed features")?;
        if !(1..=FEATURE_BITS).contains(&u32::from(bits)) {
            return Err(ModelError::Shape("crossed features have 2^bits rows, 1 to 20 bits"));
        }
        let rows =
            reader.take(1 << bits, "rows of crossed features")?.iter().map(|byte| *byte as i8).collect();
        let scale = reader.floats(1, "scale of crossed features")?.first().copied().unwrap_or_default();
        Self::new(StackWeights {
            members,
            suffix: SuffixWeights { bound, terms, bits, rows, scale },
            bias: reader.floats(1, "bias of a stack")?.first().copied().unwrap_or_default(),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer.u8(self.weights.members.len() as u8);
        for (weight, member) in &self.weights.members {
            writer.u8(match member {
                Member::Table(_) => KIND_TABLE,
                Member::Bag(_) => KIND_BAG,
            });
            writer.floats(&[*weight]);
            match member {
                Member::Table(table) => table.encode(writer),
                Member::Bag(bag) => bag.encode(writer),
            }
        }
        let suffix = &self.weights.suffix;
        writer.floats(&[suffix.bound]);
        writer.floats(&suffix.terms);
        writer.u8(suffix.bits);
        writer.bytes.extend(suffix.rows.iter().map(|value| *value as u8));
        writer.floats(&[suffix.scale, self.weights.bias]);
    }
}

/// The slot of a suffix among the terms.
pub fn slot(suffix: &str) -> usize {
    suffix_slot(suffix, SUFFIX_BITS)
}
