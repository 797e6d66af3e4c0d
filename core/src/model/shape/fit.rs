//! How the points were fitted, and how the rule is judged.
//!
//! Made names stand against benign ones. Clean names are parted by the hash of their registrable domain: one half is
//! fitted on, the other judged on; and some tools are left out of every fit. Needs the training data: in `TEST_DATA`,
//! else beside the repository; without it nothing runs.
//!
//! ```text
//! cargo test -p dnsvet-core --lib shape::fit::points_fitted -- --ignored --nocapture    # what points.rs holds
//! cargo test -p dnsvet-core --lib shape::fit::rule_judged -- --ignored --nocapture      # rates by tool, time
//! ```

use super::made::{EMPTY, FITTED, UNSEEN, made};
use super::points::WORDS;
use super::reading::{LEVELS, SYMBOLS, symbol_of};
use super::*;
use crate::model::fitting::{Dice, data};
use crate::model::near::hash;

/// Names made of each tool.
const MADE: usize = 3000;
/// How much more a benign name weighs, so that the fit minds the few that score high; taken out of the base again.
const HEAVY: f64 = 3.0;

struct Benign {
    name: Name,
    clean: bool,
}

fn benign() -> Option<Vec<Benign>> {
    let meta = data("benign-train-meta.tsv.gz")?;
    let meta = String::from_utf8_lossy(&meta);
    let rows = meta.lines().filter_map(|line| {
        let mut cells = line.split('\t');
        let name = Name::parse(cells.next()?).ok()?;
        Some(Benign { name, clean: cells.nth(2)? == "clean" })
    });
    Some(rows.collect())
}

fn is_judged(name: &Name) -> bool {
    name.registrable_domain().is_some_and(|domain| hash(domain.as_bytes(), &[]).is_multiple_of(2))
}

fn score(name: &Name) -> f64 {
    shape(name).map_or(0.0, |found| found.score)
}

/// The names of the suite, with their category.
fn suite() -> Vec<(String, Name)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/suite");
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let category = path.file_stem().unwrap().to_string_lossy().into_owned();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        names.extend(lines.map(|line| (category.clone(), Name::parse(line).unwrap())));
    }
    names
}

/// The scores that one clean name in a hundred and one in a thousand reaches, of those judged on.
fn thresholds(benign: &[Benign]) -> [f64; 2] {
    let judged = benign.iter().filter(|row| row.clean && is_judged(&row.name));
    let mut scores: Vec<f64> = judged.map(|row| score(&row.name)).collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    // Nothing said is no find, however few clean names have more.
    [1e-2, 1e-3].map(|rate| scores[(scores.len() as f64 * rate) as usize].max(1e-9))
}

#[test]
fn tools_are_found_where_clean_names_pass_and_the_suite_is_spared() {
    let suite = suite();
    let blocked: Vec<_> = suite.iter().filter(|(_, name)| score(name) >= 0.9).collect();
    assert!(suite.len() > 6_000 && blocked.is_empty(), "{blocked:?}");

    let Some(benign) = benign() else { return };
    let at = thresholds(&benign);
    for (tools, least) in [(&FITTED[..], [0.99, 0.95]), (&UNSEEN[..], [0.99, 0.95])] {
        let mut mean = [0.0; 2];
        for tool in tools {
            // Other dice than the fit's.
            let names = made(tool, 1000, &mut Dice(99));
            let rate = at.map(|at| names.iter().filter(|name| score(name) >= at).count() as f64 / 1000.0);
            assert!(rate[0] >= 0.97 && rate[1] >= 0.75, "{tool}: {rate:.3?}");
            mean = [0, 1].map(|which| mean[which] + rate[which] / tools.len() as f64);
        }
        println!("{mean:.4?} of {} tools at {at:.4?}", tools.len());
        assert!(mean[0] >= least[0] && mean[1] >= least[1], "{mean:.4?}, not {least:?}");
    }
}

