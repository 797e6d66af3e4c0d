//! Imitations: a label that the eye takes for the brand's.

use super::edit::Edit;
use super::{LookAlike, WELL_KNOWN};
use crate::model::brands::{Brand, Brands};
use crate::model::skeleton::{Skeleton, UNKNOWN, fold};

/// Shorter labels are imitated only by a mixture of scripts, bytes.
const SHORT_LABEL_BYTES: usize = 4;
/// Labels that are hardly another word by chance, bytes.
const LONG_LABEL_BYTES: usize = 7;
/// Letters that look like another when they stand close, beside those that every skeleton folds.
const PAIRS: [(&str, &str); 8] =
    [("cl", "d"), ("nn", "m"), ("rr", "m"), ("lc", "k"), ("lh", "h"), ("lb", "b"), ("ii", "u"), ("d", "cl")];

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
    let (how, score) = if skeleton.look_alikes {
        ("letters that only look like its own", graded(skeleton.latin || !(at_home || short), 0.98, 0.87))
    } else if skeleton.accents {
        let strong = well_known || (skeleton.rare_accents && label.len() >= LONG_LABEL_BYTES);
        ("letters with marks", graded(strong && !at_home && !short, 0.94, 0.88))
    } else if skeleton.plain.len() != label.len() {
        ("letters that run together", graded(well_known && !short, 0.93, 0.86))
    } else {
        let mut differ = skeleton.plain.bytes().zip(label.bytes()).filter(|(here, there)| here != there);
        match differ.any(|(here, there)| here.is_ascii_digit() != there.is_ascii_digit()) {
            true => ("digits for letters", graded(well_known && !short, 0.95, 0.87)),
            // Words differ by that alone: voices.com is not volces.com.
            false => ("i and l exchanged", graded(well_known && label.len() >= LONG_LABEL_BYTES, 0.92, 0.84)),
        }
    };
    // Few letters are soon hit by chance, but not by two scripts in one label.
    if label.len() < SHORT_LABEL_BYTES && !(skeleton.look_alikes && skeleton.latin) {
        return None;
    }
    let how = format!("looks like {label}: {how}");
    Some(LookAlike { brand: brand.registrable.to_owned(), how, score })
}

/// The label is read as the brand's once two letters are taken for one.
pub(super) fn pairs(skeleton: &Skeleton, _suffix: &str, brands: &Brands) -> Option<LookAlike> {
    let plain = skeleton.plain.as_str();
    PAIRS.iter().find_map(|(pair, letter)| {
        plain.match_indices(pair).find_map(|(at, _)| {
            let (before, after) = (plain.get(..at)?, plain.get(at + pair.len()..)?);
            let read = [before, letter, after].concat();
            let (brand, rank) = brands.find(&fold(&read))?;
            (brand.label() == read && read.len() > SHORT_LABEL_BYTES).then(|| LookAlike {
                brand: brand.registrable.to_owned(),
                how: format!("looks like {read}: {pair} for {letter}"),
                score: if rank < WELL_KNOWN { 0.88 } else { 0.8 },
            })
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
