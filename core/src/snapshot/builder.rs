//! Builds a snapshot.
//!
//! ```text
//! lists' entries ─► settle ─► what changed ─┬─ little: overlay over the maps of last time
//!                                           └─ much, or no maps yet: maps built again
//! ```
//!
//! A fresh builder gives the same bytes for the same input, in whatever order names were added. One that builds
//! again keeps the maps of last time and writes changes into an overlay: the same answers in other bytes.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use super::base::Base;
use super::container::{self, Kind, Stamp};
use super::entries::{Collision, Entries, Run};
use super::hash::Hasher;
use super::map::{MOST_PARTS, Member, Row, SetTable, group_of_name};
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
    /// How many keys made names collide.
    attempt: u32,
    key: [u8; 16],
    hasher: Hasher,
    lists: Vec<List>,
    parts: Vec<Part>,
    part_numbers: HashMap<Part, u16>,
    /// Parts of rules that are a name and nothing else, by list.
    plain_parts: Vec<Option<u16>>,
    rules: Vec<StoredRule>,
    /// The same, to tell what is said twice.
    known: HashSet<StoredRule>,
    patterns: patterns::Builder,
    /// Rules taken back, each with the list that says so, if one does.
    revoked: HashSet<(Option<u16>, Rule)>,
    /// The entries that those take back, as of the last build.
    taken: HashSet<(u64, Member)>,
    vetted: Vec<Vetted>,
    policy: Policy,
    brands: Bytes,
    small_model: Option<Bytes>,
    /// The section of rules, and how many rules each list has; `None` if those changed.
    rule_section: Option<(Vec<Bytes>, Vec<u64>)>,
    names: Option<Base>,
    popular: Option<Base>,
}

/// A list with its entries.
#[derive(Debug)]
struct List {
    info: ListInfo,
    entries: Entries,
    /// Distinct names with scope, those taken back too; `None` if that changed.
    count: Option<u64>,
}

impl Builder {
    /// A snapshot with this serial. The hash key is drawn from `key_seed`: keep it secret, and keep it for an
    /// epoch (days), so that unchanged shards stay byte-equal between two builds and need not be sent again.
    pub fn new(serial: u64, key_seed: [u8; 16]) -> Self {
        let key = hash_key(&key_seed, 0);
        Self {
            serial,
            made_ms: 0,
            expires_ms: 0,
            key_seed,
            attempt: 0,
            key,
            hasher: Hasher::new(&key),
            lists: Vec::new(),
            parts: Vec::new(),
            part_numbers: HashMap::new(),
            plain_parts: Vec::new(),
            rules: Vec::new(),
            known: HashSet::new(),
            patterns: patterns::Builder::default(),
            revoked: HashSet::new(),
            taken: HashSet::new(),
            vetted: Vec::new(),
            policy: Policy::default(),
            brands: Bytes::new(),
            small_model: None,
            rule_section: None,
            names: None,
            popular: None,
        }
    }

    /// Sets the serial of the next snapshot. A builder may build again and again: what did not change since the
    /// last time is not computed again, and a few changed names cost a few milliseconds.
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
        self.lists.push(List { info, entries: Entries::default(), count: None });
        self.rule_section = None;
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    /// Takes back all that was added to a list, and what it revoked; the list stays, under its index. What is
    /// added to it afterwards is compared with what was there at the last [`Builder::build`], so a list that
    /// changed little makes a small overlay, and other lists need not be added again.
    pub fn clear_list(&mut self, list: u16) -> &mut Self {
        let Some(cleared) = self.lists.get_mut(usize::from(list)) else { return self };
        cleared.entries.clear();
        cleared.count = None;
        self.patterns.forget_refused();
        self.revoked.retain(|(by, _)| *by != Some(list));
        if self.rules.iter().any(|rule| rule.list == list) {
            let mut numbers = 0u32..;
            let mut number = |rule: &StoredRule| if rule.list == list { None } else { numbers.next() };
            let numbers: Vec<Option<u32>> = self.rules.iter().map(&mut number).collect();
            self.patterns.renumber(|rule| numbers.get(rule as usize).copied().flatten());
            self.rules.retain(|rule| rule.list != list);
            self.known.retain(|rule| rule.list != list);
        }
        self.rule_section = None;
        self
    }

