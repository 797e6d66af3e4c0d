//! The filter: everything that one runtime's instance holds, and the order in which it is used.
//!
//! ```text
//! ask ─► verdict cache ─► cascade ─┬─► answer made here ─► event
//!                                  ├─► pass on ─► answered (inspection) ─► event
//!                                  └─► wait for the scorer ─► on_reply ─► …
//! tick ─► snapshot feed, batches of events
//! ```
//!
//! It does no I/O: callouts go through [`Host`], and the runner carries messages under a [`Ticket`]. Its one
//! surprise: questions for a name that the scorer is already asked about wait for that one callout.

mod alias;
mod breaker;
mod events;
mod flights;
mod force;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use ed25519_dalek::VerifyingKey;

use crate::event::{Event, Spool};
use crate::filter::alias::{alias, is_alias};
use crate::filter::breaker::Breaker;
use crate::filter::flights::Flights;
use crate::filter::force::Force;
use crate::hash;
use crate::host::{Callout, CalloutId, Counter, Host, Level, Peer, Reply};
use crate::message::{Malformed, Query, decode_answer, decode_query, min_ttl, rcode};
use crate::model::Model;
use crate::model::tunnel::TunnelSketch;
use crate::name::Name;
use crate::policy::Policy;
use crate::policy::budget::Budgets;
use crate::policy::groups::Held;
use crate::policy::identity::Identity;
use crate::response::{Synthesis, failure, synthesize};
use crate::rewrite;
use crate::schema::{PluginConfig, ScoreReply, ScoreRequest, ScoreResult};
use crate::snapshot::{Feed, FeedConfig, FeedStep, Snapshot, SnapshotError};
use crate::verdict::cache::{Generations, lasts};
use crate::verdict::cascade::{Case, Next, SCORE_TTL_MS, Scored, World};
use crate::verdict::inspect::inspect;
use crate::verdict::precedence::Question;
use crate::verdict::{Action, Own, Reason, Verdict};

pub use told::{TELLING_DOOR, Told};

/// Verdicts and scores kept, a generation each.
const CACHE_ENTRIES: usize = 16_384;
/// How long a verdict is kept, milliseconds.
const VERDICT_TTL_MS: u64 = 60_000;

/// Names a question in flight; the runner chooses it (the stream's context id).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// What the runner does with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Pass it on; the upstream's answer goes to [`Filter::answered`].
    Pass,
    /// Pass this message on in its place; the upstream's answer goes to [`Filter::answered`].
    PassAs(Vec<u8>),
    /// Answer this message.
    Answer(Answered),
    /// Answer nothing; a runtime that can't do that sends this refusal.
    Drop(Option<Vec<u8>>),
    /// Not a DNS question: HTTP 400; over UDP and TCP the message within, if any.
    Bad(Option<Vec<u8>>),
    /// Wait: the outcome comes from [`Filter::on_reply`].
    Wait,
}

/// An answer that the filter made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The DNS message.
    pub wire: Vec<u8>,
    /// Seconds for which it may be cached.
    pub max_age_s: u32,
}

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not the JSON of [`PluginConfig`].
    #[error("plugin configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// A key of `snapshot_keys` is not an Ed25519 public key.
    #[error("plugin configuration: snapshot_keys: {0:?} is not an Ed25519 public key in 64 hex digits")]
    Key(String),
    /// The inline snapshot is not base64.
    #[error("plugin configuration: snapshot: not standard base64")]
    Base64,
    /// The inline snapshot can't be opened.
    #[error("plugin configuration: snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
}

/// One instance of the filter.
pub struct Filter {
    config: PluginConfig,
    force: Force,
    /// While a snapshot takes over from others: those, newest first.
    older: Vec<Force>,
    verdicts: Generations<Kept>,
    logits: Generations<f32>,
    scores: Generations<(ScoreResult, String, u64)>,
    tunnel: TunnelSketch,
    budgets: Budgets,
    secret: u64,
    breaker: Breaker,
    streams: HashMap<Ticket, (Stream, State)>,
    /// Final verdicts that the runner has not taken yet.
    told: HashMap<Ticket, Told>,
    flights: Flights,
    spool: Spool,
    feed: Option<Feed>,
    feed_callout: Option<CalloutId>,
    events_callout: Option<CalloutId>,
    /// Offers of events that failed in a row.
    events_failed: u32,
    /// When events are offered again.
    events_due_ms: u64,
}

