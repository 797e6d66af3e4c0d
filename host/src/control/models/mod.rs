//! Which model is in force in the filters: promotion behind a gate, rollback, and how both reach a snapshot.
//!
//! ```text
//! registry ─► artifact checked ─► gate ─┬─► control.db: promotion, artifact ─► compiler ─► snapshot ─► every filter
//!                                       └─► refused with the names, unless `even so`
//! ```
//!
//! [`promote`] and [`roll_back`] write `control.db` and need no server; [`Control::promote`] does the same in one that
//! runs and waits until the snapshot with the model is served. The surprise: the artifact is copied into `control.db`,
//! so a registry may change or go, and what was promoted stays what is in force.

pub mod challenge;
pub mod drift;
pub mod gate;
pub mod watch;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dnsvet_core::event::Event;
use dnsvet_core::model::{Model, ModelError};
use dnsvet_core::snapshot::Snapshot;
use dnsvet_models::registry::{Artifact, Registry, RegistryError, hex};
use serde::Serialize;
use serde_json::{Value, json};

use self::challenge::{Challenge, Saw};
use self::drift::{Kept, Signal};
use self::gate::Gate;
use super::subscription::guard::names_of_popularity_lists;
use super::subscription::shelf::Shelf;
use super::vetting::Served;
use super::{Control, ControlError, now_ms};
use crate::config::Config;
use crate::replay::ReplayError;
use crate::store::control::models::{InForce, ModelRef, Promoting, Promotion, PromotionError};
use crate::store::control::{AuditRow, ControlStore, Identity, SqliteControl};
use crate::store::{StoreError, Tenant};

/// The model that comes with dnsvet, in force where nothing was promoted.
const SMALL_MODEL: &str = "small";
/// Under which the store keeps the challenger.
const CHALLENGE: &str = "challenger";
/// Names that a refusal shows.
const SHOWN: usize = 10;

/// Why a model does not get into force.
#[derive(Debug, thiserror::Error)]
pub enum PromoteError {
    /// The registry, or the artifact in it.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An imported graph.
    #[error("{0} has no model.dvm, so it runs in a scorer only; train a model with `dnsvet model train`")]
    OnlyScorer(String),
    /// The snapshot can't be decided with.
    #[error("the snapshot in force: {0}")]
    Snapshot(#[from] ReplayError),
    /// There is no snapshot to hold the model against.
    #[error("no snapshot is served yet; try again in a second")]
    NoSnapshot,
    /// Names that no model may block.
    #[error("{}", refusal(.id, .gate))]
    Against {
        /// The model.
        id: String,
        /// What was found.
        gate: Gate,
    },
    /// Nothing challenges the model in force.
    #[error("there is no challenger; put one up with `dnsvet model challenge NAME`")]
    NoChallenger,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn refusal(id: &str, gate: &Gate) -> String {
    let shown: Vec<String> =
        gate.names.iter().take(SHOWN).map(|against| format!("{} ({})", against.name, against.of)).collect();
    let more = gate.against - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (count, looked_at) = (gate.against, gate.suite_names + gate.popular_names);
    format!(
        "{id} is not promoted: it would newly block {count} of {looked_at} names that no model may: {}{more}; \
         train it again, or say --even-so (`even_so` in the API), which is recorded",
        shown.join(", ")
    )
}

/// What is to be promoted.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The model's name in the registry.
    pub name: String,
    /// The registry's folder; `None`: the configured one, else the models that come with dnsvet.
    pub registry: Option<PathBuf>,
    /// Although the gate is against it.
    pub even_so: bool,
}

impl Asking {
    /// Loads the artifact: its hashes and golden vectors hold, or it is an error.
    fn artifact(&self, config: &Config) -> Result<Artifact, RegistryError> {
        match self.registry.as_deref() {
            Some(folder) => Registry::open(folder)?.get(&self.name),
            None => registry(config)?.get(&self.name),
        }
    }
}

/// How models stand, as the API and `dnsvet model list --json` say it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Standing {
    /// The model in force.
    pub in_force: ModelRef,
    /// What a rollback would put in force; `None`: nothing.
    pub before: Option<ModelRef>,
    /// The model that scores beside it, and what it saw.
    pub challenger: Option<Challenge>,
    /// Whether what is asked for has drifted from what the model in force met first.
    pub drift: watch::Standing,
    /// The newest promotions and rollbacks, newest first.
    pub history: Vec<Promotion>,
}

