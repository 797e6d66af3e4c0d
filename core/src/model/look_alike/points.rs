//! The points of typing errors, in hundredths of log-odds.
//!
//! Fitted by logistic regression (`points_fitted` in `fit.rs`): typing errors of brands, made by class, against clean
//! names that are no brand's, one half of both by registrable domain. The sum holds for as many typing errors as
//! clean names.

use super::typo::GROUPS;

/// What a label one edit from a brand starts with.
pub(super) const BASE: i32 = 1159;
/// A sum below says nothing.
pub(super) const LEAST: i32 = 160;
/// What is held against it, by group and level.
#[rustfmt::skip]
pub(super) const POINTS: [&[i32]; GROUPS] = [
    // By the kind of edit, in the order of `Kind`.
    &[-224, -304, -155, -269, -243, -462, -97, -108, -176, -172, -265, -329, -235, -259, -270, -100, 0, -106, -186, -191, -200],
    // By the brand's rank: 0, 512, 1024, and so on.
    &[0, -92, -127, -169, -268, -328],
    // By bytes of the brand's label: 4 to 11.
    &[-400, -271, -219, -159, -95, -72, -70, 0],
    // By the suffix: the brand's own, `com`, any other.
    &[0, -274, -172],
    // By where: first letter, last, within.
    &[-71, 0, -25],
    // By how usual the least usual letters around it are.
    &[-14, -12, 0, -15, -58, -87],
    // By how usual all of them are in the mean.
    &[0, -64, -98, -128, -143, -153],
    // By how many brands are one edit away.
    &[0, -115, -121, -151],
];
