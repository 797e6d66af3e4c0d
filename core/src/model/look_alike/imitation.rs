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
        match Edit::of_look_alike(&skeleton.plain, label)?.kind {
            // Fewer letters, or those of an unknown brand, are hit by chance too: they are weighed.
            _ if short || !well_known => return None,
            Kind::Together => ("letters that run together", 0.95),
            Kind::Digits if is_disguise(&skeleton.plain) => ("digits for letters", 0.97),
            // Words differ by that alone: voices.com is not volces.com.
            Kind::Exchanged if long => ("i and l exchanged", 0.93),
            _ => return None,
        }
    };
    let how = format!("looks like {label}: {how}");
    Some(LookAlike { brand: brand.registrable.to_owned(), how, score })
}

/// Whether the digits of a label stand for letters rather than for a number: `fox17` is not Foxit.
fn is_disguise(plain: &str) -> bool {
    let digits = |byte: &u8| byte.is_ascii_digit();
    let number = plain.bytes().take_while(|byte| digits(byte)).count() > 1
        || plain.bytes().rev().take_while(|byte| digits(byte)).count() > 1;
    let round = plain.bytes().filter(digits).all(|digit| matches!(digit, b'0' | b'1'));
    round || (!number && plain.len() >= 6)
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
