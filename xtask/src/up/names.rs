//! Which names the demonstration asks. Those that the models judge are looked for when it runs, by asking
//! `dnsvet check`, so that a new model or list needs no new table.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::line::Options;
use crate::{shell, workspace};

/// Names tried at once, and how often, until each kind is found.
const BATCH: usize = 400;
const BATCHES: usize = 20;

/// One name of the demonstration.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it shows.
    pub what: &'static str,
    /// The name.
    pub name: String,
    /// The action that must come out.
    pub action: String,
}

/// A person's decision that the demonstration makes beforehand.
pub struct Seed {
    /// The name.
    pub name: String,
    /// `benign`, `malicious` or `honeypot`.
    pub decision: &'static str,
}

/// The demonstration before and after its decisions are in force.
pub struct Demo {
    /// To be decided first.
    pub seeds: Vec<Seed>,
    /// To be asked then.
    pub cases: Vec<Case>,
}

/// Chooses all names.
pub fn choose(options: &Options) -> Result<Demo, Error> {
    let case =
        |what, name: &str, action: &str| Case { what, name: name.to_owned(), action: action.to_owned() };
    let mut draw = Draw::new();
    let listed = draw.distinct(&entries(LIST)?, 2);
    let [first, second] = listed.as_slice() else {
        return Err(Error::Found(vec![format!("{LIST}: too few names")]));
    };
    // A person knows better than a list; and better than a model that finds nothing.
    let (bad, trap) = (format!("{}.example.net", draw.word(6)), format!("{}.example.org", draw.word(6)));
    let seeds = vec![
        Seed { name: second.clone(), decision: "benign" },
        Seed { name: bad.clone(), decision: "malicious" },
        Seed { name: trap.clone(), decision: "honeypot" },
    ];
    let mut cases = vec![
        case("vetted benign, listed", second, "allow"),
        case("vetted malicious", &bad, "nxdomain"),
        case("vetted honeypot", &trap, "honeypot"),
        case("listed", first, "nxdomain"),
        case("below a listed name", &format!("www.{first}"), "nxdomain"),
    ];
    cases.extend(judged_by_models(options, &mut draw)?);
    Ok(Demo { seeds, cases })
}

/// The bundled blocklist and the bundled popularity list.
const LIST: &str = "host/bundled/blocklist.txt.zst";
const POPULAR: &str = "host/bundled/popular-toplists.txt.zst";

fn entries(file: &str) -> Result<Vec<String>, Error> {
    let path = workspace::root().join(file);
    let packed = std::fs::File::open(&path).map_err(Error::file(&path))?;
    let bytes = zstd::decode_all(packed).map_err(Error::file(&path))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    Ok(lines.map(str::to_owned).collect())
}

/// Unlisted names that the models find benign, malicious, and neither.
fn judged_by_models(options: &Options, draw: &mut Draw) -> Result<Vec<Case>, Error> {
    const KINDS: [&str; 3] =
        ["unlisted, model: benign", "unlisted, model: malicious", "unlisted, model: uncertain"];
    let popular = entries(POPULAR)?;
    let mut found: [Option<Case>; 3] = [None, None, None];
    for _ in 0..BATCHES {
        let mut names = draw.distinct(&popular, BATCH / 4);
        names.extend((0..BATCH).map(|_| draw.machine_domain()));
        for item in check(options, &names)? {
            let kind = match kind_of(&item) {
                Some(kind) if found[kind].is_none() => kind,
                _ => continue,
            };
            let name = item["name"].as_str().unwrap_or_default().to_owned();
            let action = item["verdict"]["action"].as_str().unwrap_or_default().to_owned();
            found[kind] = Some(Case { what: KINDS[kind], name, action });
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    let missing = KINDS.iter().zip(&found).filter(|(_, case)| case.is_none()).map(|(kind, _)| kind);
    let missing: Vec<String> = missing.map(|kind| format!("no name found for: {kind}")).collect();
    if missing.is_empty() { Ok(found.into_iter().flatten().collect()) } else { Err(Error::Found(missing)) }
}

/// 0 benign, 1 malicious, 2 neither; none if the models had no say.
fn kind_of(item: &Value) -> Option<usize> {
    let reasons: Vec<&str> =
        item["verdict"]["reasons"].as_array()?.iter().filter_map(Value::as_str).collect();
    let only_models = reasons.iter().all(|reason| matches!(*reason, "model" | "not_confident"));
    let scored = item["score"].is_number();
    match item["verdict"]["action"].as_str()? {
        _ if !scored || !only_models => None,
        "allow" if reasons.contains(&"not_confident") => Some(2),
        "allow" => Some(0),
        _ => Some(1),
    }
}

/// `dnsvet check --json`, with the running scorer and the snapshot in force.
fn check(options: &Options, names: &[String]) -> Result<Vec<Value>, Error> {
    let mut command = Command::new(workspace::binary("dnsvet", options.release));
    command.args(["check", "--json", "--data-dir"]).arg(options.data_dir());
    command.arg("--scorer").arg(format!("http://127.0.0.1:{}", options.ports.scorer)).args(names);
    let text = shell::output(&mut command)?;
    let parsed: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    parsed.map_err(|error| Error::Found(vec![format!("dnsvet check --json: {error}")]))
}

/// Draws names; seeded by the randomness of the standard hasher.
struct Draw(RandomState, u64);

impl Draw {
    fn new() -> Self {
        Self(RandomState::new(), 0)
    }

    fn below(&mut self, below: usize) -> usize {
        self.1 += 1;
        let mut hasher = self.0.build_hasher();
        hasher.write_u64(self.1);
        (hasher.finish() % below.max(1) as u64) as usize
    }

    fn word(&mut self, letters: usize) -> String {
        (0..letters).map(|_| char::from(b'a' + self.below(26) as u8)).collect()
    }

    fn machine_domain(&mut self) -> String {
        const ENDINGS: [&str; 6] = ["top", "xyz", "biz", "info", "com", "net"];
        let letters = 6 + self.below(14);
        let ending = ENDINGS[self.below(ENDINGS.len())];
        format!("{}.{ending}", self.word(letters))
    }

    fn distinct(&mut self, from: &[String], count: usize) -> Vec<String> {
        let mut picked: Vec<String> = Vec::new();
        while picked.len() < count.min(from.len()) {
            let name = &from[self.below(from.len())];
            if !picked.contains(name) {
                picked.push(name.clone());
            }
        }
        picked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_verdict_is_sorted_by_what_the_models_said() {
        let item = |action: &str, reasons: &[&str], score: Option<f64>| json!({"verdict": {"action": action, "reasons": reasons}, "score": score});
        assert_eq!(kind_of(&item("allow", &[], Some(0.001))), Some(0));
        assert_eq!(kind_of(&item("allow", &["model"], Some(0.001))), Some(0));
        assert_eq!(kind_of(&item("nxdomain", &["model"], Some(0.99))), Some(1));
        assert_eq!(kind_of(&item("allow", &["not_confident"], Some(0.5))), Some(2));
        assert_eq!(kind_of(&item("nxdomain", &["list"], None)), None);
        assert_eq!(kind_of(&item("allow", &["popular"], Some(0.99))), None);
    }
}
