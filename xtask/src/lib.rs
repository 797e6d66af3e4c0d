//! What `cargo xtask` does, one file for each command, and what several of them share.
//!
//! ```text
//! build ─► wasm (toolchain, plugin)          system: what Debian, PyPI and npm have to bring
//! test  ─► stage: one line each ─► layering, docs, cargo test (parsed by libtest)
//! bench ─► cargo bench of what it needs built
//! fuzz  ─► libFuzzer over the targets of tests/fuzz
//! kernels ─► CUDA sources to PTX, without a GPU
//! ```

pub mod bench;
pub mod build;
pub mod child;
pub mod docs;
pub mod error;
pub mod fuzz;
pub mod kernels;
pub mod layering;
pub mod libtest;
pub mod line;
pub mod shell;
pub mod stage;
pub mod system;
pub mod test;
pub mod ui;
pub mod up;
pub mod wasm;
pub mod workspace;
