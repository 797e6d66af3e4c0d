//! `lists`: each item a text, or a table that says more.
//!
//! ```text
//! "block:hosts:/etc/ads.txt"                    ─┐
//! { source = "https://…", action = "null", … }  ─┴─► ListTable ─► ListConfig, each under a name of its own
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use dnsvet_core::lists::{Format, UnknownFormat};
use dnsvet_core::policy::Mode;
use dnsvet_core::snapshot::{ListInfo, Role};
use dnsvet_core::verdict::Action;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::lists::{ListSource, Place, SourceError, prefixes};
use crate::xfr::{Key, KeyError};

/// The most hours between two looks at a list: thirty days.
const MOST_EVERY_H: u32 = 720;
/// Bytes of text that a list may have if it does not say: about six million names.
const USUAL_MOST_BYTES: u64 = 128 << 20;

documented! {
    /// One table of `lists`.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ListTable {
        /// Where it is: `[ROLE:][FORMAT:]` and a path, an `http://` or `https://` URL. The only key that must be there.
        pub source: String,
        /// What its names are for, if `source` does not say: `block`, `allow`, `mandatory` or `popular`; empty: block.
        pub role: String,
        /// How it is written, if `source` does not say; empty: found out from its first lines.
        pub format: String,
        /// Its name in verdicts; empty: its file's name without `.gz`, `.zst`, `.txt`, `.hosts`, `.list`.
        pub name: String,
        /// SPDX expression of its licence; empty: not known.
        pub licence: String,
        /// How it blocks: `nxdomain`, `nodata`, `null`, `custom`, `honeypot`, `refused` or `drop`; empty: as the client's group says.
        pub action: String,
        /// What `action = "custom"` answers: one IPv4 and one IPv6 address.
        pub addresses: Vec<IpAddr>,
        /// What it may do: `off`, `log` or `enforce`.
        pub mode: Mode,
        /// Groups for which it holds; empty: all that do not choose by `use_lists`.
        pub groups: Vec<String>,
        /// Signs the requests for a zone (`xfr://`): `ALGORITHM:NAME:SECRET`, such as `hmac-sha256:transfer.example:BASE64`.
        pub tsig: String,
        /// Hours between two looks at it, give or take a tenth.
        pub every_h: u32,
        /// Whether its URL may lead to private, loopback and other addresses of no public host.
        pub allow_private: bool,
        /// The most bytes of text that are taken from its URL, and the most that are transferred.
        pub most_bytes: u64,
    }
}

impl Default for ListTable {
    fn default() -> Self {
        Self {
            source: String::new(),
            role: String::new(),
            format: String::new(),
            name: String::new(),
            licence: String::new(),
            action: String::new(),
            addresses: Vec::new(),
            mode: Mode::Enforce,
            groups: Vec::new(),
            tsig: String::new(),
            every_h: 24,
            allow_private: false,
            most_bytes: USUAL_MOST_BYTES,
        }
    }
}

/// A list of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "ListTable")]
pub struct ListConfig {
    /// Role, format and place.
    pub source: ListSource,
    /// Its name in verdicts, never empty.
    pub name: String,
    /// SPDX expression of its licence; empty if not known.
    pub licence: String,
    /// How it blocks; as the client's group says, if `None`.
    pub action: Option<Action>,
    /// What [`Action::Custom`] answers; there with that action only.
    pub addresses: Option<(Ipv4Addr, Ipv6Addr)>,
    /// What it may do.
    pub mode: Mode,
    /// Groups for which it holds; empty: all.
    pub groups: Vec<String>,
    /// Signs the requests for a zone: the text of a [`Key`], or empty.
    pub tsig: String,
    /// Hours between two looks at it, never 0.
    pub every_h: u32,
    /// Whether its URL may lead inside.
    pub allow_private: bool,
    /// The most bytes that are taken from its URL.
    pub most_bytes: u64,
}

