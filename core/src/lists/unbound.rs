//! Unbound configuration, as blocklists use it: `local-zone`, `local-data`, `local-data-ptr`.
//!
//! ```text
//! server:
//!   local-zone: "a.example." always_null         listed, for a.example and all below it
//!   local-zone: "b.example." always_nxdomain     NXDOMAIN, whatever local data there is
//!   local-zone: "c.example." redirect            its local data, for c.example and all below it; else NODATA
//!   local-data: "c.example. A 192.0.2.1"
//!   local-zone: "ok.a.example." transparent      allows
//! ```
//!
//! What a zone does can depend on local data that stands anywhere in the file, before it too. So the types that
//! look at local data (`transparent`, `deny`, `refuse`, `static`, `redirect` and their kin), and the data itself, become
//! rules at the end of the list only; until then they wait here. The surprise: a `transparent` zone is an exception,
//! since it takes its names out of the zone above, and with that out of other lists too; `inform`, which only logs, is
//! reported.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::master::{self, Word};
use super::pattern::Pattern;
use super::records;
use super::{Conditions, Effect, LocalData, Out, Rule, Scope, Trigger, Why, hosts, name_of};
use crate::name::Name;
use crate::verdict::Action;

const CLAUSES: [&str; 14] = [
    "server:",
    "remote-control:",
    "forward-zone:",
    "stub-zone:",
    "auth-zone:",
    "rpz:",
    "view:",
    "python:",
    "dynlib:",
    "dnscrypt:",
    "cachedb:",
    "dnstap:",
    "ipset:",
    "iter-scrub:",
];

/// What earlier lines said.
#[derive(Default)]
pub(super) struct Config {
    /// Whether the lines belong to another clause than `server:`.
    elsewhere: Option<String>,
    zones: HashMap<Name, Zone>,
    data: Vec<Data>,
}

struct Zone {
    line: u32,
    kind: Kind,
}

struct Data {
    line: u32,
    text: String,
    name: Name,
    data: LocalData,
}

/// What a zone's type does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Listed, whatever local data there is.
    Listed,
    /// This, whatever local data there is.
    Always(Action),
    /// Asks as usual where there is no local data.
    Transparent,
    /// The same, and where there is none of the type that is asked for.
    TypeTransparent,
    /// The same, and A is never answered.
    NoA,
    /// Stops so where there is no local data.
    Stops(Action),
    /// Answers the data of its own name for all below it.
    Redirect,
}

impl Kind {
    /// What is known of it before the last line was read.
    fn effect(self) -> Option<Effect> {
        match self {
            Kind::Listed => Some(Effect::Listed),
            Kind::Always(Action::Allow) => Some(Effect::Allow),
            Kind::Always(action) => Some(Effect::Stop(action)),
            Kind::NoA => Some(Effect::Stop(Action::Nodata)),
            Kind::Transparent | Kind::TypeTransparent | Kind::Stops(_) | Kind::Redirect => None,
        }
    }
}

/// Whether the line is one of Unbound's.
pub(super) fn looks_like(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or_default();
    CLAUSES.contains(&word)
        || ["local-zone:", "local-data:", "local-data-ptr:"].iter().any(|k| line.starts_with(k))
}

impl Config {
    pub(super) fn line(&mut self, line: &str, out: &mut Out) {
        let words = match words(line) {
            Ok(words) => words,
            Err(why) => return out.reject(line, why),
        };
        let mut words = words.into_iter();
        while let Some(keyword) = words.next() {
            if let Err(why) = self.statement(keyword, &mut words, out) {
                return out.reject(line, why);
            }
        }
    }

