//! The share of malicious names found at a false-positive rate: all, by class, by source, by family.
//!
//! ```text
//! registrable domains, drawn with replacement ─► clean names that weigh so ─► threshold ─┐
//!                                           └─► malicious names that weigh so ───────────┴─► recall of each group
//! ```
//!
//! The surprise: names of one registrable domain stand or fall together, so domains are drawn, never names.
//! All groups of a round share one threshold, and all scorers share the draws: differences can be compared.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{RATES, ROUNDS, Row, SEED, Share};
use crate::data::{Class, Random};
use crate::evaluate::allowed;

/// Families with fewer names are not listed.
pub const LEAST_OF_A_FAMILY: usize = 20;

/// Recall, taken apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalls {
    /// All malicious names.
    pub pooled: Group,
    /// By class.
    pub classes: Vec<Group>,
    /// By source.
    pub sources: Vec<Group>,
    /// By family, `source/family`, with at least 20 names.
    pub families: Vec<Group>,
    /// Families with fewer names.
    pub families_left_out: usize,
}

/// Malicious names of one sort.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Which.
    pub label: String,
    /// How many there are.
    pub names: usize,
    /// At rates of 1e-2, 1e-3 and 1e-4, in this order.
    pub recall: Vec<Recall>,
}

/// At one rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Recall {
    /// The false-positive rate on clean names.
    pub rate: f64,
    /// What is flagged scores above this.
    pub threshold: f64,
    /// Names flagged, with Wilson's interval: the threshold taken as given.
    pub found: Share,
    /// Lower end of the 95 % bootstrap interval over registrable domains: the threshold set anew each round.
    pub low: f64,
    /// Upper end of the bootstrap interval.
    pub high: f64,
}

impl Recall {
    /// The interval to quote: at either end the wider of both. The bootstrap has none where no round finds
    /// anything, or where each finds all.
    pub fn interval(&self) -> [f64; 2] {
        [self.low.min(self.found.low), self.high.max(self.found.high)]
    }
}

/// Rows must hold clean and malicious names.
pub(super) fn recalls(rows: &[Row<'_>]) -> Recalls {
    let mut groups = Groups::default();
    let mut names = Names::default();
    for row in rows {
        if row.example.clean {
            names.clean.push((row.score, names.clean_domains.index(row.example.domain())));
        } else if row.example.is_malicious() {
            let domain = names.malicious_domains.index(row.example.domain());
            names.malicious.push(Malicious { score: row.score, domain, groups: groups.of(row) });
        }
    }
    names.clean.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));

    let seen = names.count(groups.len(), |_| 1, |_| 1);
    let mut random = Random::new(SEED);
    let mut rounds: Vec<[Vec<f64>; 3]> = vec![Default::default(); groups.len()];
    for _ in 0..ROUNDS {
        let clean = names.clean_domains.draw(&mut random);
        let malicious = names.malicious_domains.draw(&mut random);
        let counts = names.count(groups.len(), |domain| clean[domain], |domain| malicious[domain]);
        for (group, rounds) in rounds.iter_mut().enumerate() {
            for (at, values) in rounds.iter_mut().enumerate() {
                // A small group may be missing from a draw.
                if counts.all[group] > 0 {
                    values.push(counts.found[at][group] as f64 / counts.all[group] as f64);
                }
            }
        }
    }
    groups.listed(|label, at| {
        let recall = rounds[at].iter_mut().zip(RATES).enumerate().map(|(index, (values, rate))| {
            let found = Share::new(seen.found[index][at], seen.all[at]);
            let [low, high] = middle(values);
            Recall { rate, threshold: seen.cuts[index], found, low, high }
        });
        Group { label, names: seen.all[at], recall: recall.collect() }
    })
}

/// The central 95 % of values; all from 0 to 1 where there are none.
fn middle(values: &mut [f64]) -> [f64; 2] {
    values.sort_unstable_by(f64::total_cmp);
    let tail = values.len() / 40;
    let at = |index: usize, none: f64| values.get(index).copied().unwrap_or(none);
    [at(tail, 0.0), at(values.len().saturating_sub(tail + 1), 1.0)]
}

/// Numbers for registrable domains.
#[derive(Default)]
struct Domains<'a> {
    index: HashMap<&'a str, usize>,
}