#[test]
#[ignore = "prints how the rule does; needs the training data"]
fn rule_judged() {
    let Some(benign) = benign() else { return };
    let at = thresholds(&benign);
    let clean: Vec<&Benign> = benign.iter().filter(|row| row.clean).collect();
    println!(
        "thresholds {at:.4?} of {} clean names judged",
        clean.iter().filter(|row| is_judged(&row.name)).count()
    );
    let mut sums = [[0.0; 2]; 3];
    for (which, tools) in [&FITTED[..], &UNSEEN[..], &EMPTY[..]].into_iter().enumerate() {
        for tool in tools {
            // Other dice than the fit's.
            let names = made(tool, MADE, &mut Dice(99));
            let rate = [at[0], at[1], 0.5, 0.9]
                .map(|at| 100.0 * names.iter().filter(|name| score(name) >= at).count() as f64 / MADE as f64);
            println!(
                "{:7} {tool:22} {:6.2} {:6.2}   0.5: {:6.2}  0.9: {:6.2}  {}",
                ["fitted", "unseen", "empty"][which],
                rate[0],
                rate[1],
                rate[2],
                rate[3],
                names[0]
            );
            let missed: Vec<String> =
                names.iter().filter(|name| score(name) < at[1]).take(3).map(Name::to_string).collect();
            if std::env::var_os("MISSED").is_some() {
                println!("      {missed:?}");
            }
            sums[which][0] += rate[0] / tools.len() as f64;
            sums[which][1] += rate[1] / tools.len() as f64;
        }
    }
    println!("mean fitted {:.2?}, unseen {:.2?}", sums[0], sums[1]);
    for (word, least) in [("0.1 %", at[1]), ("0.5", 0.5), ("0.9", 0.9)] {
        let many = |judged: bool| {
            clean.iter().filter(|row| is_judged(&row.name) == judged && score(&row.name) >= least).count()
        };
        println!("clean at {word}: judged {}, fitted {}", many(true), many(false));
    }
    let mut worst: Vec<(f64, &Name)> = clean.iter().map(|row| (score(&row.name), &row.name)).collect();
    worst.sort_by(|one, other| other.0.total_cmp(&one.0));
    worst.iter().take(60).for_each(|(score, name)| println!("  {score:.4} {name}"));
    let suite = suite();
    let mut hit: Vec<_> = suite.iter().map(|(category, name)| (score(name), category, name)).collect();
    hit.sort_by(|one, other| other.0.total_cmp(&one.0));
    println!(
        "suite: {} names, {} at 0.5, {} at 0.9",
        suite.len(),
        hit.iter().filter(|row| row.0 >= 0.5).count(),
        hit.iter().filter(|row| row.0 >= 0.9).count()
    );
    let shown = std::env::var("SHOWN").ok().and_then(|many| many.parse().ok()).unwrap_or(40);
    hit.iter().take(shown).for_each(|row| println!("  {:.4} {} {}", row.0, row.1, row.2));
    let time = |names: &[&Name]| {
        let runs = (0..7).map(|_| {
            let started = std::time::Instant::now();
            names.iter().for_each(|name| {
                std::hint::black_box(shape(name));
            });
            started.elapsed().as_nanos() as usize / names.len()
        });
        runs.min().unwrap_or_default()
    };
    let ordinary: Vec<&Name> = clean.iter().map(|row| &row.name).collect();
    let tunnels = made("iodine base32", MADE, &mut Dice(5));
    println!(
        "{} ns a clean name, {} ns of iodine's; registrable domain alone {} ns",
        time(&ordinary),
        time(&tunnels.iter().collect::<Vec<_>>()),
        {
            let started = std::time::Instant::now();
            ordinary.iter().for_each(|name| {
                std::hint::black_box(name.registrable_domain());
            });
            started.elapsed().as_nanos() as usize / ordinary.len()
        }
    );
}

/// A name as the fit sees it.
struct Case {
    levels: Levels,
    /// The tool that writes such names; none for a benign one.
    tool: Option<&'static str>,
    clean: bool,
    weight: f64,
    judged: bool,
}

fn cases(benign: &[Benign]) -> Vec<Case> {
    let levels = |name: &Name| Some(Reading::of(before(name, name.registrable_domain()?)?)?.levels());
    let mut cases = Vec::new();
    let clean = benign.iter().filter(|row| row.clean).count() as f64;
    for row in benign {
        if let Some(levels) = levels(&row.name) {
            // Some of those in one list only are bad.
            let weight = HEAVY * if row.clean { 1.0 } else { 0.3 } / clean;
            cases.push(Case { levels, tool: None, clean: row.clean, weight, judged: is_judged(&row.name) });
        }
    }
    let mut dice = Dice(1);
    for tool in FITTED {
        for (at, name) in made(tool, MADE, &mut dice).iter().enumerate() {
            if let Some(levels) = levels(name) {
                let weight = 1.0 / (MADE * FITTED.len()) as f64;
                cases.push(Case { levels, tool: Some(tool), clean: false, weight, judged: at % 2 == 0 });
            }
        }
    }
    cases
}

/// Pairs of letters in labels of benign names, each label once, in eighths of a bit.
fn words(benign: &[Benign]) -> Vec<Vec<u8>> {
    let mut counts = vec![vec![0.5; SYMBOLS]; SYMBOLS];
    let mut seen = std::collections::HashSet::new();
    for row in benign.iter().filter(|row| !is_judged(&row.name)) {
        for label in row.name.labels().filter(|label| !label.starts_with("xn--")) {
            if !seen.insert(label) {
                continue;
            }
            let inner = label.bytes().map(symbol_of).filter(|&symbol| symbol < SYMBOLS);
            let all: Vec<usize> = std::iter::once(0).chain(inner).chain(std::iter::once(0)).collect();
            all.windows(2).for_each(|pair| counts[pair[0]][pair[1]] += 1.0);
        }
    }
    let digit = 10f64.log2();
    let row = |row: &Vec<f64>| {
        let all: f64 = row.iter().sum();
        let cost = |(to, many): (usize, &f64)| (all / many).log2() + if to == 27 { digit } else { 0.0 };
        row.iter().enumerate().map(|cell| (cost(cell) * 8.0).round().min(255.0) as u8).collect()
    };
    counts.iter().map(row).collect()
}

