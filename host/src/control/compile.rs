//! Lists, policy and decisions to a signed snapshot.
//!
//! The names stay loaded in the builder ([`Loaded`]): a decision changes only the vetted section and the manifest, a
//! few changed names an overlay, and the snapshot with them is served in a fraction of a second, of which filters
//! fetch a few kilobytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use dnsvet_core::name::Name;
use dnsvet_core::policy::identity::hashed;
use dnsvet_core::policy::{Group, NamedClient, Policy};
use dnsvet_core::snapshot::{BuildError, Decision as Judged, Snapshot, SnapshotError, Vetted};
use dnsvet_core::verdict::inspect::is_inside;
use ed25519_dalek::SigningKey;

use super::clients::ClientNames;
use super::loaded::{self, Loaded};
use super::models::{self, PromoteError};
use super::subscription::shelf::Shelf;
use super::{ControlError, ListStatus, Published, relief, rpz, secret};
use crate::config::Config;
use crate::config::names::for_everybody;
use crate::lists;
use crate::store::control::{ControlStore, Decision, Scope};
use crate::store::{StoreError, Tenant, now_ms};
use crate::xfr::policy::Entry;
use crate::zones::{self, UnknownZone};

/// The last good snapshot, in the data folder.
pub const SNAPSHOT_FILE: &str = "snapshot.dvs";
/// A snapshot that is older than this should have been replaced, milliseconds.
const EXPIRES_MS: u64 = 30 * 86_400_000;

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A list can't be read, or the builder refused.
    #[error(transparent)]
    List(#[from] lists::CompileError),
    /// The bundled lists can't be unpacked.
    #[error("the bundled lists: {0}; this build is damaged, build it again")]
    Bundled(std::io::Error),
    /// The model in force can't be had.
    #[error("the small model: {0}")]
    Model(Box<PromoteError>),
    /// A time zone of a schedule.
    #[error("`groups`: {0}")]
    Zone(#[from] UnknownZone),
    /// The builder refused.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The decisions or the serial number can't be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was built does not open again.
    #[error("the snapshot does not open: {0}; this is a fault of dnsvet, please report it")]
    Opened(#[from] SnapshotError),
}

/// Makes snapshots.
pub struct Compiler {
    config: Config,
    state: Arc<dyn ControlStore>,
    clients: Arc<ClientNames>,
    folder: PathBuf,
    key: SigningKey,
    key_seed: [u8; 16],
    loaded: Option<Loaded>,
}

impl Compiler {
    /// Takes the keys from the data folder, or makes them.
    pub(super) fn open(
        config: Config,
        state: Arc<dyn ControlStore>,
        clients: Arc<ClientNames>,
    ) -> Result<Self, ControlError> {
        let folder = config.data_dir.clone();
        let key = SigningKey::from_bytes(&key_file(&folder.join("snapshot.key"))?);
        let public = hex(key.verifying_key().as_bytes());
        let path = folder.join("snapshot.pub");
        std::fs::write(&path, format!("{public}\n")).map_err(|source| ControlError::File { path, source })?;
        let key_seed = key_file(&folder.join("names.key"))?;
        Ok(Self { config, state, clients, folder, key, key_seed, loaded: None })
    }

    /// The snapshot of the last run, if it is there and whole.
    pub fn last_good(&self) -> Option<Arc<Published>> {
        let path = self.folder.join(SNAPSHOT_FILE);
        let bytes = Bytes::from(std::fs::read(&path).ok()?);
        match Snapshot::open(bytes.clone(), &[self.key.verifying_key()]) {
            Ok(opened) => {
                let lists = opened.lists().iter().map(|info| ListStatus {
                    name: info.name.clone(),
                    role: info.role.as_str().into(),
                    entries: info.entries,
                    ..ListStatus::default()
                });
                let (id, serial, built_ms) = (opened.id().to_owned(), opened.serial(), opened.made_ms());
                let (lists, groups) = (lists.collect(), group_names(&opened));
                Some(Arc::new(Published { id, serial, bytes, opened, built_ms, lists, groups }))
            }
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "the snapshot of the last run can't be used; a fresh one is compiled");
                None
            }
        }
    }

    /// Takes another configuration, for the next [`Compiler::reload`].
    pub fn configure(&mut self, config: Config) {
        self.config = config;
    }

    /// Reads policy and lists again, of lists those that changed; what is in force stays if that fails.
    pub fn reload(&mut self) -> Result<Published, CompileError> {
        let policy = policy(&self.config, self.clients.take())?;
        let shelf = Shelf::of(&self.config.data_dir);
        let wanted = loaded::wanted(&self.config, &shelf);
        let mut loaded = match self.loaded.take_if(|loaded| loaded.is_of(&wanted)) {
            Some(mut held) => {
                held.update(&wanted, &shelf);
                held.policy = policy;
                held
            }
            None => Loaded::fresh(&wanted, &shelf, self.key_seed, policy)?,
        };
        // Should the builder refuse these lists, the next order reads everything afresh.
        let published = self.build(&mut loaded)?;
        self.loaded = Some(loaded);
        Ok(published)
    }

    /// Takes the decisions as they are now; the lists stay as they were read last.
    pub fn vetted_changed(&mut self) -> Result<Published, CompileError> {
        let Some(mut loaded) = self.loaded.take() else { return self.reload() };
        let built = self.build(&mut loaded);
        self.loaded = Some(loaded);
        built
    }

    fn build(&self, loaded: &mut Loaded) -> Result<Published, CompileError> {
        let fresh = models::fresh(self.state.as_ref(), loaded.model.as_deref());
        if let Some((hash, dvm)) = fresh.map_err(|why| CompileError::Model(Box::new(why)))? {
            loaded.builder.small_model(dvm);
            loaded.model = Some(hash);
        }
        let builder = &mut loaded.builder;
        builder.vetted(vetted(self.state.as_ref())?);
        relief::apply(&mut loaded.policy, self.state.as_ref())?;
        builder.policy(loaded.policy.clone());
        let (serial, made_ms) = (self.state.next_serial()?, now_ms());
        builder.serial(serial).times(made_ms, made_ms + EXPIRES_MS);
        let bytes = Bytes::from(builder.build(Some(&self.key))?);
        let opened = Snapshot::open(bytes.clone(), &[self.key.verifying_key()])?;
        let lists = loaded.statuses(opened.lists());
        let (id, groups) = (opened.id().to_owned(), group_names(&opened));
        Ok(Published { id, serial, bytes, opened, built_ms: made_ms, lists, groups })
    }

    /// What goes into the policy zone.
    pub fn rpz_entries(&self) -> Result<Vec<Entry>, StoreError> {
        rpz::entries(&self.config, self.state.as_ref())
    }

    /// Writes a snapshot to the data folder, whole or not at all, and where the entries of its lists stand.
    pub fn keep(&mut self, published: &Published) -> std::io::Result<()> {
        let path = self.folder.join(SNAPSHOT_FILE);
        let fresh = path.with_extension("dvs.new");
        let mut file = std::fs::File::create(&fresh)?;
        std::io::Write::write_all(&mut file, &published.bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)?;
        if let Some(Err(error)) = self.loaded.as_mut().map(|loaded| loaded.index(&self.folder)) {
            tracing::warn!(%error, "where listed names stand could not be kept; `dnsvet check` can't say lines");
        }
        Ok(())
    }
}

