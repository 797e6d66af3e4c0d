//! Where false positives are: by public suffix, and by the list that calls a name benign.
//!
//! The threshold is the one for 1 % of all clean names. The surprise: a mean of 1 % can hide a suffix on which
//! every fifth shop is flagged, because few clean names live there.

use std::collections::BTreeMap;

use dnsvet_core::model::Parts;
use serde::{Deserialize, Serialize};

use super::{Row, Share};

/// Suffixes with fewer benign names are not listed.
pub const LEAST_OF_A_SUFFIX: usize = 100;

/// False positives at the threshold for 1 % of the clean names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FalsePositives {
    /// What is flagged scores above this.
    pub threshold: f64,
    /// Of all clean names.
    pub clean: Share,
    /// Of all benign names.
    pub benign: Share,
    /// By registry's suffix (`com`, `co.uk`), worst first; those with at least 100 benign names.
    pub suffixes: Vec<SuffixRate>,
    /// By source of benign names, worst first.
    pub sources: Vec<SourceRate>,
}

/// One suffix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuffixRate {
    /// The registry's suffix.
    pub suffix: String,
    /// Its benign names that are flagged.
    pub benign: Share,
    /// Their rate in means of all benign names; 0 if none of these is flagged.
    pub benign_ratio: f64,
    /// Its clean names that are flagged.
    pub clean: Share,
    /// Their rate in means of all clean names; 0 if none of these is flagged.
    pub clean_ratio: f64,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceRate {
    /// Its tag.
    pub source: String,
    /// Its names that are flagged.
    pub benign: Share,
    /// Those among them that are clean.
    pub clean: Share,
}

/// What scores above `cut` is flagged.
pub(super) fn false_positives(rows: &[Row<'_>], cut: f64) -> FalsePositives {
    let benign: Vec<&Row<'_>> = rows.iter().filter(|row| !row.example.is_malicious()).collect();
    let [all, all_clean] = shares(&benign, cut);
    let ratio = |share: Share, mean: Share| if mean.rate > 0.0 { share.rate / mean.rate } else { 0.0 };

    let by_suffix = by(&benign, |row| Parts::of(&row.example.name).suffix);
    let listed = by_suffix.into_iter().filter(|(_, rows)| rows.len() >= LEAST_OF_A_SUFFIX);
    let mut suffixes: Vec<SuffixRate> = listed
        .map(|(suffix, rows)| {
            let [benign, clean] = shares(&rows, cut);
            let (benign_ratio, clean_ratio) = (ratio(benign, all), ratio(clean, all_clean));
            SuffixRate { suffix: suffix.to_owned(), benign, benign_ratio, clean, clean_ratio }
        })
        .collect();
    suffixes.sort_by(|a, b| b.benign.rate.total_cmp(&a.benign.rate));

    let by_source = by(&benign, |row| row.example.source());
    let mut sources: Vec<SourceRate> = by_source
        .into_iter()
        .map(|(source, rows)| {
            let [benign, clean] = shares(&rows, cut);
            SourceRate { source: source.to_owned(), benign, clean }
        })
        .collect();
    sources.sort_by(|a, b| b.benign.rate.total_cmp(&a.benign.rate));
    FalsePositives { threshold: cut, clean: all_clean, benign: all, suffixes, sources }
}

fn by<'r, 'a>(
    rows: &[&'r Row<'a>],
    key: impl Fn(&Row<'a>) -> &'a str,
) -> BTreeMap<&'a str, Vec<&'r Row<'a>>> {
    let mut groups: BTreeMap<&str, Vec<&Row<'_>>> = BTreeMap::new();
    for row in rows {
        groups.entry(key(row)).or_default().push(row);
    }
    groups
}

/// Flagged among all, and among the clean ones.
fn shares(rows: &[&Row<'_>], cut: f64) -> [Share; 2] {
    let flagged = |row: &&Row<'_>| row.score > cut;
    [Share::among(rows, flagged), Share::among(rows.iter().filter(|row| row.example.clean), flagged)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Class, Example};

    #[test]
    fn suffixes_and_sources_have_their_own_rates_and_small_suffixes_are_left_out() {
        let name = |i: usize, suffix: &str, clean, source: &str, score: f64| {
            (Example::new(format!("n{i}.{suffix}"), Class::Benign, clean, source.into()), score)
        };
        let mut scored: Vec<(Example, f64)> = Vec::new();
        for i in 0..300 {
            scored.push(name(i, "com", true, "one", if i < 3 { 0.9 } else { 0.1 }));
        }
        for i in 0..100 {
            scored.push(name(i, "co.uk", i % 2 == 0, "two", if i < 10 { 0.9 } else { 0.1 }));
        }
        for i in 0..99 {
            scored.push(name(i, "top", false, "two", 0.9));
        }
        scored.push((Example::new("bad.com".into(), Class::Scam, false, "one".into()), 0.9));
        let rows: Vec<Row> = scored.iter().map(|(example, score)| Row { example, score: *score }).collect();
        let found = false_positives(&rows, 0.5);
        let suffixes: Vec<_> = found
            .suffixes
            .iter()
            .map(|s| (&*s.suffix, s.benign.hits, s.benign.of, s.clean.hits, s.clean.of))
            .collect();
        assert_eq!(suffixes, [("co.uk", 10, 100, 5, 50), ("com", 3, 300, 3, 300)]);
        assert_eq!((found.benign.hits, found.benign.of, found.clean.hits), (112, 499, 8));
        let clean_mean = 8.0 / 350.0;
        assert!((found.suffixes[0].clean_ratio - 0.1 / clean_mean).abs() < 1e-12);
        let sources: Vec<_> = found.sources.iter().map(|s| (&*s.source, s.benign.hits, s.clean.of)).collect();
        assert_eq!(sources, [("two", 109, 50), ("one", 3, 300)]);
    }
}
