//! One model's queue and the worker threads behind it.
//!
//! A batch closes when it is full or 200 us after its first job came, whichever is first. The queue is
//! bounded in names; what does not fit is refused at once ([`Refused::Full`]) or waited for
//! ([`Lane::submit_when_room`], the stream's way). A closed lane answers all it has accepted, then ends.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dnsvet_core::name::Name;
use tokio::sync::{Notify, oneshot};

use crate::backend::{Backend, BackendError};
use crate::metrics::{LaneMetrics, Metrics};
use crate::registry::Entry;

/// How a lane batches.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Names of a full batch, at least 1.
    pub batch_names: usize,
    /// How long a batch waits for more names after its first.
    pub batch_wait: Duration,
    /// Names that may wait; a single larger request is taken by an empty queue.
    pub queue_names: usize,
}

/// Why a lane does not take names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The queue is full: overload.
    Full,
    /// The lane was swapped out or the server ends: ask the service for the lane again.
    Closed,
}

/// Why accepted names came back without logits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The caller's deadline had passed before a worker came to the names.
    #[error("deadline passed before the names were scored")]
    Deadline,
    /// The backend failed; the text is its error.
    #[error("the scorer's backend failed: {0}")]
    Backend(String),
}

type Reply = oneshot::Sender<Result<Vec<f32>, Failure>>;

struct Job {
    names: Vec<Name>,
    since: Instant,
    deadline: Option<Instant>,
    reply: Reply,
}

/// Accepted names: the promise of their logits.
#[derive(Debug)]
pub struct Ticket {
    parts: Vec<oneshot::Receiver<Result<Vec<f32>, Failure>>>,
}

impl Ticket {
    /// Waits for the logits, one for each name, in order.
    pub async fn logits(self) -> Result<Vec<f32>, Failure> {
        let mut logits = Vec::new();
        for part in self.parts {
            let part = part.await.map_err(|_| Failure::Backend("its worker thread ended".into()))?;
            logits.append(&mut part?);
        }
        Ok(logits)
    }
}

struct State {
    jobs: VecDeque<Job>,
    names: usize,
    closed: bool,
}

struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    room: Notify,
    limits: Limits,
    metrics: LaneMetrics,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A model with its queue and workers.
pub struct Lane {
    model: Entry,
    device: String,
    queue: Arc<Queue>,
    workers: Mutex<Vec<JoinHandle<()>>>,
}

impl Lane {
    /// Starts one worker thread for each backend; `backends` must not be empty.
    pub fn start(
        model: Entry,
        backends: Vec<Box<dyn Backend>>,
        limits: Limits,
        metrics: &Metrics,
    ) -> std::io::Result<Self> {
        let device = backends.first().map_or_else(String::new, |backend| backend.device().to_owned());
        let queue = Arc::new(Queue {
            state: Mutex::new(State { jobs: VecDeque::new(), names: 0, closed: false }),
            filled: Condvar::new(),
            room: Notify::new(),
            limits,
            metrics: metrics.lane(model.name(), &device),
        });
        let mut workers = Vec::with_capacity(backends.len());
        for (index, backend) in backends.into_iter().enumerate() {
            let queue = Arc::clone(&queue);
            let name = format!("{}-{index}", model.name());
            workers.push(std::thread::Builder::new().name(name).spawn(move || work(&queue, backend))?);
        }
        Ok(Self { model, device, queue, workers: Mutex::new(workers) })
    }

    /// The model that scores here.
    pub fn model(&self) -> &Entry {
        &self.model
    }

    /// Where it runs: `cpu`, `tract`, `cuda:0`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Names that wait.
    pub fn queued_names(&self) -> usize {
        self.queue.lock().names
    }

    /// Takes all the names or none; the names come back with the refusal.
    pub fn submit(
        &self,
        names: Vec<Name>,
        deadline: Option<Instant>,
    ) -> Result<Ticket, (Refused, Vec<Name>)> {
        let mut state = self.queue.lock();
        if state.closed {
            return Err((Refused::Closed, names));
        }
        if state.names > 0 && state.names + names.len() > self.queue.limits.queue_names {
            return Err((Refused::Full, names));
        }
        let since = Instant::now();
        state.names += names.len();
        self.queue.metrics.queued_names.set(state.names as i64);
        let mut parts = Vec::new();
        let mut names = names.into_iter();
        loop {
            let part: Vec<Name> = names.by_ref().take(self.queue.limits.batch_names).collect();
            if part.is_empty() {
                break;
            }
            let (reply, receiver) = oneshot::channel();
            state.jobs.push_back(Job { names: part, since, deadline, reply });
            parts.push(receiver);
        }
        drop(state);
        self.queue.filled.notify_all();
        Ok(Ticket { parts })
    }

