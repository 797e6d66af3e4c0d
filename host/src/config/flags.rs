//! The configuration as flags: one for each key, made from the same table, so that none is forgotten.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};

use super::{Config, ConfigError, keys};

/// `--config FILE` and one flag for each key. Flatten it into a command's arguments:
/// `#[command(flatten)] pub config: Flags`.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// The configuration file; none: `dnsvet.toml` in the working folder, if there is one.
    pub file: Option<PathBuf>,
    /// Key and value of each flag that was given.
    pub values: Vec<(String, String)>,
}

impl Flags {
    /// Loads file, environment and these flags.
    pub fn load(&self) -> Result<Config, ConfigError> {
        Config::load(self.file.as_deref(), std::env::vars_os(), &self.values)
    }
}

impl clap::Args for Flags {
    fn augment_args(mut command: Command) -> Command {
        let file = Arg::new("config").long("config").short('c').value_name("FILE").env("DNSVET_CONFIG");
        let file = file.value_parser(clap::value_parser!(PathBuf));
        command = command.arg(file.help("The configuration file [default: dnsvet.toml, if there is one]"));
        for key in keys() {
            let flag = Arg::new(key.path.as_str()).long(key.flag.as_str()).value_name("VALUE");
            let help = format!("{} [env: {}]", key.doc, key.env());
            command = command.arg(flag.help(help).help_heading("Configuration").allow_hyphen_values(true));
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.file = matches.get_one("config").cloned();
        self.values = keys()
            .iter()
            .filter_map(|key| {
                matches.get_one::<String>(&key.path).map(|value| (key.path.clone(), value.clone()))
            })
            .collect();
        Ok(())
    }
}
