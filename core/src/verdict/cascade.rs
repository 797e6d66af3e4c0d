//! The cascade: the steps that make a verdict, in order, each leaving its line in the trace.
//!
//! ```text
//! special ► group ► mandatory ► vetted ► unblock ► lists ► look-alike ► tunnel ► model ─┬► verdict
//!                                                          between the thresholds ► budget ► scorer ► popular
//! ```
//!
//! A [`Case`] is one question on its way. [`Case::run`] either settles it or says that the scorer must be
//! asked; [`Case::scored`] goes on with what came back. Its one surprise: a step that is in log mode still
//! ends the cascade, with the action `allow` and what it would have been in `would`.

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::model::{Brands, Model, look_alike};

use crate::message::QueryType;
use crate::model::tunnel::{FLOOD_NAMES_PER_MINUTE, MAX_COUNT, TunnelSketch};
use crate::name::Name;
use crate::policy::budget::Budgets;
use crate::policy::ddr;
use crate::policy::groups::Held;
use crate::policy::{FailureMode, Mode, Policy, Unblock};
use crate::schema::ScoreResult;
use crate::snapshot::{Decision, Role, Snapshot};
use crate::verdict::cache::{Generations, lasts};
use crate::verdict::precedence::{Candidate, Candidates, Does, Question};
use crate::verdict::special::{Special, special};
use crate::verdict::{Action, Own, Reason, Step, TraceLine, Verdict, round_score};

/// A model never blocks below this probability, whatever its threshold says.
pub const LEAST_BLOCKING_P: f64 = 0.90;
/// Below this confidence a verdict of the model is put before a person.
pub const LEAST_CONFIDENCE: f64 = 0.90;

/// How long a scorer's answer is believed, milliseconds.
pub const SCORE_TTL_MS: u64 = 600_000;

/// What the trace says of a callout that may be made, or need not be.
const WITHIN_BUDGET: &str = "within the budget of callouts";

/// What a case is decided with. The filter owns all of it.
pub struct World<'a> {
    /// The snapshot in force.
    pub snapshot: Option<&'a Snapshot>,
    /// Its policy, or the default one.
    pub policy: &'a Policy,
    /// Its brands, decoded.
    pub brands: &'a Brands,
    /// Its small model, decoded.
    pub model: Option<&'a Model>,
    /// Logits of the small model by name.
    pub logits: &'a mut Generations<f32>,
    /// What the scorer said of names, its model and until when that is believed.
    pub scores: &'a mut Generations<(ScoreResult, String, u64)>,
    /// Names seen under registrable domains.
    pub tunnel: &'a mut TunnelSketch,
    /// What callouts may cost.
    pub budgets: &'a mut Budgets,
    /// Whether there is a scorer to ask.
    pub scorer: bool,
    /// Wall clock, milliseconds since 1970.
    pub now_ms: u64,
}

impl World<'_> {
    fn runs(&self, step: Step) -> bool {
        !self.policy.skip_steps.contains(&step)
    }

    fn popularity(&self, name: &Name) -> u8 {
        self.snapshot.map_or(0, |snapshot| snapshot.popularity(name))
    }

    fn is_popular(&self, name: &Name) -> bool {
        self.popularity(name) >= self.policy.popular_lists
    }

    /// What the scorer said of a name, if that is still believed.
    fn known_score(&mut self, name: &str) -> Option<(ScoreResult, String)> {
        let (result, model, until_ms) = self.scores.get(name)?;
        lasts(*until_ms, self.now_ms, SCORE_TTL_MS).then(|| (result.clone(), model.clone()))
    }

    /// Probability of malicious by the small model for the declared prior, its cache first.
    fn small_p(&mut self, name: &str) -> Option<f64> {
        let model = self.model?;
        let logit = match self.logits.get(name) {
            Some(logit) => *logit,
            None => {
                let logit = model.logit(name);
                self.logits.insert(name, logit);
                logit
            }
        };
        Some(round_score(model.probability(logit, self.policy.prior)))
    }
}

/// Which mode wraps a ruling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    /// The protocol says so; no mode.
    None,
    /// Mandatory lists: as lists, and no pause holds for them.
    Law,
    /// Lists, people and rules.
    Lists,
    /// Models, look-alikes and tunnels.
    Models,
}

