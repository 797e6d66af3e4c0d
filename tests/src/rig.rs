//! A rig: one line with its upstream, in a folder of its own, on ports of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use xtask::child::Child;
use xtask::error::Error;
use xtask::line::{Options, Ports, first_password};
use xtask::{shell, system, workspace};

use crate::api::{Api, metric_of};
use crate::client::Client;
use crate::upstream::Upstream;

/// Worker threads of the resolver; each has a VM.
pub const WORKERS: usize = 2;
/// Worker threads of Envoy, as the line starts it; the main thread has a VM too.
const ENVOY_VMS: f64 = 3.0;

/// What a rig is made of.
pub struct Plan {
    /// Folder under `target/tmp`.
    pub name: &'static str,
    /// Names of the blocklist; all below them is blocked too.
    pub blocked: Vec<String>,
    /// Whether the scorer runs.
    pub scorer: bool,
    /// Whether Envoy runs.
    pub envoy: bool,
    /// Another plugin than the real one.
    pub plugin: Option<PathBuf>,
    /// Lines of the group's table in `dnsvet.toml`.
    pub group: String,
    /// Keys at the top of `dnsvet.toml`.
    pub keys: String,
    /// The group's mode of models.
    pub models: &'static str,
    /// Port of DNS over UDP and TCP; any free one if not said.
    pub dns_port: Option<u16>,
    /// Further lines of the upstream's `server:` section.
    pub upstream: String,
    /// Whether the binaries of `--release` run.
    pub release: bool,
}

impl Plan {
    /// Everything runs, nothing is listed.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            blocked: Vec::new(),
            scorer: true,
            envoy: true,
            plugin: None,
            group: String::new(),
            keys: String::new(),
            models: "enforce",
            dns_port: None,
            upstream: String::new(),
            release: false,
        }
    }
}

/// A running line.
pub struct Rig {
    /// How it was started; parts are started again by it.
    pub options: Options,
    /// The upstream.
    pub upstream: Upstream,
    /// The scorer, while it runs.
    pub scorer: Option<Child>,
    /// Resolver and control plane, while they run.
    pub serve: Option<Child>,
    /// Envoy, while it runs.
    pub envoy: Option<Child>,
    password: String,
}

impl Rig {
    /// Starts everything and waits until it is ready.
    ///
    /// # Panics
    /// If something does not start; the end of its log is in the message.
    pub fn start(plan: Plan) -> Self {
        Self::try_start(plan).unwrap_or_else(|error| panic!("{error}"))
    }

    fn try_start(plan: Plan) -> Result<Self, Error> {
        let folder = workspace::target().join("tmp").join(plan.name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        let upstream = Upstream::start(&folder.join("upstream"), &plan.upstream)?;

        let list = folder.join("blocked.txt");
        fs::write(&list, plan.blocked.join("\n") + "\n").map_err(Error::file(&list))?;
        let config = folder.join("dnsvet.toml");
        fs::write(&config, configuration(&plan, &upstream, &list)).map_err(Error::file(&config))?;

        let mut ports = Ports::free()?;
        ports.dns = plan.dns_port.unwrap_or(ports.dns);
        let mut options = Options::new(&folder, ports);
        options.serve_flags = vec!["--config".into(), config.display().to_string()];
        options.release = plan.release;
        if let Some(plugin) = plan.plugin {
            options.plugin = plugin;
        }
        let scorer = if plan.scorer { Some(options.start_scorer()?) } else { None };
        let serve = options.start_serve()?;
        let password = first_password(&serve.printed()).unwrap_or_default();
        let mut rig = Self { options, upstream, scorer, serve: Some(serve), envoy: None, password };
        if plan.envoy {
            rig.start_envoy()?;
        }
        Ok(rig)
    }

    /// Starts Envoy, and waits until each of its VMs has a snapshot (the real plugin only).
    pub fn start_envoy(&mut self) -> Result<(), Error> {
        let envoy = system::envoy()?;
        self.envoy = Some(self.options.start_envoy(&envoy)?);
        if self.options.plugin == workspace::plugin() {
            let loaded = || self.envoy_metric("dnsvet_filter_snapshots_loaded_total") >= ENVOY_VMS;
            if let Some(envoy) = &self.envoy {
                envoy.wait_until(Duration::from_secs(30), loaded)?;
            }
        }
        Ok(())
    }

    /// The first user's password.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Where `serve` keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.options.data_dir()
    }

    /// A client for its doors.
    pub fn client(&self) -> Client {
        Client::new(self.options.ports, &self.data_dir().join("doh-cert.pem"))
    }

    /// Its API, logged in.
    pub fn api(&self) -> Api {
        Api::login(self.options.ports.api, &self.password)
    }

    /// `dnsvet ARGUMENTS`, its standard output.
    ///
    /// # Panics
    /// If it fails.
    pub fn dnsvet(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(workspace::binary("dnsvet", false));
        command.args(arguments).env("DNSVET_DATA_DIR", self.data_dir());
        shell::output(&mut command).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What `dnsvet check --json` says of names, decided natively with the snapshot in force and the scorer.
    pub fn check(&self, names: &[String]) -> Vec<Value> {
        let scorer = format!("http://127.0.0.1:{}", self.options.ports.scorer);
        let mut items = Vec::new();
        for chunk in names.chunks(1_000) {
            let mut arguments = vec!["check", "--json", "--mode", "policy"];
            if self.scorer.is_some() {
                arguments.extend(["--scorer", &scorer]);
            }
            arguments.extend(chunk.iter().map(String::as_str));
            let lines = self.dnsvet(&arguments);
            items.extend(
                lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON")),
            );
        }
        assert_eq!(items.len(), names.len());
        items
    }

    /// A metric of Envoy's plugin, its VMs summed.
    pub fn envoy_metric(&self, name: &str) -> f64 {
        let text = get(self.options.ports.envoy_admin, "/stats/prometheus").unwrap_or_default();
        metric_of(&text, name)
            + metric_of(&text, &format!("envoy_{name}"))
            + metric_of(&text, &format!("envoy_wasmcustom_{name}"))
    }

    /// A metric of the scorer.
    pub fn scorer_metric(&self, name: &str) -> f64 {
        metric_of(&get(self.options.ports.scorer, "/metrics").unwrap_or_default(), name)
    }
}

fn configuration(plan: &Plan, upstream: &Upstream, list: &Path) -> String {
    format!(
        "upstreams = [\"{upstream}\"]
lists = [\"block:plain:{list}\"]
client_addresses = \"plain\"
workers = {WORKERS}
{keys}
[mode]
models = \"enforce\"

[[groups]]
name = \"default\"
models = \"{models}\"
client_callouts_per_s = 1000000
tunnel_names_per_minute = 1000000
{group}
",
        upstream = upstream.address(),
        list = list.display(),
        keys = plan.keys.replace("{upstream}", &upstream.address()),
        models = plan.models,
        group = plan.group,
    )
}

/// One `GET` on loopback; the body.
fn get(port: u16, path: &str) -> Option<String> {
    let url = format!("http://127.0.0.1:{port}{path}");
    shell::output(Command::new("curl").args(["--silent", "--fail", "--max-time", "5", &url])).ok()
}

/// Waits until `holds`, at most `limit`; returns how long it took.
pub fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    while start.elapsed() <= limit {
        if holds() {
            return Some(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    None
}
