//! A real server process on a random port, its registry in a temporary folder, and a plain HTTP client.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dnsvet_core::model::Model;
use dnsvet_models::registry::{Artifact, Registry, hex};

use crate::common::{seed_model, table_model};

/// Puts a model into a registry, as an artifact without golden vectors; its graph is for hashing only.
pub fn put(registry: &Path, model: &Model) {
    let onnx: &[u8] = b"never run here";
    let dvm = model.encode();
    let mut manifest = Registry::bundled().get("small").unwrap().manifest;
    let spec = model.spec();
    manifest.name = spec.name.clone();
    manifest.id = model.id().to_owned();
    manifest.tokenizer = model.tokenizer();
    manifest.onnx_blake3 = hex(onnx);
    manifest.dvm_blake3 = Some(hex(&dvm));
    manifest.calibration = spec.calibration.into();
    manifest.prior = spec.prior;
    manifest.thresholds.allow_below = spec.thresholds.allow_below;
    manifest.thresholds.block_above = spec.thresholds.block_above;
    manifest.golden.clear();
    let artifact = Artifact::new(manifest, onnx.into(), Some(dvm.into())).unwrap();
    artifact.store(registry, "a model of the tests").unwrap();
}

/// The binary that Cargo built beside this test. Not `env!`: a variable with a hyphen in its name does not
/// come through every compiler wrapper.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("dnsvet-scorer")
}

/// A scorer process; killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub child: Child,
    pub registry: tempfile::TempDir,
}

impl Server {
    /// With the models `large` (a table network, state 11) and `seed` (state 5), on the CPU.
    pub fn start(args: &[&str]) -> Self {
        Self::with(&[table_model("large", 11), seed_model(5)], &[&["--device", "cpu"], args].concat())
    }

    /// With these models.
    pub fn with(models: &[Model], args: &[&str]) -> Self {
        let registry = tempfile::tempdir().unwrap();
        models.iter().for_each(|model| put(registry.path(), model));
        let folder = registry.path().to_str().unwrap().to_owned();
        Self::spawn(&[&["--registry", &folder], args].concat(), registry)
    }

    /// With the models that come with dnsvet.
    pub fn bundled(args: &[&str]) -> Self {
        Self::spawn(args, tempfile::tempdir().unwrap())
    }

    fn spawn(args: &[&str], registry: tempfile::TempDir) -> Self {
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(args)
            .env("DNSVET_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit('/').next().unwrap().parse().unwrap();
        Self { address, child, registry }
    }

    /// Sends a signal to the process.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Resident memory, KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// One request on a connection of its own.
    pub fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Response {
        let mut stream = self.connect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: scorer\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        Response::read(stream)
    }

    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, "", b"")
    }

    pub fn post(&self, path: &str, body: &serde_json::Value) -> Response {
        self.request("POST", path, "", body.to_string().as_bytes())
    }

    /// The value of a metric, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let values = text.lines().filter(|line| line.starts_with(name));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A whole HTTP response.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// Reads until the server closes the connection.
    pub fn read(stream: TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "connection closed within the head: {head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head.to_ascii_lowercase();
        let mut body = Vec::new();
        if head.contains("transfer-encoding: chunked") {
            loop {
                let mut size = String::new();
                reader.read_line(&mut size).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                let at = body.len();
                body.resize(at + size, 0);
                reader.read_exact(&mut body[at..]).unwrap();
                reader.read_exact(&mut [0; 2]).unwrap();
                if size == 0 {
                    break;
                }
            }
        } else {
            reader.read_to_end(&mut body).unwrap();
        }
        Self { status, head, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}
