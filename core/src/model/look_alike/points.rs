//! The points of typing errors, in hundredths of log-odds.
//!
//! Fitted by logistic regression (`points_fitted` in `fit.rs`): typing errors of brands, made by class, against clean
//! names that are no brand's, one half of both by registrable domain. The sum holds for as many typing errors as
//! clean names.

use super::typo::GROUPS;

/// What a label one edit from a brand starts with.
pub(super) const BASE: i32 = 1168;
/// A sum below says nothing.
pub(super) const LEAST: i32 = -300;
/// What is held against it, by group and level.
#[rustfmt::skip]
pub(super) const POINTS: [&[i32]; GROUPS] = [
    // By the kind of edit, in the order of `Kind`.
    &[-277, -303, -151, -265, -239, -458, -108, -104, -177, -173, -278, -332, -254, -273, -268, -92, 0],
    // By the brand's rank: 0, 512, 1024, and so on.
    &[0, -94, -126, -172, -269, -330],
    // By bytes of the brand's label: 4 to 11.
    &[-400, -270, -216, -160, -93, -71, -69, 0],
    // By the suffix: the brand's own, `com`, any other.
    &[0, -276, -176],
    // By where: first letter, last, within.
    &[-78, 0, -31],
    // By how usual the least usual letters around it are.
    &[-16, -9, 0, -18, -61, -88],
    // By how usual all of them are in the mean.
    &[0, -65, -96, -123, -131, -140],
    // By how many brands are one edit away.
    &[0, -116, -115, -144],
];
