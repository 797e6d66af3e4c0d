//! Rules that the configuration itself says, and the bundles that its groups use, as lists.

use std::collections::BTreeMap;

use dnsvet_core::snapshot::{ListInfo, Role};

use crate::bundles;
use crate::config::Config;
use crate::lists::Place;

/// Lists for the rules of everybody, of each group, and for each bundle in use, with their texts in adblock syntax.
/// They come before all other lists.
pub(super) fn lists(config: &Config) -> Vec<(ListInfo, String)> {
    let own = |name: String, groups: Vec<String>| ListInfo {
        name,
        role: Role::Block,
        own: true,
        groups,
        ..ListInfo::default()
    };
    let mut found = Vec::new();
    if !config.rules.is_empty() {
        found.push((own("rules".into(), Vec::new()), config.rules.join("\n")));
    }
    for group in config.groups.iter().filter(|group| !group.rules.is_empty()) {
        let info = own(format!("rules:{}", group.name), vec![group.name.clone()]);
        found.push((info, group.rules.join("\n")));
    }
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for group in &config.groups {
        for bundle in &group.bundles {
            users.entry(bundle).or_default().push(group.name.clone());
        }
    }
    for (bundle, groups) in users {
        // The configuration's own check has refused those that are not there.
        let Some(text) = bundles::text(bundle) else { continue };
        let info = ListInfo { licence: bundles::LICENCE.into(), ..own(format!("bundle:{bundle}"), groups) };
        found.push((info, text.to_owned()));
    }
    found
}

/// Where such a list is from, for messages.
pub(super) fn place(info: &ListInfo) -> Place {
    Place::File(format!("({})", info.name).into())
}

#[cfg(test)]
mod tests {
    use dnsvet_core::policy::Group;

    use super::*;

    #[test]
    fn rules_and_bundles_are_lists_of_their_groups() {
        let group = |name: &str, rules: &[&str], bundles: &[&str]| Group {
            name: name.into(),
            rules: rules.iter().map(|rule| (*rule).to_owned()).collect(),
            bundles: bundles.iter().map(|bundle| (*bundle).to_owned()).collect(),
            ..Group::default()
        };
        let kids = group("kids", &["||games.example^", "@@||ok.games.example^"], &["safe_search", "block_x"]);
        let config = Config {
            rules: vec!["||bad.example^".into()],
            groups: vec![kids, group("lab", &[], &["safe_search"])],
            ..Config::default()
        };
        let found: Vec<_> = lists(&config)
            .into_iter()
            .map(|(info, text)| (info.name, info.groups, text.lines().count()))
            .collect();
        let safe = bundles::text("safe_search").unwrap().lines().count();
        let x = bundles::text("block_x").unwrap().lines().count();
        let of = |groups: &[&str]| groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>();
        let want = [
            ("rules".to_owned(), of(&[]), 1),
            ("rules:kids".into(), of(&["kids"]), 2),
            ("bundle:block_x".into(), of(&["kids"]), x),
            ("bundle:safe_search".into(), of(&["kids", "lab"]), safe),
        ];
        assert_eq!(found, want);
    }
}
