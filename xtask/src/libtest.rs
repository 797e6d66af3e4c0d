//! Sums up what `cargo test` printed.
//!
//! A test that can't run here prints a line `skipped: why` and returns; it counts as skipped, not as passed.

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Ran and held.
    pub passed: u64,
    /// Ran and did not hold.
    pub failed: u64,
    /// Did not run: ignored, or said `skipped:`.
    pub skipped: u64,
}

impl Counts {
    /// Adds another sum to this one.
    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Sums the `test result:` lines of a run with `--show-output`. A run that exited badly without saying which
/// test failed (it did not compile, it crashed) counts as one failure.
pub fn counts(text: &str, success: bool) -> Counts {
    let mut sum = Counts::default();
    let mut said = 0;
    for line in text.lines() {
        if let Some(result) = line.strip_prefix("test result: ") {
            sum.passed += number_before(result, " passed");
            sum.failed += number_before(result, " failed");
            sum.skipped += number_before(result, " ignored");
        } else if line.starts_with("skipped:") {
            said += 1;
        }
    }
    let moved = said.min(sum.passed);
    sum.passed -= moved;
    sum.skipped += moved;
    if !success && sum.failed == 0 {
        sum.failed = 1;
    }
    sum
}

fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split(word).next().unwrap_or_default();
    before.rsplit(' ').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// What a person wants to see of a failed run: compiler errors, failed tests and their output.
pub fn failures(text: &str) -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if line == "failures:" || line.starts_with("error") {
            inside = true;
        } else if line.starts_with("test result:") || line.trim_start().starts_with("Running ") {
            inside = false;
        }
        if inside || line.contains("panicked at") || line.ends_with("... FAILED") {
            kept.push(line);
        }
    }
    kept.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "\
running 3 tests
test a ... ok
test b ... ok
successes:
---- b stdout ----
skipped: no training data
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
failures:
---- c stdout ----
thread 'c' panicked at x.rs:1:1:
failures:
    c
test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s
";

    #[test]
    fn results_of_several_binaries_are_summed_and_skipped_tests_do_not_count_as_passed() {
        assert_eq!(counts(RUN, false), Counts { passed: 5, failed: 1, skipped: 2 });
        assert_eq!(counts(RUN, false).to_string(), "5 passed, 1 failed, 2 skipped");
    }

    #[test]
    fn a_run_that_crashed_is_a_failure_even_if_no_test_says_so() {
        assert_eq!(counts("error: could not compile", false), Counts { failed: 1, ..Counts::default() });
    }

    #[test]
    fn only_what_failed_is_shown() {
        let shown = failures(RUN);
        assert!(shown.contains("panicked at x.rs") && !shown.contains("successes"), "{shown}");
    }
}
