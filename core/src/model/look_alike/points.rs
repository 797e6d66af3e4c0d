//! Points.
use super::typo::GROUPS;
pub(super) const BASE: i32 = 0;
pub(super) const LEAST: i32 = 0;
pub(super) const POINTS: [&[i32]; GROUPS] = [&[], &[], &[], &[], &[], &[], &[], &[]];
