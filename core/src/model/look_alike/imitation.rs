//! Imitations: a label that the eye takes for the brand's.

use super::edit::{Edit, Kind};
use super::{LookAlike, WELL_KNOWN};
use crate::model::brands::{Brand, Brands};
use crate::model::skeleton::{Skeleton, UNKNOWN};

/// Shorter labels are imitated only by a mixture of scripts, bytes.
const SHORT_LABEL_BYTES: usize = 4;
/// Labels that are hardly another word by chance, bytes.
const LONG_LABEL_BYTES: usize = 7;

/// The whole label is read as the brand's, and hardly by chance.
pub(super) fn imitation(skeleton: &Skeleton, brand: Brand<'_>, rank: u32, suffix: &str) -> Option<LookAlike> {
    let label = brand.label();
    let well_known = rank < WELL_KNOWN;
    // Under a country's suffix another script or a mark may just be that country's spelling.
    let at_home = suffix.len() == 2 || suffix.starts_with("xn--");
    let (short, long) = (label.len() <= SHORT_LABEL_BYTES, label.len() >= LONG_LABEL_BYTES);
    let graded = |strong: bool, high, low| if strong { high } else { low };
    let (how, score) = if skeleton.look_alikes && skeleton.latin {
        ("letters of two scripts", 0.999)
    } else if label.len() < SHORT_LABEL_BYTES {
        return None;
    } else if skeleton.look_alikes {
        ("letters that only look like its own", graded(!at_home && !short, 0.99, 0.88))
    } else if skeleton.accents {
        let strong = (well_known || (skeleton.rare_accents && long)) && !at_home && !short;
        ("letters with marks", graded(strong, 0.97, 0.88))
    } else {
        // Fewer letters, or those of an unknown brand, are hit by chance too: they are weighed.
        (well_known && !short).then(|| disguise(&skeleton.plain, label)).flatten()?
    };
    let how = format!("looks like {label}: {how}");
    Some(LookAlike { brand: brand.registrable.to_owned(), how, score })
}

/// Whether a plain label that has the brand's skeleton hardly has it by chance.
pub(super) fn is_disguised(plain: &str, brand: &str) -> bool {
    disguise(plain, brand).is_some()
}

fn disguise(plain: &str, brand: &str) -> Option<(&'static str, f64)> {
    match Edit::of_look_alike(plain, brand)?.kind {
        Kind::Together => Some(("letters that run together", 0.95)),
        Kind::Digits if !is_number(plain) => Some(("digits for letters", 0.97)),
        // Words differ by that alone: voices.com is not volces.com.
        Kind::Exchanged if brand.len() >= LONG_LABEL_BYTES => Some(("i and l exchanged", 0.93)),
        _ => None,
    }
}

/// Whether the digits of a label may be a number rather than letters: `fox17` is not Foxit.
fn is_number(plain: &str) -> bool {
    let run = |letters: &mut dyn Iterator<Item = u8>| letters.take_while(u8::is_ascii_digit).count() > 1;
    let at_an_end = run(&mut plain.bytes()) || run(&mut plain.bytes().rev());
    let mut digits = plain.bytes().filter(u8::is_ascii_digit);
    let round = digits.all(|digit| matches!(digit, b'0' | b'1'));
    !round && (at_an_end || plain.len() < 6)
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