/// Why an item of `lists` is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListConfigError {
    /// Its source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its format.
    #[error(transparent)]
    Format(#[from] UnknownFormat),
    /// Its role.
    #[error("unknown role {0:?}; known: block, allow, mandatory, popular")]
    Role(String),
    /// Role or format, once in the source and once as a key.
    #[error("{0} is said twice, in `source` and as a key; say it once")]
    Twice(&'static str),
    /// Its action.
    #[error("unknown action {0:?}; known: nxdomain, nodata, null, custom, honeypot, refused, drop")]
    Action(String),
    /// A list that never blocks has an action.
    #[error("a list of the role `{0}` blocks nothing, so that it has no action")]
    NotBlocking(&'static str),
    /// Addresses and action don't fit.
    #[error("`addresses` (one IPv4, one IPv6) and `action = \"custom\"` need each other")]
    Addresses,
    /// An interval that can't be.
    #[error("every_h = {0}; 1 to {MOST_EVERY_H} hours")]
    Every(u32),
    /// Nothing could be taken.
    #[error("most_bytes = 0 takes nothing")]
    NoBytes,
    /// A key of something that is not transferred.
    #[error("`tsig` signs zone transfers (xfr://), and {0} is none")]
    NotTransferred(Place),
    /// A key that is none.
    #[error("`tsig`: {0}")]
    Key(#[from] KeyError),
    /// Two lists are given one name.
    #[error("two lists with the name `{0}`; verdicts could not tell them apart")]
    SameName(String),
}

impl ListConfig {
    /// What signs the requests for a zone.
    pub fn key(&self) -> Option<Key> {
        self.tsig.parse().ok()
    }

    /// What the snapshot says of it.
    pub fn info(&self) -> ListInfo {
        ListInfo {
            name: self.name.clone(),
            role: self.source.role,
            licence: self.licence.clone(),
            entries: 0,
            mode: self.mode,
            action: self.action,
            addresses: self.addresses,
            groups: self.groups.clone(),
            own: false,
        }
    }
}

impl FromStr for ListConfig {
    type Err = ListConfigError;

    fn from_str(text: &str) -> Result<Self, ListConfigError> {
        ListTable { source: text.to_owned(), ..ListTable::default() }.try_into()
    }
}

impl TryFrom<ListTable> for ListConfig {
    type Error = ListConfigError;

    fn try_from(table: ListTable) -> Result<Self, ListConfigError> {
        let mut source: ListSource = table.source.parse()?;
        let (said_role, said_format, _) = prefixes(&table.source);
        match (table.role.as_str(), said_role) {
            ("", _) => {}
            (_, Some(_)) => return Err(ListConfigError::Twice("role")),
            (word, None) => {
                let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
                source.role = role.ok_or_else(|| ListConfigError::Role(word.to_owned()))?;
            }
        }
        match (table.format.as_str(), said_format) {
            ("", _) => {}
            (_, Some(_)) => return Err(ListConfigError::Twice("format")),
            (word, None) => source.format = Some(word.parse::<Format>()?),
        }
        let action = match table.action.as_str() {
            "" => None,
            word => Some(action(word).ok_or_else(|| ListConfigError::Action(word.to_owned()))?),
        };
        if let (Some(_), Role::Allow | Role::Popular) = (action, source.role) {
            return Err(ListConfigError::NotBlocking(source.role.as_str()));
        }
        let addresses = match table.addresses.as_slice() {
            [] => None,
            [IpAddr::V4(v4), IpAddr::V6(v6)] | [IpAddr::V6(v6), IpAddr::V4(v4)] => Some((*v4, *v6)),
            _ => return Err(ListConfigError::Addresses),
        };
        if addresses.is_some() != (action == Some(Action::Custom)) {
            return Err(ListConfigError::Addresses);
        }
        if table.every_h == 0 || table.every_h > MOST_EVERY_H {
            return Err(ListConfigError::Every(table.every_h));
        }
        if table.most_bytes == 0 {
            return Err(ListConfigError::NoBytes);
        }
        let tsig = table.tsig.trim().to_owned();
        match &source.place {
            Place::Transfer(_) => source.format = source.format.or(Some(Format::Rpz)),
            place if !tsig.is_empty() => return Err(ListConfigError::NotTransferred(place.clone())),
            _ => {}
        }
        if !tsig.is_empty() {
            tsig.parse::<Key>()?;
        }
        let name = if table.name.trim().is_empty() { source.name() } else { table.name.trim().to_owned() };
        Ok(Self {
            source,
            name,
            licence: table.licence,
            action,
            addresses,
            mode: table.mode,
            groups: table.groups,
            tsig,
            every_h: table.every_h,
            allow_private: table.allow_private,
            most_bytes: table.most_bytes,
        })
    }
}

impl From<ListConfig> for ListTable {
    fn from(list: ListConfig) -> Self {
        let addresses = list.addresses.map(|(v4, v6)| vec![v4.into(), v6.into()]).unwrap_or_default();
        Self {
            source: list.source.to_string(),
            role: String::new(),
            format: String::new(),
            name: list.name,
            licence: list.licence,
            action: list.action.map(|action| action.as_str().to_owned()).unwrap_or_default(),
            addresses,
            mode: list.mode,
            groups: list.groups,
            // A secret is not written out again.
            tsig: String::new(),
            every_h: list.every_h,
            allow_private: list.allow_private,
            most_bytes: list.most_bytes,
        }
    }
}

/// Every action that stops a question.
fn action(word: &str) -> Option<Action> {
    let stopping = [
        Action::Nxdomain,
        Action::Nodata,
        Action::Null,
        Action::Custom,
        Action::Honeypot,
        Action::Refused,
        Action::Drop,
    ];
    stopping.into_iter().find(|action| action.as_str() == word)
}

impl<'de> Deserialize<'de> for ListTableOrText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = ListTable;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ListTable, E> {
                Ok(ListTable { source: text.to_owned(), ..ListTable::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ListTable, A::Error> {
                ListTable::deserialize(MapAccessDeserializer::new(map))
            }
        }
        from.deserialize_any(Either).map(Self)
    }
}

/// An item as it stands in the file.
struct ListTableOrText(ListTable);

/// Reads all items. A name that one is given belongs to that one alone; of those that take their file's name, a
/// later one of the same name gets a number behind it.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ListConfig>, D::Error> {
    let items = Vec::<ListTableOrText>::deserialize(from)?;
    let given: Vec<bool> = items.iter().map(|item| !item.0.name.trim().is_empty()).collect();
    let mut lists = Vec::with_capacity(items.len());
    for item in items {
        let at = item.0.source.clone();
        let list = ListConfig::try_from(item.0);
        lists.push(list.map_err(|error| match at.as_str() {
            "" => D::Error::custom("a list without `source`"),
            at => D::Error::custom(format_args!("list `{at}`: {error}")),
        })?);
    }
    tell_apart(&mut lists, &given).map_err(D::Error::custom)?;
    Ok(lists)
}

fn tell_apart(lists: &mut [ListConfig], given: &[bool]) -> Result<(), ListConfigError> {
    let mut taken = std::collections::HashSet::new();
    for (list, _) in lists.iter().zip(given).filter(|(_, given)| **given) {
        if !taken.insert(list.name.clone()) {
            return Err(ListConfigError::SameName(list.name.clone()));
        }
    }
    for (list, _) in lists.iter_mut().zip(given).filter(|(_, given)| !**given) {
        let mut number = 1;
        let first = list.name.clone();
        while !taken.insert(list.name.clone()) {
            number += 1;
            list.name = format!("{first}-{number}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Result<ListConfig, String> {
        let table: ListTable = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        table.try_into().map_err(|error: ListConfigError| error.to_string())
    }

    #[test]
    fn a_table_says_what_a_text_says_and_more() {
        let text: ListConfig = "allow:hosts:https://lists.example/a.txt".parse().unwrap();
        let said = table("source = \"https://lists.example/a.txt\"\nrole = \"allow\"\nformat = \"hosts\"");
        assert_eq!(said.unwrap(), text);
        let list = table(
            "source = \"x\"\nname = \"ads\"\naction = \"custom\"\naddresses = [\"2001:db8::1\", \"192.0.2.1\"]\nmode = \"log\"",
        );
        let info = list.unwrap().info();
        assert_eq!((info.name.as_str(), info.mode, info.action), ("ads", Mode::Log, Some(Action::Custom)));
        assert_eq!(info.addresses, Some(("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap())));
    }

    #[test]
    fn tables_that_contradict_themselves_are_refused() {
        for (text, why) in [
            ("source = \"allow:x\"\nrole = \"block\"", "said twice"),
            ("source = \"hosts:x\"\nformat = \"plain\"", "said twice"),
            ("source = \"x\"\nrole = \"blok\"", "unknown role"),
            ("source = \"x\"\nformat = \"hostz\"", "unknown list format"),
            ("source = \"x\"\naction = \"allow\"", "unknown action"),
            ("source = \"allow:x\"\naction = \"null\"", "blocks nothing"),
            ("source = \"x\"\naction = \"custom\"", "need each other"),
            ("source = \"x\"\naddresses = [\"192.0.2.1\", \"::1\"]", "need each other"),
            ("source = \"x\"\naction = \"custom\"\naddresses = [\"192.0.2.1\"]", "need each other"),
            ("source = \"x\"\nevery_h = 0", "1 to 720"),
            ("source = \"x\"\nmost_bytes = 0", "takes nothing"),
            ("source = \"x\"\ntsig = \"hmac-sha256:k.example:MDEyMzQ1Njc4OWFiY2RlZg==\"", "and x is none"),
            ("source = \"xfr://192.0.2.1/rpz.example\"\ntsig = \"secret\"", "a key is ALGORITHM:NAME:SECRET"),
            ("name = \"x\"", "names no file"),
        ] {
            let error = table(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let text =
            "source = \"https://lists.example/a\"\nrole = \"mandatory\"\naction = \"null\"\nevery_h = 2";
        let list = table(text).unwrap();
        assert_eq!(ListConfig::try_from(ListTable::from(list.clone())).unwrap(), list);
    }
}
