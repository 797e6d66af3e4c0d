//! `dnsvet score`: names on standard input, scores on standard output.
//!
//! ```text
//! line -> name? -> batch -> one model | cascade (small, large where uncertain) | a running scorer -> line
//! ```

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use dnsvet_core::model::{Brands, Thresholds, UNLISTED_PRIOR, look_alike, shape, sigmoid};
use dnsvet_core::name::{Name, NameError};
use dnsvet_models::infer::{InferError, Scorer};
use dnsvet_models::registry::{Artifact, Registry, RegistryError};
use indicatif::{ProgressBar, ProgressStyle};

use super::scorer_client::{ClientError, ScorerClient};
use crate::bundled;

/// Names scored together; bounds memory.
const BATCH: usize = 8_192;

/// Score names: one a line on standard input, `name<TAB>score` on standard output.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The score is in [0, 1], higher is more malicious. Without --model it is the cascade's: the small
model's calibrated score, or the large one's where the small one is uncertain, or what the look-alike rule
or the name-shape rule (labels full of data, as tunnels write them) gives together with the model's doubt
where that is higher. A line that is no name goes to standard error with its number; the others are
scored, and the exit code is 1.

Examples:
  printf 'example.com\\nqx7-login.top\\n' | dnsvet score
  dnsvet score --model small --logit < names.txt > logits.tsv
  dnsvet score --scorer http://127.0.0.1:8600 < names.txt"
)]
pub struct Args {
    /// Score by this model alone: seed, small, large, or another of the registry
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Take models from this folder instead of those that come with dnsvet
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Print the model's logit (without --model, or of a scorer: log-odds) instead of the score
    #[arg(long)]
    logit: bool,
    /// Ask a running scorer: for every name with --model, else where the small model is uncertain
    #[arg(long, value_name = "URL", conflicts_with = "registry")]
    scorer: Option<String>,
}

