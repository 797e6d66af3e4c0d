//! `dnsvet.toml`: every key, its default and why. Each is also `DNSVET_<KEY>` in the environment (a dot
//! becomes two underscores) and a flag of `dnsvet serve`; a flag wins over the environment, that over the
//! file. The structs below are the one place where a key exists: their docstrings are the reference page
//! ([`reference`]), their defaults the defaults.

use std::net::SocketAddr;
use std::path::PathBuf;

use dnsvet_core::policy::{Designated, FailureMode, Group, Mode, NamedClient};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Defines a struct and, beside it, what its docstrings say of each field.
macro_rules! documented {
    (
        $(#[$meta:meta])*
        pub struct $name:ident { $( $(#[doc = $doc:literal])+ $(#[serde($serde:meta)])? pub $field:ident: $type:ty, )+ }
    ) => {
        $(#[$meta])*
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $( $(#[doc = $doc])+ $(#[serde($serde)])? pub $field: $type, )+ }

        impl $name {
            /// Each field with its docstring.
            pub(crate) const DOCS: &'static [(&'static str, &'static str)] =
                &[$( (stringify!($field), concat!($($doc),+)), )+];
        }
    };
}

mod flags;
mod keys;
mod lists;
mod load;
pub(crate) mod names;
mod reference;

pub use flags::Flags;
pub use keys::{Key, Kind, keys};
pub use lists::{ListConfig, ListConfigError};
pub use load::{ConfigError, Place};
pub use reference::reference;

documented! {
    /// The whole configuration.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Config {
        /// Where snapshots, the store, keys and certificates live.
        pub data_dir: PathBuf,
        /// Addresses that are listened on.
        pub listen: Listen,
        /// Clients that are answered; others get REFUSED. Loopback and private ranges, so never an open resolver.
        pub allow_from: Vec<IpNet>,
        /// Upstream resolvers, `ADDRESS` or `ADDRESS:PORT`; empty: the system's, then a public pair; `demo` alone: no network, invented addresses.
        pub upstreams: Vec<String>,
        /// Lists: `[ROLE:][FORMAT:]` and a path or an `https://` URL, or tables that say more; empty: the bundled ones.
        #[serde(deserialize_with = "lists::deserialize")]
        pub lists: Vec<ListConfig>,
        /// Groups of clients; empty: one for everybody.
        pub groups: Vec<Group>,
        /// Rules of your own for everybody, in adblock syntax: `||ads.example^`, `@@||cdn.example^`, `|nas.example^$dnsrewrite=10.0.0.5`.
        pub rules: Vec<String>,
        /// Names of clients, for `$client` rules: tables of `name` and `nets`.
        pub client_names: Vec<NamedClient>,
        /// A DHCP server's file of leases (dnsmasq, ISC, Kea) that names clients too; empty: none.
        pub dhcp_leases: PathBuf,
        /// Your network's own name server, `ADDRESS:PORT`, which is asked what private clients are called (PTR); empty: none is.
        #[serde(with = "door")]
        pub client_ptr: Option<SocketAddr>,
        /// Authorities (PEM) of certificates that clients may show at the DoH door, for `sans` of groups; empty: none.
        pub client_ca: PathBuf,
        /// Our own encrypted doors as clients find them (RFC 9462): tables of `name`, `protocols`, `port`, `doh_path`, `addresses`.
        pub discovery: Vec<Designated>,
        /// Zones that are answered inside the network, such as `corp.example`: never scored, never tunnel-checked.
        pub local_zones: Vec<String>,
        /// What happens if a remote call fails: `allow` or `deny`.
        pub failure_mode: FailureMode,
        /// What lists and models may do.
        pub mode: Modes,
        /// Which model is in force, and where others come from.
        pub models: Models,
        /// Base URL of the scorer; empty: the small model decides alone.
        pub scorer: String,
        /// Base URL of the RDAP service that tells who registered a name, asked only when somebody presses the button; `http://` for one inside your network; empty: none.
        pub rdap: String,
        /// The event store: `sqlite` (in `data_dir`), `sqlite:PATH`, or `clickhouse`.
        pub store: String,
        /// Where and who, if `store` is `clickhouse`.
        pub clickhouse: ClickHouse,
        /// Decisions and rules as a policy zone (RPZ) for other resolvers.
        pub rpz: RpzOut,
        /// Doors for what dnsvet takes the place of.
        pub compat: Compat,
        /// How long and how much the store keeps.
        pub retention: Retention,
        /// Public client addresses in the store: `truncate` (to /24 and /56) or `plain`, private ones whole; or `hash`: all of them as pseudonyms, by a key that is replaced after 7 days.
        pub client_addresses: ClientAddresses,
        /// The plugin's `.wasm`; empty: `dnsvet.wasm` beside the binary.
        pub plugin: PathBuf,
        /// Worker threads, each with its own plugin instance; 0: one a core.
        pub workers: usize,
    }
}

documented! {
    /// Addresses that are listened on; an empty text switches a door off.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Listen {
        /// DNS over UDP and TCP.
        #[serde(with = "door")]
        pub dns: Option<SocketAddr>,
        /// DNS over HTTPS at `/dns-query`.
        #[serde(with = "door")]
        pub doh: Option<SocketAddr>,
        /// Plain forwarding, no vetting and no events, for filters in front. Loopback only.
        #[serde(with = "door")]
        pub forward: Option<SocketAddr>,
        /// API, dashboard, snapshot feed and `/metrics`.
        #[serde(with = "door")]
        pub api: Option<SocketAddr>,
    }
}

documented! {
    /// What lists and models may do: `off`, `log` or `enforce`.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Modes {
        /// Lists enforce from the first minute.
        pub lists: Mode,
        /// Models start in log mode: the dashboard shows what they would have done.
        pub models: Mode,
    }
}

documented! {
    /// Models in the filters (`dnsvet model promote`, `rollback` and `list`), and the watch for drift of what they score.
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    pub struct Models {
        /// Folder of models that can be promoted, where a command names none and over the API; empty: those that come with dnsvet.
        pub registry: PathBuf,
        /// Distinct scored names of a window in which drift is looked for; the first window after a promotion is the baseline. 0: none.
        pub watch_names: usize,
        /// Minutes that such a window lasts at least, so that it holds more than one hour's habits.
        pub watch_minutes: usize,
        /// Alarm past this population stability index of the scores, from 0: 0.1 is a small shift, 0.25 a large one.
        pub drift_score: f64,
        /// Alarm past this population stability index of the top-level domains, from 0.
        pub drift_tld: f64,
        /// Alarm if the share of uncertain verdicts differs by more than this from that of the baseline, 0 to 1.
        pub drift_uncertain: f64,
    }
}

documented! {
    /// Decisions and rules as a policy zone (RPZ) that Unbound, BIND and PowerDNS transfer.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct RpzOut {
        /// Address that it is served on, UDP and TCP; empty: it is not.
        #[serde(with = "door")]
        pub listen: Option<SocketAddr>,
        /// The zone's name.
        pub zone: String,
        /// Keys of which one must sign each request: `ALGORITHM:NAME:SECRET`. None: `allow_from` alone decides.
        pub keys: Vec<String>,
        /// Networks that may transfer it; empty: nobody, or with keys whoever signs.
        pub allow_from: Vec<IpNet>,
        /// Secondaries that are told of each new version, `ADDRESS` or `ADDRESS:PORT`.
        pub notify: Vec<String>,
    }
}

documented! {
    /// Doors for what dnsvet takes the place of.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
    pub struct Compat {
        /// ML Bridge's middleware protocol for its CoreDNS plugin, over HTTP; empty: off. Whoever reaches it can ask in any client's name: keep it on loopback, `127.0.0.1:5000`.
        #[serde(with = "door")]
        pub mlbridge_listen: Option<SocketAddr>,
    }
}

documented! {
    /// How long and how much the store keeps.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Retention {
        /// Days that raw events are kept.
        pub raw_days: u32,
        /// Days that roll-ups are kept.
        pub rollup_days: u32,
        /// Bytes that the store may take; past them the oldest events go first. 0: no limit.
        pub store_bytes: u64,
        /// Bytes of events that wait on disk, in `data_dir`, while a store on another machine is away.
        pub spool_bytes: u64,
    }
}

documented! {
    /// The event store in ClickHouse, over its HTTP interface.
    #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct ClickHouse {
        /// Base URL of its HTTP interface, `http://` or `https://`.
        pub url: String,
        /// Database; it is made, with its tables, if the user may.
        pub database: String,
        /// User that dnsvet is there.
        pub user: String,
        /// Password; better in `password_file`, or in the environment.
        pub password: String,
        /// File whose first line is the password; empty: `password` is.
        pub password_file: PathBuf,
    }
}

/// Without the password.
impl std::fmt::Debug for ClickHouse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { url, database, user, password_file, password: _ } = self;
        let mut shown = f.debug_struct("ClickHouse");
        shown.field("url", url).field("database", database).field("user", user);
        shown.field("password_file", password_file).finish_non_exhaustive()
    }
}

