//! Models of names: tokenizer, forward pass, calibration, and the artifact that holds them (`.dvm`).
//!
//! ```text
//! name -> tokenizer -> Seed | Table | Stack -> logit -> Calibration -> score, probability -> Thresholds
//! ```
//!
//! [`Model::decode`] takes an artifact's bytes and gives a [`Model`], which has logits for names. The
//! surprise: two probabilities come of one logit. The *score* holds for the half-and-half mixture that the
//! model was fitted on; the *probability* is corrected for how rare malicious names are among those that a
//! filter asks about, and it is the one that thresholds are compared with.
//!
//! The artifact, little-endian: magic `DVM1`; kind, tokenizer version (`u8`); length of the name (`u8`) and
//! the name; slope, intercept, balance, prior, `allow_below`, `block_above` (`f64`); weights; BLAKE3 of all
//! that came before.

#[cfg(feature = "attribution")]
pub mod attribution;
pub mod bag;
mod brands;
mod calibration;
mod codec;
mod confusables;
pub mod features;
mod grams;
pub mod look_alike;
mod near;
pub mod parts;
pub mod seed;
pub mod shape;
mod skeleton;
pub mod stack;
pub mod table;
pub mod tokenizer;
pub mod tunnel;

#[cfg(feature = "attribution")]
pub use attribution::Attribution;
pub use bag::{Bag, BagWeights};
pub use brands::{Brand, Brands, BrandsError};
pub use calibration::{Calibration, UNLISTED_PRIOR, sigmoid};
pub use features::{Reading, features};
pub use look_alike::{LookAlike, look_alike};
pub use parts::Parts;
pub use seed::Seed;
pub use shape::{Shape, shape};
pub use stack::{Member, Stack, StackWeights, SuffixWeights};
pub use table::{BankWeights, Scratch, Table, TableWeights};

use codec::{Reader, Writer};

const MAGIC: &[u8; 4] = b"DVM1";
const KIND_SEED: u8 = 1;
const KIND_TABLE: u8 = 2;
const KIND_STACK: u8 = 3;
const DIGEST_BYTES: usize = blake3::OUT_LEN;

/// Why bytes are no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Another file, or an artifact of another major version.
    #[error("not a dnsvet model artifact (.dvm) of version 1; export the model again")]
    Magic,
    /// The file ends early.
    #[error("model artifact ends within its {what}; fetch it again")]
    Truncated {
        /// The part that is missing.
        what: &'static str,
    },
    /// Bytes after the end; carries how many.
    #[error("model artifact has {0} bytes too many; fetch it again")]
    Trailing(usize),
    /// The checksum does not hold.
    #[error("model artifact is corrupt: its checksum does not match; fetch it again")]
    Checksum,
    /// A network that this version does not know.
    #[error("model artifact holds a network of unknown kind {0}; a newer dnsvet may know it")]
    Kind(u8),
    /// The weights were trained under another tokenizer.
    #[error("model was made for tokenizer {got}, this dnsvet has {expected}; train or export it again")]
    Tokenizer {
        /// What the network needs here.
        expected: u8,
        /// What the artifact says.
        got: u8,
    },
    /// A model's name that no path or identifier could carry.
    #[error("model name must be 1 to 32 lower-case letters, digits, hyphens")]
    Name,
    /// Calibration or thresholds that make no sense.
    #[error("model has unusable {0}")]
    Parameter(&'static str),
    /// Not as many weights as the network has.
    #[error("network has {expected} weights, got {got}")]
    Weights {
        /// What the network has.
        expected: usize,
        /// What came.
        got: usize,
    },
    /// A weight that is not finite, or beyond 1e5.
    #[error("{what} hold a number that is not finite or beyond 1e5; the training diverged")]
    WeightRange {
        /// The part that holds it.
        what: &'static str,
    },
    /// A network whose parts do not fit.
    #[error("network does not fit together: {0}")]
    Shape(&'static str),
}

/// Where a probability becomes a decision. Both are compared with [`Model::probability`] at the declared
/// prior, and `0 <= allow_below <= block_above <= 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Below: benign enough to pass without asking a larger model.
    pub allow_below: f64,
    /// At or above: malicious enough to block by itself.
    pub block_above: f64,
}

