//! The upstream: a real Unbound with an address for every name, that logs each question it gets.
//!
//! The count comes from its log, so it is a server of somebody else's that says what was asked.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use xtask::child::Child;
use xtask::error::Error;
use xtask::line::free_port;
use xtask::shell;

/// The address of every name.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 77);

/// A running Unbound.
pub struct Upstream {
    /// Its port on loopback, UDP and TCP.
    pub port: u16,
    log: PathBuf,
    child: Option<Child>,
}

impl Upstream {
    /// Starts it in `folder`; `extra` are further lines of its `server:` section.
    pub fn start(folder: &Path, extra: &str) -> Result<Self, Error> {
        let file = Error::file(folder);
        fs::create_dir_all(folder).map_err(file)?;
        let (config, log) = (folder.join("unbound.conf"), folder.join("unbound.log"));
        let port = free_port()?;
        let address = ADDRESS;
        let text = format!(
            "server:
  interface: 127.0.0.1
  port: {port}
  do-daemonize: no
  use-syslog: no
  logfile: \"{log}\"
  log-queries: yes
  verbosity: 0
  chroot: \"\"
  directory: \"{folder}\"
  pidfile: \"\"
  username: \"\"
  num-threads: 1
  module-config: \"iterator\"
  local-zone: \".\" redirect
  local-data: \". 60 IN A {address}\"
{extra}
remote-control:
  control-enable: no
",
            log = log.display(),
            folder = folder.display(),
        );
        fs::write(&config, text).map_err(Error::file(&config))?;
        fs::write(&log, "").map_err(Error::file(&log))?;
        let unbound = shell::find("unbound").unwrap_or_else(|| "unbound".into());
        let mut command = Command::new(unbound);
        command.arg("-d").arg("-c").arg(&config);
        let child = Child::start(&command, &folder.join("unbound.out"))?;
        child.wait_until(Duration::from_secs(20), || {
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        })?;
        Ok(Self { port, log, child: Some(child) })
    }

    /// As `dnsvet serve` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Ends it; what it was asked can still be read.
    pub fn stop(&mut self) {
        self.child = None;
    }

    /// How often each name was asked so far, lower case, without trailing dot.
    pub fn asked(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in fs::read_to_string(&self.log).unwrap_or_default().lines() {
            // `[time] unbound[pid:thread] info: 127.0.0.1 name. A IN`
            let Some(question) = line.split(" info: ").nth(1) else { continue };
            let mut words = question.split(' ').skip(1);
            if let (Some(name), Some(_), Some("IN")) = (words.next(), words.next(), words.next()) {
                *counts.entry(name.trim_end_matches('.').to_ascii_lowercase()).or_default() += 1;
            }
        }
        counts
    }
}