/// Which event store, as `store` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// ClickHouse.
    ClickHouse,
}

impl Config {
    /// Which event store.
    pub fn store_kind(&self) -> StoreKind {
        match self.store.split_once(':') {
            _ if self.store == "clickhouse" => StoreKind::ClickHouse,
            Some(("sqlite", path)) => StoreKind::Sqlite(path.into()),
            _ => StoreKind::Sqlite(self.data_dir.join("events.db")),
        }
    }
}

/// How a public client address is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAddresses {
    /// Cut to its /24 (IPv4) or /56 (IPv6).
    #[default]
    Truncate,
    /// As it is.
    Plain,
    /// A keyed hash, of private addresses too; the key lies in the data folder and is replaced after 7 days.
    Hash,
}

impl Default for Listen {
    fn default() -> Self {
        let on = |port| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        Self { dns: on(5300), doh: on(8443), forward: on(8444), api: on(8080) }
    }
}

impl Default for Modes {
    fn default() -> Self {
        Self { lists: Mode::Enforce, models: Mode::Log }
    }
}

impl Default for Models {
    fn default() -> Self {
        Self {
            registry: PathBuf::new(),
            watch_names: 2_000,
            watch_minutes: 60,
            drift_score: 0.25,
            drift_tld: 0.25,
            drift_uncertain: 0.1,
        }
    }
}

