//! The look-alike rule: a registrable domain that is read as a brand and is not the brand's.
//!
//! ```text
//! label ─> skeleton ─┬─ is read as the brand's, hardly by chance ─────────────> imitation
//!                    └─ else the surest of ─┬─ a slip of the hand or the eye ─> typo
//!                                           └─ the brand beside a lure ───────> combination
//! ```
//!
//! Only what is read as the brand reaches [`BLOCK_ABOVE`]; lower scores rank and inform. The same label under
//! another public suffix is no look-alike: google.de is Google's. A score is a probability where one name in a
//! hundred is bad, as a model's is that a threshold is compared with.

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
    let read = brands.find(&skeleton.folded);
    if let Some((brand, rank)) = read.filter(|(brand, _)| brand.label() == label) {
        return typo::wrong_suffix(brand, rank, suffix);
    }
    read.and_then(|(brand, rank)| imitation::imitation(skeleton, brand, rank, suffix)).or_else(|| {
        let slip = || if skeleton.is_foreign() { None } else { typo::typo(skeleton, suffix, brands) };
        let all = [imitation::unknown(skeleton, brands), slip(), combination::combination(skeleton, brands)];
        all.into_iter().flatten().max_by(|one, other| one.score.total_cmp(&other.score))
    })
}

#[cfg(test)]
mod fit;
#[cfg(test)]
mod made;
#[cfg(test)]
mod tests;
