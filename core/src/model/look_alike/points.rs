//! The points of slips, in hundredths of log-odds.
//!
//! Fitted by logistic regression (`points_fitted` in `fit.rs`): names made of brands by class, against clean names that
//! are no brand's, one half of both by registrable domain; the other half is judged on. The sum holds for as many
//! made names as clean ones.

use super::typo::GROUPS;

/// What a slip starts with.
pub(super) const BASE: i32 = 1164;
/// A lower sum says nothing: one clean name in a hundred reaches it.
pub(super) const LEAST: i32 = 160;
/// What is held against it, by group and level.
pub(super) const POINTS: [&[i32]; GROUPS] = [
    // By the kind of edit, in the order of `Kind`.
    &[
        -227, -304, -156, -271, -244, -462, -103, -108, -176, -174, -265, -333, -245, -259, -272, -101, 0,
        -106, -185, -191, -195, -151,
    ],
    // By the brand's rank: 0, 512, 1024, and so on.
    &[0, -95, -128, -171, -269, -330],
    // By bytes of the brand's label: 4 to 11.
    &[-398, -270, -218, -159, -94, -71, -70, 0],
    // By the suffix: the brand's own, `com`, any other.
    &[0, -274, -173],
    // By where: first letter, last, within.
    &[-74, 0, -25],
    // By how usual the least usual letters around it are.
    &[-13, -10, 0, -16, -60, -88],
    // By how usual all of them are in the mean.
    &[0, -69, -103, -132, -142, -154],
    // By how many brands are one edit away.
    &[0, -116, -120, -145],
];