/// What a step decided.
#[derive(Debug, Clone)]
struct Ruling {
    action: Action,
    reason: Reason,
    rule: Option<String>,
    wrap: Wrap,
    own: Own,
}

impl Ruling {
    fn new(action: Action, reason: Reason, rule: Option<String>, wrap: Wrap) -> Self {
        Self { action, reason, rule, wrap, own: Own::default() }
    }
}

/// What comes next for a case.
#[derive(Debug)]
pub enum Next {
    /// It is decided.
    Settled(Verdict),
    /// The small model could not settle it: ask the scorer, then [`Case::scored`].
    AskScorer,
}

/// What the scorer said.
#[derive(Debug, Clone)]
pub enum Scored {
    /// A score, with the model's id.
    Result(ScoreResult, String),
    /// Nothing usable: timeout, breaker, garbage; carries which.
    Failed(&'static str),
}

/// One question on its way through the cascade.
#[derive(Debug, Clone)]
pub struct Case {
    name: Name,
    qtype: u16,
    client: IpAddr,
    udp: bool,
    held: Arc<Held>,
    /// What lists and models may do for this question.
    modes: (Mode, Mode),
    snapshot: String,
    trace: Vec<TraceLine>,
    score: Option<f64>,
    model: Option<String>,
    /// Time, client or load had a part in it, so the verdict is not for the cache.
    passing: bool,
    /// The group's mode has the last word.
    wrapped: bool,
    /// The scorer's word was known from before.
    score_known: bool,
    /// The registrable domain is flooded with names, so the scorer is not asked about them.
    flood: bool,
    /// What a list in log mode would have done.
    shadow: Option<(Action, Reason, String)>,
}

type Flow = ControlFlow<Ruling>;

impl Case {
    /// A new case: `name` asked with type `qtype` by `client` of a group, over UDP or not.
    pub fn new(
        name: Name,
        qtype: u16,
        client: IpAddr,
        udp: bool,
        held: Arc<Held>,
        world: &World<'_>,
    ) -> Self {
        let modes = (held.group.lists, held.group.models);
        let snapshot = world.snapshot.map(|s| s.id().to_owned()).unwrap_or_default();
        let mut case = Self {
            name,
            qtype,
            client,
            udp,
            held,
            modes,
            snapshot,
            trace: Vec::with_capacity(12),
            score: None,
            model: None,
            passing: false,
            wrapped: world.runs(Step::Mode),
            score_known: false,
            flood: false,
            shadow: None,
        };
        let said = Self::question_line(&case.name, qtype);
        case.say(Step::Decode, said);
        case
    }

    /// What the first line of a trace says.
    pub fn question_line(name: &Name, qtype: u16) -> String {
        format!("{name} type {qtype}")
    }

    /// The name asked.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The type asked for.
    pub fn qtype(&self) -> u16 {
        self.qtype
    }

    /// The group of the client.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Whether time, client or load had a part in the verdict, so that it must not be cached.
    pub fn is_passing(&self) -> bool {
        self.passing
    }

    /// Whether what the scorer said of the name was known from an earlier question.
    pub fn knew_score(&self) -> bool {
        self.score_known
    }

    /// Runs the cascade from its start.
    pub fn run(&mut self, world: &mut World<'_>) -> Next {
        let mut scored = true;
        if world.runs(Step::Special) {
            match special(&self.name, self.held.group.keep_clients_here, &world.policy.local_zones) {
                Some(Special::Answered(action, why)) => {
                    self.say(Step::Special, why);
                    let ruling = Ruling::new(action, Reason::Special, None, Wrap::None);
                    let doors = ddr::records(&self.name, &world.policy.designated);
                    return Next::Settled(self.settle(match doors {
                        Some(doors) => Ruling { action: Action::Custom, own: Own::Records(doors), ..ruling },
                        None => ruling,
                    }));
                }
                Some(Special::Unscored { why, .. }) => {
                    self.say(Step::Special, format!("{why}: never scored"));
                    scored = false;
                }
                None => self.say(Step::Special, "not special"),
            }
        }
        self.pause(world);
        let (lists, models) = self.modes;
        let said =
            format!("{} (lists {}, models {})", self.held.group.name, mode_word(lists), mode_word(models));
        self.say(Step::Group, said);
        let Some(snapshot) = world.snapshot else {
            self.passing = true;
            self.say(Step::Lists, "no snapshot in force");
            return Next::Settled(self.failed(Wrap::None));
        };
        if let ControlFlow::Break(ruling) = self.by_lists(world, snapshot) {
            return Next::Settled(self.settle(ruling));
        }
        if !scored {
            return Next::Settled(self.pass(Some(Reason::Special)));
        }
        if self.modes.1 == Mode::Off {
            return Next::Settled(self.pass(None));
        }
        if let ControlFlow::Break(ruling) = self.by_shape(world) {
            return Next::Settled(self.settle(ruling));
        }
        self.by_model(world)
    }

