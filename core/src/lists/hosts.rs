//! Hosts files: an address, then one or more names; `#` starts a comment anywhere.
//!
//! Which address it is does not matter: sinkhole (`0.0.0.0`, `127.0.0.1`, `::`) or not, the name is listed. What
//! every hosts file starts with (`127.0.0.1 localhost` and its kin, `0.0.0.0 0.0.0.0`) is no rule.

use std::net::IpAddr;

use super::{Found, Rule, Scope, Why, is_boilerplate, name_of};

pub(super) fn starts_with_address(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next().is_some_and(is_address) && words.next().is_some()
}

pub(super) fn line(line: &str, sink: &mut dyn FnMut(Found)) {
    let rule = line.split_once('#').map_or(line, |(head, _)| head).trim();
    let mut words = rule.split_whitespace();
    let Some(address) = words.next() else { return };
    if !is_address(address) {
        return sink(Found::Rejected(rule, Why::NoAddress));
    }
    let mut names = words.peekable();
    if names.peek().is_none() {
        return sink(Found::Rejected(rule, Why::NoName));
    }
    for word in names {
        if word == address || is_boilerplate(word.strip_suffix('.').unwrap_or(word)) {
            continue;
        }
        match name_of(word) {
            Ok(name) => sink(Found::Rule(Rule::listed(name, Scope::Exact))),
            Err(why) => sink(Found::Rejected(word, why)),
        }
    }
}

/// An IP address, with a zone (`fe80::1%lo0`) or without.
fn is_address(word: &str) -> bool {
    word.split('%').next().unwrap_or(word).parse::<IpAddr>().is_ok()
}
