//! `cargo xtask fuzz`: libFuzzer looks for inputs that break what must hold of `core` for any bytes.
//!
//! ```text
//! tests/fuzz/corpora/TARGET ─┐
//! target/fuzz/seeds/TARGET  ─┴─► libFuzzer ─► target/fuzz/grown/TARGET: what reaches more code
//!                                    │               └─ --keep: the fewest that reach as much, into corpora
//!                                    └─► target/fuzz/found/TARGET: what breaks it
//! ```
//!
//! The fuzzer is built by the stable toolchain: LLVM's coverage pass is told to run by flags, without a sanitizer,
//! since there is no unsafe code to watch.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::libtest::Counts;
use crate::stage::Outcome;
use crate::system::{self, Tool};
use crate::{shell, workspace};

/// Minutes for each target, unless said otherwise.
pub const MINUTES: f64 = 10.0;
/// What makes LLVM count which code ran and note what was compared, as `cargo fuzz` does.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
/// Inputs are not grown past this, bytes, unless a kept one is longer.
const USUAL_BYTES: u64 = 4_096;
/// An input that takes longer is a finding, seconds.
const MOST_SECONDS: u32 = 20;
/// A target that takes more memory is a finding, MiB.
const MOST_MIB: u32 = 2_048;
/// The most inputs that are kept of a target, of all lengths, and their bytes.
const MOST_KEPT: usize = 400;
const MOST_KEPT_BYTES: u64 = 112 << 10;
/// Between two reports of how far it is.
const REPORT: Duration = Duration::from_secs(60);
/// How many lines of a finding are shown.
const SHOWN_LINES: usize = 12;

/// Feed any bytes to the parsers of core and check what must hold of them.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz                       all targets, 10 minutes each, as many at once as there are cores
  cargo xtask fuzz lists --minutes 1
  cargo xtask fuzz lists --input target/fuzz/found/lists/crash-1a2b3c
  cargo xtask fuzz --minutes 30 --keep   and put the inputs that reach more code into tests/fuzz/corpora")]
pub struct Args {
    /// A folder of tests/fuzz/corpora; all of them, if left out.
    target: Option<String>,
    /// Minutes for each target.
    #[arg(long, default_value_t = MINUTES, value_name = "N")]
    minutes: f64,
    /// Keep the fewest inputs that reach as much code as all that were found, in the repository.
    #[arg(long)]
    keep: bool,
    /// Run the target over this file alone, once.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with_all = ["minutes", "keep"])]
    input: Option<PathBuf>,
}

/// Builds and runs what was asked for.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let known = targets()?;
    let chosen = match &args.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => {
            let what = format!("no target {name:?}");
            return Err(Error::Missing { what, remedy: format!("there are: {}", known.join(", ")) });
        }
    };
    let fuzzer = Fuzzer::build()?;
    if let (Some(input), Some(target)) = (&args.input, chosen.first()) {
        let input = std::path::absolute(input).map_err(Error::file(input))?;
        return shell::show(fuzzer.command(target).arg(input)).map(|()| ExitCode::SUCCESS);
    }
    let time = duration(args.minutes)?;
    let found = fuzzer.run_all(&chosen, time)?;
    if args.keep {
        for target in &chosen {
            println!("{target:<10} {}", fuzzer.keep(target)?);
        }
    }
    found.iter().for_each(|finding| println!("\n{finding}"));
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All targets, as a stage of `cargo xtask test --long`.
pub fn stage() -> Result<Outcome, Error> {
    let targets = targets()?;
    println!();
    let found = Fuzzer::build()?.run_all(&targets, duration(MINUTES)?)?;
    let failed = found.len() as u64;
    let passed = (targets.len() as u64).saturating_sub(failed);
    Ok(Outcome { counts: Counts { passed, failed, skipped: 0 }, text: found.join("\n") })
}

fn duration(minutes: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| Error::Missing {
        what: format!("{minutes} minutes can't be waited for"),
        remedy: "give a number from 0 on".into(),
    })
}

fn corpora() -> PathBuf {
    workspace::root().join("tests/fuzz/corpora")
}

/// What one run makes, under `target/`.
fn folder(what: &str, target: &str) -> Result<PathBuf, Error> {
    let folder = workspace::target().join("fuzz").join(what).join(target);
    std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
    Ok(folder)
}

/// The targets: each has a folder of inputs.
fn targets() -> Result<Vec<String>, Error> {
    let mut names: Vec<String> = files(&corpora())?
        .iter()
        .filter(|path| path.is_dir())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::file(folder))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

/// The built fuzzer, and the folder of its seeds.
struct Fuzzer {
    binary: PathBuf,
    seeds: PathBuf,
}