    /// Steps that a person, a law or a list decides.
    fn by_lists(&mut self, world: &World<'_>, snapshot: &Snapshot) -> Flow {
        if self.modes.0 == Mode::Off {
            return ControlFlow::Continue(());
        }
        let mut matches = snapshot.lookup_client(self.client);
        matches.extend(snapshot.lookup(&self.name));
        let question = Question {
            name: &self.name,
            qtype: self.qtype,
            client: self.client,
            udp: self.udp,
            now_ms: world.now_ms,
        };
        let found = Candidates::of(matches, snapshot, &self.held, world.policy, &question);
        self.passing |= found.narrowed;
        if world.runs(Step::Mandatory) {
            self.mandatory(&found)?;
        }
        if world.runs(Step::Lists) {
            self.type_stopped()?;
        }
        if world.runs(Step::Vetted) {
            self.vetted(snapshot)?;
        }
        if world.runs(Step::Unblock) {
            self.unblock(world)?;
        }
        if world.runs(Step::Lists) {
            self.schedule(world)?;
            self.listed(&found)?;
        }
        ControlFlow::Continue(())
    }

    /// A pause that holds turns enforcing into log mode.
    fn pause(&mut self, world: &World<'_>) {
        let Some(holds) = world.policy.is_paused(&self.held.group.name, world.now_ms) else { return };
        // How long a verdict is cached knows nothing of its end.
        self.passing = true;
        if holds {
            self.modes = (self.modes.0.softened(), self.modes.1.softened());
            self.say(Step::Group, "protection is paused");
        }
    }

    fn mandatory(&mut self, found: &Candidates<'_>) -> Flow {
        self.shadow(found, |role| role == Role::Mandatory);
        match found.choose(Mode::Enforce, |role| role == Role::Mandatory) {
            Some(chosen) => {
                self.say(Step::Mandatory, chosen.said());
                self.rule(found, chosen, Reason::Mandatory, Wrap::Law)
            }
            None => self.next(Step::Mandatory, "on no mandatory list"),
        }
    }

    /// Types that the group stops, whatever the name; only law goes before that.
    fn type_stopped(&mut self) -> Flow {
        let Some(action) = self.held.stops_type(self.qtype) else { return ControlFlow::Continue(()) };
        // Verdicts are cached for every type.
        self.passing = true;
        let qtype = QueryType(self.qtype);
        self.say(Step::Lists, format!("type {qtype} is stopped in this group"));
        let rule = Some(format!("type:{qtype}"));
        ControlFlow::Break(Ruling::new(action, Reason::Rule, rule, Wrap::Lists))
    }

    /// Keeps in mind what lists in log mode would have done.
    fn shadow(&mut self, found: &Candidates<'_>, of: impl Fn(Role) -> bool) {
        let Some(chosen) = found.choose(Mode::Log, of) else { return };
        let (action, _) = found.outcome(chosen);
        self.say(Step::Lists, format!("{}: that list only logs", chosen.said()));
        if action.stops() && self.shadow.is_none() {
            self.shadow = Some((action, reason_of(chosen), chosen.list.name.clone()));
        }
    }

    fn rule(&self, found: &Candidates<'_>, chosen: &Candidate<'_>, reason: Reason, wrap: Wrap) -> Flow {
        let (action, own) = found.outcome(chosen);
        let rule = Some(chosen.list.name.clone());
        ControlFlow::Break(Ruling { action, reason, rule, wrap, own })
    }

