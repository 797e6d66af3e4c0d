//! Where a list is and how it is read: the text `[ROLE:][FORMAT:]PLACE` of configuration and command line.
//!
//! ```text
//! block:hosts:https://lists.example/ads.txt ─► role, format, Place::Url ─► fetched, kept in data_dir/lists/
//! allow:ours.txt                            ─► role,         Place::File ─► read
//! xfr://192.0.2.1/rpz.example               ─►               Place::Transfer ─► the same, only what changed
//! ```

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use dnsvet_core::lists::Format;
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::Role;
use url::Url;

/// Endings that say how a file is packed or written, not what it is.
const PACKED: [&str; 2] = [".gz", ".zst"];
const WRITTEN: [&str; 3] = [".txt", ".hosts", ".list"];
const DNS_PORT: u16 = 53;

/// A list as configuration names it: `[ROLE:][FORMAT:]PLACE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListSource {
    /// What its names are for; blocking, if not said.
    pub role: Role,
    /// How it is written; found out from its first lines, if not said.
    pub format: Option<Format>,
    /// Where it is.
    pub place: Place,
}

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file, also `.gz` and `.zst`.
    File(PathBuf),
    /// An `http://` or `https://` URL with a host and without a user or password.
    Url(Url),
    /// A zone that a name server hands out.
    Transfer(Transfer),
}

/// A zone to be transferred: `xfr://SERVER[:PORT]/ZONE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// The server's name or address.
    pub server: String,
    /// Its port; 53, if not said.
    pub port: u16,
    /// The zone.
    pub zone: Name,
}

/// A text that names no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Nothing stands where the place should be.
    #[error("{0:?} names no file; write [ROLE:][FORMAT:]PATH or [ROLE:][FORMAT:]URL")]
    NoPlace(String),
    /// A URL of another kind.
    #[error("{0:?}: lists come from files, http://, https:// and xfr://, not from {1}://")]
    Scheme(String, String),
    /// No URL.
    #[error("{0:?} is no URL: {1}")]
    Url(String, url::ParseError),
    /// A user or password in a URL.
    #[error("a list's URL holds a user or a password, which logs and verdicts would show; take it out")]
    Userinfo,
    /// A transfer without a server or a zone.
    #[error("{0:?} is no zone transfer; write xfr://SERVER[:PORT]/ZONE")]
    Transfer(String),
}

impl FromStr for ListSource {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let (role, format, rest) = prefixes(text);
        if rest.is_empty() {
            return Err(SourceError::NoPlace(text.to_owned()));
        }
        Ok(Self { role: role.unwrap_or(Role::Block), format, place: rest.parse()? })
    }
}

/// The words before the place, and the place.
pub fn prefixes(text: &str) -> (Option<Role>, Option<Format>, &str) {
    let after = |text: &'_ str, word: &str| -> Option<usize> {
        text.strip_prefix(word)?.strip_prefix(':').map(|rest| text.len() - rest.len())
    };
    let role = Role::ALL.into_iter().find_map(|role| Some((role, after(text, role.as_str())?)));
    let rest = role.and_then(|(_, at)| text.get(at..)).unwrap_or(text);
    let format = Format::ALL.into_iter().find_map(|format| Some((format, after(rest, format.as_str())?)));
    let place = format.and_then(|(_, at)| rest.get(at..)).unwrap_or(rest);
    (role.map(|(role, _)| role), format.map(|(format, _)| format), place)
}

impl Place {
    /// Whether it is fetched, and the last good copy is what counts.
    pub fn is_remote(&self) -> bool {
        !matches!(self, Place::File(_))
    }
}