    /// As [`Lane::submit`], but waits while the queue is full.
    pub async fn submit_when_room(&self, mut names: Vec<Name>) -> Result<Ticket, Vec<Name>> {
        loop {
            let room = self.queue.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            match self.submit(names, None) {
                Ok(ticket) => return Ok(ticket),
                Err((Refused::Closed, back)) => return Err(back),
                Err((Refused::Full, back)) => names = back,
            }
            room.await;
        }
    }

    /// Takes no more names; what was accepted is still answered.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_all();
        self.queue.room.notify_waiters();
    }

    /// Closes the lane and waits until all it had accepted is answered.
    pub fn finish(&self) {
        self.close();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!(model = self.model.id(), "a worker thread panicked");
            }
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.close();
    }
}

fn work(queue: &Queue, mut backend: Box<dyn Backend>) {
    while let Some(jobs) = next_batch(queue) {
        let now = Instant::now();
        let mut live = Vec::with_capacity(jobs.len());
        for job in jobs {
            queue.metrics.wait_seconds.observe((now - job.since).as_secs_f64());
            if job.deadline.is_some_and(|deadline| deadline <= now) {
                queue.metrics.deadline_names.inc_by(job.names.len() as u64);
                // A send fails only if the caller has gone, who then needs no answer.
                let _ = job.reply.send(Err(Failure::Deadline));
            } else if !job.reply.is_closed() {
                live.push(job);
            }
        }
        if !live.is_empty() {
            score(queue, backend.as_mut(), live);
        }
    }
}

fn score(queue: &Queue, backend: &mut dyn Backend, jobs: Vec<Job>) {
    let names: Vec<&str> = jobs.iter().flat_map(|job| &job.names).map(Name::as_str).collect();
    let mut logits = vec![0.0; names.len()];
    let started = Instant::now();
    // A panic costs this batch, not the worker: nobody else would come to the queue.
    let outcome = catch_unwind(AssertUnwindSafe(|| backend.logits(&names, &mut logits)))
        .unwrap_or(Err(BackendError::Panicked));
    queue.metrics.batch_names.observe(names.len() as f64);
    queue.metrics.batch_seconds.observe(started.elapsed().as_secs_f64());
    match outcome {
        Ok(()) => {
            queue.metrics.scored_names.inc_by(names.len() as u64);
            let mut rest = logits.as_slice();
            for job in jobs {
                let (own, others) = rest.split_at(job.names.len());
                rest = others;
                let _ = job.reply.send(Ok(own.to_vec()));
            }
        }
        Err(error) => {
            tracing::error!(%error, names = names.len(), "batch failed");
            queue.metrics.failed_names.inc_by(names.len() as u64);
            for job in jobs {
                let _ = job.reply.send(Err(Failure::Backend(error.to_string())));
            }
        }
    }
}

/// Waits for the next batch; `None` when the lane is closed and empty.
fn next_batch(queue: &Queue) -> Option<Vec<Job>> {
    let limits = &queue.limits;
    let mut state = queue.lock();
    loop {
        let Some(first) = state.jobs.front() else {
            if state.closed {
                return None;
            }
            state = queue.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        let open_for = limits.batch_wait.saturating_sub(first.since.elapsed());
        if state.closed || state.names >= limits.batch_names || open_for.is_zero() {
            break;
        }
        state = queue.filled.wait_timeout(state, open_for).unwrap_or_else(PoisonError::into_inner).0;
    }
    let mut batch = Vec::new();
    let mut names = 0;
    while let Some(job) = state.jobs.pop_front() {
        if !batch.is_empty() && names + job.names.len() > limits.batch_names {
            state.jobs.push_front(job);
            break;
        }
        names += job.names.len();
        batch.push(job);
    }
    state.names -= names;
    queue.metrics.queued_names.set(state.names as i64);
    drop(state);
    queue.room.notify_waiters();
    Some(batch)
}
