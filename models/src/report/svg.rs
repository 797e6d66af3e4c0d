//! The report's pictures: the ROC curve near zero, the reliability diagram, recall by class.
//!
//! Plain SVG, written by hand: no script, no font to load. Each picture has a title and a description for who
//! can't see it, lines that differ by dashes too, and colours of its own for dark pages. The surprise: each
//! brings its background along, so it can be read on a page of any colour.

mod canvas;

use canvas::{Canvas, Frame};

use super::{Evidence, Report};

/// Baselines' bins with fewer names are not drawn.
const LEAST_OF_A_BIN: usize = 50;

/// Curves of the model and the baselines, x logarithmic.
pub fn roc(report: &Report) -> String {
    let model = &report.model;
    let clean = model.false_positives.clean.of;
    let desc = format!(
        "x: false-positive rate on {clean} clean names, 0.0001 to 0.1, logarithmic. y: share of malicious names \
         found. At 1 %: {}.",
        report.all().map(|e| format!("{} {}", e.label, percent(found(e)))).collect::<Vec<_>>().join(", ")
    );
    let mut canvas = Canvas::new(720, 480, &format!("ROC near zero: {}", model.label), &desc);
    let frame = Frame { left: 70.0, top: 50.0, right: 700.0, bottom: 420.0 };
    let x = |rate: f64| frame.x((rate.log10() + 4.0) / 3.0);
    // Below one clean name no rate can be told from another.
    if clean > 0 {
        let least = x((1.0 / clean as f64).clamp(1e-4, 1e-1));
        canvas.band(&frame, frame.left, least, &format!("left of 1 in {clean}: no clean name passes"));
    }
    for (rate, label) in [(1e-4, "0.01 %"), (1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %")] {
        canvas.tick_x(&frame, x(rate), label);
    }
    canvas.shares_y(&frame);
    canvas.axes(&frame, "false-positive rate, clean names", "malicious names found");
    // The model last, above the others.
    for (series, evidence) in series(report).into_iter().rev() {
        let points = evidence.roc.iter().map(|point| (x(point.rate), frame.y(point.found)));
        canvas.curve(series, &points.collect::<Vec<_>>());
    }
    legend(&mut canvas, report, frame.left + 14.0, frame.top + 16.0, |e| {
        format!("{}  AUC {:.3}", e.label, e.clean_auc.area)
    });
    canvas.finish()
}

/// Mean score against the share of malicious names, clean and malicious names weighing the same.
pub fn reliability(report: &Report) -> String {
    let model = &report.model;
    let off: Vec<String> = report
        .all()
        .map(|e| format!("{} {:.3}", e.label, e.reliability.expected_calibration_error))
        .collect();
    let desc = format!(
        "x: mean score of a bin. y: share of malicious names in it, where clean and malicious names weigh the \
         same. On the diagonal a score means what it says. Expected calibration error: {}.",
        off.join(", ")
    );
    let mut canvas = Canvas::new(560, 560, &format!("Reliability: {}", model.label), &desc);
    let frame = Frame { left: 70.0, top: 50.0, right: 540.0, bottom: 500.0 };
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        canvas.tick_x(&frame, frame.x(share), &format!("{share:.1}"));
    }
    canvas.shares_y(&frame);
    canvas.axes(&frame, "mean score of the bin", "malicious names in it");
    canvas.rule((frame.x(0.0), frame.y(0.0)), (frame.x(1.0), frame.y(1.0)));
    for (series, evidence) in series(report).into_iter().rev() {
        // The model's whiskers tell which of its bins say little; a baseline's line must leave them out.
        let bins = evidence.reliability.bins.iter().filter(|bin| series == 0 || bin.names >= LEAST_OF_A_BIN);
        let points = bins.map(|bin| (frame.x(bin.mean_score), frame.y(bin.malicious)));
        canvas.curve(series, &points.collect::<Vec<_>>());
    }
    for bin in &model.reliability.bins {
        let at = frame.x(bin.mean_score);
        canvas.whisker(at, frame.y(bin.low), frame.y(bin.high));
        canvas.dot(at, frame.y(bin.malicious), 3.0 + 8.0 * bin.weight.sqrt());
    }
    legend(&mut canvas, report, frame.left + 14.0, frame.top + 16.0, |e| {
        format!("{}  {:.3} off", e.label, e.reliability.expected_calibration_error)
    });
    canvas.finish()
}

