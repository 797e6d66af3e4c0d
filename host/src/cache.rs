//! The answer cache: what upstreams said, unfiltered, bounded in bytes, least recently used first out.
//!
//! One for each worker, so that no hit takes a lock. Policy never enters it: the plugin inspects every
//! hit, so a name that is blocked a second later is blocked on the next question. An entry outlives its
//! TTL by a day at most, to be served stale while no upstream answers (RFC 8767).

use std::rc::Rc;
use std::time::{Duration, Instant};

use hashlink::LinkedHashMap;

use crate::upstream::message::{Age, Answer};

/// How long past its TTL an answer may still be served if upstreams fail (RFC 8767 section 5).
pub const STALE_FOR: Duration = Duration::from_secs(86_400);
/// What an entry costs beside its answer and key: map node and allocator, bytes, rounded up.
const ENTRY_BYTES: usize = 160;

/// What an answer depends on: QNAME in lower case, QTYPE, QCLASS, DO, CD. The upstream set is the cache's
/// own: another set is another cache.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key(Box<[u8]>);

impl Key {
    /// The key of a question in wire form.
    pub fn new(raw_question: &[u8], dnssec_ok: bool, checking_disabled: bool) -> Self {
        let mut bytes = Vec::with_capacity(raw_question.len() + 1);
        bytes.extend_from_slice(raw_question);
        // Length bytes are below 64: lowering the whole name touches letters only. Type and class stay.
        let name_bytes = raw_question.len().saturating_sub(4);
        bytes[..name_bytes].make_ascii_lowercase();
        bytes.push(u8::from(dnssec_ok) | u8::from(checking_disabled) << 1);
        Self(bytes.into())
    }
}

struct Entry {
    answer: Rc<Answer>,
    stored: Instant,
}

/// What a look-up found.
#[derive(Debug, Clone)]
pub enum Hit {
    /// Within its TTL.
    Fresh(Rc<Answer>, Age),
    /// Past its TTL; to be used only if upstreams fail.
    Stale(Rc<Answer>),
}

/// The cache of one worker.
pub struct AnswerCache {
    entries: LinkedHashMap<Key, Entry>,
    bytes: usize,
    capacity_bytes: usize,
}

impl AnswerCache {
    /// A cache that holds `capacity_bytes` at most; 0 switches it off.
    pub fn new(capacity_bytes: usize) -> Self {
        Self { entries: LinkedHashMap::new(), bytes: 0, capacity_bytes }
    }

    /// Looks a question up; what is found becomes the most recently used.
    pub fn get(&mut self, key: &Key, now: Instant) -> Option<Hit> {
        let entry = self.entries.to_back(key)?;
        let age = now.saturating_duration_since(entry.stored);
        let ttl = Duration::from_secs(u64::from(entry.answer.ttl_s()));
        if age < ttl {
            return Some(Hit::Fresh(Rc::clone(&entry.answer), Age::Fresh(age.as_secs() as u32)));
        }
        if age < ttl + STALE_FOR {
            return Some(Hit::Stale(Rc::clone(&entry.answer)));
        }
        if let Some(gone) = self.entries.remove(key) {
            self.bytes -= cost(key, &gone.answer);
        }
        None
    }

    /// Keeps an answer. One that may not be kept (TTL 0) leaves the cache as it is: an older answer stays
    /// for the stale case.
    pub fn insert(&mut self, key: Key, answer: Rc<Answer>, now: Instant) {
        let cost_bytes = cost(&key, &answer);
        if answer.ttl_s() == 0 || cost_bytes > self.capacity_bytes {
            return;
        }
        if let Some(gone) = self.entries.remove(&key) {
            self.bytes -= cost(&key, &gone.answer);
        }
        self.bytes += cost_bytes;
        self.entries.insert(key, Entry { answer, stored: now });
        while self.bytes > self.capacity_bytes {
            let Some((key, gone)) = self.entries.pop_front() else { break };
            self.bytes -= cost(&key, &gone.answer);
        }
    }

    /// How many answers it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes in use.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost(key: &Key, answer: &Answer) -> usize {
    ENTRY_BYTES + key.0.len() + answer.bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::message::tests::{address_answer, question};

    fn answer(name: &str, ttl_s: u32) -> Rc<Answer> {
        Rc::new(Answer::decode(address_answer(name, ttl_s)).unwrap())
    }

    fn key(name: &str) -> Key {
        Key::new(&question(name, 1), false, false)
    }

    #[test]
    fn an_answer_ages_goes_stale_and_is_forgotten_a_day_later() {
        let (mut cache, start) = (AnswerCache::new(1 << 20), Instant::now());
        cache.insert(key("a.example"), answer("a.example", 300), start);
        let at = |s| start + Duration::from_secs(s);
        assert!(matches!(cache.get(&key("a.example"), at(299)), Some(Hit::Fresh(_, Age::Fresh(299)))));
        assert!(matches!(cache.get(&key("a.example"), at(300)), Some(Hit::Stale(_))));
        assert!(matches!(cache.get(&key("a.example"), at(86_699)), Some(Hit::Stale(_))));
        assert!(cache.get(&key("a.example"), at(86_700)).is_none());
        assert_eq!((cache.len(), cache.bytes()), (0, 0));
    }

    #[test]
    fn the_spelling_of_a_name_is_not_part_of_the_key_but_do_and_cd_are() {
        assert_eq!(key("Www.Example"), key("www.example"));
        let question = question("www.example", 1);
        let keys = [(false, false), (true, false), (false, true), (true, true)];
        for (i, a) in keys.iter().enumerate() {
            for (j, b) in keys.iter().enumerate() {
                assert_eq!(Key::new(&question, a.0, a.1) == Key::new(&question, b.0, b.1), i == j);
            }
        }
    }

    #[test]
    fn bytes_stay_within_the_capacity_and_the_least_recently_used_goes_first() {
        let start = Instant::now();
        let one = cost(&key("n0000.example"), &answer("n0000.example", 60));
        let mut cache = AnswerCache::new(10 * one);
        for i in 0..10 {
            let name = format!("n{i:04}.example");
            cache.insert(key(&name), answer(&name, 60), start);
        }
        assert!(cache.get(&key("n0000.example"), start).is_some());
        cache.insert(key("n9999.example"), answer("n9999.example", 60), start);
        assert!(cache.bytes() <= 10 * one);
        assert!(cache.get(&key("n0000.example"), start).is_some(), "was just used");
        assert!(cache.get(&key("n0001.example"), start).is_none(), "was the oldest");
    }

    #[test]
    fn an_answer_without_lifetime_is_not_kept_and_does_not_push_out_a_stale_one() {
        let (mut cache, start) = (AnswerCache::new(1 << 20), Instant::now());
        cache.insert(key("a.example"), answer("a.example", 1), start);
        cache.insert(key("a.example"), answer("a.example", 0), start);
        let later = start + Duration::from_secs(5);
        assert!(matches!(cache.get(&key("a.example"), later), Some(Hit::Stale(_))));
    }
}
