//! `cargo xtask up`: the whole line on this machine, asked at every door.
//!
//! ```text
//! build ─► scorer ─► dnsvet serve ─► Envoy ─► decisions ─► questions ─► table ─► Ctrl-C
//! ```

mod api;
pub mod ask;
mod names;
mod table;

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::child::Child;
use crate::error::Error;
use crate::line::{Options, Ports, first_password};
use crate::wasm::Plugin;
use crate::{build, shell, system, ui, wasm, workspace};
use api::Api;
use ask::{Answer, Door};
use names::{Case, Demo};
use table::Table;

/// How long a decision or an event may take to arrive.
const ARRIVES: Duration = Duration::from_secs(10);

/// Start everything, show what it does, stay up until Ctrl-C.
#[derive(clap::Args)]
pub struct Args {
    /// Stop after the demonstration: exit code 0, or 1 if any answer is wrong.
    #[arg(long)]
    once: bool,
    /// Leave Envoy out.
    #[arg(long)]
    no_envoy: bool,
    /// Build and run optimised binaries.
    #[arg(long)]
    release: bool,
    /// Keep the data of an earlier `up` in this folder; without it a fresh one is made each time.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let plugin = prepare(args)?;
    let folder = match &args.data_dir {
        Some(dir) => std::path::absolute(dir).map_err(Error::file(dir))?,
        None => fresh_folder()?,
    };
    let options = options(args, &folder);
    let taken = options.ports.taken();
    if !taken.is_empty() {
        let line =
            |(port, what): &(u16, &str)| format!("port {port} ({what}) is in use; stop what listens there");
        return Err(Error::Found(taken.iter().map(line).collect()));
    }
    let line = Running::start(args, options)?;
    line.check_plugin(&plugin)?;
    let right = line.demonstrate()?;
    if args.once {
        return Ok(if right { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    line.stay()
}

fn prepare(args: &Args) -> Result<Plugin, Error> {
    ui::build(true)?;
    let plugin = wasm::build(false)?;
    shell::show(&mut build::binaries(args.release))?;
    println!("plugin     {} ({} bytes)", plugin.path.display(), plugin.bytes);
    Ok(plugin)
}

fn fresh_folder() -> Result<PathBuf, Error> {
    let folder = workspace::target().join("up");
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(Error::file(&folder))?;
    }
    Ok(folder)
}

fn options(args: &Args, folder: &Path) -> Options {
    let mut options = Options::new(folder, Ports::DEFAULT);
    options.release = args.release;
    // Models install in log mode; here they are to be seen at work.
    options.serve_flags = vec!["--mode-models".into(), "enforce".into()];
    options
}

/// The processes, and how to reach them.
struct Running {
    options: Options,
    api: Api,
    scorer: Child,
    serve: Child,
    envoy: Option<Child>,
}

impl Running {
    fn start(args: &Args, mut options: Options) -> Result<Self, Error> {
        let ports = options.ports;
        if upstream_answers() {
            println!("upstream   the system's");
        } else {
            println!("upstream   none answers here: allowed names get addresses of a demonstration zone");
            options.serve_flags.extend(["--upstreams".into(), "demo".into()]);
        }
        let scorer = options.start_scorer()?;
        println!("scorer     http://127.0.0.1:{}", ports.scorer);
        let serve = options.start_serve()?;
        println!("resolver   127.0.0.1:{} (UDP, TCP), https://127.0.0.1:{}/dns-query", ports.dns, ports.doh);
        let password = password(&options.folder, &serve)?;
        println!("dashboard  http://127.0.0.1:{}/  user admin, password {password}", ports.api);
        let envoy = match (args.no_envoy, system::envoy()) {
            (true, _) => None,
            (false, Ok(envoy)) => Some(envoy),
            (false, Err(Error::Missing { what, remedy })) => {
                println!("envoy      left out: {what}; {remedy}");
                None
            }
            (false, Err(error)) => return Err(error),
        };
        let envoy = envoy.map(|envoy| options.start_envoy(&envoy)).transpose()?;
        if envoy.is_some() {
            println!("envoy      https://127.0.0.1:{}/dns-query", ports.envoy);
        }
        let api = Api::login(ports.api, &password, &options.folder)?;
        Ok(Self { options, api, scorer, serve, envoy })
    }

    fn doors(&self) -> &'static [Door] {
        const ALL: [Door; 4] = [Door::Udp, Door::Tcp, Door::Doh, Door::Envoy];
        if self.envoy.is_some() { &ALL } else { &ALL[..3] }
    }

    /// Both runtimes must run the bytes that were built: the resolver says the hash of what it compiled; Envoy says
    /// which file it read.
    fn check_plugin(&self, plugin: &Plugin) -> Result<(), Error> {
        let mut found = Vec::new();
        if !self.serve.printed().contains(&plugin.sha256) {
            found.push(format!("the resolver does not run the plugin {}", plugin.sha256));
        }
        if self.envoy.is_some() {
            let dump = format!("http://127.0.0.1:{}/config_dump?mask=", self.options.ports.envoy_admin);
            let dump =
                shell::output(Command::new("curl").args(["--silent", "--fail", "--max-time", "5", &dump]))?;
            let read = dump.contains(&plugin.path.display().to_string());
            if !read || wasm::describe(&plugin.path)?.sha256 != plugin.sha256 {
                found.push(format!("Envoy does not run the plugin {}", plugin.sha256));
            }
        }
        if found.is_empty() {
            println!("plugin     sha256 {} in every runtime", plugin.sha256);
            return Ok(());
        }
        Err(Error::Found(found))
    }

    /// Decides, asks, prints the table; returns whether every answer was right.
    fn demonstrate(&self) -> Result<bool, Error> {
        let demo = names::choose(&self.options)?;
        self.decide(&demo)?;
        let mut table =
            Table::new(&["what", "name", "door", "answer", "verdict", "reason", "score", "model", "time"]);
        let mut wrong = Vec::new();
        for case in &demo.cases {
            for door in self.doors() {
                let (answer, times) = self.ask_until_right(*door, case);
                let event = self.event(*door, &case.name, times)?;
                if !is_right(case, answer.as_ref(), &event) {
                    wrong.push(format!("{} at {}: expected {}", case.name, door.name(), case.action));
                }
                table.row(cells(case, *door, answer.as_ref(), &event));
            }
        }
        println!("\n{}\n", table.render());
        if wrong.is_empty() {
            println!("every answer is right");
        } else {
            println!("wrong answers:\n{}", wrong.join("\n"));
        }
        Ok(wrong.is_empty())
    }

    fn decide(&self, demo: &Demo) -> Result<(), Error> {
        for seed in &demo.seeds {
            let mut command = Command::new(workspace::binary("dnsvet", self.options.release));
            command.args(["vet", &seed.name, seed.decision]).env("DNSVET_DATA_DIR", self.options.data_dir());
            shell::output(&mut command)?;
        }
        Ok(())
    }

    /// Asks once more while a runtime still fetches its first snapshot or a decision; tells how often it asked.
    fn ask_until_right(&self, door: Door, case: &Case) -> (Option<Answer>, usize) {
        let start = Instant::now();
        let mut times = 0;
        loop {
            times += 1;
            let answer = ask::ask(door, &self.options.ports, &case.name);
            if answer.as_ref().is_some_and(|answer| answer_fits(case, answer)) || start.elapsed() > ARRIVES {
                return (answer, times);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The newest stored event of a question that was asked so many times; `Null` if not all arrive.
    fn event(&self, door: Door, name: &str, times: usize) -> Result<Value, Error> {
        let start = Instant::now();
        loop {
            let page = self.api.get(&format!("/api/v1/queries?limit=100&name={name}"))?;
            let items = page["items"].as_array().into_iter().flatten();
            let mut own = items.filter(|item| item["door"] == door.name() && item["name"] == name);
            match (own.next(), own.count() + 1) {
                (Some(newest), stored) if stored >= times => return Ok(newest.clone()),
                _ if start.elapsed() > ARRIVES => return Ok(Value::Null),
                _ => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Until Ctrl-C, or until a process ends by itself.
    fn stay(self) -> Result<ExitCode, Error> {
        println!("\nCtrl-C stops everything; logs and data are in {}", self.options.folder.display());
        loop {
            std::thread::sleep(Duration::from_millis(500));
            for child in [&self.scorer, &self.serve].into_iter().chain(&self.envoy) {
                // Only a program that has ended makes this fail.
                child.wait_until(Duration::MAX, || child.alive())?;
            }
        }
    }
}

/// The password of the first start, kept for a later `up` on the same folder.
fn password(folder: &Path, serve: &Child) -> Result<String, Error> {
    let kept = folder.join("password");
    if let Some(password) = first_password(&serve.printed()) {
        fs::write(&kept, &password).map_err(Error::file(&kept))?;
        return Ok(password);
    }
    fs::read_to_string(&kept).map_err(Error::file(&kept))
}

/// Whether one of the system's resolvers knows a name that exists everywhere.
fn upstream_answers() -> bool {
    let text = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers =
        text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse::<IpAddr>().ok());
    let Some(question) = ask::question("example.com") else { return false };
    servers.take(3).any(|server| {
        let answer = ask::udp(SocketAddr::from((server, 53)), &question, Duration::from_secs(1));
        answer.and_then(|wire| ask::read(&wire)).is_some_and(|answer| !answer.addresses.is_empty())
    })
}

/// Whether an answer is what the action says, as far as it can be seen from outside.
fn answer_fits(case: &Case, answer: &Answer) -> bool {
    match case.action.as_str() {
        // The upstream has the say; but no answer of ours.
        "allow" => answer.ede.is_none() && matches!(answer.rcode, 0 | 3),
        "honeypot" => answer.rcode == 0 && !answer.addresses.is_empty() && answer.ede == Some(4),
        _ => answer.rcode == 3 && answer.ede == Some(15),
    }
}

fn is_right(case: &Case, answer: Option<&Answer>, event: &Value) -> bool {
    answer.is_some_and(|answer| answer_fits(case, answer))
        && event["verdict"]["action"] == case.action.as_str()
}

fn cells(case: &Case, door: Door, answer: Option<&Answer>, event: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let score = event["score"].as_f64().map_or("-".to_owned(), |score| format!("{score:.5}"));
    let time = event["took_us"].as_u64().map_or("-".to_owned(), |us| format!("{:.2} ms", us as f64 / 1e3));
    vec![
        case.what.to_owned(),
        case.name.clone(),
        door.name().to_owned(),
        answer.map_or("no answer".to_owned(), Answer::to_string),
        text(&event["verdict"]["action"]),
        text(&event["verdict"]["reasons"][0]),
        score,
        text(&event["verdict"]["model"]),
        time,
    ]
}
