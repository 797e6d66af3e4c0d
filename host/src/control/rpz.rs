//! Decisions and rules of one's own as a policy zone, for resolvers that take one.
//!
//! ```text
//! snapshot published ─► vetted names, then rules ─► entries ─► Publisher ─► secondaries (AXFR, IXFR, NOTIFY)
//! ```
//!
//! What a zone can't say (conditions, patterns, groups) stays out: it holds here only.

use dnsvet_core::lists::{self, Effect, Format, LocalData, Scope as Reach, Trigger};
use dnsvet_core::name::{Name, NameError};
use dnsvet_core::verdict;

use crate::config::{Config, RpzOut};
use crate::store::control::{ControlStore, Decision, Scope};
use crate::store::{StoreError, Tenant};
use crate::upstream::system::name_server;
use crate::xfr::policy::{Action, Entry};
use crate::xfr::{Key, KeyError, Publisher, Secondary, ServerConfig, ZoneConfig};

/// A policy zone that can't be served as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum RpzError {
    /// Its name.
    #[error("`rpz.zone`: {0}")]
    Zone(#[from] NameError),
    /// A key.
    #[error("`rpz.keys`: {0}")]
    Key(#[from] KeyError),
    /// A secondary.
    #[error("`rpz.notify`: `{0}` is no address")]
    Secondary(String),
}

/// The zone's publisher and server, as the configuration says.
pub fn configured(config: &RpzOut) -> Result<(Publisher, ServerConfig), RpzError> {
    let origin = Name::parse(&config.zone)?;
    let keys = config.keys.iter().map(|key| key.parse()).collect::<Result<Vec<Key>, _>>()?;
    let secondary = |text: &String| {
        let address = name_server(text).ok_or_else(|| RpzError::Secondary(text.clone()))?;
        Ok(Secondary { address, key: keys.first().cloned() })
    };
    let secondaries = config.notify.iter().map(secondary).collect::<Result<Vec<_>, RpzError>>()?;
    let publisher = Publisher::new(ZoneConfig { origin, ..ZoneConfig::default() }, None);
    let allow_from = config.allow_from.clone();
    Ok((publisher, ServerConfig { keys, allow_from, secondaries }))
}

/// What goes into the zone: what people decided first, then the rules for everybody.
pub(super) fn entries(config: &Config, state: &dyn ControlStore) -> Result<Vec<Entry>, StoreError> {
    let everybody = config.groups.iter().find(|group| group.is_everybodys()).cloned().unwrap_or_default();
    let mut entries = Vec::new();
    for row in state.vetted(Tenant::DEFAULT)? {
        let Ok(name) = Name::parse(&row.name) else { continue };
        let action = match row.decision {
            Decision::Benign => Action::Passthru,
            Decision::Malicious => of_verdict(everybody.block_action),
            Decision::Honeypot => {
                Action::Local(vec![everybody.honeypot_v4.into(), everybody.honeypot_v6.into()])
            }
            Decision::None => continue,
        };
        entries.push(Entry { name, scope: row.scope, action });
    }
    let rules = config.rules.join("\n");
    lists::parse(
        rules.as_bytes(),
        Format::Adblock,
        |entry| {
            let rule = entry.rule;
            let Trigger::Name(name, scope) = rule.trigger else { return };
            let scope = match scope {
                Reach::Suffix => Scope::Suffix,
                Reach::Exact => Scope::Exact,
                Reach::Below => return,
            };
            let action = match rule.effect {
                Effect::Listed => of_verdict(everybody.block_action),
                Effect::Allow => Action::Passthru,
                Effect::Stop(action) => of_verdict(action),
                Effect::TcpOnly => Action::TcpOnly,
                Effect::Answer(records) => {
                    let addresses = records.iter().map(|record| match record {
                        LocalData::Address(address) => Some(*address),
                        _ => None,
                    });
                    let Some(addresses) = addresses.collect() else { return };
                    Action::Local(addresses)
                }
            };
            if !rule.conditions.narrows() && !entry.revokes {
                entries.push(Entry { name, scope, action });
            }
        },
        drop,
    );
    Ok(entries)
}

/// How a zone says what a verdict does; what it has no word for is NXDOMAIN.
fn of_verdict(action: verdict::Action) -> Action {
    match action {
        verdict::Action::Nodata => Action::Nodata,
        verdict::Action::Drop => Action::Drop,
        verdict::Action::Null => Action::Local(vec![[0, 0, 0, 0].into(), [0u16; 8].into()]),
        _ => Action::Nxdomain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::control::{SqliteControl, VettedRow};

    #[test]
    fn decisions_and_rules_go_into_the_zone_and_what_it_can_not_say_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = SqliteControl::open(&folder.path().join("control.db")).unwrap();
        let row = VettedRow {
            name: "bad.example".into(),
            decision: Decision::Malicious,
            scope: Scope::Suffix,
            author: "ann".into(),
            time_ms: 1,
            before: Decision::None,
            confirmed_by: None,
        };
        state.decide(Tenant::DEFAULT, &row).unwrap();
        let rules = [
            "||ads.example^",
            "@@||ok.ads.example^",
            "|nas.example^$dnsrewrite=10.0.0.5",
            "||only.example^$dnstype=A",
            "/^x/",
        ];
        let config = Config { rules: rules.map(str::to_owned).to_vec(), ..Config::default() };
        let found = entries(&config, &state).unwrap();
        let mut found: Vec<String> = found
            .iter()
            .map(|entry| format!("{} {:?} {:?}", entry.name, entry.scope, entry.action))
            .collect();
        found.sort();
        let want = [
            "ads.example Suffix Nxdomain",
            "bad.example Suffix Nxdomain",
            "nas.example Exact Local([10.0.0.5])",
            "ok.ads.example Suffix Passthru",
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn a_zone_that_can_not_be_served_is_refused() {
        let of = |change: fn(&mut RpzOut)| {
            let mut config = RpzOut::default();
            change(&mut config);
            configured(&config).err().map(|error| error.to_string())
        };
        assert_eq!(of(|_| {}), None);
        assert!(of(|config| config.zone = "a..b".into()).unwrap().starts_with("`rpz.zone`: "));
        assert!(of(|config| config.keys = vec!["x".into()]).unwrap().contains("ALGORITHM:NAME:SECRET"));
        let wrong = of(|config| config.notify = vec!["ns.example".into()]).unwrap();
        assert_eq!(wrong, "`rpz.notify`: `ns.example` is no address");
    }
}
