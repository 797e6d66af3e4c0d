//! Combinations: a brand among the words of a label, beside words that lure (combosquats).
//!
//! Hyphens part words, but most labels have none. So lures are taken off both ends of the label, with or without a
//! hyphen, and what is left between them is looked up.

use super::{LookAlike, WELL_KNOWN};
use super::lures::{LONGEST, Lure, lure};
use crate::model::brands::Brands;
use crate::model::skeleton::{Skeleton, fold};

/// Brands of a lower rank are famous: what has them beside another word is seldom something else.
const FAMOUS: u32 = 500;
/// Brands of a lower rank are known.
const KNOWN: u32 = 2_000;
/// Shorter brands are parts of words, bytes.
const SHORTEST: usize = 5;
/// Lures, hyphens and numbers that are taken off each end at most.
const MOST_STEPS: usize = 5;
/// Ways to take them off that are looked at.
const MOST_WAYS: usize = 24;

/// What stands beside the brand.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    pub(super) lures: usize,
    pub(super) urgent: usize,
    pub(super) hyphens: usize,
    pub(super) first: &'a str,
    pub(super) digits: bool,
    steps: usize,
}

/// A brand among the words of the label, beside at least one lure.
pub(super) fn combination(skeleton: &Skeleton, brands: &Brands) -> Option<LookAlike> {
    let (word, beside, rank) = parts(skeleton, brands)?;
    let brand = brands.ranked(rank)?;
    let disguised = word != brand.label() || skeleton.look_alikes || skeleton.accents;
    let parted = beside.hyphens > 0;
    let several = beside.lures > 1 || (beside.digits && parted);
    // Of 23,000 clean names four have a brand beside an urgent word, and 80 beside any; of 250,000 phishing ones
    // 1,800 and 3,300.
    let score = if disguised && rank < WELL_KNOWN {
        0.94
    } else if disguised {
        0.88
    } else if beside.urgent > 0 {
        match rank {
            ..KNOWN if several || parted => 0.89,
            ..KNOWN => 0.87,
            ..WELL_KNOWN => 0.85,
            _ => 0.82,
        }
    } else {
        match (parted, rank) {
            (true, ..KNOWN) => 0.55,
            (false, ..FAMOUS) if word.len() > SHORTEST || several => 0.5,
            (true, _) => 0.4,
            (false, ..KNOWN) if word.len() > SHORTEST => 0.35,
            _ if several => 0.35,
            _ if word.len() > SHORTEST => 0.25,
            _ => 0.15,
        }
    };
    Some(LookAlike {
        brand: brand.registrable.to_owned(),
        how: format!("{} beside {}", brand.label(), beside.first),
        score,
    })
}

/// The word that is the brand, what stands beside it, and the brand's rank.
pub(super) fn parts<'a>(skeleton: &'a Skeleton, brands: &Brands) -> Option<(&'a str, Beside<'a>, u32)> {
    let plain = skeleton.plain.as_str();
    let fronts = strip(plain, &|rest| (1..=LONGEST).filter_map(|at| rest.split_at_checked(at)).collect());
    fronts.into_iter().find_map(|(rest, front)| {
        let ends = |rest: &'a str| {
            let cuts = (1..=LONGEST).filter_map(|at| rest.split_at_checked(rest.len().checked_sub(at)?));
            cuts.map(|(rest, word)| (word, rest)).collect()
        };
        strip(rest, &ends).into_iter().find_map(|(word, back)| {
            if front.lures + back.lures == 0 || word.len() < SHORTEST || lure(word).is_some() {
                return None;
            }
            let (brand, rank) = brands.find(&fold(word))?;
            let beside = Beside {
                lures: front.lures + back.lures,
                urgent: front.urgent + back.urgent,
                hyphens: front.hyphens + back.hyphens,
                first: if front.first.is_empty() { back.first } else { front.first },
                digits: front.digits || back.digits,
                steps: front.steps + back.steps,
            };
            // A word that only looks like the brand must stand by itself.
            let is_word = word == brand.label() || beside.hyphens > 0;
            (brand.label().len() >= SHORTEST && is_word).then_some((word, beside, rank))
        })
    })
}

/// What is left of a label once lures were taken off one end, in each way.
fn strip<'a>(
    label: &'a str,
    cuts: &dyn Fn(&'a str) -> Vec<(&'a str, &'a str)>,
) -> Vec<(&'a str, Beside<'a>)> {
    let mut all = vec![(label, Beside::default())];
    let mut next = 0;
    while let Some(&(rest, beside)) = all.get(next) {
        next += 1;
        if beside.steps == MOST_STEPS || all.len() >= MOST_WAYS {
            break;
        }
        for (word, rest) in cuts(rest) {
            let kind = lure(word);
            let digits = word.bytes().all(|byte| byte.is_ascii_digit());
            if kind.is_none() && word != "-" && !digits {
                continue;
            }
            let is_lure = usize::from(kind.is_some());
            let beside = Beside {
                lures: beside.lures + is_lure,
                urgent: beside.urgent + usize::from(kind == Some(Lure::Urgent)),
                hyphens: beside.hyphens + usize::from(word == "-"),
                first: if kind.is_some() && beside.first.is_empty() { word } else { beside.first },
                digits: beside.digits || digits,
                steps: beside.steps + 1,
            };
            all.push((rest, beside));
        }
    }
    all
}
