//! What a model takes for evidence that is none: the same names under another suffix, or behind `www.`
//!
//! ```text
//! clean      shop.example.de ─► shop.example.top, shop.example.xyz, www.shop.example.de   flagged now?
//! malicious  login.evil.top  ─► login.evil.com, www.login.evil.top                        still found?
//! ```
//!
//! The threshold stays the one for 1 % of the clean names as they are. The surprise: no bound of nature says
//! what the rates should be. A suffix is some evidence, for whoever registers under `.top` chose it; a rate that
//! rises from 1 % to 60 % says that the rest of the name hardly counts.

use dnsvet_core::model::Parts;
use serde::{Deserialize, Serialize};

use super::{Call, Decision, Row, Share};
use crate::data::Example;

/// One change made to many names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shortcut {
    /// Which names, and what was done to them.
    pub change: String,
    /// `false positives` or `recall`.
    pub counted: String,
    /// Flagged at the threshold as they are.
    pub before: Share,
    /// Flagged when changed.
    pub after: Share,
    /// Blocked as they are.
    pub blocked_before: Share,
    /// Blocked when changed.
    pub blocked_after: Share,
}

struct Change {
    words: &'static str,
    /// Which names: clean or malicious ones.
    clean: bool,
    /// The changed name; `None` where it would be the same.
    to: fn(&str) -> Option<String>,
}

const CHANGES: [Change; 5] = [
    Change { words: "clean moved to .top", clean: true, to: |name| moved(name, "top") },
    Change { words: "clean moved to .xyz", clean: true, to: |name| moved(name, "xyz") },
    Change { words: "clean behind www.", clean: true, to: behind_www },
    Change { words: "malicious moved to .com", clean: false, to: |name| moved(name, "com") },
    Change { words: "malicious behind www.", clean: false, to: behind_www },
];

impl Change {
    fn takes(&self, example: &Example) -> bool {
        if self.clean { example.clean } else { example.is_malicious() }
    }
}

/// Names that `shortcuts` will have scored.
pub(super) fn names<'a>(examples: impl Iterator<Item = &'a Example> + Clone) -> usize {
    let of = |change: &Change| {
        examples.clone().filter(|e| change.takes(e) && (change.to)(&e.name).is_some()).count()
    };
    CHANGES.iter().map(of).sum()
}

/// What scores above `cut` is flagged. Names that a change leaves as they are don't count for it.
pub(super) fn shortcuts(
    rows: &[Row<'_>],
    cut: f64,
    decision: Decision,
    score: &dyn Fn(&[String]) -> Vec<f64>,
) -> Vec<Shortcut> {
    let flagged = |score: &f64| *score > cut;
    let blocked = |score: &f64| decision.call(*score) == Call::Block;
    let of = |change: &Change| {
        let taken = rows.iter().filter(|row| change.takes(row.example));
        let (changed, before): (Vec<String>, Vec<f64>) =
            taken.filter_map(|row| Some(((change.to)(&row.example.name)?, row.score))).unzip();
        let after = score(&changed);
        Shortcut {
            change: change.words.to_owned(),
            counted: if change.clean { "false positives" } else { "recall" }.to_owned(),
            before: Share::among(&before, flagged),
            after: Share::among(&after, flagged),
            blocked_before: Share::among(&before, blocked),
            blocked_after: Share::among(&after, blocked),
        }
    };
    CHANGES.iter().map(of).collect()
}

/// Under another suffix in place of its registry's.
fn moved(name: &str, to: &str) -> Option<String> {
    let suffix = Parts::of(name).suffix;
    let content = name.strip_suffix(suffix).filter(|content| content.ends_with('.'))?;
    (suffix != to).then(|| format!("{content}{to}"))
}

fn behind_www(name: &str) -> Option<String> {
    (!name.starts_with("www.")).then(|| format!("www.{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Class;

    #[test]
    fn names_move_by_their_registry_s_suffix() {
        assert_eq!(moved("a.shop.co.uk", "top").as_deref(), Some("a.shop.top"));
        assert_eq!(moved("mine.webflow.io", "com").as_deref(), Some("mine.webflow.com"));
        assert_eq!((moved("shop.top", "top"), moved("co.uk", "top")), (None, None));
        assert_eq!(behind_www("shop.de").as_deref(), Some("www.shop.de"));
        assert_eq!(behind_www("www.shop.de"), None);
    }

    #[test]
    fn a_scorer_that_reads_the_suffix_only_is_found_out() {
        let example = |name: &str, class: Class| {
            Example::new(name.into(), class, class == Class::Benign, "list".into())
        };
        let examples = [
            example("a.de", Class::Benign),
            example("b.top", Class::Benign),
            example("c.top", Class::Scam),
            example("d.xyz", Class::Scam),
            example("www.e.com", Class::Scam),
        ];
        let score = |names: &[String]| -> Vec<f64> {
            names.iter().map(|name| if name.ends_with(".top") { 0.9999 } else { 0.1 }).collect()
        };
        let rows: Vec<Row> = examples
            .iter()
            .map(|example| Row { example, score: score(std::slice::from_ref(&example.name))[0] })
            .collect();
        let decision = Decision { allow_below: 0.2, block_above: 0.9, prior: 0.01 };
        let found: Vec<_> = shortcuts(&rows, 0.5, decision, &score)
            .into_iter()
            .map(|s| (s.change, (s.before.hits, s.after.hits), (s.blocked_after.hits, s.after.of)))
            .collect();
        let expected = [
            ("clean moved to .top", (0, 1), (1, 1)),
            ("clean moved to .xyz", (1, 0), (0, 2)),
            ("clean behind www.", (1, 1), (1, 2)),
            ("malicious moved to .com", (1, 0), (0, 2)),
            ("malicious behind www.", (1, 1), (1, 2)),
        ];
        assert_eq!(found, expected.map(|(change, flagged, rest)| (change.to_owned(), flagged, rest)));
        assert_eq!(names(examples.iter()), 9);
    }
}
