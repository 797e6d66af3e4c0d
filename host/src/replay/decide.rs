//! Both sides of a question: what is answered now, and what would be.
//!
//! ```text
//! name, client ─► cascade with the snapshot ──────────► Said ─┐
//!             └─► cascade with the changed snapshot ──► Said ─┴─► Pair
//! ```
//!
//! The cascade is `core`'s, without what depends on the past: tunnels and budgets. Its surprise: where that past
//! decided, or a scorer, [`Said`] knows it ([`Said::is_open`]) and the stored answer is taken.

use std::net::IpAddr;
use std::ops::Not;
use std::sync::Arc;

use dnsvet_core::model::tunnel::TunnelSketch;
use dnsvet_core::model::{Brands, Model};
use dnsvet_core::name::Name;
use dnsvet_core::policy::budget::Budgets;
use dnsvet_core::policy::groups::Groups;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::policy::{Mode, Policy};
use dnsvet_core::schema::ScoreResult;
use dnsvet_core::snapshot::Snapshot;
use dnsvet_core::verdict::cache::Generations;
use dnsvet_core::verdict::cascade::{Case, Next, Scored, World};
use dnsvet_core::verdict::{Action, Own, Reason, Step, Verdict};
use serde::Serialize;

use super::ReplayError;

/// Logits kept: both sides ask for the same name at once.
const LOGITS: usize = 1_024;

/// What is answered, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Answer {
    /// What is answered.
    pub action: Action,
    /// What would be, were the mode `enforce`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would: Option<Action>,
    /// The deciding reason.
    pub reason: Option<Reason>,
    /// The list or rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// It was read from the store, because it can't be worked out again.
    #[serde(skip_serializing_if = "Not::not")]
    pub stored: bool,
}

impl Answer {
    /// What a stored answer is where `mode` wraps what decided it: the mode may have been another one then.
    pub fn under(&self, mode: Mode) -> Self {
        let meant = if self.action.stops() { self.action } else { self.would.unwrap_or(Action::Allow) };
        let (action, would) = match mode {
            Mode::Enforce => (meant, None),
            Mode::Log => (Action::Allow, meant.stops().then_some(meant)),
            Mode::Off => (Action::Allow, None),
        };
        Self { action, would, ..self.clone() }
    }

    /// What a verdict answers.
    pub fn of(verdict: &Verdict, stored: bool) -> Self {
        let (action, would, reason) = (verdict.action, verdict.would, verdict.reason());
        Self { action, would, reason, rule: verdict.rule.clone(), stored }
    }
}

/// What one side says to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Its answer.
    pub answer: Answer,
    /// What a custom answer holds.
    pub own: Own,
    /// No list, person or rule decided: models did, or nothing.
    guessed: bool,
    /// The scorer would have been asked.
    asks: bool,
}

impl Said {
    /// Whether the stored answer stands if its reason is this one. Where the scorer is asked it must be the
    /// scorer's too.
    pub fn is_open(&self, stored: Option<Reason>, by_scorer: bool) -> bool {
        match stored {
            Some(Reason::Response) => !self.answer.action.stops(),
            Some(Reason::Tunnel | Reason::Budget | Reason::Failure) => self.guessed,
            Some(Reason::Model | Reason::Popular | Reason::NotConfident) => self.asks && by_scorer,
            _ => false,
        }
    }

    /// Whether a scorer is asked whose answer nobody knows.
    pub fn is_unknown(&self, stored: Option<Reason>, by_scorer: bool) -> bool {
        // What stayed open without a scorer stays so.
        self.asks && stored != Some(Reason::NotConfident) && !self.is_open(stored, by_scorer)
    }

    fn of(verdict: Verdict, asks: bool) -> Self {
        let decided = verdict.trace.iter().find(|line| line.decided).map(|line| line.step);
        let guessed = decided.is_some_and(|step| step > Step::Lists && step < Step::Response);
        Self { answer: Answer::of(&verdict, false), own: verdict.own, guessed, asks }
    }

    /// Whether nobody could tell the two apart, whatever is stored.
    fn is_same(&self, other: &Self) -> bool {
        let of = |said: &Self| (said.answer.action, said.answer.would, said.guessed, said.asks);
        of(self) == of(other) && self.own == other.own
    }
}

/// Both sides of a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Pair {
    /// Now.
    pub now: Said,
    /// With the changes.
    pub then: Said,
}

/// What was decided about a name and clients of one kind.
#[derive(Debug, Clone)]
pub enum Decided {
    /// The same now and then.
    Same,
    /// Its name can't be read.
    Unreadable,
    /// It depends on the question's type, door, time or client.
    ByQuestion,
    /// Perhaps not the same.
    Differs(Arc<Pair>),
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Its name.
    pub name: &'a Name,
    /// QTYPE.
    pub qtype: u16,
    /// Who asks.
    pub client: IpAddr,
    /// It came over UDP.
    pub udp: bool,
    /// Milliseconds since 1970.
    pub time_ms: u64,
}