    fn statement<'a>(
        &mut self,
        keyword: &str,
        values: &mut impl Iterator<Item = &'a str>,
        out: &mut Out,
    ) -> Result<(), Why> {
        if CLAUSES.contains(&keyword) {
            self.elsewhere = (keyword != "server:").then(|| keyword.to_owned());
            return Ok(());
        }
        if let Some(clause) = &self.elsewhere {
            return Err(Why::Keyword(format!("{clause} {keyword}")));
        }
        match keyword {
            "local-zone:" => {
                let name = values.next().ok_or(Why::NoName)?;
                let zone_type = values.next().unwrap_or_default();
                self.local_zone(name, zone_type, out)
            }
            "local-data:" => self.local_data(values.next().ok_or(Why::NoRecord)?, out),
            "local-data-ptr:" => self.local_data_ptr(values.next().ok_or(Why::NoRecord)?, out),
            _ => Err(Why::Keyword(keyword.to_owned())),
        }
    }

    fn local_zone(&mut self, text: &str, zone_type: &str, out: &mut Out) -> Result<(), Why> {
        let no_effect = |reason| Err(Why::ZoneType { zone_type: zone_type.to_owned(), reason });
        let name = if text == "." { Name::root() } else { name_of(text)? };
        let kind = match zone_type {
            "always_null" => Kind::Listed,
            "always_nxdomain" => Kind::Always(Action::Nxdomain),
            "always_nodata" => Kind::Always(Action::Nodata),
            "always_refuse" => Kind::Always(Action::Refused),
            "always_deny" => Kind::Always(Action::Drop),
            "always_transparent" => Kind::Always(Action::Allow),
            "transparent" => Kind::Transparent,
            "typetransparent" => Kind::TypeTransparent,
            "block_a" => Kind::NoA,
            "static" => Kind::Stops(Action::Nxdomain),
            "refuse" => Kind::Stops(Action::Refused),
            "deny" | "inform_deny" => Kind::Stops(Action::Drop),
            "redirect" | "inform_redirect" => Kind::Redirect,
            "inform" => return no_effect("it only logs"),
            "nodefault" => return no_effect("it only turns off Unbound's own zones"),
            "noview" => return no_effect("there are no views here"),
            "ipset" => return no_effect("it only fills a set of addresses"),
            "" => return no_effect("a type belongs behind the name"),
            _ => return no_effect("no such type is known"),
        };
        let first = self.zones.entry(name.clone()).or_insert(Zone { line: out.line(), kind });
        if first.kind != kind {
            return Err(Why::SecondZone);
        }
        match kind.effect() {
            Some(effect) => {
                let types = if kind == Kind::NoA { vec![records::A] } else { Vec::new() };
                out.rule(Rule {
                    trigger: of(name, Scope::Suffix),
                    effect,
                    conditions: Conditions { types, ..Conditions::default() },
                });
            }
            None => out.later(),
        }
        Ok(())
    }

    fn local_data(&mut self, text: &str, out: &mut Out) -> Result<(), Why> {
        let words = master::words(text)?;
        let [owner, rest @ ..] = words.as_slice() else { return Err(Why::NoRecord) };
        let name = name_of(owner.text)?;
        let (rtype, words) = master::type_and_data(rest)?;
        let data = records::data(rtype, words, &absolute)?;
        self.data.push(Data { line: out.line(), text: text.to_owned(), name, data });
        out.later();
        Ok(())
    }

    fn local_data_ptr(&mut self, text: &str, out: &mut Out) -> Result<(), Why> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (address, target) = match words.as_slice() {
            [address, target] | [address, _, target] => (address, target),
            _ => return Err(Why::Data { rtype: "PTR", expected: "an address and a name" }),
        };
        let address: IpAddr =
            address.parse().map_err(|_| Why::Data { rtype: "PTR", expected: "an address and a name" })?;
        let name = reverse(address)?;
        let word = Word { text: target, quoted: false };
        let data = records::data(records::PTR, &[word], &absolute)?;
        self.data.push(Data { line: out.line(), text: text.to_owned(), name, data });
        out.later();
        Ok(())
    }

    /// Gives the rules that waited.
    pub(super) fn finish(self, out: &mut Out) {
        let Self { zones, data, .. } = self;
        // Names with data, and where other types are asked for as usual, the types that they have.
        let mut own_data: HashMap<Name, BTreeSet<u16>> = HashMap::new();
        for Data { line, text, name, data } in data {
            out.at(line);
            let above = zone_above(&name, &zones);
            let is_typed = matches!(above, Some((_, Kind::TypeTransparent)));
            let scope = match above {
                Some((_, Kind::Listed | Kind::Always(_))) => {
                    out.reject_later(&text, Why::DataIgnored);
                    continue;
                }
                Some((apex, Kind::Redirect)) if apex != name => {
                    out.reject_later(&text, Why::DataBelowRedirect);
                    continue;
                }
                Some((_, Kind::Redirect)) => Scope::Suffix,
                _ => Scope::Exact,
            };
            // An alias answers every type.
            let types = Some(data.rtype()).filter(|rtype| is_typed && *rtype != records::CNAME);
            let types: Vec<u16> = types.into_iter().collect();
            let effect = match &data {
                LocalData::Address(address) if hosts::is_sinkhole(*address) => Effect::Listed,
                _ => Effect::Answer(vec![data]),
            };
            own_data.entry(name.clone()).or_default().extend(&types);
            let conditions = Conditions { types, ..Conditions::default() };
            let rule = Rule { trigger: of(name, scope), effect, conditions };
            if let Err(why) = out.rule_later(rule) {
                out.reject_later(&text, why);
            }
        }
        let mut waiting: Vec<(Name, Zone)> =
            zones.into_iter().filter(|(_, zone)| zone.kind.effect().is_none()).collect();
        waiting.sort_unstable_by(|(a, first), (b, second)| (first.line, a).cmp(&(second.line, b)));
        for (name, zone) in waiting {
            out.at(zone.line);
            let data = own_data.remove(&name);
            let but_data = if data.is_some() { Scope::Below } else { Scope::Suffix };
            let (scope, effect) = match zone.kind {
                Kind::Transparent | Kind::TypeTransparent => (but_data, Effect::Allow),
                Kind::Stops(action) => (but_data, Effect::Stop(action)),
                _ if data.is_some() => continue,
                _ => (Scope::Suffix, Effect::Stop(Action::Nodata)),
            };
            // Without types the data answers every one, as an alias does.
            let other_types = data.filter(|types| zone.kind == Kind::TypeTransparent && !types.is_empty());
            let at_apex = other_types.map(|types| Rule {
                trigger: of(name.clone(), Scope::Exact),
                effect: Effect::Allow,
                conditions: Conditions { not_types: types.into_iter().collect(), ..Conditions::default() },
            });
            let rule = Rule { trigger: of(name, scope), effect, conditions: Conditions::default() };
            // None of them is ever merged with another, so that it can't be refused.
            at_apex.into_iter().chain([rule]).for_each(|rule| _ = out.rule_later(rule));
        }
    }
}

