//! A bounded map in two generations: quick, and as forgetful as a cache may be.
//!
//! New entries go into the young generation; when it is full the old one is forgotten and the young one
//! becomes old. An entry that is used moves to the young generation, so what is asked often stays.

use std::collections::HashMap;

/// Whether a time that was set `most_ms` ahead at most is still to come. One that lies further ahead was set
/// before the clock was set back, and counts as past.
pub fn lasts(until_ms: u64, now_ms: u64, most_ms: u64) -> bool {
    (1..=most_ms).contains(&until_ms.saturating_sub(now_ms))
}

/// At most `2 * capacity` values by text.
#[derive(Debug)]
pub struct Generations<V> {
    young: HashMap<Box<str>, V>,
    old: HashMap<Box<str>, V>,
    capacity: usize,
}

impl<V> Generations<V> {
    /// An empty cache whose generations hold `capacity` entries each.
    pub fn new(capacity: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), capacity: capacity.max(1) }
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
        self.young.clear();
        self.old.clear();
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
        if self.young.len() >= self.capacity {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
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
}
