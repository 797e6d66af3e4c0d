//! Brands: the names that others imitate, taken from a popularity list.
//!
//! ```text
//! section := version:u8 brands:u32le exempt:u32le { registrable domain "\n" }*
//! ```
//!
//! Brands stand in the order of their popularity, then the exempt names. The surprise: popular names that look
//! like a more popular one are kept too, as exempt, so that what many people use imitates nothing.

use std::collections::HashSet;

use super::grams::Grams;
use super::look_alike;
use super::near::{self, Near};
use super::skeleton::{Skeleton, widen};
use crate::name::Name;

/// Shorter labels are too easily hit by chance, bytes.
pub const MIN_LABEL_BYTES: usize = 3;
/// How many brands [`Brands::from_popular`] takes at most.
pub const MAX_BRANDS: usize = 30_000;
const VERSION: u8 = 1;

/// Why bytes are no brand section.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrandsError {
    /// Written by another major version.
    #[error("brand section of version {0}, expected 1; build the snapshot again")]
    Version(u8),
    /// The bytes end early.
    #[error("brand section ends early; fetch the snapshot again")]
    Truncated,
    /// Bytes after the end.
    #[error("brand section goes on behind its end; fetch the snapshot again")]
    Trailing,
    /// A line that is no registrable domain.
    #[error("brand section holds {0:?}, which is no name under a suffix; build the snapshot again")]
    Name(String),
}

/// One brand: its most popular registrable domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brand<'a> {
    /// The registrable domain: `paypal.com`.
    pub registrable: &'a str,
}

impl<'a> Brand<'a> {
    /// The label that people know: `paypal`.
    pub fn label(self) -> &'a str {
        self.registrable.split_once('.').map_or(self.registrable, |(label, _)| label)
    }
}

/// All brands, most popular first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Brands {
    /// Registrable domains, one a line.
    text: String,
    /// Where each starts in `text`.
    starts: Vec<u32>,
    /// Hash of a skeleton and the rank of the brand that has it.
    by_skeleton: Vec<(u32, u32)>,
    /// The same for skeletons read widely.
    by_wide: Vec<(u32, u32)>,
    near: Near,
    grams: Grams,
    exempt: HashSet<String>,
}

