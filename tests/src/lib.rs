//! What the end-to-end, fault and conformance tests share: the line as real processes, an upstream that
//! counts, clients for every door.
//!
//! ```text
//! Client ─ udp, tcp, doh ─► dnsvet serve ─► Upstream (Unbound, logs each question)
//!        ─ envoy ─► Envoy ─► its forwarding door ┘
//! ```
//!
//! Everything is drawn at random when a test runs, from a seed that is printed; `DNSVET_SEED` repeats a run.

pub mod api;
pub mod browser;
pub mod chdb;
pub mod client;
pub mod false_server;
pub mod flow;
pub mod load;
pub mod names;
pub mod network;
pub mod rig;
pub mod scorer;
pub mod upstream;
pub mod web;
