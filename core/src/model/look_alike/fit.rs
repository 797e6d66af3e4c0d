//! How the points of slips were fitted, and how the rule is judged.
//!
//! Made names (of brands drawn by rank) stand against clean names that are no brand's. Both are parted by the hash of
//! their registrable domain: one half is fitted on, the other judged on. Needs the training data: in `TEST_DATA`, else
//! beside the repository; without it nothing runs.
//!
//! ```text
//! cargo test -p dnsvet-core --lib points_fitted -- --ignored --nocapture    # what points.rs holds
//! cargo test -p dnsvet-core --lib rule_judged -- --ignored --nocapture      # rates, time, memory
//! MISSED=ascii cargo test ...                                               # and what was missed of a class
//! ```

use std::collections::HashSet;

use super::made::{TYPOS, combo, homograph, typing_error};
use super::typo::{LEVELS, Levels, slips};
use super::*;
use crate::model::Model;
use crate::model::fitting::{Dice, data};
use crate::model::near::hash;

/// Makes a name of a class and a brand's label.
type Make = fn(&str, &str, &mut Dice) -> Option<String>;

/// Names that are there to judge by.
struct World {
    brands: Brands,
    /// Ranks of brands that names are made of.
    imitated: Vec<u32>,
    /// Clean names that are no brand's, one of each registrable domain.
    clean: Vec<Name>,
    /// The same of names that stand in one list only: some may be malicious.
    single: Vec<Name>,
    /// Registrable domains of all benign names.
    known: HashSet<String>,
}

impl World {
    fn open() -> Option<Self> {
        let meta = data("benign-train-meta.tsv.gz")?;
        let meta = String::from_utf8_lossy(&meta);
        let rows: Vec<Vec<&str>> = meta.lines().map(|line| line.split('\t').collect()).collect();
        // The bundled brands are made of these rows.
        let popular =
            rows.iter().filter(|row| row[2] == "umbrella100k-2025" && row[3] == "clean").map(|row| row[0]);
        let mut seen = HashSet::new();
        let popular: Vec<String> = popular
            .filter_map(|text| Some(Name::parse(text).ok()?.registrable_domain()?.to_owned()))
            .filter(|registrable| seen.insert(registrable.clone()))
            .collect();
        let brands = Brands::from_popular(popular.iter().map(String::as_str));
        let mut known = seen.clone();
        let (mut clean, mut single) = (Vec::new(), Vec::new());
        for row in &rows {
            let Ok(name) = Name::parse(row[0]) else { continue };
            let Some(registrable) = name.registrable_domain() else { continue };
            known.insert(registrable.to_owned());
            if seen.insert(registrable.to_owned()) {
                if row[3] == "clean" { clean.push(name) } else { single.push(name) }
            }
        }
        let imitated =
            (0..brands.len() as u32).filter(|&rank| brands.ranked(rank).unwrap().label().len() >= 4);
        Some(Self { imitated: imitated.collect(), brands, clean, single, known })
    }

    /// Names made of brands among the first `ranks`; `least` is the length of the shortest.
    fn made(
        &self,
        class: &str,
        make: Make,
        many: usize,
        draw: impl Fn(&mut Dice) -> usize,
        least: usize,
        dice: &mut Dice,
    ) -> Vec<Name> {
        let mut made = Vec::new();
        for _ in 0..many * 50 {
            let at = draw(dice);
            let Some(brand) = self.imitated.get(at).and_then(|&rank| self.brands.ranked(rank)) else {
                continue;
            };
            let (label, own) = brand.registrable.split_once('.').unwrap();
            if label.len() < least {
                continue;
            }
            let suffix = if dice.roll(10) < 7 {
                own
            } else {
                dice.pick(&["com", "net", "org", "info", "xyz", "top", "co"])
            };
            let Some(text) = make(class, label, dice) else { continue };
            let Ok(name) = Name::parse(&format!("{text}.{suffix}")) else { continue };
            if name.registrable_domain().is_some_and(|domain| !self.known.contains(domain)) {
                made.push(name);
            }
            if made.len() == many {
                break;
            }
        }
        made
    }
}

fn is_judged(name: &Name) -> bool {
    name.registrable_domain().is_some_and(|domain| hash(domain.as_bytes(), &[]).is_multiple_of(2))
}