/// The configured registry, else the models that come with dnsvet.
fn registry(config: &Config) -> Result<Registry, RegistryError> {
    let configured = Some(config.models.registry.as_path()).filter(|path| !path.as_os_str().is_empty());
    configured.map_or_else(|| Ok(Registry::bundled()), Registry::open)
}

/// A model of the registry, as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Described {
    /// Its name in the registry.
    pub name: String,
    /// Its manifest without golden vectors; `None` if that can't be read.
    pub manifest: Option<Value>,
    /// Its card, in Markdown; may be empty.
    pub card: String,
    /// Whether filters can run it.
    pub filters: bool,
    /// Why the manifest can't be read.
    pub problem: Option<String>,
}

/// The registry, with what each model says of itself; one that can't be read says why. Nothing is loaded or checked:
/// that happens before a model is promoted.
///
/// # Errors
/// If the registry's folder can't be read.
fn described(config: &Config) -> Result<Vec<Described>, RegistryError> {
    let registry = registry(config)?;
    let each = |name: String| match registry.said(&name) {
        Ok((manifest, card)) => {
            let filters = manifest.dvm_blake3.is_some();
            let mut manifest = json!(manifest);
            if let Some(fields) = manifest.as_object_mut() {
                fields.remove("golden");
            }
            Described { name, manifest: Some(manifest), card, filters, problem: None }
        }
        Err(why) => {
            let problem = Some(why.to_string());
            Described { name, manifest: None, card: String::new(), filters: false, problem }
        }
    };
    Ok(registry.names()?.into_iter().map(each).collect())
}

/// How models stand by what is stored.
///
/// # Errors
/// If the store, or the model that comes with dnsvet, can't be read.
pub fn standing(state: &dyn ControlStore, tenant: Tenant) -> Result<Standing, PromoteError> {
    let InForce { now, before } = state.in_force(tenant)?;
    let bundled = &bundled()?.0;
    let before = before.map(|model| model.unwrap_or_else(|| bundled.clone()));
    let in_force = now.unwrap_or_else(|| bundled.clone());
    let kept: Option<Kept> =
        state.noted(tenant, watch::KEPT)?.and_then(|kept| serde_json::from_value(kept).ok());
    let drift = kept.filter(|kept| kept.model == in_force.id).map(watch::Standing::of).unwrap_or_default();
    let challenger = noted_challenge(state, tenant)?;
    Ok(Standing { in_force, before, challenger, drift, history: state.promotions(tenant)? })
}

/// Puts a model of a registry in force, in `control.db`: the next snapshot has it.
///
/// # Errors
/// If the artifact is refused, the gate is against it and it was not said `even so`, or the store fails. Then all stays
/// as it was.
pub fn promote(
    state: &dyn ControlStore,
    (snapshot, config): (&Snapshot, &Config),
    who: &Identity,
    asking: &Asking,
    challenge: Option<Challenge>,
) -> Result<Promotion, PromoteError> {
    let artifact = asking.artifact(config)?;
    let (to, model) = filters(&artifact)?;
    let popular = names_of_popularity_lists(&config.lists, &Shelf::of(&config.data_dir));
    let gate = gate::look(snapshot, model, &popular)?;
    if gate.against > 0 && !asking.even_so {
        return Err(PromoteError::Against { id: to.id, gate });
    }
    let promoting = Promoting {
        to: &to,
        dvm: artifact.dvm.as_deref().unwrap_or_default(),
        author: &who.name,
        time_ms: now_ms(),
        even_so: gate.against > 0,
        evidence: json!({"gate": gate, "challenger": challenge.filter(|it| it.model.dvm_blake3 == to.dvm_blake3)}),
    };
    let promotion = state.promote(who.tenant, &promoting, &bundled()?.0)?;
    if !promotion.evidence["challenger"].is_null() {
        // It is no challenger any more, and need not be kept as one.
        state.note(who.tenant, CHALLENGE, &Value::Null)?;
    }
    Ok(promotion)
}

/// Puts a model of a registry up as challenger, in `control.db`, in the place of another one.
///
/// # Errors
/// If the artifact is refused, it is the model in force, or the store fails.
pub fn challenge(
    state: &dyn ControlStore,
    config: &Config,
    who: &Identity,
    asking: &Asking,
) -> Result<Challenge, PromoteError> {
    let artifact = asking.artifact(config)?;
    let (model, _) = filters(&artifact)?;
    if standing(state, who.tenant)?.in_force == model {
        return Err(StoreError::from(PromotionError::InForce(model.id)).into());
    }
    state.keep(&model, artifact.dvm.as_deref().unwrap_or_default())?;
    let challenge = Challenge { model, author: who.name.clone(), since_ms: now_ms(), saw: Saw::default() };
    state.note(who.tenant, CHALLENGE, &json!(challenge))?;
    audit(state, who, "model challenge", &challenge.model.id)?;
    Ok(challenge)
}

