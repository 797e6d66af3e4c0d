//! ONNX: export of our networks, and what an imported one may be made of.
//!
//! Input `tokens` is `int64 [n, length]`, output `logit` is `float [n]`. Exported graphs use opset 13 and
//! the plain operators that every runtime has; a table CNN is exported before folding (Gather, Conv), a bag's
//! rows as the bytes that they are.

mod build;
mod check;
mod latency;

pub use build::{seed, stack};
pub use check::{ImportError, MAX_BYTES, Shape, check};
pub use latency::{Latency, LatencyError, PATIENCE, latency};

/// The input of every graph.
pub const INPUT: &str = "tokens";
/// The output of an exported graph.
pub const OUTPUT: &str = "logit";
/// The operator set of exported graphs.
pub const OPSET: i64 = 13;
