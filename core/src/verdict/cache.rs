//! A bounded map in two generations: quick, and as forgetful as a cache may be.
//!
//! New entries go into the young generation; when it is full the old one is forgotten and the young one
//! becomes old. An entry that is used moves to the young generation, so what is asked often stays.
//!
//! Its surprise: what is forgotten is freed a few entries at a time, while others are put in. To free a full
//! generation at once takes tens of milliseconds, in which a filter answers nobody.

use std::collections::hash_map::{HashMap, IntoIter};

/// Whether a time that was set `most_ms` ahead at most is still to come. One that lies further ahead was set
/// before the clock was set back, and counts as past.
pub fn lasts(until_ms: u64, now_ms: u64, most_ms: u64) -> bool {
    (1..=most_ms).contains(&until_ms.saturating_sub(now_ms))
}

/// How many forgotten entries are freed for each that is put in: so many that a generation is gone before the next
/// one is forgotten.
const FREED_AT_ONCE: usize = 3;

/// At most `2 * capacity` values by text. As many again may be forgotten and not yet freed.
#[derive(Debug)]
pub struct Generations<V> {
    young: HashMap<Box<str>, V>,
    old: HashMap<Box<str>, V>,
    forgotten: Vec<IntoIter<Box<str>, V>>,
    capacity: usize,
}

impl<V> Generations<V> {
    /// An empty cache whose generations hold `capacity` entries each.
    pub fn new(capacity: usize) -> Self {
        let (young, old) = (HashMap::new(), HashMap::new());
        Self { young, old, forgotten: Vec::new(), capacity: capacity.max(1) }
    }

    /// The value of `key`.
    pub fn get(&mut self, key: &str) -> Option<&V> {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.make_room();
            self.young.insert(key, value);
        }
        self.young.get(key)
    }

    /// Keeps `value` under `key`.
    pub fn insert(&mut self, key: &str, value: V) {
        self.make_room();
        self.young.insert(key.into(), value);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        let (young, old) = (std::mem::take(&mut self.young), std::mem::take(&mut self.old));
        self.forget(young);
        self.forget(old);
    }

    /// How many entries are held.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn make_room(&mut self) {
        for _ in 0..FREED_AT_ONCE {
            let Some(entries) = self.forgotten.last_mut() else { break };
            if entries.next().is_none() {
                self.forgotten.pop();
            }
        }
        if self.young.len() >= self.capacity {
            // The next generation grows as large.
            let young = std::mem::replace(&mut self.young, HashMap::with_capacity(self.capacity));
            let old = std::mem::replace(&mut self.old, young);
            self.forget(old);
        }
    }

    fn forget(&mut self, entries: HashMap<Box<str>, V>) {
        if !entries.is_empty() {
            self.forgotten.push(entries.into_iter());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_last_longer() {
        assert!(lasts(100, 99, 60) && lasts(100, 40, 60));
        assert!(!lasts(100, 100, 60) && !lasts(100, 500, 60), "past");
        assert!(!lasts(100, 39, 60), "set before the clock went back");
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache = Generations::new(10);
        cache.insert("kept", 0);
        for i in 0..1_000 {
            cache.insert(&i.to_string(), i);
            assert_eq!(cache.get("kept"), Some(&0), "after {i} others");
            assert!(cache.len() <= 20);
        }
        assert_eq!(cache.get("1"), None);
    }

    #[test]
    fn what_is_forgotten_is_freed_in_small_parts_and_soon() {
        let value = Rc::new(());
        let mut cache = Generations::new(100);
        let held = || Rc::strong_count(&value) - 1;
        let mut most = 0;
        for i in 0..2_000 {
            if i % 450 == 0 {
                let before = held();
                cache.clear();
                assert!(cache.is_empty() && cache.get("1").is_none());
                assert_eq!(held(), before, "nothing is freed at once");
            }
            let before = held();
            cache.insert(&i.to_string(), Rc::clone(&value));
            assert!(before + 1 - held() <= FREED_AT_ONCE);
            most = most.max(held());
        }
        assert!((201..=400).contains(&most), "{most}");
        cache.clear();
        (0..100).for_each(|i| cache.insert(&i.to_string(), Rc::clone(&value)));
        assert_eq!(held(), 100, "all that was forgotten is free");
    }
}
