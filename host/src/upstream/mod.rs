//! The forwarder: answer cache, then upstreams, for one worker.
//!
//! ```text
//! question ─► cache ─fresh─► answer
//!               │ none, stale
//!               └► single flight ─► upstream 1 ─► upstream 2 ─► … ─► cache ─► answer
//!                                    (UDP, TCP if truncated)          └ none: stale, else SERVFAIL
//! ```
//!
//! Its surprise: the flight belongs to nobody. Clients that ask the same wait for one exchange, and it goes
//! on, and fills the cache, when all of them have gone.

#[cfg(test)]
pub(crate) mod counting;
pub mod exchange;
pub mod health;
pub mod message;
pub mod system;
pub mod zone;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dnsvet_core::message::{Query, rcode};
use tokio::sync::oneshot;

use self::exchange::{ExchangeError, Outgoing};
use self::health::Health;
use self::message::{Age, Answer, Transport, refuse};
use crate::cache::{AnswerCache, Hit, Key};
use crate::metrics::WorkerMetrics;

/// Timeouts of the tries at one question. Together 3.2 s: stubs give up after 5.
const TRIES: [Duration; 3] =
    [Duration::from_millis(600), Duration::from_millis(1000), Duration::from_millis(1600)];
/// With a stale answer at hand the client waits no longer than this (RFC 8767 section 5).
const STALE_AFTER: Duration = Duration::from_millis(1800);
/// A failure is remembered this long, so that retries of clients don't pile up (RFC 9520 section 3.2).
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// Failures remembered at once; past it, all are forgotten.
const MAX_FAILURES: usize = 4096;
/// Flights at once; past it, questions get SERVFAIL.
const MAX_FLIGHTS: usize = 10_000;

const EDE_NO_REACHABLE_AUTHORITY: (u16, &str) = (22, "no upstream answers in time");
const EDE_NETWORK_ERROR: (u16, &str) = (23, "no upstream can be reached");
const EDE_NOT_READY: (u16, &str) = (14, "too many questions wait for upstreams");
const EDE_NOT_SUPPORTED: (u16, &str) = (21, "only class IN, no zone transfers, no meta types");

/// Where questions go that the cache can't answer.
#[derive(Clone)]
pub enum Upstreams {
    /// Recursors or forwarders on the network.
    Servers(Vec<std::net::SocketAddr>),
    /// A zone in the process, for demonstrations.
    Demo(Arc<zone::Zone>),
}

/// Why no upstream answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Timeout,
    Network,
    Busy,
}

impl Failure {
    fn extended_error(self) -> (u16, &'static str) {
        match self {
            Failure::Timeout => EDE_NO_REACHABLE_AUTHORITY,
            Failure::Network => EDE_NETWORK_ERROR,
            Failure::Busy => EDE_NOT_READY,
        }
    }
}

type Landed = Result<Rc<Answer>, Failure>;

/// The forwarder of one worker.
pub struct Forwarder {
    upstreams: Upstreams,
    health: RefCell<Health>,
    cache: RefCell<AnswerCache>,
    flights: RefCell<HashMap<Key, Vec<oneshot::Sender<Landed>>>>,
    failures: RefCell<HashMap<Key, (Instant, Failure)>>,
    metrics: Arc<WorkerMetrics>,
}

/// The cache's word on a question.
pub enum Lookup {
    /// Answered.
    Answer(Vec<u8>),
    /// To be awaited: [`Forwarder::fetch`].
    Miss(Miss),
}

/// A question that the cache has no fresh answer to.
pub struct Miss {
    key: Key,
    stale: Option<Rc<Answer>>,
}

impl Forwarder {
    /// A forwarder with a cache of `cache_bytes`.
    pub fn new(upstreams: Upstreams, cache_bytes: usize, metrics: Arc<WorkerMetrics>) -> Self {
        let count = match &upstreams {
            Upstreams::Servers(servers) => servers.len(),
            Upstreams::Demo(_) => 0,
        };
        Self {
            upstreams,
            health: RefCell::new(Health::new(count)),
            cache: RefCell::new(AnswerCache::new(cache_bytes)),
            flights: RefCell::default(),
            failures: RefCell::default(),
            metrics,
        }
    }

    /// Answers from the cache if it can, without waiting.
    pub fn lookup(&self, query: &Query, transport: Transport) -> Lookup {
        if !is_forwarded(query) {
            return Lookup::Answer(refuse(query, rcode::REFUSED, Some(EDE_NOT_SUPPORTED), transport));
        }
        let key = Key::new(&query.raw_question, query.dnssec_ok(), query.cd);
        let hit = self.cache.borrow_mut().get(&key, Instant::now());
        match hit {
            Some(Hit::Fresh(answer, age)) => {
                self.metrics.cache_hits.add(1);
                Lookup::Answer(answer.compose(query, age, transport))
            }
            Some(Hit::Stale(answer)) => Lookup::Miss(Miss { key, stale: Some(answer) }),
            None => Lookup::Miss(Miss { key, stale: None }),
        }
    }