fn group_names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.policy().groups.iter().map(|group| group.name.clone()).collect()
}

/// The policy that a configuration means: its groups, and one for everybody who is in none. `found` are clients with
/// names from elsewhere.
fn policy(config: &Config, found: Vec<NamedClient>) -> Result<Policy, UnknownZone> {
    let mut groups = config.groups.clone();
    if let Some(name) = for_everybody(&groups) {
        groups.push(Group {
            name: name.into(),
            lists: config.mode.lists,
            models: config.mode.models,
            failure_mode: config.failure_mode,
            ..Group::default()
        });
    }
    for group in &groups {
        for address in [group.honeypot_v4.into(), group.honeypot_v6.into()] {
            if !is_inside(address) {
                let group = &group.name;
                tracing::warn!(group, %address, "the honeypot is a public address: whoever has it sees your clients");
            }
        }
    }
    for schedule in groups.iter_mut().flat_map(|group| &mut group.schedules) {
        schedule.name = canonical(&schedule.name);
        schedule.offsets = zones::offsets(&schedule.zone, now_ms())?;
    }
    for group in &mut groups {
        // Lists of their own by now.
        group.rules.clear();
        group.bundles.clear();
        let secrets = group.path_ids.iter_mut().chain(&mut group.tokens);
        secrets.for_each(|secret| *secret = hashed(secret));
    }
    let clients = config.client_names.iter().cloned().chain(found).collect();
    let local_zones = config.local_zones.iter().map(|zone| canonical(zone)).collect();
    let designated = config.discovery.clone();
    Ok(Policy { groups, local_zones, clients, designated, ..Policy::default() })
}

