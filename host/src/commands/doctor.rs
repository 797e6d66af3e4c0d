//! `dnsvet doctor`: what would stop dnsvet from working, one line each, with its remedy.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::out::say;
use crate::commands::serve::{ServeError, find_plugin};
use crate::config::{Config, ConfigError, Flags};
use crate::control::models::drift::Signal;
use crate::control::{models, socket_path};
use crate::folder;
use crate::upstream::system::name_server;
use crate::wasm::{Limits, Runtime};

/// How long a peer has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// A snapshot older than this is worth a look.
const OLD_SNAPSHOT: Duration = Duration::from_secs(7 * 86_400);

/// Check what dnsvet needs: data folder, ports, upstreams, snapshot, model, plugin, scorer.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet doctor
  dnsvet doctor --config /etc/dnsvet.toml --json")]
pub struct Args {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, with less than it could.
    Warning,
    /// Will not work.
    Bad,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it went.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do; empty if nothing.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub remedy: &'static str,
}

/// Looks at everything; exit code 1 if something will not work.
pub fn run(args: Args) -> Result<ExitCode, ConfigError> {
    let config = args.config.load()?;
    let findings = examine(&config);
    for finding in &findings {
        if args.json {
            say!("{}", serde_json::to_string(finding).unwrap_or_default());
            continue;
        }
        let word = match finding.health {
            Health::Ok => "ok     ",
            Health::Warning => "warning",
            Health::Bad => "bad    ",
        };
        let remedy = if finding.remedy.is_empty() { String::new() } else { format!("; {}", finding.remedy) };
        say!("{word}  {:<10} {}{remedy}", finding.check, finding.found);
    }
    let bad = findings.iter().any(|finding| finding.health == Health::Bad);
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All checks, in the order in which things start.
pub fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = vec![data_dir(&config.data_dir)];
    let running = std::os::unix::net::UnixStream::connect(socket_path(&config.data_dir)).is_ok();
    findings.extend(ports(config, running));
    findings.push(upstreams(config));
    findings.push(snapshot(&config.data_dir));
    findings.push(model(&config.data_dir));
    findings.push(plugin(find_plugin(&config.plugin)));
    findings.push(scorer(&config.scorer));
    findings
}

fn finding(check: &'static str, health: Health, found: impl Into<String>, remedy: &'static str) -> Finding {
    Finding { check, health, found: found.into(), remedy }
}

/// Leaves nothing behind: where the folder is not there yet, its parent must take it.
fn data_dir(path: &Path) -> Finding {
    let shown = path.display();
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let nearest = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let probe = nearest.join(".dnsvet-doctor");
    if let Err(error) = std::fs::write(&probe, b"x").and_then(|()| std::fs::remove_file(&probe)) {
        return finding(
            "data_dir",
            Health::Bad,
            format!("{}: {error}", nearest.display()),
            "make it writable for this user, or set data_dir to another folder",
        );
    }
    if nearest != absolute {
        return finding("data_dir", Health::Ok, format!("{shown}: none yet; the first start makes it"), "");
    }
    match folder::open_mode(path) {
        Ok(Some(mode)) => finding(
            "data_dir",
            Health::Warning,
            format!("{shown} is writable, but open to others (mode {mode:04o})"),
            "chmod 700 it; `dnsvet serve` does, if the folder is its user's",
        ),
        _ => finding("data_dir", Health::Ok, format!("{shown} is writable"), ""),
    }
}

fn ports(config: &Config, running: bool) -> Vec<Finding> {
    let doors = [
        ("dns", config.listen.dns, true),
        ("doh", config.listen.doh, false),
        ("forward", config.listen.forward, false),
        ("api", config.listen.api, false),
    ];
    let check = |(check, address, udp): (&'static str, Option<SocketAddr>, bool)| {
        let Some(address) = address else { return finding(check, Health::Ok, "switched off", "") };
        let tcp = TcpListener::bind(address).map(drop);
        let bound = if udp { tcp.and_then(|()| UdpSocket::bind(address).map(drop)) } else { tcp };
        match bound {
            Ok(()) => finding(check, Health::Ok, format!("{address} is free"), ""),
            Err(_) if running => {
                finding(check, Health::Ok, format!("{address} is in use, and dnsvet runs"), "")
            }
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => finding(
                check,
                Health::Bad,
                format!("{address}: {error}"),
                "ports below 1024 need CAP_NET_BIND_SERVICE, or listen on a higher one",
            ),
            Err(error) => finding(
                check,
                Health::Bad,
                format!("{address}: {error}"),
                "end what listens there (`ss -lntup` shows it), or choose another address under [listen]",
            ),
        }
    };
    doors.into_iter().map(check).collect()
}