/// Decides questions on both sides.
pub struct Judge {
    now: Side,
    then: Side,
    /// Both sides have the same small model, but for its thresholds.
    one_model: bool,
}

impl Judge {
    /// Decides with a snapshot and with the changed one.
    pub fn new(now: Snapshot, then: Snapshot, one_model: bool) -> Result<Self, ReplayError> {
        Ok(Self { now: Side::new(now)?, then: Side::new(then)?, one_model })
    }

    /// The same with models enforced in every group, whatever the policy says: what they would do.
    pub fn enforcing(now: Snapshot, then: Snapshot) -> Result<Self, ReplayError> {
        let mut judge = Self::new(now, then, false)?;
        [&mut judge.now, &mut judge.then].into_iter().for_each(Side::enforce_models);
        Ok(judge)
    }

    /// The groups, for telling clients of one kind from others.
    pub fn groups(&self) -> &Groups {
        &self.now.groups
    }

    /// Decides a question that may stand for others of its name and kind of client.
    pub fn decide(&mut self, asked: Asked<'_>) -> Decided {
        match self.both(asked) {
            (_, true) => Decided::ByQuestion,
            (pair, false) => told_apart(pair),
        }
    }

    /// Decides this question and no other.
    pub fn decide_alone(&mut self, asked: Asked<'_>) -> Decided {
        told_apart(self.both(asked).0)
    }

    fn both(&mut self, asked: Asked<'_>) -> (Pair, bool) {
        let (now, narrow_now) = self.now.decide(asked);
        if self.one_model {
            std::mem::swap(&mut self.now.logits, &mut self.then.logits);
        }
        let (then, narrow_then) = self.then.decide(asked);
        if self.one_model {
            std::mem::swap(&mut self.now.logits, &mut self.then.logits);
        }
        (Pair { now, then }, narrow_now || narrow_then)
    }
}

fn told_apart(pair: Pair) -> Decided {
    if pair.now.is_same(&pair.then) { Decided::Same } else { Decided::Differs(Arc::new(pair)) }
}

/// What the cascade needs to decide with one snapshot.
struct Side {
    snapshot: Snapshot,
    policy: Policy,
    groups: Groups,
    brands: Brands,
    model: Option<Model>,
    logits: Generations<f32>,
    scores: Generations<(ScoreResult, String, u64)>,
    tunnel: TunnelSketch,
    budgets: Budgets,
}

impl Side {
    fn new(snapshot: Snapshot) -> Result<Self, ReplayError> {
        let mut policy = snapshot.policy().clone();
        policy.pauses.clear();
        policy.skip_steps.extend([Step::Tunnel, Step::Budget]);
        let model = snapshot.small_model().map(Model::decode).transpose().map_err(ReplayError::Model)?;
        let brands = match snapshot.brands() {
            [] => Brands::default(),
            bytes => Brands::decode(bytes).map_err(ReplayError::Brands)?,
        };
        Ok(Self {
            groups: Groups::new(&policy, snapshot.lists()),
            budgets: Budgets::new(&policy, 0),
            tunnel: TunnelSketch::with_slots(0, 1),
            logits: Generations::new(LOGITS),
            scores: Generations::new(1),
            snapshot,
            policy,
            brands,
            model,
        })
    }

    fn enforce_models(&mut self) {
        self.policy.groups.iter_mut().for_each(|group| group.models = Mode::Enforce);
        self.groups = Groups::new(&self.policy, self.snapshot.lists());
    }

    /// What is said, and whether time or a condition had a part in it.
    fn decide(&mut self, asked: Asked<'_>) -> (Said, bool) {
        // What a client said of itself is not stored: its address alone chooses the group.
        let held = self.groups.of(asked.client, &Identity::default()).clone();
        let mut world = World {
            snapshot: Some(&self.snapshot),
            policy: &self.policy,
            brands: &self.brands,
            model: self.model.as_ref(),
            logits: &mut self.logits,
            scores: &mut self.scores,
            tunnel: &mut self.tunnel,
            budgets: &mut self.budgets,
            // Without one the cascade goes on to its end and says so.
            scorer: false,
            now_ms: asked.time_ms,
        };
        let mut case = Case::new(asked.name.clone(), asked.qtype, asked.client, asked.udp, held, &world);
        let verdict = match case.run(&mut world) {
            Next::Settled(verdict) => verdict,
            Next::AskScorer => case.scored(&world, Scored::Failed("no scorer")),
        };
        let asks = !self.policy.skip_steps.contains(&Step::Scorer)
            && verdict.trace.iter().any(|line| line.step == Step::Scorer);
        (Said::of(verdict, asks), case.is_passing())
    }
}
