//! The keys of the configuration as data: for the environment, flags, the reference and "did you mean".

use std::sync::LazyLock;

use dnsvet_core::policy::{Designated, Group, NamedClient, Schedule};
use toml::{Table, Value};

use super::lists::ListTable;
use super::{ClickHouse, Compat, Config, Listen, Models, Modes, Retention, RpzOut};

/// How a key's value is written in the environment and as a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As it is.
    Text,
    /// A whole number.
    Count,
    /// A number with a fraction.
    Number,
    /// Texts with commas between them.
    TextList,
    /// A TOML array of tables: `[{ name = "kids", clients = ["10.1.0.0/16"] }]`.
    Tables,
    /// Texts with commas between them, or a TOML array of texts and tables.
    Mixed,
}

/// One key.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// With dots: `listen.dns`.
    pub path: String,
    /// What it is for.
    pub doc: String,
    /// How a text becomes its value.
    pub kind: Kind,
    /// Its value where nothing is said.
    pub default: Value,
    /// Its name as a flag, without the dashes: `listen-dns`.
    pub flag: String,
}

impl Key {
    /// Its name in the environment: `DNSVET_LISTEN__DNS`.
    pub fn env(&self) -> String {
        format!("DNSVET_{}", self.path.replace('.', "__").to_uppercase())
    }

    /// What a right value looks like, for error messages.
    pub fn expected(&self) -> &'static str {
        match self.path.as_str() {
            path if path.starts_with("listen.") => {
                "an address with port such as \"127.0.0.1:5300\", or \"\" for off"
            }
            path if path.starts_with("mode.") => "\"off\", \"log\" or \"enforce\"",
            "allow_from" => "networks such as [\"10.0.0.0/8\", \"::1/128\"]",
            "upstreams" => "addresses such as [\"192.0.2.53\", \"[2001:db8::53]:5353\"]",
            "lists" => {
                "texts such as [\"block:hosts:/etc/dnsvet/ads.hosts\"], or tables with the keys that `dnsvet config reference` shows"
            }
            "local_zones" => "names such as [\"corp.example\"]",
            "rules" => "texts in adblock syntax such as [\"||ads.example^\"]",
            "client_names" => "tables such as [{ name = \"tv\", nets = [\"10.0.0.9/32\"] }]",
            "discovery" => {
                "tables such as [{ name = \"dns.example\", protocols = [\"h2\"], port = 8443, doh_path = \"/dns-query{?dns}\", addresses = [\"192.0.2.1\"] }]"
            }
            "rpz.zone" => "a name such as \"rpz.example\"",
            "client_ptr" => "an address with port such as \"192.0.2.1:53\", or \"\" for none",
            "rpz.listen" => "an address with port such as \"127.0.0.1:5301\", or \"\" for off",
            "compat.mlbridge_listen" => "an address with port such as \"127.0.0.1:5000\", or \"\" for off",
            "rpz.keys" => "texts such as [\"hmac-sha256:transfer.example:BASE64\"]",
            "rpz.allow_from" => "networks such as [\"10.0.0.0/8\"]",
            "rpz.notify" => "addresses such as [\"192.0.2.53\", \"[2001:db8::53]:5353\"]",
            "groups" => "[[groups]] tables with the keys that `dnsvet config reference` shows",
            "failure_mode" => "\"allow\" or \"deny\"",
            "client_addresses" => "\"truncate\", \"plain\" or \"hash\"",
            "scorer" => "a URL such as \"http://127.0.0.1:8600\", or \"\" for none",
            "rdap" => "a URL such as \"https://rdap.org/\", or \"\" for none",
            "store" => "\"sqlite\", \"sqlite:PATH\" or \"clickhouse\"",
            "clickhouse.url" => "a URL such as \"http://127.0.0.1:8123\"",
            "clickhouse.database" => "letters, digits and underscores, such as \"dnsvet\"",
            "models.drift_uncertain" => "a number from 0 to 1, such as 0.1",
            _ if self.kind == Kind::Count => "a whole number from 0",
            _ if self.kind == Kind::Number => "a number from 0, such as 0.25",
            _ => "a text in quotes",
        }
    }
}

/// Every key, in the order of the structs.
pub fn keys() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let defaults = Table::try_from(Config::default()).unwrap_or_default();
        let mut keys = Vec::new();
        for (name, doc) in Config::DOCS {
            let Some(value) = defaults.get(*name) else { continue };
            match (section(name), value) {
                (Some(docs), Value::Table(table)) => {
                    for (field, doc) in docs {
                        let Some(value) = table.get(*field) else { continue };
                        keys.push(key(format!("{name}.{field}"), doc, value));
                    }
                }
                _ => keys.push(key((*name).to_owned(), doc, value)),
            }
        }
        keys
    });
    &KEYS
}

impl Config {
    /// The keys that differ in `fresh` and that a reload does not put in force: all but lists, groups, modes
    /// and local zones, which are in the snapshot.
    pub fn needs_restart(&self, fresh: &Config) -> Vec<String> {
        let tables = [self, fresh].map(|config| Table::try_from(config).unwrap_or_default());
        let mut changed = Vec::new();
        for key in keys() {
            let [before, after] = tables.each_ref().map(|table| {
                let mut parts = key.path.split('.');
                let first = parts.next().and_then(|part| table.get(part));
                parts.try_fold(first?, |value, part| value.get(part))
            });
            let differs = before != after;
            let said = match key.path.as_str() {
                "lists" | "local_zones" | "mode.lists" | "mode.models" => continue,
                "rules" | "client_names" | "dhcp_leases" | "discovery" => continue,
                path if path.starts_with("models.") => continue,
                "groups" if self.one_policy() == fresh.one_policy() => continue,
                "groups" => "groups (whether shared caches may keep DoH answers)".to_owned(),
                "failure_mode" => "failure_mode (that of the resolver itself)".to_owned(),
                path => path.to_owned(),
            };
            if differs {
                changed.push(said);
            }
        }
        changed
    }

