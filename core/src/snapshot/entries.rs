//! The names of one list while a snapshot is put together: their texts, and rows sorted by hash.
//!
//! ```text
//! push ──────► rows at the end, unsorted ────────────────────┐
//! clear, push ─┬─ the name that stood here: confirmed        ├─► settle ─► sorted rows, and the hashes
//!              ├─ one of the others: confirmed, go on there  │             whose members changed
//!              └─ a new one: a row at the end ───────────────┘
//! ```
//!
//! Rows stay sorted between two builds, so a build looks at what changed and not at all names. A list that is told
//! again is mostly told in the order of before: then a name is compared with the one that stood there, and neither
//! hashed nor stored. Its surprise: names that are not told again stay in `text`, until those are half of it.

use super::hash::Hasher;
use super::map::Member;

/// Stands where the length of a name would that has this many bytes of text or more: many of its bytes are escaped.
const LONG: u8 = u8::MAX;

/// Stands where a member would in a name's text that has no row: the name is there twice, or was taken back.
const NO_MEMBER: Member = Member(u16::MAX);
/// Once so many names of a list that is told again are new, those that were not told yet are given up: most won't be.
const MOST_LOOKED_FOR: usize = 1 << 16;

/// Two names share a hash: another key is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Collision;

/// A name's hash, where its text lies, and one of its members.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub hash: u64,
    at: u32,
    pub member: Member,
}

impl Entry {
    fn key(&self) -> (u64, Member) {
        (self.hash, self.member)
    }
}

/// The names of a list.
#[derive(Debug, Default)]
pub(super) struct Entries {
    /// Each name behind its member and its length: a byte, or [`LONG`] and two bytes.
    text: Vec<u8>,
    /// Bytes of `text` at the last settling, and of those the ones that belong to no row.
    settled_text: usize,
    unused_text: usize,
    /// The first `sorted` ones sorted by hash and member, without duplicates.
    rows: Vec<Entry>,
    sorted: usize,
    /// What was told again, since all was taken back.
    retold: Option<Retold>,
    /// Hashes of names that were given up before all was told again.
    gone: Vec<u64>,
    /// The run that is told.
    open: Option<OpenRun>,
    /// How often texts came to lie elsewhere.
    moves: u32,
    /// More text than offsets reach.
    full: bool,
}

/// Names that were told one behind the other and lie so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    from: u32,
    to: u32,
    moves: u32,
}

/// A run that is told.
#[derive(Debug, Clone, Copy)]
struct OpenRun {
    /// Where its first name lies if it is new, and if it is the one that is expected.
    new_from: usize,
    next_from: u32,
    new: bool,
    expected: bool,
    /// A name lay elsewhere.
    scattered: bool,
}

/// Which of the rows of before are told again.
#[derive(Debug)]
struct Retold {
    /// Where the name that is expected next lies.
    next: u32,
    /// A bit for each place in `text`.
    confirmed: Vec<u64>,
    rows: usize,
    /// Names that were not of before.
    new: usize,
}

impl Retold {
    fn confirm(&mut self, at: u32) {
        if let Some(word) = self.confirmed.get_mut(at as usize / 64) {
            let bit = 1 << (at % 64);
            self.rows += usize::from(*word & bit == 0);
            *word |= bit;
        }
    }

    fn is_confirmed(&self, at: u32) -> bool {
        self.confirmed.get(at as usize / 64).is_some_and(|word| word & 1 << (at % 64) != 0)
    }
}

impl Entries {
    pub(super) fn push(&mut self, hasher: &Hasher, name: &str, member: Member) {
        if name.is_empty() {
            return;
        }
        let Some(hash) = self.hash_if_new(hasher, name, member) else { return };
        self.open.iter_mut().for_each(|open| open.new = true);
        let Ok(at) = u32::try_from(self.text.len()) else {
            self.full = true;
            return;
        };
        self.text.extend(member.0.to_le_bytes());
        match u8::try_from(name.len()) {
            Ok(len) if len < LONG => self.text.push(len),
            _ => {
                self.text.push(LONG);
                self.text.extend((name.len() as u16).to_le_bytes());
            }
        }
        self.text.extend_from_slice(name.as_bytes());
        self.rows.push(Entry { hash, at, member });
    }

