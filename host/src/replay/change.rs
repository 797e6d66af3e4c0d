//! Changes as a person writes them, and what a snapshot becomes by them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use dnsvet_core::model::{Model, ModelError, Spec, Thresholds};
use dnsvet_core::name::Name;
use dnsvet_core::policy::{Mode, Policy};
use dnsvet_core::snapshot::{Change, ListInfo, Role, Snapshot};
use dnsvet_core::verdict::cascade::LEAST_BLOCKING_P;
use dnsvet_models::registry::Registry;

use super::ReplayError;
use crate::lists::{self, ListReport, ListSource, Rest, SourceError};

/// How changes are written.
const FORMS: &str = "add-list:[ROLE:][FORMAT:]PATH, remove-list:NAME, threshold:P or model:NAME";

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum With {
    /// Another list, after those that are there.
    AddList(ListSource),
    /// A list off, by its name.
    RemoveList(String),
    /// Where the small model blocks.
    Threshold(f64),
    /// A model of the registry in the filter, in the small model's place.
    Model(String),
}

/// Why a text is no change.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BadChange {
    /// None of the forms.
    #[error("{0:?} is no change; write {FORMS}")]
    Form(String),
    /// A list that is none.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A list on the web.
    #[error(
        "{0} is on the web, and a replay reads files; fetch it first: curl -o list.txt {0}, then add-list:list.txt"
    )]
    Url(String),
    /// No number, or none that a model may block from.
    #[error(
        "threshold {0:?} is not from {LEAST_BLOCKING_P} to 1, where a model may block; write threshold:0.95"
    )]
    Threshold(String),
}

impl FromStr for With {
    type Err = BadChange;

    fn from_str(text: &str) -> Result<Self, BadChange> {
        let form = || BadChange::Form(text.to_owned());
        let (what, rest) = text.split_once(':').filter(|(_, rest)| !rest.is_empty()).ok_or_else(form)?;
        Ok(match what {
            "add-list" => {
                let source: ListSource = rest.parse()?;
                if source.place.is_remote() {
                    return Err(BadChange::Url(source.place.to_string()));
                }
                Self::AddList(source)
            }
            "remove-list" => Self::RemoveList(rest.to_owned()),
            "threshold" => {
                let threshold = rest.parse().ok().filter(|p| (LEAST_BLOCKING_P..=1.0).contains(p));
                Self::Threshold(threshold.ok_or_else(|| BadChange::Threshold(rest.to_owned()))?)
            }
            "model" => Self::Model(rest.to_owned()),
            _ => return Err(form()),
        })
    }
}

impl fmt::Display for With {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddList(source) => write!(f, "add-list:{source}"),
            Self::RemoveList(name) => write!(f, "remove-list:{name}"),
            Self::Threshold(threshold) => write!(f, "threshold:{threshold}"),
            Self::Model(name) => write!(f, "model:{name}"),
        }
    }
}

/// A snapshot after its changes, and which questions they can touch.
pub struct Prepared {
    /// What would be in force.
    pub snapshot: Snapshot,
    /// Each change in words.
    pub said: Vec<String>,
    /// What a reader must know to read the figures right.
    pub notes: Vec<String>,
    /// The small model is another one: its scores are others.
    pub other_model: bool,
    /// What models say of every name may change, not only of names on changed lists.
    pub guesses: bool,
    lists: BTreeSet<u16>,
}

impl Prepared {
    /// Makes the changes, all of them at once.
    pub fn new(base: &Snapshot, changes: &[With], registry: &Registry) -> Result<Self, ReplayError> {
        let (mut said, mut notes) = (Vec::new(), Vec::new());
        let without = removed(base.lists(), changes, &mut said)?;
        let beside = added(base.policy(), changes, &mut said, &mut notes)?;
        let (model, other_model) = model(base, changes, registry, &mut said)?;
        let mut popular = without.iter().filter_map(|list| base.lists().get(usize::from(*list)));
        let mut guesses = model.is_some() || popular.any(|list| list.role == Role::Popular);
        let mut changed: BTreeSet<u16> = without.iter().copied().collect();
        if let Some(beside) = &beside {
            guesses |= beside.lists().iter().any(|list| list.role == Role::Popular);
            let first = base.lists().len();
            changed.extend((first..first + beside.lists().len()).filter_map(|list| u16::try_from(list).ok()));
        }
        let added = beside.as_ref().map(Snapshot::lists).unwrap_or_default();
        say_of_groups(base.policy(), added, model.is_some(), &mut notes);
        let small_model = model.map(|model| model.encode().into());
        let snapshot = base.changed(Change { without, beside, small_model });
        Ok(Self { snapshot, said, notes, other_model, guesses, lists: changed })
    }

    /// Whether lists change: then they may speak about answers too.
    pub fn changes_lists(&self) -> bool {
        !self.lists.is_empty()
    }

    /// Whether a rule of a changed list looks at a name. Of all other names lists say what they said before.
    pub fn touches(&self, name: &Name) -> bool {
        self.changes_lists()
            && self.snapshot.lookup(name).iter().any(|found| self.lists.contains(&found.list))
    }

    /// Whether a rule of a changed list looks at a client.
    pub fn touches_client(&self, client: std::net::IpAddr) -> bool {
        let found = self.snapshot.lookup_client(client);
        found.iter().any(|found| self.lists.contains(&found.list))
    }
}

