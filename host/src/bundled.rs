//! The lists that come with dnsvet, so that it works from the first start with no network.
//!
//! Where they come from, their licences and the command that made them: `host/bundled/ATTRIBUTION.md`.

use std::io;
use std::path::PathBuf;

use dnsvet_core::lists::Format;
use dnsvet_core::model::Brands;
use dnsvet_core::policy::Policy;
use dnsvet_core::snapshot::{Builder, ListInfo, Role};
use ed25519_dalek::SigningKey;

use crate::lists::{CompileError, ListReport, ListSource, Place, add_text};

/// Draws the bundled snapshot's hash key. It protects nothing: these lists are public and popular names are
/// checked for collisions when the snapshot is built.
const KEY_SEED: [u8; 16] = *b"dnsvet bundled 1";

/// A list that comes with dnsvet.
#[derive(Debug, Clone, Copy)]
pub struct BundledList {
    /// Its name in verdicts.
    pub name: &'static str,
    /// What its names are for.
    pub role: Role,
    /// SPDX expression of its sources' licences.
    pub licence: &'static str,
    packed: &'static [u8],
}

impl BundledList {
    /// Its text: one name a line, sorted.
    pub fn text(&self) -> io::Result<Vec<u8>> {
        zstd::decode_all(self.packed)
    }

    /// What a snapshot says of it.
    pub fn info(&self) -> ListInfo {
        let (name, licence) = (self.name.to_owned(), self.licence.to_owned());
        ListInfo { name, role: self.role, licence, ..ListInfo::default() }
    }

    /// How it is read.
    pub fn source(&self) -> ListSource {
        let place = Place::File(PathBuf::from(self.name));
        ListSource { role: self.role, format: Some(Format::Plain), place }
    }
}

/// The bundled lists: one to block, two of popular names.
pub fn lists() -> &'static [BundledList] {
    &[
        BundledList {
            name: "bundled",
            role: Role::Block,
            licence: "Unlicense AND MIT AND Apache-2.0 AND BSD-3-Clause",
            packed: include_bytes!("../bundled/blocklist.txt.zst"),
        },
        BundledList {
            name: "popular-umbrella",
            role: Role::Popular,
            licence: "Apache-2.0 AND CC0-1.0",
            packed: include_bytes!("../bundled/popular-umbrella.txt.zst"),
        },
        BundledList {
            name: "popular-toplists",
            role: Role::Popular,
            licence: "MIT AND Apache-2.0 AND CC0-1.0",
            packed: include_bytes!("../bundled/popular-toplists.txt.zst"),
        },
    ]
}

/// The names that the look-alike rule protects: registrable domains, most popular first, one a line.
pub fn brand_names() -> io::Result<Vec<u8>> {
    zstd::decode_all(&include_bytes!("../bundled/brands.txt.zst")[..])
}

/// The brands section of a snapshot: what [`brand_names`] says.
pub fn brands() -> io::Result<Vec<u8>> {
    let names = brand_names()?;
    let lines = names.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    Ok(Brands::from_popular(lines.filter(|line| !line.is_empty())).encode())
}

/// What goes into the bundled snapshot besides the lists.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The policy.
    pub policy: Policy,
    /// The small model's artifact.
    pub small_model: Option<Vec<u8>>,
    /// The serial; 0 for the one embedded in a build, so that any feed's is newer.
    pub serial: u64,
    /// Signs it.
    pub key: Option<SigningKey>,
}

/// Adds the bundled lists and brands to a builder.
pub fn add_to(builder: &mut Builder) -> io::Result<Vec<ListReport>> {
    let mut reports = Vec::new();
    for list in lists() {
        reports.push(add_text(builder, list.info(), &list.source(), &list.text()?));
    }
    builder.brands(brands()?);
    Ok(reports)
}

/// Compiles the bundled lists.
pub fn snapshot(options: &Options) -> Result<Vec<u8>, CompileError> {
    let mut builder = Builder::new(options.serial, KEY_SEED);
    let unpacked = add_to(&mut builder);
    unpacked.map_err(|error| CompileError::Read { path: "(bundled)".into(), error })?;
    builder.policy(options.policy.clone());
    if let Some(model) = &options.small_model {
        builder.small_model(model.clone());
    }
    Ok(builder.build(options.key.as_ref())?)
}

#[cfg(test)]
mod tests {
    use dnsvet_core::name::Name;
    use dnsvet_core::snapshot::Snapshot;

    use super::*;

    #[test]
    fn every_bundled_list_is_in_the_snapshot_whole() {
        let snapshot = Snapshot::open(snapshot(&Options::default()).unwrap().into(), &[]).unwrap();
        let mut builder = Builder::new(0, KEY_SEED);
        for (report, info) in add_to(&mut builder).unwrap().iter().zip(snapshot.lists()) {
            assert_eq!((report.counts.rejected, report.counts.entries), (0, info.entries), "{}", info.name);
            assert!(info.entries > 20_000 && !info.licence.is_empty());
        }
        let text = String::from_utf8(lists()[0].text().unwrap()).unwrap();
        for line in text.lines().step_by(101) {
            let below = Name::parse(&format!("www.{line}")).unwrap();
            assert!(snapshot.lookup(&below).iter().any(|found| found.suffix() == line), "{line}");
        }
    }

    #[test]
    fn well_known_names_are_popular_in_two_lists_and_listed_in_none() {
        let snapshot = Snapshot::open(snapshot(&Options::default()).unwrap().into(), &[]).unwrap();
        for text in ["google.com", "www.google.com", "paypal.com", "github.com", "netflix.com"] {
            let name = Name::parse(text).unwrap();
            assert_eq!((snapshot.popularity(&name), snapshot.lookup(&name)), (2, vec![]), "{text}");
        }
        let brands = String::from_utf8(brand_names().unwrap()).unwrap();
        assert_eq!(brands.lines().next(), Some("google.com"));
    }

    #[test]
    fn all_that_is_bundled_takes_at_most_three_megabytes() {
        let packed: usize = lists().iter().map(|list| list.packed.len()).sum();
        assert!(packed + 200_000 < 3_000_000, "{packed}");
    }
}
