//! The subcommands of `dnsvet`, one file each: arguments and what they do.

pub mod check;
pub mod config;
pub mod doctor;
pub mod events;
mod export;
mod import;
pub mod lists;
pub mod model;
mod out;
pub mod relief;
pub mod replay;
pub mod score;
mod scorer_client;
pub mod serve;
pub mod socket;
mod subscriptions;
pub mod user;
pub mod vet;
