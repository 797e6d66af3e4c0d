//! The subcommands of `dnsvet`, one file each: arguments and what they do.

pub mod config;
