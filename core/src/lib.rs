//! The decisions of dnsvet, with no I/O of their own.
//!
//! ```text
//! DNS message ─► question ─► policy + vetted lists ─► small CNN ─► verdict ─► response ─► event
//!   message       name         policy · snapshot        model       verdict     response    event
//! ```
//!
//! The same code runs in the proxy-wasm plugin (Envoy, our wasmtime resolver), in `dnsvet check` and in
//! tests: whoever runs it supplies a [`host::Host`] and carries bytes. Bytes from outside never panic here.

pub mod doh;
pub mod event;
pub mod filter;
pub mod hash;
pub mod host;
pub mod lists;
pub mod message;
pub mod model;
pub mod name;
pub mod policy;
pub mod response;
pub mod rewrite;
pub mod schema;
pub mod snapshot;
pub mod verdict;
