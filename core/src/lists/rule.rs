//! What a line of a list says, in RPZ's terms: a trigger, an effect, and conditions that narrow it.
//!
//! Most rules are a name and nothing else: [`Effect::Listed`] without conditions, "what the list is for holds for
//! this name". Those cost 5.6 bytes each in a snapshot. Everything else is kept as it is.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::message::rtype;
use crate::name::Name;
use crate::verdict::Action;

/// One rule of a list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rule {
    /// What it looks at.
    pub trigger: Trigger,
    /// What it does.
    pub effect: Effect,
    /// What narrows it; nothing, for most.
    pub conditions: Conditions,
}

impl Rule {
    /// A name with what its list is for.
    pub fn listed(name: Name, scope: Scope) -> Self {
        Self {
            trigger: Trigger::Name(name, scope),
            effect: Effect::Listed,
            conditions: Conditions::default(),
        }
    }

    /// The name that it looks at, if it looks at one.
    pub fn name(&self) -> Option<&Name> {
        match &self.trigger {
            Trigger::Name(name, _) => Some(name),
            _ => None,
        }
    }
}

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// QNAME, and CNAME and SVCB targets of the answer.
    Name(Name, Scope),
    /// A regular expression over the whole name: lower case, A-labels, no dot at the end. Without anchors it
    /// matches anywhere in the name. No look-around and no back-references, so that it runs in linear time.
    Pattern(String),
    /// The client's address (RPZ's Client-IP).
    Client(IpNet),
    /// An address in the answer (RPZ's IP, "Response-IP").
    Address(IpNet),
}

/// Which names a name covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Itself and all below it.
    Suffix,
    /// Itself only.
    Exact,
    /// All below it, not itself.
    Below,
}

impl Scope {
    /// Whether a name of this scope covers a name: `itself` if that is the same name, else one below it.
    pub fn covers(self, itself: bool) -> bool {
        match self {
            Scope::Suffix => true,
            Scope::Exact => itself,
            Scope::Below => !itself,
        }
    }

    /// The word used in traces and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Suffix => "suffix",
            Scope::Exact => "exact",
            Scope::Below => "below",
        }
    }
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// What the list is for: a blocklist's rule blocks as the list says, an allowlist's allows.
    #[default]
    Listed,
    /// Allows, whatever the list is for: an exception, RPZ's PASSTHRU.
    Allow,
    /// Stops with this action, never [`Action::Allow`], [`Action::Custom`] or [`Action::Honeypot`].
    Stop(Action),
    /// Over UDP an empty answer with TC=1, elsewhere as if there were no rule (RPZ's TCP-Only).
    TcpOnly,
    /// Answers these records, and NODATA for every other type (RPZ's Local-Data, rewrites).
    Answer(Vec<LocalData>),
}

/// A record of the policy's own, for the name that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalData {
    /// A or AAAA.
    Address(IpAddr),
    /// The name is another name: that one's records are answered behind it.
    Cname(Name),
    /// A record of another type.
    Record {
        /// Its type.
        rtype: u16,
        /// Its data as on the wire, names uncompressed.
        rdata: Vec<u8>,
    },
}

impl LocalData {
    /// Its type.
    pub fn rtype(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => rtype::A,
            Self::Address(IpAddr::V6(_)) => rtype::AAAA,
            Self::Cname(_) => rtype::CNAME,
            Self::Record { rtype, .. } => *rtype,
        }
    }

    /// Its data as on the wire, names uncompressed.
    pub fn to_wire(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(v4)) => v4.octets().to_vec(),
            Self::Address(IpAddr::V6(v6)) => v6.octets().to_vec(),
            Self::Cname(target) => target.to_wire(),
            Self::Record { rdata, .. } => rdata.clone(),
        }
    }
}

/// What narrows a rule. All of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// Goes before every rule that is not important, exceptions too (AdGuard's `$important`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub important: bool,
    /// The client is one of these; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<ClientIs>,
    /// The client is none of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_clients: Vec<ClientIs>,
    /// The question's type is one of these; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<u16>,
    /// The question's type is none of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_types: Vec<u16>,
    /// The name is none of these and below none of them (AdGuard's `$denyallow`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Name>,
}

impl Conditions {
    /// Whether something is narrowed, so that the rule does not hold for every question.
    pub fn narrows(&self) -> bool {
        self.depends_on_asker() || !self.except.is_empty()
    }

    /// Whether the answer depends on more than the name: on who asks, or for what type.
    pub fn depends_on_asker(&self) -> bool {
        let clients = !self.clients.is_empty() || !self.not_clients.is_empty();
        clients || !self.types.is_empty() || !self.not_types.is_empty()
    }

    /// Whether nothing is narrowed and nothing is put first.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a condition names clients.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientIs {
    /// By address.
    In(IpNet),
    /// By the name that the policy gives a client.
    Named(String),
}

impl Trigger {
    /// What a look-up that it sets off is found under again: the name, `/PATTERN/`, `client NET`, `address NET`.
    pub fn key(&self) -> String {
        match self {
            Trigger::Name(name, _) => name.as_str().to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::Name(name, scope) => write!(f, "{name} ({})", scope.as_str()),
            Trigger::Pattern(pattern) => write!(f, "/{pattern}/"),
            Trigger::Client(net) => write!(f, "client {net}"),
            Trigger::Address(net) => write!(f, "address {net}"),
        }
    }
}
