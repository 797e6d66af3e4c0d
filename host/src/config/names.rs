//! Whether groups and lists that the configuration names are there: a wrong letter would leave a group unprotected.

use std::collections::BTreeSet;

use dnsvet_core::policy::Group;
use dnsvet_core::snapshot::Role;

use super::{Config, ListConfig};
use crate::bundled;

/// The name of the group that is made for everybody.
const DEFAULT: &str = "default";

/// A name of something that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing {
    /// The key that has it.
    pub key: &'static str,
    /// Where in the key, and the name.
    pub got: String,
    /// What is there.
    pub expected: String,
}

/// Looks at every name of a group and of a list.
pub(super) fn check(config: &Config) -> Result<(), Missing> {
    let groups: BTreeSet<&str> = groups(config).collect();
    for list in &config.lists {
        if let Some(group) = list.groups.iter().find(|group| !groups.contains(group.as_str())) {
            let got = format!("`{}` for the group `{group}`, which is not there", list.name);
            return Err(Missing { key: "lists", got, expected: one_of(&groups) });
        }
    }
    for group in &config.groups {
        let lists = lists(config, group);
        let is_missing = |list: &&String| !lists.contains(list.as_str());
        let scheduled = group.schedules.iter().flat_map(|schedule| &schedule.lists);
        let missing = [
            ("use_lists with", group.use_lists.iter().find(is_missing)),
            ("a schedule for", scheduled.into_iter().find(is_missing)),
        ];
        for (place, list) in missing {
            if let Some(list) = list {
                let got = format!("`{}` with {place} the list `{list}`, which it does not have", group.name);
                let expected = one_of(&lists.iter().map(String::as_str).collect());
                return Err(Missing { key: "groups", got, expected });
            }
        }
    }
    Ok(())
}

fn one_of(names: &BTreeSet<&str>) -> String {
    let names: Vec<&str> = names.iter().copied().collect();
    format!("one of: {}", names.join(", "))
}

/// The groups there are, with the one for everybody that is made where none is.
fn groups(config: &Config) -> impl Iterator<Item = &str> {
    config.groups.iter().map(|group| group.name.as_str()).chain(for_everybody(&config.groups))
}

/// The name of the group for everybody that is made where none of these is it.
pub(crate) fn for_everybody(groups: &[Group]) -> Option<&'static str> {
    let is_taken = groups.iter().any(|group| group.name == DEFAULT);
    let name = if is_taken { "everybody" } else { DEFAULT };
    (!groups.iter().any(Group::is_everybodys)).then_some(name)
}

/// The lists that a group may have: those of the configuration, rules and bundles of its own, bundled ones.
fn lists(config: &Config, group: &Group) -> BTreeSet<String> {
    let holds = |list: &&ListConfig| list.groups.is_empty() || list.groups.contains(&group.name);
    let listed = config.lists.iter().filter(holds).map(|list| list.name.clone());
    let for_all = (!config.rules.is_empty()).then(|| "rules".to_owned());
    let rules = for_all.into_iter().chain((!group.rules.is_empty()).then(|| format!("rules:{}", group.name)));
    let bundles = group.bundles.iter().map(|bundle| format!("bundle:{bundle}"));
    let bundled = bundled::lists().iter();
    let bundled = bundled.filter(|list| config.lists.is_empty() || list.role == Role::Popular);
    listed.chain(rules).chain(bundles).chain(bundled.map(|list| list.info().name)).collect()
}
