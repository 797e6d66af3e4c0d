//! Runs the commands that the documentation shows, and compares what they print with what it promises.
//!
//! A fenced block that opens with `sh run` is run line by line; a block `text expect` after it holds lines that
//! must come in that order, `...` standing for anything.

use std::path::Path;

use crate::error::Error;
use crate::libtest::Counts;
use crate::stage::Outcome;
use crate::{shell, workspace};

/// The documents with commands.
const DOCUMENTS: [&str; 2] = ["README.md", "CONTRIBUTING.md"];

/// A command and what it must print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shown {
    command: String,
    expected: Vec<String>,
}

/// Runs all of them.
pub fn check() -> Result<Outcome, Error> {
    let mut counts = Counts::default();
    let mut text = Vec::new();
    for document in DOCUMENTS {
        let path = workspace::root().join(document);
        let content = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        for (index, shown) in blocks(&content).into_iter().enumerate() {
            match run(&shown, document, index) {
                Ok(()) => counts.passed += 1,
                Err(error) => {
                    counts.failed += 1;
                    text.push(format!("{document}: `{}`: {error}", shown.command));
                }
            }
        }
    }
    if counts.passed + counts.failed == 0 {
        return Ok(Outcome::failed("no command to run in the documents".into()));
    }
    Ok(Outcome { counts, text: text.join("\n") })
}

fn run(shown: &Shown, document: &str, index: usize) -> Result<(), Error> {
    let name =
        format!("docs-{}-{index}", Path::new(document).file_stem().unwrap_or_default().to_string_lossy());
    let mut bash = shell::command("bash");
    let debug = workspace::target().join("debug");
    let path = std::env::var("PATH").unwrap_or_default();
    bash.args(["-euo", "pipefail", "-c", &shown.command]).env("PATH", format!("{}:{path}", debug.display()));
    let printed = shell::logged(&name, &mut bash)?.checked()?;
    match missing(&printed, &shown.expected) {
        None => Ok(()),
        Some(line) => {
            Err(Error::Found(vec![format!("printed no line like `{line}`:\n{}", shell::tail(&printed))]))
        }
    }
}

fn blocks(content: &str) -> Vec<Shown> {
    let mut found: Vec<Shown> = Vec::new();
    let mut lines = content.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else { continue };
        let body: Vec<String> = lines.by_ref().take_while(|line| *line != "```").map(str::to_owned).collect();
        match info {
            "sh run" => found.push(Shown { command: body.join("\n"), expected: Vec::new() }),
            "text expect" => {
                if let Some(last) = found.last_mut() {
                    last.expected = body;
                }
            }
            _ => {}
        }
    }
    found
}

/// The first expected line that does not come, in order.
fn missing<'a>(printed: &str, expected: &'a [String]) -> Option<&'a str> {
    let mut lines = printed.lines();
    let mut wanted = expected.iter().filter(|line| !line.trim().is_empty() && line.trim() != "...");
    wanted.find(|pattern| !lines.by_ref().any(|line| fits(line, pattern))).map(String::as_str)
}

/// Whether a line has the pattern's words, with `...` for any number of them.
fn fits(line: &str, pattern: &str) -> bool {
    let mut words = line.split_whitespace();
    let mut gap = true;
    for word in pattern.split_whitespace() {
        if word == "..." {
            gap = true;
            continue;
        }
        let found = if gap { words.any(|other| other == word) } else { words.next() == Some(word) };
        if !found {
            return false;
        }
        gap = false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_taken_with_the_output_that_follows_and_others_are_left() {
        let content = "```sh\nrm -rf /\n```\n```sh run\necho a\n```\ntext\n```text expect\na\n...\n```\n";
        let expected = Shown { command: "echo a".into(), expected: vec!["a".into(), "...".into()] };
        assert_eq!(blocks(content), [expected]);
    }

    #[test]
    fn expected_lines_come_in_order_and_dots_stand_for_anything() {
        let printed = "one  two 17 ms\nnoise\nlast line";
        let missing_of = |lines: &[&str]| {
            let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            missing(printed, &lines).map(str::to_owned)
        };
        assert_eq!(missing_of(&["one two ... ms", "last line"]), None);
        assert_eq!(missing_of(&["last line", "one ..."]), Some("one ...".into()));
        assert_eq!(missing_of(&["one 17 ms"]), Some("one 17 ms".into()));
    }
}
