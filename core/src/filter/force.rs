//! What is in force: a snapshot with what is made of it, or several while one takes over from another.

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::{Brands, Model};
use crate::name::Name;
use crate::policy::groups::{Groups, Held};
use crate::policy::identity::Identity;
use crate::policy::{Mode, Policy};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::verdict::Step;

/// A snapshot, decoded. Without one: what holds until the first comes.
#[derive(Debug)]
pub struct Force {
    /// The snapshot.
    pub snapshot: Option<Snapshot>,
    /// Its small model.
    pub model: Option<Arc<Model>>,
    /// Its brands.
    pub brands: Arc<Brands>,
    /// Its policy.
    pub policy: Policy,
    /// The policy's groups.
    pub groups: Groups,
}

impl Force {
    /// Without a snapshot, under this policy.
    pub fn without_snapshot(policy: Policy) -> Self {
        let groups = Groups::new(&policy, &[]);
        Self { snapshot: None, model: None, brands: Arc::default(), policy, groups }
    }

    /// Decodes a snapshot; what is equal in one of `held` is shared with it.
    pub fn new(snapshot: Snapshot, held: &[&Force]) -> Result<Self, SnapshotError> {
        let bad =
            |section, why: &dyn std::fmt::Display| SnapshotError::Section { section, why: why.to_string() };
        let like = |part: for<'s> fn(&'s Snapshot) -> Option<&'s [u8]>| {
            let same = |other: &&&Force| other.snapshot.as_ref().is_some_and(|s| part(s) == part(&snapshot));
            held.iter().find(same)
        };
        let model = match like(Snapshot::small_model) {
            Some(force) => force.model.clone(),
            None => {
                let decoded = snapshot.small_model().map(Model::decode).transpose();
                decoded.map_err(|error| bad("small model", &error))?.map(Arc::new)
            }
        };
        let brands = match (like(|snapshot| Some(snapshot.brands())), snapshot.brands()) {
            (Some(force), _) => force.brands.clone(),
            (None, []) => Arc::default(),
            (None, bytes) => Brands::decode(bytes).map_err(|error| bad("brands", &error))?.into(),
        };
        let policy = snapshot.policy().clone();
        let groups = Groups::new(&policy, snapshot.lists());
        Ok(Self { snapshot: Some(snapshot), model, brands, policy, groups })
    }

    /// The same with this snapshot, of which more or less is here.
    pub fn with(&self, snapshot: &Snapshot) -> Self {
        let (model, brands) = (self.model.clone(), self.brands.clone());
        let snapshot = Some(snapshot.clone());
        Self { snapshot, model, brands, policy: self.policy.clone(), groups: self.groups.clone() }
    }

    /// Replaces the mode of models in every group.
    pub fn set_models_mode(&mut self, mode: Mode) {
        for group in &mut self.policy.groups {
            group.models = mode;
        }
        let lists = self.snapshot.as_ref().map(Snapshot::lists).unwrap_or_default();
        self.groups = Groups::new(&self.policy, lists);
    }

    /// The id of the model, if there is one.
    pub fn model_id(&self) -> Option<&str> {
        self.model.as_deref().map(Model::id)
    }

    /// The id of the snapshot; empty without one.
    pub fn id(&self) -> &str {
        self.snapshot.as_ref().map_or("", Snapshot::id)
    }

    /// The group of a client.
    pub fn held(&self, client: IpAddr, identity: &Identity) -> &Arc<Held> {
        match self.policy.skip_steps.contains(&Step::Group) {
            true => self.groups.nobodys(),
            false => self.groups.of(client, identity),
        }
    }

    /// Whether it decides on a name.
    pub fn covers(&self, name: &Name) -> bool {
        self.snapshot.as_ref().is_none_or(|snapshot| snapshot.covers(name))
    }
}