    fn vetted(&mut self, snapshot: &Snapshot) -> Flow {
        let Some(vetted) = snapshot.vetted(&self.name) else {
            return self.next(Step::Vetted, "not vetted");
        };
        let word = match vetted.decision {
            Decision::Benign => "benign",
            Decision::Malicious => "malicious",
            Decision::Honeypot => "honeypot",
        };
        let scope = if vetted.exact { "exact" } else { "suffix" };
        self.say(Step::Vetted, format!("{} ({scope}) vetted {word} by {}", vetted.name, vetted.author));
        let action = match vetted.decision {
            Decision::Benign => Action::Allow,
            Decision::Malicious => self.held.group.block_action,
            Decision::Honeypot => Action::Honeypot,
        };
        let rule = Some(format!("vetted:{}", vetted.name));
        ControlFlow::Break(Ruling::new(action, Reason::Vetted, rule, Wrap::Lists))
    }

    fn unblock(&mut self, world: &World<'_>) -> Flow {
        let group = &self.held.group.name;
        let ours = |unblock: &&Unblock| unblock.group.is_empty() || unblock.group == *group;
        let held = world.policy.unblocks.iter().filter(ours).filter(|u| self.name.is_within(&u.name));
        let mut held = held.inspect(|_| self.passing = true);
        match held.find(|unblock| unblock.until_ms > world.now_ms) {
            Some(unblock) => {
                let said = format!("{} unblocked for a while", unblock.name);
                let rule = Some(format!("unblock:{}", unblock.name));
                self.say(Step::Unblock, said);
                ControlFlow::Break(Ruling::new(Action::Allow, Reason::Unblock, rule, Wrap::Lists))
            }
            None => self.next(Step::Unblock, "not unblocked"),
        }
    }

    fn schedule(&mut self, world: &World<'_>) -> Flow {
        let named = self.held.group.schedules.iter().filter(|schedule| !schedule.name.is_empty());
        let held = named.filter(|schedule| self.name.is_within(&schedule.name));
        let mut held = held.inspect(|_| self.passing = true);
        let Some(name) = held.find(|window| window.holds(world.now_ms)).map(|window| window.name.clone())
        else {
            return ControlFlow::Continue(());
        };
        self.say(Step::Lists, format!("{name} blocked by schedule"));
        self.stop(Reason::Schedule, Some(format!("schedule:{name}")))
    }

    /// Of all rules that hold, the one that goes first ([`crate::verdict::precedence`]).
    fn listed(&mut self, found: &Candidates<'_>) -> Flow {
        self.shadow(found, Role::is_chosen);
        match found.choose(Mode::Enforce, Role::is_chosen) {
            Some(chosen) => {
                self.say(Step::Lists, chosen.said());
                self.rule(found, chosen, reason_of(chosen), Wrap::Lists)
            }
            None => self.next(Step::Lists, "on no list"),
        }
    }

    /// Steps that look at the name's shape and at what the client does under it.
    fn by_shape(&mut self, world: &mut World<'_>) -> Flow {
        if world.runs(Step::LookAlike) {
            match look_alike(&self.name, world.brands) {
                Some(found) if found.score >= LEAST_BLOCKING_P && !world.is_popular(&self.name) => {
                    let score = round_score(found.score);
                    self.score = Some(score);
                    self.line(
                        Step::LookAlike,
                        format!("looks like {} ({})", found.brand, found.how),
                        Some(score),
                    );
                    return ControlFlow::Break(
                        self.model_block(Reason::LookAlike, format!("brand:{}", found.brand)),
                    );
                }
                Some(found) => {
                    let said = format!("a little like {} ({})", found.brand, found.how);
                    self.line(Step::LookAlike, said, Some(round_score(found.score)));
                }
                None => self.say(Step::LookAlike, "looks like no brand"),
            }
        }
        if world.runs(Step::Tunnel) {
            self.tunnel(world)?;
        }
        ControlFlow::Continue(())
    }

    fn tunnel(&mut self, world: &mut World<'_>) -> Flow {
        let limit = self.held.group.tunnel_names_per_minute;
        let carried = self.held.group.tunnel_bytes_per_minute;
        let Some(registrable) = self.name.registrable_domain().filter(|r| *r != self.name.as_str()) else {
            return self.next(Step::Tunnel, "no subdomain");
        };
        let seen = world.tunnel.observe(self.client, registrable, &self.name, world.now_ms);
        let too_many = seen.names > limit;
        let too_long = seen.bytes > carried && limit < MAX_COUNT;
        let flood = seen.everybodys > FLOOD_NAMES_PER_MINUTE;
        if !(too_many || too_long || flood) || world.is_popular(&self.name) {
            return self.next(Step::Tunnel, format!("within {limit} names a minute under {registrable}"));
        }
        self.passing = true;
        if !(too_many || too_long) {
            self.flood = true;
            let most = FLOOD_NAMES_PER_MINUTE;
            let said = format!("flood: more than {most} names a minute of all clients under {registrable}");
            return self.next(Step::Tunnel, said);
        }
        let rule = format!("tunnel:{registrable}");
        self.say(
            Step::Tunnel,
            if too_many {
                format!("more than {limit} names a minute under {registrable}")
            } else {
                format!("names that carry more than {carried} bytes a minute under {registrable}")
            },
        );
        ControlFlow::Break(self.model_block(Reason::Tunnel, rule))
    }

