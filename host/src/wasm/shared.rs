//! What the VMs of one plugin share: data with compare-and-swap, queues, metrics, and the clusters that
//! callouts may name.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::metrics::{MetricValue, Registry};

/// Keys and values together, so that a broken guest cannot fill the host's memory.
const MAX_DATA_BYTES: usize = 256 << 20;
/// Entries of one queue.
const MAX_QUEUE_ENTRIES: usize = 65_536;
/// Queues.
const MAX_QUEUES: usize = 1024;

/// Shared by all VMs of a plugin; lives as long as any of them, and across their replacement.
#[derive(Debug, Default)]
pub struct SharedState {
    clusters: BTreeSet<String>,
    data: Mutex<Data>,
    queues: Mutex<Queues>,
    pub(super) metrics: Registry,
    next_vm: AtomicU64,
    ignored_local_responses: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
}

#[derive(Debug, Default)]
struct Data {
    values: HashMap<Vec<u8>, (Arc<[u8]>, u32)>,
    bytes: usize,
    last_cas: u32,
}

#[derive(Debug, Default)]
struct Queues {
    ids: HashMap<Vec<u8>, u32>,
    queues: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    /// The VM that registered it last; it is told of new entries.
    owner: u64,
    entries: VecDeque<Vec<u8>>,
    /// Entries that the owner has not been told of.
    unseen: usize,
}

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The value changed since the guest read it.
    Mismatch,
    /// The store is full.
    Full,
}

/// Why nothing was taken from or put into a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueError {
    Unknown,
    Empty,
    Full,
}

impl SharedState {
    /// An empty state whose callouts may go to these clusters; a callout to any other is refused with
    /// `BadArgument`.
    pub fn new<C: Into<String>>(clusters: impl IntoIterator<Item = C>) -> Arc<Self> {
        Arc::new(Self { clusters: clusters.into_iter().map(Into::into).collect(), ..Self::default() })
    }

    /// Every metric that a guest defined, by name, summed over VMs.
    pub fn metrics(&self) -> Vec<(String, MetricValue)> {
        self.metrics.snapshot()
    }

    /// Local responses that came too late to be sent: a second one, or one after the request ended.
    pub fn ignored_local_responses(&self) -> u64 {
        self.ignored_local_responses.load(Relaxed)
    }

    /// Guest calls that trapped, those that ran past their time limit included.
    pub fn traps(&self) -> u64 {
        self.traps.load(Relaxed)
    }

    /// Guest calls that were stopped because they ran past their time limit.
    pub fn timeouts(&self) -> u64 {
        self.timeouts.load(Relaxed)
    }

    pub(super) fn count_ignored_local_response(&self) {
        self.ignored_local_responses.fetch_add(1, Relaxed);
    }

    pub(super) fn count_trap(&self, timed_out: bool) {
        self.traps.fetch_add(1, Relaxed);
        self.timeouts.fetch_add(timed_out.into(), Relaxed);
    }

    pub(super) fn next_vm(&self) -> u64 {
        self.next_vm.fetch_add(1, Relaxed)
    }

