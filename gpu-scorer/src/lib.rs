//! The scorer sidecar: the larger models in batches, on a GPU by our own kernels or on the CPU.
//!
//! ```text
//! POST /v1/score ──┐                ┌─ lane "large": queue ─► batch (size or 200 us) ─► backend ─┐
//! /v1/score/stream ┼─► parse names ─┼─ lane "small": ...                                         ├─► reply
//! /v2/.../infer ───┘                └─ lane "seed": ...                                          ┘
//! ```
//!
//! [`service::Service`] owns a [`lane::Lane`] for each model of the registry; a lane is immutable, so a hot
//! swap puts new lanes beside the old ones, turns the map over, and lets the old ones run dry: no request
//! is lost, and each is answered by one model. [`backend::Backend`] is what a worker thread runs: our own
//! forward pass, tract on the ONNX file, or CUDA. The surprise: the queue counts names, not requests.

pub mod backend;
pub mod bench;
pub mod device;
pub mod http;
pub mod lane;
pub mod metrics;
pub mod registry;
pub mod serve;
pub mod service;
