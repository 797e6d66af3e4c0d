//! ONNX: export of our networks, and what an imported one may be made of.
//!
//! Input `tokens` is `int64 [n, length]`, output `logit` is `float [n]`. Exported graphs use opset 13 and
//! the plain operators that every runtime has; a table CNN is a convolution over one-hot tokens, a bag's rows are the
//! bytes that they are. A graph is made of a model alone, so the same model gives the same graph anywhere.

mod build;
mod check;
mod latency;

pub use build::export;
pub use check::{ImportError, MAX_BYTES, Shape, check};
pub use latency::{Latency, LatencyError, PATIENCE, latency};

/// The input of every graph.
pub const INPUT: &str = "tokens";
/// The output of an exported graph.
pub const OUTPUT: &str = "logit";
/// The operator set of exported graphs.
pub const OPSET: i64 = 13;