/// The closest zone at a name or above it.
fn zone_above(name: &Name, zones: &HashMap<Name, Zone>) -> Option<(Name, Kind)> {
    name.suffixes().chain([""]).find_map(|suffix| {
        let apex = Name::parse(suffix).ok()?;
        zones.get(&apex).map(|zone| (apex, zone.kind))
    })
}

fn of(name: Name, scope: Scope) -> Trigger {
    if name.is_root() { Pattern::every().into() } else { Trigger::Name(name, scope) }
}

/// Names in Unbound's data are absolute, dot or not.
fn absolute(text: &str) -> Result<Name, Why> {
    Ok(master::name(text)?.0)
}

/// The name under which an address is asked for.
fn reverse(address: IpAddr) -> Result<Name, Why> {
    let mut text = String::with_capacity(80);
    match address {
        IpAddr::V4(address) => {
            for octet in address.octets().iter().rev() {
                text.push_str(&format!("{octet}."));
            }
            text.push_str("in-addr.arpa");
        }
        IpAddr::V6(address) => {
            for octet in address.octets().iter().rev() {
                text.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
            text.push_str("ip6.arpa");
        }
    }
    Ok(Name::parse(&text)?)
}

/// Words as Unbound's reader takes them: quotes of both kinds, `#` up to the line's end, `keyword:` without a
/// space behind it.
fn words(line: &str) -> Result<Vec<&str>, Why> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '#' => break,
            '"' | '\'' => {
                rest.get(1..).and_then(|quoted| quoted.split_once(first)).ok_or(Why::Unclosed("quote"))?
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '#'));
                rest.split_at_checked(end.unwrap_or(rest.len())).unwrap_or((rest, ""))
            }
        };
        words.push(word);
        rest = behind.trim_start();
    }
    Ok(words)
}