#[test]
#[ignore = "prints the table of pairs; needs the training data"]
fn words_counted() {
    let Some(benign) = benign() else { return };
    for row in words(&benign) {
        println!("    {row:?},");
    }
}

#[test]
#[ignore = "prints the points; needs the training data"]
fn points_fitted() {
    let Some(benign) = benign() else { return };
    assert!(
        WORDS.iter().zip(words(&benign)).all(|(held, counted)| held[..] == counted[..]),
        "count the words first"
    );
    let cases = cases(&benign);
    println!("{} cases, {} benign", cases.len(), cases.iter().filter(|case| case.tool.is_none()).count());
    let (base, weights) = fitted(&cases.iter().collect::<Vec<_>>());
    // The best level of each group counts nothing, so that points read as what is held against.
    let in_points = |weight: f64| (weight * 100.0).round() as i32;
    let best = |all: &Vec<f64>| all.iter().copied().fold(f64::MIN, f64::max);
    println!("BASE: {}", in_points(base + weights.iter().map(best).sum::<f64>()));
    for all in &weights {
        let best = best(all);
        println!("    &{:?},", all.iter().map(|weight| in_points(weight - best)).collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "prints how each tool is found by a fit without it; needs the training data"]
fn tools_left_out() {
    let Some(benign) = benign() else { return };
    let cases = cases(&benign);
    let clean = benign.iter().filter(|row| row.clean && is_judged(&row.name)).count();
    for out in FITTED {
        let (base, weights) = fitted(&cases.iter().filter(|case| case.tool != Some(out)).collect::<Vec<_>>());
        let sum =
            |case: &&Case| base + weights.iter().zip(case.levels).map(|(all, level)| all[level]).sum::<f64>();
        let judged = cases.iter().filter(|case| case.clean && case.judged);
        let mut sums: Vec<f64> = judged.map(|case| sum(&case)).collect();
        sums.sort_by(|one, other| other.total_cmp(one));
        let at = [1e-2, 1e-3].map(|rate| sums[((clean as f64 * rate) as usize).min(sums.len() - 1)]);
        let left: Vec<f64> =
            cases.iter().filter(|case| case.tool == Some(out)).map(|case| sum(&case)).collect();
        let rate = at.map(|at| 100.0 * left.iter().filter(|sum| **sum >= at).count() as f64 / MADE as f64);
        println!("left out {out:22} {:6.2} {:6.2}", rate[0], rate[1]);
    }
}

/// Logistic regression on levels: one Newton step for each weight in turn, until nothing moves.
fn fitted(cases: &[&Case]) -> (f64, Vec<Vec<f64>>) {
    let ridge = 3e-5;
    let mut weights: Vec<Vec<f64>> = LEVELS.iter().map(|&many| vec![0.0; many]).collect();
    let mut base = 0.0;
    let mut sums = vec![0.0; cases.len()];
    for round in 0..200 {
        let (mut gradient, mut curve, mut moved) = (0.0, 1e-9, 0f64);
        for (case, sum) in cases.iter().zip(&sums).filter(|(case, _)| !case.judged) {
            let p = sigmoid(*sum);
            gradient += case.weight * (f64::from(u8::from(case.tool.is_some())) - p);
            curve += case.weight * p * (1.0 - p);
        }
        let step: f64 = (gradient / curve).clamp(-0.5, 0.5);
        base += step;
        sums.iter_mut().for_each(|sum| *sum += step);
        for (group, weights) in weights.iter_mut().enumerate() {
            let mut each = vec![(0.0, ridge); weights.len()];
            for (case, sum) in cases.iter().zip(&sums).filter(|(case, _)| !case.judged) {
                let p = sigmoid(*sum);
                let (gradient, curve) = &mut each[case.levels[group]];
                *gradient += case.weight * (f64::from(u8::from(case.tool.is_some())) - p);
                *curve += case.weight * p * (1.0 - p);
            }
            let steps: Vec<f64> = each
                .iter()
                .zip(&*weights)
                .map(|((gradient, curve), weight)| ((gradient - ridge * weight) / curve).clamp(-0.5, 0.5))
                .collect();
            weights.iter_mut().zip(&steps).for_each(|(weight, step)| *weight += step);
            cases.iter().zip(&mut sums).for_each(|(case, sum)| *sum += steps[case.levels[group]]);
            moved = steps.iter().fold(moved, |most, step| most.max(step.abs()));
        }
        if round % 20 == 19 || moved < 1e-3 {
            let loss = |judged: bool| {
                let of = cases.iter().zip(&sums).filter(|(case, _)| case.judged == judged);
                of.map(|(case, sum)| {
                    case.weight * -sigmoid(if case.tool.is_some() { *sum } else { -sum }).max(1e-12).ln()
                })
                .sum::<f64>()
            };
            println!(
                "round {round}: loss fitted {:.5}, judged {:.5}, moved {moved:.4}",
                loss(false),
                loss(true)
            );
        }
        if moved < 1e-3 {
            break;
        }
    }
    (base + HEAVY.ln(), weights)
}