impl Fuzzer {
    fn build() -> Result<Self, Error> {
        system::ensure(&[Tool { program: "g++", package: "g++" }], "the fuzzer")?;
        let version = shell::output(shell::command("rustc").arg("-vV"))?;
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        let seeds = workspace::target().join("fuzz/seeds");
        let mut make = shell::cargo();
        make.args(["run", "--quiet", "--package", "dnsvet-fuzz", "--bin", "dnsvet-fuzz-seeds", "--"])
            .arg(&seeds);
        shell::logged("fuzz-seeds", &mut make)?.checked()?;
        let mut build = shell::cargo();
        build.args(["build", "--package", "dnsvet-fuzz", "--bin", "dnsvet-fuzz", "--features", "libfuzzer"]);
        // With a target named, the flags are for it alone and not for build scripts.
        build.args(["--profile", "fuzz", "--target", &host]);
        build.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", COVERAGE.join(" "));
        shell::logged("fuzz-build", &mut build)?.checked()?;
        let binary = workspace::target().join(host).join("fuzz/dnsvet-fuzz");
        Ok(Self { binary, seeds })
    }

    fn command(&self, target: &str) -> std::process::Command {
        let mut command = shell::command(&self.binary);
        command.env("DNSVET_FUZZ", target);
        command
    }

