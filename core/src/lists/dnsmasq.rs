//! dnsmasq configuration, as blocklists use it: `address=/NAME/`, `server=/NAME/`, `local=/NAME/`.
//!
//! ```text
//! address=/a.example/b.example/0.0.0.0   listed (also ::, 127.0.0.1, ::1 and #)
//! address=/a.example/                    NXDOMAIN, as server= and local= without a server
//! address=/a.example/192.0.2.1           answers that address
//! server=/a.example/#                    allows: the usual servers are asked
//! ```
//!
//! A name covers all below it, with a dot in front too; `*.name` only what is below it; `*name` whatever ends so;
//! `#` is every name, and an empty one every name without a dot. The surprise: where dnsmasq still asks upstream
//! for the types that an `address=` line does not answer, these rules cover every type.

use std::net::IpAddr;

use super::pattern::{Pattern, Start};
use super::{Conditions, Effect, LocalData, Out, Rule, Scope, Trigger, Why, hosts, name_of};
use crate::verdict::Action;

/// Whether the line is an option that carries rules.
pub(super) fn looks_like(line: &str) -> bool {
    let (option, value) = option(line);
    matches!(option, "address" | "server" | "local") && value.is_some_and(|value| value.starts_with('/'))
}

pub(super) fn line(line: &str, out: &mut Out) {
    let line = without_comment(line);
    if line.is_empty() {
        return;
    }
    let (option, value) = option(line);
    let address = match option {
        "address" => true,
        "server" | "local" => false,
        _ => return out.reject(line, Why::Option(option.to_owned())),
    };
    let Some(value) = value else { return out.reject(line, Why::Slashes) };
    if !address && !value.starts_with('/') && !value.is_empty() {
        return out.reject(line, Why::Forward);
    }
    let Some((names, target)) = value.strip_prefix('/').and_then(|value| value.rsplit_once('/')) else {
        return out.reject(line, Why::Slashes);
    };
    let effect = match effect(address, target) {
        Ok(effect) => effect,
        Err(why) => return out.reject(line, why),
    };
    for name in names.split('/') {
        match trigger(name) {
            Ok(trigger) => {
                out.rule(Rule { trigger, effect: effect.clone(), conditions: Conditions::default() });
            }
            Err(why) => out.reject(name, why),
        }
    }
}

/// The option's name and what stands behind its `=`, without quotes.
fn option(line: &str) -> (&str, Option<&str>) {
    let line = line.strip_prefix("--").unwrap_or(line);
    let Some((option, value)) = line.split_once('=') else { return (line.trim(), None) };
    let value = value.trim();
    let unquoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    (option.trim(), Some(unquoted.unwrap_or(value)))
}

/// The line up to a `#` that starts it or stands behind white space; in `/name/#` it is an answer.
fn without_comment(line: &str) -> &str {
    let starts = |at: usize| line.get(..at).is_none_or(|head| head.ends_with(char::is_whitespace));
    let comment = line.match_indices('#').find(|&(at, _)| at == 0 || starts(at));
    comment.map_or(line, |(at, _)| line.get(..at).unwrap_or_default()).trim()
}

fn effect(address: bool, target: &str) -> Result<Effect, Why> {
    match target {
        "" => Ok(Effect::Stop(Action::Nxdomain)),
        "#" => Ok(if address { Effect::Listed } else { Effect::Allow }),
        _ if !address => Err(Why::Forward),
        _ => match target.parse::<IpAddr>() {
            Ok(address) if hosts::is_sinkhole(address) => Ok(Effect::Listed),
            Ok(address) => Ok(Effect::Answer(vec![LocalData::Address(address)])),
            Err(_) => Err(Why::Target(target.to_owned())),
        },
    }
}

fn trigger(name: &str) -> Result<Trigger, Why> {
    if name == "#" || name == "*" {
        return Ok(Pattern::every().into());
    }
    if name.is_empty() {
        return Ok(Pattern::regex(r"^[^.]*$")?.into());
    }
    if let Some(below) = name.strip_prefix("*.") {
        return Ok(Trigger::Name(name_of(below)?, Scope::Below));
    }
    if let Some(end) = name.strip_prefix('*') {
        if end.contains('*') {
            return Err(Why::Wildcard);
        }
        return Ok(Pattern::mask(Start::Anywhere, end, true)?.into());
    }
    let name = name.strip_prefix('.').unwrap_or(name);
    Ok(Trigger::Name(name_of(name)?, Scope::Suffix))
}
