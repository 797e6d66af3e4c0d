//! `cargo xtask test`: everything CI runs, in stages, from nothing.

use std::process::{Command, ExitCode};

use crate::error::Error;
use crate::libtest;
use crate::shell::{self, cargo};
use crate::stage::{Outcome, Stages};
use crate::{build, docs, fuzz, layering, system, ui, wasm};

/// Run everything that CI runs.
#[derive(clap::Args)]
pub struct Args {
    /// Run the long tests too: more rounds and more names, and each fuzz target for 10 minutes.
    #[arg(long)]
    long: bool,
    /// Run only this stage; may be given several times.
    #[arg(long, value_name = "STAGE")]
    only: Vec<String>,
}

/// Runs all stages; fails if any failed.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let mut stages = Stages::only(&args.only);
    stages.run("set up", set_up);
    stages.run("format", || simple("format", cargo().args(["fmt", "--all", "--check"])));
    stages.run("layering and licences", || layering::check().map(|()| Outcome::passed()));
    stages.run("dashboard", dashboard);
    stages.run("plugin", || wasm::build(true).map(|plugin| Outcome::noted(build::summary(&plugin))));
    stages.run("build", || simple("build", cargo().args(["build", "--workspace", "--all-targets"])));
    stages.run("clippy", || {
        simple("clippy", cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    });
    stages.run("tests", || tests(args.long));
    if args.long {
        stages.run("fuzz", fuzz::stage);
    }
    stages.run("commands in the documents", docs::check);
    Ok(if stages.finish() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn set_up() -> Result<Outcome, Error> {
    system::ensure(&system::TEST_TOOLS, "the tests")?;
    system::envoy()?;
    ui::ensure_node()?;
    Ok(Outcome::passed())
}

/// Built and its types checked; the tests need it, so here it is no option.
fn dashboard() -> Result<Outcome, Error> {
    if ui::build(false)? {
        return ui::check_types().map(|()| Outcome::passed());
    }
    Err(Error::Missing {
        what: "the dashboard can't be built".into(),
        remedy: "install Node 20.19 or later with npm".into(),
    })
}

/// A stage that is one program.
fn simple(name: &str, command: &mut Command) -> Result<Outcome, Error> {
    shell::logged(name, command)?.checked().map(|_| Outcome::passed())
}

fn tests(long: bool) -> Result<Outcome, Error> {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    command.env("DNSVET_ENVOY", system::envoy()?);
    // Where there is none, the tests that need it say so and are skipped.
    if let Ok(python) = system::chdb() {
        command.env("DNSVET_CHDB", python);
    }
    if long {
        command.env("DNSVET_LONG", "1");
    }
    let logged = shell::logged("tests", &mut command)?;
    let counts = libtest::counts(&logged.text, logged.success());
    let text = if counts.failed > 0 {
        format!("{}\n(all of it: {})", libtest::failures(&logged.text), logged.path.display())
    } else {
        skipped_lines(&logged.text)
    };
    Ok(Outcome { counts, text })
}

fn skipped_lines(text: &str) -> String {
    text.lines().filter(|line| line.starts_with("skipped:")).collect::<Vec<_>>().join("\n")
}