    /// The hash of a name that is to be stored; `None` if it is one of before, which is confirmed.
    fn hash_if_new(&mut self, hasher: &Hasher, name: &str, member: Member) -> Option<u64> {
        let Some(mut retold) = self.retold.take() else { return Some(hasher.whole(name)) };
        let before = self.text.get(..self.settled_text).unwrap_or_default();
        let expected = stored(before, retold.next);
        let (at, next, hash) = match expected {
            Some(there) if there.name == name.as_bytes() && there.member == member => {
                (Some(retold.next), there.end, 0)
            }
            _ => {
                let hash = hasher.whole(name);
                let mut rows = self.of(hash).iter();
                let found = rows.find(|row| row.member == member && self.text(row) == name);
                let at = found.map(|row| row.at);
                let next = match expected {
                    // It stood here too, without a row.
                    Some(there) if there.name == name.as_bytes() => there.end,
                    _ => at.and_then(|at| stored(&self.text, at)).map_or(retold.next, |there| there.end),
                };
                (at, next, hash)
            }
        };
        if let Some(open) = &mut self.open
            && let Some(at) = at
        {
            open.expected = true;
            open.scattered |= at != retold.next;
        }
        retold.next = next;
        match at {
            Some(at) => retold.confirm(at),
            None => retold.new += 1,
        }
        if retold.new > MOST_LOOKED_FOR {
            let mut gone = std::mem::take(&mut self.gone);
            self.forget(&retold, Some(&mut gone));
            self.compact();
            self.gone = gone;
        } else {
            self.retold = Some(retold);
        }
        at.is_none().then_some(hash)
    }

    /// Begins a run.
    pub(super) fn begin_run(&mut self) {
        let next_from = self.retold.as_ref().map_or(0, |retold| retold.next);
        let new_from = self.text.len();
        self.open = Some(OpenRun { new_from, next_from, new: false, expected: false, scattered: false });
    }

    /// Ends a run; `None` if its names don't lie one behind the other.
    pub(super) fn end_run(&mut self) -> Option<Run> {
        let open = self.open.take()?;
        let (from, to) = match (open.new, open.expected) {
            _ if open.scattered => return None,
            (true, true) => return None,
            (true, false) => (u32::try_from(open.new_from).ok()?, u32::try_from(self.text.len()).ok()?),
            (false, true) => (open.next_from, self.retold.as_ref()?.next),
            (false, false) => (0, 0),
        };
        Some(Run { from, to, moves: self.moves })
    }

    /// Tells the names of a run again. If not all of them are where they were, they are to be told one by one.
    pub(super) fn push_run(&mut self, run: Run) -> bool {
        let Some(retold) = self.retold.as_mut().filter(|_| run.moves == self.moves) else { return false };
        let before = self.text.get(..self.settled_text).unwrap_or_default();
        let mut at = run.from;
        while at < run.to {
            let Some(there) = stored(before, at).filter(|there| there.member != NO_MEMBER) else {
                return false;
            };
            retold.confirm(at);
            at = there.end;
        }
        if run.from < run.to {
            retold.next = run.to;
        }
        true
    }

    /// Takes all names back.
    pub(super) fn clear(&mut self) {
        self.moves += u32::from(self.text.len() > self.settled_text);
        self.open = None;
        self.rows.truncate(self.sorted);
        self.text.truncate(self.settled_text);
        self.full = false;
        let confirmed = vec![0; self.text.len().div_ceil(64)];
        self.retold = Some(Retold { next: 0, confirmed, rows: 0, new: 0 });
    }

    /// Whether there was no room for a name.
    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    /// All rows, sorted once settled.
    pub(super) fn rows(&self) -> &[Entry] {
        &self.rows
    }

    pub(super) fn text(&self, entry: &Entry) -> &str {
        text_at(&self.text, entry.at).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }

    /// The rows of a hash; settled ones only.
    pub(super) fn of(&self, hash: u64) -> &[Entry] {
        let rows = self.rows.get(..self.sorted).unwrap_or_default();
        let from = rows.partition_point(|row| row.hash < hash);
        let rest = rows.get(from..).unwrap_or_default();
        let len = rest.iter().take_while(|row| row.hash == hash).count();
        rest.get(..len).unwrap_or_default()
    }

    /// Whether there is nothing to settle.
    pub(super) fn is_settled(&self) -> bool {
        self.sorted == self.rows.len() && self.retold.is_none() && self.gone.is_empty()
    }