/// A name as the filter compares it: lower case, A-labels, no dot at the end. The configuration's own check has
/// refused what is no name.
fn canonical(text: &str) -> String {
    Name::parse(text).map_or_else(|_| text.to_owned(), |name| name.as_str().to_owned())
}

fn vetted(state: &dyn ControlStore) -> Result<Vec<Vetted>, StoreError> {
    let rows = state.vetted(Tenant::DEFAULT)?.into_iter();
    let judged = rows.filter_map(|row| {
        let decision = match row.decision {
            Decision::Benign => Judged::Benign,
            Decision::Malicious => Judged::Malicious,
            Decision::Honeypot => Judged::Honeypot,
            Decision::None => return None,
        };
        let exact = row.scope == Scope::Exact;
        Some(Vetted { name: row.name, decision, exact, author: row.author, time_ms: row.time_ms })
    });
    Ok(judged.collect())
}

/// A key of N bytes, in hex in a file of its owner's.
fn key_file<const N: usize>(path: &Path) -> Result<[u8; N], ControlError> {
    let refuse = |source| ControlError::File { path: path.to_owned(), source };
    let text = secret::file(path, || hex(&secret::random::<N>())).map_err(refuse)?;
    let bytes: Option<Vec<u8>> =
        (0..N).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok()).collect();
    let key = bytes.filter(|_| text.len() == N * 2).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    key.ok_or_else(|| refuse(std::io::Error::other(format!("no key of {} hex digits", N * 2))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dnsvet_core::policy::groups::Groups;
    use dnsvet_core::policy::identity::Identity;
    use dnsvet_core::policy::{Mode, Schedule};

    #[test]
    fn names_of_the_policy_are_compared_as_names_are() {
        let schedule = Schedule { name: "Games.Example.".into(), to_minute: 1, ..Schedule::default() };
        let kids = Group { name: "kids".into(), schedules: vec![schedule], ..Group::default() };
        let config =
            Config { groups: vec![kids], local_zones: vec!["Corp.Example.".into()], ..Config::default() };
        let policy = policy(&config, Vec::new()).unwrap();
        assert_eq!(policy.local_zones, ["corp.example"]);
        assert_eq!(policy.groups[0].schedules[0].name, "games.example");
        assert_eq!(policy.groups.len(), 1, "a group without clients is everybody's");
    }

    #[test]
    fn who_is_in_no_group_is_in_one_for_everybody_with_the_modes_of_the_configuration() {
        let kids = Group {
            name: "default".into(),
            clients: "10.1.0.0/16".parse().into_iter().collect(),
            ..Group::default()
        };
        let mut config = Config { groups: vec![kids], ..Config::default() };
        config.mode.models = Mode::Enforce;
        let policy = policy(&config, Vec::new()).unwrap();
        let groups = Groups::new(&policy, &[]);
        let of = |client: &str| &groups.of(client.parse().unwrap(), &Identity::default()).group;
        assert_eq!(of("10.1.0.1").name, "default");
        assert_eq!((of("192.0.2.1").name.as_str(), of("192.0.2.1").models), ("everybody", Mode::Enforce));
    }
}