    fn by_model(&mut self, world: &mut World<'_>) -> Next {
        let (Some(model), true) = (world.model, world.runs(Step::Model)) else {
            self.say(Step::Model, "no model in the filter");
            return Next::Settled(self.pass(None));
        };
        let thresholds = model.thresholds();
        let id = model.id().to_owned();
        let p = world.small_p(self.name.as_str()).unwrap_or_default();
        self.score = Some(p);
        let block_above = thresholds.block_above.max(LEAST_BLOCKING_P);
        let between = format!("allow below {:.5}, block from {block_above:.5}", thresholds.allow_below);
        self.line(Step::Model, format!("{id}: {between}"), Some(p));
        self.model = Some(id);
        if p < thresholds.allow_below {
            return Next::Settled(self.pass(Some(Reason::Model)));
        }
        if p >= block_above {
            return Next::Settled(self.block_unless_popular(world, Reason::Model));
        }
        if world.scorer && world.runs(Step::Scorer) {
            if let Some((result, model)) = world.known_score(self.name.as_str()) {
                self.score_known = true;
                self.say(Step::Budget, WITHIN_BUDGET);
                return Next::Settled(self.scored(world, Scored::Result(result, model)));
            }
            if !self.flood && (!world.runs(Step::Budget) || self.within_budget(world)) {
                self.say(Step::Budget, WITHIN_BUDGET);
                return Next::AskScorer;
            }
            return Next::Settled(self.by_budget(world, block_above));
        }
        self.say(Step::Scorer, "no scorer");
        Next::Settled(self.unsettled())
    }

    fn within_budget(&self, world: &mut World<'_>) -> bool {
        let registrable = self.name.registrable_domain().unwrap_or(self.name.as_str());
        world.budgets.take(self.client, registrable, world.now_ms)
    }

    /// The registrable domain's own score decides.
    fn by_budget(&mut self, world: &mut World<'_>, block_above: f64) -> Verdict {
        self.passing = true;
        let registrable = self.name.registrable_domain().unwrap_or(self.name.as_str()).to_owned();
        let p = world.small_p(&registrable).unwrap_or_default();
        self.score = Some(p);
        let why = if self.flood { "no callout in a flood" } else { "no callout left in the budget" };
        self.line(Step::Budget, format!("{why}: {registrable} decides"), Some(p));
        if p >= block_above {
            return self.block_unless_popular(world, Reason::Budget);
        }
        self.pass(Some(Reason::Budget))
    }

    /// Goes on with what the scorer said.
    pub fn scored(&mut self, world: &World<'_>, scored: Scored) -> Verdict {
        let (result, model) = match scored {
            Scored::Result(result, model) => (result, model),
            Scored::Failed(why) => {
                self.passing = true;
                self.say(Step::Scorer, format!("scorer gave no score: {why}"));
                return self.failed(Wrap::Models);
            }
        };
        let p = round_score(result.p.or(result.score).unwrap_or_default());
        let class = result.class.as_deref().unwrap_or("uncertain");
        self.score = Some(p);
        self.line(Step::Scorer, format!("{model}: {class}"), Some(p));
        self.model = Some(model);
        let any = !world.runs(Step::Confidence);
        match class {
            "malicious" if any || p >= LEAST_BLOCKING_P => self.block_unless_popular(world, Reason::Model),
            "benign" if any || 1.0 - p >= LEAST_CONFIDENCE => self.pass(Some(Reason::Model)),
            _ => self.unsettled(),
        }
    }

