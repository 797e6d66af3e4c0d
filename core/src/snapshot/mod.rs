//! The snapshot: lists, vetted names, popularity, policy and small model in one immutable file (`.dvs`).
//!
//! ```text
//! lists ─► Builder ─► bytes ─► GET /v1/snapshot ─► Feed ─► Snapshot ─► lookup · vetted · popularity
//!                      └──────────── file, mapped ────────► Snapshot::open
//! ```
//!
//! A [`Snapshot`] is read in place: over one mapped file, or over buffers that a [`Feed`] fetched one by one. It
//! is checked when opened (format, signature, BLAKE3 of each chunk) and can't be wrong afterwards; what fails a
//! check is refused whole, and whoever holds an older one goes on with it.
//!
//! Its surprise: names are not in it. The map holds keyed hashes, so it can say whether a suffix is listed
//! (wrong one time in 2^32) but not enumerate itself.

mod base;
mod builder;
mod change;
mod container;
mod delta;
mod entries;
mod error;
mod feed;
mod fuse;
mod hash;
mod map;
mod overlay;
mod patterns;
mod range;
mod rules;
mod swap;
mod vetted;
mod wire;

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::builder::{BuildError, Builder};
pub use self::change::Change;
pub use self::container::{CHUNK_BYTES, FORMAT};
pub use self::delta::{Deltas, MOST_DELTA_BYTES, NoDelta};
pub use self::entries::Run;
pub use self::error::SnapshotError;
pub use self::feed::{Feed, FeedConfig, FeedStep};
pub use self::patterns::PatternError;
pub use self::range::{Unsatisfiable, etag_matches, serve_range};
pub use self::vetted::{Decision, MOST_VETTED, Vetted};

use self::change::Changed;
use self::container::{Kind, Manifest, head_bytes};
use self::map::{ALL_GROUPS, Member, NameMap, group_of_name};
use self::rules::{Part, Rules, StoredRule};
use crate::lists::{Conditions, Effect, Scope, Trigger};
use crate::name::Name;
use crate::policy::{Mode, Policy};
use crate::verdict::Action;

/// What a list is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Its names are blocked.
    #[default]
    Block,
    /// Its names are allowed, whatever a blocklist of an equal or shorter suffix says.
    Allow,
    /// Its names are blocked by law, before anything else.
    Mandatory,
    /// Its names are popular: a model may not block them.
    Popular,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 4] = [Role::Block, Role::Allow, Role::Mandatory, Role::Popular];

    /// Whether a group may choose to do without a list of this role.
    pub fn is_chosen(self) -> bool {
        matches!(self, Role::Block | Role::Allow)
    }

    /// The word used in configuration and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Block => "block",
            Role::Allow => "allow",
            Role::Mandatory => "mandatory",
            Role::Popular => "popular",
        }
    }
}

/// A list of a snapshot; its names are in the map.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ListInfo {
    /// Its name in verdicts.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// SPDX expression of its licence; empty if not known.
    pub licence: String,
    /// Distinct names with scope.
    pub entries: u64,
    /// What it may do.
    #[serde(default)]
    pub mode: Mode,
    /// How it blocks; as the client's group says, if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What [`Action::Custom`] answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<(Ipv4Addr, Ipv6Addr)>,
    /// Groups for which it holds; empty: all that do not choose other lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Rules that the policy's owner wrote, not a list: its verdicts say `rule` and not `list`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
}

/// A rule of a list that a question, or an answer, sets off. Its conditions may still speak against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match<'s> {
    /// Index into [`Snapshot::lists`].
    pub list: u16,
    /// What set it off.
    pub by: Hit,
    /// What the rule does.
    pub effect: &'s Effect,
    /// What narrows it.
    pub conditions: &'s Conditions,
}

/// What set off a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hit {
    /// The suffix that is listed: the name, or one it lies below; and its scope.
    Name(String, Scope),
    /// A pattern that matches the name.
    Pattern(String),
    /// A network that holds the client.
    Client(IpNet),
    /// A network that holds an answered address.
    Address(IpNet),
}

impl Match<'_> {
    /// The listed suffix; empty if something else set the rule off.
    pub fn suffix(&self) -> &str {
        match &self.by {
            Hit::Name(suffix, _) => suffix,
            _ => "",
        }
    }
}

