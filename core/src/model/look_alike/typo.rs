//! Slips: a label that hand or eye takes for a brand's. One edit away, or with `www` or a suffix grown on, or with
//! letters that look alike where that may be chance.
//!
//! One edit alone proves nothing: 1.3 % of clean names are one edit from a popular one. So each is weighed by
//! the kind of edit, by the brand's fame and length, and by whether the letters around the edit stand beside
//! each other in other names; and the sum stays below what blocks.

use super::edit::{Edit, Kind};
use super::points::{BASE, LEAST, POINTS};
use super::{LookAlike, WELL_KNOWN};
use crate::model::brands::{Brand, Brands};
use crate::model::calibration::sigmoid;
use crate::model::skeleton::{Skeleton, fold};

/// No sum of points reaches what blocks.
const MOST: f64 = 0.89;
/// The points stand for as many typing errors as clean names; of those that a filter asks about one in a hundred is
/// bad, as the models have it: `100 * ln(99)`.
const PRIOR: i32 = 460;
/// For letters that are not plain.
const MEANT: i32 = 200;
/// Shorter brands are one edit from too much, bytes.
const SHORTEST: usize = 4;

/// What speaks for and against a typing error: one level of each group of [`POINTS`].
pub(super) type Levels = [usize; GROUPS];

pub(super) const GROUPS: usize = 8;
/// How many levels each group has.
#[cfg(test)]
pub(super) const LEVELS: Levels = [22, 6, 8, 3, 3, 6, 6, 4];

/// A brand that a label may have been made from by a slip.
pub(super) struct Slip<'a> {
    pub(super) brand: Brand<'a>,
    pub(super) edit: Edit,
    pub(super) levels: Levels,
}

/// The surest slip that a label may be.
pub(super) fn typo(skeleton: &Skeleton, suffix: &str, brands: &Brands) -> Option<LookAlike> {
    // Nobody slips into letters with marks or of another script.
    let meant = if skeleton.accents || skeleton.look_alikes || skeleton.unknown { MEANT } else { 0 };
    let weighed =
        slips(skeleton, suffix, brands).into_iter().map(|slip| (points(&slip.levels) + meant, slip));
    let (points, slip) = weighed.max_by_key(|(points, _)| *points)?;
    let score = MOST * sigmoid(f64::from(points - PRIOR) / 100.0);
    (points >= LEAST).then(|| LookAlike {
        brand: slip.brand.registrable.to_owned(),
        how: format!(
            "nearly {}: {}",
            slip.brand.label(),
            slip.edit.said(&skeleton.plain, slip.brand.label())
        ),
        score,
    })
}

fn points(levels: &Levels) -> i32 {
    let each = POINTS.iter().zip(levels).map(|(group, &level)| group.get(level).copied().unwrap_or(0));
    BASE + each.sum::<i32>()
}

/// All brands that the label may have been made from.
pub(super) fn slips<'a>(skeleton: &Skeleton, suffix: &str, brands: &'a Brands) -> Vec<Slip<'a>> {
    let label = skeleton.plain.as_str();
    let found: Vec<_> = match brands.find(&skeleton.folded) {
        Some((brand, rank)) => {
            Edit::of_look_alike(label, brand.label()).map(|edit| (rank, brand, edit)).into_iter().collect()
        }
        None => {
            let near = brands.near(label).into_iter().filter_map(|rank| {
                let brand = brands.ranked(rank)?;
                Some((rank, brand, Edit::between(label, brand.label())?))
            });
            near.chain(glued(label, brands)).chain(hasty(skeleton, brands)).collect()
        }
    };
    let crowd = found.len();
    let slips = found.into_iter().filter(|(_, brand, _)| brand.label().len() >= SHORTEST);
    slips
        .map(|(rank, brand, edit)| {
            let (least, mean) = brands.grams().around(label, edit.at);
            let levels = [
                edit.kind as usize,
                (rank / 512).checked_ilog2().map_or(0, |log| log as usize + 1).min(5),
                (brand.label().len() - SHORTEST).min(7),
                match brand.registrable.split_once('.') {
                    Some((_, own)) if own == suffix => 0,
                    _ if suffix == "com" => 1,
                    _ => 2,
                },
                match edit.at {
                    0 => 0,
                    at if at + 1 >= label.len() => 1,
                    _ => 2,
                },
                (least as usize).min(5),
                (mean as usize).min(5),
                crowd.clamp(1, 4) - 1,
            ];
            Slip { brand, edit, levels }
        })
        .collect()
}

/// A brand's label under a suffix that is a slip of its own. Weak: brands take such names themselves.
pub(super) fn wrong_suffix(brand: Brand<'_>, rank: u32, suffix: &str) -> Option<LookAlike> {
    let (label, own) = brand.registrable.split_once('.')?;
    let score = match (own, suffix) {
        ("com", "cm" | "om" | "cam") | ("net", "ne") => 0.3,
        ("com", "co") => 0.15,
        _ => return None,
    };
    (rank < WELL_KNOWN && label.len() > SHORTEST).then(|| LookAlike {
        brand: brand.registrable.to_owned(),
        how: format!("{label} under {suffix} for {own}"),
        score,
    })
}

/// The most popular brand that differs in more than one letter and that a hasty eye reads.
fn hasty<'a>(skeleton: &Skeleton, brands: &'a Brands) -> Option<(u32, Brand<'a>, Edit)> {
    let label = skeleton.plain.as_str();
    brands.find_wide(label).find_map(|(brand, rank)| {
        // One letter for another is found as an edit.
        let one = label.len() == brand.label().len() && Edit::between(label, brand.label()).is_some();
        let at = label.bytes().zip(brand.label().bytes()).take_while(|(here, there)| here == there).count();
        let kind = if label.len() == brand.label().len() { Kind::Hasty } else { Kind::Paired };
        (!one).then_some((rank, brand, Edit { kind, at }))
    })
}

/// The brand that `www`, or a suffix, was grown on.
fn glued<'a>(label: &str, brands: &'a Brands) -> Option<(u32, Brand<'a>, Edit)> {
    let front = label.strip_prefix("www").map(|rest| (rest.strip_prefix('-').unwrap_or(rest), 0));
    let back = ["com", "net", "org"].iter().find_map(|suffix| label.strip_suffix(suffix));
    let back = back.map(|rest| (rest.strip_suffix('-').unwrap_or(rest), label.len()));
    [front, back].into_iter().flatten().find_map(|(rest, at)| {
        let (brand, rank) = brands.find(&fold(rest))?;
        (brand.label() == rest).then_some((rank, brand, Edit { kind: Kind::Glued, at }))
    })
}