/// Why nothing more is scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// Standard input or output is gone.
    #[error("standard input or output: {0}")]
    Stream(#[from] io::Error),
    /// The model can't be had.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The model does not run.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// The scorer does not answer as it should.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Reads names until the end of input.
pub fn run(args: Args) -> Result<ExitCode, ScoreError> {
    let mut source = Source::open(&args)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let progress = progress();
    let failed = score_lines(io::stdin().lock(), &mut out, &mut source, args.logit, &progress)?;
    progress.finish_and_clear();
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Scores each line that is a name; how many others there were. A line need not be UTF-8 to be told as bad.
fn score_lines(
    mut input: impl BufRead,
    out: &mut impl Write,
    source: &mut Source,
    logit: bool,
    progress: &ProgressBar,
) -> Result<usize, ScoreError> {
    let mut failed = 0usize;
    let mut batch: Vec<(usize, String)> = Vec::with_capacity(BATCH);
    let mut flush = |batch: &mut Vec<(usize, String)>, failed: &mut usize| -> Result<(), ScoreError> {
        let names: Vec<&str> = batch.iter().map(|(_, name)| name.as_str()).collect();
        for ((line, name), score) in batch.iter().zip(source.score(&names, logit)?) {
            match score {
                Ok(score) => writeln!(out, "{name}\t{}", significant(score))?,
                Err(reason) => {
                    *failed += 1;
                    eprintln!("line {line}: {name:?}: {reason}");
                }
            }
        }
        progress.inc(batch.len() as u64);
        batch.clear();
        Ok(())
    };
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let mut bad = |text: &str, why: &dyn Display| {
            failed += 1;
            eprintln!("line {number}: {:?}: {why}", text.trim());
        };
        match std::str::from_utf8(&line) {
            Ok(text) => match parse(text) {
                Ok(None) => {}
                Ok(Some(name)) => batch.push((number, name)),
                Err(error) => bad(text, &error),
            },
            Err(error) => bad(&String::from_utf8_lossy(&line), &error),
        }
        if batch.len() == BATCH {
            flush(&mut batch, &mut failed)?;
        }
    }
    flush(&mut batch, &mut failed)?;
    out.flush()?;
    Ok(failed)
}

/// The name on a line as it is scored; nothing on an empty line.
fn parse(line: &str) -> Result<Option<String>, NameError> {
    let line = line.trim();
    if line.is_empty() { Ok(None) } else { Ok(Some(Name::parse(line)?.as_str().to_owned())) }
}

/// Where scores come from.
enum Source {
    Model { model: Box<Runner> },
    Cascade { small: Box<Runner>, large: Larger, brands: Box<Brands> },
    Remote(Box<ScorerClient>),
}

/// Who scores what the small model leaves open.
enum Larger {
    Here(Box<Runner>),
    Remote(Box<ScorerClient>),
}

impl Larger {
    /// Log-odds for each name, or why there are none.
    fn log_odds(&mut self, names: &[&str]) -> Result<Vec<Result<f64, String>>, ScoreError> {
        Ok(match self {
            Self::Here(large) => {
                let logits = large.logits(names)?.into_iter();
                logits.map(|raw| Ok(large.log_odds(raw))).collect()
            }
            Self::Remote(client) => {
                client.score(names)?.into_iter().map(|score| score.map(log_odds)).collect()
            }
        })
    }
}

impl Source {
    fn open(args: &Args) -> Result<Self, ScoreError> {
        let remote = match &args.scorer {
            Some(url) => Some(Box::new(ScorerClient::new(url, args.model.clone())?)),
            None => None,
        };
        let registry = match &args.registry {
            Some(folder) => Registry::open(folder)?,
            None => Registry::bundled(),
        };
        let runner = |name: &str| Runner::new(registry.get(name)?).map(Box::new);
        Ok(match (&args.model, remote) {
            (Some(_), Some(client)) => Self::Remote(client),
            (Some(name), None) => Self::Model { model: runner(name)? },
            (None, remote) => {
                let names = bundled::brand_names()?;
                let names = String::from_utf8_lossy(&names);
                let brands = Box::new(Brands::from_popular(names.lines().filter(|line| !line.is_empty())));
                let large = match remote {
                    Some(client) => Larger::Remote(client),
                    None => Larger::Here(runner("large")?),
                };
                Self::Cascade { small: runner("small")?, large, brands }
            }
        })
    }

    /// One score, or log-odds, for each name; or why there is none.
    fn score(&mut self, names: &[&str], logit: bool) -> Result<Vec<Result<f64, String>>, ScoreError> {
        Ok(match self {
            Self::Remote(client) => {
                let scores = client.score(names)?.into_iter();
                scores.map(|score| score.map(|p| if logit { log_odds(p) } else { p })).collect()
            }
            Self::Model { model } => {
                let logits = model.logits(names)?.into_iter();
                logits.map(|raw| Ok(if logit { f64::from(raw) } else { model.score(raw) })).collect()
            }
            Self::Cascade { small, large, brands } => {
                let small_odds: Vec<f64> =
                    small.logits(names)?.into_iter().map(|raw| small.log_odds(raw)).collect();
                let uncertain: Vec<usize> =
                    (0..names.len()).filter(|&at| small.is_uncertain(small_odds[at])).collect();
                let asked: Vec<&str> = uncertain.iter().map(|&at| names[at]).collect();
                let mut odds: Vec<Result<f64, String>> = small_odds.into_iter().map(Ok).collect();
                for (at, answer) in uncertain.into_iter().zip(large.log_odds(&asked)?) {
                    odds[at] = answer;
                }
                let finish = |(odds, name): (Result<f64, String>, &&str)| {
                    let odds = with_rules(odds?, name, brands);
                    Ok(if logit { odds } else { sigmoid(odds) })
                };
                odds.into_iter().zip(names).map(finish).collect()
            }
        })
    }
}

/// How much a model's doubt counts against the look-alike rule: half, since a look-alike is made to read as what it
/// imitates, and a model that learnt the original takes it for that.
const DOUBT_OF_LOOK_ALIKE: f64 = 0.5;
/// What the name-shape rule and a model both read in labels full of data, log-odds: the rule tells it again.
const SHARED_WITH_SHAPE: f64 = 2.0;

/// A model's log-odds, or what a rule gives together with the model's doubt where that is higher. Both are evidence on
/// one name: a rule that fires on a name which the model knows for benign is most often wrong.
fn with_rules(odds: f64, name: &str, brands: &Brands) -> f64 {
    let Ok(name) = Name::parse(name) else { return odds };
    // A rule's score is a probability among unlisted names, a model's one at even shares.
    let even = |score: f64| log_odds(score) - log_odds(UNLISTED_PRIOR);
    let doubt = odds.min(0.0);
    let imitation = look_alike(&name, brands).map(|found| even(found.score) + DOUBT_OF_LOOK_ALIKE * doubt);
    let data = shape(&name).map(|found| even(found.score) - SHARED_WITH_SHAPE + doubt);
    [imitation, data].into_iter().flatten().fold(odds, f64::max)
}

/// A model on every core.
struct Runner {
    artifact: Artifact,
    scorers: Vec<Box<dyn Scorer>>,
}

impl Runner {
    fn new(artifact: Artifact) -> Result<Self, ScoreError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let backend = artifact.best_backend();
        let scorers = (0..cores).map(|_| artifact.scorer(backend)).collect::<Result<_, _>>()?;
        Ok(Self { artifact, scorers })
    }

    fn logits(&mut self, names: &[&str]) -> Result<Vec<f32>, InferError> {
        let mut logits = vec![0.0; names.len()];
        let share = names.len().div_ceil(self.scorers.len()).max(1);
        thread::scope(|scope| {
            let parts = names.chunks(share).zip(logits.chunks_mut(share));
            let running: Vec<_> = self
                .scorers
                .iter_mut()
                .zip(parts)
                .map(|(scorer, (names, logits))| scope.spawn(move || scorer.score(names, logits)))
                .collect();
            running.into_iter().try_for_each(|part| match part.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })?;
        Ok(logits)
    }

    fn log_odds(&self, logit: f32) -> f64 {
        let scale = self.artifact.manifest.calibration;
        scale.slope * f64::from(logit) + scale.intercept
    }

    fn score(&self, logit: f32) -> f64 {
        sigmoid(self.log_odds(logit))
    }

    /// Whether the filter would ask the larger model, by the probability at the declared prior.
    fn is_uncertain(&self, odds: f64) -> bool {
        let manifest = &self.artifact.manifest;
        let p = sigmoid(odds + log_odds(manifest.prior) - log_odds(manifest.calibration.balance));
        let Thresholds { allow_below, block_above } = manifest.thresholds.into();
        p >= allow_below && p < block_above
    }
}

/// The log-odds of a probability, kept finite.
fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1e-12, 1.0 - 1e-12);
    (p / (1.0 - p)).ln()
}

