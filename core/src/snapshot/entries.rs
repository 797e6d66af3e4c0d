//! The names of one list while a snapshot is put together: their texts, and rows sorted by hash.
//!
//! ```text
//! push ─► rows at the end, unsorted ─┐
//! clear ─► the rows before, kept ────┴─► settle ─► sorted rows, and the hashes whose members changed
//! ```
//!
//! Rows stay sorted between two builds, so a build looks at what changed and not at all names.

use std::cmp::Ordering;

use super::hash::Hasher;
use super::map::Member;

/// Stands where the length of a name would that has this many bytes of text or more: many of its bytes are escaped.
const LONG: u8 = u8::MAX;

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
    /// Each name behind its length: a byte, or [`LONG`] and two bytes.
    text: Vec<u8>,
    /// The first `sorted` ones sorted by hash and member, without duplicates.
    rows: Vec<Entry>,
    sorted: usize,
    /// What was there at the last build, if all of it was taken back since.
    before: Option<Vec<Entry>>,
    /// More text than offsets reach.
    full: bool,
}

impl Entries {
    pub(super) fn push(&mut self, hasher: &Hasher, name: &str, member: Member) {
        if name.is_empty() {
            return;
        }
        let Ok(at) = u32::try_from(self.text.len()) else {
            self.full = true;
            return;
        };
        match u8::try_from(name.len()) {
            Ok(len) if len < LONG => self.text.push(len),
            _ => {
                self.text.push(LONG);
                self.text.extend((name.len() as u16).to_le_bytes());
            }
        }
        self.text.extend_from_slice(name.as_bytes());
        self.rows.push(Entry { hash: hasher.whole(name), at, member });
    }

    /// Takes all names back.
    pub(super) fn clear(&mut self) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.truncate(self.sorted);
        self.before.get_or_insert(rows);
        (self.text, self.sorted, self.full) = (Vec::new(), 0, false);
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
        let from = self.rows.partition_point(|row| row.hash < hash);
        let rest = self.rows.get(from..).unwrap_or_default();
        let len = rest.iter().take_while(|row| row.hash == hash).count();
        rest.get(..len).unwrap_or_default()
    }

    /// Whether there is nothing to settle.
    pub(super) fn is_settled(&self) -> bool {
        self.sorted == self.rows.len() && self.before.is_none()
    }

    /// Sorts what came, and adds to `changes` the hashes whose rows are not what they were at the last settling.
    pub(super) fn settle(&mut self, mut changes: Option<&mut Vec<u64>>) -> Result<(), Collision> {
        if self.is_settled() {
            return Ok(());
        }
        let before = self.before.take();
        if let (Some(changes), None) = (&mut changes, &before) {
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
        let texts = &self.text;
        let text = |entry: &Entry| text_at(texts, entry.at);
        let mut last: Option<Entry> = None;
        self.rows.retain(|row| {
            let kept = match last {
                Some(last) if last.hash == row.hash => {
                    let other = text(&last) != text(row);
                    collides |= other;
                    other || last.member != row.member
                }
                _ => true,
            };
            last = Some(*row);
            kept
        });
        self.sorted = self.rows.len();
        if let (Some(changes), Some(before)) = (changes, &before) {
            differences(before, &self.rows, changes);
        }
        if collides { Err(Collision) } else { Ok(()) }
    }

    /// Gives the name pushed last another hash.
    #[cfg(test)]
    pub(super) fn make_last_collide(&mut self, hash: u64) {
        self.rows.last_mut().unwrap().hash = hash;
    }

    /// Hashes all names again, under another key.
    pub(super) fn rehash(&mut self, hasher: &Hasher) {
        let rows = std::mem::take(&mut self.rows);
        self.rows =
            rows.into_iter().map(|row| Entry { hash: hasher.whole(self.text(&row)), ..row }).collect();
        (self.sorted, self.before) = (0, None);
    }
}

/// The name whose length is at this place.
fn text_at(texts: &[u8], at: u32) -> Option<&[u8]> {
    let (first, rest) = texts.get(at as usize..)?.split_first()?;
    let (len, rest) = match *first {
        LONG => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_le_bytes(*len)), rest)
        }
        len => (usize::from(len), rest),
    };
    rest.get(..len)
}

/// The hashes of rows that only one side has.
fn differences(old: &[Entry], new: &[Entry], changes: &mut Vec<u64>) {
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => a.key().cmp(&b.key()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return,
        };
        let left = if order.is_le() { old.next() } else { None };
        let right = if order.is_ge() { new.next() } else { None };
        if let (Some(row), None) | (None, Some(row)) = (left, right) {
            changes.push(row.hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lists::Scope;

    fn push(entries: &mut Entries, names: &[&str]) {
        let hasher = Hasher::new(&[1; 16]);
        names.iter().for_each(|name| entries.push(&hasher, name, Member::new(0, Scope::Suffix)));
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
    }
}
