//! Real browsers, without a window: Firefox by Marionette, Chromium by its command line.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use xtask::child::Child;
use xtask::line::free_port;
use xtask::shell;

/// How long a browser may take to start, or to load a page.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// It is there; its title.
    Loaded(String),
    /// It is not; the browser's words.
    Failed(String),
}

/// A running Firefox with a profile of its own; ended when dropped.
pub struct Firefox {
    stream: BufReader<TcpStream>,
    asked: u64,
    _child: Child,
}

impl Firefox {
    /// Starts it with its profile in `folder`; `preferences` are names and JSON values.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(folder: &Path, preferences: &[(&str, Value)]) -> Self {
        fs::create_dir_all(folder).expect("a folder for the profile");
        let port = free_port().expect("a free port");
        let own = [("marionette.port", json!(port)), ("browser.shell.checkDefaultBrowser", json!(false))];
        let lines =
            own.iter().chain(preferences).map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"));
        fs::write(folder.join("user.js"), lines.collect::<String>()).expect("preferences");
        let mut command = Command::new(find("firefox-esr"));
        command.args(["--headless", "--no-remote", "--marionette", "--remote-allow-system-access"]);
        command.arg("--profile").arg(folder).env("HOME", folder);
        let child =
            Child::start(&command, &folder.join("firefox.log")).unwrap_or_else(|error| panic!("{error}"));
        let mut stream = None;
        let open = || {
            stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok();
            stream.is_some()
        };
        child.wait_until(PATIENCE, open).unwrap_or_else(|error| panic!("{error}"));
        let stream = stream.expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        let mut firefox = Self { stream: BufReader::new(stream), asked: 0, _child: child };
        firefox.read();
        let limits = json!({"pageLoad": PATIENCE.as_millis() as u64 / 2, "script": 10_000});
        firefox.command("WebDriver:NewSession", json!({"timeouts": limits})).expect("a session");
        firefox
    }

    /// Runs a script with the browser's own rights; what it returns.
    ///
    /// # Panics
    /// If it throws.
    pub fn script(&mut self, script: &str, arguments: &Value) -> Value {
        self.command("Marionette:SetContext", json!({"value": "chrome"})).expect("the browser's context");
        let told = self.command("WebDriver:ExecuteScript", json!({"script": script, "args": arguments}));
        told.unwrap_or_else(|error| panic!("{script}: {error}"))["value"].clone()
    }

    /// Loads `http://NAME/`.
    ///
    /// # Panics
    /// If Firefox does not answer.
    pub fn open(&mut self, name: &str) -> Page {
        self.command("Marionette:SetContext", json!({"value": "content"})).expect("the page's context");
        match self.command("WebDriver:Navigate", json!({"url": format!("http://{name}/")})) {
            Ok(_) => {
                let title = self.command("WebDriver:GetTitle", json!({})).expect("a title");
                Page::Loaded(title["value"].as_str().unwrap_or_default().to_owned())
            }
            Err(error) => Page::Failed(error["message"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// Sends one command; its result or its error.
    fn command(&mut self, name: &str, parameters: Value) -> Result<Value, Value> {
        self.asked += 1;
        let message = json!([0, self.asked, name, parameters]).to_string();
        let sent = write!(self.stream.get_mut(), "{}:{message}", message.len());
        sent.unwrap_or_else(|error| panic!("firefox, {name}: {error}"));
        let answer = self.read();
        if answer[2].is_null() { Ok(answer[3].clone()) } else { Err(answer[2].clone()) }
    }

    /// A message is JSON behind its length in bytes and a colon.
    fn read(&mut self) -> Value {
        let mut length = Vec::new();
        self.stream.read_until(b':', &mut length).expect("firefox answers in time");
        let length = String::from_utf8_lossy(&length).trim_end_matches(':').parse().expect("a length");
        let mut message = vec![0; length];
        self.stream.read_exact(&mut message).expect("firefox answers in time");
        serde_json::from_slice(&message).expect("JSON")
    }
}

/// How Chromium is to resolve names, as its settings have it under "use secure DNS".
#[derive(Debug, Clone, Copy)]
pub enum SecureDns<'a> {
    /// Encrypted where Chromium finds a way, else as the system does.
    Automatic,
    /// By this server and no other.
    Only(&'a str),
}

/// Loads `http://NAME/` in a Chromium of its own, with its profile in `folder`. A server whose certificate is
/// `trusted` is believed, whatever its name.
///
/// # Panics
/// If Chromium does not end in time.
pub fn chromium(folder: &Path, dns: SecureDns, trusted: &Path, name: &str) -> Page {
    fs::create_dir_all(folder).expect("a folder for the profile");
    let (mode, templates) = match dns {
        SecureDns::Automatic => ("automatic", ""),
        SecureDns::Only(server) => ("secure", server),
    };
    let state = json!({"dns_over_https": {"mode": mode, "templates": templates}});
    fs::write(folder.join("Local State"), state.to_string()).expect("settings");
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(find("chromium")).env("HOME", folder);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.arg(format!("--user-data-dir={}", folder.display()));
    command.arg(format!("--ignore-certificate-errors-spki-list={}", key_hash(trusted)));
    command.arg("--dump-dom").arg(format!("http://{name}/"));
    let output = command.output().expect("timeout starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "chromium: {}\n{}", output.status, shell::tail(&said));
    match text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")) {
        Some((title, _)) if !said.contains("net::ERR_") => Page::Loaded(title.to_owned()),
        _ => Page::Failed(shell::tail(&said)),
    }
}

/// The hash of a certificate's key by which Chromium knows it.
fn key_hash(certificate: &Path) -> String {
    /// How the key info of a P-256 key begins; 65 bytes of a point follow.
    const P256: [u8; 26] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let der = CertificateDer::from_pem_file(certificate).expect("a certificate");
    let at = der.windows(P256.len()).position(|bytes| bytes == P256).expect("a P-256 key");
    BASE64.encode(Sha256::digest(&der[at..at + P256.len() + 65]))
}

fn find(program: &str) -> std::path::PathBuf {
    shell::find(program).unwrap_or_else(|| panic!("no {program} here"))
}