/// Nine significant digits, without zeros at the end.
fn significant(value: f64) -> String {
    if value == 0.0 || !(1e-5..1e9).contains(&value.abs()) {
        return format!("{value:.8e}");
    }
    let decimals = 8 - value.abs().log10().floor() as i32;
    let text = format!("{value:.*}", usize::try_from(decimals).unwrap_or(0));
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Names so far, on standard error, when a person waits there and doesn't type the names in.
fn progress() -> ProgressBar {
    if io::stdin().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} names, {per_sec}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_significant_digits_are_printed() {
        assert_eq!(significant(0.999_178_268_4), "0.999178268");
        assert_eq!(significant(1.0), "1");
        assert_eq!(significant(-82.686_412_345_6), "-82.6864123");
        assert_eq!(significant(0.000_123_456_789_4), "0.000123456789");
        assert_eq!(significant(0.0), "0.00000000e0");
        assert_eq!(significant(1.234_567_891e-7), "1.23456789e-7");
    }

    #[test]
    fn a_rule_is_believed_less_where_the_model_knows_the_name_for_benign() {
        let brands = Brands::from_popular(["paypal.com"]);
        let at = |odds| with_rules(odds, "paypa1.com", &brands);
        assert!(at(0.0) > 2.0, "{}", at(0.0));
        assert!((at(0.0) - at(-3.0) - 1.5).abs() < 1e-9, "half of the doubt");
        assert!((at(0.0) - at(1.0)).abs() < 1e-9, "no support from the model");
        assert_eq!(at(20.0), 20.0);
        assert_eq!(with_rules(-3.0, "unlike.example", &brands), -3.0);
    }

    #[test]
    fn a_line_that_is_no_text_is_counted_and_the_others_are_scored() {
        let args = Args { model: Some("small".into()), registry: None, logit: false, scorer: None };
        let (mut source, mut out) = (Source::open(&args).unwrap(), Vec::new());
        let input = &b"first.example\n\xff\xfe.example\n\na..b\r\nlast.example"[..];
        let failed = score_lines(input, &mut out, &mut source, false, &ProgressBar::hidden()).unwrap();
        let out = String::from_utf8(out).unwrap();
        let names: Vec<&str> = out.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!((names, failed), (vec!["first.example", "last.example"], 2));
    }

    #[test]
    fn the_cascade_asks_the_large_model_where_the_small_one_is_uncertain() {
        let args = |model: Option<&str>| Args {
            model: model.map(str::to_owned),
            registry: None,
            logit: false,
            scorer: None,
        };
        let names: Vec<String> = dnsvet_models::data::dga::names(2_000, 4)
            .into_iter()
            .chain((0..500).map(|i| format!("shop{i}.example.de")))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let scores = |model: Option<&str>| -> Vec<f64> {
            let scores = Source::open(&args(model)).unwrap().score(&names, false).unwrap();
            scores.into_iter().map(Result::unwrap).collect()
        };
        let (small, large, cascade) = (scores(Some("small")), scores(Some("large")), scores(None));
        let same = |a: &[f64]| cascade.iter().zip(a).filter(|(a, b)| (*a - *b).abs() < 1e-12).count();
        assert!(same(&small) > 0 && same(&large) > 0);
        assert!((0..names.len()).all(|i| cascade[i] > small[i].min(large[i]) - 1e-12));
        let imitation = Source::open(&args(None)).unwrap().score(&["paypa1.com"], false).unwrap();
        assert!(imitation[0].as_ref().is_ok_and(|score| *score >= 0.9), "{imitation:?}");
    }

    #[test]
    fn a_name_full_of_data_gets_the_name_shapes_score_less_what_the_model_has_read_too() {
        let args = Args { model: None, registry: None, logit: true, scorer: None };
        let mut source = Source::open(&args).unwrap();
        let data = "mfrggzdfmztwq2lknnwg23tpobyxe43uov3ho6dzpiydcmrtgq2tmnzyha4q";
        let tunnel = format!("{data}.{data}.corner-shop.com");
        let found = shape(&Name::parse(&tunnel).unwrap()).unwrap();
        let even = log_odds(found.score) - log_odds(UNLISTED_PRIOR);
        let scores = source.score(&[&tunnel, "www.corner-shop.com"], true).unwrap();
        let scores: Vec<f64> = scores.into_iter().map(Result::unwrap).collect();
        assert!(scores[0] >= even - SHARED_WITH_SHAPE && even > 4.0, "{scores:?}, {even}");
        assert!(
            scores[1] < even && shape(&Name::parse("www.corner-shop.com").unwrap()).is_none(),
            "{scores:?}"
        );
    }
}
