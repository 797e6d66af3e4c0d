//! The look-alike rule: a registrable domain that is read as a brand and is not the brand's.
//!
//! ```text
//! label ─> skeleton ─┬─ the whole label is read as the brand's ──────────> imitation
//!                    └─ else the surest of ─┬─ one edit away ────────────> typo
//!                                           └─ brand beside a lure ──────> combination
//! ```
//!
//! Only what is read as the brand reaches [`BLOCK_ABOVE`]; lower scores rank and inform. The same label under
//! another public suffix is no look-alike: google.de is Google's.

mod combination;
mod edit;
mod imitation;
mod lures;
mod points;
mod typo;

use super::brands::Brands;
use super::skeleton::Skeleton;
use crate::name::Name;

/// From this score on a look-alike is blocked.
pub const BLOCK_ABOVE: f64 = 0.9;

/// Brands of a lower rank are well known: weak signs of an imitation are enough.
const WELL_KNOWN: u32 = 5_000;

/// A name that imitates a brand.
#[derive(Debug, Clone, PartialEq)]
pub struct LookAlike {
    /// The brand's most popular registrable domain.
    pub brand: String,
    /// In what way, in words a person reads.
    pub how: String,
    /// How sure that is, [0, 1]; [`BLOCK_ABOVE`] and more is blocked.
    pub score: f64,
}

/// Whether a name's registrable domain imitates a brand.
pub fn look_alike(name: &Name, brands: &Brands) -> Option<LookAlike> {
    let registrable = name.registrable_domain()?;
    let (label, suffix) = registrable.split_once('.')?;
    let skeleton = Skeleton::of(label)?;
    let found = of_label(label, suffix, &skeleton, brands).or_else(|| {
        let second = skeleton.ambiguous.then(|| Skeleton::second_of(label)).flatten()?;
        of_label(label, suffix, &second, brands)
    })?;
    (!brands.is_exempt(registrable)).then_some(found)
}

fn of_label(label: &str, suffix: &str, skeleton: &Skeleton, brands: &Brands) -> Option<LookAlike> {
    match brands.find(&skeleton.folded) {
        Some((brand, _)) if brand.label() == label => None,
        Some((brand, rank)) => imitation::imitation(skeleton, brand, rank, suffix),
        None => {
            let typo = || typo::typo(&skeleton.plain, suffix, brands).filter(|_| !skeleton.is_foreign());
            let all = [
                imitation::hasty(skeleton, brands),
                imitation::unknown(skeleton, brands),
                typo(),
                combination::combination(skeleton, brands),
            ];
            all.into_iter().flatten().max_by(|one, other| one.score.total_cmp(&other.score))
        }
    }
}

#[cfg(test)]
mod fit;
#[cfg(test)]
mod tests;