/// The indices of the lists that go.
fn removed(lists: &[ListInfo], changes: &[With], said: &mut Vec<String>) -> Result<Vec<u16>, ReplayError> {
    let mut without = Vec::new();
    for change in changes {
        let With::RemoveList(name) = change else { continue };
        let before = without.len();
        for (at, list) in lists.iter().enumerate().filter(|(_, list)| list.name == *name) {
            without.extend(u16::try_from(at));
            said.push(format!("without the {} list {name} ({} names)", list.role.as_str(), list.entries));
        }
        if without.len() == before {
            let known = lists.iter().map(|list| list.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(ReplayError::UnknownList { name: name.clone(), known });
        }
    }
    Ok(without)
}

/// A snapshot of the lists that come.
fn added(
    policy: &Policy,
    changes: &[With],
    said: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<Option<Snapshot>, ReplayError> {
    let sources: Vec<ListSource> = changes.iter().filter_map(source).collect();
    if sources.is_empty() {
        return Ok(None);
    }
    let rest = Rest { vetted: &[], policy, brands: b"", small_model: None, serial: 1, made_ms: 0, key: None };
    let compiled = lists::compile(&sources, &rest, false, |_| {})?;
    for ListReport { name, role, place, format, counts, .. } in &compiled.reports {
        if counts.entries == 0 {
            let (place, lines) = (place.clone(), counts.lines);
            return Err(ReplayError::NoRules { place, lines, format: *format });
        }
        said.push(format!("with the {} list {name} ({} names)", role.as_str(), counts.entries));
    }
    notes.extend(compiled.reports.iter().flat_map(ListReport::complaints));
    Ok(Some(Snapshot::open(compiled.bytes.into(), &[]).map_err(lists::CompileError::Open)?))
}

fn source(change: &With) -> Option<ListSource> {
    match change {
        With::AddList(source) => Some(source.clone()),
        _ => None,
    }
}

/// The filter's model after the changes, if they touch it, and whether its weights are others.
fn model(
    base: &Snapshot,
    changes: &[With],
    registry: &Registry,
    said: &mut Vec<String>,
) -> Result<(Option<Model>, bool), ReplayError> {
    let (mut name, mut threshold) = (None, None);
    for change in changes {
        let twice = match change {
            With::Model(other) => name.replace(other).is_some(),
            With::Threshold(p) => threshold.replace(*p).is_some(),
            With::AddList(_) | With::RemoveList(_) => false,
        };
        if twice {
            return Err(ReplayError::Twice(change.clone()));
        }
    }
    if name.is_none() && threshold.is_none() {
        return Ok((None, false));
    }
    let unusable = |source: ModelError| ReplayError::Model(source);
    let mut model = match name {
        Some(name) => {
            let artifact = registry.get(name)?;
            let model = artifact.model().ok_or_else(|| ReplayError::OnlyScorer(name.clone()))?;
            said.push(format!("with the model {} in the filter", model.id()));
            (**model).clone()
        }
        None => Model::decode(base.small_model().ok_or(ReplayError::NoModel)?).map_err(unusable)?,
    };
    if let Some(block_above) = threshold {
        let Thresholds { allow_below, block_above: before } = model.thresholds();
        let thresholds = Thresholds { allow_below, block_above };
        said.push(format!("with {} blocking from {block_above} in the place of {before}", model.id()));
        let spec = Spec { thresholds, ..model.spec().clone() };
        model = Model::new(spec, model.network().clone()).map_err(unusable)?;
    }
    Ok((Some(model), name.is_some()))
}

/// What groups do with the changes.
fn say_of_groups(policy: &Policy, added: &[ListInfo], model: bool, notes: &mut Vec<String>) {
    for group in &policy.groups {
        let name = &group.name;
        let used = |list: &&ListInfo| group.use_lists.is_empty() || group.use_lists.contains(&list.name);
        for list in added.iter().filter(|list| list.role.is_chosen() && !used(list)) {
            let list = &list.name;
            notes.push(format!("group {name} chooses its lists, and {list} is none of them: use_lists"));
        }
        if model && group.models != Mode::Enforce {
            let mode = if group.models == Mode::Off { "off" } else { "in log mode" };
            notes.push(format!("models are {mode} in group {name}: there they block nothing"));
        }
    }
    if !policy.pauses.is_empty() {
        notes.push("pauses of protection are left out: this is what holds without them".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_read_and_written_in_one_form() {
        for text in ["add-list:block:hosts:/a/b.txt", "remove-list:ads", "threshold:0.95", "model:large"] {
            assert_eq!(text.parse::<With>().unwrap().to_string(), text);
        }
        assert_eq!("add-list:x.txt".parse::<With>().unwrap().to_string(), "add-list:block:x.txt");
    }

    #[test]
    fn what_is_no_change_is_refused_with_what_is() {
        let said = |text: &str| text.parse::<With>().unwrap_err().to_string();
        for text in ["ads", "add-list:", "remove:ads", ""] {
            assert!(said(text).contains("remove-list:NAME"), "{}", said(text));
        }
        for text in ["threshold:0.5", "threshold:1.1", "threshold:x", "threshold:NaN"] {
            assert!(said(text).contains("write threshold:0.95"), "{}", said(text));
        }
        for text in ["add-list:https://lists.example/ads.txt", "add-list:allow:https://lists.example/ads.txt"]
        {
            assert!(said(text).contains("curl -o list.txt https://lists.example/ads.txt"), "{}", said(text));
        }
        assert!(said("add-list:block:").contains("names no file"));
    }
}