fn upstreams(config: &Config) -> Finding {
    if config.upstreams == ["demo"] {
        return finding(
            "upstream",
            Health::Warning,
            "invented answers",
            "set upstreams to answer from the network",
        );
    }
    let mut addresses: Vec<SocketAddr> =
        config.upstreams.iter().filter_map(|text| name_server(text)).collect();
    if addresses.is_empty() {
        let system = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let servers = system.lines().filter_map(|line| line.strip_prefix("nameserver"));
        addresses = servers.filter_map(|text| name_server(text.trim())).collect();
    }
    if addresses.is_empty() {
        return finding(
            "upstream",
            Health::Warning,
            "none configured, and the system has none",
            "set upstreams; a public pair is tried until then",
        );
    }
    let answering = addresses.iter().filter(|address| answers(**address)).count();
    let found = format!("{answering} of {} answer", addresses.len());
    match answering {
        0 => finding(
            "upstream",
            Health::Bad,
            found,
            "check the network and `upstreams`; allowed names will get SERVFAIL",
        ),
        n if n < addresses.len() => {
            finding("upstream", Health::Warning, found, "take the silent ones out of `upstreams`")
        }
        _ => finding("upstream", Health::Ok, found, ""),
    }
}

/// Whether a server answers `NS .`, with whatever it likes.
fn answers(server: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let local: SocketAddr =
            if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(local)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(server)?;
        socket.send(&[0x5a, 0xa5, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1])?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        Ok(length >= 12 && answer[..2] == [0x5a, 0xa5])
    };
    ask().unwrap_or(false)
}

fn snapshot(data_dir: &Path) -> Finding {
    let path = data_dir.join(crate::control::SNAPSHOT_FILE);
    let Ok(bytes) = std::fs::read(&path) else {
        return finding("snapshot", Health::Ok, "none yet; the first start makes one", "");
    };
    let opened = match dnsvet_core::snapshot::Snapshot::open(bytes.into(), &[]) {
        Ok(opened) => opened,
        Err(error) => {
            return finding(
                "snapshot",
                Health::Bad,
                format!("{}: {error}", path.display()),
                "remove it; the next start compiles a fresh one",
            );
        }
    };
    let made = std::fs::metadata(&path).and_then(|meta| meta.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let age = SystemTime::now().duration_since(made).unwrap_or_default();
    let hours = age.as_secs() / 3600;
    let found = format!("serial {}, {} names, {hours} h old", opened.serial(), opened.name_count());
    if age > OLD_SNAPSHOT {
        return finding("snapshot", Health::Warning, found, "fetch the lists again and reload (SIGHUP)");
    }
    finding("snapshot", Health::Ok, found, "")
}

/// The model in force, and whether what it scores has drifted.
fn model(data_dir: &Path) -> Finding {
    let standing = match models::standing_of(data_dir) {
        Ok(standing) => standing,
        Err(error) => {
            let remedy = "restore control.db from a backup, or start the dnsvet that wrote it";
            return finding("model", Health::Bad, error.to_string(), remedy);
        }
    };
    let (id, drift) = (&standing.in_force.id, &standing.drift);
    let Some(last) = &drift.last else {
        return finding(
            "model",
            Health::Ok,
            format!("{id} in force; too few names yet to look for drift"),
            "",
        );
    };
    let value = |signal: &Signal| format!("{} {:.3}", signal.as_str(), last.of(*signal));
    let raised: Vec<String> = last.alarms.iter().map(value).collect();
    if raised.is_empty() {
        return finding("model", Health::Ok, format!("{id} in force; no drift in {} names", last.names), "");
    }
    finding(
        "model",
        Health::Warning,
        format!("{id} in force; drift in {} names: {}", last.names, raised.join(", ")),
        "look at the newest queries; train a model on fresh names, or take them as usual with `dnsvet model rebase`",
    )
}

/// The plugin that `dnsvet serve` would find, loaded as it would be.
fn plugin(found: Result<PathBuf, ServeError>) -> Finding {
    let path = match found {
        Ok(path) => path,
        Err(ServeError::NoPlugin(places)) => {
            let remedy = "build it with `cargo xtask build`, or set plugin to its file";
            return finding("plugin", Health::Bad, format!("none found ({places})"), remedy);
        }
        Err(error) => return finding("plugin", Health::Bad, error.to_string(), "set plugin to its file"),
    };
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let found = format!("{}: {error}", path.display());
            return finding("plugin", Health::Bad, found, "set plugin to a file that exists");
        }
    };
    match Runtime::load(&bytes, None, Limits::default()) {
        Ok(runtime) => {
            let found = format!("{} loads, sha256 {}", path.display(), runtime.sha256());
            finding("plugin", Health::Ok, found, "")
        }
        Err(error) => finding(
            "plugin",
            Health::Bad,
            format!("{}: {error}", path.display()),
            "build it again: cargo xtask build",
        ),
    }
}

