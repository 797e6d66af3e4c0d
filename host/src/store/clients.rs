//! How a client's address is stored: cut, as it is, or as a pseudonym that a key in the data folder makes.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{StoreError, now_ms};
use crate::config::ClientAddresses;
use crate::control::secret;

/// The key's file, beside the store or its spool.
const KEY_FILE: &str = "clients.key";
/// A key makes pseudonyms for so long, milliseconds.
const KEY_MS: u64 = 7 * 86_400_000;

/// Writes clients as the configuration says.
pub(super) struct Addresses {
    mode: ClientAddresses,
    key: Option<Key>,
}

/// What pseudonyms are made with.
struct Key {
    path: PathBuf,
    secret: [u8; 32],
    /// When another takes its place, milliseconds since 1970.
    until_ms: u64,
}

impl Addresses {
    /// As `mode` says; a key is kept in `folder`, if one is needed.
    ///
    /// # Errors
    /// If the key can't be read or made.
    pub fn open(mode: ClientAddresses, folder: &Path, now_ms: u64) -> Result<Self, StoreError> {
        let key = match mode {
            ClientAddresses::Hash => {
                let path = folder.join(KEY_FILE);
                let shown = path.display().to_string();
                Some(Key::open(path, now_ms).map_err(|source| StoreError::File { path: shown, source })?)
            }
            ClientAddresses::Truncate | ClientAddresses::Plain => None,
        };
        Ok(Self { mode, key })
    }

    /// The same with the key in the folder that `path` lies in.
    ///
    /// # Errors
    /// As [`Addresses::open`].
    pub fn beside(path: &Path, mode: ClientAddresses) -> Result<Self, StoreError> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Self::open(mode, folder.unwrap_or(Path::new(".")), now_ms())
    }

    /// An address as it is stored now. What is no address stays as it is.
    pub fn stored(&mut self, client: &str, now_ms: u64) -> String {
        let Ok(address) = client.parse::<IpAddr>() else { return client.to_owned() };
        if let Some(key) = &mut self.key {
            return key.pseudonym(address, now_ms);
        }
        let keep = match address {
            IpAddr::V4(v4) => {
                v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified()
            }
            IpAddr::V6(v6) => {
                v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified()
            }
        };
        if keep || self.mode == ClientAddresses::Plain {
            return address.to_string();
        }
        let prefix = if address.is_ipv4() { 24 } else { 56 };
        IpNet::new(address, prefix).map_or_else(|_| client.to_owned(), |net| net.trunc().addr().to_string())
    }
}

impl Key {
    fn open(path: PathBuf, now_ms: u64) -> io::Result<Self> {
        let text = secret::file(&path, || fresh(now_ms))?;
        let damaged = || io::Error::other("it is damaged; delete it, and the next start makes another");
        let (until_ms, secret) = text.split_once(' ').ok_or_else(damaged)?;
        let until_ms = until_ms.parse().map_err(|_| damaged())?;
        Ok(Self {
            path,
            secret: blake3::derive_key("dnsvet clients in the event store", secret.as_bytes()),
            until_ms,
        })
    }

    /// 64 bits of a keyed hash: of a million clients, two have the same one once in 30 million times.
    fn pseudonym(&mut self, address: IpAddr, now_ms: u64) -> String {
        if now_ms >= self.until_ms {
            self.replace(now_ms);
        }
        let hash = blake3::keyed_hash(&self.secret, address.to_string().as_bytes()).to_hex();
        format!("client-{}", &hash[..16])
    }

    /// Another key: who has both can't tell which pseudonyms were one client, and the old one is gone.
    fn replace(&mut self, now_ms: u64) {
        let path = std::mem::take(&mut self.path);
        let gone = std::fs::remove_file(&path);
        match gone.and_then(|()| Self::open(path.clone(), now_ms)) {
            Ok(fresh) => *self = fresh,
            Err(error) => {
                tracing::error!(%error, path = %path.display(), "the key of clients can't be replaced; tried again in an hour");
                (self.path, self.until_ms) = (path, now_ms + 3_600_000);
            }
        }
    }
}

/// When a new key ends, and the key.
fn fresh(now_ms: u64) -> String {
    format!("{} {}", now_ms + KEY_MS, secret::fresh().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_795_348_800_000;

    #[test]
    fn a_pseudonym_lasts_as_long_as_its_key_and_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = |now_ms| Addresses::open(ClientAddresses::Hash, folder.path(), now_ms).unwrap();
        let mut addresses = open(NOW_MS);
        let one = addresses.stored("203.0.113.77", NOW_MS);
        assert!(one.starts_with("client-") && one.len() == 23, "{one}");
        assert_eq!(addresses.stored("203.0.113.77", NOW_MS + KEY_MS - 1), one);
        assert_ne!(addresses.stored("203.0.113.78", NOW_MS), one);
        assert_ne!(addresses.stored("10.0.0.1", NOW_MS), "10.0.0.1", "private ones too");
        assert_eq!(addresses.stored(&one, NOW_MS), one, "a pseudonym stays one");
        let mut later = open(NOW_MS + 1);
        assert_eq!(later.stored("203.0.113.77", NOW_MS + 1), one);
        let other = later.stored("203.0.113.77", NOW_MS + KEY_MS);
        assert_ne!(other, one);
        assert_eq!(
            open(NOW_MS + KEY_MS).stored("203.0.113.77", NOW_MS + KEY_MS),
            other,
            "the new key is kept"
        );
    }

    #[test]
    fn a_damaged_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(KEY_FILE), "not a key\n").unwrap();
        let error = Addresses::open(ClientAddresses::Hash, folder.path(), NOW_MS).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("clients.key: it is damaged; delete it"), "{error}");
    }
}