fn score(name: &Name, brands: &Brands) -> f64 {
    look_alike(name, brands).map_or(0.0, |found| found.score)
}

#[test]
#[ignore = "prints how the rule does; needs the training data"]
fn rule_judged() {
    let Some(world) = World::open() else { return };
    // The best of several runs: others use the machine too.
    let best = |work: &dyn Fn()| {
        let runs = (0..7).map(|_| {
            let started = std::time::Instant::now();
            work();
            started.elapsed()
        });
        runs.min().unwrap_or_default()
    };
    let found: Vec<(Option<LookAlike>, &Name)> =
        world.clean.iter().map(|name| (look_alike(name, &world.brands), name)).collect();
    let all = best(&|| world.clean.iter().for_each(|name| drop(look_alike(name, &world.brands))));
    let each = all.as_nanos() as usize / world.clean.len();
    let judged = found.iter().filter(|(_, name)| is_judged(name));
    let mut scores: Vec<f64> =
        judged.map(|(found, _)| found.as_ref().map_or(0.0, |found| found.score)).collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    let at = [1e-2, 1e-3].map(|rate| scores[(scores.len() as f64 * rate) as usize].max(1e-9));
    println!(
        "{each} ns a name; {} clean names, {} scored; thresholds {at:.3?}",
        found.len(),
        found.iter().filter(|(found, _)| found.is_some()).count()
    );
    let many = Brands::from_popular(world.known.iter().map(String::as_str));
    for brands in [&world.brands, &many] {
        let section = brands.encode();
        println!(
            "{} brands, {} exempt: {} bytes of index, decoded in {:?}",
            brands.len(),
            brands.exempt_len(),
            brands.index_bytes(),
            best(&|| drop(Brands::decode(&section)))
        );
    }
    let mut blocked: Vec<_> = found
        .iter()
        .filter(|(found, _)| found.as_ref().is_some_and(|found| found.score >= BLOCK_ABOVE))
        .collect();
    println!("{} blocked", blocked.len());
    for (found, name) in &blocked {
        println!("  {name} {found:?}");
    }
    blocked =
        found.iter().filter(|(found, _)| found.as_ref().is_some_and(|found| found.score >= at[1])).collect();
    println!("{} at 1e-3", blocked.len());
    for (found, name) in blocked.iter().take(100) {
        let found = found.as_ref().unwrap();
        println!("  {name} {} {} {:.3}", found.brand, found.how, found.score);
    }
    // What a model says of the same names, where MODEL_DVM is its file: both go into one score.
    let model = std::env::var("MODEL_DVM").ok().and_then(|path| std::fs::read(path).ok());
    let model = model.and_then(|bytes| Model::decode(&bytes).ok());
    let both = |name: &Name, model: &Model| {
        let odds = |score: f64| score / (1.0 - score) * 99.0;
        let model = model.score(model.logit(name.as_str()));
        (model / (1.0 - model)).max(odds(score(name, &world.brands)))
    };
    let both_at = model.as_ref().map(|model| {
        let mut scores: Vec<f64> =
            world.clean.iter().filter(|name| is_judged(name)).map(|name| both(name, model)).collect();
        scores.sort_by(|one, other| other.total_cmp(one));
        [1e-2, 1e-3].map(|rate| scores[(scores.len() as f64 * rate) as usize])
    });
    for name in &world.single {
        if let Some(found) = look_alike(name, &world.brands).filter(|found| found.score >= BLOCK_ABOVE) {
            println!("  of one list: {name} {found:?}");
        }
    }
    println!("log-odds of both: {:.2?}", both_at.map(|at| at.map(f64::ln)));
    let mut dice = Dice(7);
    let mut row = |class: &str, make: Make, ranks: usize, least: usize| {
        let made = world.made(class, make, 2000, |dice| dice.roll(ranks), least, &mut dice);
        let made: Vec<_> = made.iter().filter(|name| is_judged(name)).collect();
        let rate = at.map(|at| {
            let hit = made.iter().filter(|name| score(name, &world.brands) >= at).count();
            100.0 * hit as f64 / made.len().max(1) as f64
        });
        let with_model = both_at.map(|at| {
            at.map(|at| {
                let hit = made
                    .iter()
                    .filter(|name| model.as_ref().is_some_and(|model| both(name, model) >= at))
                    .count();
                100.0 * hit as f64 / made.len().max(1) as f64
            })
        });
        println!(
            "{class:14} first {ranks:5}, {least}+ letters: {:5.1} {:5.1}  of {}; with the model {with_model:5.1?}",
            rate[0],
            rate[1],
            made.len()
        );
        if std::env::var_os("MISSED").is_some_and(|which| which == class) {
            for name in made.iter().filter(|name| score(name, &world.brands) < at[1]).take(60) {
                println!("   {} {:?}", name, look_alike(name, &world.brands));
            }
        }
        rate
    };
    for (ranks, least) in [(500, 5), (1000, 4), (1000, 5), (2000, 5), (5000, 5), (5000, 4), (12000, 5)] {
        let rates: Vec<_> =
            TYPOS.iter().take(11).map(|class| row(class, typing_error, ranks, least)).collect();
        let mean = [0, 1].map(|which| rates.iter().map(|rate| rate[which]).sum::<f64>() / rates.len() as f64);
        println!("{:14} first {ranks:5}, {least}+ letters: {:5.1} {:5.1}", "TYPOS", mean[0], mean[1]);
    }
    for (ranks, least) in [(1000, 4), (5000, 4), (12000, 4)] {
        for class in ["cyrillic", "greek", "marks", "whole", "ascii"] {
            row(class, homograph, ranks, least);
        }
        for class in ["hyphenated", "joined"] {
            row(class, combo, ranks, least);
        }
    }
}

