//! Imitations: a label that the eye takes for the brand's.

use super::edit::Edit;
use super::{LookAlike, WELL_KNOWN};
use crate::model::brands::{Brand, Brands};
use crate::model::skeleton::{Skeleton, UNKNOWN};

/// Shorter labels are imitated only by a mixture of scripts, bytes.
const SHORT_LABEL_BYTES: usize = 4;
/// Labels that are hardly another word by chance, bytes.
const LONG_LABEL_BYTES: usize = 7;
/// The whole label is read as the brand's.
pub(super) fn imitation(
    skeleton: &Skeleton,
    brand: Brand<'_>,
    rank: u32,
    suffix: &str,
) -> Option<LookAlike> {
    let label = brand.label();
    let well_known = rank < WELL_KNOWN;
    // Under a country's suffix another script or a mark may just be that country's spelling.
    let at_home = suffix.len() == 2 || suffix.starts_with("xn--");
    let short = label.len() <= SHORT_LABEL_BYTES;
    let graded = |strong: bool, high, low| if strong { high } else { low };
    let (how, score) = if skeleton.look_alikes && skeleton.latin {
        ("letters of two scripts", 0.999)
    } else if skeleton.look_alikes {
        ("letters that only look like its own", graded(!at_home && !short, 0.99, 0.87))
    } else if skeleton.accents {
        let strong = well_known || (skeleton.rare_accents && label.len() >= LONG_LABEL_BYTES);
        ("letters with marks", graded(strong && !at_home && !short, 0.97, 0.88))
    } else if skeleton.plain.len() != label.len() {
        ("letters that run together", graded(well_known && !short, 0.95, 0.86))
    } else {
        let mut differ = skeleton.plain.bytes().zip(label.bytes()).filter(|(here, there)| here != there);
        match differ.clone().any(|(_, there)| there.is_ascii_digit()) {
            // A word is not made to look like a brand that itself has digits for letters.
            true => ("letters for its digits", 0.4),
            false => match differ.any(|(here, _)| here.is_ascii_digit()) {
                true => ("digits for letters", graded(well_known && !short, 0.97, 0.87)),
                // Words differ by that alone: voices.com is not volces.com.
                false => {
                    ("i and l exchanged", graded(well_known && label.len() >= LONG_LABEL_BYTES, 0.93, 0.85))
                }
            },
        }
    };
    // Few letters are soon hit by chance, but not by two scripts in one label.
    if label.len() < SHORT_LABEL_BYTES && !(skeleton.look_alikes && skeleton.latin) {
        return None;
    }
    let how = format!("looks like {label}: {how}");
    Some(LookAlike { brand: brand.registrable.to_owned(), how, score })
}

/// A hasty eye reads the label as the brand's: `dropdox`, `clropbox`.
pub(super) fn hasty(skeleton: &Skeleton, brands: &Brands) -> Option<LookAlike> {
    let plain = skeleton.plain.as_str();
    brands.find_wide(&skeleton.folded).find_map(|(brand, rank)| {
        let label = brand.label();
        // One letter for another is also a slip, and weighed as one.
        let one_letter = plain.len() == label.len() && Edit::between(plain, label).is_some();
        let score = match (label.len(), rank < WELL_KNOWN) {
            (..=SHORT_LABEL_BYTES, _) => return None,
            (5, true) | (6, false) => 0.7,
            (5, false) => 0.5,
            (6, true) => 0.85,
            (_, known) => if known { 0.88 } else { 0.84 },
        };
        (!one_letter).then(|| LookAlike {
            brand: brand.registrable.to_owned(),
            how: format!("looks like {label} to a hasty eye"),
            score,
        })
    })
}

/// A brand's label, but for one letter of a script that looks like no plain one.
pub(super) fn unknown(skeleton: &Skeleton, brands: &Brands) -> Option<LookAlike> {
    if !skeleton.unknown || !skeleton.latin {
        return None;
    }
    let plain = &skeleton.plain;
    brands.near(plain).into_iter().find_map(|rank| {
        let brand = brands.ranked(rank)?;
        let edit = Edit::between(plain, brand.label())?;
        let replaced = plain.len() == brand.label().len() && plain.get(edit.at..)?.starts_with(UNKNOWN);
        (replaced && plain.len() > SHORT_LABEL_BYTES).then(|| LookAlike {
            brand: brand.registrable.to_owned(),
            how: format!("nearly {}: one letter of another script", brand.label()),
            score: if rank < WELL_KNOWN { 0.89 } else { 0.85 },
        })
    })
}
