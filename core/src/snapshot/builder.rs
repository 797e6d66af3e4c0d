//! Builds a snapshot. The same input gives the same bytes, in whatever order names were added.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::container::{self, Kind, Stamp};
use super::hash::Hasher;
use super::map::{self, MOST_PARTS, Member, NameMap, Row};
use super::patterns::{self, PatternError};
use super::rules::{Part, StoredRule};
use super::vetted::{self, MOST_VETTED};
use super::{ListInfo, Listed, Role, Vetted};
use crate::lists::{Conditions, Effect, Rule, Scope, Trigger};
use crate::name::{Name, NameError};
use crate::policy::Policy;

/// The most lists of a snapshot.
pub const MOST_LISTS: usize = 1 << 13;
/// Parts past which records of their own are kept as rules.
const MOST_ANSWER_PARTS: usize = 4_096;
/// Keys tried until none makes two names collide.
const MOST_KEYS: u32 = 64;

/// Why no snapshot was built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// More vetted names than a snapshot holds; carries how many.
    #[error("{0} vetted names; a snapshot holds at most 65536: move the oldest into a list")]
    TooManyVetted(usize),
    /// More lists than a snapshot holds; carries how many.
    #[error("{0} lists; a snapshot holds at most 8192")]
    TooManyLists(usize),
    /// More kinds of entries than a snapshot tells apart; carries how many.
    #[error("{0} kinds of entries (list and effect); a snapshot holds at most 16384: merge some lists")]
    TooManyParts(usize),
    /// A vetted name is no name.
    #[error("vetted name {name:?}: {why}")]
    VettedName {
        /// The text.
        name: String,
        /// What is wrong with it.
        why: NameError,
    },
    /// The policy or the list infos could not be written.
    #[error("policy or lists could not be written: {0}")]
    Json(#[from] serde_json::Error),
    /// No key out of 64 kept protected names free of collisions.
    #[error("no hash key of 64 tried fits these names; build again with another key seed")]
    NoKey,
    /// A section of 4 GiB or more.
    #[error("too large for a snapshot: a section has 4 GiB or more")]
    TooLarge,
}

/// Collects what a snapshot holds.
#[derive(Debug)]
pub struct Builder {
    serial: u64,
    made_ms: u64,
    expires_ms: u64,
    key_seed: [u8; 16],
    lists: Vec<ListInfo>,
    text: String,
    entries: Vec<Stored>,
    parts: Vec<Part>,
    part_numbers: HashMap<Part, u16>,
    /// Parts of rules that are a name and nothing else, by list.
    plain_parts: HashMap<u16, u16>,
    rules: Vec<StoredRule>,
    /// The same, to tell what is said twice.
    known: HashSet<StoredRule>,
    patterns: patterns::Builder,
    revoked: HashSet<Rule>,
    vetted: Vec<Vetted>,
    policy: Policy,
    brands: Bytes,
    small_model: Option<Bytes>,
    maps: Option<Maps>,
}

/// An entry: where its name lies in the text, and its part and scope.
#[derive(Debug, Clone, Copy)]
struct Stored {
    from: usize,
    len: u16,
    member: Member,
}

impl Builder {
    /// A snapshot with this serial. The hash key is drawn from `key_seed`: keep it secret, and keep it for an
    /// epoch (days), so that unchanged shards stay byte-equal between two builds and need not be sent again.
    pub fn new(serial: u64, key_seed: [u8; 16]) -> Self {
        Self {
            serial,
            made_ms: 0,
            expires_ms: 0,
            key_seed,
            lists: Vec::new(),
            text: String::new(),
            entries: Vec::new(),
            parts: Vec::new(),
            part_numbers: HashMap::new(),
            plain_parts: HashMap::new(),
            rules: Vec::new(),
            known: HashSet::new(),
            patterns: patterns::Builder::default(),
            revoked: HashSet::new(),
            vetted: Vec::new(),
            policy: Policy::default(),
            brands: Bytes::new(),
            small_model: None,
            maps: None,
        }
    }