    /// Replaces all that was added to a list by these rules: [`Builder::clear_list`], then
    /// [`Builder::add_rule`] for each. Returns the rules that were refused, with the reason.
    pub fn replace_list<R: std::borrow::Borrow<Rule>>(
        &mut self,
        list: u16,
        rules: impl IntoIterator<Item = R>,
    ) -> Vec<(R, PatternError)> {
        self.clear_list(list);
        let add = |rule: R| match self.add_rule(list, rule.borrow()) {
            Ok(()) => None,
            Err(error) => Some((rule, error)),
        };
        rules.into_iter().filter_map(add).collect()
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
                    Some(part) => self.push(list, part, name, *scope),
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

    /// Takes back every rule that is equal to this one, in whatever list, for good.
    pub fn revoke(&mut self, rule: &Rule) -> &mut Self {
        self.rule_section = None;
        self.revoked.insert((None, rule.clone()));
        self
    }

    /// The same, as long as a list says so: until [`Builder::clear_list`].
    pub fn revoke_by(&mut self, list: u16, rule: &Rule) -> &mut Self {
        self.rule_section = None;
        self.revoked.insert((Some(list), rule.clone()));
        self
    }

    /// Adds a name to a list that [`Builder::list`] returned. The root is passed over.
    pub fn add(&mut self, list: u16, name: &Name, scope: Scope) -> &mut Self {
        if usize::from(list) < self.lists.len()
            && let Some(part) = self.part(list, &Effect::Listed, false)
        {
            self.push(list, part, name, scope);
        }
        self
    }

    /// Notes from now on, until [`Builder::end_run`], where the names of a list come to lie.
    pub fn begin_run(&mut self, list: u16) -> &mut Self {
        self.lists.get_mut(usize::from(list)).into_iter().for_each(|list| list.entries.begin_run());
        self
    }

    /// The names that were added to a list since [`Builder::begin_run`], for [`Builder::add_run`]; `None` if they can't be
    /// added so.
    pub fn end_run(&mut self, list: u16) -> Option<Run> {
        self.lists.get_mut(usize::from(list))?.entries.end_run()
    }

    /// Adds the names of a run to the list that had it, after [`Builder::clear_list`], without a look at each. False if
    /// it is gone: then they are to be added one by one.
    ///
    /// A run that was not added each time since, or whose names were not added as [`Effect::Listed`], must not be.
    pub fn add_run(&mut self, list: u16, run: Run) -> bool {
        let Some(list) = self.lists.get_mut(usize::from(list)) else { return false };
        list.count = None;
        list.entries.push_run(run)
    }

    /// The number of a part; `None` if there is no room for another of its kind.
    fn part(&mut self, list: u16, effect: &Effect, important: bool) -> Option<u16> {
        let plain = *effect == Effect::Listed && !important;
        if plain && let Some(Some(number)) = self.plain_parts.get(usize::from(list)) {
            return Some(*number);
        }
        // Records of their own are many, and the parts of a snapshot are few.
        let room = if matches!(effect, Effect::Answer(_)) { MOST_ANSWER_PARTS } else { usize::MAX };
        let part = Part::Does { list, effect: effect.clone(), important };
        let number = self.part_number(part, room)?;
        if plain {
            let places = self.plain_parts.len().max(usize::from(list) + 1);
            self.plain_parts.resize(places, None);
            if let Some(part) = self.plain_parts.get_mut(usize::from(list)) {
                *part = Some(number);
            }
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

    fn push(&mut self, list: u16, part: u16, name: &Name, scope: Scope) {
        if let Some(list) = self.lists.get_mut(usize::from(list)) {
            list.count = None;
            list.entries.push(&self.hasher, name.as_str(), Member::new(part, scope));
        }
    }

    fn push_ruled(&mut self, list: u16, rule: &Rule, name: &Name) {
        if let Some(part) = self.part_number(Part::Ruled, usize::MAX) {
            self.push(list, part, name, Scope::Suffix);
            self.push_rule(list, rule);
        }
    }

    fn push_rule(&mut self, list: u16, rule: &Rule) {
        let stored = StoredRule::new(list, rule);
        if self.known.insert(stored.clone()) {
            self.rule_section = None;
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
    ///
    /// # Errors
    /// If it holds more than a snapshot can; then nothing is kept of what was built before.
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
        if self.lists.iter().any(|list| list.entries.is_full()) {
            return Err(BuildError::TooLarge);
        }
        let vetted = self.vetted.iter().map(named).collect::<Result<Vec<_>, _>>()?;
        while self.settle(&vetted) == Err(Collision) {
            self.attempt += 1;
            (self.names, self.popular) = (None, None);
            if self.attempt >= MOST_KEYS {
                return Err(BuildError::NoKey);
            }
            self.key = hash_key(&self.key_seed, self.attempt);
            self.hasher = Hasher::new(&self.key);
            self.lists.iter_mut().for_each(|list| list.entries.rehash(&self.hasher));
        }
        let sections = self.sections(&vetted)?;
        let stamp = Stamp { serial: self.serial, made_ms: self.made_ms, expires_ms: self.expires_ms };
        container::encode(&stamp, &sections, key).ok_or(BuildError::TooLarge)
    }

    fn sections(&mut self, vetted: &[(Name, Vetted)]) -> Result<Vec<(Kind, Vec<Bytes>)>, BuildError> {
        let (rules, rule_counts) = match self.rule_section.take() {
            Some(section) => section,
            None => self.rules_of_lists()?,
        };
        let lists = (0..).zip(&self.lists).zip(&rule_counts);
        let lists = lists
            .map(|((number, list), rules)| {
                let entries = list.count.unwrap_or_default() - self.taken_from(number) + rules;
                ListInfo { entries, ..list.info.clone() }
            })
            .collect();
        let parts = self.parts.clone();
        let (names, names_overlay) = self.names.as_mut().map(Base::encode).unwrap_or_default();
        let (popular, popular_overlay) = self.popular.as_mut().map(Base::encode).unwrap_or_default();
        let mut sections = vec![
            (Kind::Lists, vec![Bytes::from(serde_json::to_vec(&Listed { lists, parts })?)]),
            (Kind::Policy, vec![serde_json::to_vec(&self.policy)?.into()]),
            (Kind::Vetted, vec![vetted::build(&self.hasher, vetted).into()]),
        ];
        if !names_overlay.is_empty() || !popular_overlay.is_empty() {
            sections.push((Kind::Overlay, vec![names_overlay, popular_overlay]));
        }
        if !self.brands.is_empty() {
            sections.push((Kind::Brands, vec![self.brands.clone()]));
        }
        sections.push((Kind::NameMap, names));
        sections.push((Kind::Popular, popular));
        if !rules.is_empty() {
            sections.push((Kind::Rules, rules.clone()));
        }
        if let Some(model) = &self.small_model {
            sections.push((Kind::SmallModel, vec![model.clone()]));
        }
        self.rule_section = Some((rules, rule_counts));
        Ok(sections)
    }

    fn part_of(&self, member: Member) -> Option<&Part> {
        self.parts.get(usize::from(member.part()))
    }

    /// The rules that hold, in their section's pieces, and how many each list has.
    fn rules_of_lists(&self) -> Result<(Vec<Bytes>, Vec<u64>), BuildError> {
        let mut counts = vec![0u64; self.lists.len()];
        let revoked: HashSet<&Rule> = self.revoked.iter().map(|(_, rule)| rule).collect();
        let mut numbers: Vec<Option<u32>> = Vec::with_capacity(self.rules.len());
        let mut kept = Vec::new();
        for rule in &self.rules {
            let holds = revoked.is_empty() || !revoked.contains(&rule.rule());
            numbers.push(holds.then_some(kept.len() as u32));
            if let Some(count) = counts.get_mut(usize::from(rule.list)).filter(|_| holds) {
                *count += 1;
                kept.push(rule);
            }
        }
        if kept.is_empty() {
            return Ok((Vec::new(), counts));
        }
        let mut pieces = vec![Bytes::from(serde_json::to_vec(&kept)?)];
        pieces.extend(self.patterns.build(|rule| numbers.get(rule as usize).copied().flatten()));
        Ok((pieces, counts))
    }

    /// Sorts what came since the last build and brings both maps up to date.
    fn settle(&mut self, vetted: &[(Name, Vetted)]) -> Result<(), Collision> {
        let (mut names, mut popular) = (Vec::new(), Vec::new());
        let mut is_new = vec![false; self.lists.len()];
        for (list, is_new) in self.lists.iter_mut().zip(&mut is_new) {
            let is_popular = list.info.role == Role::Popular;
            let (base, changes) = match is_popular {
                true => (&self.popular, &mut popular),
                false => (&self.names, &mut names),
            };
            *is_new = !list.entries.is_settled();
            let settled = list.entries.settle(base.is_some().then_some(changes));
            if settled.is_err() {
                (self.names, self.popular) = (None, None);
                return settled;
            }
            if list.count.is_none() {
                let listed =
                    |part: u16| self.parts.get(usize::from(part)).is_some_and(|p| p.list().is_some());
                let rows = list.entries.rows();
                let same = rows.chunk_by(|a, b| (a.hash, a.member.part()) == (b.hash, b.member.part()));
                let parts = same.filter_map(|rows| Some(rows.first()?.member.part()));
                list.count = Some(parts.filter(|part| listed(*part)).count() as u64);
            }
        }
        let taken = self.taken();
        let untaken = taken.symmetric_difference(&self.taken).map(|(hash, _)| *hash);
        for hash in untaken {
            names.push(hash);
            popular.push(hash);
        }
        self.taken = taken;
        for changes in [&mut names, &mut popular] {
            changes.sort_unstable();
            changes.dedup();
        }
        let built = self.bring_up(false, &names)?;
        self.bring_up(true, &popular)?;
        let changes = if built { &[] } else { names.as_slice() };
        self.protect(vetted, changes, built, &is_new)
    }

    /// Brings one map up to date. Whether it was built, not changed.
    fn bring_up(&mut self, popular: bool, changes: &[u64]) -> Result<bool, Collision> {
        let kept = if popular { self.popular.take() } else { self.names.take() };
        let kept = kept.filter(|base| base.has_room(changes.len())).and_then(|mut base| {
            for &hash in changes {
                let (members, text) = self.members(popular, hash)?;
                base.change(hash, members, !text.is_some_and(|text| text.contains('.')));
            }
            base.is_near().then_some(base)
        });
        let built = kept.is_none();
        let base = match kept {
            Some(base) => base,
            None => self.rebuilt(popular)?,
        };
        *(if popular { &mut self.popular } else { &mut self.names }) = Some(base);
        Ok(built)
    }

    /// What lists say of a hash: its members, sorted, and its text. `None` if two names share it.
    fn members(&self, popular: bool, hash: u64) -> Option<(Vec<Member>, Option<&str>)> {
        let mut members = Vec::new();
        let mut text = None;
        for list in self.lists.iter().filter(|list| (list.info.role == Role::Popular) == popular) {
            for row in list.entries.of(hash) {
                let own = list.entries.text(row);
                if *text.get_or_insert(own) != own {
                    return None;
                }
                if !self.is_taken(hash, row.member) {
                    members.push(row.member);
                }
            }
        }
        widen(&mut members);
        Some((members, text))
    }

    /// A map of all that lists hold now.
    fn rebuilt(&self, popular: bool) -> Result<Base, Collision> {
        let lists: Vec<&List> =
            self.lists.iter().filter(|list| (list.info.role == Role::Popular) == popular).collect();
        let total = lists.iter().map(|list| list.entries.rows().len()).sum();
        // Hash, list, row.
        let mut hashed: Vec<(u64, u16, u32)> = Vec::with_capacity(total);
        for (number, list) in (0..).zip(&lists) {
            hashed.extend(list.entries.rows().iter().zip(0..).map(|(row, at)| (row.hash, number, at)));
        }
        if lists.len() > 1 {
            // Runs that are sorted already: this merges them.
            hashed.sort_by_key(|(hash, ..)| *hash);
        }
        let entry = |(_, list, at): &(u64, u16, u32)| {
            let entries = &lists.get(usize::from(*list))?.entries;
            Some((entries, entries.rows().get(*at as usize)?))
        };
        let text_of = |one| entry(one).map_or("", |(entries, row)| entries.text(row));
        let mut rows: Vec<Row> = Vec::with_capacity(total);
        let mut table = SetTable::default();
        let mut set: Vec<Member> = Vec::new();
        for same in hashed.chunk_by(|a, b| a.0 == b.0) {
            let Some((first, others)) = same.split_first() else { continue };
            let text = text_of(first);
            if others.iter().any(|other| text_of(other) != text) {
                return Err(Collision);
            }
            set.clear();
            let members = same.iter().filter_map(|one| Some(entry(one)?.1.member));
            set.extend(members.filter(|member| !self.is_taken(first.0, *member)));
            widen(&mut set);
            if !set.is_empty() {
                let group = group_of_name(text);
                rows.push(Row { hash: first.0, set: table.number(&set), group });
            }
        }
        drop(hashed);
        Base::build(&self.key, rows, table).ok_or(Collision)
    }

    /// The entries that `$badfilter` rules take back.
    fn taken(&self) -> HashSet<(u64, Member)> {
        let mut taken = HashSet::new();
        for (_, rule) in &self.revoked {
            let Trigger::Name(name, scope) = &rule.trigger else { continue };
            let important = rule.conditions.important;
            if rule.conditions != (Conditions { important, ..Conditions::default() }) {
                continue;
            }
            let hash = self.hasher.whole(name.as_str());
            for (number, part) in (0u16..).zip(&self.parts) {
                if matches!(part, Part::Does { effect, important: own, .. } if *effect == rule.effect && *own == important)
                {
                    taken.insert((hash, Member::new(number, *scope)));
                }
            }
        }
        taken
    }

    fn is_taken(&self, hash: u64, member: Member) -> bool {
        !self.taken.is_empty() && self.taken.contains(&(hash, member))
    }

    /// How many entries of a list are taken back.
    fn taken_from(&self, list: u16) -> u64 {
        if self.taken.is_empty() {
            return 0;
        }
        let Some(entries) = self.lists.get(usize::from(list)).map(|list| &list.entries) else { return 0 };
        let hashes: HashSet<u64> = self.taken.iter().map(|(hash, _)| *hash).collect();
        let parts = |hash: u64, all: bool| {
            let held = entries.of(hash).iter().map(|row| row.member);
            let held = held.filter(|member| all || !self.is_taken(hash, *member));
            let listed =
                held.filter(|member| self.part_of(*member).is_some_and(|part| part.list().is_some()));
            listed.map(Member::part).collect::<HashSet<u16>>().len() as u64
        };
        hashes.into_iter().map(|hash| parts(hash, true) - parts(hash, false)).sum()
    }

    /// Sees to it that no suffix of an allowed, popular or vetted name matches falsely. `changes` are the hashes
    /// of names that changed, sorted; `built` says that the name map is new.
    fn protect(
        &mut self,
        vetted: &[(Name, Vetted)],
        changes: &[u64],
        built: bool,
        is_new: &[bool],
    ) -> Result<(), Collision> {
        let Some(mut base) = self.names.take() else { return Ok(()) };
        let mut check = |text: &str, against_base: bool| -> Result<(), Collision> {
            let mut result = Ok(());
            self.hasher.suffixes(text, false, |hash, start| {
                let suffix = text.get(start..).unwrap_or_default();
                let changed = changes.binary_search(&hash).is_ok();
                let said = against_base && (base.says(suffix, hash) || base.has_changed(hash));
                if !changed && !said {
                    return;
                }
                match self.members(false, hash) {
                    Some((_, Some(other))) if other == suffix => {}
                    Some((_, None)) if said && !base.holds(hash) => base.silence(hash),
                    Some((_, None)) => {}
                    _ => result = Err(Collision),
                }
            });
            result
        };
        let allows = |part: &Part| matches!(part, Part::Does { effect: Effect::Allow, .. });
        let allowing: HashSet<u16> =
            self.parts.iter().filter(|part| allows(part)).filter_map(Part::list).collect();
        for ((number, list), is_new) in (0..).zip(&self.lists).zip(is_new) {
            let whole = matches!(list.info.role, Role::Allow | Role::Popular);
            let to_check = built || *is_new || !changes.is_empty();
            if !to_check || !whole && !allowing.contains(&number) {
                continue;
            }
            let protected = |member| whole || self.part_of(member).is_some_and(allows);
            for row in list.entries.rows().iter().filter(|row| protected(row.member)) {
                check(list.entries.text(row), built || *is_new)?;
            }
        }
        for (name, _) in vetted {
            check(name.as_str(), true)?;
        }
        self.names = Some(base);
        Ok(())
    }
}

/// What tests can't wait for to happen.
#[cfg(test)]
impl Builder {
    /// Makes the name map go on to hold a name that it forgets, as a false match would.
    pub(super) fn forget(&mut self, name: &str) {
        let hash = self.hasher.whole(name);
        self.names.as_mut().unwrap().forget(hash);
    }

    /// Gives the name that was added last to a list the hash of another; the first key.
    pub(super) fn make_last_collide(&mut self, list: usize, other: &str) -> [u8; 16] {
        let hash = self.hasher.whole(other);
        self.lists.get_mut(list).unwrap().entries.make_last_collide(hash);
        self.key
    }

    pub(super) fn key(&self) -> [u8; 16] {
        self.key
    }
}

fn hash_key(seed: &[u8; 16], attempt: u32) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("dnsvet 2026 snapshot name map hash key");
    hasher.update(seed).update(&attempt.to_le_bytes());
    let mut key = [0; 16];
    hasher.finalize_xof().fill(&mut key);
    key
}

/// Sorts a set and leaves one member for each part: suffix scope covers the other two, and those together are it.
fn widen(set: &mut Vec<Member>) {
    set.sort_unstable();
    set.dedup();
    set.dedup_by(|later, kept| {
        if later.part() != kept.part() {
            return false;
        }
        *kept = Member::new(kept.part(), Scope::Suffix);
        true
    });
}

fn named(vetted: &Vetted) -> Result<(Name, Vetted), BuildError> {
    match Name::parse(&vetted.name) {
        Ok(name) => Ok((name, vetted.clone())),
        Err(why) => Err(BuildError::VettedName { name: vetted.name.clone(), why }),
    }
}