impl Brands {
    /// Takes the brands of a popularity list: names in any form, most popular first.
    pub fn from_popular<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut seen = HashSet::new();
        let mut popular = Vec::new();
        for name in names.into_iter().filter_map(|name| Name::parse(name).ok()) {
            if name.registrable_domain().is_some_and(|domain| seen.insert(domain.to_owned())) {
                popular.push(name);
            }
        }
        let mut taken = HashSet::new();
        let domains = popular.iter().filter_map(Name::registrable_domain);
        let brands = domains.filter(|registrable| {
            let label = Brand { registrable }.label();
            let skeleton = is_brand_label(label).then(|| Skeleton::of(label)).flatten();
            // Of those that look the same only the most popular can be imitated.
            skeleton.is_some_and(|skeleton| taken.insert(skeleton.folded))
        });
        let mut made = Self::index(brands.take(MAX_BRANDS), HashSet::new());
        let imitating = popular.iter().filter(|name| look_alike(name, &made).is_some());
        made.exempt = imitating.filter_map(Name::registrable_domain).map(str::to_owned).collect();
        made
    }

    fn index<'a>(brands: impl Iterator<Item = &'a str>, exempt: HashSet<String>) -> Self {
        let mut made = Self { exempt, ..Self::default() };
        for registrable in brands {
            let rank = made.starts.len() as u32;
            made.starts.push(made.text.len() as u32);
            made.text.push_str(registrable);
            made.text.push('\n');
            if let Some(skeleton) = Skeleton::of(Brand { registrable }.label()) {
                made.by_skeleton.push((near::hash(skeleton.folded.as_bytes(), &[]), rank));
                made.by_wide.push((near::hash(widen(&skeleton.plain).as_bytes(), &[]), rank));
            }
        }
        made.by_skeleton.sort_unstable();
        made.by_wide.sort_unstable();
        let labels = made.text.lines().map(|registrable| Brand { registrable }.label());
        let near = Near::new(labels.clone());
        let grams = Grams::new(labels);
        Self { near, grams, ..made }
    }

    /// How many brands there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of the index beside the section's.
    #[cfg(test)]
    pub(super) fn index_bytes(&self) -> usize {
        let numbers = self.starts.len() + 2 * (self.by_skeleton.len() + self.by_wide.len());
        4 * numbers + self.near.bytes() + self.grams.bytes()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// How many popular names are exempt, because they look like a more popular one.
    pub fn exempt_len(&self) -> usize {
        self.exempt.len()
    }

    /// Whether a registrable domain is popular in its own right.
    pub fn is_exempt(&self, registrable: &str) -> bool {
        self.exempt.contains(registrable)
    }

    /// The brand of a rank, counted from 0.
    pub(super) fn ranked(&self, rank: u32) -> Option<Brand<'_>> {
        let start = *self.starts.get(rank as usize)?;
        let registrable = self.text.get(start as usize..)?.split('\n').next()?;
        Some(Brand { registrable })
    }

    /// The brand with this folded skeleton, and its rank.
    pub(super) fn find(&self, folded: &str) -> Option<(Brand<'_>, u32)> {
        let mut ranked =
            ranks_of(&self.by_skeleton, folded).filter_map(|rank| Some((self.ranked(rank)?, rank)));
        ranked
            .find(|(brand, _)| Skeleton::of(brand.label()).is_some_and(|skeleton| skeleton.folded == folded))
    }

    /// Brands that a hasty eye may take this plain label for, with their ranks.
    pub(super) fn find_wide(&self, plain: &str) -> impl Iterator<Item = (Brand<'_>, u32)> {
        let wide = widen(plain);
        let ranked = ranks_of(&self.by_wide, &wide).filter_map(|rank| Some((self.ranked(rank)?, rank)));
        ranked.filter(move |(brand, _)| widen(brand.label()) == wide)
    }

    /// Ranks of the brands that may be one edit away from a label.
    pub(super) fn near(&self, label: &str) -> Vec<u32> {
        self.near.candidates(label)
    }

    /// How usual three letters beside each other are among the brands.
    pub(super) fn grams(&self) -> &Grams {
        &self.grams
    }

    /// The section's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&(self.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.exempt.len() as u32).to_le_bytes());
        out.extend_from_slice(self.text.as_bytes());
        let mut exempt: Vec<_> = self.exempt.iter().collect();
        exempt.sort_unstable();
        for domain in exempt {
            out.extend_from_slice(domain.as_bytes());
            out.push(b'\n');
        }
        out
    }

    /// Decodes [`Self::encode`]'s bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, BrandsError> {
        let (version, rest) = bytes.split_first().ok_or(BrandsError::Truncated)?;
        if *version != VERSION {
            return Err(BrandsError::Version(*version));
        }
        let (brands, rest) = rest.split_first_chunk::<4>().ok_or(BrandsError::Truncated)?;
        let (exempt, rest) = rest.split_first_chunk::<4>().ok_or(BrandsError::Truncated)?;
        let [brands, exempt] = [brands, exempt].map(|number| u32::from_le_bytes(*number) as usize);
        let text = std::str::from_utf8(rest).map_err(|error| {
            BrandsError::Name(
                String::from_utf8_lossy(rest.get(error.valid_up_to()..).unwrap_or(rest))
                    .chars()
                    .take(40)
                    .collect(),
            )
        })?;
        let mut lines = Vec::new();
        for line in text.split_inclusive('\n') {
            let line = line.strip_suffix('\n').ok_or(BrandsError::Truncated)?;
            let is_name = line.contains('.') && Name::parse(line).is_ok_and(|name| name.as_str() == line);
            lines.push(
                is_name.then_some(line).ok_or_else(|| BrandsError::Name(line.chars().take(255).collect()))?,
            );
        }
        match lines.len().cmp(&brands.saturating_add(exempt)) {
            std::cmp::Ordering::Less => return Err(BrandsError::Truncated),
            std::cmp::Ordering::Greater => return Err(BrandsError::Trailing),
            std::cmp::Ordering::Equal => {}
        }
        let (brands, exempt) = lines.split_at_checked(brands).ok_or(BrandsError::Truncated)?;
        Ok(Self::index(brands.iter().copied(), exempt.iter().map(|&line| line.to_owned()).collect()))
    }
}