    /// Asks the upstreams, or waits with others for the same answer; a stale answer or SERVFAIL if none
    /// comes.
    pub async fn fetch(self: &Rc<Self>, query: &Query, miss: Miss, transport: Transport) -> Vec<u8> {
        self.metrics.cache_misses.add(1);
        let Miss { key, stale } = miss;
        let landed = match (self.recent_failure(&key), &stale) {
            (Some(failure), _) => Err(failure),
            (None, None) => self.join(key, query).await,
            (None, Some(_)) => {
                let wait = if self.health.borrow().all_down(Instant::now()) {
                    // Nobody answers just now: don't keep the client, but let the flight look again.
                    Duration::ZERO
                } else {
                    STALE_AFTER
                };
                let flight = self.join(key, query);
                tokio::time::timeout(wait, flight).await.unwrap_or(Err(Failure::Timeout))
            }
        };
        match (landed, stale) {
            (Ok(answer), None) => answer.compose(query, Age::Fresh(0), transport),
            (Ok(answer), Some(_)) if answer.rcode() != rcode::SERVFAIL => {
                answer.compose(query, Age::Fresh(0), transport)
            }
            (_, Some(stale)) => {
                self.metrics.stale_answers.add(1);
                stale.compose(query, Age::Stale, transport)
            }
            (Err(failure), None) => {
                self.metrics.upstream_failures.add(1);
                refuse(query, rcode::SERVFAIL, Some(failure.extended_error()), transport)
            }
        }
    }

    /// Answers in the cache, and their bytes.
    pub fn cache_size(&self) -> (usize, usize) {
        let cache = self.cache.borrow();
        (cache.len(), cache.bytes())
    }

    fn recent_failure(&self, key: &Key) -> Option<Failure> {
        let failures = self.failures.borrow();
        failures.get(key).filter(|(at, _)| at.elapsed() < FAILURE_TTL).map(|(_, failure)| *failure)
    }

    /// Joins the flight for `key`, or starts it. The flight starts now, not when the future is polled.
    fn join(self: &Rc<Self>, key: Key, query: &Query) -> impl Future<Output = Landed> + use<> {
        let (sender, receiver) = oneshot::channel();
        let mut flights = self.flights.borrow_mut();
        let busy = flights.len() >= MAX_FLIGHTS;
        match flights.get_mut(&key) {
            Some(waiting) => waiting.push(sender),
            None if busy => drop(sender),
            None => {
                flights.insert(key.clone(), vec![sender]);
                let (this, question) = (Rc::clone(self), query.raw_question.clone());
                let (cd, dnssec_ok) = (query.cd, query.dnssec_ok());
                tokio::task::spawn_local(async move { this.fly(key, question, cd, dnssec_ok).await });
            }
        }
        async move { receiver.await.unwrap_or(Err(Failure::Busy)) }
    }

    async fn fly(self: Rc<Self>, key: Key, raw_question: Vec<u8>, cd: bool, dnssec_ok: bool) {
        let landed = match &self.upstreams {
            Upstreams::Demo(zone) => {
                let query = message::question_for_upstream(0, &raw_question, cd, dnssec_ok);
                let answer = zone.answer(&query).and_then(|wire| Answer::decode(wire).ok());
                answer.map(Rc::new).ok_or(Failure::Network)
            }
            Upstreams::Servers(servers) => self.ask_servers(servers, &raw_question, cd, dnssec_ok).await,
        };
        match &landed {
            Ok(answer) => {
                self.failures.borrow_mut().remove(&key);
                self.cache.borrow_mut().insert(key.clone(), Rc::clone(answer), Instant::now());
            }
            Err(failure) => {
                let mut failures = self.failures.borrow_mut();
                if failures.len() >= MAX_FAILURES {
                    failures.clear();
                }
                failures.insert(key.clone(), (Instant::now(), *failure));
            }
        }
        for waiting in self.flights.borrow_mut().remove(&key).unwrap_or_default() {
            // A client that is gone has dropped its end.
            let _ = waiting.send(landed.clone());
        }
    }

    /// Tries servers, the best first, until one answers with something better than its own failure.
    async fn ask_servers(
        &self,
        servers: &[std::net::SocketAddr],
        raw_question: &[u8],
        cd: bool,
        dnssec_ok: bool,
    ) -> Landed {
        let order = self.health.borrow_mut().order(Instant::now());
        let (mut failure, mut own_failure) = (Failure::Network, None);
        for (index, limit) in order.iter().cycle().zip(TRIES) {
            let Ok(outgoing) = Outgoing::draw(raw_question, cd, dnssec_ok) else { break };
            let asked = Instant::now();
            self.metrics.upstream_queries.add(1);
            let reply = exchange::ask(servers[*index], &outgoing, limit).await;
            let took = asked.elapsed();
            match reply {
                Ok(reply) => {
                    self.metrics.upstream_seconds.observe(took);
                    // A failure of the server's own: another may know better.
                    let own = match exchange::header_rcode(&reply) {
                        // The name's fault as often as the server's: says nothing about its health.
                        rcode::SERVFAIL => true,
                        rcode::FORMERR | rcode::NOTIMP | rcode::REFUSED => {
                            self.health.borrow_mut().failed(*index, Instant::now());
                            true
                        }
                        _ => {
                            self.health.borrow_mut().answered(*index, took);
                            false
                        }
                    };
                    match Answer::decode(reply) {
                        Ok(answer) if !own => return Ok(Rc::new(answer)),
                        Ok(answer) => own_failure = Some(Rc::new(answer)),
                        Err(error) => tracing::debug!(server = %servers[*index], %error, "bad answer"),
                    }
                    if order.len() == 1 {
                        break;
                    }
                }
                Err(error) => {
                    tracing::debug!(server = %servers[*index], %error, "upstream failed");
                    self.metrics.upstream_errors.add(1);
                    self.health.borrow_mut().failed(*index, Instant::now());
                    failure = match error {
                        ExchangeError::Timeout => Failure::Timeout,
                        _ => Failure::Network,
                    };
                }
            }
        }
        own_failure.ok_or(failure)
    }
}

/// Only ordinary types of class IN are asked of upstreams: no transfers (251, 252), no meta types but ANY.
fn is_forwarded(query: &Query) -> bool {
    query.question.qclass == 1 && !matches!(query.question.qtype, 0 | 41 | 128..=254)
}

#[cfg(test)]
mod tests;