impl Default for RpzOut {
    fn default() -> Self {
        Self {
            listen: None,
            zone: "rpz.dnsvet".into(),
            keys: Vec::new(),
            allow_from: Vec::new(),
            notify: Vec::new(),
        }
    }
}

impl Default for ClickHouse {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".into(),
            database: "dnsvet".into(),
            user: "default".into(),
            password: String::new(),
            password_file: PathBuf::new(),
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { raw_days: 7, rollup_days: 400, store_bytes: 10 << 30, spool_bytes: 256 << 20 }
    }
}

impl Default for Config {
    fn default() -> Self {
        let private = [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
            "fe80::/10",
        ];
        Self {
            data_dir: "dnsvet-data".into(),
            listen: Listen::default(),
            allow_from: private.iter().filter_map(|net| net.parse().ok()).collect(),
            upstreams: Vec::new(),
            lists: Vec::new(),
            groups: Vec::new(),
            rules: Vec::new(),
            client_names: Vec::new(),
            dhcp_leases: PathBuf::new(),
            client_ptr: None,
            client_ca: PathBuf::new(),
            discovery: Vec::new(),
            local_zones: Vec::new(),
            failure_mode: FailureMode::Allow,
            mode: Modes::default(),
            models: Models::default(),
            scorer: String::new(),
            rdap: "https://rdap.org/".into(),
            store: "sqlite".into(),
            clickhouse: ClickHouse::default(),
            rpz: RpzOut::default(),
            compat: Compat::default(),
            retention: Retention::default(),
            client_addresses: ClientAddresses::Truncate,
            plugin: PathBuf::new(),
            workers: 0,
        }
    }
}

/// A door: an address with port, or an empty text for none.
mod door {
    use super::*;

    pub fn serialize<S: Serializer>(door: &Option<SocketAddr>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&door.map(|address| address.to_string()).unwrap_or_default())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
        let text = String::deserialize(from)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse()
            .map(Some)
            .map_err(|_| serde::de::Error::custom(format_args!("`{text}` is no address with port")))
    }
}
