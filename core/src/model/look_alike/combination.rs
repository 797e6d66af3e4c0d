//! Combinations: a brand among the words of a label, beside words that lure (combosquats).
//!
//! Hyphens part words, but most labels have none. So lures are taken off both ends of the label, with or without a
//! hyphen, and what is left between them is looked up.

use super::imitation::is_disguised;
use super::lures::{Lure, is_lure, lures};
use super::{LookAlike, WELL_KNOWN};
use crate::model::brands::Brands;
use crate::model::skeleton::{Skeleton, fold};

/// Brands of a lower rank are famous: what has them beside another word is seldom something else.
const FAMOUS: u32 = 500;
/// Brands of a lower rank are known.
const KNOWN: u32 = 2_000;
/// Shorter brands are parts of words, bytes, unless they stand alone beside an urgent word.
const SHORTEST: usize = 5;
/// Lures, hyphens and numbers that are taken off each end at most.
const MOST_STEPS: usize = 5;
/// Ways to take them off that are looked at.
const MOST_WAYS: usize = 16;

/// What stands beside the brand.
#[derive(Clone, Copy, Default)]
struct Beside<'a> {
    lures: usize,
    urgent: usize,
    hyphens: usize,
    /// The first lure that was found.
    first: &'a str,
    /// Whether there are numbers.
    digits: bool,
    /// How much was taken off this end.
    steps: usize,
}

/// A brand among the words of the label, beside at least one lure.
pub(super) fn combination(skeleton: &Skeleton, brands: &Brands) -> Option<LookAlike> {
    let (word, beside, rank) = parts(skeleton, brands)?;
    let brand = brands.ranked(rank)?;
    let parted = beside.hyphens > 0;
    let several = beside.lures > 1 || (beside.digits && parted);
    let (known, long) = (rank < KNOWN, word.len() > SHORTEST);
    // Of 23,000 clean names four have a brand beside an urgent word, and 80 beside any; of 250,000 phishing ones
    // 1,800 and 3,300.
    let score = if word != brand.label() || (skeleton.look_alikes && skeleton.latin) {
        if rank < WELL_KNOWN { 0.94 } else { 0.88 }
    } else if skeleton.accents {
        // The mark may be on the lure, and that a word of a language.
        0.89
    } else if word.len() < SHORTEST {
        0.6
    } else if beside.urgent > 0 {
        match (known, rank < WELL_KNOWN) {
            (true, _) => {
                if several || parted {
                    0.89
                } else {
                    0.87
                }
            }
            (_, true) => 0.85,
            _ => 0.82,
        }
    } else if parted {
        if known { 0.65 } else { 0.4 }
    } else if rank < FAMOUS && (long || several) {
        0.5
    } else if several || (known && long) {
        0.35
    } else {
        if long { 0.25 } else { 0.15 }
    };
    Some(LookAlike {
        brand: brand.registrable.to_owned(),
        how: format!("{} beside {}", brand.label(), beside.first),
        score,
    })
}

/// The word that is the brand, what stands beside it, and the brand's rank.
fn parts<'a>(skeleton: &'a Skeleton, brands: &Brands) -> Option<(&'a str, Beside<'a>, u32)> {
    let fronts = strip(&skeleton.plain, Beside::default(), front);
    fronts.into_iter().find_map(|(rest, beside)| {
        strip(rest, beside, back).into_iter().find_map(|(word, beside)| {
            let parted = beside.hyphens > 0;
            if beside.lures == 0 || (word.len() < SHORTEST && !parted) || is_lure(word) {
                return None;
            }
            let (brand, rank) = brands.find(&fold(word))?;
            let stands_out = if brand.label().len() < SHORTEST {
                word == brand.label() && parted && beside.urgent > 0 && rank < KNOWN
            } else {
                // A word that only looks like the brand must stand by itself.
                word == brand.label() || (parted && is_disguised(word, brand.label()))
            };
            stands_out.then_some((word, beside, rank))
        })
    })
}

/// Takes a piece off a label, and passes it on with what is left and how much it lures.
type Take<'a> = fn(&'a str, &mut dyn FnMut(&'a str, &'a str, Option<Lure>));

/// What is left of a label once lures, hyphens and numbers were taken off one end, in each way.
fn strip<'a>(label: &'a str, beside: Beside<'a>, take: Take<'a>) -> Vec<(&'a str, Beside<'a>)> {
    let mut all = vec![(label, Beside { steps: 0, ..beside })];
    let mut next = 0;
    while let Some(&(rest, beside)) = all.get(next) {
        next += 1;
        if beside.steps == MOST_STEPS || all.len() >= MOST_WAYS {
            break;
        }
        take(rest, &mut |word, rest, kind| {
            let mut beside = Beside { steps: beside.steps + 1, ..beside };
            match kind {
                Some(kind) => {
                    beside.lures += 1;
                    beside.urgent += usize::from(kind == Lure::Urgent);
                    if beside.first.is_empty() {
                        beside.first = word;
                    }
                }
                None if word == "-" => beside.hyphens += 1,
                None => beside.digits = true,
            }
            all.push((rest, beside));
        });
    }
    all
}

/// What may be taken off the front of a label, with what is left.
fn front<'a>(label: &'a str, found: &mut dyn FnMut(&'a str, &'a str, Option<Lure>)) {
    for (lure, kind) in lures() {
        if let Some(rest) = label.strip_prefix(lure) {
            found(lure, rest, Some(kind));
        }
    }
    let other = label.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if let Some(rest) = label.strip_prefix('-') {
        found("-", rest, None);
    } else if other.len() < label.len() {
        found("1", other, None);
    }
}

/// What may be taken off the end of a label, with what is left.
fn back<'a>(label: &'a str, found: &mut dyn FnMut(&'a str, &'a str, Option<Lure>)) {
    for (lure, kind) in lures() {
        if let Some(rest) = label.strip_suffix(lure) {
            found(lure, rest, Some(kind));
        }
    }
    let other = label.trim_end_matches(|letter: char| letter.is_ascii_digit());
    if let Some(rest) = label.strip_suffix('-') {
        found("-", rest, None);
    } else if other.len() < label.len() {
        found("1", other, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lures_are_taken_off_both_ends_with_and_without_hyphens() {
        let brands = Brands::from_popular(["paypal.com", "office365.com", "support.com", "foxit.com"]);
        let beside = |label| {
            let skeleton = Skeleton::of(label)?;
            let (word, beside, rank) = parts(&skeleton, &brands)?;
            Some((word.to_owned(), beside.lures, beside.urgent, beside.hyphens, rank))
        };
        let paypal = |lures, urgent, hyphens| Some(("paypal".to_owned(), lures, urgent, hyphens, 0));
        assert_eq!(beside("paypal-login"), paypal(1, 1, 1));
        assert_eq!(beside("loginpaypal"), paypal(1, 1, 0));
        assert_eq!(beside("secure-paypalverify24"), paypal(2, 2, 1));
        assert_eq!(beside("my-paypal-shop"), paypal(2, 0, 2));
        assert_eq!(beside("login-office365"), Some(("office365".to_owned(), 1, 1, 1, 1)));
        for label in [
            "paypal",
            "paypal-2024",
            "paypalish-login",
            "login-support",
            "loginpaypa1",
            "fox17-login",
            "",
            "1".repeat(60).as_str(),
        ] {
            assert_eq!(beside(label), None, "{label}");
        }
    }
}