    /// Whether all clients get the same answers: no group, or one that is everybody's.
    pub fn one_policy(&self) -> bool {
        match self.groups.as_slice() {
            [] => true,
            [only] => only.is_everybodys(),
            _ => false,
        }
    }
}

/// The fields of a section, if `name` is one.
pub(super) fn section(name: &str) -> Option<&'static [(&'static str, &'static str)]> {
    match name {
        "clickhouse" => Some(ClickHouse::DOCS),
        "compat" => Some(Compat::DOCS),
        "listen" => Some(Listen::DOCS),
        "mode" => Some(Modes::DOCS),
        "models" => Some(Models::DOCS),
        "retention" => Some(Retention::DOCS),
        "rpz" => Some(RpzOut::DOCS),
        _ => None,
    }
}

/// The fields of one `[[groups]]` table, with defaults.
pub(super) fn group_fields() -> Table {
    Table::try_from(Group::default()).unwrap_or_default()
}

/// The fields of one `[[lists]]` table, with defaults and docs, in the order of the struct.
pub(super) fn list_fields() -> Vec<(&'static str, Value, &'static str)> {
    let mut defaults = Table::try_from(ListTable::default()).unwrap_or_default();
    let fields = ListTable::DOCS.iter();
    fields.filter_map(|(name, doc)| Some((*name, defaults.remove(*name)?, doc.trim()))).collect()
}

/// The fields of one table of a key that holds tables.
pub(super) fn table_fields(key: &str) -> Vec<String> {
    let table = match key {
        "groups" => return group_fields().keys().cloned().collect(),
        "client_names" => Table::try_from(NamedClient::default()),
        _ => Table::try_from(Designated::default()),
    };
    table.unwrap_or_default().keys().cloned().collect()
}

/// The fields of one `[[groups.schedules]]` table.
pub(super) fn schedule_fields() -> Vec<String> {
    Table::try_from(Schedule::default()).unwrap_or_default().keys().cloned().collect()
}

fn key(path: String, doc: &str, value: &Value) -> Key {
    let kind = match value {
        Value::Integer(_) => Kind::Count,
        Value::Float(_) => Kind::Number,
        Value::Array(_) if ["groups", "client_names", "discovery"].contains(&path.as_str()) => Kind::Tables,
        Value::Array(_) if path == "lists" => Kind::Mixed,
        Value::Array(_) => Kind::TextList,
        _ => Kind::Text,
    };
    let flag = path.replace(['.', '_'], "-");
    Key { path, doc: doc.trim().to_owned(), kind, default: value.clone(), flag }
}

/// The known name nearest to `wrong`, if any is near: at most a third of its letters differ, or it is the
/// last part of a dotted key.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong = wrong.to_lowercase().replace('-', "_");
    let distance = |name: &str| {
        let whole = edits(&wrong, name);
        let tail = name.rsplit_once('.').map_or(usize::MAX, |(_, tail)| edits(&wrong, tail));
        whole.min(tail)
    };
    let best = known.map(|name| (distance(name), name)).min_by_key(|(edits, _)| *edits);
    best.filter(|(edits, name)| *edits <= (name.len().max(wrong.len()) / 3).max(1)).map(|(_, name)| name)
}

/// Levenshtein distance with a swap of neighbours as one edit.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_structs_is_a_key_with_a_doc() {
        fn leaves(prefix: &str, value: &Value, into: &mut Vec<String>) {
            match value {
                Value::Table(table) => {
                    for (name, value) in table {
                        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                        leaves(&path, value, into);
                    }
                }
                _ => into.push(prefix.to_owned()),
            }
        }
        let mut fields = Vec::new();
        leaves("", &Value::try_from(Config::default()).unwrap(), &mut fields);
        let mut paths: Vec<String> = keys().iter().map(|key| key.path.clone()).collect();
        fields.sort();
        paths.sort();
        assert_eq!(fields, paths);
        assert!(keys().iter().all(|key| key.doc.len() > 10));
    }

    #[test]
    fn what_a_reload_leaves_for_the_next_start_is_named() {
        let running = Config::default();
        let mut fresh = Config {
            lists: vec!["x".parse().unwrap()],
            local_zones: vec!["corp.example".into()],
            groups: vec![Group::default()],
            mode: Modes { models: dnsvet_core::policy::Mode::Enforce, ..Modes::default() },
            ..Config::default()
        };
        assert!(running.needs_restart(&fresh).is_empty());
        fresh.groups.push(Group::default());
        fresh.failure_mode = dnsvet_core::policy::FailureMode::Deny;
        fresh.listen.dns = None;
        fresh.retention.raw_days = 1;
        fresh.workers = 3;
        let changed = running.needs_restart(&fresh);
        let keys: Vec<&str> = changed.iter().filter_map(|said| said.split(' ').next()).collect();
        assert_eq!(keys, ["listen.dns", "groups", "failure_mode", "retention.raw_days", "workers"]);
    }

    #[test]
    fn the_nearest_key_is_found_and_a_far_one_is_not() {
        let names = || keys().iter().map(|key| key.path.as_str());
        assert_eq!(nearest("upstream", names()), Some("upstreams"));
        assert_eq!(nearest("listen.dsn", names()), Some("listen.dns"));
        assert_eq!(nearest("doh", names()), Some("listen.doh"));
        assert_eq!(nearest("data-dir", names()), Some("data_dir"));
        assert_eq!(nearest("zzzzzzzz", names()), None);
    }
}