    /// Sorts what came, and adds to `changes` the hashes whose rows are not what they were at the last settling.
    ///
    /// Of a name that is there twice one stays.
    pub(super) fn settle(&mut self, mut changes: Option<&mut Vec<u64>>) -> Result<(), Collision> {
        if self.is_settled() {
            return Ok(());
        }
        if let Some(retold) = self.retold.take() {
            self.forget(&retold, changes.as_deref_mut());
        }
        let gone = std::mem::take(&mut self.gone);
        if let Some(changes) = changes {
            changes.extend(gone);
            changes.extend(self.rows.iter().skip(self.sorted).map(|row| row.hash));
        }
        if self.sorted == 0 {
            // By hash alone is quicker, and hardly a hash has two rows.
            self.rows.sort_unstable_by_key(|row| row.hash);
            let same = self.rows.chunk_by_mut(|a, b| a.hash == b.hash);
            same.filter(|rows| rows.len() > 1).for_each(|rows| rows.sort_unstable_by_key(Entry::key));
        } else {
            // A sorted run, as most of it is, costs this sort next to nothing.
            self.rows.sort_by_key(Entry::key);
        }
        let mut collides = false;
        let (texts, unused) = (&mut self.text, &mut self.unused_text);
        let mut last: Option<Entry> = None;
        self.rows.retain(|row| {
            let kept = match last {
                Some(last) if last.hash == row.hash => {
                    let other = text_at(texts, last.at) != text_at(texts, row.at);
                    collides |= other;
                    other || last.member != row.member
                }
                _ => true,
            };
            match kept {
                true => last = Some(*row),
                false => *unused += without_row(texts, row.at),
            }
            kept
        });
        self.sorted = self.rows.len();
        if self.unused_text > self.text.len() / 2 {
            self.compact();
        }
        self.settled_text = self.text.len();
        if collides { Err(Collision) } else { Ok(()) }
    }

    /// Takes out the rows that were not told again, and adds their hashes to `changes`.
    fn forget(&mut self, retold: &Retold, mut changes: Option<&mut Vec<u64>>) {
        if retold.rows == self.sorted {
            return;
        }
        let (texts, unused) = (&mut self.text, &mut self.unused_text);
        let (mut number, sorted) = (0, self.sorted);
        self.rows.retain(|row| {
            number += 1;
            let kept = number > sorted || retold.is_confirmed(row.at);
            if !kept {
                changes.iter_mut().for_each(|changes| changes.push(row.hash));
                *unused += without_row(texts, row.at);
            }
            kept
        });
        self.sorted = retold.rows;
    }

    /// Leaves out the texts without a row.
    fn compact(&mut self) {
        self.moves += 1;
        self.open.iter_mut().for_each(|open| open.scattered = true);
        let mut order: Vec<u32> = (0..self.rows.len() as u32).collect();
        let at = |number: &u32| self.rows.get(*number as usize).map(|row| row.at);
        order.sort_unstable_by_key(at);
        let mut text = Vec::with_capacity(self.text.len() - self.unused_text);
        let mut settled_text = 0;
        for number in order {
            let Some(row) = self.rows.get_mut(number as usize) else { continue };
            let from = row.at as usize;
            let end = stored(&self.text, row.at).map_or(from, |there| there.end as usize);
            // Rows came in this order once, so there are no fewer bytes before them.
            row.at = text.len() as u32;
            text.extend_from_slice(self.text.get(from..end).unwrap_or_default());
            if from < self.settled_text {
                settled_text = text.len();
            }
        }
        (self.text, self.settled_text, self.unused_text) = (text, settled_text, 0);
    }

    /// Gives the name pushed last another hash.
    #[cfg(test)]
    pub(super) fn make_last_collide(&mut self, hash: u64) {
        self.rows.last_mut().unwrap().hash = hash;
    }

    /// Hashes all names again, under another key.
    pub(super) fn rehash(&mut self, hasher: &Hasher) {
        // What was not told again must not come back, though its going is not to be reported any more.
        if let Some(retold) = self.retold.take() {
            self.forget(&retold, None);
        }
        self.gone.clear();
        let rows = std::mem::take(&mut self.rows);
        self.rows =
            rows.into_iter().map(|row| Entry { hash: hasher.whole(self.text(&row)), ..row }).collect();
        self.sorted = 0;
    }
}

