//! `dnsvet`: vets every name inside the resolver and the proxies that people already run.

use std::process::ExitCode;

use clap::Parser;
use dnsvet::commands::{
    check, config, doctor, events, lists, model, relief, replay, score, serve, user, vet,
};

/// Vet every DNS name: lists, policy, models, people.
#[derive(Parser)]
#[command(name = "dnsvet", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    Check(check::Args),
    Config(config::Args),
    Doctor(doctor::Args),
    Events(events::Args),
    Lists(lists::Args),
    Model(model::Args),
    Pause(relief::PauseArgs),
    Replay(replay::Args),
    Score(score::Args),
    Serve(serve::Args),
    Unblock(relief::UnblockArgs),
    User(user::Args),
    Vet(vet::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => done(check::run(args)),
        Command::Config(args) => done(config::run(args)),
        Command::Doctor(args) => done(doctor::run(args)),
        Command::Events(args) => done(events::run(args)),
        Command::Lists(args) => done(lists::run(args)),
        Command::Model(args) => done(model::run(args)),
        Command::Pause(args) => done(relief::pause(args)),
        Command::Replay(args) => done(replay::run(args)),
        Command::Score(args) => done(score::run(args)),
        Command::Serve(args) => done(serve::run(args)),
        Command::Unblock(args) => done(relief::unblock(args)),
        Command::User(args) => done(user::run(args)),
        Command::Vet(args) => done(vet::run(args)),
    }
}

/// An error ends the process with 1 and one line that says what to do.
fn done<E: std::fmt::Display>(result: Result<ExitCode, E>) -> ExitCode {
    result.unwrap_or_else(|error| {
        eprintln!("dnsvet: {error}");
        ExitCode::FAILURE
    })
}
