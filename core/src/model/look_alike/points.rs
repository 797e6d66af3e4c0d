//! The points of typing errors, in hundredths of log-odds.
//!
//! Fitted by logistic regression (`points_fitted` in `fit.rs`): typing errors of brands, made by class, against clean
//! names that are no brand's, one half of both by registrable domain. The sum holds for as many typing errors as
//! clean names.

use super::typo::GROUPS;

/// What a label one edit from a brand starts with.
pub(super) const BASE: i32 = 1163;
/// A sum below says nothing.
pub(super) const LEAST: i32 = 160;
/// What is held against it, by group and level.
#[rustfmt::skip]
pub(super) const POINTS: [&[i32]; GROUPS] = [
    // By the kind of edit, in the order of `Kind`.
    &[-225, -304, -154, -269, -243, -462, -103, -108, -176, -172, -266, -334, -246, -260, -270, -98, 0, -106, -186, -192, -199, -199],
    // By the brand's rank: 0, 512, 1024, and so on.
    &[0, -92, -126, -170, -269, -331],
    // By bytes of the brand's label: 4 to 11.
    &[-401, -272, -219, -159, -95, -72, -70, 0],
    // By the suffix: the brand's own, `com`, any other.
    &[0, -274, -174],
    // By where: first letter, last, within.
    &[-73, 0, -27],
    // By how usual the least usual letters around it are.
    &[-12, -13, 0, -16, -61, -90],
    // By how usual all of them are in the mean.
    &[0, -64, -100, -128, -141, -149],
    // By how many brands are one edit away.
    &[0, -118, -120, -148],
];
