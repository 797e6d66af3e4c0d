//! Runs programs: output kept in a log file, shown when they fail.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::workspace;

/// The lines of a failed program's output that are shown.
const SHOWN_LINES: usize = 300;

/// A command in the root of the repository, without what `cargo run` put in the environment: a nested Cargo
/// that sees it would build some crates anew.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        let from_cargo = name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if from_cargo || name == "LD_LIBRARY_PATH" || name == "CARGO_BIN_NAME" || name == "CARGO_CRATE_NAME" {
            command.env_remove(&key);
        }
    }
    command
}

/// The Cargo that started this task.
pub fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command to its end with its output on the terminal.
pub fn show(command: &mut Command) -> Result<(), Error> {
    let status = command.stdin(Stdio::null()).status().map_err(|source| start_error(command, source))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { command: words(command), status: status.to_string(), output: String::new() })
}

/// Runs a command to its end and returns its standard output.
pub fn output(command: &mut Command) -> Result<String, Error> {
    let output = command.stdin(Stdio::null()).output().map_err(|source| start_error(command, source))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let both = stdout + &String::from_utf8_lossy(&output.stderr);
    Err(Error::Failed { command: words(command), status: output.status.to_string(), output: tail(&both) })
}

/// Runs a command to its end with bytes on its standard input and returns its standard output.
pub fn output_with_input(command: &mut Command, input: &[u8]) -> Result<String, Error> {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|source| start_error(command, source))?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output().map_err(|source| start_error(command, source))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Error::Failed {
            command: words(command),
            status: output.status.to_string(),
            output: text,
        });
    }
    written.map_err(|source| start_error(command, source))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a command to its end with standard output and error together in `target/xtask/NAME.log`; returns
/// whether it succeeded and what it printed.
pub fn logged(name: &str, command: &mut Command) -> Result<Logged, Error> {
    let path = log_path(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Error::file(parent))?;
    }
    let file = File::create(&path).map_err(Error::file(&path))?;
    let again = file.try_clone().map_err(Error::file(&path))?;
    let status = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(again)
        .status()
        .map_err(|source| start_error(command, source))?;
    let bytes = std::fs::read(&path).map_err(Error::file(&path))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Logged { command: words(command), status, text, path })
}

/// What [`logged`] saw.
pub struct Logged {
    command: String,
    status: std::process::ExitStatus,
    /// Everything that was printed.
    pub text: String,
    /// Where it is kept.
    pub path: PathBuf,
}

impl Logged {
    /// Whether the program said that it succeeded.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The text, or the failure as an error.
    pub fn checked(self) -> Result<String, Error> {
        if self.success() { Ok(self.text) } else { Err(self.failure()) }
    }

    /// The failure as an error with the end of the output.
    pub fn failure(&self) -> Error {
        let output = format!("{}\n(all of it: {})", tail(&self.text), self.path.display());
        Error::Failed { command: self.command.clone(), status: self.status.to_string(), output }
    }
}

fn log_path(name: &str) -> PathBuf {
    workspace::target().join("xtask").join(format!("{name}.log"))
}

fn start_error(command: &Command, source: std::io::Error) -> Error {
    Error::Start { program: command.get_program().to_string_lossy().into_owned(), source }
}

fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    command.get_args().fold(name, |all, word| all + " " + &word.to_string_lossy())
}

/// The last lines of a text.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// A program on the search path.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    let mut places = std::env::split_paths(&path).chain(usual);
    places.find_map(|dir| Some(dir.join(program)).filter(|file| file.is_file()))
}