    fn block_unless_popular(&mut self, world: &World<'_>, reason: Reason) -> Verdict {
        if world.runs(Step::Popular) {
            let lists = world.popularity(&self.name);
            if lists >= world.policy.popular_lists {
                self.say(Step::Popular, format!("in {lists} popularity lists: a model may not block it"));
                return self.pass(Some(Reason::Popular));
            }
            self.say(Step::Popular, "not popular");
        }
        let rule = self.model.clone().unwrap_or_default();
        let ruling = self.model_block(reason, rule);
        self.settle(ruling)
    }

    /// Allowed, and put before a person.
    fn unsettled(&mut self) -> Verdict {
        self.say(Step::Confidence, "not settled: allowed and queued for vetting");
        self.pass(Some(Reason::NotConfident))
    }

    /// A remote part is away: the failure mode decides, within the mode of what it was asked for.
    fn failed(&mut self, wrap: Wrap) -> Verdict {
        let action = match self.held.group.failure_mode {
            FailureMode::Allow => Action::Allow,
            FailureMode::Deny => Action::Refused,
        };
        self.settle(Ruling::new(action, Reason::Failure, None, wrap))
    }

    /// Allowed.
    fn pass(&mut self, reason: Option<Reason>) -> Verdict {
        if let Some(last) = self.trace.last_mut() {
            last.decided = true;
        }
        let Some((action, because, rule)) = self.shadow.take() else {
            return self.verdict(Action::Allow, None, reason, None);
        };
        self.say(Step::Mode, format!("{rule} only logs: allowed, would be {}", action.as_str()));
        let mut verdict = self.verdict(Action::Allow, Some(action), Some(because), Some(rule));
        verdict.reasons.extend(reason);
        verdict
    }

    fn stop(&self, reason: Reason, rule: Option<String>) -> Flow {
        let action = self.held.group.block_action;
        ControlFlow::Break(Ruling::new(action, reason, rule, Wrap::Lists))
    }

    fn model_block(&self, reason: Reason, rule: String) -> Ruling {
        Ruling::new(self.held.group.block_action, reason, Some(rule), Wrap::Models)
    }

    /// The group's mode has the last word on a ruling.
    fn settle(&mut self, ruling: Ruling) -> Verdict {
        if let Some(last) = self.trace.last_mut() {
            last.decided = true;
        }
        let mode = match ruling.wrap {
            _ if !self.wrapped => Mode::Enforce,
            Wrap::None => Mode::Enforce,
            Wrap::Law => self.held.group.lists,
            Wrap::Lists => self.modes.0,
            Wrap::Models => self.modes.1,
        };
        if mode == Mode::Enforce || !ruling.action.stops() {
            let mut verdict = self.verdict(ruling.action, None, Some(ruling.reason), ruling.rule);
            verdict.own = ruling.own;
            return verdict;
        }
        self.say(Step::Mode, format!("log mode: allowed, would be {}", ruling.action.as_str()));
        self.verdict(Action::Allow, Some(ruling.action), Some(ruling.reason), ruling.rule)
    }

    fn verdict(
        &mut self,
        action: Action,
        would: Option<Action>,
        reason: Option<Reason>,
        rule: Option<String>,
    ) -> Verdict {
        let ttl_s = match action {
            Action::Honeypot => self.held.group.honeypot_ttl_s,
            _ => self.held.group.block_ttl_s,
        };
        Verdict {
            action,
            would,
            reasons: reason.into_iter().collect(),
            rule,
            score: self.score,
            model: self.model.clone(),
            group: self.held.group.name.clone(),
            snapshot: self.snapshot.clone(),
            ttl_s,
            trace: std::mem::take(&mut self.trace),
            own: Own::default(),
        }
    }

    fn next(&mut self, step: Step, said: impl Into<Cow<'static, str>>) -> Flow {
        self.say(step, said);
        ControlFlow::Continue(())
    }

    fn say(&mut self, step: Step, said: impl Into<Cow<'static, str>>) {
        self.line(step, said, None);
    }

    fn line(&mut self, step: Step, said: impl Into<Cow<'static, str>>, score: Option<f64>) {
        let said = said.into();
        self.trace.push(TraceLine { step, said, decided: false, score });
    }
}

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Off => "off",
        Mode::Log => "log",
        Mode::Enforce => "enforce",
    }
}

fn reason_of(chosen: &Candidate<'_>) -> Reason {
    match chosen.does {
        _ if chosen.list.own => Reason::Rule,
        Does::Allow => Reason::Allowlist,
        _ => Reason::List,
    }
}