#[test]
fn made_names_are_found_where_clean_ones_pass() {
    let Some(world) = World::open() else { return };
    let mut scores: Vec<f64> = world.clean.iter().map(|name| score(name, &world.brands)).collect();
    scores.sort_by(|one, other| other.total_cmp(one));
    let at = [1e-2, 1e-3].map(|rate| scores[(scores.len() as f64 * rate) as usize].max(1e-9));
    let blocked = scores.iter().filter(|&&score| score >= BLOCK_ABOVE).count();
    assert!(scores.len() > 20_000 && blocked <= 2, "{blocked} of {} clean names are blocked", scores.len());

    let international = world.clean.iter().chain(&world.single).filter(|name| name.as_str().contains("xn--"));
    let blocked: Vec<_> = international.filter(|name| score(name, &world.brands) >= BLOCK_ABOVE).collect();
    assert!(blocked.is_empty(), "{blocked:?}");

    let mut dice = Dice(11);
    let mut rates = |classes: &[&str], make: Make| {
        let made: Vec<Name> = classes
            .iter()
            .flat_map(|class| world.made(class, make, 400, |dice| dice.roll(1000), 5, &mut dice))
            .filter(is_judged)
            .collect();
        at.map(|at| {
            made.iter().filter(|name| score(name, &world.brands) >= at).count() as f64 / made.len() as f64
        })
    };
    for (classes, make, least) in [
        (&TYPOS[..11], typing_error as Make, [0.95, 0.75]),
        (&["cyrillic", "greek", "marks", "whole"], homograph, [0.99, 0.97]),
        (&["ascii"], homograph, [0.9, 0.83]),
        (&["hyphenated", "joined"], combo, [0.9, 0.75]),
    ] {
        let rates = rates(classes, make);
        println!("{classes:?}: {rates:.3?}");
        assert!(rates[0] >= least[0] && rates[1] >= least[1], "{classes:?}: {rates:.3?}, not {least:?}");
    }
}

/// A candidate as the fit sees it.
struct Case {
    levels: Vec<Levels>,
    positive: bool,
    weight: f64,
    judged: bool,
}