    /// Sets the serial of the next snapshot. A builder may build again and again: what did not change since the
    /// last time, the maps above all, is not computed again.
    pub fn serial(&mut self, serial: u64) -> &mut Self {
        self.serial = serial;
        self
    }

    /// When it is built, and when it should be replaced (0: never), milliseconds since 1970.
    pub fn times(&mut self, made_ms: u64, expires_ms: u64) -> &mut Self {
        (self.made_ms, self.expires_ms) = (made_ms, expires_ms);
        self
    }

    /// Adds a list and returns its index. `licence` is an SPDX expression, empty if not known.
    pub fn list(&mut self, name: &str, role: Role, licence: &str) -> u16 {
        self.add_list(ListInfo {
            name: name.to_owned(),
            role,
            licence: licence.to_owned(),
            ..ListInfo::default()
        })
    }

    /// Adds a list and returns its index; its entries are counted by [`Builder::build`].
    pub fn add_list(&mut self, info: ListInfo) -> u16 {
        let index = self.lists.len();
        self.maps = None;
        self.lists.push(info);
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Adds a rule to a list that [`Builder::list`] returned. The root is passed over.
    ///
    /// # Errors
    /// If its pattern can't be run, or is too large.
    pub fn add_rule(&mut self, list: u16, rule: &Rule) -> Result<(), PatternError> {
        if usize::from(list) >= self.lists.len() {
            return Ok(());
        }
        match &rule.trigger {
            Trigger::Name(name, scope) if !rule.conditions.narrows() => {
                let part = self.part(list, &rule.effect, rule.conditions.important);
                match part {
                    Some(part) => self.push(part, name, *scope),
                    None => self.push_ruled(list, rule, name),
                }
            }
            Trigger::Name(name, _) => self.push_ruled(list, rule, name),
            Trigger::Pattern(pattern) if !self.known.contains(&StoredRule::new(list, rule)) => {
                self.patterns.add(self.rules.len() as u32, pattern)?;
                self.push_rule(list, rule);
            }
            Trigger::Pattern(_) => {}
            Trigger::Client(_) | Trigger::Address(_) => self.push_rule(list, rule),
        }
        Ok(())
    }

    /// Takes back every rule that is equal to this one, in whatever list.
    pub fn revoke(&mut self, rule: &Rule) -> &mut Self {
        self.maps = None;
        self.revoked.insert(rule.clone());
        self
    }

    /// Adds a name to a list that [`Builder::list`] returned. The root is passed over.
    pub fn add(&mut self, list: u16, name: &Name, scope: Scope) -> &mut Self {
        if usize::from(list) < self.lists.len()
            && let Some(part) = self.part(list, &Effect::Listed, false)
        {
            self.push(part, name, scope);
        }
        self
    }

    /// The number of a part; `None` if there is no room for another of its kind.
    fn part(&mut self, list: u16, effect: &Effect, important: bool) -> Option<u16> {
        let plain = *effect == Effect::Listed && !important;
        if plain && let Some(number) = self.plain_parts.get(&list) {
            return Some(*number);
        }
        // Records of their own are many, and the parts of a snapshot are few.
        let room = if matches!(effect, Effect::Answer(_)) { MOST_ANSWER_PARTS } else { usize::MAX };
        let part = Part::Does { list, effect: effect.clone(), important };
        let number = self.part_number(part, room)?;
        if plain {
            self.plain_parts.insert(list, number);
        }
        Some(number)
    }

    fn part_number(&mut self, part: Part, room: usize) -> Option<u16> {
        if let Some(number) = self.part_numbers.get(&part) {
            return Some(*number);
        }
        if self.parts.len() >= room {
            return None;
        }
        let number = u16::try_from(self.parts.len()).unwrap_or(u16::MAX);
        self.part_numbers.insert(part.clone(), number);
        self.parts.push(part);
        Some(number)
    }

    fn push(&mut self, part: u16, name: &Name, scope: Scope) {
        let (from, text) = (self.text.len(), name.as_str());
        if let Ok(len @ 1..) = u16::try_from(text.len()) {
            self.maps = None;
            self.text.push_str(text);
            self.entries.push(Stored { from, len, member: Member::new(part, scope) });
        }
    }

    fn push_ruled(&mut self, list: u16, rule: &Rule, name: &Name) {
        if let Some(part) = self.part_number(Part::Ruled, usize::MAX) {
            self.push(part, name, Scope::Suffix);
            self.push_rule(list, rule);
        }
    }

    fn push_rule(&mut self, list: u16, rule: &Rule) {
        let stored = StoredRule::new(list, rule);
        if self.known.insert(stored.clone()) {
            self.maps = None;
            self.rules.push(stored);
        }
    }

    /// Adds a person's decision. Of two on one name and scope the later one stays.
    pub fn vet(&mut self, vetted: Vetted) -> &mut Self {
        self.vetted.push(vetted);
        self
    }

    /// Replaces all decisions.
    pub fn vetted(&mut self, vetted: Vec<Vetted>) -> &mut Self {
        self.vetted = vetted;
        self
    }

    /// Sets the policy.
    pub fn policy(&mut self, policy: Policy) -> &mut Self {
        self.policy = policy;
        self
    }

    /// Sets the brands section.
    pub fn brands(&mut self, bytes: impl Into<Bytes>) -> &mut Self {
        self.brands = bytes.into();
        self
    }

    /// Sets the small model's artifact.
    pub fn small_model(&mut self, bytes: impl Into<Bytes>) -> &mut Self {
        self.small_model = Some(bytes.into());
        self
    }

    /// Builds the snapshot, signed by `key` if there is one.
    pub fn build(&mut self, key: Option<&SigningKey>) -> Result<Vec<u8>, BuildError> {
        if self.lists.len() > MOST_LISTS {
            return Err(BuildError::TooManyLists(self.lists.len()));
        }
        if self.parts.len() > MOST_PARTS {
            return Err(BuildError::TooManyParts(self.parts.len()));
        }
        if self.vetted.len() > MOST_VETTED {
            return Err(BuildError::TooManyVetted(self.vetted.len()));
        }
        let vetted = self.vetted.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        let kept =
            self.maps.take().filter(|maps| vetted.iter().all(|(name, _)| maps.is_true_to(name.as_str())));
        let maps = match kept {
            Some(maps) => maps,
            None => {
                let mut drawn = (0..MOST_KEYS).filter_map(|attempt| self.maps(&self.hash_key(attempt)));
                let fits = |maps: &Maps| vetted.iter().all(|(name, _)| maps.is_true_to(name.as_str()));
                drawn.find(fits).ok_or(BuildError::NoKey)?
            }
        };
        let mut lists = self.lists.clone();
        for (info, entries) in lists.iter_mut().zip(&maps.entries) {
            info.entries = *entries;
        }
        let parts = self.parts.clone();
        let mut sections = vec![
            (Kind::Lists, vec![Bytes::from(serde_json::to_vec(&Listed { lists, parts })?)]),
            (Kind::Policy, vec![serde_json::to_vec(&self.policy)?.into()]),
            (Kind::Vetted, vec![vetted::build(&maps.hasher, &vetted).into()]),
        ];
        if !self.brands.is_empty() {
            sections.push((Kind::Brands, vec![self.brands.clone()]));
        }
        sections.push((Kind::NameMap, maps.names.clone()));
        sections.push((Kind::Popular, maps.popular.clone()));
        if !maps.rules.is_empty() {
            sections.push((Kind::Rules, maps.rules.clone()));
        }
        if let Some(model) = &self.small_model {
            sections.push((Kind::SmallModel, vec![model.clone()]));
        }
        let stamp = Stamp { serial: self.serial, made_ms: self.made_ms, expires_ms: self.expires_ms };
        let file = container::encode(&stamp, &sections, key).ok_or(BuildError::TooLarge);
        self.maps = Some(maps);
        file
    }

    fn hash_key(&self, attempt: u32) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("dnsvet 2026 snapshot name map hash key");
        hasher.update(&self.key_seed).update(&attempt.to_le_bytes());
        let mut key = [0; 16];
        hasher.finalize_xof().fill(&mut key);
        key
    }

