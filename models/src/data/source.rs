//! Where names come from: which sources there are, of what date, under which licence.

use serde::{Deserialize, Serialize};

/// One source of labelled names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The tag in the data's source column, before any `/`.
    pub tag: &'static str,
    /// Where it comes from.
    pub origin: &'static str,
    /// The date of its data, ISO 8601, or a range.
    pub date: &'static str,
    /// SPDX identifier, or the words of the source.
    pub licence: &'static str,
    /// Whether a model that ships may learn from it: permissive, or in the public domain.
    pub ships: bool,
}

/// Every source that is known. A tag that is not here is taken by [`Sources::All`] only.
pub const SOURCES: [Source; 17] = [
    ships(
        "umbrella100k-2025",
        "github.com/cjbarker/top-domains (Cisco Umbrella)",
        "2025-09-26",
        "Apache-2.0",
    ),
    ships(
        "umbrella20k-2024-2026",
        "github.com/MISP/misp-warninglists (cisco_top20k)",
        "2024-12/2026-08",
        "CC0-1.0",
    ),
    ships("hageziTop-2023", "github.com/hagezi/dns-data-collection", "2023-01-12", "MIT"),
    ships("chinalist-2026", "github.com/felixonmars/dnsmasq-china-list", "2026-08-02", "WTFPL"),
    ships("universities-2026", "github.com/Hipo/university-domains-list", "2026-06-20", "MIT"),
    ships("gsa-federal", "github.com/GSA/data", "2017-11-25", "US public domain"),
    ships("maltrail", "github.com/stamparm/maltrail", "2026-03-01", "MIT"),
    ships("blocklistproject", "github.com/blocklistproject/Lists", "2026-07-06", "Unlicense"),
    ships("polkadot-phishing", "github.com/polkadot-js/phishing", "2025-08", "Apache-2.0"),
    ships(
        "globalantiscam",
        "github.com/elliotwutingfeng/GlobalAntiScamOrg-blocklist",
        "2026-03-09",
        "BSD-3-Clause",
    ),
    ships("shadowwhisperer", "github.com/ShadowWhisperer/BlockLists", "2026-08-22", "Unlicense"),
    stays("alexa100k-2016", "github.com/zer0h/top-1000000-domains", "2016-03-22", "none stated"),
    stays(
        "cloudflare100k-2026",
        "github.com/MISP/misp-warninglists (Cloudflare Radar)",
        "2026-08-10",
        "CC-BY-NC-4.0",
    ),
    stays("openphish", "github.com/openphish/public_feed", "2026-02-28", "non-commercial"),
    stays("discord-antiscam", "github.com/Discord-AntiScam/scam-links", "2026-01-03", "none stated"),
    stays("blackbook", "github.com/stamparm/blackbook", "2024-09-01", "none stated"),
    stays(
        "dga",
        "github.com/baderj, andrewaeva, chrmor (samples of generated names)",
        "2017/2025-09-28",
        "GPL-2.0; none stated; research use",
    ),
];

/// Our own generators, as they are named among the sources.
pub const GENERATED: Source = Source {
    tag: "generated",
    origin: "generators of algorithmic names and of lures under platforms, models/src/data/{dga,lures}",
    date: "2026",
    licence: "MIT OR Apache-2.0",
    ships: true,
};

/// Our own hosts of machines and platforms, as they are named among the sources.
pub const HOSTS: Source = Source {
    tag: "hosts",
    origin: "names of hosts drawn from shapes that providers document, models/src/data/hosts.rs",
    ..GENERATED
};

const fn ships(tag: &'static str, origin: &'static str, date: &'static str, licence: &'static str) -> Source {
    Source { tag, origin, date, licence, ships: true }
}

const fn stays(tag: &'static str, origin: &'static str, date: &'static str, licence: &'static str) -> Source {
    Source { ships: false, ..ships(tag, origin, date, licence) }
}

/// Which sources a model learns from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sources {
    /// Those whose licence lets the model be given away.
    Shippable,
    /// All that the folder holds.
    #[default]
    All,
}

impl Sources {
    /// Whether names with this tag are taken.
    pub fn takes(self, tag: &str) -> bool {
        match self {
            Self::All => true,
            Self::Shippable => known(tag).is_some_and(|source| source.ships),
        }
    }

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shippable => "shippable",
            Self::All => "all",
        }
    }
}

/// The source with this tag.
pub fn known(tag: &str) -> Option<&'static Source> {
    [&GENERATED, &HOSTS].into_iter().chain(&SOURCES).find(|source| source.tag == tag)
}

/// How many names a source gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUse {
    /// As in the data's source column, before any `/`.
    pub tag: String,
    /// Names taken.
    pub names: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_is_permissive_and_what_is_unknown_stays() {
        const PERMISSIVE: [&str; 8] = [
            "Apache-2.0",
            "CC0-1.0",
            "MIT",
            "WTFPL",
            "US public domain",
            "Unlicense",
            "BSD-3-Clause",
            "MIT OR Apache-2.0",
        ];
        for source in SOURCES.iter().chain([&GENERATED]) {
            assert_eq!(source.ships, PERMISSIVE.contains(&source.licence), "{source:?}");
            assert_eq!(Sources::Shippable.takes(source.tag), source.ships);
        }
        assert!(!Sources::Shippable.takes("openphish") && !Sources::Shippable.takes("someone-s"));
        assert!(Sources::All.takes("openphish") && Sources::All.takes("someone-s"));
    }
}
