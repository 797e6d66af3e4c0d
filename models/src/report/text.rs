//! A report for the terminal: the figures first, then where they come from, each table narrower than 100 columns.

use std::fmt::Write as _;

use super::{Auc, Evaluation, Evidence, Group, Recall, Report, Share, Shortcut};

/// Lines shown of a list whose whole is in the JSON.
const SHOWN: usize = 8;

impl Evaluation {
    /// The evaluation as a person reads it.
    pub fn describe(&self) -> String {
        let Report { names, bootstrap_rounds, model, .. } = &self.report;
        let kinds: Vec<String> =
            names.kinds.iter().filter(|k| k.names > 0).map(|k| format!("{} {}", k.names, k.kind)).collect();
        let mut text = format!(
            "{} on {} held-back names ({})\nnames {}\n\n",
            self.model,
            names.total(),
            kinds.join(", "),
            names.blake3.get(..16).unwrap_or_default()
        );
        scorers(&mut text, &self.report);
        let _ = writeln!(
            text,
            "\nBrackets are 95 % intervals: DeLong's for AUC; for recall the bootstrap over registrable domains\n\
             ({bootstrap_rounds} rounds, the threshold set anew in each), or Wilson's where that is wider.\n"
        );
        groups(&mut text, "by class", &model.recall.classes);
        groups(&mut text, "by source", &model.recall.sources);
        let mut families = model.recall.families.clone();
        families.sort_by(|a, b| found(a).total_cmp(&found(b)));
        families.truncate(SHOWN);
        groups(&mut text, "least found families", &families);
        decisions(&mut text, model);
        budgets(&mut text, model);
        false_positives(&mut text, model);
        shortcuts(&mut text, &self.report);
        false_blocks(&mut text, model);
        text
    }
}

fn scorers(text: &mut String, report: &Report) {
    let mut rows = vec![heads(&["", "AUC clean", "found at 1e-2", "at 1e-3", "at 1e-4", "calibration"])];
    for evidence in report.all() {
        let Auc { area, low, high } = evidence.clean_auc;
        let mut row = vec![evidence.label.clone(), format!("{area:.4} [{low:.4} {high:.4}]")];
        row.extend(evidence.recall.pooled.recall.iter().map(recall));
        row.push(format!("{:.3} off", evidence.reliability.expected_calibration_error));
        rows.push(row);
    }
    table(text, &rows);
}

fn groups(text: &mut String, title: &str, groups: &[Group]) {
    if groups.is_empty() {
        return;
    }
    let mut rows = vec![heads(&[title, "names", "found at 1e-2", "at 1e-3", "at 1e-4"])];
    for group in groups {
        let mut row = vec![group.label.clone(), group.names.to_string()];
        row.extend(group.recall.iter().map(recall));
        rows.push(row);
    }
    table(text, &rows);
    text.push('\n');
}

fn decisions(text: &mut String, model: &Evidence) {
    let decision = model.decision;
    let _ = writeln!(
        text,
        "decisions: allow below {:.4}, block from {:.4} of probability, where {} of names are malicious",
        decision.allow_below,
        decision.block_above,
        percent(decision.prior)
    );
    let mut rows = vec![heads(&["", "names", "allow", "uncertain", "block"])];
    for calls in &model.calls {
        let mut row = vec![calls.kind.clone(), calls.allow.of.to_string()];
        row.extend([calls.allow, calls.uncertain, calls.block].map(|share| percent(share.rate)));
        rows.push(row);
    }
    table(text, &rows);
    text.push('\n');
}

fn budgets(text: &mut String, model: &Evidence) {
    if model.budgets.is_empty() {
        return;
    }
    let mut rows =
        vec![heads(&["budget", "set on", "counted on", "flagged", "Poisson 95 %", "with threshold's"])];
    for budget in &model.budgets {
        let range = |low, high, inside| format!("{low} to {high}{}", if inside { "" } else { " MISSED" });
        rows.push(vec![
            format!("{:e}", budget.rate),
            format!("{} domains", budget.set_on),
            budget.counted_on.to_string(),
            budget.counted.to_string(),
            range(budget.low, budget.high, budget.inside),
            range(budget.low_both, budget.high_both, budget.inside_both),
        ]);
    }
    table(text, &rows);
    text.push('\n');
}

