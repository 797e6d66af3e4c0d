//! File, environment and flags to a [`Config`], or what is wrong, where, and what would be right.
//!
//! Each key is checked alone before all are merged: so an error names its own place, whichever of the
//! three it came from.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use dnsvet_core::lists::{self, Format};
use dnsvet_core::name::Name;
use dnsvet_core::policy::Group;
use dnsvet_core::policy::identity::{LEAST_SECRET_CHARACTERS, is_path_id};
use dnsvet_core::verdict::Action;
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::keys::{list_fields, nearest, schedule_fields, section, table_fields};
use super::names::{self, Missing};
use super::{Config, Key, Kind, Models, keys};
use crate::store::now_ms;
use crate::upstream::system::name_server;
use crate::{bundles, zones};

/// Where a value was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file and its line, from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A flag, without dashes.
    Flag(String),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path, line) => write!(f, "{}:{line}", path.display()),
            Place::Environment(name) => write!(f, "environment variable {name}"),
            Place::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file named can't be read.
    #[error("{}: can't be read ({source}); name another with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{place}: not TOML: {why}")]
    Syntax {
        /// File and line.
        place: Place,
        /// What the parser said.
        why: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`; {}", remedy(nearest.as_deref()))]
    UnknownKey {
        /// Where it stands.
        place: Place,
        /// As written.
        key: String,
        /// The known key nearest to it.
        nearest: Option<String>,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: `{key}` is {got}; expected {expected}")]
    BadValue {
        /// Where it stands.
        place: Place,
        /// The key.
        key: String,
        /// What a right value looks like.
        expected: String,
        /// What was there.
        got: String,
    },
}

fn remedy(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => "`dnsvet config reference` lists every key".into(),
    }
}

/// The most worker threads.
const MOST_WORKERS: usize = 512;

/// Variables of the same prefix that are no keys: of other commands, of the scorer, of the tests.
const NOT_KEYS: [&str; 8] = [
    "DNSVET_CHDB",
    "DNSVET_CONFIG",
    "DNSVET_CONTROL",
    "DNSVET_ENVOY",
    "DNSVET_LOG",
    "DNSVET_LONG",
    "DNSVET_SEED",
    "DNSVET_TOKEN_FILE",
];
/// The scorer's own variables begin so.
const SCORER: &str = "DNSVET_SCORER_";

impl Config {
    /// Loads `file` (none: `dnsvet.toml` in the working folder, if there is one), then `DNSVET_*` of
    /// `environment`, then `flags` as key and text; later ones win.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        flags: &[(String, String)],
    ) -> Result<Config, ConfigError> {
        let mut merged = Table::new();
        let mut places = HashMap::new();
        let usual = Path::new("dnsvet.toml");
        if let Some(path) = file.or_else(|| usual.exists().then_some(usual)) {
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            for (key, value, line) in read_file(path, &text)? {
                let place = Place::File(path.to_owned(), line);
                check(key, &value, &place)?;
                insert(&mut merged, key, value);
                places.insert(key.path.as_str(), place);
            }
        }
        for (name, text) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with("DNSVET_")) else { continue };
            if NOT_KEYS.contains(&name) || name.starts_with(SCORER) {
                continue;
            }
            let place = Place::Environment(name.to_owned());
            let Some(key) = keys().iter().find(|key| key.env() == name) else {
                let names: Vec<String> = keys().iter().map(Key::env).collect();
                let nearest = nearest_text(name, &names);
                return Err(ConfigError::UnknownKey { place, key: name.to_owned(), nearest });
            };
            let value = from_text(key, &text.to_string_lossy(), &place)?;
            check(key, &value, &place)?;
            insert(&mut merged, key, value);
            places.insert(key.path.as_str(), place);
        }
        for (path, text) in flags {
            let place = Place::Flag(path.replace(['.', '_'], "-"));
            let key = known(path, &place)?;
            let value = from_text(key, text, &place)?;
            check(key, &value, &place)?;
            insert(&mut merged, key, value);
            places.insert(key.path.as_str(), place);
        }
        inherit(&mut merged);
        let nowhere = || Place::File(file.unwrap_or(usual).to_owned(), 1);
        let config: Config = merged.try_into().map_err(|error: toml::de::Error| ConfigError::Syntax {
            place: nowhere(),
            why: error.message().to_owned(),
        })?;
        // Each key is right by now; what one names may be in another.
        names::check(&config).map_err(|Missing { key, got, expected }| ConfigError::BadValue {
            place: places.remove(key).unwrap_or_else(nowhere),
            key: key.to_owned(),
            expected,
            got,
        })?;
        Ok(config)
    }
}

fn known(path: &str, place: &Place) -> Result<&'static Key, ConfigError> {
    keys().iter().find(|key| key.path == path).ok_or_else(|| ConfigError::UnknownKey {
        place: place.clone(),
        key: path.to_owned(),
        nearest: nearest(path, keys().iter().map(|key| key.path.as_str())).map(str::to_owned),
    })
}

fn nearest_text(wrong: &str, names: &[String]) -> Option<String> {
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    nearest(wrong, lower.iter().map(String::as_str)).map(str::to_uppercase)
}

/// The keys of a file with their values and lines.
fn read_file(path: &Path, text: &str) -> Result<Vec<(&'static Key, Value, usize)>, ConfigError> {
    let line_of = |byte: usize| text.bytes().take(byte).filter(|&byte| byte == b'\n').count() + 1;
    let at = |byte: usize| Place::File(path.to_owned(), line_of(byte));
    let syntax = |error: toml::de::Error| ConfigError::Syntax {
        place: at(error.span().map_or(0, |span| span.start)),
        why: error.message().to_owned(),
    };
    let spanned = DeTable::parse(text).map_err(syntax)?;
    let values: Table = text.parse().map_err(syntax)?;
    let mut found = Vec::new();
    for (name, value) in spanned.get_ref() {
        let top = name.get_ref().as_ref();
        if section(top).is_none() {
            let key = known(top, &at(name.span().start))?;
            match key.kind {
                Kind::Tables => check_tables(top, value.get_ref(), &at)?,
                Kind::Mixed => check_lists(value.get_ref(), &at)?,
                _ => {}
            }
            if let Some(value) = values.get(top) {
                found.push((key, value.clone(), line_of(name.span().start)));
            }
            continue;
        }
        let Some(fields) = value.get_ref().as_table() else {
            return Err(ConfigError::BadValue {
                place: at(name.span().start),
                key: top.to_owned(),
                expected: format!("a table; write [{top}] and its keys below"),
                got: kind_of(value.get_ref().type_str()),
            });
        };
        for field in fields.keys() {
            let key = known(&format!("{top}.{}", field.get_ref()), &at(field.span().start))?;
            if let Some(value) = values.get(top).and_then(|table| table.get(field.get_ref().as_ref())) {
                found.push((key, value.clone(), line_of(field.span().start)));
            }
        }
    }
    Ok(found)
}

/// Unknown keys and wrong types inside the tables of a key, each with its own line.
fn check_tables(key: &str, tables: &DeValue<'_>, at: &dyn Fn(usize) -> Place) -> Result<(), ConfigError> {
    let fields = table_fields(key);
    let schedule = schedule_fields();
    let refuse = |name: &str, byte: usize, known: &[String]| {
        if known.iter().any(|field| field == name) {
            return Ok(());
        }
        let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Err(ConfigError::UnknownKey { place: at(byte), key: format!("{key}.{name}"), nearest })
    };
    for group in tables.as_array().into_iter().flat_map(|tables| tables.iter()) {
        for (name, value) in group.get_ref().as_table().into_iter().flatten() {
            refuse(name.get_ref(), name.span().start, &fields)?;
            for inner in value.get_ref().as_array().into_iter().flat_map(|inner| inner.iter()) {
                for name in inner.get_ref().as_table().into_iter().flat_map(|table| table.keys()) {
                    refuse(name.get_ref(), name.span().start, &schedule)?;
                }
            }
        }
    }
    Ok(())
}

/// Unknown keys inside the tables of `lists`, each with its own line.
fn check_lists(lists: &DeValue<'_>, at: &dyn Fn(usize) -> Place) -> Result<(), ConfigError> {
    let fields: Vec<&str> = list_fields().into_iter().map(|(name, ..)| name).collect();
    let items = lists.as_array().into_iter().flat_map(|items| items.iter());
    for name in items.filter_map(|item| item.get_ref().as_table()).flat_map(|table| table.keys()) {
        if !fields.contains(&name.get_ref().as_ref()) {
            let nearest = nearest(name.get_ref(), fields.iter().copied()).map(str::to_owned);
            let key = format!("lists.{}", name.get_ref());
            return Err(ConfigError::UnknownKey { place: at(name.span().start), key, nearest });
        }
    }
    Ok(())
}

/// A text of the environment or a flag as the key's type.
fn from_text(key: &Key, text: &str, place: &Place) -> Result<Value, ConfigError> {
    let bad = |got: String| ConfigError::BadValue {
        place: place.clone(),
        key: key.path.clone(),
        expected: key.expected().to_owned(),
        got,
    };
    match key.kind {
        Kind::Text => Ok(Value::String(text.to_owned())),
        Kind::Count => text.trim().parse().map(Value::Integer).map_err(|_| bad(format!("`{text}`"))),
        Kind::Number => text.trim().parse().map(Value::Float).map_err(|_| bad(format!("`{text}`"))),
        Kind::Mixed if text.trim_start().starts_with('[') => {
            inline(text, |value| check_lists(value, &|_| place.clone()))?
                .ok_or_else(|| bad(format!("`{text}`")))
        }
        Kind::TextList | Kind::Mixed => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Ok(Value::Array(parts.map(|part| Value::String(part.to_owned())).collect()))
        }
        Kind::Tables => inline(text, |value| check_tables(&key.path, value, &|_| place.clone()))?
            .ok_or_else(|| bad(format!("`{text}`"))),
    }
}

/// A TOML value of one line, looked at by `check`; `None` if it is none.
fn inline(
    text: &str,
    check: impl FnOnce(&DeValue<'_>) -> Result<(), ConfigError>,
) -> Result<Option<Value>, ConfigError> {
    let document = format!("value = {text}");
    let Ok(spanned) = DeTable::parse(&document) else { return Ok(None) };
    let Some(value) = spanned.get_ref().get("value") else { return Ok(None) };
    check(value.get_ref())?;
    Ok(document.parse::<Table>().ok().and_then(|mut table| table.remove("value")))
}

/// Whether this key alone makes a configuration, and one that can work.
fn check(key: &Key, value: &Value, place: &Place) -> Result<(), ConfigError> {
    let bad = |got: String| ConfigError::BadValue {
        place: place.clone(),
        key: key.path.clone(),
        expected: key.expected().to_owned(),
        got,
    };
    let mut alone = Table::new();
    insert(&mut alone, key, value.clone());
    let config: Config = alone.try_into().map_err(|error: toml::de::Error| {
        let said = error.message().trim_end().to_owned();
        if same_kind(key, value) {
            bad(format!("{} ({said})", shown(value)))
        } else {
            bad(kind_of(value.type_str()))
        }
    })?;
    match key.path.as_str() {
        "data_dir" if config.data_dir.as_os_str().is_empty() => {
            return Err(bad("empty".into()));
        }
        "upstreams" => {
            let servers = config.upstreams.iter().filter(|_| config.upstreams != ["demo"]);
            for upstream in servers {
                if name_server(upstream).is_none() {
                    return Err(bad(format!("`{upstream}`, no address")));
                }
            }
        }
        "rules" => {
            for rule in &config.rules {
                rule_works(rule).map_err(bad)?;
            }
        }
        "discovery" => {
            if let Some(door) = config.discovery.iter().find(|door| door.record(1).is_none()) {
                return Err(bad(format!("`{}`, no name of a door", door.name)));
            }
        }
        "models.drift_score" | "models.drift_tld" | "models.drift_uncertain" => {
            let Models { drift_score, drift_tld, drift_uncertain, .. } = config.models;
            let most = |number: f64, most: f64| (0.0..=most).contains(&number);
            if !(most(drift_score, f64::MAX) && most(drift_tld, f64::MAX) && most(drift_uncertain, 1.0)) {
                return Err(bad(shown(value)));
            }
        }
        "workers" if config.workers > MOST_WORKERS => {
            return Err(bad(format!("{}, and each is a thread; at most {MOST_WORKERS}", config.workers)));
        }
        "local_zones" => {
            for zone in &config.local_zones {
                Name::parse(zone).map_err(|error| bad(format!("`{zone}` ({error})")))?;
            }
        }
        "scorer" if !config.scorer.is_empty() && !config.scorer.starts_with("http://") => {
            return Err(bad(format!("`{}`", config.scorer)));
        }
        "clickhouse.url" if !["http://", "https://"].iter().any(|s| config.clickhouse.url.starts_with(s)) => {
            return Err(bad(format!("`{}`", config.clickhouse.url)));
        }
        "clickhouse.database" if !is_identifier(&config.clickhouse.database) => {
            return Err(bad(format!("`{}`", config.clickhouse.database)));
        }
        "store"
            if !["sqlite", "clickhouse"].contains(&config.store.as_str())
                && !config.store.starts_with("sqlite:") =>
        {
            return Err(bad(format!("`{}`, a store that this build does not have", config.store)));
        }
        "listen.forward" if config.listen.forward.is_some_and(|address| !address.ip().is_loopback()) => {
            return Err(bad("not a loopback address, and this door vets nothing".into()));
        }
        "groups" => {
            let mut names: Vec<&str> = config.groups.iter().map(|group| group.name.as_str()).collect();
            names.sort_unstable();
            if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(bad(format!("two groups with the name `{}`", pair[0])));
            }
            for group in &config.groups {
                group_works(group).map_err(|got| bad(format!("`{}` with {got}", group.name)))?;
            }
            let mut owners = HashMap::new();
            for (net, group) in
                config.groups.iter().flat_map(|group| group.clients.iter().map(move |net| (net, group)))
            {
                if let Some(other) = owners.insert(net.trunc(), &group.name)
                    && *other != group.name
                {
                    return Err(bad(format!("`{other}` and `{}` both with the clients {net}", group.name)));
                }
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether a text needs no quotes in SQL.
fn is_identifier(text: &str) -> bool {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a text is a rule; else why not.
fn rule_works(text: &str) -> Result<(), String> {
    let (entries, rejected, _) = lists::collect(text.as_bytes(), Format::Adblock);
    match rejected.first() {
        Some(rejected) => Err(format!("the rule `{}` ({})", rejected.text, rejected.why)),
        None if entries.is_empty() => Err(format!("the rule `{text}`, which says nothing")),
        None => Ok(()),
    }
}

/// Whether a group can do what it says; else what it can't.
fn group_works(group: &Group) -> Result<(), String> {
    for rule in &group.rules {
        rule_works(rule)?;
    }
    if let Some(unknown) = group.bundles.iter().find(|name| bundles::text(name).is_none()) {
        return Err(format!("the bundle `{unknown}`, which is not there; there are: {}", bundles::names()));
    }
    let too_short =
        |secret: &&String| !secret.starts_with("blake3:") && secret.len() < LEAST_SECRET_CHARACTERS;
    if group.path_ids.iter().chain(&group.tokens).any(|secret| too_short(&secret)) {
        return Err(format!(
            "an id or token of fewer than {LEAST_SECRET_CHARACTERS} characters, which can be guessed"
        ));
    }
    if let Some(wrong) = group.path_ids.iter().find(|id| !id.starts_with("blake3:") && !is_path_id(id)) {
        let start: String = wrong.chars().take(4).collect();
        return Err(format!("the path id `{start}…`; an id has letters, digits, `-` and `_` only"));
    }
    if matches!(group.block_action, Action::Allow | Action::Custom) {
        let word = group.block_action.as_str();
        return Err(format!(
            "block_action = \"{word}\", which blocks nothing; to block nothing say lists = \"off\""
        ));
    }
    for schedule in &group.schedules {
        Name::parse(&schedule.name)
            .map_err(|error| format!("the schedule of `{}` ({error})", schedule.name))?;
        if schedule.name.is_empty() && schedule.lists.is_empty() {
            return Err("a schedule that names nothing: give it a `name` or `lists`".to_owned());
        }
        zones::offsets(&schedule.zone, now_ms()).map_err(|error| error.to_string())?;
        if schedule.from_minute >= 1_440 || schedule.to_minute > 1_440 {
            return Err(format!("the schedule of `{}`: minutes of a day are 0 to 1440", schedule.name));
        }
    }
    Ok(())
}

/// What a group leaves out follows the keys above it.
fn inherit(merged: &mut Table) {
    let mode = |name: &str| merged.get("mode").and_then(|mode| mode.get(name)).cloned();
    let above = [
        ("lists", mode("lists")),
        ("models", mode("models")),
        ("failure_mode", merged.get("failure_mode").cloned()),
    ];
    let groups = merged.get_mut("groups").and_then(Value::as_array_mut).into_iter().flatten();
    for group in groups.filter_map(Value::as_table_mut) {
        for (field, value) in &above {
            if let (Some(value), false) = (value, group.contains_key(*field)) {
                group.insert((*field).to_owned(), value.clone());
            }
        }
    }
}

fn same_kind(key: &Key, value: &Value) -> bool {
    key.default.same_type(value)
}

fn kind_of(toml_type: &str) -> String {
    match toml_type {
        "string" => "a text".into(),
        "integer" => "a whole number".into(),
        "float" => "a number with a fraction".into(),
        "array" => "an array".into(),
        other => format!("a {other}"),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        text
    } else {
        format!("{}...", text.chars().take(57).collect::<String>())
    }
}

fn insert(table: &mut Table, key: &Key, value: Value) {
    match key.path.split_once('.') {
        None => {
            table.insert(key.path.clone(), value);
        }
        Some((section, field)) => {
            let inner = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                inner.insert(field.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StoreKind;
    use dnsvet_core::policy::Mode;

    fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let flags: Vec<_> = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let name = file.path().display().to_string();
        Config::load(Some(file.path()), environment, &flags).map_err(|e| e.to_string().replace(&name, "F"))
    }

    #[test]
    fn an_empty_file_is_the_defaults() {
        assert_eq!(load("", &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        assert_eq!(
            load("upstreams = [\"demo\"]", &[("DNSVET_SCORER_MODEL", "small")], &[]).unwrap().upstreams,
            ["demo"]
        );
        let text = "workers = 1\nupstreams = [\"192.0.2.1\"]\n[listen]\ndoh = \"\"\n[mode]\nmodels = \"off\"";
        let env = [("DNSVET_WORKERS", "2"), ("DNSVET_MODE__MODELS", "enforce"), ("PATH", "/bin")];
        let config = load(text, &env, &[("workers", "3"), ("upstreams", "192.0.2.2, [::1]:5353")]).unwrap();
        assert_eq!((config.workers, config.mode.models, config.listen.doh), (3, Mode::Enforce, None));
        assert_eq!(config.upstreams, ["192.0.2.2", "[::1]:5353"]);
        assert_eq!(
            config.listen.dns,
            Config::default().listen.dns,
            "the rest of a section keeps its defaults"
        );
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_line_and_the_nearest_key() {
        for (text, message) in [
            ("\n\nupstream = []", "F:3: unknown key `upstream`; did you mean `upstreams`?"),
            ("[listen]\ndsn = \"\"", "F:2: unknown key `listen.dsn`; did you mean `listen.dns`?"),
            (
                "[[groups]]\nname = \"a\"\nclint = []",
                "F:3: unknown key `groups.clint`; did you mean `clients`?",
            ),
            ("qqqq = 1", "F:1: unknown key `qqqq`; `dnsvet config reference` lists every key"),
        ] {
            assert_eq!(load(text, &[], &[]).unwrap_err(), message);
        }
        let message = load("", &[("DNSVET_GROUPS", "[{ name = \"a\", clint = [] }]")], &[]).unwrap_err();
        assert_eq!(
            message,
            "environment variable DNSVET_GROUPS: unknown key `groups.clint`; did you mean `clients`?"
        );
        let message = load("", &[("DNSVET_LISTEN_DNS", "")], &[]).unwrap_err();
        assert!(message.ends_with("did you mean `DNSVET_LISTEN__DNS`?"), "{message}");
    }

    #[test]
    fn a_wrong_value_is_refused_with_place_and_what_was_expected() {
        for (text, message) in [
            ("workers = \"two\"", "F:1: `workers` is a text; expected a whole number from 0"),
            ("# x\n[mode]\nlists = \"on\"", "F:3: `mode.lists` is \"on\" (unknown variant `on`"),
            ("listen = 53", "F:1: `listen` is a whole number; expected a table; write [listen]"),
            ("[listen]\ndns = \"53\"", "F:2: `listen.dns` is \"53\" (`53` is no address with port"),
            ("upstreams = [\"dns.example\"]", "F:1: `upstreams` is `dns.example`, no address"),
            ("[listen]\nforward = \"0.0.0.0:1\"", "F:2: `listen.forward` is not a loopback address"),
            ("workers = 100000", "F:1: `workers` is 100000, and each is a thread; at most 512"),
            ("store = \"mongo\"", "F:1: `store` is `mongo`, a store that this build does not have"),
            ("[clickhouse]\nurl = \"db:9000\"", "F:2: `clickhouse.url` is `db:9000`; expected a URL such as"),
            (
                "[clickhouse]\ndatabase = \"a-b\"",
                "F:2: `clickhouse.database` is `a-b`; expected letters, digits",
            ),
            ("[models]\ndrift_score = -0.5", "F:2: `models.drift_score` is -0.5; expected a number from 0"),
            (
                "[models]\ndrift_uncertain = 1.5",
                "F:2: `models.drift_uncertain` is 1.5; expected a number from 0 to 1",
            ),
            ("[models]\ndrift_tld = nan", "F:2: `models.drift_tld` is nan; expected a number from 0"),
            ("a = [", "F:1: not TOML"),
        ] {
            let error = load(text, &[], &[]).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        let fraction =
            load("", &[("DNSVET_MODELS__DRIFT_TLD", "0.5")], &[("models.drift_score", "1")]).unwrap();
        assert_eq!((fraction.models.drift_tld, fraction.models.drift_score), (0.5, 1.0));
        let message = load("", &[("DNSVET_WORKERS", "x")], &[]).unwrap_err();
        assert!(message.starts_with("environment variable DNSVET_WORKERS: `workers` is `x`"), "{message}");
        let message = load("", &[], &[("workers", "-1")]).unwrap_err();
        assert!(message.starts_with("flag --workers: `workers` is -1"), "{message}");
    }

    #[test]
    fn lists_are_texts_and_tables_from_each_place() {
        let text = "lists = [\"allow:ours.txt\", { source = \"https://lists.example/ads\", mode = \"log\" }]";
        let from_file = load(text, &[], &[]).unwrap();
        let inline = "[\"allow:ours.txt\", { source = \"https://lists.example/ads\", mode = \"log\" }]";
        assert_eq!(load("", &[("DNSVET_LISTS", inline)], &[]).unwrap(), from_file);
        let texts = load("", &[], &[("lists", "allow:ours.txt, https://lists.example/ads")]).unwrap();
        assert_eq!(texts.lists[0], from_file.lists[0]);
        assert_eq!((texts.lists[1].mode, from_file.lists[1].mode), (Mode::Enforce, Mode::Log));
        let tables = "[[lists]]\nsource = \"https://lists.example/ads\"\nmode = \"log\"";
        assert_eq!(load(tables, &[], &[]).unwrap().lists, from_file.lists[1..]);
    }

    #[test]
    fn a_wrong_list_is_refused_with_its_place_and_the_reason() {
        for (text, message) in [
            ("\n[[lists]]\nsorce = \"x\"", "F:3: unknown key `lists.sorce`; did you mean `source`?"),
            ("lists = [{ source = \"x\", every = 3 }]", "F:1: unknown key `lists.every`"),
            ("lists = [3]", "F:1: `lists` is [3] (invalid type"),
            (
                "lists = [\"ftp://a.example/b\"]",
                "F:1: `lists` is [\"ftp://a.example/b\"] (list `ftp://a.example/b`: ",
            ),
            ("lists = [{ name = \"x\" }]", "F:1: `lists` is [{ name = \"x\" }] (a list without `source`"),
            (
                "lists = [{ source = \"a\", name = \"x\" }, { source = \"b\", name = \"x\" }]",
                "F:1: `lists` is [{ name = \"x\", source = \"a\" }, { name = \"x\", source = \"b\" }] (two lists with the name `x`",
            ),
        ] {
            let error = load(text, &[], &[]).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn lists_of_one_file_name_are_told_apart() {
        let text = "lists = [\"/a/ads.txt\", \"/b/ads.txt\", { source = \"/c/x\", name = \"ads-2\" }]";
        let names: Vec<_> = load(text, &[], &[]).unwrap().lists.into_iter().map(|list| list.name).collect();
        assert_eq!(names, ["ads", "ads-3", "ads-2"]);
    }

    #[test]
    fn groups_come_from_the_file_and_from_the_environment() {
        let text = "[[groups]]\nname = \"kids\"\nclients = [\"10.1.0.0/16\"]\nmodels = \"enforce\"";
        let from_file = load(text, &[], &[]).unwrap();
        let inline = "[{ name = \"kids\", clients = [\"10.1.0.0/16\"], models = \"enforce\" }]";
        assert_eq!(load("", &[("DNSVET_GROUPS", inline)], &[]).unwrap(), from_file);
        assert_eq!(from_file.groups[0].models, Mode::Enforce);
    }

    #[test]
    fn groups_and_lists_that_are_not_there_are_refused_where_they_are_named() {
        let lists = "lists = [{ source = \"x\", name = \"ads\", groups = [\"kids\"] }]\n";
        let kids = "[[groups]]\nname = \"kids\"\nclients = [\"10.1.0.0/16\"]\nbundles = [\"block_tiktok\"]\n";
        let with = |more: &str| load(&format!("{lists}{kids}{more}"), &[], &[]);
        let schedule = |list: &str| format!("schedules = [{{ lists = [\"{list}\"], to_minute = 9 }}]");
        with("use_lists = [\"ads\", \"bundle:block_tiktok\"]").unwrap();
        with(&schedule("bundle:block_tiktok")).unwrap();
        with("[[groups]]\nname = \"lab\"").unwrap();
        with("rules = [\"||ads.example^\"]\nuse_lists = [\"rules:kids\"]").unwrap();
        let twice = kids.replace("\"]\nbundles", "\", \"10.1.2.3/16\"]\nbundles");
        load(&twice, &[], &[]).unwrap();
        // The group for everybody that no one wrote.
        load(&lists.replace("kids", "default"), &[], &[]).unwrap();
        for (text, error) in [
            (
                lists.replace("kids", "everybody"),
                "F:1: `lists` is `ads` for the group `everybody`, which is not there; expected one of: default",
            ),
            (
                format!("{lists}{kids}[[groups]]\nname = \"lab\"\nuse_lists = [\"ads\"]"),
                "F:2: `groups` is `lab` with use_lists with the list `ads`, which it does not have",
            ),
            (
                format!("{kids}use_lists = [\"rules:kids\"]"),
                "F:1: `groups` is `kids` with use_lists with the list `rules:kids`, which it does not have",
            ),
            (
                lists.replace("kids", "kidz"),
                "F:1: `lists` is `ads` for the group `kidz`, which is not there; expected one of: default",
            ),
            (
                format!("{lists}{kids}use_lists = [\"nope\"]"),
                "F:2: `groups` is `kids` with use_lists with the list `nope`, which it does not have; expected one of: ads, bundle:block_tiktok, popular-",
            ),
            (
                format!("{lists}{kids}{}", schedule("bundle:block_tikTok")),
                "F:2: `groups` is `kids` with a schedule for the list `bundle:block_tikTok`, which",
            ),
            (
                format!("{lists}{kids}{}", schedule("bundle:safe_search")),
                "F:2: `groups` is `kids` with a schedule for the list `bundle:safe_search`, which",
            ),
            (
                format!("{kids}[[groups]]\nname = \"b\"\nclients = [\"10.1.2.3/16\"]"),
                "F:1: `groups` is `kids` and `b` both with the clients 10.1.2.3/16",
            ),
            ("data_dir = \"\"".to_owned(), "F:1: `data_dir` is empty"),
        ] {
            let got = load(&text, &[], &[]).unwrap_err();
            assert!(got.starts_with(error), "{text}: {got}");
        }
    }

    #[test]
    fn what_a_group_leaves_out_follows_the_keys_above_it() {
        let text = "failure_mode = \"deny\"\n[mode]\nmodels = \"off\"\n[[groups]]\nname = \"a\"\n[[groups]]\nname = \"b\"\nmodels = \"log\"";
        let groups = load(text, &[], &[("mode.lists", "log")]).unwrap().groups;
        assert_eq!((groups[0].lists, groups[0].models), (Mode::Log, Mode::Off));
        assert_eq!(
            (groups[0].failure_mode, groups[1].models),
            (dnsvet_core::policy::FailureMode::Deny, Mode::Log)
        );
    }

    #[test]
    fn a_store_is_chosen_and_its_password_is_not_shown() {
        let kind = |store: &str| load(&format!("store = \"{store}\""), &[], &[]).unwrap().store_kind();
        assert_eq!(kind("sqlite"), StoreKind::Sqlite("dnsvet-data/events.db".into()));
        assert_eq!(kind("sqlite:/srv/clickhouse"), StoreKind::Sqlite("/srv/clickhouse".into()));
        assert_eq!(kind("clickhouse"), StoreKind::ClickHouse);
        let env = [("DNSVET_CLICKHOUSE__PASSWORD", "hush-hush")];
        let config = load("[clickhouse]\nuser = \"ours\"", &env, &[]).unwrap();
        assert_eq!(
            (config.clickhouse.user.as_str(), config.clickhouse.password.as_str()),
            ("ours", "hush-hush")
        );
        let shown = format!("{config:?}");
        assert!(shown.contains("ours") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Some(Path::new("/nowhere/x.toml")), [], &[]).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/x.toml: can't be read"), "{error}");
    }
}