impl Hit {
    /// The key of the trigger that was hit, as [`Trigger::key`] gives it.
    pub fn key(&self) -> String {
        match self {
            Hit::Name(suffix, _) => suffix.clone(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Hit::Name(suffix, scope) => write!(f, "{suffix} ({})", scope.as_str()),
            Hit::Pattern(pattern) => write!(f, "/{pattern}/"),
            Hit::Client(net) => write!(f, "client {net}"),
            Hit::Address(net) => write!(f, "address {net}"),
        }
    }
}

impl<'s> Match<'s> {
    fn of(rule: &'s StoredRule, by: Hit) -> Self {
        Self { list: rule.list, by, effect: &rule.effect, conditions: &rule.conditions }
    }
}

/// The section of lists.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Listed {
    lists: Vec<ListInfo>,
    parts: Vec<Part>,
}

static NO_CONDITIONS: LazyLock<Conditions> = LazyLock::new(Conditions::default);
static IMPORTANT: LazyLock<Conditions> =
    LazyLock::new(|| Conditions { important: true, ..Conditions::default() });

/// A snapshot opened for reading. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    maps: Arc<Maps>,
    changed: Option<Arc<Changed>>,
}

#[derive(Debug)]
struct Inner {
    manifest: Manifest,
    lists: Vec<ListInfo>,
    parts: Vec<Part>,
    rules: Rules,
    policy: Policy,
    vetted: vetted::Table,
    brands: Bytes,
    small_model: Option<Bytes>,
}

/// What may come and go in pieces, see [`swap`].
#[derive(Debug)]
struct Maps {
    /// All of the snapshot; a piece of a map that is not here is empty.
    pieces: Vec<Bytes>,
    names: NameMap,
    popular: Option<NameMap>,
    /// The groups of names that are answered for.
    groups: Range<u64>,
}

impl Maps {
    /// Opens the maps; says in which section something is wrong otherwise.
    fn open(manifest: &Manifest, pieces: Vec<Bytes>, groups: Range<u64>) -> Result<Self, SnapshotError> {
        let overlays = manifest.section(Kind::Overlay, &pieces);
        let overlay = |number: usize| overlays.get(number).filter(|piece| !piece.is_empty());
        let open = |kind: Kind, number: usize| {
            let sized: Vec<(usize, Bytes)> = manifest.sized(kind, &pieces).collect();
            let section = kind.as_str();
            let wrong = |why: &str| SnapshotError::Section { section, why: why.to_owned() };
            NameMap::open(&sized, overlay(number)).map_err(wrong)
        };
        let names = open(Kind::NameMap, 0)?;
        let has_popular = manifest.sized(Kind::Popular, &pieces).next().is_some();
        let popular = has_popular.then(|| open(Kind::Popular, 1)).transpose()?;
        Ok(Self { names, popular, pieces, groups })
    }
}

impl Inner {
    fn part(&self, member: Member) -> Option<&Part> {
        self.parts.get(usize::from(member.part()))
    }
}

impl Snapshot {
    /// Opens a whole snapshot without copying it. One of `keys` must have signed it; with no keys, unsigned ones
    /// are taken too.
    pub fn open(bytes: Bytes, keys: &[VerifyingKey]) -> Result<Self, SnapshotError> {
        let manifest = Manifest::decode(&bytes, keys)?;
        let head = head_bytes(&bytes).and_then(Result::ok).unwrap_or_default();
        let pieces = manifest.cut(&bytes, head)?;
        Self::from_pieces(manifest, pieces, 0..ALL_GROUPS)
    }

    /// Opens buffers whose chunks were checked, to answer for some groups of names.
    fn from_pieces(
        manifest: Manifest,
        pieces: Vec<Bytes>,
        groups: Range<u64>,
    ) -> Result<Self, SnapshotError> {
        let section = |kind: Kind| manifest.section(kind, &pieces);
        let one = |kind: Kind| section(kind).into_iter().next();
        let need = |kind: Kind| one(kind).ok_or(SnapshotError::MissingSection(kind.as_str()));
        let wrong = |kind: Kind, why: String| SnapshotError::Section { section: kind.as_str(), why };

        let Listed { lists, parts } = serde_json::from_slice(&need(Kind::Lists)?)
            .map_err(|error| wrong(Kind::Lists, error.to_string()))?;
        let lists_of_parts = parts.iter().filter_map(Part::list);
        if lists_of_parts.into_iter().any(|list| usize::from(list) >= lists.len()) {
            return Err(wrong(Kind::Lists, "a part names a list that is not there".to_owned()));
        }
        let rules = Rules::open(&section(Kind::Rules), lists.len()).map_err(|why| wrong(Kind::Rules, why))?;
        let policy: Policy = serde_json::from_slice(&need(Kind::Policy)?)
            .map_err(|error| wrong(Kind::Policy, error.to_string()))?;
        let vetted = vetted::Table::open(&need(Kind::Vetted)?)
            .ok_or_else(|| wrong(Kind::Vetted, "its table is damaged".to_owned()))?;
        need(Kind::NameMap)?;
        let (brands, small_model) = (one(Kind::Brands).unwrap_or_default(), one(Kind::SmallModel));
        let maps = Maps::open(&manifest, pieces, groups)?;
        let inner = Inner { manifest, lists, parts, rules, policy, vetted, brands, small_model };
        Ok(Self { inner: Arc::new(inner), maps: Arc::new(maps), changed: None })
    }