/// What a model says beside its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// What people call it: 1 to 32 lower-case letters, digits, hyphens.
    pub name: String,
    /// From logit to probability.
    pub calibration: Calibration,
    /// The share of malicious names that [`Spec::thresholds`] hold for, in (0, 1).
    pub prior: f64,
    /// Where the probability at [`Spec::prior`] becomes a decision.
    pub thresholds: Thresholds,
}

impl Spec {
    /// Refuses a name, calibration, prior or thresholds that no model may have.
    pub fn check(&self) -> Result<(), ModelError> {
        let named = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !(1..=32).contains(&self.name.len()) || !self.name.bytes().all(named) {
            return Err(ModelError::Name);
        }
        if !self.calibration.is_sound() {
            return Err(ModelError::Parameter(
                "calibration: slope in (0, 1e6), intercept in (-1e6, 1e6), balance in (0, 1)",
            ));
        }
        if !(self.prior > 0.0 && self.prior < 1.0) {
            return Err(ModelError::Parameter("prior: it lies in (0, 1)"));
        }
        let Thresholds { allow_below, block_above } = self.thresholds;
        if !(0.0 <= allow_below && allow_below <= block_above && block_above <= 1.0) {
            return Err(ModelError::Parameter("thresholds: 0 <= allow_below <= block_above <= 1"));
        }
        Ok(())
    }
}

/// The part of a model that has weights.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// The seed's CNN on code points.
    Seed(Box<Seed>),
    /// One table CNN on tokens of text.
    Table(Box<Table>),
    /// Several networks on the content, and a bounded word of the suffix.
    Stack(Box<Stack>),
}

/// A model: network, calibration, thresholds, and an identifier that names these very bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    id: String,
    spec: Spec,
    network: Network,
}

impl Model {
    /// Puts a model together; refuses a name, calibration or thresholds that no artifact may hold.
    pub fn new(spec: Spec, network: Network) -> Result<Self, ModelError> {
        spec.check()?;
        let mut model = Self { id: String::new(), spec, network };
        let digest = blake3::hash(&model.body());
        model.id = format!("{}@{}", model.spec.name, digest.to_hex().get(..8).unwrap_or_default());
        Ok(model)
    }

    /// Opens an artifact. Everything is checked; no input panics, and no weight is allocated before its
    /// bytes are there.
    pub fn decode(artifact: &[u8]) -> Result<Self, ModelError> {
        if !artifact.starts_with(MAGIC) {
            return Err(ModelError::Magic);
        }
        let end = artifact.len().saturating_sub(DIGEST_BYTES);
        let (body, digest) =
            artifact.split_at_checked(end).ok_or(ModelError::Truncated { what: "checksum" })?;
        if blake3::hash(body).as_bytes() != digest {
            return Err(ModelError::Checksum);
        }
        let mut reader = Reader::new(body);
        reader.take(MAGIC.len(), "magic")?;
        let kind = reader.u8("kind")?;
        let version = reader.u8("tokenizer version")?;
        let length = usize::from(reader.u8("name")?);
        let name = std::str::from_utf8(reader.take(length, "name")?).map_err(|_| ModelError::Name)?;
        let spec = Spec {
            name: name.to_owned(),
            calibration: Calibration {
                slope: reader.f64("calibration")?,
                intercept: reader.f64("calibration")?,
                balance: reader.f64("calibration")?,
            },
            prior: reader.f64("prior")?,
            thresholds: Thresholds {
                allow_below: reader.f64("thresholds")?,
                block_above: reader.f64("thresholds")?,
            },
        };
        let expected = match kind {
            KIND_SEED => tokenizer::CODE_POINTS,
            KIND_TABLE => tokenizer::TEXT,
            KIND_STACK if version == tokenizer::READINGS => tokenizer::READINGS,
            KIND_STACK => tokenizer::PARTS,
            other => return Err(ModelError::Kind(other)),
        };
        if version != expected {
            return Err(ModelError::Tokenizer { expected, got: version });
        }
        let network = match kind {
            KIND_SEED => Network::Seed(Box::new(Seed::decode(&mut reader)?)),
            KIND_TABLE => Network::Table(Box::new(Table::decode(&mut reader)?)),
            _ => Network::Stack(Box::new(Stack::decode(&mut reader)?)),
        };
        reader.finish()?;
        let model = Self::new(spec, network)?;
        if model.tokenizer() != version {
            return Err(ModelError::Tokenizer { expected: model.tokenizer(), got: version });
        }
        Ok(model)
    }

