//! `CARD.md`: what a model is, for people, out of its manifest alone.

use std::fmt::Write;

use dnsvet_core::model::tokenizer;

use crate::manifest::Manifest;

/// The card's text.
pub fn text(manifest: &Manifest) -> String {
    let mut card = String::new();
    // Writing into a String can't fail.
    let _ = write_card(&mut card, manifest);
    card
}

fn write_card(card: &mut String, m: &Manifest) -> std::fmt::Result {
    writeln!(card, "# {}\n", m.name)?;
    writeln!(card, "{}\n", about(m))?;
    writeln!(
        card,
        "- id `{}`, {} parameters, tokenizer {}, {} integers a name",
        m.id, m.parameters, m.tokenizer, m.length
    )?;
    writeln!(card, "- made by `{}`", m.made_by)?;
    let (limits, scale) = (&m.thresholds, &m.calibration);
    writeln!(
        card,
        "- score = sigmoid({:.6} x logit + {:.6}), for a share of {} malicious names; thresholds hold at a share of {}",
        scale.slope, scale.intercept, scale.balance, m.prior
    )?;
    writeln!(
        card,
        "- below {:.6} allow, at or above {:.6} block, between ask a larger model or a person\n",
        limits.allow_below, limits.block_above
    )?;
    if let Some(x) = &m.metrics {
        writeln!(card, "## On names it did not see\n")?;
        writeln!(
            card,
            "10 % of the registrable domains, none of which training, choice of epoch or calibration saw: {} malicious names, {} benign ones, {} of these clean (in two independent lists, or .edu, .gov). Labels are other people's lists, with their errors.\n",
            x.malicious, x.benign, x.clean
        )?;
        writeln!(card, "| measure | value |\n|---|---|")?;
        writeln!(card, "| AUC, clean benign / all benign | {:.4} / {:.4} |", x.clean_auc, x.auc)?;
        writeln!(
            card,
            "| malicious found at 1 % / 0.1 % of clean names flagged | {:.1} % / {:.1} % |",
            100.0 * x.recall_at_1e2,
            100.0 * x.recall_at_1e3
        )?;
        writeln!(
            card,
            "| clean registrable domains at or above `block_above` | {} of {}, rate <= {:.1e} (one-sided 95 % Clopper-Pearson) |",
            x.false_blocks, x.clean_domains, x.false_block_bound
        )?;
        writeln!(
            card,
            "| malicious names at or above `block_above` / below `allow_below` | {:.1} % / {:.1} % |",
            100.0 * x.blocked,
            100.0 * x.missed
        )?;
        writeln!(
            card,
            "| between the thresholds, benign / malicious names | {:.1} % / {:.1} % |\n",
            100.0 * x.uncertain_benign,
            100.0 * x.uncertain_malicious
        )?;
        writeln!(
            card,
            "`block_above` was set for {:.0e} false blocks a clean registrable domain; it is never below 0.90, and the filter never blocks a popular name by a model.\n",
            limits.false_block_budget
        )?;
    }
    writeln!(card, "## Sources\n\n| source | from | licence | names |\n|---|---|---|---|")?;
    for source in &m.sources {
        writeln!(card, "| {} | {} | {} | {} |", source.source, source.origin, source.licence, source.names)?;
    }
    writeln!(card, "\n## Limits\n\n{}", limits_of(m))
}

fn about(m: &Manifest) -> &'static str {
    match (m.name.as_str(), m.tokenizer) {
        ("seed", _) => {
            "ML Bridge's CNN of 2020, converted from Keras; kept so that its scores can be compared. Not meant to decide: on random samples of its own lists it is right about 62 times in 100."
        }
        (_, tokenizer::PARTS | tokenizer::READINGS) => {
            "A stack: table CNNs and hashed bags of n-grams, words and shapes, which read a name without its public suffix, and one word of the suffix itself, lowered so that no suffix puts more than 9 % of clean names over the threshold that 1 % of them pass where they are. How much each counts was fitted on names that none of them had learnt from, in three folds."
        }
        _ => "An imported graph.",
    }
}

fn limits_of(m: &Manifest) -> &'static str {
    match (m.name.as_str(), m.tokenizer) {
        ("seed", _) => {
            "It learnt from 1,000 names of which the malicious ones all began with a digit. Its thresholds are those of its time (90 % confident either way, at even shares)."
        }
        (_, tokenizer::PARTS | tokenizer::READINGS) => {
            "It sees the name alone. Look-alikes of brands are a rule's business, tunnels show by behaviour. Abuse under well-known hosts is for lists. It is not the last word on any name."
        }
        _ => "What it can't do is for whoever made it to say.",
    }
}