    /// What a feed can reuse: the pieces that are here.
    fn held_pieces(&self) -> impl Iterator<Item = (&container::Piece, &Bytes)> {
        let all = self.inner.manifest.pieces.iter().zip(&self.maps.pieces);
        all.filter(|(piece, bytes)| piece.len == bytes.len())
    }

    /// Whether this snapshot answers for a name. One that was fetched whole or opened does for all; of two of
    /// which one takes over from the other ([`FeedStep::Swapped`]), each does for its part and says nothing of
    /// other names.
    pub fn covers(&self, name: &Name) -> bool {
        let groups = &self.maps.groups;
        *groups == (0..ALL_GROUPS)
            || group_of_name(name.as_str()).is_none_or(|group| groups.contains(&group.into()))
    }

    /// 16 hex digits of the manifest's BLAKE3: what verdicts name.
    pub fn id(&self) -> &str {
        &self.inner.manifest.id
    }

    /// Rises with each snapshot of a control plane.
    pub fn serial(&self) -> u64 {
        self.inner.manifest.serial
    }

    /// Format, major and minor.
    pub fn format(&self) -> (u16, u16) {
        (FORMAT.0, self.inner.manifest.minor)
    }

    /// When it was built, milliseconds since 1970; 0 if its maker did not say.
    pub fn made_ms(&self) -> u64 {
        self.inner.manifest.made_ms
    }

    /// When it should have been replaced, milliseconds since 1970; `None` for never. An expired snapshot goes on
    /// serving; it is an alarm, not an outage.
    pub fn expires_ms(&self) -> Option<u64> {
        Some(self.inner.manifest.expires_ms).filter(|&at| at > 0)
    }

    /// Length of the file, bytes.
    pub fn total_bytes(&self) -> u64 {
        self.inner.manifest.total
    }

    /// Bytes of each section's pieces, by name, in the order of the file.
    pub fn section_bytes(&self) -> Vec<(&'static str, u64)> {
        let size = |kind| self.inner.manifest.sized(kind, &self.maps.pieces).map(|(len, _)| len as u64).sum();
        Kind::ALL.into_iter().map(|kind| (kind.as_str(), size(kind))).collect()
    }

    /// Bytes that a filter which holds `held` fetches to have this snapshot: the manifest and changed chunks.
    pub fn update_bytes(&self, held: &Snapshot) -> u64 {
        let known: HashSet<&[u8; 32]> = held.held_pieces().flat_map(|(piece, _)| &piece.chunks).collect();
        let chunks = self.held_pieces().flat_map(|(piece, _)| piece.chunk_ranges());
        let fresh = chunks.filter(|(_, _, hash)| !known.contains(hash)).map(|(_, len, _)| len as u64);
        self.inner.manifest.head + fresh.sum::<u64>()
    }

    /// Distinct names in the name map, popular lists left out.
    pub fn name_count(&self) -> u64 {
        self.maps.names.names()
    }

    /// The lists; [`Match::list`] is an index.
    pub fn lists(&self) -> &[ListInfo] {
        self.changed.as_ref().map_or(&self.inner.lists, |changed| &changed.lists)
    }

