//! `dnsvet check`: the verdict of names with the full trace, decided here by the same code as in the plugin.

mod live;

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::ValueEnum;
use dnsvet_core::event::Event;
use dnsvet_core::filter::{Asked, ConfigError, Filter, Outcome, Ticket};
use dnsvet_core::host::{Callout, CalloutId, Counter, Host, Level, NotStarted, Peer, Reply};
use dnsvet_core::lists::{Conditions, Effect};
use dnsvet_core::message::rtype;
use dnsvet_core::name::Name;
use dnsvet_core::policy::Mode;
use dnsvet_core::policy::identity::Identity;
use dnsvet_core::schema::{Attribution, PluginConfig, ScoreReply, ScoreRequest};
use dnsvet_core::snapshot::{Change, Role, Snapshot, SnapshotError};
use dnsvet_core::verdict::{Action, Reason, Step, TraceLine, Verdict};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde_json::json;

use crate::bundled;
use crate::config::Config;
use crate::control::SNAPSHOT_FILE;
use crate::explain::{Index, Place};
use crate::lists::{self, OpenError};
use crate::upstream::exchange::{self, ExchangeError, Outgoing};
use crate::upstream::message::question_end;
use crate::upstream::system::name_server;

pub use live::live;

/// How long a name server may take, over UDP and over TCP each.
const RESOLVE_LIMIT: Duration = Duration::from_secs(3);
/// The longest reply that is read from a scorer, bytes.
const MAX_REPLY_BYTES: usize = 1 << 20;

/// Say what would be answered to names, and why; no server is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet check example.com paypa1-login.com
  dnsvet check --json --client 10.0.0.7 example.com
  dnsvet check --snapshot lists.dvs --mode log example.com
  dnsvet check --scorer http://127.0.0.1:8600 xkcjqwz.biz
  dnsvet check --resolve 192.0.2.53 www.example.com    look at what it is an alias of, too")]
pub struct Args {
    /// Names to check, as people write them: any case, U-labels or A-labels.
    #[arg(required = true)]
    names: Vec<String>,
    /// The client that asks.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    client: IpAddr,
    /// Snapshot to decide with, else that of the data folder, else the bundled one.
    #[arg(long, value_name = "F.dvs")]
    snapshot: Option<PathBuf>,
    /// The data folder of a running or former `dnsvet serve` [default: the configuration's].
    #[arg(long, value_name = "DIR", env = "DNSVET_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// What models, look-alikes and tunnels may do.
    #[arg(long, value_enum, default_value = "enforce")]
    mode: ModeArg,
    /// Base URL of a scorer for names that the small model can't settle.
    #[arg(long, value_name = "URL")]
    scorer: Option<http::Uri>,
    /// Ask this name server for names that would pass, and decide on the answer too: aliases and addresses.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server)]
    resolve: Option<SocketAddr>,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

fn server(text: &str) -> Result<SocketAddr, &'static str> {
    name_server(text).ok_or("write 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53")
}

/// A rule of a list that a question sets off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The list's name.
    pub list: String,
    /// What the list is for.
    pub role: Role,
    /// What the list may do.
    pub mode: Mode,
    /// SPDX expression of the list's licence; empty if not known.
    pub licence: String,
    /// What set it off: the listed suffix and its scope, a pattern, the client's network.
    pub by: String,
    /// What it does.
    pub effect: Effect,
    /// What narrows it; whether it holds is not said here.
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    pub conditions: Conditions,
    /// Where it stands in the list; nowhere where lists were not compiled on this machine.
    pub places: Vec<Place>,
}

/// The verdict if the list that decided were off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Without {
    /// That list.
    pub rule: String,
    /// What would be answered.
    pub action: Action,
    /// Why, most important first.
    pub reasons: Vec<Reason>,
    /// The list or rule that would decide then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ModeArg {
    /// As the snapshot's policy says.
    Policy,
    /// They decide.
    Enforce,
    /// They are written down only.
    Log,
}

