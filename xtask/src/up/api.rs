//! The control plane's API, asked through curl.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::error::Error;
use crate::shell;

/// A session with the API.
pub struct Api {
    port: u16,
    cookies: PathBuf,
}

impl Api {
    /// Logs in as the first user; the cookie is kept in `folder`.
    pub fn login(port: u16, password: &str, folder: &Path) -> Result<Self, Error> {
        let api = Self { port, cookies: folder.join("session") };
        let body = json!({"user": "admin", "password": password}).to_string();
        let mut curl = api.curl("/api/v1/login");
        curl.arg("--cookie-jar").arg(&api.cookies);
        // The password goes by standard input, where no other user sees it.
        shell::output_with_input(
            curl.args(["--header", "content-type: application/json", "--data-binary", "@-"]),
            body.as_bytes(),
        )?;
        Ok(api)
    }

    /// `GET` of JSON.
    pub fn get(&self, path: &str) -> Result<Value, Error> {
        let text = shell::output(self.curl(path).arg("--cookie").arg(&self.cookies))?;
        serde_json::from_str(&text).map_err(|error| Error::Found(vec![format!("{path}: {error}")]))
    }

    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--fail", "--max-time", "5"]);
        curl.arg(format!("http://127.0.0.1:{}{path}", self.port));
        curl
    }
}
