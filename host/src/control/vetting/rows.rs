//! Decisions in force as rows that a model may be trained on: `name<TAB>class<TAB>author<TAB>time`.
//!
//! Only what people decided becomes a row. Query logs never become labels: that a name was asked for, or that a model
//! blocked it, says nothing of what it is, and a model that learns from its own verdicts learns to repeat them. So
//! neither do proposals, which nobody has confirmed, nor honeypot decisions, which are made to find out.
//!
//! The surprise: an author's rows are capped, newest first, so that one person can't shift a model.

use std::collections::HashMap;

use crate::store::control::{Decision, VettedRow};

/// Rows of one author, where nothing else is said.
pub const PER_AUTHOR: usize = 200;

/// The rows of decisions, newest first.
pub fn rows(mut decided: Vec<VettedRow>, per_author: usize) -> String {
    decided.sort_by(|a, b| b.time_ms.cmp(&a.time_ms).then_with(|| a.name.cmp(&b.name)));
    let mut of: HashMap<String, usize> = HashMap::new();
    let mut text = String::new();
    for row in decided {
        let class = match row.decision {
            Decision::Benign => "benign",
            Decision::Malicious => "malicious",
            Decision::Honeypot | Decision::None => continue,
        };
        // A token's label may hold anything.
        let author: String = row.author.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let taken = of.entry(row.author).or_default();
        *taken += 1;
        if *taken <= per_author {
            text.push_str(&format!("{}\t{class}\t{author}\t{}\n", row.name, row.time_ms));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::control::Scope;

    fn row(name: &str, decision: Decision, author: &str, time_ms: u64) -> VettedRow {
        let scope = if time_ms.is_multiple_of(2) { Scope::Exact } else { Scope::Suffix };
        let (name, author, before) = (name.into(), author.into(), Decision::None);
        VettedRow { name, decision, scope, author, time_ms, before, confirmed_by: None }
    }

    #[test]
    fn each_author_has_the_newest_rows_and_honeypots_are_none() {
        let mut decided: Vec<VettedRow> =
            (0..300).map(|n| row(&format!("n{n}.example"), Decision::Malicious, "ana", n)).collect();
        decided.push(row("good.example", Decision::Benign, "bob\t2", 7));
        decided.push(row("trap.example", Decision::Honeypot, "bob\t2", 8));
        let text = rows(decided, PER_AUTHOR);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), PER_AUTHOR + 1);
        assert_eq!(lines[0], "n299.example\tmalicious\tana\t299");
        assert_eq!(lines[PER_AUTHOR - 1], "n100.example\tmalicious\tana\t100");
        assert_eq!(lines[PER_AUTHOR], "good.example\tbenign\tbob 2\t7");
    }
}