    /// Runs targets, as many at once as there are cores; returns what was found.
    fn run_all(&self, targets: &[String], time: Duration) -> Result<Vec<String>, Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut waiting: VecDeque<&String> = targets.iter().collect();
        let (mut running, mut found) = (Vec::new(), Vec::new());
        let mut reported = Instant::now();
        loop {
            while running.len() < cores
                && let Some(target) = waiting.pop_front()
            {
                running.push(Run::start(self, target, time)?);
            }
            if running.is_empty() {
                return Ok(found);
            }
            let mut going = Vec::with_capacity(running.len());
            for mut run in running {
                match run.child.try_wait().map_err(Error::file(&self.binary))? {
                    None => going.push(run),
                    Some(status) => {
                        println!("{}", run.line());
                        found.extend((!status.success()).then(|| run.finding()));
                    }
                }
            }
            running = going;
            if reported.elapsed() >= REPORT {
                running.iter().for_each(|run| println!("{}", run.line()));
                reported = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Where the inputs of a target come from.
    fn inputs(&self, target: &str) -> Result<[PathBuf; 3], Error> {
        Ok([folder("grown", target)?, corpora().join(target), self.seeds.join(target)])
    }

    /// Replaces the kept inputs of a target by the fewest that reach as much code as all together. Those that a
    /// person gave a name stay.
    fn keep(&self, target: &str) -> Result<String, Error> {
        let fewest = folder("fewest", target)?;
        std::fs::remove_dir_all(&fewest).map_err(Error::file(&fewest))?;
        std::fs::create_dir_all(&fewest).map_err(Error::file(&fewest))?;
        let inputs = self.inputs(target)?;
        let longest = longest(&inputs[1..])?.max(USUAL_BYTES);
        let mut merge = self.command(target);
        merge.args(["-set_cover_merge=1", "-use_counters=0", &format!("-max_len={longest}")]);
        merge.arg(&fewest).args(&inputs);
        shell::logged(&format!("fuzz-keep-{target}"), &mut merge)?.checked()?;
        let corpus = corpora().join(target);
        for old in files(&corpus)?.iter().filter(|path| is_hash(path)) {
            std::fs::remove_file(old).map_err(Error::file(old))?;
        }
        let mut sized = Vec::new();
        for new in files(&fewest)? {
            sized.push((new.metadata().map_err(Error::file(&new))?.len(), new));
        }
        sized.sort();
        let mut room = MOST_KEPT_BYTES;
        let step = sized.len().div_ceil(MOST_KEPT).max(1);
        for (bytes, new) in sized.into_iter().step_by(step) {
            let Some(rest) = room.checked_sub(bytes) else { break };
            room = rest;
            let to = corpus.join(new.file_name().unwrap_or_default());
            std::fs::copy(&new, &to).map_err(Error::file(&new))?;
        }
        Ok(format!("{} inputs kept in {}", files(&corpus)?.len(), shown(&corpus)))
    }
}

/// Named by the fuzzer, after the SHA-1 of the content.
fn is_hash(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The longest file in these folders, bytes.
fn longest(folders: &[PathBuf]) -> Result<u64, Error> {
    let mut longest = 0;
    for folder in folders {
        let sizes = files(folder)?.into_iter().filter_map(|path| path.metadata().ok());
        longest = sizes.map(|meta| meta.len()).max().unwrap_or(0).max(longest);
    }
    Ok(longest)
}

/// A path as one would type it in the root of the repository.
fn shown(path: &Path) -> String {
    path.strip_prefix(workspace::root()).unwrap_or(path).display().to_string()
}

/// A target that runs.
struct Run {
    target: String,
    child: Child,
    log: PathBuf,
    start: Instant,
    time: Duration,
}

impl Run {
    fn start(fuzzer: &Fuzzer, target: &str, time: Duration) -> Result<Self, Error> {
        let inputs = fuzzer.inputs(target)?;
        let longest = longest(&inputs[1..])?.max(USUAL_BYTES);
        let log = workspace::target().join("xtask").join(format!("fuzz-{target}.log"));
        let file = File::create(&log).map_err(Error::file(&log))?;
        let again = file.try_clone().map_err(Error::file(&log))?;
        let mut command = fuzzer.command(target);
        command.arg(format!("-max_total_time={}", time.as_secs().max(1)));
        command.arg(format!("-max_len={longest}"));
        command.arg(format!("-timeout={MOST_SECONDS}")).arg(format!("-rss_limit_mb={MOST_MIB}"));
        command.arg(format!("-artifact_prefix={}/", folder("found", target)?.display()));
        command.args(["-print_final_stats=1", "-report_slow_units=5"]).args(&inputs);
        command.stdin(Stdio::null()).stdout(file).stderr(again);
        let start = Instant::now();
        let child = command.spawn().map_err(|source| {
            let program = fuzzer.binary.display().to_string();
            Error::Start { program, source }
        })?;
        Ok(Self { target: target.to_owned(), child, log, start, time })
    }

    /// How far it is, in a line.
    fn line(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let spent = self.start.elapsed().as_secs_f64() / 60.0;
        let most = self.time.as_secs_f64() / 60.0;
        format!("{:<10} {spent:>5.1} of {most:.1} min  {}", self.target, Progress::read(&text))
    }

    /// What broke, with the input and how to see it again.
    fn finding(&self) -> String {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned();
        let said = what_broke(&text).join("\n  ");
        let input = text.lines().find_map(|line| line.split("Test unit written to ").nth(1));
        match input.map(|path| shown(Path::new(path))) {
            Some(path) => format!(
                "{} breaks:\n  {said}\n  input:     {path}\n  reproduce: cargo xtask fuzz {} --input {path}\n  log:       {}",
                self.target,
                self.target,
                shown(&self.log)
            ),
            None => format!("{} failed:\n  {said}\n  log: {}", self.target, shown(&self.log)),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a log that say what went wrong: the panic, or what libFuzzer says.
fn what_broke(text: &str) -> Vec<&str> {
    let panic = text.lines().skip_while(|line| !line.contains("panicked at"));
    let until =
        |line: &&str| !line.starts_with("==") && !line.starts_with("note:") && !line.starts_with("stack");
    let said: Vec<&str> = panic.take_while(until).take(SHOWN_LINES).collect();
    if said.is_empty() {
        return text.lines().filter(|line| line.contains("ERROR")).take(SHOWN_LINES).collect();
    }
    said
}

/// The last thing that libFuzzer said of its progress.
#[derive(Debug, Default, PartialEq, Eq)]
struct Progress {
    executions: u64,
    edges: u64,
    inputs: u64,
}

impl Progress {
    fn read(text: &str) -> Self {
        let mut progress = Self::default();
        for line in text.lines() {
            if let Some(number) = line.strip_prefix("stat::number_of_executed_units:") {
                progress.executions = number.trim().parse().unwrap_or(progress.executions);
            } else if let Some(rest) = line.strip_prefix('#') {
                let mut words = rest.split_whitespace();
                progress.executions = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
                while let Some(word) = words.next() {
                    let number = |text: Option<&str>| text?.split('/').next()?.parse().ok();
                    match word {
                        "cov:" => progress.edges = number(words.next()).unwrap_or(0),
                        "corp:" => progress.inputs = number(words.next()).unwrap_or(0),
                        _ => {}
                    }
                }
            }
        }
        progress
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, edges, inputs } = self;
        write!(f, "{executions} executions, {edges} edges, {inputs} inputs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: Running with entropic power schedule (0xFF, 100).
#2\tINITED cov: 3 ft: 4 corp: 1/1b exec/s: 0 rss: 36Mb
#65536\tpulse  cov: 120 ft: 456 corp: 31/2048b lim: 80 exec/s: 21845 rss: 52Mb
thread '<unnamed>' panicked at tests/fuzz/src/lists.rs:30:5:
assertion failed: lines
note: run with `RUST_BACKTRACE=1`
==7== ERROR: libFuzzer: deadly signal
artifact_prefix='/x/'; Test unit written to /x/crash-1a
stat::number_of_executed_units: 70000
";

    #[test]
    fn progress_is_what_was_said_last() {
        assert_eq!(Progress::read(LOG), Progress { executions: 70_000, edges: 120, inputs: 31 });
        assert_eq!(Progress::read(""), Progress::default());
    }

    #[test]
    fn a_finding_is_shown_by_its_panic() {
        let said =
            ["thread '<unnamed>' panicked at tests/fuzz/src/lists.rs:30:5:", "assertion failed: lines"];
        assert_eq!(what_broke(LOG), said);
        let slow = "ALARM\n==7== ERROR: libFuzzer: timeout after 25 seconds\n";
        assert_eq!(what_broke(slow), ["==7== ERROR: libFuzzer: timeout after 25 seconds"]);
    }

    #[test]
    fn only_files_that_the_fuzzer_named_are_replaced() {
        assert!(is_hash(Path::new("corpora/lists/da39a3ee5e6b4b0d3255bfef95601890afd80709")));
        assert!(!is_hash(Path::new("corpora/lists/long-escaped-name")));
    }
}
