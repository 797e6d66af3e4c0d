//! Who may import what, and under which licences: the rules of `deny.toml` and of ARCHITECTURE.md, held over
//! `cargo metadata`, so that they hold without cargo-deny too.

use std::collections::BTreeMap;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use crate::error::Error;
use crate::workspace;

/// Which of our crates each of our crates may import.
const OURS: [(&str, &[&str]); 10] = [
    ("dnsvet-core", &[]),
    ("dnsvet-models", &["dnsvet-core"]),
    ("dnsvet-plugin", &["dnsvet-core"]),
    ("dnsvet", &["dnsvet-core", "dnsvet-models"]),
    ("dnsvet-scorer", &["dnsvet-core", "dnsvet-models"]),
    ("dnsvet-allow-all", &[]),
    ("dnsvet-fuzz", &["dnsvet-core"]),
    ("dnsvet-measure", &["dnsvet-core"]),
    ("dnsvet-tests", &["dnsvet-core", "dnsvet-models", "dnsvet", "dnsvet-scorer", "xtask"]),
    ("xtask", &[]),
];

/// What a crate goes without of another: the filter says no more than it must, and is as small as it can be.
const WITHOUT: [(&str, &str, &str); 1] = [("dnsvet-plugin", "dnsvet-core", "attribution")];

/// What `deny.toml` says.
struct Rules {
    licences: Vec<String>,
    /// Crate to the only crates that may depend on it directly.
    wrappers: BTreeMap<String, Vec<String>>,
}

/// Checks both; the error names every breach.
pub fn check() -> Result<(), Error> {
    let manifest = workspace::root().join("Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(&manifest).exec();
    let metadata = metadata.map_err(|error| Error::Found(vec![format!("cargo metadata: {error}")]))?;
    let mut found = breaches(&metadata, &rules()?);
    found.sort();
    if found.is_empty() { Ok(()) } else { Err(Error::Found(found)) }
}

fn rules() -> Result<Rules, Error> {
    let path = workspace::root().join("deny.toml");
    let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
    let table: toml::Table =
        toml::from_str(&text).map_err(|error| Error::Found(vec![format!("deny.toml: {error}")]))?;
    let words = |value: Option<&toml::Value>| -> Vec<String> {
        let items = value.and_then(toml::Value::as_array).into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    let licences = words(table.get("licenses").and_then(|section| section.get("allow")));
    let bans = table.get("bans").and_then(|section| section.get("deny")).and_then(toml::Value::as_array);
    let wrappers = bans
        .into_iter()
        .flatten()
        .filter_map(|ban| Some((ban.get("crate")?.as_str()?.to_owned(), words(ban.get("wrappers")))));
    Ok(Rules { licences, wrappers: wrappers.collect() })
}

fn breaches(metadata: &Metadata, rules: &Rules) -> Vec<String> {
    let mut found = Vec::new();
    for package in &metadata.packages {
        if !licence_allowed(package, &rules.licences) {
            let licence = package.license.as_deref().unwrap_or("none");
            found.push(format!("{}: licence {licence} is not among those of deny.toml", package.name));
        }
    }
    for package in metadata.workspace_packages() {
        let ours = OURS.iter().find(|(name, _)| *name == package.name.as_str());
        let Some((_, may)) = ours else {
            found.push(format!("{}: a new crate has to be placed in xtask/src/layering.rs", package.name));
            continue;
        };
        for dependency in &package.dependencies {
            let is_ours = OURS.iter().any(|(name, _)| *name == dependency.name);
            if is_ours && !may.contains(&dependency.name.as_str()) {
                found.push(format!("{} may not import {}", package.name, dependency.name));
            }
            let mine = |who: &str, whose: &str| who == package.name.as_str() && whose == dependency.name;
            for (_, _, feature) in WITHOUT.iter().filter(|(who, whose, _)| mine(who, whose)) {
                if dependency.uses_default_features || dependency.features.iter().any(|has| has == feature) {
                    found.push(format!("{} takes {} with {feature}", package.name, dependency.name));
                }
            }
            let test_only = dependency.kind == DependencyKind::Development;
            let wrappers = rules.wrappers.get(&dependency.name);
            if wrappers.is_some_and(|all| !all.iter().any(|name| *name == package.name.as_str())) {
                let kind = if test_only { " in its tests" } else { "" };
                found.push(format!("{} may not import {}{kind}", package.name, dependency.name));
            }
        }
    }
    found
}

fn licence_allowed(package: &Package, allowed: &[String]) -> bool {
    package.license.as_deref().is_some_and(|licence| satisfied(licence, allowed))
}

/// Whether an SPDX expression can be met with the allowed licences.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Spdx { words: &words, at: 0, allowed };
    parser.either() && parser.at == words.len()
}

/// Recursive descent over `A OR B`, `A AND B`, `A WITH E` and brackets.
struct Spdx<'a> {
    words: &'a [&'a str],
    at: usize,
    allowed: &'a [String],
}

impl Spdx<'_> {
    fn accept(&mut self, word: &str) -> bool {
        let here = self.words.get(self.at) == Some(&word);
        self.at += usize::from(here);
        here
    }

    fn either(&mut self) -> bool {
        let mut held = self.both();
        while self.accept("OR") {
            held |= self.both();
        }
        held
    }

    fn both(&mut self) -> bool {
        let mut held = self.one();
        while self.accept("AND") {
            held &= self.one();
        }
        held
    }

    fn one(&mut self) -> bool {
        if self.accept("(") {
            let held = self.either();
            return self.accept(")") && held;
        }
        let mut licence = self.words.get(self.at).copied().unwrap_or_default().to_owned();
        self.at += 1;
        if self.accept("WITH") {
            licence = format!("{licence} WITH {}", self.words.get(self.at).copied().unwrap_or_default());
            self.at += 1;
        }
        // An exception only adds permissions.
        let plain = licence.split(" WITH ").next().unwrap_or_default();
        self.allowed.iter().any(|name| *name == licence || name == plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_met_by_any_branch_and_needs_all_its_parts() {
        let allowed = ["MIT".to_owned(), "Zlib".to_owned()];
        let met = |expression| satisfied(expression, &allowed);
        assert!(met("MIT") && met("GPL-3.0 OR MIT") && met("MIT/GPL-2.0"));
        assert!(met("(GPL-2.0 OR MIT) AND Zlib") && met("MIT WITH Some-exception"));
        assert!(!met("GPL-3.0") && !met("MIT AND GPL-3.0") && !met("") && !met("(MIT"));
    }
}
