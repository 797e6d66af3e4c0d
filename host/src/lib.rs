//! The dnsvet resolver and control plane.
//!
//! ```text
//! listener ─► pipeline ─► plugin in wasm ─► answer cache ─► upstream ─► plugin ─► answer
//!                              │ callouts: scorer, control plane
//! control: lists ─► snapshot ─► feed       store: events ─► api ─► dashboard
//! ```

pub mod api;
pub mod bundled;
pub mod commands;
pub mod config;
pub mod control;
pub mod lists;
pub mod store;
pub mod wasm;
