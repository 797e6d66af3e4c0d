//! Clusters: names of the queue that belong together, to be decided in one step.
//!
//! - `domain`: names under one registrable domain (public suffix list, private section included), two or more.
//! - `shape`: names whose registrable domains are made alike: the same public suffix, a label of the same length class,
//!   of the same kinds of characters; [`LEAST_ALIKE`] or more, of two domains at least. Machines make such names.
//!
//! The surprise: a cluster's id holds a hash of its names. One that has changed since somebody looked at it is not
//! found any more, so nobody decides names that they have not seen.

use std::collections::{BTreeMap, HashSet};

use dnsvet_core::name::Name;
use serde::Serialize;

use crate::store::Pending;

/// Names that make a shape.
pub const LEAST_ALIKE: usize = 5;
/// Clusters that are shown.
const MOST_CLUSTERS: usize = 200;
/// The longest label of each length class, characters.
const LENGTHS: [usize; 6] = [4, 8, 12, 16, 24, 63];

/// What the names of a cluster have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Their registrable domain.
    Domain,
    /// How their registrable domains are made.
    Shape,
}

/// Names that belong together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cluster {
    /// Kind, label and a hash of the names.
    pub id: String,
    /// What they have in common.
    pub kind: Kind,
    /// The registrable domain, or the shape: `5-8 letters+digits .top`.
    pub label: String,
    /// The names, first in the queue first.
    pub names: Vec<String>,
    /// How many clients asked for any of them.
    pub clients: u64,
    /// 1 - (1 - p)(1 - q)... of the priorities of its names, so that many small ones count.
    pub priority: f64,
}

