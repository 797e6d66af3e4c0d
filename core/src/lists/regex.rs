//! Lists of regular expressions, one a line, as Pi-hole has them.
//!
//! `#` starts a comment at the start of a line. Behind the expression may stand `;querytype=A,AAAA` (or `!A,AAAA`
//! for all others) and `;reply=nodata` and its kin. Matching ignores case and is not anchored. `/expression/`,
//! as blocky and ad blockers write it, is the same as the expression: no name has a slash.
//!
//! The surprise: `;reply=192.0.2.1` answers AAAA with `::` beside it, as Pi-hole does, not with nothing.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::pattern::Pattern;
use super::{Conditions, Effect, LocalData, Out, Rule, Why};
use crate::message::type_of;
use crate::verdict::Action;

pub(super) fn line(line: &str, out: &mut Out) {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    match rule(line) {
        Ok(rule) => out.rule(rule),
        Err(why) => out.reject(line, why),
    }
}

/// What stands between slashes, if the text does.
pub(super) fn between_slashes(text: &str) -> Option<&str> {
    text.strip_prefix('/')?.strip_suffix('/').filter(|inner| !inner.is_empty())
}

/// Whether it has what expressions have and names don't.
pub(super) fn looks_like(line: &str) -> bool {
    let anchored = line.starts_with(['^', '(', '/']) || line.ends_with('$');
    anchored || line.contains(['\\', '[', '(', '|', '+']) || line.contains(".*")
}

fn rule(line: &str) -> Result<Rule, Why> {
    let mut parts = line.split(';');
    let expression = parts.next().unwrap_or_default();
    let expression = between_slashes(expression).unwrap_or(expression);
    if expression.is_empty() {
        return Err(Why::Regex("empty".to_owned()));
    }
    let mut conditions = Conditions::default();
    let mut effect = Effect::Listed;
    let mut addresses = Vec::new();
    for extension in parts {
        let wrong = || Why::Extension(extension.to_owned());
        match extension.split_once('=') {
            None if extension == "invert" => return Err(Why::Invert),
            Some(("querytype", types)) if conditions.types.is_empty() && conditions.not_types.is_empty() => {
                let (all_but, types) = types.strip_prefix('!').map_or((false, types), |types| (true, types));
                let mut codes =
                    types.split(',').map(type_of).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
                codes.sort_unstable();
                codes.dedup();
                *(if all_but { &mut conditions.not_types } else { &mut conditions.types }) = codes;
            }
            Some(("reply", "ip")) => return Err(Why::ReplyIp),
            Some(("reply", reply)) => match (reply.parse::<IpAddr>(), stop(reply)) {
                (Ok(address), _) if effect == Effect::Listed => addresses.push(address),
                (_, Some(action)) if effect == Effect::Listed && addresses.is_empty() => {
                    effect = Effect::Stop(action);
                }
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        }
    }
    if !addresses.is_empty() {
        effect = Effect::Answer(both_families(&addresses).ok_or_else(|| Why::Extension("reply".to_owned()))?);
    }
    let trigger = Pattern::regex(&without_comments(expression))?.into();
    Ok(Rule { trigger, effect, conditions })
}

fn stop(reply: &str) -> Option<Action> {
    match reply {
        "nodata" => Some(Action::Nodata),
        "nxdomain" => Some(Action::Nxdomain),
        "refused" => Some(Action::Refused),
        "none" => Some(Action::Drop),
        _ => None,
    }
}

/// One address of each family; the null address for the one that was not said.
fn both_families(addresses: &[IpAddr]) -> Option<Vec<LocalData>> {
    let v4: Vec<&IpAddr> = addresses.iter().filter(|address| address.is_ipv4()).collect();
    let v6: Vec<&IpAddr> = addresses.iter().filter(|address| address.is_ipv6()).collect();
    if v4.len() > 1 || v6.len() > 1 {
        return None;
    }
    let v4 = v4.first().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| **address);
    let v6 = v6.first().map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |address| **address);
    Some(vec![LocalData::Address(v4), LocalData::Address(v6)])
}

/// The expression without `(?#comments)`, which the engine does not know.
fn without_comments(expression: &str) -> Cow<'_, str> {
    if !expression.contains("(?#") {
        return expression.into();
    }
    let mut text = String::with_capacity(expression.len());
    let mut rest = expression;
    while let Some((head, tail)) = rest.split_once("(?#") {
        text.push_str(head);
        // An open comment is left in, for the parser to complain of.
        let Some((_, behind)) = tail.split_once(')') else {
            text.push_str("(?#");
            rest = tail;
            break;
        };
        rest = behind;
    }
    text.push_str(rest);
    text.into()
}
