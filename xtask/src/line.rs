//! The whole line as processes: scorer, resolver with control plane, Envoy in front. `cargo xtask up` and the
//! end-to-end tests start the same one.
//!
//! ```text
//! clients ─► dns, doh ─► dnsvet serve ─► upstream
//! clients ─► envoy ─► forward ┘   │ api (snapshot, events)      scorer
//! ```

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::child::Child;
use crate::error::Error;
use crate::workspace;

/// How long a program may take until it answers: it may have to compile the plugin first.
const READY: Duration = Duration::from_secs(240);

/// The port of each door, on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// DNS over UDP and TCP.
    pub dns: u16,
    /// DoH of the resolver.
    pub doh: u16,
    /// Plain forwarding.
    pub forward: u16,
    /// API and dashboard.
    pub api: u16,
    /// Scorer.
    pub scorer: u16,
    /// DoH of Envoy.
    pub envoy: u16,
    /// Envoy's own statistics.
    pub envoy_admin: u16,
}

impl Ports {
    /// The public defaults.
    pub const DEFAULT: Ports = Ports {
        dns: 5300,
        doh: 8443,
        forward: 8444,
        api: 8080,
        scorer: 8600,
        envoy: 10443,
        envoy_admin: 9901,
    };

    /// Ports that were free a moment ago, and that the system gives to nobody else of its own accord.
    pub fn free() -> Result<Ports, Error> {
        Ok(Ports {
            dns: free_port()?,
            doh: free_port()?,
            forward: free_port()?,
            api: free_port()?,
            scorer: free_port()?,
            envoy: free_port()?,
            envoy_admin: free_port()?,
        })
    }

    /// Those that somebody else listens on, with what they are for.
    pub fn taken(&self) -> Vec<(u16, &'static str)> {
        let all = [
            (self.dns, "DNS"),
            (self.doh, "DoH"),
            (self.forward, "plain forwarding"),
            (self.api, "API and dashboard"),
            (self.scorer, "scorer"),
            (self.envoy, "DoH of Envoy"),
            (self.envoy_admin, "Envoy's statistics"),
        ];
        all.into_iter().filter(|(port, _)| !is_free(*port)).collect()
    }
}

/// Ports that tests listen on: below those that Linux gives to outgoing connections (from 32,768), so that
/// none is taken between being found free and being listened on.
const TEST_PORTS: Range<u16> = 20_000..32_000;

/// A port on loopback, UDP and TCP, that nobody listens on; another one at each call.
pub fn free_port() -> Result<u16, Error> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Each process begins somewhere else, so that two at once seldom try the same.
    static FIRST: LazyLock<u16> = LazyLock::new(|| (std::process::id() % 1_200) as u16 * 10);
    for _ in TEST_PORTS {
        let step = FIRST.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = TEST_PORTS.start + step % (TEST_PORTS.end - TEST_PORTS.start);
        if is_free(port) {
            return Ok(port);
        }
    }
    let (first, last) = (TEST_PORTS.start, TEST_PORTS.end - 1);
    Err(Error::Missing {
        what: format!("no port from {first} to {last} is free on loopback"),
        remedy: "stop what listens there".into(),
    })
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// How to start it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everybody listens.
    pub ports: Ports,
    /// Data, logs and Envoy's configuration go here.
    pub folder: PathBuf,
    /// The plugin, for both runtimes.
    pub plugin: PathBuf,
    /// Binaries of `--release`.
    pub release: bool,
    /// Further flags of `dnsvet serve`.
    pub serve_flags: Vec<String>,
    /// Further flags of `dnsvet-scorer serve`.
    pub scorer_flags: Vec<String>,
    /// Changes to Envoy's plugin configuration: key and JSON value.
    pub plugin_keys: Vec<(String, String)>,
}

impl Options {
    /// The defaults in a folder.
    pub fn new(folder: &Path, ports: Ports) -> Self {
        Self {
            ports,
            folder: folder.to_owned(),
            plugin: workspace::plugin(),
            release: false,
            serve_flags: Vec::new(),
            scorer_flags: Vec::new(),
            plugin_keys: Vec::new(),
        }
    }

    /// The data folder of `dnsvet serve`.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Starts the scorer and waits until it answers.
    pub fn start_scorer(&self) -> Result<Child, Error> {
        let mut command = Command::new(workspace::binary("dnsvet-scorer", self.release));
        command.arg("serve").arg("--listen").arg(format!("127.0.0.1:{}", self.ports.scorer));
        command.args(&self.scorer_flags);
        let child = self.start(&command, "scorer.log")?;
        child.wait_until(READY, || answers(self.ports.scorer))?;
        Ok(child)
    }

    /// Starts resolver and control plane and waits until all their doors answer.
    pub fn start_serve(&self) -> Result<Child, Error> {
        let ports = &self.ports;
        let address = |port: u16| format!("127.0.0.1:{port}");
        let mut command = Command::new(workspace::binary("dnsvet", self.release));
        command.arg("serve").arg("--data-dir").arg(self.data_dir());
        command.args(["--listen-dns", &address(ports.dns), "--listen-doh", &address(ports.doh)]);
        command.args(["--listen-forward", &address(ports.forward), "--listen-api", &address(ports.api)]);
        command.arg("--scorer").arg(format!("http://127.0.0.1:{}", ports.scorer));
        command.arg("--plugin").arg(&self.plugin);
        command.args(&self.serve_flags);
        let child = self.start(&command, "serve.log")?;
        let doors = [ports.dns, ports.doh, ports.forward, ports.api];
        child.wait_until(READY, || doors.iter().all(|port| answers(*port)))?;
        Ok(child)
    }