/// Takes the challenger away, in `control.db`; returns it with what it saw as it was kept last.
///
/// # Errors
/// If there is none, or the store fails.
pub fn stop_challenge(state: &dyn ControlStore, who: &Identity) -> Result<Challenge, PromoteError> {
    let challenge = noted_challenge(state, who.tenant)?.ok_or(PromoteError::NoChallenger)?;
    state.note(who.tenant, CHALLENGE, &Value::Null)?;
    audit(state, who, "model challenge ended", &challenge.model.id)?;
    Ok(challenge)
}

/// The challenger as the store has it.
///
/// # Errors
/// If the store fails.
pub fn noted_challenge(state: &dyn ControlStore, tenant: Tenant) -> Result<Option<Challenge>, StoreError> {
    let noted = state.noted(tenant, CHALLENGE)?;
    Ok(noted.and_then(|noted| serde_json::from_value(noted).ok()))
}

/// Puts the model before in force, in `control.db`. It was behind the gate once, so it is not asked again.
///
/// # Errors
/// If there is none, or the store fails.
pub fn roll_back(state: &dyn ControlStore, who: &Identity) -> Result<Promotion, PromoteError> {
    Ok(state.roll_back(who.tenant, &who.name, now_ms(), &bundled()?.0)?)
}

/// Forgets what was usual, in `control.db`: the next names say it.
///
/// # Errors
/// If the store fails.
pub fn rebase(state: &dyn ControlStore, who: &Identity) -> Result<(), StoreError> {
    state.note(who.tenant, watch::KEPT, &Value::Null)?;
    audit(state, who, "model rebase", "")
}

fn audit(state: &dyn ControlStore, who: &Identity, what: &str, detail: &str) -> Result<(), StoreError> {
    let (author, what, detail) = (who.name.clone(), what.to_owned(), detail.to_owned());
    state.audit(who.tenant, &AuditRow { time_ms: now_ms(), author, what, detail })
}

/// A model as filters run it.
fn filters(artifact: &Artifact) -> Result<(ModelRef, &Model), PromoteError> {
    let manifest = &artifact.manifest;
    match (artifact.model(), &manifest.dvm_blake3) {
        (Some(model), Some(dvm_blake3)) => {
            let (dvm_blake3, onnx_blake3) = (dvm_blake3.clone(), manifest.onnx_blake3.clone());
            Ok((ModelRef { id: model.id().to_owned(), dvm_blake3, onnx_blake3 }, model))
        }
        _ => Err(PromoteError::OnlyScorer(manifest.id.clone())),
    }
}

/// The model that comes with dnsvet, and its artifact; looked at once, not for each snapshot.
fn bundled() -> Result<&'static (ModelRef, Vec<u8>), PromoteError> {
    static BUNDLED: OnceLock<(ModelRef, Vec<u8>)> = OnceLock::new();
    if let Some(known) = BUNDLED.get() {
        return Ok(known);
    }
    let artifact = Registry::bundled().get(SMALL_MODEL)?;
    let (model, _) = filters(&artifact)?;
    Ok(BUNDLED.get_or_init(|| (model, artifact.dvm.map(Cow::into_owned).unwrap_or_default())))
}

/// The artifact in force and its BLAKE3, unless it is the one that is `held`. One that is damaged in the store is
/// passed over with an error in the log: what is held stays, else the model that comes with dnsvet is in force.
pub(super) fn fresh(
    state: &dyn ControlStore,
    held: Option<&str>,
) -> Result<Option<(String, Vec<u8>)>, PromoteError> {
    if let Some(now) = state.in_force(Tenant::DEFAULT)?.now {
        if held == Some(&now.dvm_blake3) {
            return Ok(None);
        }
        match whole(state, &now)? {
            Ok((dvm, _)) => return Ok(Some((now.dvm_blake3, dvm))),
            Err(why) => {
                let model = now.id;
                tracing::error!(model, %why, "the model in force is damaged in control.db and stays out; `dnsvet model rollback`, then promote it again");
                if held.is_some() {
                    return Ok(None);
                }
            }
        }
    }
    let (bundled, dvm) = bundled()?;
    Ok((held != Some(&bundled.dvm_blake3)).then(|| (bundled.dvm_blake3.clone(), dvm.clone())))
}