impl<'a> Domains<'a> {
    fn index(&mut self, domain: &'a str) -> usize {
        let next = self.index.len();
        *self.index.entry(domain).or_insert(next)
    }

    /// How often each domain comes in as many draws as there are domains.
    fn draw(&self, random: &mut Random) -> Vec<usize> {
        let mut times = vec![0; self.index.len()];
        for _ in 0..times.len() {
            let drawn = random.below(times.len());
            times[drawn] += 1;
        }
        times
    }
}

/// The names that recall is counted on.
#[derive(Default)]
struct Names<'a> {
    /// Score and domain, highest score first.
    clean: Vec<(f64, usize)>,
    clean_domains: Domains<'a>,
    malicious: Vec<Malicious>,
    malicious_domains: Domains<'a>,
}

struct Malicious {
    score: f64,
    domain: usize,
    /// All, class, source, family or [`Groups::NONE`].
    groups: [usize; 4],
}

/// Names by group, and those flagged by rate and group.
struct Counts {
    cuts: [f64; 3],
    all: Vec<usize>,
    found: [Vec<usize>; 3],
}

impl Names<'_> {
    /// Each name counts as often as its domain does.
    fn count(
        &self,
        groups: usize,
        clean: impl Fn(usize) -> usize,
        malicious: impl Fn(usize) -> usize,
    ) -> Counts {
        let total = self.clean.iter().map(|(_, domain)| clean(*domain)).sum();
        let cuts = RATES.map(|rate| {
            let mut left = allowed(total, rate);
            let flagged = |(_, domain): &&(f64, usize)| match left.checked_sub(clean(*domain)) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            };
            let flagged = self.clean.iter().take_while(flagged).count();
            self.clean.get(flagged).map_or(1.0, |(score, _)| *score)
        });
        let mut counts = Counts { cuts, all: vec![0; groups], found: [(); 3].map(|()| vec![0; groups]) };
        for name in &self.malicious {
            let times = malicious(name.domain);
            for group in name.groups {
                counts.all[group] += times;
            }
            for (cut, found) in cuts.iter().zip(&mut counts.found) {
                if name.score > *cut {
                    for group in name.groups {
                        found[group] += times;
                    }
                }
            }
        }
        counts
    }
}

/// Numbers for groups: 0 is all names, 1 is nothing that is listed.
#[derive(Default)]
struct Groups {
    classes: BTreeMap<Class, usize>,
    sources: BTreeMap<String, usize>,
    families: BTreeMap<String, usize>,
}

impl Groups {
    /// Where a name without family is counted.
    const NONE: usize = 1;

    fn len(&self) -> usize {
        2 + self.classes.len() + self.sources.len() + self.families.len()
    }

    fn of(&mut self, row: &Row<'_>) -> [usize; 4] {
        let example = row.example;
        let next = self.len();
        let class = *self.classes.entry(example.class).or_insert(next);
        let source = self.number(|groups| &mut groups.sources, example.source());
        let family = match example.family() {
            Some(_) => self.number(|groups| &mut groups.families, &example.origin),
            None => Self::NONE,
        };
        [0, class, source, family]
    }

    fn number(&mut self, of: impl Fn(&mut Self) -> &mut BTreeMap<String, usize>, label: &str) -> usize {
        let next = self.len();
        match of(self).get(label) {
            Some(number) => *number,
            None => {
                of(self).insert(label.to_owned(), next);
                next
            }
        }
    }