    /// Starts Envoy with the plugin and waits until its door is open. The certificate and the token are those of
    /// the data folder, so `serve` has to run once before.
    pub fn start_envoy(&self, envoy: &Path) -> Result<Child, Error> {
        let config = self.folder.join("envoy.yaml");
        std::fs::write(&config, self.envoy_config()?).map_err(Error::file(&config))?;
        let mut command = Command::new(envoy);
        command.arg("-c").arg(&config);
        command.args(["--concurrency", "2", "--disable-hot-restart", "--log-level", "warning"]);
        command.args(["--component-log-level", "wasm:info"]);
        let child = self.start(&command, "envoy.log")?;
        child.wait_until(READY, || answers(self.ports.envoy))?;
        Ok(child)
    }

    /// `examples/envoy/envoy.yaml` with this line's ports and files.
    pub fn envoy_config(&self) -> Result<String, Error> {
        let path = workspace::root().join("examples/envoy/envoy.yaml");
        let mut text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
        let data = |file: &str| self.data_dir().join(file).display().to_string();
        let secret = |file: &str| {
            let path = self.data_dir().join(file);
            let text = std::fs::read_to_string(&path).map_err(Error::file(&path))?;
            Ok(format!("\"{}\"", text.trim()))
        };
        let default = Ports::DEFAULT;
        let port = |from: u16, to: u16| (format!("port_value: {from} "), format!("port_value: {to} "));
        let mut changes = vec![
            port(default.envoy, self.ports.envoy),
            port(default.envoy_admin, self.ports.envoy_admin),
            port(default.forward, self.ports.forward),
            port(default.api, self.ports.api),
            port(default.scorer, self.ports.scorer),
            ("/etc/dnsvet/doh-cert.pem".to_owned(), data("doh-cert.pem")),
            ("/etc/dnsvet/doh-key.pem".to_owned(), data("doh-key.pem")),
            ("/etc/dnsvet/dnsvet.wasm".to_owned(), self.plugin.display().to_string()),
            ("\"TOKEN\"".to_owned(), secret("plugin.token")?),
            ("\"PUBLIC_KEY\"".to_owned(), secret("snapshot.pub")?),
        ];
        for (key, value) in &self.plugin_keys {
            changes.push(("\"node\": ".to_owned(), format!("\"{key}\": {value}, \"node\": ")));
        }
        for (from, to) in changes {
            if !text.contains(&from) {
                return Err(Error::Found(vec![format!("{}: no `{from}` in it any more", path.display())]));
            }
            text = text.replace(&from, &to);
        }
        Ok(text)
    }

    fn start(&self, command: &Command, log: &str) -> Result<Child, Error> {
        std::fs::create_dir_all(&self.folder).map_err(Error::file(&self.folder))?;
        Child::start(command, &self.folder.join(log))
    }
}

/// The password that the first start prints: four groups of five letters and digits.
pub fn first_password(printed: &str) -> Option<String> {
    let is_password = |word: &&str| {
        let groups: Vec<&str> = word.split('-').collect();
        let letters = |group: &&str| group.len() == 5 && group.bytes().all(|b| b.is_ascii_alphanumeric());
        groups.len() == 4 && groups.iter().all(letters)
    };
    let words = printed.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.into_iter().find(is_password).map(str::to_owned)
}

/// Whether somebody accepts connections on a loopback port.
fn answers(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_what_it_is_for() {
        let ports = Ports::free().unwrap();
        assert_eq!(ports.taken(), []);
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.api)).unwrap();
        assert_eq!(ports.taken(), [(ports.api, "API and dashboard")]);
    }

    #[test]
    fn the_example_for_envoy_takes_our_ports_and_files() {
        let folder = std::env::temp_dir().join(format!("xtask-line-{}", std::process::id()));
        let mut options = Options::new(&folder, Ports { envoy: 4711, ..Ports::DEFAULT });
        std::fs::create_dir_all(options.data_dir()).unwrap();
        std::fs::write(options.data_dir().join("plugin.token"), "secret\n").unwrap();
        std::fs::write(options.data_dir().join("snapshot.pub"), "public\n").unwrap();
        options.plugin_keys.push(("tick_ms".into(), "100".into()));
        let text = options.envoy_config().unwrap();
        assert!(text.contains("port_value: 4711 ") && !text.contains("/etc/dnsvet/dnsvet.wasm"));
        assert!(
            text.contains("\"tick_ms\": 100, \"node\": \"envoy\"")
                && text.contains("\"token\": \"secret\"")
                && text.contains("[\"public\"]")
        );
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_first_password_is_found_in_what_serve_prints() {
        let printed = "first start\n  user `admin`, password `ab2de-fghij-kmnpq-23456` (shown once)\n";
        assert_eq!(first_password(printed).as_deref(), Some("ab2de-fghij-kmnpq-23456"));
        assert_eq!(first_password("nothing-here"), None);
    }
}