#[test]
#[ignore = "prints the points of typing errors; needs the training data"]
fn points_fitted() {
    let Some(world) = World::open() else { return };
    let levels = |name: &Name| {
        let (label, suffix) = name.registrable_domain().unwrap().split_once('.').unwrap();
        let Some(skeleton) = Skeleton::of(label).filter(|skeleton| skeleton.plain == label) else {
            return Vec::new();
        };
        if world.brands.find(&skeleton.folded).is_some_and(|(brand, _)| brand.label() == label) {
            return Vec::new();
        }
        let slips = slips(&skeleton, suffix, &world.brands);
        slips.into_iter().map(|slip| slip.levels).collect::<Vec<_>>()
    };
    let mut dice = Dice(1);
    let mut cases = Vec::new();
    let mut made = Vec::new();
    // Most of them of the first thousand, so fame counts, but not as a cliff.
    let draw = |dice: &mut Dice| {
        let most = [500, 1000, 2000, 4000, 8000, 12000][dice.roll(6)];
        dice.roll(most)
    };
    for class in TYPOS {
        made.extend(world.made(
            class,
            typing_error,
            if class == "anykey" { 1500 } else { 4000 },
            draw,
            4,
            &mut dice,
        ));
    }
    made.extend(world.made("ascii", homograph, 8000, draw, 4, &mut dice));
    for (names, positive) in [(&world.clean, false), (&made, true)] {
        for name in names {
            let levels = levels(name);
            if !levels.is_empty() {
                cases.push(Case {
                    levels,
                    positive,
                    weight: 1.0 / names.len() as f64,
                    judged: is_judged(name),
                });
            }
        }
    }
    println!("{} cases, {} clean", cases.len(), cases.iter().filter(|case| !case.positive).count());
    let offsets: Vec<usize> = LEVELS
        .iter()
        .scan(1, |next, many| {
            let at = *next;
            *next += many;
            Some(at)
        })
        .collect();
    let width = 1 + LEVELS.iter().sum::<usize>();
    let mut weights = vec![0.0; width];
    let logit = |weights: &[f64], levels: &Levels| {
        weights[0] + levels.iter().zip(&offsets).map(|(level, offset)| weights[offset + level]).sum::<f64>()
    };
    for round in 0..40 {
        let (mut gradient, mut curve) = (vec![0.0; width], vec![vec![0.0; width]; width]);
        let mut loss = [0.0; 2];
        for case in &cases {
            let top = case
                .levels
                .iter()
                .max_by(|one, other| logit(&weights, one).total_cmp(&logit(&weights, other)))
                .unwrap();
            let p = crate::model::sigmoid(logit(&weights, top));
            let error = f64::from(u8::from(case.positive)) - p;
            loss[usize::from(case.judged)] -= case.weight * (1.0 - error.abs()).max(1e-9).ln();
            if case.judged {
                continue;
            }
            let on: Vec<usize> = std::iter::once(0)
                .chain(top.iter().zip(&offsets).map(|(level, offset)| offset + level))
                .collect();
            for &row in &on {
                gradient[row] += case.weight * error;
                for &column in &on {
                    curve[row][column] += case.weight * p * (1.0 - p);
                }
            }
        }
        let ridge = 2e-4;
        for (at, row) in curve.iter_mut().enumerate() {
            row[at] += ridge;
            gradient[at] -= ridge * weights[at];
        }
        let step = solve(curve, gradient);
        weights.iter_mut().zip(&step).for_each(|(weight, step)| *weight += step.clamp(-1.0, 1.0));
        if round % 10 == 9 {
            println!("round {round}: loss fitted {:.4}, judged {:.4}", loss[0], loss[1]);
        }
    }
    // The best level of each group counts nothing, so that points read as what is held against.
    let in_points = |weight: f64| (weight * 100.0).round() as i32;
    let mut base = weights[0];
    let mut lines = Vec::new();
    for (group, offset) in offsets.iter().enumerate() {
        let all = &weights[*offset..offset + LEVELS[group]];
        let best = all.iter().copied().fold(f64::MIN, f64::max);
        base += best;
        lines.push(format!("{:?}", all.iter().map(|weight| in_points(weight - best)).collect::<Vec<_>>()));
    }
    println!("pub(super) const BASE: i32 = {};", in_points(base));
    lines.iter().for_each(|line| println!("    &{line},"));
}

/// Solves a symmetric system by elimination.
fn solve(mut rows: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    let size = right.len();
    for pivot in 0..size {
        let (above, below) = rows.split_at_mut(pivot + 1);
        for (under, row) in below.iter_mut().enumerate() {
            let factor = row[pivot] / above[pivot][pivot];
            row.iter_mut().zip(&above[pivot]).for_each(|(value, other)| *value -= factor * other);
            right[pivot + 1 + under] -= factor * right[pivot];
        }
    }
    for row in (0..size).rev() {
        let known: f64 = (row + 1..size).map(|column| rows[row][column] * right[column]).sum();
        right[row] = (right[row] - known) / rows[row][row];
    }
    right
}
