//! What a registry says of a registrable domain (RDAP, RFC 9082 and 9083), asked only when a person wants to know.
//!
//! ```text
//! POST /api/v1/rdap ─► registrable domain ─► asked within a day? ─► turn left? ─► GET {rdap}/domain/NAME ─► record
//!                                              └► that answer         └► 429        (rdap.org sends on to the registry)
//! ```
//!
//! [`Rdap`] is the whole of it. A look-up takes 10 seconds at most and fails closed: no record, and why. The surprise:
//! an `http://` base is taken for a service of your own and may lie inside your network; with `https://` no address
//! that is not public is asked, whatever a redirect says.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dnsvet_core::name::Name;
use hashlink::LruCache;
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::now_ms;
use super::subscription::error::FetchError;
use super::subscription::fetch::{Fetched, Fetcher, Validators, Wanted};

/// The time of one look-up, redirects included.
const LIMIT: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const MOST_BYTES: u64 = 1 << 20;
/// Records that are remembered, and how long.
const REMEMBERED: usize = 1_000;
/// See [`REMEMBERED`].
const FRESH: Duration = Duration::from_secs(86_400);
/// Look-ups within a minute: registries shut out who asks more.
const A_MINUTE: usize = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// Values of one kind that are taken from an answer, and bytes of each.
const MOST_VALUES: usize = 20;
const MOST_VALUE_BYTES: usize = 300;

/// Why there is no record.
#[derive(Debug, thiserror::Error)]
pub enum RdapError {
    /// The configuration switches it off.
    #[error(
        "look-ups are switched off; set `rdap` to the base URL of a service, such as \"https://rdap.org/\""
    )]
    Off,
    /// The base URL is none.
    #[error("`rdap` is `{0}`, which is no http or https URL; correct it in the configuration")]
    Base(String),
    /// The name is under no public suffix.
    #[error("`{0}` has no registrable domain, so no registry knows it")]
    NotRegistrable(String),
    /// Too many look-ups lately.
    #[error("{A_MINUTE} look-ups within a minute are the most; try again in {0} s")]
    TooMany(u64),
    /// The registry says that there is none.
    #[error("the registry has no record of `{0}`; it may be free, or its registry speaks no RDAP")]
    NoRecord(String),
    /// It could not be asked.
    #[error("{service} could not be asked about `{name}`: {why}")]
    Fetch {
        /// The base URL's host.
        service: String,
        /// The registrable domain.
        name: String,
        /// What went wrong.
        why: Box<FetchError>,
    },
    /// What came is no record.
    #[error("{service} answered about `{name}` with something that is no RDAP record: {why}")]
    NotRdap {
        /// The base URL's host.
        service: String,
        /// The registrable domain.
        name: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What a registry says. Everything in it was written by others.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Record {
    /// The registrable domain.
    pub name: String,
    /// Who registered it for its holder.
    pub registrar: Option<String>,
    /// Its holder, where the registry says.
    pub registrant: Option<String>,
    /// What holds for it, such as `active` or `client hold`.
    pub status: Vec<String>,
    /// When it was registered, changed last, and when it ends, as the registry writes times (RFC 3339).
    pub registered: Option<String>,
    /// See `registered`.
    pub changed: Option<String>,
    /// See `registered`.
    pub expires: Option<String>,
    /// Its name servers.
    pub nameservers: Vec<String>,
    /// Who was asked.
    pub service: String,
    /// When, milliseconds since 1970.
    pub asked_ms: u64,
    /// Whether it is an answer of before.
    pub cached: bool,
}

/// Asks one service.
pub struct Rdap {
    base: String,
    fetcher: Fetcher,
    kept: Mutex<LruCache<String, (Instant, Record)>>,
    asked: Mutex<Vec<Instant>>,
}

impl Rdap {
    /// Asks the service at `base`; nobody, if that is empty.
    pub fn new(base: &str, fetcher: Fetcher) -> Self {
        let fetcher = fetcher.limit(LIMIT).accept("application/rdap+json, application/json;q=0.9");
        let kept = Mutex::new(LruCache::new(REMEMBERED));
        Self { base: base.to_owned(), fetcher, kept, asked: Mutex::default() }
    }

    /// Whether there is anybody to ask.
    pub fn is_on(&self) -> bool {
        !self.base.is_empty()
    }

    /// The record of a name's registrable domain.
    ///
    /// # Errors
    /// If the name has none, there is no record, or nobody could be asked now.
    pub async fn ask(&self, name: &Name) -> Result<Record, RdapError> {
        if !self.is_on() {
            return Err(RdapError::Off);
        }
        let registrable =
            name.registrable_domain().ok_or_else(|| RdapError::NotRegistrable(name.to_string()))?;
        if let Some(record) = self.remembered(registrable) {
            return Ok(Record { cached: true, ..record });
        }
        let url = self.url(registrable)?;
        self.take_turn(Instant::now())?;
        let service = url.host_str().unwrap_or_default().to_owned();
        let wanted = Wanted {
            allow_private: url.scheme() == "http",
            url,
            validators: Validators::default(),
            most_bytes: MOST_BYTES,
        };
        let text = match self.fetcher.fetch(&wanted).await {
            Ok(Fetched::Fresh { text, .. }) => text,
            Ok(Fetched::Unchanged) => Vec::new(),
            Err(FetchError::Status { code: 404, .. }) => {
                return Err(RdapError::NoRecord(registrable.to_owned()));
            }
            Err(why) => {
                let (name, why) = (registrable.to_owned(), Box::new(why));
                return Err(RdapError::Fetch { service, name, why });
            }
        };
        let record = read(&text).map_err(|why| RdapError::NotRdap {
            service: service.clone(),
            name: registrable.to_owned(),
            why,
        })?;
        let record = Record { name: registrable.to_owned(), service, asked_ms: now_ms(), ..record };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(registrable.to_owned(), (Instant::now(), record.clone()));
        Ok(record)
    }

    fn remembered(&self, registrable: &str) -> Option<Record> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(registrable).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, record)| record.clone())
    }

    fn take_turn(&self, now: Instant) -> Result<(), RdapError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|at| now.duration_since(*at) < MINUTE);
        if let Some(first) = asked.first().filter(|_| asked.len() >= A_MINUTE) {
            let left = MINUTE.saturating_sub(now.duration_since(*first));
            return Err(RdapError::TooMany(left.as_secs() + 1));
        }
        asked.push(now);
        Ok(())
    }

    fn url(&self, registrable: &str) -> Result<Url, RdapError> {
        let base = || RdapError::Base(self.base.clone());
        let mut url = Url::parse(&self.base).map_err(|_| base())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(base());
        }
        url.path_segments_mut().map_err(|()| base())?.pop_if_empty().extend(["domain", registrable]);
        Ok(url)
    }
}