fn false_positives(text: &mut String, model: &Evidence) {
    let found = &model.false_positives;
    let title = "flagged at 1e-2, by suffix";
    let mut rows = vec![heads(&[title, "benign", "flagged", "x mean", "clean", "flagged", "x mean"])];
    for suffix in found.suffixes.iter().take(SHOWN) {
        let times = |ratio: f64| format!("{ratio:.1}");
        rows.push(vec![
            suffix.suffix.clone(),
            suffix.benign.of.to_string(),
            share(suffix.benign),
            times(suffix.benign_ratio),
            suffix.clean.of.to_string(),
            share(suffix.clean),
            times(suffix.clean_ratio),
        ]);
    }
    table(text, &rows);
    text.push('\n');
    let mut rows = vec![heads(&["by source", "benign", "flagged", "clean", "flagged"])];
    for source in &found.sources {
        let (benign, clean) = (source.benign, source.clean);
        rows.push(vec![
            source.source.clone(),
            benign.of.to_string(),
            share(benign),
            clean.of.to_string(),
            share(clean),
        ]);
    }
    table(text, &rows);
    text.push('\n');
}

fn shortcuts(text: &mut String, report: &Report) {
    let mut head = heads(&["flagged at 1e-2 when changed", "names", "before", "after"]);
    head.extend(report.baselines.iter().map(|baseline| baseline.label.clone()));
    let mut rows = vec![head];
    for (at, Shortcut { change, before, after, .. }) in report.model.shortcuts.iter().enumerate() {
        let mut row = vec![change.clone(), after.of.to_string(), share(*before), share(*after)];
        let others = report.baselines.iter().filter_map(|baseline| baseline.shortcuts.get(at));
        row.extend(others.map(|shortcut| percent(shortcut.after.rate)));
        rows.push(row);
    }
    table(text, &rows);
    text.push('\n');
}

fn false_blocks(text: &mut String, model: &Evidence) {
    let blocks = &model.false_blocks;
    let _ = writeln!(
        text,
        "{} of {} clean names would be blocked (95 % interval up to {})",
        blocks.names.hits,
        blocks.names.of,
        percent(blocks.names.high)
    );
    for block in blocks.listed.iter().take(SHOWN) {
        let _ = writeln!(text, "  {:.4}  {}  ({})", block.probability, block.name, block.source);
    }
    if blocks.names.hits > SHOWN {
        let _ = writeln!(text, "  and {} more; --json and --out list them", blocks.names.hits - SHOWN);
    }
}

fn heads(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn found(group: &Group) -> f64 {
    group.recall.first().map_or(0.0, |recall| recall.found.rate)
}

/// `54.6 % [52.4 56.8]`
fn recall(recall: &Recall) -> String {
    let [low, high] = recall.interval();
    format!("{} [{:.1} {:.1}]", percent(recall.found.rate), 100.0 * low, 100.0 * high)
}

/// `0.9 % [0.7 1.2]`, Wilson's interval.
fn share(share: Share) -> String {
    if share.of == 0 {
        return "-".to_owned();
    }
    format!("{} [{:.1} {:.1}]", percent(share.rate), 100.0 * share.low, 100.0 * share.high)
}

/// Two digits below 1 %, one above.
fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.01 {
        format!("{:.2} %", 100.0 * share)
    } else {
        format!("{:.1} %", 100.0 * share)
    }
}

/// Columns as wide as they need be, the first to the left, the others to the right.
fn table(text: &mut String, rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let width = *width;
            let _ = if at == 0 { write!(line, "{cell:<width$}") } else { write!(line, "  {cell:>width$}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_without_spaces() {
        let mut text = String::new();
        table(&mut text, &[heads(&["", "names"]), heads(&["a long one", "7"]), heads(&["b", "1,000"])]);
        assert_eq!(text, "            names\na long one      7\nb           1,000\n");
    }

    #[test]
    fn shares_are_written_with_as_many_digits_as_they_carry() {
        assert_eq!(
            [0.0, 0.00042, 0.0099, 0.546, 1.0].map(percent),
            ["0.0 %", "0.04 %", "0.99 %", "54.6 %", "100.0 %"]
        );
        assert_eq!(share(Share::new(0, 0)), "-");
        assert_eq!(share(Share::new(81, 263)), "30.8 % [25.5 36.6]");
    }
}