    fn listed(self, mut group: impl FnMut(String, usize) -> Group) -> Recalls {
        let pooled = group("all".into(), 0);
        let classes = self.classes.iter().map(|(class, at)| group(class.as_str().into(), *at)).collect();
        let sources = self.sources.into_iter().map(|(label, at)| group(label, at)).collect();
        let (families, left_out): (Vec<Group>, Vec<Group>) = self
            .families
            .into_iter()
            .map(|(label, at)| group(label, at))
            .partition(|family| family.names >= LEAST_OF_A_FAMILY);
        Recalls { pooled, classes, sources, families, families_left_out: left_out.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Example;

    fn example(name: String, class: Class, origin: &str) -> Example {
        Example::new(name, class, class == Class::Benign, origin.into())
    }

    #[test]
    fn each_group_is_counted_at_the_one_threshold() {
        let mut scored: Vec<(Example, f64)> = (0..100)
            .map(|i| (example(format!("n{i}.com"), Class::Benign, "top"), f64::from(i) / 100.0))
            .collect();
        // One of a hundred may pass at 1e-2: 0.98 is the threshold.
        for (i, score) in [0.985, 0.5, 0.995, 0.2].into_iter().enumerate() {
            let (class, origin) =
                if i % 2 == 1 { (Class::Scam, "one") } else { (Class::Malware, "two/family") };
            scored.push((example(format!("m{i}.top"), class, origin), score));
        }
        let rows: Vec<Row> = scored.iter().map(|(example, score)| Row { example, score: *score }).collect();
        let recalls = recalls(&rows);
        let hits = |group: &Group| group.recall.iter().map(|r| r.found.hits).collect::<Vec<_>>();
        assert_eq!((recalls.pooled.names, hits(&recalls.pooled)), (4, vec![2, 1, 1]));
        assert_eq!(recalls.pooled.recall[0].threshold, 0.98);
        let labels: Vec<&str> = recalls.classes.iter().map(|group| &*group.label).collect();
        assert_eq!(labels, ["malware", "scam"]);
        assert_eq!((hits(&recalls.sources[0]), hits(&recalls.sources[1])), (vec![0; 3], vec![2, 1, 1]));
        // Two names are too few to list a family by.
        assert_eq!((recalls.families.len(), recalls.families_left_out), (0, 1));
        // No scam is found, in no round: Wilson knows that two names prove little.
        let none = recalls.classes[1].recall[1];
        assert_eq!((none.found.hits, none.low, none.high), (0, 0.0, 0.0));
        assert!(none.interval()[1] > 0.6, "{none:?}");
    }

    #[test]
    fn domains_of_many_names_widen_the_bootstrap_and_not_wilson_s_interval() {
        // 40 domains of 25 names each, all names of a domain alike; and 1,000 domains of one name.
        let mut random = Random::new(6);
        let clean: Vec<(Example, f64)> = (0..4_000)
            .map(|i| (example(format!("n{i}.com"), Class::Benign, "top"), (random.signed() + 1.0) / 2.0))
            .collect();
        let width = |domains: usize| {
            let mut scored = clean.clone();
            for i in 0..1_000 {
                let domain = i % domains;
                let score = if domain.is_multiple_of(2) { 0.999_999 } else { 0.1 };
                scored.push((example(format!("x{i}.m{domain}.top"), Class::Scam, "s"), score));
            }
            let rows: Vec<Row> = scored.iter().map(|(e, score)| Row { example: e, score: *score }).collect();
            let recall = recalls(&rows).pooled.recall[0];
            assert_eq!(recall.found.hits, 500);
            (recall.high - recall.low, recall.found.high - recall.found.low)
        };
        let ((many, wilson_many), (few, wilson_few)) = (width(1_000), width(40));
        assert_eq!(wilson_many, wilson_few);
        // Standard errors are 1/2 over the root of the domains' number.
        assert!((many - 2.0 * 1.96 * 0.5 / 1_000f64.sqrt()).abs() < 0.015, "{many}");
        assert!((few - 2.0 * 1.96 * 0.5 / 40f64.sqrt()).abs() < 0.08, "{few}");
    }

    #[test]
    fn the_bootstrap_moves_the_threshold_too() {
        // Malicious scores are uniform: recall at 1e-2 is 1 minus the clean 99 % quantile, which is loose with
        // 200 clean names, while 20,000 malicious ones leave Wilson's interval narrow.
        let mut random = Random::new(7);
        let mut scored: Vec<(Example, f64)> = Vec::new();
        for i in 0..20_200 {
            let class = if i < 200 { Class::Benign } else { Class::Malware };
            scored.push((example(format!("n{i}.com"), class, "list"), (random.signed() + 1.0) / 2.0));
        }
        let rows: Vec<Row> = scored.iter().map(|(example, score)| Row { example, score: *score }).collect();
        let recall = recalls(&rows).pooled.recall[0];
        assert!(recall.high - recall.low > 4.0 * (recall.found.high - recall.found.low), "{recall:?}");
        assert!(recall.low <= recall.found.rate && recall.found.rate <= recall.high, "{recall:?}");
        assert_eq!(recalls(&rows).pooled.recall[0], recall, "the seed is fixed");
    }
}