/// Reads a domain object of RFC 9083; says what is missing.
fn read(text: &[u8]) -> Result<Record, String> {
    let object: Value = serde_json::from_slice(text).map_err(|error| format!("no JSON ({error})"))?;
    if object["objectClassName"] != "domain" {
        return Err("`objectClassName` is not \"domain\"".into());
    }
    let each = |value: &Value| value.as_array().cloned().unwrap_or_default().into_iter().take(MOST_VALUES);
    let event = |action: &str| {
        each(&object["events"])
            .find(|event| event["eventAction"] == action)
            .and_then(|event| short(&event["eventDate"]))
    };
    let entity = |role: &str| {
        let has_role = |entity: &Value| each(&entity["roles"]).any(|known| known == role);
        each(&object["entities"]).find(has_role).and_then(|entity| full_name(&entity))
    };
    Ok(Record {
        registrar: entity("registrar"),
        registrant: entity("registrant"),
        status: each(&object["status"]).filter_map(|status| short(&status)).collect(),
        registered: event("registration"),
        changed: event("last changed"),
        expires: event("expiration"),
        nameservers: each(&object["nameservers"]).filter_map(|server| short(&server["ldhName"])).collect(),
        ..Record::default()
    })
}

/// The `fn` of an entity's jCard (RFC 7095).
fn full_name(entity: &Value) -> Option<String> {
    let properties = entity["vcardArray"][1].as_array()?;
    properties.iter().find(|property| property[0] == "fn").and_then(|property| short(&property[3]))
}

/// A text that is not empty, cut where it is too long.
fn short(value: &Value) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(
        text.chars()
            .scan(0, |bytes, letter| {
                *bytes += letter.len_utf8();
                (*bytes <= MOST_VALUE_BYTES).then_some(letter)
            })
            .collect(),
    )
}
