//! `dnsvet unblock` and `dnsvet pause`: relief for a while, on the same machine, without a password.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::out::say;
use super::socket::{SocketError, ask, text, warn_of_mandatory};
use crate::config::Flags;

/// Unblock a name and all below it for a while.
#[derive(Debug, clap::Args)]
#[command(after_help = "What a mandatory list blocks stays blocked.

Examples:
  dnsvet unblock shop.example                      for an hour, for everybody
  dnsvet unblock shop.example --for 2d --group lab
  dnsvet unblock shop.example --end                before its time is over")]
pub struct UnblockArgs {
    /// The name; international names as people write them.
    name: String,
    #[command(flatten)]
    relief: ReliefArgs,
}

/// Pause protection for a while: lists and models only log; mandatory lists go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  dnsvet pause --for 10m --group kids
  dnsvet pause --end                               protection is back at once")]
pub struct PauseArgs {
    #[command(flatten)]
    relief: ReliefArgs,
}

#[derive(Debug, clap::Args)]
struct ReliefArgs {
    /// How long: 90s, 10m, 2h, 1d; at most 30d.
    #[arg(long = "for", value_name = "TIME", default_value = "1h", value_parser = duration)]
    lasts: Duration,
    /// End it now.
    #[arg(long, conflicts_with = "lasts")]
    end: bool,
    /// The group that it is for; all, if not said.
    #[arg(long, default_value = "")]
    group: String,
    /// Print what came back as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Unblocks a name.
pub fn unblock(args: UnblockArgs) -> Result<ExitCode, SocketError> {
    let name = args.name;
    give("/unblocks", json!({"name": name}), args.relief, &format!("{name} and all below it: allowed"))
}

/// Pauses protection.
pub fn pause(args: PauseArgs) -> Result<ExitCode, SocketError> {
    give("/pauses", json!({}), args.relief, "protection: paused")
}

fn give(path: &str, mut body: Value, args: ReliefArgs, what: &str) -> Result<ExitCode, SocketError> {
    let config = args.config.load()?;
    let seconds = if args.end { 0 } else { args.lasts.as_secs() };
    body["for_s"] = json!(seconds);
    body["group"] = json!(args.group);
    let body = ask(&config, path, &body)?;
    if args.json {
        say!("{}", body);
        return Ok(ExitCode::SUCCESS);
    }
    let group = if args.group.is_empty() { "everybody".to_owned() } else { format!("group {}", args.group) };
    let lasts = if args.end { "ended".to_owned() } else { format!("for {}", shown(args.lasts)) };
    say!(
        "{what}, for {group}, {lasts}; served after {} ms in snapshot {} (serial {})",
        body["took_ms"],
        text(&body, "snapshot"),
        body["serial"],
    );
    if !args.end {
        warn_of_mandatory(&body);
    }
    Ok(ExitCode::SUCCESS)
}

const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// `90s`, `10m`, `2h`, `1d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write 90s, 10m, 2h or 1d");
    let (number, unit) =
        UNITS.iter().find_map(|(end, unit)| Some((text.strip_suffix(end)?, unit))).ok_or_else(wrong)?;
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*unit));
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(wrong)
}

fn shown(lasts: Duration) -> String {
    let seconds = lasts.as_secs();
    let fits = UNITS.iter().find(|(_, unit)| seconds.is_multiple_of(*unit));
    fits.map_or_else(|| format!("{seconds}s"), |(end, unit)| format!("{}{end}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_unit_and_shown_in_the_largest_that_fits() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("2h", 7_200), ("1d", 86_400)] {
            let lasts = duration(text).unwrap();
            assert_eq!((lasts.as_secs(), shown(lasts).as_str()), (seconds, text));
        }
        for text in ["", "10", "h", "0m", "-1h", "1w", "99999999999999999999d"] {
            assert!(duration(text).unwrap_err().contains("write 90s"), "{text}");
        }
    }
}