    /// The artifact's bytes; [`Model::decode`] gives the same model back.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = self.body();
        let digest = blake3::hash(&bytes);
        bytes.extend(digest.as_bytes());
        bytes
    }

    fn body(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes.extend(MAGIC);
        writer.u8(match self.network {
            Network::Seed(_) => KIND_SEED,
            Network::Table(_) => KIND_TABLE,
            Network::Stack(_) => KIND_STACK,
        });
        writer.u8(self.tokenizer());
        writer.u8(self.spec.name.len() as u8);
        writer.bytes.extend(self.spec.name.as_bytes());
        let Spec { calibration, prior, thresholds, .. } = &self.spec;
        for value in [calibration.slope, calibration.intercept, calibration.balance, *prior] {
            writer.f64(value);
        }
        writer.f64(thresholds.allow_below);
        writer.f64(thresholds.block_above);
        match &self.network {
            Network::Seed(seed) => seed.encode(&mut writer),
            Network::Table(table) => table.encode(&mut writer),
            Network::Stack(stack) => stack.encode(&mut writer),
        }
        writer.bytes
    }

    /// Name and the first eight hex digits of the artifact's BLAKE3: `small@1a2b3c4d`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What the model says beside its weights.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The weights.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The tokenizer version that the weights were trained under.
    pub fn tokenizer(&self) -> u8 {
        match &self.network {
            Network::Seed(_) => tokenizer::CODE_POINTS,
            Network::Table(_) => tokenizer::TEXT,
            Network::Stack(stack) if stack.reads_labels_only() => tokenizer::PARTS,
            Network::Stack(_) => tokenizer::READINGS,
        }
    }

    /// The part of a name that decides its logit: the key of a score cache.
    pub fn scored_text<'a>(&self, name: &'a str) -> &'a str {
        match self.network {
            Network::Seed(_) => name,
            Network::Table(_) | Network::Stack(_) => tokenizer::scored_text(name),
        }
    }

    /// The logit of malicious, equal to the bit in native code and wasm.
    pub fn logit(&self, name: &str) -> f32 {
        match &self.network {
            Network::Seed(seed) => seed.logit(name),
            Network::Table(table) => table.logit(name),
            Network::Stack(stack) => {
                let mut logit = [0.0];
                stack.logits(&[name], &mut Scratch::default(), &mut logit);
                let [logit] = logit;
                logit
            }
        }
    }

    /// The logits of many names, the same as one by one. Fills as many of `logits` as there are names.
    pub fn logits(&self, names: &[&str], scratch: &mut Scratch, logits: &mut [f32]) {
        match &self.network {
            Network::Seed(seed) => {
                for (name, logit) in names.iter().zip(logits) {
                    *logit = seed.logit(name);
                }
            }
            Network::Table(table) => table.logits(names, scratch, logits),
            Network::Stack(stack) => stack.logits(names, scratch, logits),
        }
    }

    /// The calibrated probability of malicious under the training balance, in [0, 1].
    pub fn score(&self, logit: f32) -> f64 {
        self.spec.calibration.score(logit)
    }

    /// The probability of malicious where the share `prior`, in (0, 1), of names is.
    pub fn probability(&self, logit: f32, prior: f64) -> f64 {
        self.spec.calibration.probability(logit, prior)
    }

    /// The prior that [`Model::thresholds`] hold for.
    pub fn prior(&self) -> f64 {
        self.spec.prior
    }

    /// Where [`Model::probability`] at [`Model::prior`] becomes a decision.
    pub fn thresholds(&self) -> Thresholds {
        self.spec.thresholds
    }
}

#[cfg(test)]
mod fitting;
#[cfg(test)]
mod tests;
