//! Hosts files: an address, then one or more names; `#` starts a comment anywhere.
//!
//! Which address it is does not matter: sinkhole (`0.0.0.0`, `127.0.0.1`, `::`) or not, the name is listed. What
//! every hosts file starts with (`127.0.0.1 localhost` and its kin, `0.0.0.0 0.0.0.0`) is no rule.

use std::net::IpAddr;

use super::{Out, Rule, Scope, Why, name_of, plain_name};
use crate::name::Name;

pub(super) fn starts_with_address(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next().is_some_and(|word| address(word).is_some()) && words.next().is_some()
}

pub(super) fn line(line: &str, out: &mut Out) {
    if let Some(name) = sinkholed(line) {
        return out.rule(Rule::listed(name, Scope::Exact));
    }
    let rule = line.split_once('#').map_or(line, |(head, _)| head).trim();
    let Some(first) = rule.split_whitespace().next() else { return };
    if address(first).is_none() {
        return out.reject(rule, Why::NoAddress);
    }
    names(rule, out, |name| Rule::listed(name, Scope::Exact));
}

/// The name of `0.0.0.0 name`, as nearly every line is.
fn sinkholed(line: &str) -> Option<Name> {
    let (address, name) = line.split_once(' ')?;
    let known = matches!(address, "0.0.0.0" | "127.0.0.1" | "::" | "::1");
    plain_name(name).filter(|name| known && !is_boilerplate(name.as_str()))
}

/// Gives a rule for each name behind the address.
pub(super) fn names(rule: &str, out: &mut Out, to_rule: impl Fn(Name) -> Rule) {
    let mut words = rule.split_whitespace();
    let first = words.next();
    let mut names = words.peekable();
    if names.peek().is_none() {
        return out.reject(rule, Why::NoName);
    }
    for word in names {
        if Some(word) == first || is_boilerplate(word.strip_suffix('.').unwrap_or(word)) {
            continue;
        }
        match name_of(word) {
            Ok(name) => out.rule(to_rule(name)),
            Err(why) => out.reject(word, why),
        }
    }
}

/// An IP address, with a zone (`fe80::1%lo0`) or without.
pub(super) fn address(word: &str) -> Option<IpAddr> {
    word.split('%').next().unwrap_or(word).parse().ok()
}

/// Whether an address stands for "blocked": null or loopback.
pub(super) fn is_sinkhole(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_loopback()
}

/// The names of a hosts file that are no rules.
fn is_boilerplate(name: &str) -> bool {
    const NAMES: [&str; 15] = [
        "localhost",
        "localhost.localdomain",
        "localhost4",
        "localhost4.localdomain4",
        "localhost6",
        "localhost6.localdomain6",
        "local",
        "broadcasthost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
    ];
    NAMES.iter().any(|boilerplate| boilerplate.eq_ignore_ascii_case(name))
}
