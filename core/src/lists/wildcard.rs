//! Wildcard lists: `*.name` a line, as blocky, DNSCrypt and HaGeZi's lists have them.
//!
//! The surprise: `*.example.com` covers `example.com` too, as blocky reads it (in RPZ it does not). A name without
//! a star covers itself only, again as blocky reads it; a list of bare names that mean all below them is a plain
//! list. A `*` elsewhere makes a mask over the whole name, as DNSCrypt reads it: `ads*.example.*`. A line may also
//! be a `/regular expression/`. `#` and `!` start comments.

use super::pattern::{Pattern, Start};
use super::regex::between_slashes;
use super::{Conditions, Effect, Out, Rule, Scope, Trigger, Why, name_of, plain};

pub(super) fn line(line: &str, out: &mut Out) {
    // An expression may hold what starts a comment elsewhere.
    let whole = line.trim();
    if let Some(expression) = between_slashes(whole).filter(|_| !whole.starts_with("//")) {
        return match Pattern::regex(expression) {
            Ok(pattern) => out.rule(listed(pattern.into())),
            Err(why) => out.reject(whole, why),
        };
    }
    let rule = plain::without_comment(line);
    if rule.is_empty() {
        return;
    }
    match trigger(rule) {
        Ok(trigger) => out.rule(listed(trigger)),
        Err(why) => out.reject(rule, why),
    }
}

fn listed(trigger: Trigger) -> Rule {
    Rule { trigger, effect: Effect::Listed, conditions: Conditions::default() }
}

fn trigger(rule: &str) -> Result<Trigger, Why> {
    if rule.contains(char::is_whitespace) {
        return Err(Why::Words);
    }
    if let Some(name) = rule.strip_prefix("*.").filter(|name| !name.contains('*')) {
        return Ok(Trigger::Name(name_of(name)?, Scope::Suffix));
    }
    if !rule.contains('*') {
        return Ok(Trigger::Name(name_of(rule)?, Scope::Exact));
    }
    if rule.chars().filter(|character| !matches!(character, '*' | '.')).count() < 3 {
        return Err(Why::TooWide);
    }
    if rule.contains('/') {
        return Err(Why::Url);
    }
    Ok(Pattern::mask(Start::Name, rule, true)?.into())
}