/// The clusters of a queue, greatest priority first. `clients` counts who asked for any name of one.
pub fn clusters<E>(
    waiting: &[Pending],
    mut clients: impl FnMut(&Cluster) -> Result<u64, E>,
) -> Result<Vec<Cluster>, E> {
    let mut groups: BTreeMap<(Kind, String), Group> = BTreeMap::new();
    for pending in waiting {
        let Ok(name) = Name::parse(&pending.name) else { continue };
        let Some(domain) = name.registrable_domain() else { continue };
        let mut join = |kind, label| {
            let group = groups.entry((kind, label)).or_default();
            group.names.push(pending.name.clone());
            group.domains.insert(domain.to_owned());
            group.rest *= 1.0 - pending.priority;
        };
        join(Kind::Domain, domain.to_owned());
        if let Some(shape) = shape(domain) {
            join(Kind::Shape, shape);
        }
    }
    let together = groups.into_iter().filter(|((kind, _), group)| match kind {
        Kind::Domain => group.names.len() > 1,
        Kind::Shape => group.names.len() >= LEAST_ALIKE && group.domains.len() > 1,
    });
    let mut clusters: Vec<Cluster> = together
        .map(|((kind, label), Group { names, rest, .. })| {
            let id = id(kind, &label, &names);
            Cluster { id, kind, label, names, clients: 0, priority: 1.0 - rest }
        })
        .collect();
    clusters.sort_by(|a, b| b.priority.total_cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
    clusters.truncate(MOST_CLUSTERS);
    for cluster in &mut clusters {
        cluster.clients = clients(cluster)?;
    }
    Ok(clusters)
}

struct Group {
    names: Vec<String>,
    domains: HashSet<String>,
    /// Product of 1 - priority.
    rest: f64,
}

impl Default for Group {
    fn default() -> Self {
        Self { names: Vec::new(), domains: HashSet::new(), rest: 1.0 }
    }
}

/// A kind of characters, and which are of it.
type Characters = (&'static str, fn(u8) -> bool);

/// How a registrable domain is made: `5-8 letters+digits .top`.
fn shape(domain: &str) -> Option<String> {
    let (label, suffix) = domain.split_once('.')?;
    let length = label.len();
    let class = LENGTHS.iter().position(|longest| length <= *longest)?;
    let shortest = class.checked_sub(1).map_or(1, |before| LENGTHS[before] + 1);
    let kinds: [Characters; 4] = [
        ("letters", |byte| byte.is_ascii_alphabetic()),
        ("digits", |byte| byte.is_ascii_digit()),
        ("hyphens", |byte| byte == b'-'),
        ("others", |byte| !byte.is_ascii_alphanumeric() && byte != b'-'),
    ];
    let kinds: Vec<&str> = if label.starts_with("xn--") {
        // Punycode's letters and digits say nothing of the name.
        vec!["international"]
    } else {
        kinds.into_iter().filter(|(_, is)| label.bytes().any(is)).map(|(kind, _)| kind).collect()
    };
    Some(format!("{shortest}-{} {} .{suffix}", LENGTHS[class], kinds.join("+")))
}

fn id(kind: Kind, label: &str, names: &[String]) -> String {
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    let hash = blake3::hash(sorted.join("\n").as_bytes()).to_hex();
    let kind = if kind == Kind::Domain { "domain" } else { "shape" };
    format!("{kind}:{label}:{}", &hash[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(names: &[&str]) -> Vec<Pending> {
        let pending = |name: &&str| Pending {
            name: (*name).into(),
            queries: 1,
            clients: 1,
            score: None,
            first_ms: 0,
            last_ms: 0,
            last_id: crate::store::EventId(1),
            uncertainty: 1.0,
            novelty: 1.0,
            priority: 0.5,
        };
        names.iter().map(pending).collect()
    }

    fn made(names: &[&str]) -> Vec<Cluster> {
        clusters(&waiting(names), |_| Ok::<_, ()>(7)).unwrap()
    }

    fn found(names: &[&str]) -> Vec<(Kind, String, usize)> {
        made(names).into_iter().map(|cluster| (cluster.kind, cluster.label, cluster.names.len())).collect()
    }

    #[test]
    fn names_under_one_registrable_domain_are_one_cluster() {
        let names = ["a.evil.example", "b.evil.example", "evil.example", "alone.other.example"];
        assert_eq!(found(&names), [(Kind::Domain, "evil.example".into(), 3)]);
        // Of the private section: these are two people's.
        assert_eq!(found(&["one.github.io", "two.github.io"]), []);
        assert_eq!(
            found(&["a.one.github.io", "b.one.github.io"]),
            [(Kind::Domain, "one.github.io".into(), 2)]
        );
        assert_eq!(found(&["github.io", "com", "x"]), []);
    }

    #[test]
    fn five_domains_made_alike_are_one_cluster_and_four_are_none() {
        let alike = ["x1y2z.top", "q9w8e.top", "www.p0o9i8.top", "k3j4h.top", "m5n6b7.top"];
        assert_eq!(found(&alike), [(Kind::Shape, "5-8 letters+digits .top".into(), 5)]);
        assert_eq!(found(&alike[..4]), []);
        for other in ["x1y2z.biz", "x1y2zx1y2z.top", "xyzab.top", "x1-y2.top", "xn--p1ai.top"] {
            let mut names = alike[..4].to_vec();
            names.push(other);
            assert_eq!(found(&names), [], "{other}");
        }
        let one_domain: Vec<String> = (0..6).map(|n| format!("h{n}.x1y2z.top")).collect();
        let one_domain: Vec<&str> = one_domain.iter().map(String::as_str).collect();
        assert_eq!(found(&one_domain), [(Kind::Domain, "x1y2z.top".into(), 6)]);
    }

    #[test]
    fn an_id_stays_while_its_names_do_and_priorities_add_up() {
        let one = made(&["a.evil.example", "b.evil.example"]);
        let turned = made(&["b.evil.example", "a.evil.example"]);
        let more = made(&["a.evil.example", "b.evil.example", "c.evil.example"]);
        assert_eq!((&one[0].id, one[0].clients), (&turned[0].id, 7));
        assert_ne!(one[0].id, more[0].id);
        assert_eq!((one[0].priority, more[0].priority), (0.75, 0.875));
    }
}