    fn text_of(&self, entry: &Stored) -> &str {
        self.text.get(entry.from..entry.from + usize::from(entry.len)).unwrap_or_default()
    }

    fn part_of(&self, member: Member) -> Option<&Part> {
        self.parts.get(usize::from(member.part()))
    }

    fn role_of(&self, member: Member) -> Option<Role> {
        let list = self.part_of(member)?.list()?;
        self.lists.get(usize::from(list)).map(|info| info.role)
    }

    /// Whether a `$badfilter` takes an entry back.
    fn is_revoked(&self, entry: &Stored) -> bool {
        if self.revoked.is_empty() {
            return false;
        }
        let Some(Part::Does { effect, important, .. }) = self.part_of(entry.member) else { return false };
        let Ok(name) = Name::parse(self.text_of(entry)) else { return false };
        self.revoked.contains(&Rule {
            trigger: Trigger::Name(name, entry.member.scope()),
            effect: effect.clone(),
            conditions: Conditions { important: *important, ..Conditions::default() },
        })
    }

    /// The rules that hold, in their section's pieces.
    fn rule_pieces(&self, counts: &mut [u64]) -> Option<Vec<Bytes>> {
        let holds: Vec<bool> = self.rules.iter().map(|rule| !self.revoked.contains(&rule.rule())).collect();
        let mut numbers = Vec::with_capacity(holds.len());
        let mut kept = Vec::new();
        for (rule, holds) in self.rules.iter().zip(&holds) {
            numbers.push(kept.len() as u32);
            if *holds {
                *counts.get_mut(usize::from(rule.list))? += 1;
                kept.push(rule);
            }
        }
        if kept.is_empty() {
            return Some(Vec::new());
        }
        let number = |rule: u32| {
            let holds = holds.get(rule as usize).copied().unwrap_or_default();
            holds.then(|| numbers.get(rule as usize).copied()).flatten()
        };
        let mut pieces = vec![Bytes::from(serde_json::to_vec(&kept).ok()?)];
        pieces.extend(self.patterns.build(number));
        Some(pieces)
    }