/// Recall by class at three rates, with the intervals to quote ([`super::Recall::interval`]).
pub fn classes(report: &Report) -> String {
    let model = &report.model;
    let groups: Vec<_> = std::iter::once(&model.recall.pooled).chain(&model.recall.classes).collect();
    let said = groups.iter().map(|group| {
        let rates: Vec<String> = group.recall.iter().map(|recall| percent(recall.found.rate)).collect();
        format!("{} {}", group.label, rates.join(", "))
    });
    let desc = format!(
        "Malicious names found at false-positive rates of 1 %, 0.1 % and 0.01 % on clean names, with 95 % \
         intervals: {}.",
        said.collect::<Vec<_>>().join("; ")
    );
    let mut canvas = Canvas::new(720, 480, &format!("Found by class: {}", model.label), &desc);
    let frame = Frame { left: 70.0, top: 86.0, right: 700.0, bottom: 420.0 };
    canvas.shares_y(&frame);
    let slot = 1.0 / groups.len() as f64;
    for (at, group) in groups.iter().enumerate() {
        let start = at as f64 * slot;
        canvas.name_x(&frame, frame.x(start + slot / 2.0), &group.label, &format!("{} names", group.names));
        for (index, recall) in group.recall.iter().enumerate() {
            let (rate, [low, high]) = (recall.found.rate, recall.interval());
            let bar = |part: f64| frame.x(start + slot * (0.1 + 0.8 * (index as f64 + part) / 3.0));
            canvas.bar(index, (bar(0.08), bar(0.92)), frame.y(rate), frame.bottom);
            let middle = bar(0.5);
            canvas.whisker(middle, frame.y(low), frame.y(high));
            canvas.small(middle, frame.y(high) - 5.0, &format!("{:.0}", 100.0 * rate));
        }
    }
    canvas.axes(&frame, "", "malicious names found");
    for (index, words) in ["at 1 %", "at 0.1 %", "at 0.01 % of clean names flagged"].into_iter().enumerate() {
        canvas.swatch(index, frame.left + 110.0 * index as f64, 56.0, words);
    }
    canvas.finish()
}

/// The model is series 0.
fn series(report: &Report) -> Vec<(usize, &Evidence)> {
    report.all().enumerate().collect()
}

fn legend(canvas: &mut Canvas, report: &Report, x: f64, y: f64, words: impl Fn(&Evidence) -> String) {
    for (series, evidence) in series(report) {
        canvas.key(series, x, y + 19.0 * series as f64, &words(evidence));
    }
}

/// Of malicious names at 1 %.
fn found(evidence: &Evidence) -> f64 {
    evidence.recall.pooled.recall.first().map_or(0.0, |recall| recall.found.rate)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// Elements opened and closed in order, attributes quoted, nothing but known entities.
    fn check(svg: &str) -> usize {
        let (mut open, mut elements, mut rest) = (Vec::new(), 0, svg);
        while let Some(start) = rest.find('<') {
            let text = &rest[..start];
            assert!(!text.contains('>'), "a bare > in {text:?}");
            for entity in text.split('&').skip(1) {
                assert!(
                    ["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)),
                    "{entity}"
                );
            }
            let end = start + rest[start..].find('>').expect("a tag ends");
            let tag = &rest[start + 1..end];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else {
                elements += 1;
                let name = tag.split([' ', '/']).next().unwrap();
                if !tag.ends_with('/') {
                    open.push(name);
                }
            }
            rest = &rest[end + 1..];
        }
        assert!(open.is_empty() && rest.trim().is_empty(), "{open:?} {rest:?}");
        elements
    }

    #[test]
    fn pictures_are_well_formed_and_say_what_they_show() {
        let mut report = report();
        report.model.label = "a<b & \"c\"".into();
        for (svg, least) in [(roc(&report), 20), (reliability(&report), 30), (classes(&report), 30)] {
            assert!(check(&svg) >= least, "{svg}");
            assert!(
                svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n")
            );
            for part in [
                "<title",
                "<desc",
                "role=\"img\"",
                "a&lt;b &amp; &quot;c&quot;",
                "prefers-color-scheme: dark",
            ] {
                assert!(svg.contains(part), "{part}");
            }
            for never in ["<script", "NaN", "inf", "href", "url("] {
                assert!(!svg.contains(never), "{never}");
            }
        }
    }

    #[test]
    fn each_scorer_has_its_curve_and_each_bar_its_whisker() {
        let report = report();
        let scorers = report.all().count();
        assert_eq!(roc(&report).matches("<polyline").count(), scorers);
        let groups = 1 + report.model.recall.classes.len();
        assert_eq!(classes(&report).matches("class=\"whisker\"").count(), 3 * groups);
        let bins = report.model.reliability.bins.len();
        assert_eq!(reliability(&report).matches("<circle").count(), bins);
    }
}