/// A question in flight.
struct Stream {
    ticket: Ticket,
    query: Query,
    client: IpAddr,
    identity: Identity,
    door: String,
    time_us: u64,
    took_us: u64,
    /// The upstream is asked for this name in the place of the question's.
    alias: Option<Name>,
}

impl Stream {
    /// Whether it came over UDP, and whether nobody else can read it.
    fn transport(&self) -> (bool, bool) {
        (self.door == "udp", !matches!(self.door.as_str(), "udp" | "tcp"))
    }
}

/// What a question in flight waits for.
enum State {
    /// Waits for the scorer.
    Waiting(Box<Case>),
    /// Passed on; waits for the upstream's answer.
    Passed(Arc<Verdict>),
}

/// A verdict that holds for other questions for the name, of whatever type.
struct Kept {
    verdict: Arc<Verdict>,
    /// The type that its trace says was asked for.
    qtype: u16,
    until_ms: u64,
}

impl Kept {
    /// The verdict on a question for the name.
    fn verdict(&self, name: &Name, qtype: u16) -> Arc<Verdict> {
        let mut verdict = Arc::clone(&self.verdict);
        if qtype != self.qtype
            && let Some(line) = Arc::make_mut(&mut verdict).trace.first_mut()
        {
            line.said = Case::question_line(name, qtype).into();
        }
        verdict
    }
}

/// A question as the runner hands it in.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The DNS message.
    pub wire: &'a [u8],
    /// The client's address.
    pub client: IpAddr,
    /// Who it says that it is.
    pub identity: &'a Identity,
    /// The door it came through: `udp`, `tcp`, `doh`, `envoy`.
    pub door: &'a str,
}

impl Filter {
    /// A filter with its configuration (JSON of [`PluginConfig`]). `source` names this life of it in events:
    /// unique among all runtimes and restarts.
    pub fn new(config: &[u8], source: String) -> Result<Self, ConfigError> {
        let config: PluginConfig =
            if config.is_empty() { PluginConfig::default() } else { serde_json::from_slice(config)? };
        let keys = config.snapshot_keys.iter().map(|hex| parse_key(hex)).collect::<Result<Vec<_>, _>>()?;
        let inline = match config.snapshot.as_str() {
            "" => None,
            text => {
                use base64::Engine;
                let bytes = base64::engine::general_purpose::STANDARD.decode(text);
                Some(Snapshot::open(Bytes::from(bytes.map_err(|_| ConfigError::Base64)?), &keys)?)
            }
        };
        // Clients see the source in extended errors; the token they never see.
        let secret = hash::keyed(0, &[source.as_bytes(), config.token.as_bytes()]);
        let feed = (!config.control_cluster.is_empty()).then(|| {
            let token = config.token.clone();
            Feed::new(
                FeedConfig { token, keys, jitter_seed: secret, ..FeedConfig::default() },
                inline.as_ref(),
            )
        });
        // Without a control plane nobody takes events but a runner that asks for the last one.
        let capacity = if config.control_cluster.is_empty() { 1 } else { config.spool_events as usize };
        let spool = Spool::new(source, capacity);
        let policy = Policy::without_snapshot(config.failure_mode);
        let mut filter = Self {
            config: PluginConfig { snapshot: String::new(), ..config },
            budgets: Budgets::new(&policy, secret),
            force: Force::without_snapshot(policy),
            older: Vec::new(),
            verdicts: Generations::new(CACHE_ENTRIES),
            logits: Generations::new(CACHE_ENTRIES),
            scores: Generations::new(CACHE_ENTRIES),
            tunnel: TunnelSketch::new(secret),
            secret,
            breaker: Breaker::default(),
            streams: HashMap::new(),
            told: HashMap::new(),
            flights: Flights::default(),
            spool,
            feed,
            feed_callout: None,
            events_callout: None,
            events_failed: 0,
            events_due_ms: 0,
        };
        if let Some(snapshot) = inline {
            filter.set_snapshot(snapshot)?;
        }
        Ok(filter)
    }

    /// The configuration in force.
    pub fn config(&self) -> &PluginConfig {
        &self.config
    }

