//! What must hold of `core` for any bytes from outside: one function for each parser.
//!
//! ```text
//! corpora/TARGET/… ──► cargo test: every kept input through its target
//!        │
//!        └─► cargo xtask fuzz: libFuzzer mutates them ──► a panic is a finding, kept as an input
//! ```
//!
//! A target takes any bytes. That it does not panic is the least of it: it says what holds of whatever was
//! read (all lines are accounted for, what was decoded encodes to the same, every rule is found again), and a
//! breach is a panic too.
//!
//! The surprise: hashes don't stop the fuzzer. Where a format carries checksums, a target computes them for
//! its input ([`forge`]), so that mutations reach what lies behind them.

mod feed;
mod filter;
pub mod fixtures;
pub mod forge;
mod input;
mod lists;
mod messages;
mod models;
mod snapshots;

/// A target's name and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets. Each has a folder of inputs under `corpora/`.
pub const TARGETS: [Target; 13] = [
    ("lists", lists::lists),
    ("compile", lists::compile),
    ("name", messages::name),
    ("query", messages::query),
    ("answer", messages::answer),
    ("http", messages::http),
    ("snapshot", snapshots::snapshot),
    ("sections", snapshots::sections),
    ("policy", snapshots::policy),
    ("feed", feed::feed),
    ("model", models::model),
    ("brands", models::brands),
    ("filter", filter::filter),
];

/// A target by its name.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
