//! Programs that run beside us, and end with us however we end.
//!
//! A small shell stands between: it starts the program, then waits for the end of its own standard input, which
//! comes when we close it or are gone, and ends the program. Nothing is left behind by Ctrl-C or a crash.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;

/// Gives the program 10 s after SIGTERM. Ctrl-C reaches the shell too, which must outlive it. The program's
/// own standard input is empty, as for every background command of a shell.
const GUARD: &str = r#"
trap '' INT HUP
log=$1; shift
"$@" </dev/null >"$log" 2>&1 &
child=$!
echo "$child"
exec >/dev/null 2>&1
cat
kill -TERM "$child"
( sleep 10; kill -KILL "$child" ) &
killer=$!
wait "$child"
kill "$killer"
"#;

/// A running program; ended when dropped.
pub struct Child {
    guard: Process,
    pid: u32,
    name: String,
    log: PathBuf,
}

impl Child {
    /// Starts a program with its output in `log`. Arguments, environment and folder are taken from `command`.
    pub fn start(command: &Command, log: &Path) -> Result<Self, Error> {
        let program = PathBuf::from(command.get_program());
        let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        let failed = |source| Error::Start { program: program.display().to_string(), source };
        if !program.is_file() {
            return Err(failed(std::io::ErrorKind::NotFound.into()));
        }
        File::create(log).map_err(Error::file(log))?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "guard"]).arg(log).arg(&program).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => guard.env(key, value),
                None => guard.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            guard.current_dir(dir);
        }
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut guard = guard.spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(stdout) = guard.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).map_err(failed)?;
        }
        let pid = line.trim().parse().map_err(|_| failed(std::io::ErrorKind::InvalidData.into()))?;
        Ok(Self { guard, pid, name, log: log.to_owned() })
    }

    /// Process id of the program itself.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the program still runs.
    pub fn alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state follows the name, which is in brackets and may hold spaces.
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        state.is_some_and(|state| state != 'Z' && state != 'X')
    }

    /// What the program printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Sends a signal by its name (`TERM`, `STOP`, `CONT`, `HUP`, `KILL`).
    pub fn signal(&self, name: &str) -> Result<(), Error> {
        crate::shell::output(Command::new("kill").args(["-s", name, &self.pid.to_string()])).map(drop)
    }

    /// Waits until `ready` holds; fails when the program ends before, or after `limit`.
    pub fn wait_until(&self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<(), Error> {
        let start = Instant::now();
        while !ready() {
            if !self.alive() || start.elapsed() > limit {
                let status = if self.alive() { "not ready in time" } else { "ended at once" };
                let output = crate::shell::tail(&self.printed());
                return Err(Error::Failed { command: self.name.clone(), status: status.into(), output });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A stopped program would not see SIGTERM.
        let _ = self.signal("CONT");
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_ends_when_its_handle_is_dropped() {
        let log = std::env::temp_dir().join(format!("xtask-child-{}.log", std::process::id()));
        let mut command = Command::new("/bin/sleep");
        command.arg("1000");
        let child = Child::start(&command, &log).unwrap();
        let proc = PathBuf::from(format!("/proc/{}", child.pid()));
        assert!(child.alive() && proc.exists());
        drop(child);
        assert!(!proc.exists());
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_program_that_ends_at_once_is_reported_with_what_it_printed() {
        let log = std::env::temp_dir().join(format!("xtask-child-end-{}.log", std::process::id()));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no configuration; exit 2"]);
        let child = Child::start(&command, &log).unwrap();
        let error = child.wait_until(Duration::from_secs(5), || false).unwrap_err().to_string();
        assert!(error.contains("ended at once") && error.contains("no configuration"), "{error}");
        drop(child);
        std::fs::remove_file(log).unwrap();
    }
}
