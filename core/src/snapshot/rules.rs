//! Rules that are more than a name: conditions, patterns, addresses, records of their own.
//!
//! ```text
//! piece 0    the rules, JSON
//! piece 1…   their patterns, one automaton each
//! ```
//!
//! A rule on a name has an entry in the name map too ([`Part::Ruled`]), so that a name without rules costs
//! nothing here.

use std::collections::HashMap;
use std::net::IpAddr;

use bytes::Bytes;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::patterns::Patterns;
use crate::lists::{Conditions, Effect, Rule, Scope, Trigger};
use crate::policy::nets::Nets;

/// What a member of a name's set says: most of a snapshot's names share a handful of these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Part {
    /// A list holds the name, without conditions.
    Does {
        /// The list's index.
        list: u16,
        /// What its rule does.
        effect: Effect,
        /// It goes before all that are not important.
        important: bool,
    },
    /// There are rules on the name.
    Ruled,
}

impl Part {
    /// The list that says so.
    pub(super) fn list(&self) -> Option<u16> {
        match self {
            Part::Does { list, .. } => Some(*list),
            Part::Ruled => None,
        }
    }
}

/// A rule of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct StoredRule {
    pub list: u16,
    pub trigger: Trigger,
    #[serde(default)]
    pub effect: Effect,
    #[serde(default, skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
}

impl StoredRule {
    pub(super) fn new(list: u16, rule: &Rule) -> Self {
        let Rule { trigger, effect, conditions } = rule.clone();
        Self { list, trigger, effect, conditions }
    }

    pub(super) fn rule(&self) -> Rule {
        let Self { trigger, effect, conditions, .. } = self.clone();
        Rule { trigger, effect, conditions }
    }
}

/// The rules of a snapshot, by what they look at.
#[derive(Debug, Default)]
pub(super) struct Rules {
    all: Vec<StoredRule>,
    names: HashMap<String, Vec<u32>>,
    patterns: Patterns,
    clients: Nets,
    addresses: Nets,
}

impl Rules {
    /// Opens the section's pieces; `lists` is how many lists there are to refer to.
    pub(super) fn open(pieces: &[Bytes], lists: usize) -> Result<Self, String> {
        let Some((first, automata)) = pieces.split_first() else { return Ok(Self::default()) };
        let all: Vec<StoredRule> = serde_json::from_slice(first).map_err(|error| error.to_string())?;
        if all.iter().any(|rule| usize::from(rule.list) >= lists) {
            return Err("a rule names a list that is not there".to_owned());
        }
        let mut rules = Self { patterns: Patterns::open(automata, all.len())?, ..Self::default() };
        for (number, rule) in (0u32..).zip(&all) {
            match &rule.trigger {
                Trigger::Name(name, _) => {
                    rules.names.entry(name.as_str().to_owned()).or_default().push(number);
                }
                Trigger::Pattern(_) => {}
                Trigger::Client(net) => rules.clients.add(*net, number),
                Trigger::Address(net) => rules.addresses.add(*net, number),
            }
        }
        rules.all = all;
        Ok(rules)
    }

    /// How many rules there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The rules on a name that cover it (`itself`) or names below it.
    pub(super) fn of_name(&self, suffix: &str, itself: bool) -> impl Iterator<Item = (&StoredRule, Scope)> {
        let numbers = self.names.get(suffix).map(Vec::as_slice).unwrap_or_default();
        numbers.iter().filter_map(move |number| {
            let rule = self.all.get(*number as usize)?;
            match &rule.trigger {
                Trigger::Name(_, scope) if scope.covers(itself) => Some((rule, *scope)),
                _ => None,
            }
        })
    }

    /// The rules whose pattern matches a name.
    pub(super) fn of_patterns(&self, text: &str) -> impl Iterator<Item = &StoredRule> {
        self.patterns.find(text).into_iter().filter_map(|number| self.all.get(number as usize))
    }

    /// The rules on networks that hold a client, longest prefix first.
    pub(super) fn of_client(&self, client: IpAddr) -> impl Iterator<Item = (&StoredRule, IpNet)> {
        self.of_net(&self.clients, client)
    }

    /// The rules on networks that hold an answered address, longest prefix first.
    pub(super) fn of_address(&self, address: IpAddr) -> impl Iterator<Item = (&StoredRule, IpNet)> {
        self.of_net(&self.addresses, address)
    }

    fn of_net<'a>(
        &'a self,
        nets: &'a Nets,
        address: IpAddr,
    ) -> impl Iterator<Item = (&'a StoredRule, IpNet)> {
        let found = nets.holding(address);
        found.filter_map(|(net, number)| Some((self.all.get(number as usize)?, net)))
    }
}