    /// Whether clients are told apart by their certificates, so that the runner must look at those.
    pub fn asks_for_certificates(&self) -> bool {
        self.forces().any(|force| force.groups.has_sans())
    }

    /// Whether clients are told apart by ids and tokens, so that the runner must look at those.
    pub fn asks_for_secrets(&self) -> bool {
        self.forces().any(|force| force.groups.has_secrets())
    }

    /// The snapshot in force; the newer one while it takes over from another.
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.force.snapshot.as_ref()
    }

    /// Its small model, if it has one.
    pub fn model(&self) -> Option<&Arc<Model>> {
        self.force.model.as_ref()
    }

    /// Puts a snapshot in force. One whose brands or model can't be read is refused and the last good one stays.
    pub fn set_snapshot(&mut self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let force = Force::new(snapshot, &self.forces().collect::<Vec<_>>())?;
        self.verdicts.clear();
        self.begin(&force);
        (self.force, self.older) = (force, Vec::new());
        Ok(())
    }

    /// Puts snapshots in force side by side, newest first; see [`FeedStep::Swapped`].
    fn set_snapshots(&mut self, snapshots: Vec<Snapshot>) -> Result<(), SnapshotError> {
        let mut forces = Vec::with_capacity(snapshots.len());
        for snapshot in snapshots {
            let held =
                self.forces().find(|force| force.id() == snapshot.id()).map(|held| held.with(&snapshot));
            if let Some(held) = held {
                forces.push(held);
                continue;
            }
            let force = Force::new(snapshot, &self.forces().collect::<Vec<_>>())?;
            self.begin(&force);
            forces.push(force);
        }
        let mut forces = forces.into_iter();
        if let Some(newest) = forces.next() {
            (self.force, self.older) = (newest, forces.collect());
        }
        Ok(())
    }

    /// What was found under other snapshots and does not hold under this one is forgotten.
    fn begin(&mut self, force: &Force) {
        if self.force.model_id() != force.model_id() {
            self.logits.clear();
        }
        self.budgets = Budgets::new(&force.policy, self.secret);
    }

    /// All that is in force, newest first.
    fn forces(&self) -> impl Iterator<Item = &Force> {
        std::iter::once(&self.force).chain(&self.older)
    }

    /// What is in force for a name: 0 is the newest.
    fn layer(&self, name: &Name) -> usize {
        if self.older.is_empty() {
            0
        } else {
            self.forces().position(|force| force.covers(name)).unwrap_or(0)
        }
    }

    /// Replaces the mode of models in every group, until the next snapshot.
    pub fn set_models_mode(&mut self, mode: crate::policy::Mode) {
        for force in std::iter::once(&mut self.force).chain(&mut self.older) {
            force.set_models_mode(mode);
        }
        self.verdicts.clear();
    }

    /// Forgets what clients did so far: names counted under registrable domains, callouts spent.
    pub fn forget_clients(&mut self) {
        self.tunnel = TunnelSketch::new(self.secret);
        self.budgets = Budgets::new(&self.force.policy, self.secret);
    }

    /// Decides a question, or starts to.
    pub fn ask(&mut self, host: &mut dyn Host, ticket: Ticket, asked: Asked<'_>) -> Outcome {
        let time_us = host.now_us();
        let query = match decode_query(asked.wire) {
            Ok(query) => query,
            Err(malformed) => {
                host.count(Counter::Malformed, 1);
                return refuse(&malformed, asked.door);
            }
        };
        host.count(Counter::Queries, 1);
        let (name, qtype) = (query.question.name.clone(), query.question.qtype);
        let stream = Stream {
            ticket,
            query,
            client: asked.client,
            identity: asked.identity.clone(),
            door: asked.door.to_owned(),
            time_us,
            took_us: 0,
            alias: None,
        };
        let now_ms = time_us / 1_000;
        let layer = self.layer(&name);
        let force = layer_of(&self.force, &self.older, layer);
        let held = force.held(asked.client, asked.identity).clone();
        let key = cache_key(&held, &name);
        let own_verdict = force.snapshot.as_ref().is_some_and(|s| s.is_client_listed(asked.client))
            || held.stops_type(qtype).is_some();
        if !own_verdict
            && let Some(kept) = self.verdicts.get(&key)
            && kept.verdict.snapshot == layer_of(&self.force, &self.older, layer).id()
            && lasts(kept.until_ms, now_ms, VERDICT_TTL_MS)
        {
            let verdict = kept.verdict(&name, qtype);
            host.count(Counter::VerdictCacheHits, 1);
            return self.settle(host, ticket, stream, verdict);
        }
        let (case, next) = self.world(now_ms, layer, |world| {
            let mut case = Case::new(name, qtype, asked.client, asked.door == "udp", held, world);
            let next = case.run(world);
            (case, next)
        });
        match next {
            Next::Settled(verdict) => {
                let verdict = Arc::new(verdict);
                self.remember(host, &case, key, &verdict, now_ms);
                self.settle(host, ticket, stream, verdict)
            }
            Next::AskScorer => {
                let name = case.name().as_str().to_owned();
                self.streams.insert(ticket, (stream, State::Waiting(Box::new(case))));
                match self.ask_scorer(host, ticket, &name) {
                    Ok(()) => Outcome::Wait,
                    Err(why) => self.resume(host, ticket, Scored::Failed(why)),
                }
            }
        }
    }

    /// A callout came back. Questions that it settles are returned with their outcomes.
    pub fn on_reply(&mut self, host: &mut dyn Host, id: CalloutId, reply: &Reply) -> Vec<(Ticket, Outcome)> {
        if self.feed_callout == Some(id) {
            self.feed_callout = None;
            self.on_feed(host, reply);
            return Vec::new();
        }
        if self.events_callout == Some(id) {
            self.events_callout = None;
            self.on_events_stored(host, reply);
            return Vec::new();
        }
        let Some((name, tickets)) = self.flights.land(id) else { return Vec::new() };
        let now_ms = host.now_ms();
        let scored = read_score(reply, &name);
        match &scored {
            Scored::Result(result, model) => {
                self.breaker.succeeded();
                self.scores.insert(&name, (result.clone(), model.clone(), now_ms + SCORE_TTL_MS));
            }
            Scored::Failed(why) => {
                self.breaker.failed(now_ms);
                host.log(Level::Warn, &format!("scorer gave no score: {why}"));
            }
        }
        tickets.into_iter().map(|ticket| (ticket, self.resume(host, ticket, scored.clone()))).collect()
    }

    /// The upstream answered a question that was passed on. Returns the answer that replaces it, or `None` if it
    /// may pass as it is.
    pub fn answered(&mut self, host: &mut dyn Host, ticket: Ticket, wire: &[u8]) -> Option<Outcome> {
        let (stream, state) = self.streams.remove(&ticket)?;
        let State::Passed(verdict) = state else { return None };
        let now_ms = host.now_ms();
        let changed = decode_answer(wire).ok().and_then(|answer| {
            let asked = Question {
                name: &stream.query.question.name,
                qtype: stream.query.question.qtype,
                client: stream.client,
                udp: stream.door == "udp",
                now_ms,
            };
            // Where the answer leads may be for another snapshot to say.
            self.forces().find_map(|force| {
                let held = force.held(stream.client, &stream.identity);
                inspect(&asked, &verdict, &answer, held, &force.policy, force.snapshot.as_ref())
            })
        });
        let changed = match changed {
            Some(changed) if changed.action.stops() && !is_alias(&changed) => changed,
            changed => {
                let verdict = changed.map_or(verdict, Arc::new);
                let ttl_s = verdict.ttl_s;
                self.record(host, &stream, verdict);
                let target = stream.alias.as_ref()?;
                let (udp, encrypted) = stream.transport();
                let answer = rewrite::answer(&stream.query, target, ttl_s, wire, udp, encrypted);
                let servfail = || failure(&stream.query, rcode::SERVFAIL, None, encrypted);
                let wire = answer.unwrap_or_else(servfail);
                let max_age_s = min_ttl(&wire).unwrap_or_default();
                return Some(Outcome::Answer(Answered { wire, max_age_s }));
            }
        };
        host.count(Counter::ResponsesBlocked, 1);
        Some(self.answer(host, &stream, Arc::new(changed)))
    }

    /// The question's stream ended; if nothing was recorded for it yet, it is now. Returns outcomes of others
    /// that waited for a callout that ends with it.
    pub fn end(&mut self, host: &mut dyn Host, ticket: Ticket) -> Vec<(Ticket, Outcome)> {
        let Some((stream, state)) = self.streams.remove(&ticket) else { return Vec::new() };
        match state {
            State::Passed(verdict) => {
                self.record(host, &stream, verdict);
                Vec::new()
            }
            State::Waiting(mut case) => {
                let gone = Scored::Failed("the client left");
                let layer = self.layer(case.name());
                let verdict = self.world(host.now_ms(), layer, |world| case.scored(world, gone));
                self.record(host, &stream, Arc::new(verdict));
                let waiters = self.flights.leave(ticket);
                let left = Scored::Failed("its callout ended with another client");
                waiters.into_iter().map(|ticket| (ticket, self.resume(host, ticket, left.clone()))).collect()
            }
        }
    }

    /// The final verdict on a question that came by [`TELLING_DOOR`]; `None` if it has none yet, or was taken. To be
    /// called after [`Filter::end`], for each such question, or they add up.
    pub fn take_told(&mut self, ticket: Ticket) -> Option<Told> {
        self.told.remove(&ticket)
    }

    /// Whether a question was passed on and its answer is still to come.
    pub fn is_passed(&self, ticket: Ticket) -> bool {
        self.streams.get(&ticket).is_some_and(|(_, state)| matches!(state, State::Passed(_)))
    }

    /// Every `tick_ms`: looks for a snapshot, sends events.
    pub fn tick(&mut self, host: &mut dyn Host) {
        if self.feed_callout.is_none() {
            self.fetch(host);
        }
        self.send_events(host);
    }

    /// Events waiting to be sent.
    pub fn spool(&mut self) -> &mut Spool {
        &mut self.spool
    }

    /// Runs with one of what is in force, by [`Filter::layer`].
    fn world<T>(&mut self, now_ms: u64, layer: usize, run: impl FnOnce(&mut World<'_>) -> T) -> T {
        let newest = self.force.model_id();
        let force = layer_of(&self.force, &self.older, layer);
        // Logits are those of the newest snapshot's model.
        let mut others = (newest != force.model_id()).then(|| Generations::new(1));
        let mut world = World {
            snapshot: force.snapshot.as_ref(),
            policy: &force.policy,
            brands: &force.brands,
            model: force.model.as_deref(),
            logits: others.as_mut().unwrap_or(&mut self.logits),
            scores: &mut self.scores,
            tunnel: &mut self.tunnel,
            budgets: &mut self.budgets,
            scorer: !self.config.scorer_cluster.is_empty(),
            now_ms,
        };
        run(&mut world)
    }

    /// Keeps a verdict for a minute, unless time, client or load had a part in it.
    fn remember(
        &mut self,
        host: &mut dyn Host,
        case: &Case,
        key: String,
        verdict: &Arc<Verdict>,
        now_ms: u64,
    ) {
        if case.knew_score() {
            host.count(Counter::ScoreCacheHits, 1);
        }
        if verdict.reasons.contains(&Reason::Budget) {
            host.count(Counter::BudgetExceeded, 1);
        }
        // A snapshot that came while the scorer was asked says something else, perhaps.
        let layer = self.layer(case.name());
        let current = layer_of(&self.force, &self.older, layer).id() == verdict.snapshot;
        if current && !case.is_passing() {
            let (verdict, qtype) = (Arc::clone(verdict), case.qtype());
            self.verdicts.insert(&key, Kept { verdict, qtype, until_ms: now_ms + VERDICT_TTL_MS });
        }
    }

    fn settle(
        &mut self,
        host: &mut dyn Host,
        ticket: Ticket,
        mut stream: Stream,
        verdict: Arc<Verdict>,
    ) -> Outcome {
        stream.took_us = host.now_us().saturating_sub(stream.time_us);
        if let Some(target) = alias(&verdict, stream.query.question.qtype) {
            let wire = rewrite::question(&stream.query, target);
            stream.alias = Some(target.clone());
            self.streams.insert(ticket, (stream, State::Passed(verdict)));
            return Outcome::PassAs(wire);
        }
        if verdict.action.stops() {
            host.count(Counter::Blocked, 1);
            return self.answer(host, &stream, verdict);
        }
        self.streams.insert(ticket, (stream, State::Passed(verdict)));
        Outcome::Pass
    }

    fn answer(&mut self, host: &mut dyn Host, stream: &Stream, verdict: Arc<Verdict>) -> Outcome {
        let decided = self.forces().find(|force| force.id() == verdict.snapshot);
        let group = &decided.unwrap_or(&self.force).held(stream.client, &stream.identity).group;
        let (udp, encrypted) = stream.transport();
        let wire = synthesize(&match verdict.action {
            Action::Custom if verdict.own == Own::Loopback => {
                Synthesis::localhost(&stream.query, verdict.ttl_s, udp, encrypted)
            }
            action => Synthesis {
                query: &stream.query,
                action,
                ttl_s: verdict.ttl_s,
                addresses: Some((group.honeypot_v4, group.honeypot_v6)),
                own: &verdict.own,
                ede: self.explain(&verdict),
                udp,
                encrypted,
            },
        });
        let max_age_s = verdict.ttl_s;
        self.record(host, stream, verdict);
        match wire {
            Some(wire) => Outcome::Answer(Answered { wire, max_age_s }),
            None => Outcome::Drop(Some(failure(&stream.query, rcode::REFUSED, None, encrypted))),
        }
    }

    /// The extended error (RFC 8914) of a verdict: a fixed phrase and the event's id.
    fn explain(&self, verdict: &Verdict) -> Option<(u16, String)> {
        let (code, phrase) = match (verdict.action, verdict.reason()?) {
            (_, Reason::Special) => return None,
            // The client is to ask again over TCP, and nothing is kept from it.
            _ if verdict.own == Own::Truncated => return None,
            (Action::Honeypot, _) => (4, "forged by policy"),
            _ if verdict.reasons.contains(&Reason::Mandatory) => (16, "blocked by law"),
            (_, Reason::Failure) => (0, "not decided"),
            (Action::Custom, _) => (4, "forged by policy"),
            _ => (15, "blocked by policy"),
        };
        Some((code, format!("{phrase}; event {}/{}", self.spool.source(), self.spool.next_seq())))
    }

    fn record(&mut self, host: &mut dyn Host, stream: &Stream, verdict: Arc<Verdict>) {
        // A list that only logs may stand before it.
        let not_confident = verdict.reasons.contains(&Reason::NotConfident);
        if not_confident {
            host.count(Counter::NotConfident, 1);
        }
        if stream.door == TELLING_DOOR {
            self.told.insert(stream.ticket, Told::of(&verdict));
        }
        if !self.config.events {
            return;
        }
        let question = &stream.query.question;
        let dropped = self.spool.push(Event {
            seq: 0,
            time_ms: stream.time_us / 1_000,
            client: stream.client.to_string(),
            name: question.name.as_str().to_owned(),
            qtype: question.qtype,
            door: stream.door.clone(),
            verdict: Arc::unwrap_or_clone(verdict),
            not_confident,
            took_us: stream.took_us,
        });
        if dropped > 0 && !self.config.control_cluster.is_empty() {
            host.count(Counter::EventsDropped, dropped);
        }
    }

    fn ask_scorer(&mut self, host: &mut dyn Host, ticket: Ticket, name: &str) -> Result<(), &'static str> {
        if self.flights.join(name, ticket) {
            return Ok(());
        }
        if !self.breaker.allows(host.now_ms()) {
            return Err("breaker open");
        }
        if self.flights.len() >= self.config.scorer_in_flight as usize {
            return Err("too many callouts in flight");
        }
        let request = ScoreRequest { names: vec![name.to_owned()], model: None, attribution: false };
        let callout = Callout {
            peer: Peer::Scorer,
            method: "POST",
            path: "/v1/score".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: serde_json::to_vec(&request).unwrap_or_default(),
            timeout_ms: self.config.scorer_timeout_ms,
        };
        let id = host.callout(callout).map_err(|_| "not started")?;
        host.count(Counter::Callouts, 1);
        self.flights.start(id, name, ticket);
        Ok(())
    }

    /// Goes on with a question that waited for the scorer.
    fn resume(&mut self, host: &mut dyn Host, ticket: Ticket, scored: Scored) -> Outcome {
        let Some((stream, State::Waiting(mut case))) = self.streams.remove(&ticket) else {
            return Outcome::Pass;
        };
        if matches!(scored, Scored::Failed(_)) {
            host.count(Counter::CalloutFailures, 1);
        }
        let now_ms = host.now_ms();
        let layer = self.layer(case.name());
        let verdict = Arc::new(self.world(now_ms, layer, |world| case.scored(world, scored)));
        let key = cache_key(case.held(), case.name());
        self.remember(host, &case, key, &verdict, now_ms);
        self.settle(host, ticket, stream, verdict)
    }

    fn fetch(&mut self, host: &mut dyn Host) {
        let Some(callout) = self.feed.as_mut().and_then(|feed| feed.next_request(host.now_ms())) else {
            return;
        };
        match host.callout(callout) {
            Ok(id) => self.feed_callout = Some(id),
            Err(_) => self.on_feed(host, &Reply::nothing()),
        }
    }

    fn on_feed(&mut self, host: &mut dyn Host, reply: &Reply) {
        let now_ms = host.now_ms();
        let Some(feed) = self.feed.as_mut() else { return };
        let refused = match feed.on_reply(reply, now_ms) {
            // The next poll is due at once after one that was held.
            FeedStep::Idle | FeedStep::More => return self.fetch(host),
            FeedStep::Swapped(snapshots) => match self.set_snapshots(snapshots) {
                Ok(()) => return self.fetch(host),
                Err(error) => {
                    self.feed.iter_mut().for_each(Feed::refuse);
                    error
                }
            },
            FeedStep::Ready(snapshot) => {
                let said = format!("snapshot {} in force, serial {}", snapshot.id(), snapshot.serial());
                match self.set_snapshot(snapshot) {
                    Ok(()) => {
                        host.count(Counter::SnapshotsLoaded, 1);
                        host.log(Level::Info, &said);
                        return self.fetch(host);
                    }
                    Err(error) => error,
                }
            }
            FeedStep::Refused(error) => error,
        };
        host.count(Counter::SnapshotsRefused, 1);
        host.log(Level::Error, &format!("snapshot refused, the last good one stays: {refused}"));
    }
}