fn scorer(url: &str) -> Finding {
    if url.is_empty() {
        return finding("scorer", Health::Ok, "none configured; the small model decides alone", "");
    }
    let ask = || -> std::io::Result<bool> {
        let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let authority =
            if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
        let address =
            authority.to_socket_addrs()?.next().ok_or_else(|| std::io::Error::other("no address"))?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET /v2/health/ready HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n")?;
        let mut head = [0; 12];
        stream.read_exact(&mut head)?;
        Ok(head.ends_with(b"200"))
    };
    match ask() {
        Ok(true) => finding("scorer", Health::Ok, format!("{url} is ready"), ""),
        Ok(false) => finding(
            "scorer",
            Health::Warning,
            format!("{url} answers, but is not ready"),
            "look at its log; until then the failure mode decides",
        ),
        Err(error) => finding(
            "scorer",
            Health::Warning,
            format!("{url}: {error}"),
            "start dnsvet-scorer; until then the failure mode decides",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_a_bad_folder_and_a_silent_upstream_are_found_with_their_remedies() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = Config { data_dir: "/proc/nowhere".into(), ..Config::default() };
        config.listen.api = Some(taken.local_addr().unwrap());
        config.listen.dns = None;
        config.upstreams = vec![silent.local_addr().unwrap().to_string()];
        config.scorer = format!("http://{}", silent.local_addr().unwrap());
        config.plugin = "/nowhere.wasm".into();
        let findings = examine(&config);
        let health = |check: &str| findings.iter().find(|finding| finding.check == check).unwrap();
        for check in ["data_dir", "api", "upstream", "plugin"] {
            assert_eq!(health(check).health, Health::Bad, "{check}");
            assert!(!health(check).remedy.is_empty(), "{check}");
        }
        assert_eq!(health("scorer").health, Health::Warning);
        assert_eq!(health("dns").found, "switched off");
    }

    #[test]
    fn a_plugin_that_serve_would_not_find_is_bad() {
        let folder = tempfile::tempdir().unwrap();
        let missing = plugin(crate::commands::serve::plugin_beside(folder.path()));
        assert_eq!(missing.health, Health::Bad);
        assert!(missing.found.contains("dnsvet.wasm") && missing.remedy.contains("xtask build"));
        std::fs::write(folder.path().join("dnsvet.wasm"), "no wasm").unwrap();
        let broken = plugin(crate::commands::serve::plugin_beside(folder.path()));
        assert_eq!((broken.health, broken.remedy), (Health::Bad, "build it again: cargo xtask build"));
    }

    #[test]
    fn the_data_folder_is_looked_at_and_left_as_it_is() {
        use std::os::unix::fs::PermissionsExt as _;
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        assert!(data_dir(&folder).found.contains("none yet"));
        assert!(!folder.exists());
        std::fs::create_dir(&folder).unwrap();
        for (mode, health) in [(0o750, Health::Warning), (0o700, Health::Ok)] {
            std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(data_dir(&folder).health, health, "{mode:o}");
        }
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
    }
}
