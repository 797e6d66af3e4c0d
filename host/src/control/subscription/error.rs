//! What goes wrong on the way to a list, whose fault it is, and what to do.

use crate::xfr::XfrError;
use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::resolve::ResolveError;
use crate::lists::UnpackError;

/// Why a list was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A redirect to something that is not fetched.
    #[error("the server sends on to {0}, and lists are fetched over http and https only; ask its publisher")]
    Scheme(Url),
    /// A redirect with a user or password in it.
    #[error("the server sends on to a URL with a user or a password in it; ask its publisher")]
    Userinfo,
    /// A redirect from https to http.
    #[error(
        "the server sends on from https to {0}, which anybody on the way could change; ask its publisher"
    )]
    Downgrade(Url),
    /// More redirects than are followed; carries how many.
    #[error("more than {0} redirects; use the URL that they lead to, if they lead anywhere")]
    Redirects(usize),
    /// A redirect that says nowhere.
    #[error("a redirect (status {0}) without a usable location; ask its publisher")]
    Location(u16),
    /// The host has no addresses.
    #[error("{host}: {why}; correct the URL, or look at `upstreams`")]
    Resolve {
        /// The host.
        host: String,
        /// Why.
        why: ResolveError,
    },
    /// An address that is no public host's.
    #[error("{host} has the {kind} address {address}; if that is meant, say allow_private = true")]
    NotPublic {
        /// The host, as the URL has it.
        host: String,
        /// Its address.
        address: IpAddr,
        /// What kind it is of.
        kind: &'static str,
    },
    /// No connection.
    #[error("can't connect to {address}: {why}; look at the network, or wait")]
    Connect {
        /// The last address tried.
        address: SocketAddr,
        /// What the system said.
        why: std::io::Error,
    },
    /// This machine knows no authorities.
    #[error("no root certificates on this machine ({0}); install ca-certificates, or set SSL_CERT_FILE")]
    NoRoots(String),
    /// TLS failed: most often a certificate that is not good.
    #[error("{host}: no TLS: {why}; look at the clock and the root certificates of this machine")]
    Tls {
        /// The host.
        host: String,
        /// What went wrong.
        why: std::io::Error,
    },
    /// What came is no HTTP, or ended early.
    #[error("the answer broke off or is no HTTP ({0}); wait")]
    Http(#[from] hyper::Error),
    /// The request can't be written.
    #[error("the URL makes no request ({0})")]
    Request(#[from] http::Error),
    /// The server says no.
    #[error("the server answers {code}{}", remedy(*code))]
    Status {
        /// The status.
        code: u16,
        /// When it wants to be asked again, seconds.
        retry_after_s: Option<u64>,
    },
    /// A content encoding that was not asked for.
    #[error("the server packs the list as {0:?}, and gzip was asked for; ask its publisher")]
    Encoding(String),
    /// More bytes than are taken.
    #[error("more than {0} bytes are sent; set most_bytes higher if the list is that long")]
    TooLong(u64),
    /// It can't be unpacked, or holds too much.
    #[error("{0}; set most_bytes higher if the list is that long, or ask its publisher")]
    Unpack(#[from] UnpackError),
    /// A zone transfer.
    #[error(transparent)]
    Transfer(#[from] XfrError),
    /// A host without any address.
    #[error("{0} has no addresses")]
    NoAddress(String),
    /// The whole took too long.
    #[error("not there after {0} s; wait, or take a nearer mirror")]
    TooSlow(u64),
}

fn remedy(code: u16) -> &'static str {
    match code {
        401 | 403 => "; it does not give the list to us",
        404 | 410 => "; the list has moved or ended: look for its new URL",
        429 => "; we asked too often",
        500.. => "; wait",
        _ => "; ask its publisher",
    }
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// What the configuration says.
    Configuration,
    /// The server, or who publishes there.
    Publisher,
    /// The way there.
    Network,
    /// This machine.
    Us,
}

impl FetchError {
    /// Whose fault it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::NotPublic { .. } | Self::Request(_) | Self::TooLong(_) => Blame::Configuration,
            Self::Resolve { why: ResolveError::Silent(_), .. } => Blame::Network,
            Self::Resolve { .. } => Blame::Configuration,
            Self::Connect { .. } | Self::Http(_) | Self::TooSlow(_) => Blame::Network,
            Self::NoRoots(_) => Blame::Us,
            _ => Blame::Publisher,
        }
    }

    /// When the server wants to be asked again, seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Status { retry_after_s, .. } => *retry_after_s,
            _ => None,
        }
    }
}
