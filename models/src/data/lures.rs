//! Names that phishing takes under platforms: an imitated brand, and what its victims are asked to do.
//!
//! Builders of sites and hosts of projects give names away, and much of phishing stands there (Interisle, *Phishing
//! Landscape*; APWG, *Phishing Activity Trends Reports*), but no list of such names may be given away. A model that ships
//! would know these platforms by benign names alone, and take them for a sign of trust. These make up for it: the brands
//! are those that are imitated most (Check Point, *Brand Phishing Reports*), the words those that the reports describe. The
//! surprise: they are drawn, not collected, so none of them need ever have been seen.

use std::collections::HashSet;

use super::hosts::{self, CUSTOMERS};
use super::random::Random;

const BRANDS: &str = "microsoft office365 outlook onedrive sharepoint google gmail apple icloud amazon facebook meta \
    instagram whatsapp linkedin netflix spotify paypal dhl fedex ups usps royalmail adobe docusign dropbox wetransfer \
    yahoo aol att xfinity comcast spectrum verizon tmobile orange telstra bt roblox steam discord telegram tiktok \
    twitter booking airbnb ebay walmart mastercard visa chase wellsfargo bankofamerica citibank hsbc barclays lloyds \
    santander bbva caixa intesa ing rabobank raiffeisen sparkasse dkb commerzbank coinbase binance kraken metamask \
    trustwallet trezor ledger uniswap opensea pancakeswap kucoin bybit okx gemini blockchain phantom exodus";

/// What a victim is asked to do, or to look at.
const LURES: &str = "login signin logon verify verification secure security update account support help service auth \
    connect confirm recovery unlock wallet webmail mail online portal access alert billing claim airdrop bonus gift \
    refund invoice document share form bridge start app extension";

/// `{brand}`, `{typo}` of one, `{lure}`; the rest as in [`hosts`].
const SHAPES: [&str; 25] = [
    "{brand}{lure}",
    "{brand}-{lure}",
    "{lure}-{brand}",
    "{lure}.{brand}",
    "{brand}{lure}{d2}",
    "{brand}-{lure}-{d3}",
    "{brand}-{lure}-{lure}",
    "{brand}-{lure}-us",
    "{brand}{lure}en",
    "{brand}{lure}{w}",
    "{brand}-{w}-{lure}",
    "{brand}-clone-{w}",
    "{brand}--{lure}",
    "{brand}{d3}",
    "{brand}{lure}-{a6}",
    "my-{brand}-{lure}",
    "{typo}",
    "{typo}{d2}",
    "{typo}{lure}",
    "{typo}-{lure}",
    "{lure}{brand}{d1}",
    "{lure}-{w}-{d2}",
    "{lure}{d4}",
    "{w}{lure}{d2}",
    "{w}-{lure}-{a4}",
];

/// `count` names, none twice, the same for the same seed.
pub fn names(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(seed ^ 0x10BE);
    let [brands, lures] = [BRANDS, LURES].map(|words| words.split_whitespace().collect::<Vec<&str>>());
    let platforms: Vec<&str> =
        CUSTOMERS.iter().filter_map(|shape| shape.split_once('.')).map(|(_, at)| at).collect();
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(count);
    while names.len() < count {
        let shape = random
            .pick(&SHAPES)
            .replace("{brand}", random.pick::<&str>(&brands))
            .replace("{typo}", &typo(random.pick::<&str>(&brands), &mut random))
            .replacen("{lure}", random.pick::<&str>(&lures), 1)
            .replace("{lure}", random.pick::<&str>(&lures));
        let name = hosts::draw(&format!("{shape}.{}", random.pick::<&str>(&platforms)), &mut random);
        if seen.insert(name.clone()) {
            names.push(name);
        }
    }
    names
}

/// One letter lost, doubled, swapped with the one before, or another.
fn typo(brand: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = brand.chars().collect();
    let at = random.below(letters.len());
    match random.below(4) {
        0 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letters[at]),
        2 if at > 0 => letters.swap(at - 1, at),
        _ => letters[at] = char::from(*random.pick(b"abcdefghijklmnopqrstuvwxyz01")),
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnsvet_core::name::Name;

    #[test]
    fn lures_are_canonical_none_twice_and_the_same_for_the_same_seed() {
        let drawn = names(5_000, 3);
        assert_eq!(drawn, names(5_000, 3));
        assert_ne!(drawn, names(5_000, 4));
        assert_eq!(drawn.iter().collect::<HashSet<_>>().len(), 5_000);
        for name in &drawn {
            assert_eq!(Name::parse(name).as_ref().map(Name::as_str), Ok(name.as_str()));
            assert!(!name.contains(['{', '}']), "{name}");
        }
    }

    #[test]
    fn every_platform_and_brand_has_some() {
        let drawn = names(20_000, 1);
        for platform in ["pages.dev", "vercel.app", "weebly.com", "us.com"] {
            assert!(drawn.iter().any(|name| name.ends_with(&format!(".{platform}"))), "{platform}");
        }
        for brand in BRANDS.split_whitespace() {
            assert!(drawn.iter().any(|name| name.contains(brand)), "{brand}");
        }
    }
}