impl FromStr for Place {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Ok(Place::File(text.into()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => {
                let url = Url::parse(text).map_err(|why| SourceError::Url(text.to_owned(), why))?;
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(SourceError::Userinfo);
                }
                Ok(Place::Url(url))
            }
            "xfr" => {
                transfer(rest).map(Place::Transfer).ok_or_else(|| SourceError::Transfer(text.to_owned()))
            }
            other => Err(SourceError::Scheme(text.to_owned(), other.to_owned())),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(plain)
}

fn transfer(rest: &str) -> Option<Transfer> {
    let (server, zone) = rest.split_once('/')?;
    let zone = Name::parse(zone).ok().filter(|zone| !zone.is_root())?;
    let (server, port) = match server.rsplit_once(':') {
        // An IPv6 address in brackets may end without a port.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (server, DNS_PORT),
    };
    (!server.is_empty()).then(|| Transfer { server: server.to_owned(), port, zone })
}

impl ListSource {
    /// Its name in verdicts, if it is given none: the file's name without endings, of a URL too.
    pub fn name(&self) -> String {
        let file = match &self.place {
            Place::File(path) => path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned(),
            Place::Url(url) => {
                let last = url.path_segments().and_then(|mut parts| parts.rfind(|part| !part.is_empty()));
                last.or_else(|| url.host_str()).unwrap_or_default().to_owned()
            }
            Place::Transfer(transfer) => transfer.zone.as_str().to_owned(),
        };
        let stem = PACKED.iter().find_map(|end| file.strip_suffix(end)).unwrap_or(&file);
        WRITTEN.iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem).to_owned()
    }
}

impl fmt::Display for ListSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.role.as_str())?;
        if let Some(format) = self.format {
            write!(f, "{format}:")?;
        }
        write!(f, "{}", self.place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Url(url) => write!(f, "{url}"),
            Place::Transfer(Transfer { server, port: DNS_PORT, zone }) => write!(f, "xfr://{server}/{zone}"),
            Place::Transfer(Transfer { server, port, zone }) => write!(f, "xfr://{server}:{port}/{zone}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> ListSource {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_names_role_format_and_path() {
        let want = |role, format, path: &str| ListSource { role, format, place: Place::File(path.into()) };
        assert_eq!(source("/a/b.txt"), want(Role::Block, None, "/a/b.txt"));
        assert_eq!(source("allow:x"), want(Role::Allow, None, "x"));
        assert_eq!(source("hosts:x:y"), want(Role::Block, Some(Format::Hosts), "x:y"));
        assert_eq!(source("mandatory:plain:x"), want(Role::Mandatory, Some(Format::Plain), "x"));
        assert_eq!(source("popular:/d/top.txt.zst").name(), "top");
        assert_eq!("block:hosts:".parse::<ListSource>(), Err(SourceError::NoPlace("block:hosts:".into())));
        assert_eq!(source("mandatory:plain:x").to_string(), "mandatory:plain:x");
    }

    #[test]
    fn a_source_may_be_a_url_or_a_zone() {
        let list = source("allow:hosts:HTTPS://Lists.Example/a/ads.txt.gz?x=1,2");
        assert_eq!((list.role, list.format, list.name().as_str()), (Role::Allow, Some(Format::Hosts), "ads"));
        assert_eq!(list.to_string(), "allow:hosts:https://lists.example/a/ads.txt.gz?x=1,2");
        assert_eq!(source("https://lists.example/").name(), "lists.example");
        let zone = source("mandatory:xfr://[2001:db8::1]/rpz.example");
        assert_eq!(
            (zone.name().as_str(), zone.to_string().as_str()),
            ("rpz.example", "mandatory:xfr://[2001:db8::1]/rpz.example")
        );
        assert_eq!(
            source("xfr://ns.example:5353/rpz.example").to_string(),
            "block:xfr://ns.example:5353/rpz.example"
        );
    }

    #[test]
    fn what_is_no_place_is_refused_with_the_reason() {
        for (text, why) in [
            ("ftp://lists.example/x", "not from ftp://"),
            ("file:///etc/passwd", "not from file://"),
            ("https://me:secret@lists.example/x", "user or a password"),
            ("https://me@lists.example/x", "user or a password"),
            ("https://", "no URL"),
            ("xfr://ns.example", "xfr://SERVER[:PORT]/ZONE"),
            ("xfr://ns.example:x/zone.example", "xfr://SERVER[:PORT]/ZONE"),
        ] {
            let error = text.parse::<ListSource>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
