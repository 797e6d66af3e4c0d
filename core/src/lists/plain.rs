//! Plain lists: one name a line.
//!
//! `#`, `;`, `!` and `//` start a comment; `#` does so anywhere, since no name has one, the others at the start
//! of a line or behind white space. A name covers all below it; `*.name` is the same.

use super::{Out, Rule, Scope, Why, name_of, plain_name};

/// The line without its comment and without white space around.
pub(super) fn without_comment(line: &str) -> &str {
    let line = line.split_once('#').map_or(line, |(head, _)| head).trim();
    if line.starts_with([';', '!']) || line.starts_with("//") {
        return "";
    }
    if !line.contains([' ', '\t']) {
        return line;
    }
    let mut end = line.len();
    for mark in [";", "!", "//"] {
        let inline = line.match_indices(mark);
        let behind_space = |at: usize| line.get(..at).is_some_and(|head| head.ends_with([' ', '\t']));
        if let Some((at, _)) = inline.into_iter().find(|&(at, _)| behind_space(at)) {
            end = end.min(at);
        }
    }
    line.get(..end).unwrap_or(line).trim_end()
}

pub(super) fn line(line: &str, out: &mut Out) {
    if let Some(name) = plain_name(line) {
        return out.rule(Rule::listed(name, Scope::Suffix));
    }
    let rule = without_comment(line);
    if rule.is_empty() {
        return;
    }
    match name_of(rule.strip_prefix("*.").unwrap_or(rule)) {
        Ok(name) => out.rule(Rule::listed(name, Scope::Suffix)),
        Err(_) if rule.contains(char::is_whitespace) => out.reject(rule, Why::Words),
        Err(why) => out.reject(rule, why),
    }
}
