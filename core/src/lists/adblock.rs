//! Ad blockers' rules as AdGuard documents them for DNS, and what else stands in such lists: hosts lines and bare
//! names.
//!
//! ```text
//! ||ads.example^            listed, for ads.example and all below it
//! |ads.example^             for ads.example only; ads.example alone on a line is the same
//! @@||ok.example^           allows
//! ||ads.*^$dnstype=A        a mask: see [`pattern`](super::pattern)
//! /^ads?[0-9]+\./           a regular expression
//! ||x.example^$badfilter    takes back the rule ||x.example^ of any list
//! 0.0.0.0 ads.example       listed; with another address it answers that address
//! ```
//!
//! A line with a modifier that is not for DNS is reported and never blocks, as AdGuard wants it. Surprises: a mask
//! without `^` or `|` at its end is open there, so `||ads` covers `ads.example` and `adsorb.example`; an address
//! instead of a name (`||192.0.2.1^`) looks at the addresses of answers, as in AdGuard Home; a rewrite goes before
//! every exception (`$dnsrewrite` implies `$important`).

mod modifiers;

use std::net::IpAddr;

use self::modifiers::Modifiers;
use super::pattern::{Pattern, Start};
use super::regex::between_slashes;
use super::{Conditions, Effect, LocalData, Out, Rule, Scope, Trigger, Why, hosts, name_of, plain_name};
use crate::name::{Name, NameError};
use crate::policy::nets::canonical;

/// What parts a cosmetic rule's names from its body.
const COSMETIC: [&str; 12] =
    ["##", "#@#", "#?#", "#@?#", "#$#", "#@$#", "#$?#", "#@$?#", "#%#", "#@%#", "$$", "$@$"];

/// Whether the line is an ad blocker's and nobody else's.
pub(super) fn looks_like(line: &str) -> bool {
    (is_header(line) && ["[Ad", "[uB"].iter().any(|start| line.starts_with(start)))
        || line.starts_with("||")
        || line.starts_with("@@")
        || line.ends_with('^')
        || line.contains("^$")
        || (cosmetic(line) && !line.starts_with('#'))
}

/// `[Adblock Plus 2.0]` and its kin.
fn is_header(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']') && !line.starts_with("[$")
}

pub(super) fn line(line: &str, out: &mut Out) {
    let line = line.trim();
    if let Some(name) = whole_name(line) {
        return out.rule(Rule::listed(name, Scope::Suffix));
    }
    if line.is_empty() || line.starts_with('!') || is_header(line) {
        return;
    }
    if cosmetic(line) {
        return out.reject(line, Why::Cosmetic);
    }
    if line.starts_with('#') {
        return;
    }
    if hosts::starts_with_address(line) {
        return hosts_line(line, out);
    }
    match network(line) {
        Ok((rule, false)) => out.rule(rule),
        Ok((rule, true)) => out.revoke(rule),
        Err(why) => out.reject(line, why),
    }
}

/// The name of `||name^`, which nearly every line is.
fn whole_name(line: &str) -> Option<Name> {
    plain_name(line.strip_prefix("||")?.strip_suffix('^')?)
}

/// Whether it is a rule for what a page shows. A marker behind white space, or before it at the start of the line,
/// belongs to a comment.
fn cosmetic(line: &str) -> bool {
    let Some(first) = line.find(['#', '$']) else { return false };
    let body = line.get(first..).unwrap_or_default();
    if first == 0 {
        let behind = body.trim_start_matches('#');
        let comment = behind.is_empty() || behind.starts_with(char::is_whitespace);
        return !comment && body.starts_with('#') && COSMETIC.iter().any(|marker| body.starts_with(marker));
    }
    if between_slashes(line).is_some() || line.starts_with('/') {
        return false;
    }
    body.match_indices(['#', '$']).any(|(at, _)| {
        let behind_space = line.get(..first + at).is_some_and(|head| head.ends_with(char::is_whitespace));
        let marker = body.get(at..).unwrap_or_default();
        !behind_space && COSMETIC.iter().any(|known| marker.starts_with(known))
    })
}

fn hosts_line(line: &str, out: &mut Out) {
    let rule = line.split_once('#').map_or(line, |(head, _)| head).trim();
    let Some(address) = rule.split_whitespace().next().and_then(hosts::address) else { return };
    let effect = match hosts::is_sinkhole(address) {
        true => Effect::Listed,
        false => Effect::Answer(vec![LocalData::Address(address)]),
    };
    hosts::names(rule, out, |name| Rule {
        trigger: Trigger::Name(name, Scope::Exact),
        effect: effect.clone(),
        conditions: Conditions::default(),
    });
}