/// Why a check failed.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A snapshot can't be used.
    #[error(transparent)]
    Snapshot(#[from] OpenError),
    /// The configuration that would say where the data folder is.
    #[error(transparent)]
    Configuration(#[from] crate::config::ConfigError),
    /// Whether the data folder has a snapshot can't be seen.
    #[error("{}: {source}; run as the user of `dnsvet serve`, or name a snapshot with --snapshot", path.display())]
    Folder {
        /// The snapshot that was looked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bundled lists can't be compiled.
    #[error("the bundled lists: {0}; this build is damaged, build it again")]
    Bundled(#[from] lists::CompileError),
    /// What was compiled from the bundled lists does not open.
    #[error("the bundled snapshot: {0}; this is a fault of dnsvet, please report it")]
    Opened(#[from] SnapshotError),
    /// The filter refuses its configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The runtime can't start, or output can't be written.
    #[error("{0}")]
    System(#[from] std::io::Error),
}

/// Runs the command.
pub fn run(args: Args) -> Result<ExitCode, CheckError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(check_all(args))
}

async fn check_all(args: Args) -> Result<ExitCode, CheckError> {
    let data_dir = match args.data_dir {
        Some(folder) => folder,
        None => Config::load(None, std::env::vars_os(), &[])?.data_dir,
    };
    let snapshot = open(args.snapshot.as_deref(), Some(data_dir.clone()))?;
    let mode = match args.mode {
        ModeArg::Policy => None,
        ModeArg::Enforce => Some(Mode::Enforce),
        ModeArg::Log => Some(Mode::Log),
    };
    let mut checker = Checker::new(snapshot, args.scorer, mode)?;
    if args.snapshot.is_none() {
        checker = checker.with_index(&data_dir);
    }
    checker.resolver = args.resolve;
    let mut out = std::io::stdout().lock();
    let mut code = ExitCode::SUCCESS;
    for text in &args.names {
        let name = match Name::parse(text) {
            Ok(_) if text.is_empty() => {
                eprintln!("dnsvet: an empty name; the root is `.`");
                code = ExitCode::from(2);
                continue;
            }
            Ok(name) => name,
            Err(error) => {
                eprintln!("dnsvet: {text:?} is no name: {error}");
                code = ExitCode::from(2);
                continue;
            }
        };
        let Some(event) = checker.check(&name, args.client).await else { continue };
        let matches = checker.matches(&name, args.client);
        let without = checker.without(&event, &name, args.client).await;
        let attribution = checker.attribution(name.as_str(), &event.verdict).await;
        if args.json {
            writeln!(out, "{}", report(&event, &matches, without.as_ref(), attribution.as_ref()))?;
        } else {
            let characters = attribution.as_ref().map(describe_attribution).unwrap_or_default();
            let listed = describe_matches(&matches, without.as_ref());
            write!(out, "{}{characters}{listed}", describe(&event))?;
        }
    }
    Ok(code)
}

/// The snapshot to decide with; a line on standard error if it is the bundled one.
pub(super) fn open(given: Option<&Path>, data_dir: Option<PathBuf>) -> Result<Snapshot, CheckError> {
    if let Some(path) = given {
        return Ok(lists::open_snapshot(path)?);
    }
    let data_dir = match data_dir {
        Some(folder) => folder,
        None => Config::load(None, std::env::vars_os(), &[])?.data_dir,
    };
    let kept = data_dir.join(SNAPSHOT_FILE);
    match kept.try_exists() {
        Err(source) => Err(CheckError::Folder { path: kept, source }),
        Ok(true) => Ok(lists::open_snapshot(&kept)?),
        Ok(false) => {
            eprintln!("dnsvet: no snapshot in {}; the bundled lists decide", data_dir.display());
            let small_model = dnsvet_models::registry::Registry::bundled()
                .get("small")
                .ok()
                .and_then(|small| small.dvm.map(|dvm| dvm.into_owned()));
            let options = bundled::Options { small_model, ..bundled::Options::default() };
            Ok(Snapshot::open(bundled::snapshot(&options)?.into(), &[])?)
        }
    }
}

/// Decides names natively, as the plugin would.
pub struct Checker {
    filter: Filter,
    /// Where entries of lists stand; none for a snapshot that was not compiled here.
    index: Option<Index>,
    /// What replaces the policy's mode for models.
    models: Option<Mode>,
    scorer: Option<http::Uri>,
    /// Who is asked for names that pass.
    resolver: Option<SocketAddr>,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Checker {
    /// Decides with `snapshot`; `scorer` is asked where the small model can't settle a name; `models` replaces
    /// the policy's mode for models.
    pub fn new(
        snapshot: Snapshot,
        scorer: Option<http::Uri>,
        models: Option<Mode>,
    ) -> Result<Self, ConfigError> {
        let config = PluginConfig {
            node: "check".into(),
            scorer_cluster: if scorer.is_some() { "scorer".into() } else { String::new() },
            ..PluginConfig::default()
        };
        let mut filter = Filter::new(&serde_json::to_vec(&config)?, "check".into())?;
        filter.set_snapshot(snapshot)?;
        if let Some(mode) = models {
            filter.set_models_mode(mode);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { filter, index: None, models, scorer, resolver: None, client })
    }

    /// Says list, line and text of what is listed, from the index that lies beside the snapshot.
    pub fn with_index(mut self, data_dir: &Path) -> Self {
        self.index = Index::open(data_dir).ok();
        self
    }

    /// Every rule of a list that a name, or its client, sets off: those that do not decide too.
    pub fn matches(&self, name: &Name, client: IpAddr) -> Vec<Found> {
        let Some(snapshot) = self.filter.snapshot() else { return Vec::new() };
        let mut found = snapshot.lookup_client(client);
        found.extend(snapshot.lookup(name));
        let described = found.into_iter().filter_map(|found| {
            let list = snapshot.lists().get(usize::from(found.list))?;
            let places = self.index.as_ref().map(|index| index.find(&found.by.key())).unwrap_or_default();
            Some(Found {
                list: list.name.clone(),
                role: list.role,
                mode: list.mode,
                licence: list.licence.clone(),
                by: found.by.to_string(),
                effect: found.effect.clone(),
                conditions: found.conditions.clone(),
                places: places.into_iter().filter(|place| place.list == list.name).collect(),
            })
        });
        described.collect()
    }

    /// Decides `name` asked by `client` with type A, as if it were the client's first question: names that were
    /// checked before make no tunnel of this one. `None` if the filter recorded nothing.
    pub async fn check(&mut self, name: &Name, client: IpAddr) -> Option<Event> {
        self.filter.forget_clients();
        let wire = question(name);
        let ticket = Ticket(1);
        let mut host = Native::default();
        let identity = &Identity::default();
        let asked = Asked { wire: &wire, client, identity, door: "check" };
        let mut outcome = self.filter.ask(&mut host, ticket, asked);
        while outcome == Outcome::Wait {
            let Some((id, callout)) = host.callouts.pop() else { break };
            let reply = self.call(callout).await;
            let settled = self.filter.on_reply(&mut host, id, &reply);
            outcome = settled.into_iter().next().map_or(Outcome::Pass, |(_, outcome)| outcome);
        }
        let mut unresolved = None;
        if let Some(resolver) = self.resolver
            && let Outcome::Pass | Outcome::PassAs(_) = outcome
        {
            let asked = if let Outcome::PassAs(wire) = &outcome { wire } else { &wire };
            match resolve(resolver, asked).await {
                Ok(answer) => drop(self.filter.answered(&mut host, ticket, &answer)),
                Err(error) => {
                    unresolved =
                        Some(format!("{resolver} does not answer ({error}); nothing is said of its answer"))
                }
            }
        }
        self.filter.end(&mut host, ticket);
        let mut event = self.filter.spool().take()?;
        let line = unresolved.map(|said| TraceLine {
            step: Step::Response,
            said: said.into(),
            decided: false,
            score: None,
        });
        event.verdict.trace.extend(line);
        Some(event)
    }

    /// What would be said if the list that decided were off; `None` if no list did.
    pub async fn without(&self, event: &Event, name: &Name, client: IpAddr) -> Option<Without> {
        let snapshot = self.filter.snapshot()?;
        let rule = event.verdict.rule.as_deref()?;
        let list = snapshot.lists().iter().position(|list| list.name == rule)?;
        let change = Change { without: vec![u16::try_from(list).ok()?], ..Change::default() };
        let mut other = Self::new(snapshot.changed(change), self.scorer.clone(), self.models).ok()?;
        other.resolver = self.resolver;
        // One that asks itself what would be without would never end.
        let event = Box::pin(other.check(name, client)).await?;
        let (rule, verdict) = (rule.to_owned(), event.verdict);
        Some(Without { rule, action: verdict.action, reasons: verdict.reasons, by: verdict.rule })
    }

    /// Which characters made the score of a verdict on a name. `None` if no model gave it, or one that is neither the
    /// filter's nor the scorer's now, or one that does not tell.
    pub async fn attribution(&self, name: &str, verdict: &Verdict) -> Option<Attribution> {
        let model = verdict.model.as_deref()?;
        if verdict.reasons.contains(&Reason::Budget) {
            // It was the registrable domain that was scored.
            return None;
        }
        if let Some(small) = self.filter.model().filter(|small| small.id() == model) {
            return Attribution::of(small, name);
        }
        let request =
            ScoreRequest { names: vec![name.to_owned()], model: Some(model.to_owned()), attribution: true };
        let callout = Callout {
            peer: Peer::Scorer,
            method: "POST",
            path: "/v1/score".into(),
            headers: vec![("content-type".into(), "application/json".into())],
            body: serde_json::to_vec(&request).ok()?,
            timeout_ms: 0,
        };
        let reply: ScoreReply = serde_json::from_slice(&self.call(callout).await.body).ok()?;
        reply.results.into_iter().next()?.attribution.map(|told| *told)
    }

    async fn call(&self, callout: Callout) -> Reply {
        let Some(base) = &self.scorer else { return Reply::nothing() };
        let uri = format!("{}{}", base.to_string().trim_end_matches('/'), callout.path);
        let mut request = http::Request::builder().method(callout.method).uri(uri);
        for (name, value) in &callout.headers {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Full::new(Bytes::from(callout.body))) else { return Reply::nothing() };
        // A person waits for this answer: the scorer gets more time than in the path of a question.
        let timeout = Duration::from_millis(u64::from(callout.timeout_ms).max(2_000));
        let Ok(Ok(response)) = tokio::time::timeout(timeout, self.client.request(request)).await else {
            return Reply::nothing();
        };
        let status = response.status().as_u16();
        match Limited::new(response.into_body(), MAX_REPLY_BYTES).collect().await {
            Ok(body) => Reply { status, headers: Vec::new(), body: body.to_bytes().to_vec() },
            Err(_) => Reply::nothing(),
        }
    }
}

/// Asks a name server the question of a message.
async fn resolve(server: SocketAddr, wire: &[u8]) -> Result<Vec<u8>, ExchangeError> {
    let question = question_end(wire).and_then(|end| wire.get(12..end)).unwrap_or_default();
    exchange::ask(server, &Outgoing::draw(question, false, false)?, RESOLVE_LIMIT).await
}

/// A query for the address of `name`.
fn question(name: &Name) -> Vec<u8> {
    const RD_ONE_QUESTION: [u8; 12] = [0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let mut wire = RD_ONE_QUESTION.to_vec();
    wire.extend(name.to_wire());
    wire.extend(rtype::A.to_be_bytes());
    wire.extend([0, 1]);
    wire
}

/// What `--json` and `/api/v1/check` print of one name.
pub fn report(
    event: &Event,
    matches: &[Found],
    without: Option<&Without>,
    attribution: Option<&Attribution>,
) -> serde_json::Value {
    let verdict = &event.verdict;
    let mut shown = json!({
        "action": verdict.action,
        "reasons": verdict.reasons,
        "rule": verdict.rule,
        "group": verdict.group,
        "snapshot": verdict.snapshot,
        "model": verdict.model,
    });
    if let (Some(would), Some(object)) = (verdict.would, shown.as_object_mut()) {
        object.insert("would".into(), json!(would));
    }
    let mut said = json!({
        "name": event.name,
        "verdict": shown,
        "score": verdict.score,
        "trace": verdict.trace,
        "matches": matches,
    });
    if let (Some(without), Some(object)) = (without, said.as_object_mut()) {
        object.insert("without".into(), json!(without));
    }
    if let (Some(attribution), Some(object)) = (attribution, said.as_object_mut()) {
        object.insert("attribution".into(), json!(attribution));
    }
    said
}

/// What lists say, one line a place: `ads:12: 0.0.0.0 ads.example`, and what would be without the one that decided.
fn describe_matches(matches: &[Found], without: Option<&Without>) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for found in matches {
        let role = found.role.as_str();
        let licence = if found.licence.is_empty() { String::new() } else { format!(", {}", found.licence) };
        let does = match &found.effect {
            Effect::Listed => "has".to_owned(),
            Effect::Allow => "excepts".to_owned(),
            Effect::Stop(action) => format!("answers {} to", action.as_str()),
            Effect::TcpOnly => "wants TCP for".to_owned(),
            Effect::Answer(_) => "rewrites".to_owned(),
        };
        let narrowed = serde_json::to_string(&found.conditions).unwrap_or_default();
        let narrowed = if found.conditions.is_empty() { String::new() } else { format!(", if {narrowed}") };
        let _ = writeln!(text, "    {} ({role}{licence}) {does} {}{narrowed}", found.list, found.by);
        for place in &found.places {
            let _ = writeln!(text, "      {}:{}: {}", place.source, place.line, place.text);
        }
    }
    if let Some(Without { rule, action, reasons, by }) = without {
        let reason = reasons.first().map_or("nothing against it", |reason| reason.as_str());
        let by = by.as_ref().map(|by| format!(", {by}")).unwrap_or_default();
        let _ = writeln!(text, "    without {rule}: {} ({reason}{by})", action.as_str());
    }
    text
}

/// The verdict as a person reads it: the sentence first, then the steps.
fn describe(event: &Event) -> String {
    use std::fmt::Write as _;
    let verdict = &event.verdict;
    let reason = verdict.reason().map_or("nothing against it", |reason| reason.as_str());
    let mut text = format!("{}: {} ({reason}", event.name, verdict.action.as_str());
    if let Some(rule) = &verdict.rule {
        let _ = write!(text, ", {rule}");
    }
    if let Some(score) = verdict.score {
        let _ = write!(text, ", score {score:.5}");
    }
    if let Some(would) = verdict.would {
        let _ = write!(text, ", would be {}", would.as_str());
    }
    text.push_str(")\n");
    for line in &verdict.trace {
        let mark = if line.decided { '*' } else { ' ' };
        let score = line.score.map(|score| format!("  [{score:.5}]")).unwrap_or_default();
        let _ = writeln!(text, "  {mark} {:<11} {}{score}", line.step.as_str(), line.said);
    }
    text
}

/// The characters that counted most: `"paypa1" +3.92` spoke for malicious, `"co" -1.20` for benign.
fn describe_attribution(attribution: &Attribution) -> String {
    let spans: Vec<String> =
        attribution.spans.iter().map(|span| format!("{:?} {:+.2}", span.text, span.logit)).collect();
    let Attribution { logit, model, .. } = attribution;
    format!("    characters  {} of logit {logit:+.2} ({model})\n", spans.join(", "))
}

/// A host that keeps callouts for the caller and drops logs and counters.
#[derive(Default)]
struct Native {
    callouts: Vec<(CalloutId, Callout)>,
    next: u32,
}

impl Host for Native {
    fn now_ms(&self) -> u64 {
        self.now_us() / 1_000
    }

    fn now_us(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }

    fn log(&mut self, _level: Level, line: &str) {
        tracing::debug!("{line}");
    }

    fn callout(&mut self, callout: Callout) -> Result<CalloutId, NotStarted> {
        self.next += 1;
        self.callouts.push((CalloutId(self.next), callout));
        Ok(CalloutId(self.next))
    }

    fn count(&mut self, _counter: Counter, _by: u64) {}
}

#[cfg(test)]
mod tests;