/// What an artifact of the store is, or what is wrong with it.
type Whole = Result<(Vec<u8>, Model), ModelError>;

/// An artifact of the store, checked.
fn whole(state: &dyn ControlStore, model: &ModelRef) -> Result<Whole, StoreError> {
    let dvm = state.model(&model.dvm_blake3)?.unwrap_or_default();
    if hex(&dvm) != model.dvm_blake3 {
        return Ok(Err(ModelError::Checksum));
    }
    Ok(Model::decode(&dvm).map(|model| (dvm, model)))
}

impl Control {
    /// Puts a model of a registry in force, and waits until the snapshot with it is served.
    ///
    /// # Errors
    /// As [`promote`], or if no snapshot could be made (the promotion is kept).
    pub fn promote(&self, who: &Identity, asking: &Asking) -> Result<Served<Promotion>, ControlError> {
        let published = self.published().ok_or(PromoteError::NoSnapshot)?;
        let config = self.configured();
        let challenge = self.watcher.challenge();
        let promotion = promote(self.state(), (&published.opened, &config), who, asking, challenge)?;
        if !promotion.evidence["challenger"].is_null() {
            self.watcher.stop_challenge();
        }
        self.served(promotion, true)
    }

    /// Puts the model before in force, and waits until the snapshot with it is served.
    ///
    /// # Errors
    /// As [`roll_back`], or if no snapshot could be made (the rollback is kept).
    pub fn roll_back(&self, who: &Identity) -> Result<Served<Promotion>, ControlError> {
        let promotion = roll_back(self.state(), who)?;
        self.served(promotion, true)
    }

    /// How models stand.
    ///
    /// # Errors
    /// If the store fails.
    pub fn models(&self, tenant: Tenant) -> Result<Standing, ControlError> {
        let (drift, challenger) = (self.watcher.standing(), self.watcher.challenge());
        Ok(Standing { drift, challenger, ..standing(self.state(), tenant)? })
    }

    /// What the models of the registry say of themselves.
    ///
    /// # Errors
    /// If the registry's folder can't be read.
    pub fn described_models(&self) -> Result<Vec<Described>, ControlError> {
        Ok(described(&self.configured()).map_err(PromoteError::from)?)
    }

    /// Puts a model of a registry up as challenger: it scores beside the model in force from now on.
    ///
    /// # Errors
    /// As [`challenge`].
    pub fn challenge(&self, who: &Identity, asking: &Asking) -> Result<Challenge, ControlError> {
        let challenge = challenge(self.state(), &self.configured(), who, asking)?;
        self.watcher.put_up(self.state(), &challenge)?;
        Ok(challenge)
    }

    /// Takes the challenger away; returns it with what it saw.
    ///
    /// # Errors
    /// If there is none, or the store fails.
    pub fn stop_challenge(&self, who: &Identity) -> Result<Challenge, ControlError> {
        let saw = self.watcher.stop_challenge();
        let noted = stop_challenge(self.state(), who)?;
        Ok(saw.unwrap_or(noted))
    }

    /// Has names looked at for drift.
    pub fn saw_events(&self, events: &[Event]) {
        self.watcher.saw(events);
    }

    /// What is past its threshold of drift.
    pub fn drifted(&self) -> Vec<Signal> {
        self.watcher.standing().alarms().to_vec()
    }

    /// Takes the names that come from now on as what is usual, and ends alarms of drift.
    ///
    /// # Errors
    /// If the store fails.
    pub fn rebase(&self, who: &Identity) -> Result<(), ControlError> {
        rebase(self.state(), who)?;
        self.watcher.rebase();
        Ok(())
    }
}

/// How models stand in a data folder, whether a server runs on it or not. Where there is no state, nothing was promoted.
///
/// # Errors
/// If the state can't be read.
pub fn standing_of(data_dir: &Path) -> Result<Standing, PromoteError> {
    let path = data_dir.join("control.db");
    if !path.exists() {
        return Ok(Standing {
            in_force: bundled()?.0.clone(),
            before: None,
            challenger: None,
            drift: watch::Standing::default(),
            history: Vec::new(),
        });
    }
    standing(&SqliteControl::open(&path)?, Tenant::DEFAULT)
}