    pub(super) fn has_cluster(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.clusters.contains(name))
    }

    /// A value and its version for compare-and-swap, never 0.
    pub(super) fn get(&self, key: &[u8]) -> Option<(Arc<[u8]>, u32)> {
        lock(&self.data).values.get(key).cloned()
    }

    /// Stores a value; where `cas` is not 0 and the key exists, only if `cas` is still its version.
    pub(super) fn set(&self, key: &[u8], value: &[u8], cas: u32) -> Result<(), Refused> {
        let mut data = lock(&self.data);
        let old = match data.values.get(key) {
            Some((_, version)) if cas != 0 && cas != *version => return Err(Refused::Mismatch),
            Some((value, _)) => key.len() + value.len(),
            None => 0,
        };
        let bytes = data.bytes - old + key.len() + value.len();
        if bytes > MAX_DATA_BYTES {
            return Err(Refused::Full);
        }
        data.bytes = bytes;
        data.last_cas = data.last_cas.checked_add(1).unwrap_or(1);
        let cas = data.last_cas;
        data.values.insert(key.to_vec(), (value.into(), cas));
        Ok(())
    }

    /// The id of a queue, made where there is none; this VM is told of its entries from now on. `None`
    /// where there are too many.
    pub(super) fn register_queue(&self, vm: u64, name: &[u8]) -> Option<u32> {
        let mut queues = lock(&self.queues);
        if let Some(&id) = queues.ids.get(name) {
            if let Some(queue) = queues.get(id) {
                queue.owner = vm;
                queue.unseen = queue.entries.len();
            }
            return Some(id);
        }
        if queues.queues.len() >= MAX_QUEUES {
            return None;
        }
        queues.queues.push(Queue { owner: vm, entries: VecDeque::new(), unseen: 0 });
        let id = queues.queues.len() as u32;
        queues.ids.insert(name.to_vec(), id);
        Some(id)
    }

    pub(super) fn resolve_queue(&self, name: &[u8]) -> Option<u32> {
        lock(&self.queues).ids.get(name).copied()
    }

    pub(super) fn enqueue(&self, id: u32, entry: &[u8]) -> Result<(), QueueError> {
        let mut queues = lock(&self.queues);
        let queue = queues.get(id).ok_or(QueueError::Unknown)?;
        if queue.entries.len() >= MAX_QUEUE_ENTRIES {
            return Err(QueueError::Full);
        }
        queue.entries.push_back(entry.to_vec());
        queue.unseen += 1;
        Ok(())
    }

    pub(super) fn dequeue(&self, id: u32) -> Result<Vec<u8>, QueueError> {
        let mut queues = lock(&self.queues);
        let queue = queues.get(id).ok_or(QueueError::Unknown)?;
        queue.entries.pop_front().ok_or(QueueError::Empty)
    }

    /// Queues of this VM with entries that it has not been told of, each as often as it has such entries.
    pub(super) fn ready_queues(&self, vm: u64) -> Vec<u32> {
        let mut ready = Vec::new();
        for (queue, id) in lock(&self.queues).queues.iter_mut().zip(1..) {
            if queue.owner == vm {
                ready.extend(std::iter::repeat_n(id, std::mem::take(&mut queue.unseen)));
            }
        }
        ready
    }
}

impl Queues {
    fn get(&mut self, id: u32) -> Option<&mut Queue> {
        self.queues.get_mut((id as usize).checked_sub(1)?)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compare_and_swap_refuses_a_stale_version() {
        let shared = SharedState::default();
        assert_eq!(shared.get(b"k"), None);
        shared.set(b"k", b"1", 0).unwrap();
        let (_, first) = shared.get(b"k").unwrap();
        assert_ne!(first, 0);
        shared.set(b"k", b"2", first).unwrap();
        assert_eq!(shared.set(b"k", b"3", first), Err(Refused::Mismatch));
        assert_eq!(&*shared.get(b"k").unwrap().0, b"2");
        shared.set(b"absent", b"", 77).unwrap();
    }

    #[test]
    fn data_is_bounded() {
        let shared = SharedState::default();
        let half = vec![0; MAX_DATA_BYTES / 2];
        shared.set(b"a", &half, 0).unwrap();
        shared.set(b"a", &half, 0).unwrap();
        assert_eq!(shared.set(b"b", &half, 0), Err(Refused::Full));
        shared.set(b"a", b"", 0).unwrap();
        shared.set(b"b", &half, 0).unwrap();
    }

    #[test]
    fn the_vm_that_registered_last_is_told() {
        let shared = SharedState::default();
        let id = shared.register_queue(1, b"q").unwrap();
        shared.enqueue(id, b"a").unwrap();
        assert_eq!(shared.register_queue(2, b"q"), Some(id));
        assert_eq!(shared.resolve_queue(b"q"), Some(id));
        shared.enqueue(id, b"b").unwrap();
        assert!(shared.ready_queues(1).is_empty());
        assert_eq!(shared.ready_queues(2), [id, id]);
        assert!(shared.ready_queues(2).is_empty());
        assert_eq!(shared.dequeue(id), Ok(b"a".to_vec()));
        assert_eq!(shared.dequeue(id), Ok(b"b".to_vec()));
        assert_eq!(shared.dequeue(id), Err(QueueError::Empty));
        assert_eq!(shared.dequeue(0), Err(QueueError::Unknown));
        assert_eq!(shared.enqueue(9, b""), Err(QueueError::Unknown));
    }

    #[test]
    fn queues_are_bounded() {
        let shared = SharedState::default();
        let id = shared.register_queue(1, b"q").unwrap();
        for _ in 0..MAX_QUEUE_ENTRIES {
            shared.enqueue(id, b"").unwrap();
        }
        assert_eq!(shared.enqueue(id, b""), Err(QueueError::Full));
    }
}
