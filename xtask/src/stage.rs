//! The stages of `cargo xtask test`: one line each, live, and the sum at the end.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::libtest::Counts;

/// What a stage found.
pub struct Outcome {
    /// Its tests, or itself as one.
    pub counts: Counts,
    /// What is printed under its line: the failing output, or a note.
    pub text: String,
}

impl Outcome {
    /// A stage that is one test, and held.
    pub fn passed() -> Self {
        Self::noted(String::new())
    }

    /// A stage that is one test, and held, with something to say.
    pub fn noted(text: String) -> Self {
        Self { counts: Counts { passed: 1, ..Counts::default() }, text }
    }

    /// A stage that is one test, and failed.
    pub fn failed(text: String) -> Self {
        Self { counts: Counts { failed: 1, ..Counts::default() }, text }
    }
}

/// Runs stages one after another; a failed one does not stop the next.
#[derive(Default)]
pub struct Stages {
    sum: Counts,
    failed: Vec<String>,
    only: Vec<String>,
}

impl Stages {
    /// Runs only the stages with these names; all if there are none.
    pub fn only(names: &[String]) -> Self {
        Self { only: names.to_vec(), ..Self::default() }
    }

    /// Runs one stage. Its line appears at once and is completed when it ends.
    pub fn run(&mut self, name: &str, stage: impl FnOnce() -> Result<Outcome, Error>) {
        if !self.only.is_empty() && !self.only.iter().any(|only| only == name) {
            return;
        }
        let start = Instant::now();
        let line = Line::start(name, start);
        let outcome = stage().unwrap_or_else(|error| Outcome::failed(error.to_string()));
        line.stop();
        let word = if outcome.counts.failed == 0 { "ok" } else { "FAILED" };
        println!("{word:<7} {:>7.1} s   {}", start.elapsed().as_secs_f64(), outcome.counts);
        for text in outcome.text.lines() {
            println!("    {text}");
        }
        if outcome.counts.failed > 0 {
            self.failed.push(name.to_owned());
        }
        self.sum.add(outcome.counts);
    }

    /// Prints the sum as the last line; returns whether all held.
    pub fn finish(self) -> bool {
        if !self.failed.is_empty() {
            println!("failed: {}", self.failed.join(", "));
        }
        println!("{}", self.sum);
        self.sum.failed == 0
    }
}

/// The line of a running stage; on a terminal its seconds count up.
struct Line {
    ended: Arc<AtomicBool>,
    counter: Option<std::thread::JoinHandle<()>>,
    text: String,
}

impl Line {
    fn start(name: &str, start: Instant) -> Self {
        let text = format!("{name:<28}");
        print!("{text}");
        let _ = std::io::stdout().flush();
        let ended = Arc::new(AtomicBool::new(false));
        let counter = std::io::stdout().is_terminal().then(|| {
            let (ended, text) = (ended.clone(), text.clone());
            std::thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    print!("\r{text}        {:>7.0} s", start.elapsed().as_secs_f64());
                    let _ = std::io::stdout().flush();
                    std::thread::park_timeout(Duration::from_millis(500));
                }
            })
        });
        Self { ended, counter, text }
    }

    fn stop(self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(counter) = self.counter {
            counter.thread().unpark();
            let _ = counter.join();
            print!("\r{}", self.text);
        }
    }
}
