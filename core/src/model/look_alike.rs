//! The look-alike rule: a registrable domain that is read as a brand and is not the brand's.
//!
//! Two ways: the whole label looks like the brand's (homograph, marks, digits for letters, letters that run
//! together), or the brand's name stands in it beside a word like `login` (combosquat). One edit alone is never
//! a look-alike: 1.3 % of clean names are one edit from a popular one. The same label under another public
//! suffix is not one either: google.de is Google's.

use super::brands::{Brand, Brands, Fame};
use super::skeleton::Skeleton;
use crate::name::Name;

/// From this score on a look-alike is blocked.
pub const BLOCK_ABOVE: f64 = 0.9;

/// Shorter labels are imitated only by a mixture of scripts, bytes.
const SHORT_LABEL_BYTES: usize = 5;
/// Labels that are hardly another word by chance, bytes.
const LONG_LABEL_BYTES: usize = 7;

/// Words that an imitation adds to a brand, sorted.
const LURES: &[&str] = &[
    "2fa",
    "account",
    "accounts",
    "alert",
    "auth",
    "authenticate",
    "authentication",
    "authorize",
    "bank",
    "banking",
    "billing",
    "bonus",
    "bonuses",
    "cancel",
    "claim",
    "confirm",
    "confirmation",
    "customer",
    "delivery",
    "gift",
    "giveaway",
    "help",
    "helpdesk",
    "id",
    "invoice",
    "limited",
    "locked",
    "log",
    "login",
    "logon",
    "mail",
    "notice",
    "online",
    "parcel",
    "password",
    "pay",
    "payment",
    "payments",
    "post",
    "recover",
    "recovery",
    "refund",
    "reset",
    "restore",
    "review",
    "reward",
    "rewards",
    "safe",
    "safety",
    "secure",
    "secured",
    "security",
    "service",
    "services",
    "session",
    "sign",
    "signin",
    "sso",
    "support",
    "suspended",
    "team",
    "tracking",
    "unlock",
    "unusual",
    "update",
    "updates",
    "upgrade",
    "validate",
    "validation",
    "verification",
    "verified",
    "verify",
    "wallet",
    "web",
    "weblogin",
    "webmail",
];

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
    let found = match brands.find(&skeleton.folded) {
        Some((brand, _)) if brand.label() == label => None,
        Some((brand, fame)) => imitation(&skeleton, brand, fame, suffix),
        None => combination(&skeleton, brands),
    }?;
    (!brands.is_exempt(registrable)).then_some(found)
}

/// The whole label is read as the brand's.
fn imitation(skeleton: &Skeleton, brand: Brand<'_>, fame: Fame, suffix: &str) -> Option<LookAlike> {
    let label = brand.label();
    let well_known = fame >= Fame::WellKnown;
    // Under a country's suffix another script or a mark may just be that country's spelling.
    let at_home = suffix.len() == 2 || suffix.starts_with("xn--");
    let graded = |strong: bool, high, low| if strong { high } else { low };
    let (how, score) = if skeleton.look_alikes {
        ("letters that only look like its own", graded(skeleton.latin || !at_home, 0.97, 0.8))
    } else if skeleton.accents {
        let strong = well_known || (skeleton.rare_accents && label.len() >= LONG_LABEL_BYTES);
        ("letters with marks", graded(strong && !at_home, 0.93, 0.85))
    } else if skeleton.plain.len() != label.len() {
        ("letters that run together", graded(well_known, 0.92, 0.8))
    } else {
        let mut differ = skeleton.plain.bytes().zip(label.bytes()).filter(|(here, there)| here != there);
        match differ.any(|(here, there)| here.is_ascii_digit() != there.is_ascii_digit()) {
            true => ("digits for letters", graded(well_known, 0.94, 0.85)),
            // Words differ by that alone: voices.com is not volces.com.
            false => ("i and l exchanged", graded(well_known && label.len() >= LONG_LABEL_BYTES, 0.91, 0.8)),
        }
    };
    // Four letters are soon hit by chance, but not by two scripts in one label.
    if label.len() < SHORT_LABEL_BYTES && !(skeleton.look_alikes && skeleton.latin) {
        return None;
    }
    let how = format!("looks like {label}: {how}");
    Some(LookAlike { brand: brand.registrable.to_owned(), how, score })
}

/// A brand among the words of the label, beside at least one lure.
fn combination(skeleton: &Skeleton, brands: &Brands) -> Option<LookAlike> {
    if !skeleton.plain.contains('-') {
        return None;
    }
    let words = || skeleton.plain.split('-').filter(|word| !word.is_empty());
    let lures = words().filter(|word| is_lure(word)).count();
    if lures == 0 {
        return None;
    }
    let (word, brand) = words().filter(|word| !is_lure(word)).find_map(|word| {
        let (brand, fame) = brands.find(&Skeleton::of(word)?.folded)?;
        (fame >= Fame::Famous && brand.label().len() >= SHORT_LABEL_BYTES).then_some((word, brand))
    })?;
    let disguised = word != brand.label() || skeleton.look_alikes || skeleton.accents;
    let score = match (disguised, lures) {
        (true, _) => 0.92,
        (false, 1) => 0.7,
        (false, _) => 0.8,
    };
    let lure = words().find(|word| is_lure(word)).unwrap_or_default();
    Some(LookAlike {
        brand: brand.registrable.to_owned(),
        how: format!("{} beside {lure}", brand.label()),
        score,
    })
}

fn is_lure(word: &str) -> bool {
    LURES.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests;
