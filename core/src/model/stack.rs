//! The stack: unlike networks that read a name's content, and one bounded word of its suffix.
//!
//! ```text
//! name -> Parts -> content -> member 1 x weight ┐
//!              |           -> member 2 x weight ┼─ sum ─► logit
//!              └── suffix ─► one of its terms ──┘
//! ```
//!
//! Networks that fail in different ways are worth more together. The surprise: whatever stands in the weights, a
//! suffix moves the logit by at most [`StackWeights::bound`] either way, because a name's suffix is free to
//! choose: an honest name under `.top` must not be blocked for it, nor a bad one under `.com` pass.

use super::ModelError;
use super::bag::Bag;
use super::codec::{Reader, Writer};
use super::features::suffix_slot;
use super::parts::Parts;
use super::table::{Scratch, Table};
use super::tokenizer::frame;

/// Suffixes share `2^SUFFIX_BITS` terms.
pub const SUFFIX_BITS: u32 = 12;
/// The most members.
pub const MAX_MEMBERS: usize = 8;
/// No suffix may say more, in units of the logit.
pub const MAX_BOUND: f32 = 3.0;

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

/// A stack's parts.
#[derive(Debug, Clone, PartialEq)]
pub struct StackWeights {
    /// 1 to [`MAX_MEMBERS`], each with its weight.
    pub members: Vec<(f32, Member)>,
    /// What a suffix may say at most, above 0 and up to [`MAX_BOUND`].
    pub bound: f32,
    /// `2^SUFFIX_BITS` terms within the bound, by the suffix' hash.
    pub suffix: Vec<f32>,
    /// Added to every logit.
    pub bias: f32,
}

/// A stack ready to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stack {
    weights: StackWeights,
}

impl Stack {
    /// Checks that the parts fit and no suffix says more than it may.
    pub fn new(weights: StackWeights) -> Result<Self, ModelError> {
        if !(1..=MAX_MEMBERS).contains(&weights.members.len()) {
            return Err(ModelError::Shape("a stack has 1 to 8 members"));
        }
        if weights.suffix.len() != 1 << SUFFIX_BITS {
            return Err(ModelError::Shape("a stack has 4096 suffix terms"));
        }
        let within = |term: &f32| term.abs() <= weights.bound;
        if !(weights.bound > 0.0 && weights.bound <= MAX_BOUND && weights.suffix.iter().all(within)) {
            return Err(ModelError::Parameter("suffix terms: one is beyond the bound"));
        }
        Ok(Self { weights })
    }

    /// The parts it was made of.
    pub fn weights(&self) -> &StackWeights {
        &self.weights
    }

    /// How many numbers were trained.
    pub fn parameters(&self) -> usize {
        let members = self.weights.members.iter().map(|(_, member)| member.parameters() + 1);
        members.sum::<usize>() + self.weights.suffix.len() + 1
    }

    /// The logits of many names, each the same as alone. Fills as many of `logits` as there are names.
    pub fn logits(&self, names: &[&str], scratch: &mut Scratch, logits: &mut [f32]) {
        const BLOCK: usize = 64;
        for (names, logits) in names.chunks(BLOCK).zip(logits.chunks_mut(BLOCK)) {
            let parts: Vec<Parts<'_>> = names.iter().map(|name| Parts::of(name)).collect();
            for (logit, parts) in logits.iter_mut().zip(&parts) {
                let term = self.weights.suffix.get(suffix_slot(parts.suffix, SUFFIX_BITS));
                *logit = self.weights.bias + term.copied().unwrap_or_default();
            }
            for (weight, member) in &self.weights.members {
                match member {
                    Member::Table(table) => {
                        let texts: Vec<_> = parts.iter().map(|parts| frame(parts.content)).collect();
                        let mut own = [0.0; BLOCK];
                        table.framed(&texts, scratch, &mut own);
                        for (logit, own) in logits.iter_mut().zip(own).take(names.len()) {
                            *logit += weight * own;
                        }
                    }
                    Member::Bag(bag) => {
                        for (logit, parts) in logits.iter_mut().zip(&parts) {
                            *logit += weight * bag.logit(parts.content, &mut scratch.features);
                        }
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
        Self::new(StackWeights {
            members,
            bound: reader.floats(1, "bound of suffixes")?.first().copied().unwrap_or_default(),
            suffix: reader.floats(1 << SUFFIX_BITS, "suffix terms")?,
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
        writer.floats(&[self.weights.bound]);
        writer.floats(&self.weights.suffix);
        writer.floats(&[self.weights.bias]);
    }
}

/// The slot of a suffix among the terms.
pub fn slot(suffix: &str) -> usize {
    suffix_slot(suffix, SUFFIX_BITS)
}
