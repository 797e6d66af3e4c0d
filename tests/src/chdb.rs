//! ClickHouse's engine behind its HTTP interface: chdb, as `tests/chdb/front.py` serves it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use xtask::error::Error;
use xtask::{shell, system, workspace};

/// User that it knows.
pub const USER: &str = "dnsvet";
/// That user's password.
pub const PASSWORD: &str = "secret";

/// A running server; it ends when this is dropped.
pub struct Chdb {
    child: Child,
    /// Its base URL.
    pub url: String,
    /// Where its data lies.
    pub folder: tempfile::TempDir,
}

impl Chdb {
    /// Starts one with an empty folder.
    ///
    /// # Errors
    /// There is no Python, or chdb can't be installed.
    pub fn start() -> Result<Self, Error> {
        let python: PathBuf = system::chdb()?;
        let folder = tempfile::tempdir().map_err(Error::file(&std::env::temp_dir()))?;
        let mut command = shell::command(python);
        command.arg(workspace::root().join("tests/chdb/front.py")).arg(folder.path().join("data"));
        command.env("FRONT_PASSWORD", PASSWORD).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child =
            command.spawn().map_err(|source| Error::Start { program: "front.py".into(), source })?;
        let mut url = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut url);
        }
        assert!(url.starts_with("http://"), "chdb did not start: {url:?}");
        Ok(Self { child, url: url.trim().to_owned(), folder })
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a statement; what comes back.
    ///
    /// # Errors
    /// curl or the statement failed.
    pub fn ask(&self, statement: &str) -> Result<String, Error> {
        let mut curl = shell::command("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--max-time",
            "60",
            "--data-binary",
            statement,
        ]);
        curl.args(["--header", &format!("X-ClickHouse-User: {USER}")]);
        curl.args(["--header", &format!("X-ClickHouse-Key: {PASSWORD}"), &self.url]);
        shell::output(&mut curl)
    }
}

impl Drop for Chdb {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