/// One of what is in force, by [`Filter::layer`].
fn layer_of<'a>(newest: &'a Force, older: &'a [Force], layer: usize) -> &'a Force {
    layer.checked_sub(1).and_then(|at| older.get(at)).unwrap_or(newest)
}

/// What a verdict is kept under: no group ever gets another's.
fn cache_key(held: &Held, name: &Name) -> String {
    format!("{}\0{}", held.number, name.as_str())
}

fn parse_key(hex: &str) -> Result<VerifyingKey, ConfigError> {
    let bad = || ConfigError::Key(hex.to_owned());
    let mut bytes = [0u8; 32];
    if hex.len() != 64 {
        return Err(bad());
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
        let pair = std::str::from_utf8(pair).map_err(|_| bad())?;
        *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
    }
    VerifyingKey::from_bytes(&bytes).map_err(|_| bad())
}

/// What is said to a message that is no question: over HTTP a status, else a DNS message or nothing.
fn refuse(malformed: &Malformed, door: &str) -> Outcome {
    let wire = malformed.response();
    match (door, malformed, wire) {
        (_, Malformed::NotImp { .. } | Malformed::BadVers { .. }, Some(wire)) => {
            Outcome::Answer(Answered { wire, max_age_s: 0 })
        }
        ("udp" | "tcp", _, Some(wire)) => Outcome::Answer(Answered { wire, max_age_s: 0 }),
        ("udp" | "tcp", _, None) => Outcome::Drop(None),
        (_, _, wire) => Outcome::Bad(wire),
    }
}

/// Reads the scorer's reply for one name. A score outside [0, 1] or for another name is garbage.
fn read_score(reply: &Reply, name: &str) -> Scored {
    if reply.status == 0 {
        return Scored::Failed("timeout or reset");
    }
    if reply.status != 200 {
        return Scored::Failed("status is not 200");
    }
    let Ok(parsed) = serde_json::from_slice::<ScoreReply>(&reply.body) else {
        return Scored::Failed("not a score reply");
    };
    let result = parsed.results.into_iter().find(|result| result.name == name);
    let in_range = |p: Option<f64>| p.is_some_and(|p| (0.0..=1.0).contains(&p));
    match result {
        Some(result) if result.error.is_none() && in_range(result.p.or(result.score)) => {
            Scored::Result(result, parsed.model)
        }
        _ => Scored::Failed("no score for the name"),
    }
}