/// A name as it lies in the text.
struct Stored<'a> {
    member: Member,
    name: &'a [u8],
    /// Past its last byte.
    end: u32,
}

fn stored(texts: &[u8], at: u32) -> Option<Stored<'_>> {
    let rest = texts.get(at as usize..)?;
    let (member, behind) = rest.split_first_chunk()?;
    let (first, behind) = behind.split_first()?;
    let (len, behind) = match *first {
        LONG => {
            let (len, behind) = behind.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*len)), behind)
        }
        len => (usize::from(len), behind),
    };
    let name = behind.get(..len)?;
    let end = at + (rest.len() - behind.len() + len) as u32;
    Some(Stored { member: Member(u16::from_le_bytes(*member)), name, end })
}

fn text_at(texts: &[u8], at: u32) -> Option<&[u8]> {
    stored(texts, at).map(|there| there.name)
}

/// Notes that a text has no row any more; how many bytes it takes.
fn without_row(texts: &mut [u8], at: u32) -> usize {
    let end = stored(texts, at).map_or(at, |there| there.end);
    if let Some(member) = texts.get_mut(at as usize..).and_then(<[u8]>::first_chunk_mut) {
        *member = NO_MEMBER.0.to_le_bytes();
    }
    (end - at) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::lists::Scope;

    fn push(entries: &mut Entries, names: &[&str]) {
        let hasher = Hasher::new(&[1; 16]);
        names.iter().for_each(|name| entries.push(&hasher, name, Member::new(0, Scope::Suffix)));
    }

    fn texts(entries: &Entries) -> BTreeSet<&str> {
        entries.rows().iter().map(|row| entries.text(row)).collect()
    }

    /// How many hashes changed.
    fn settled(entries: &mut Entries) -> usize {
        let mut changes = Vec::new();
        entries.settle(Some(&mut changes)).unwrap();
        changes.sort_unstable();
        changes.dedup();
        changes.len()
    }

    #[test]
    fn a_settling_tells_what_changed_since_the_last() {
        let mut entries = Entries::default();
        push(&mut entries, &["a.example", "b.example", "a.example"]);
        assert_eq!(settled(&mut entries), 2);
        let texts: Vec<&str> = entries.rows().iter().map(|row| entries.text(row)).collect();
        assert!(
            texts.contains(&"a.example") && texts.contains(&"b.example") && texts.len() == 2,
            "{texts:?}"
        );
        push(&mut entries, &["c.example"]);
        assert_eq!(settled(&mut entries), 1);
        entries.clear();
        push(&mut entries, &["a.example", "d.example"]);
        entries.clear();
        push(&mut entries, &["b.example", "e.example"]);
        assert_eq!(settled(&mut entries), 3, "without a and c, with e");
        assert_eq!(settled(&mut entries), 0);
        let hash = Hasher::new(&[1; 16]).whole("e.example");
        assert_eq!((entries.of(hash).len(), entries.of(hash + 1).len()), (1, 0));
    }

    #[test]
    fn a_list_told_again_in_another_order_and_with_names_twice_is_the_same_list() {
        let mut entries = Entries::default();
        push(&mut entries, &["a.example", "b.example", "a.example", "c.example", "b.example"]);
        assert_eq!(settled(&mut entries), 3);
        let stored = entries.text.len();
        for told in [
            &["a.example", "b.example", "a.example", "c.example", "b.example"][..],
            &["c.example", "a.example", "b.example"],
            &["b.example", "b.example", "c.example", "a.example", "a.example", "a.example"],
        ] {
            entries.clear();
            push(&mut entries, told);
            assert_eq!((settled(&mut entries), entries.text.len()), (0, stored), "{told:?}");
        }
        entries.clear();
        push(&mut entries, &["a.example", "c.example"]);
        assert_eq!(settled(&mut entries), 1, "without b, which stood there twice");
        entries.clear();
        push(&mut entries, &["d.example", "a.example", "c.example", "d.example"]);
        assert_eq!(settled(&mut entries), 1, "with d, twice, once where the old ones end");
    }

    #[test]
    fn texts_without_rows_do_not_pile_up() {
        let mut entries = Entries::default();
        for round in 0..50 {
            let names: Vec<String> = (0..100).map(|number| format!("n{number}.r{round}.example")).collect();
            entries.clear();
            push(&mut entries, &names.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(settled(&mut entries), if round == 0 { 100 } else { 200 });
            assert!(entries.text.len() <= 100 * 20 * 2, "{}", entries.text.len());
            assert_eq!(texts(&entries), names.iter().map(String::as_str).collect::<BTreeSet<_>>());
        }
    }

    #[test]
    fn names_that_were_given_up_are_gone_or_told_again_later() {
        let tell = |entries: &mut Entries, from: usize| {
            let names: Vec<String> =
                (0..MOST_LOOKED_FOR + 100).map(|n| format!("n{}.example", from + n)).collect();
            entries.clear();
            push(entries, &names.iter().map(String::as_str).collect::<Vec<_>>());
            names
        };
        let mut entries = Entries::default();
        for (from, changes) in [(0, 0), (1_000_000, 2), (1_000_050, 0), (0, 2), (65_000, 2)] {
            let names = tell(&mut entries, from);
            let settled = settled(&mut entries);
            assert!(changes == 0 || settled > changes * MOST_LOOKED_FOR - 2_000, "{from}: {settled}");
            assert_eq!(texts(&entries), names.iter().map(String::as_str).collect::<BTreeSet<_>>(), "{from}");
        }
        // Told twice before it is settled: what was given up the first time changes back.
        tell(&mut entries, 2_000_000);
        let names = tell(&mut entries, 65_000);
        settled(&mut entries);
        assert_eq!(texts(&entries), names.iter().map(String::as_str).collect::<BTreeSet<_>>());
        assert_eq!(settled(&mut entries), 0);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_told_is_held_and_what_changed_is_said(
            lists in proptest::collection::vec(
                (proptest::bool::ANY, proptest::collection::vec((0u8..20, 0u16..3), 0..40)),
                1..8,
            )
        ) {
            let hasher = Hasher::new(&[1; 16]);
            let mut entries = Entries::default();
            let mut want = BTreeSet::new();
            for (again, told) in lists {
                let before = want.clone();
                if again {
                    entries.clear();
                    want.clear();
                }
                for (name, part) in told {
                    let name = format!("n{name}.example");
                    entries.push(&hasher, &name, Member::new(part, Scope::Exact));
                    want.insert((name, part));
                }
                let mut changes = Vec::new();
                entries.settle(Some(&mut changes)).unwrap();
                let held: Vec<(String, u16)> =
                    entries.rows().iter().map(|row| (entries.text(row).to_owned(), row.member.part())).collect();
                proptest::prop_assert_eq!(held.len(), want.len());
                proptest::prop_assert_eq!(&held.into_iter().collect::<BTreeSet<_>>(), &want);
                proptest::prop_assert!(entries.rows().is_sorted_by_key(Entry::key));
                for (name, _) in before.symmetric_difference(&want) {
                    proptest::prop_assert!(changes.contains(&hasher.whole(name)), "{name}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_kept_however_long_its_text_is() {
        for len in [1, 254, 255, 256, 1_020] {
            let name = "a".repeat(len);
            let mut entries = Entries::default();
            push(&mut entries, &["first.example", &name, "last.example"]);
            assert_eq!(settled(&mut entries), 3, "{len}");
            let mut texts: Vec<&str> = entries.rows().iter().map(|row| entries.text(row)).collect();
            texts.sort_unstable();
            assert_eq!(texts, [name.as_str(), "first.example", "last.example"], "{len}");
        }
    }

    #[test]
    fn two_names_of_one_hash_are_told() {
        let mut entries = Entries::default();
        push(&mut entries, &["a.example", "b.example"]);
        entries.rows.iter_mut().for_each(|row| row.hash = 7);
        assert_eq!(entries.settle(None), Err(Collision));
        entries.rehash(&Hasher::new(&[2; 16]));
        assert_eq!(settled(&mut entries), 2);
        // Another list collides while this one is told again.
        entries.clear();
        entries.push(&Hasher::new(&[2; 16]), "b.example", Member::new(0, Scope::Suffix));
        entries.rehash(&Hasher::new(&[3; 16]));
        assert_eq!((settled(&mut entries), texts(&entries)), (1, BTreeSet::from(["b.example"])));
    }
}
