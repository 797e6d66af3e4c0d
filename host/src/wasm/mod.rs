//! A proxy-wasm ABI 0.2.1 host on wasmtime. It knows HTTP-shaped requests and nothing of DNS.
//!
//! ```text
//! wasm bytes ─► Runtime (compiled once, cached on disk) ─► Vm (one a thread) ─► Outcome
//!                                                           │  ▲
//!                                        hostcalls ─► State ┘  └─ callouts: taken by the caller, replies
//!                                                      │          handed back
//!                                                SharedState: data, queues, metrics, clusters
//! ```
//!
//! What a hostcall answers to right and wrong arguments is what Envoy answers; where the specification
//! says something else, the hostcall's comment says so. Nothing that a guest does panics the host: it gets
//! a status, or it traps, and then the [`Vm`] is dead and the caller starts a fresh one.
//!
//! The surprise: a guest call may be answered later. A [`Outcome::Paused`] request is resumed from
//! [`Vm::callout_reply`], [`Vm::tick`] or [`Vm::queues_ready`], which say which requests moved on.

mod abi;
mod cache;
mod context;
mod error;
mod headers;
mod hostcalls;
mod memory;
mod metrics;
mod runtime;
mod shared;
mod state;
mod vm;

pub use context::{ContextId, Outcome, OwnProperties, Properties, ResponseOutcome, StreamInfo};
pub use error::{LoadError, Trap, VmError};
pub use metrics::{Histogram, MetricValue};
pub use runtime::{Limits, Runtime};
pub use shared::SharedState;
pub use state::OutgoingCall;
pub use vm::Vm;

#[cfg(test)]
mod tests;