    /// Both maps under one key; `None` if the key makes two names collide, or a protected name match falsely.
    fn maps(&self, key: &[u8; 16]) -> Option<Maps> {
        let hasher = Hasher::new(key);
        let is_popular = |entry: &&Stored| self.role_of(entry.member) == Some(Role::Popular);
        let mut entries = vec![0; self.lists.len()];
        let rules = self.rule_pieces(&mut entries)?;
        let held = || self.entries.iter().filter(|entry| !self.is_revoked(entry));
        let rows = self.rows(&hasher, held().filter(|entry| !is_popular(entry)), &mut entries)?;
        let popular = self.rows(&hasher, held().filter(is_popular), &mut entries)?;
        let names = map::build(key, rows.single_label, &rows.rows, &rows.sets)?;
        let popular = map::build(key, popular.single_label, &popular.rows, &popular.sets)?;
        let opened = NameMap::open(&names).ok()?;
        let hashes = rows.rows.iter().map(|row| row.hash).collect();
        let maps = Maps { hasher, names, popular, rules, opened, hashes, entries };
        let allows = |member| matches!(self.part_of(member), Some(Part::Does { effect: Effect::Allow, .. }));
        let protected = |entry: &&Stored| {
            matches!(self.role_of(entry.member), Some(Role::Allow | Role::Popular)) || allows(entry.member)
        };
        let mut texts = self.entries.iter().filter(protected).map(|entry| self.text_of(entry));
        texts.all(|text| maps.is_true_to(text)).then_some(maps)
    }