/// Ranks of what has the hash of a text, in order.
fn ranks_of<'a>(index: &'a [(u32, u32)], text: &str) -> impl Iterator<Item = u32> + use<'a> {
    let hash = near::hash(text.as_bytes(), &[]);
    let first = index.partition_point(|(other, _)| *other < hash);
    let same = index.get(first..).unwrap_or_default().iter();
    same.take_while(move |(other, _)| *other == hash).map(|(_, rank)| *rank)
}

/// A label that people know something by: long enough, no machine's IDN, not only digits.
fn is_brand_label(label: &str) -> bool {
    let plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let letters = label.bytes().filter(u8::is_ascii_lowercase).count();
    plain && letters >= MIN_LABEL_BYTES && !label.starts_with("xn--")
}

#[cfg(test)]
mod tests {
    use super::*;

    const POPULAR: [&str; 7] = [
        "www.google.com",
        "paypal.com",
        "google.de",
        "bbc.co.uk",
        "paypai.org",
        "12345.com",
        "xn--bcher-kva.example",
    ];

    #[test]
    fn brands_are_the_first_of_each_skeleton_and_long_enough() {
        let brands = Brands::from_popular(POPULAR);
        assert_eq!(brands.len(), 3, "google, paypal and bbc: {}", brands.text);
        assert_eq!(brands.find("google").unwrap().0.registrable, "google.com");
        assert_eq!(brands.find("paypal").unwrap().0.label(), "paypal");
        assert!(brands.find("bbc").is_some() && brands.find("").is_none());
        assert!(brands.is_exempt("paypai.org") && brands.exempt_len() == 1);
    }

    #[test]
    fn section_decodes_to_what_was_encoded() {
        let many: Vec<String> = (0..6000).map(|number| format!("brand{}x.com", to_letters(number))).collect();
        let names = POPULAR.into_iter().chain(many.iter().map(String::as_str));
        for brands in [Brands::default(), Brands::from_popular(POPULAR), Brands::from_popular(names)] {
            let again = Brands::decode(&brands.encode()).unwrap();
            assert_eq!(again.encode(), brands.encode());
            assert_eq!((again.len(), &again.by_skeleton), (brands.len(), &brands.by_skeleton));
        }
    }

    fn to_letters(mut number: u32) -> String {
        let mut text = String::new();
        for _ in 0..4 {
            text.push(char::from(b"abcdfghjkm"[(number % 10) as usize]));
            number /= 10;
        }
        text
    }

    #[test]
    fn brands_are_ranked_in_the_order_given() {
        let brands = Brands::from_popular(POPULAR);
        assert_eq!(brands.find("paypal").unwrap(), (brands.ranked(1).unwrap(), 1));
        assert_eq!(brands.ranked(3), None);
        assert_eq!(brands.near("gogle"), [0]);
    }

    #[test]
    fn bytes_that_are_no_section_are_refused() {
        let whole = Brands::from_popular(POPULAR).encode();
        for length in 0..whole.len() {
            assert_eq!(Brands::decode(&whole[..length]).unwrap_err(), BrandsError::Truncated, "{length}");
        }
        assert_eq!(Brands::decode(&[2]), Err(BrandsError::Version(2)));
        assert_eq!(Brands::decode(&[&whole[..], b"more.com\n"].concat()), Err(BrandsError::Trailing));
        for line in [&b"no name\n"[..], b"single\n", b"UPPER.com\n", b"\xff.com\n", b"a..com\n"] {
            let section = [&[VERSION, 1, 0, 0, 0, 0, 0, 0, 0], line].concat();
            assert!(matches!(Brands::decode(&section), Err(BrandsError::Name(_))), "{line:?}");
        }
    }
}