    /// Every rule of block, allow and mandatory lists that a name sets off: listed suffixes, longest first, then
    /// patterns. Conditions are not looked at.
    pub fn lookup(&self, name: &Name) -> Vec<Match<'_>> {
        let text = name.as_str();
        let inner = &*self.inner;
        let mut matches = Vec::new();
        if !self.covers(name) {
            return matches;
        }
        self.maps.names.visit(text, |start, members| {
            let itself = start == 0;
            let suffix = text.get(start..).unwrap_or_default();
            for member in members {
                match inner.part(member) {
                    Some(Part::Does { list, effect, important }) if member.scope().covers(itself) => {
                        let by = Hit::Name(suffix.to_owned(), member.scope());
                        let conditions = if *important { &*IMPORTANT } else { &*NO_CONDITIONS };
                        matches.push(Match { list: *list, by, effect, conditions });
                    }
                    Some(Part::Ruled) => matches.extend(
                        inner
                            .rules
                            .of_name(suffix, itself)
                            .map(|(rule, scope)| Match::of(rule, Hit::Name(suffix.to_owned(), scope))),
                    ),
                    _ => {}
                }
            }
        });
        matches.sort_by_key(|found| (std::cmp::Reverse(found.suffix().len()), found.list));
        matches.extend(inner.rules.of_patterns(text).map(|rule| {
            let pattern = match &rule.trigger {
                Trigger::Pattern(pattern) => pattern.clone(),
                _ => String::new(),
            };
            Match::of(rule, Hit::Pattern(pattern))
        }));
        self.and_beside(&mut matches, |beside| beside.lookup(name));
        matches
    }

    /// Every rule on networks that hold a client, longest prefix first. Conditions are not looked at.
    pub fn lookup_client(&self, client: IpAddr) -> Vec<Match<'_>> {
        let found = self.inner.rules.of_client(client);
        let mut matches = found.map(|(rule, net)| Match::of(rule, Hit::Client(net))).collect();
        self.and_beside(&mut matches, |beside| beside.lookup_client(client));
        matches
    }

    /// Whether a rule on networks holds a client: then no other client's verdict is its.
    pub fn is_client_listed(&self, client: IpAddr) -> bool {
        self.inner.rules.of_client(client).next().is_some()
            || self.beside().is_some_and(|(_, beside)| beside.is_client_listed(client))
    }

    /// Every rule on networks that hold an answered address, longest prefix first. Conditions are not looked at.
    pub fn lookup_address(&self, address: IpAddr) -> Vec<Match<'_>> {
        let found = self.inner.rules.of_address(address);
        let mut matches = found.map(|(rule, net)| Match::of(rule, Hit::Address(net))).collect();
        self.and_beside(&mut matches, |beside| beside.lookup_address(address));
        matches
    }

    /// Whether a rule of a list is set off by a name, without collecting them.
    pub fn is_listed(&self, name: &Name) -> bool {
        let mut listed = false;
        self.maps.names.visit(name.as_str(), |start, mut members| {
            listed |= members.any(|member| member.scope().covers(start == 0));
        });
        listed || self.beside().is_some_and(|(_, beside)| beside.is_listed(name))
    }

    /// How many rules are more than a name.
    pub fn rule_count(&self) -> usize {
        self.inner.rules.len()
    }

    /// What a person decided about a name: the longest match, exact scope before suffix scope.
    pub fn vetted(&self, name: &Name) -> Option<Vetted> {
        if !self.covers(name) {
            return None;
        }
        self.inner.vetted.find(self.maps.names.hasher(), name.as_str())
    }

    /// All that people decided.
    pub fn all_vetted(&self) -> impl Iterator<Item = Vetted> {
        self.inner.vetted.all()
    }

    /// How many popular lists hold the name or its registrable domain; those that are off don't count.
    pub fn popularity(&self, name: &Name) -> u8 {
        let beside = self.beside().map_or(0, |(_, beside)| beside.popularity(name));
        let Some(popular) = &self.maps.popular else { return beside };
        let mut seen: Vec<u16> = Vec::new();
        for text in name.registrable_domain().into_iter().chain([name.as_str()]) {
            let members = popular.get(text);
            let parts = members.into_iter().flatten().filter_map(|member| self.inner.part(member));
            seen.extend(parts.filter_map(Part::list));
        }
        seen.sort_unstable();
        seen.dedup();
        seen.retain(|list| self.lists().get(usize::from(*list)).is_some_and(|list| list.mode != Mode::Off));
        u8::try_from(seen.len()).unwrap_or(u8::MAX).saturating_add(beside)
    }

    /// The brands section, as it was built; empty if there is none.
    pub fn brands(&self) -> &[u8] {
        &self.inner.brands
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The small model's artifact, if the snapshot has one.
    pub fn small_model(&self) -> Option<&[u8]> {
        let changed = self.changed.as_ref().and_then(|changed| changed.small_model.as_deref());
        changed.or(self.inner.small_model.as_deref())
    }
}

#[cfg(test)]
mod tests;
