//! The dnsvet resolver and control plane.
//!
//! ```text
//! listener ─► pipeline ─► plugin in wasm ─► answer cache ─► upstream ─► plugin ─► answer
//!                              │ callouts: scorer, control plane
//! control: lists ─► snapshot ─► feed       store: events ─► api ─► dashboard
//! ```

pub mod api;
pub mod background;
pub mod bundled;
pub mod bundles;
pub mod cache;
pub mod callout;
pub mod commands;
pub mod config;
pub mod control;
pub mod explain;
pub mod folder;
pub mod guest;
pub mod import;
pub mod leases;
pub mod listener;
pub mod lists;
pub mod metrics;
pub mod pipeline;
pub mod presentation;
pub mod replay;
pub mod store;
pub mod tls;
pub mod upstream;
pub mod wasm;
pub mod worker;
pub mod xfr;
pub mod zones;