/// A rule, and whether it takes back instead of adding.
fn network(line: &str) -> Result<(Rule, bool), Why> {
    let (exception, rest) = line.strip_prefix("@@").map_or((false, line), |rest| (true, rest));
    let (body, modifiers) = split(rest);
    let Some(modifiers) = modifiers else {
        let bare = without_comment(body);
        let trigger =
            if exception { mask(body, false)? } else { simple(bare).unwrap_or_else(|| mask(bare, false))? };
        let effect = if exception { Effect::Allow } else { Effect::Listed };
        return Ok((Rule { trigger, effect, conditions: Conditions::default() }, false));
    };
    let Modifiers { conditions, revokes, rewrite } = Modifiers::parse(modifiers, exception)?;
    let narrowed = !conditions.clients.is_empty()
        || !conditions.not_clients.is_empty()
        || !conditions.types.is_empty()
        || !conditions.not_types.is_empty()
        || !conditions.except.is_empty();
    let alone = revokes && conditions.is_empty() && rewrite.is_none();
    let trigger = match simple(body).filter(|_| alone && !exception) {
        Some(trigger) => trigger?,
        None => mask(body, narrowed)?,
    };
    let effect = match rewrite {
        Some(effect) => effect,
        None if exception => Effect::Allow,
        None => Effect::Listed,
    };
    Ok((Rule { trigger, effect, conditions }, revokes))
}

/// The pattern and the modifiers: parted by the last `$` that is not escaped; a regular expression keeps its own.
fn split(rule: &str) -> (&str, Option<&str>) {
    if rule.len() > 1 && rule.starts_with('/') {
        if rule.ends_with('/') {
            return (rule, None);
        }
        return match rule.rfind("/$") {
            Some(at) if at > 0 => (
                rule.get(..=at).unwrap_or(rule),
                rule.get(at + 2..).filter(|modifiers| !modifiers.is_empty()),
            ),
            _ => (rule, None),
        };
    }
    let parting =
        rule.rmatch_indices('$').find(|&(at, _)| !rule.get(..at).is_some_and(|head| head.ends_with('\\')));
    match parting {
        Some((at, _)) if at + 1 < rule.len() => (rule.get(..at).unwrap_or(rule), rule.get(at + 1..)),
        _ => (rule, None),
    }
}

/// A bare name ends where a comment starts.
fn without_comment(body: &str) -> &str {
    let comment = body
        .match_indices('#')
        .find(|&(at, _)| body.get(..at).is_some_and(|head| head.ends_with(char::is_whitespace)));
    comment.map_or(body, |(at, _)| body.get(..at).unwrap_or(body)).trim_end()
}

/// A bare name of two labels or more covers itself only. `None` for all else, which is a mask.
fn simple(body: &str) -> Option<Result<Trigger, Why>> {
    let body = body.strip_suffix('.').unwrap_or(body);
    let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.') || !c.is_ascii();
    if !body.contains('.') || body.starts_with('.') || !body.chars().all(letters) {
        return None;
    }
    let top = body.rsplit('.').next().unwrap_or_default();
    if top.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(name_of(body).map(|name| Trigger::Name(name, Scope::Exact)))
}

/// What a mask covers: a name where it can be said so, else a pattern.
fn mask(body: &str, narrowed: bool) -> Result<Trigger, Why> {
    if let Some(expression) = between_slashes(body) {
        return Ok(Pattern::regex(expression)?.into());
    }
    if body.chars().count() < 3 && !narrowed {
        return Err(Why::TooWide);
    }
    if matches!(body, "" | "*" | "|" | "||") {
        return Ok(Pattern::every().into());
    }
    if body.contains(char::is_whitespace) {
        return Err(Why::Words);
    }
    let (start, rest) = if let Some(rest) = body.strip_prefix("||") {
        (Start::Label, rest)
    } else if let Some(rest) = body.strip_prefix('|') {
        (Start::Name, rest)
    } else {
        (Start::Anywhere, body)
    };
    // `example.org/*` is `example.org^` to AdGuard, and behind the end of a name there is nothing to mask.
    let ends = ["/*", "^*", "^|", "^", "|"].into_iter().find_map(|end| rest.strip_suffix(end));
    let (ends, rest) = ends.map_or((false, rest), |rest| (true, rest));
    if rest.contains("://") || rest.contains(['/', ':', '?', '=', '&', '%']) && address_of(rest).is_none() {
        return Err(Why::Url);
    }
    if rest.contains('^') {
        return Err(Why::NeverMatches("^ is the end of a name, so nothing stands behind it"));
    }
    if rest.contains('|') {
        return Err(Why::Name(NameError::Character('|')));
    }
    if let Some(address) = address_of(rest) {
        return Ok(Trigger::Address(canonical(address.into())));
    }
    if ends && let Some(trigger) = name(start, rest) {
        return trigger;
    }
    if rest.bytes().all(|byte| matches!(byte, b'*' | b'.')) && !narrowed && rest != "*" {
        return Err(Why::TooWide);
    }
    Ok(Pattern::mask(start, rest, ends)?.into())
}

fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    text.parse().ok()
}

/// A mask with an end that is a name, all below it, or both. A single star at its start, or a dot, means below.
fn name(start: Start, rest: &str) -> Option<Result<Trigger, Why>> {
    let (scope, name) = match (start, rest.strip_prefix("*.")) {
        (_, Some(name)) => (Scope::Below, name),
        (Start::Anywhere, None) => (Scope::Below, rest.strip_prefix('.')?),
        (Start::Label, None) => (Scope::Suffix, rest),
        (Start::Name, None) => (Scope::Exact, rest),
    };
    (!name.contains('*')).then(|| name_of(name).map(|name| Trigger::Name(name, scope)))
}