    /// Sorted rows and list sets of some entries; `None` if two names share a hash. Counts distinct entries by list.
    fn rows<'a>(
        &self,
        hasher: &Hasher,
        entries: impl Iterator<Item = &'a Stored>,
        counts: &mut [u64],
    ) -> Option<Rows> {
        let mut hashed: Vec<(u64, Stored)> =
            entries.map(|entry| (hasher.whole(self.text_of(entry)), *entry)).collect();
        hashed.sort_unstable_by_key(|(hash, entry)| (*hash, entry.member));
        let mut rows: Vec<Row> = Vec::with_capacity(hashed.len());
        let mut sets: Vec<(Vec<Member>, u64)> = Vec::new();
        let mut numbers: HashMap<Vec<Member>, u32> = HashMap::new();
        let mut set: Vec<Member> = Vec::new();
        let mut single_label = false;
        for same in hashed.chunk_by(|a, b| a.0 == b.0) {
            let (hash, first) = same.first()?;
            let name = self.text_of(first);
            if same.iter().any(|(_, entry)| self.text_of(entry) != name) {
                return None;
            }
            single_label |= !name.contains('.');
            set.clear();
            set.extend(same.iter().map(|(_, entry)| entry.member));
            widen(&mut set);
            for list in set.iter().filter_map(|member| self.part_of(*member)?.list()) {
                *counts.get_mut(usize::from(list))? += 1;
            }
            let number = match numbers.get(&set) {
                Some(&number) => number,
                None => {
                    let number = sets.len() as u32;
                    numbers.insert(set.clone(), number);
                    sets.push((set.clone(), 0));
                    number
                }
            };
            sets.get_mut(number as usize)?.1 += 1;
            rows.push(Row { hash: *hash, set: number });
        }
        let sets = renumbered(sets, &mut rows);
        Some(Rows { rows, sets, single_label })
    }
}

/// Both maps, built, with what is needed to tell a true match from a false one.
#[derive(Debug)]
struct Maps {
    hasher: Hasher,
    names: Vec<Bytes>,
    popular: Vec<Bytes>,
    rules: Vec<Bytes>,
    opened: NameMap,
    /// Every hash that the name map holds, sorted.
    hashes: Vec<u64>,
    /// Distinct entries of each list.
    entries: Vec<u64>,
}

impl Maps {
    /// Whether no suffix of a name matches falsely.
    fn is_true_to(&self, text: &str) -> bool {
        let mut is_true = true;
        self.hasher.suffixes(text, false, |hash, _| {
            is_true &= self.opened.get(hash).is_none() || self.hashes.binary_search(&hash).is_ok();
        });
        is_true
    }
}

struct Rows {
    rows: Vec<Row>,
    sets: Vec<Vec<Member>>,
    single_label: bool,
}

/// One member for each part of a sorted set: suffix scope covers the other two, and those together are it.
fn widen(set: &mut Vec<Member>) {
    set.dedup();
    set.dedup_by(|later, kept| {
        if later.part() != kept.part() {
            return false;
        }
        *kept = Member::new(kept.part(), Scope::Suffix);
        true
    });
}

/// Numbers sets so that the 255 most used ones come first, and within both parts by content: a set keeps its
/// number, and shards their bytes, when counts change a little.
fn renumbered(sets: Vec<(Vec<Member>, u64)>, rows: &mut [Row]) -> Vec<Vec<Member>> {
    let mut order: Vec<(usize, Vec<Member>, u64)> =
        sets.into_iter().enumerate().map(|(old, (set, uses))| (old, set, uses)).collect();
    order.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.1.cmp(&b.1)));
    let direct = order.len().min(255);
    let (frequent, rare) = order.split_at_mut(direct);
    frequent.sort_by(|a, b| a.1.cmp(&b.1));
    rare.sort_by(|a, b| a.1.cmp(&b.1));
    let mut numbers = vec![0u32; order.len()];
    for (new, (old, _, _)) in order.iter().enumerate() {
        if let Some(number) = numbers.get_mut(*old) {
            *number = new as u32;
        }
    }
    for row in rows {
        row.set = numbers.get(row.set as usize).copied().unwrap_or_default();
    }
    order.into_iter().map(|(_, set, _)| set).collect()
}

fn named(vetted: &Vetted) -> Result<(Name, Vetted), BuildError> {
    match Name::parse(&vetted.name) {
        Ok(name) => Ok((name, vetted.clone())),
        Err(why) => Err(BuildError::VettedName { name: vetted.name.clone(), why }),
    }
}
