//! `dnsvet lists status`, `update` and `accept`: subscriptions of the dnsvet that runs on the data folder.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Value, json};

use super::out::say;
use super::socket::{SocketError, ask, text};
use crate::config::Flags;
use crate::control::now_ms;

/// How often a running update is asked how it goes.
const POLL: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub struct Status {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

#[derive(Debug, clap::Args)]
pub struct Update {
    /// The list's name, as `lists status` shows it; all lists without.
    name: Option<String>,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

#[derive(Debug, clap::Args)]
pub struct Accept {
    /// The list's name, as `lists status` shows it.
    name: String,
    /// Print what came back as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: Flags,
}

/// Says how each list stands.
pub fn status(args: &Status) -> Result<ExitCode, SocketError> {
    let body = ask(&args.config.load()?, "/lists/status", &json!({}))?;
    if args.json {
        say!("{body}");
    } else {
        lists(&body).for_each(|list| say!("{}", shown(list)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Has lists looked at, and says of each what came of it. Fails if one was not fetched or is kept back.
pub fn update(args: &Update, progress: &ProgressBar) -> Result<ExitCode, SocketError> {
    let config = args.config.load()?;
    let asked = ask(&config, "/lists/update", &json!({"name": args.name}))?;
    let names = asked["lists"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let wanted: BTreeSet<String> = names.map(str::to_owned).collect();
    let (mut open, mut done) = (wanted.clone(), Vec::new());
    while !open.is_empty() {
        progress.set_message(format!("{} of {} lists to go", open.len(), wanted.len()));
        std::thread::sleep(POLL);
        let body = ask(&config, "/lists/status", &json!({}))?;
        let here: BTreeSet<&str> = lists(&body).map(|list| text(list, "name")).collect();
        // Taken out of the configuration meanwhile.
        open.retain(|name| here.contains(name.as_str()));
        for list in lists(&body).filter(|list| text(list, "phase") == "idle") {
            if open.remove(text(list, "name")) {
                if !args.json {
                    progress.suspend(|| say!("{}", shown(list)));
                }
                done.push(list.clone());
            }
        }
    }
    progress.finish_and_clear();
    let is_good = done.iter().all(|list| list["problem"].is_null() && list["kept_back"].is_null());
    if args.json {
        say!("{}", json!({"lists": done}));
    } else if wanted.is_empty() {
        say!("no lists are configured: the bundled ones are in force");
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Puts the copy of a list that is kept back in force.
pub fn accept(args: &Accept) -> Result<ExitCode, SocketError> {
    let body = ask(&args.config.load()?, "/lists/accept", &json!({"name": args.name}))?;
    if args.json {
        say!("{body}");
    } else {
        let (name, snapshot) = (text(&body, "name"), text(&body, "snapshot"));
        say!("{name}: accepted, served in snapshot {snapshot} (serial {})", body["serial"]);
    }
    Ok(ExitCode::SUCCESS)
}

fn lists(body: &Value) -> impl Iterator<Item = &Value> {
    body["lists"].as_array().into_iter().flatten()
}

/// A list as people read it: one line, and one more for each thing to do.
fn shown(list: &Value) -> String {
    let now = now_ms();
    let source = Some(text(list, "source")).filter(|source| !source.is_empty()).unwrap_or("bundled");
    let mut line =
        format!("{} ({}): {} entries, {source}", text(list, "name"), text(list, "role"), list["entries"]);
    for (field, word) in [("last_fetched_ms", "fetched"), ("last_changed_ms", "changed")] {
        if let Some(at) = list[field].as_u64() {
            line += &format!(", {word} {} ago", span(now.saturating_sub(at)));
        }
    }
    if let Some(at) = list["next_fetch_ms"].as_u64() {
        line += &format!(", next in {}", span(at.saturating_sub(now)));
    }
    if let Some(problem) = list["problem"].as_str() {
        line += &format!("\n  problem: {problem}");
    }
    if let Some(held) = list.get("kept_back").filter(|held| !held.is_null()) {
        let since = span(now.saturating_sub(held["since_ms"].as_u64().unwrap_or(now)));
        let (why, entries, name) = (text(held, "why"), &held["entries"], text(list, "name"));
        line += &format!(
            "\n  a copy with {entries} rules is kept back since {since}: {why}\n  take it anyway: dnsvet lists accept {name}"
        );
    }
    line
}

/// A length of time in its largest whole unit.
fn span(ms: u64) -> String {
    match ms / 1_000 {
        s @ 0..60 => format!("{s} s"),
        s @ 60..3_600 => format!("{} min", s / 60),
        s @ 3_600..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_shown_with_what_is_to_be_done() {
        let now = now_ms();
        let list = json!({
            "name": "ads", "role": "block", "entries": 7, "source": "https://lists.example/ads",
            "last_fetched_ms": now - 7_200_000, "last_changed_ms": now - 300_000_000, "next_fetch_ms": null,
            "problem": "no", "kept_back": {"why": "it shrank", "since_ms": now - 90_000, "entries": 1},
        });
        let want = "ads (block): 7 entries, https://lists.example/ads, fetched 2 h ago, changed 3 d ago\n  problem: no\n  \
            a copy with 1 rules is kept back since 1 min: it shrank\n  take it anyway: dnsvet lists accept ads";
        assert_eq!(shown(&list), want);
        let bundled = json!({"name": "bundled", "role": "block", "entries": 7, "source": ""});
        assert_eq!(shown(&bundled), "bundled (block): 7 entries, bundled");
    }
}
