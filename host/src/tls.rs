//! The certificate of the doors under TLS: made on the first start, kept in the data folder.
//!
//! Self-signed: clients that check it are given `doh-cert.pem`, or the operator puts a certificate of a
//! known authority, with its key, in the two files' place. Clients may show certificates of theirs, if the operator
//! names the authorities that made them: their names choose a group.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// The certificate's file in the data folder.
pub const CERTIFICATE_FILE: &str = "doh-cert.pem";
/// The key's file in the data folder, readable by its owner alone.
pub const KEY_FILE: &str = "doh-key.pem";

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// One of the two files is there without the other.
    #[error("{path} is missing beside its counterpart; restore it, or remove both to have new ones made", path = .0.display())]
    Half(PathBuf),
    /// A file is not PEM of the kind expected.
    #[error("{path}: not a PEM file with {what}", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
    },
    /// The certificate can't be made.
    #[error("can't make a certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// The authorities of clients' certificates can't be used.
    #[error("{path}: no authorities of certificates: {why}", path = path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key don't fit, or are of a kind that can't be used.
    #[error("{CERTIFICATE_FILE} and {KEY_FILE} can't be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The server's side of TLS 1.2 and 1.3 with the data folder's certificate; HTTP/2 and HTTP/1.1 by ALPN.
/// `address` is named in a certificate that is made here, beside `localhost`. Clients may show certificates that the
/// authorities in `client_ca` made, and need not.
pub fn server_config(
    data_dir: &Path,
    address: IpAddr,
    client_ca: Option<&Path>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = (data_dir.join(CERTIFICATE_FILE), data_dir.join(KEY_FILE));
    match (certificate.exists(), key.exists()) {
        (false, false) => make(&certificate, &key, address)?,
        (true, false) => return Err(TlsError::Half(key)),
        (false, true) => return Err(TlsError::Half(certificate)),
        (true, true) => {}
    }
    let chain = certificates(&certificate)?;
    let key =
        PrivateKeyDer::from_pem_file(&key).map_err(|_| TlsError::Pem { path: key, what: "a private key" })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match client_ca {
        Some(path) => config.with_client_cert_verifier(verifier(path, provider)?),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    read.ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError::Pem { path: path.to_owned(), what: "certificates" })
}

/// Checks certificates of clients that show one.
fn verifier(path: &Path, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let unusable = |why: String| TlsError::Authorities { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).map_err(|error| unusable(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    builder.allow_unauthenticated().build().map_err(|error| unusable(error.to_string()))
}

/// The DNS and URI names of the certificate that a client has shown; none if it showed none.
pub fn client_names(connection: &ServerConnection) -> Vec<String> {
    let shown = connection.peer_certificates().and_then(|chain| chain.first());
    let Some(Ok(shown)) = shown.map(webpki::EndEntityCert::try_from) else { return Vec::new() };
    shown.valid_dns_names().chain(shown.valid_uri_names()).map(str::to_owned).collect()
}

fn make(certificate_path: &Path, key_path: &Path, address: IpAddr) -> Result<(), TlsError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_unspecified() && !names.contains(&address.to_string()) {
        names.push(address.to_string());
    }
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "dnsvet resolver");
    let certificate = parameters.self_signed(&key)?;
    // The key first: a certificate without its key is the worse half.
    write(key_path, &key.serialize_pem(), 0o600)?;
    let written = write(certificate_path, &certificate.pem(), 0o644);
    // One without the other would stop the next start.
    written.inspect_err(|_| drop(std::fs::remove_file(key_path)))
}

/// Writes a file that is not there yet, whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), TlsError> {
    let failed = |source| TlsError::File { path: path.into(), source };
    let open = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = open.map_err(failed)?.write_all(text.as_bytes());
    written.inspect_err(|_| drop(std::fs::remove_file(path))).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_without_its_certificate_is_not_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("none/cert.pem"), folder.path().join(KEY_FILE));
        assert!(make(&certificate, &key, "127.0.0.1".parse().unwrap()).is_err());
        assert!(!key.exists());
    }

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1".parse().unwrap();
        server_config(folder.path(), address, None).unwrap();
        let key = folder.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let first = std::fs::read(&key).unwrap();
        server_config(folder.path(), address, None).unwrap();
        assert_eq!(std::fs::read(&key).unwrap(), first);
    }

    #[test]
    fn half_a_pair_and_garbage_are_refused_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1".parse().unwrap();
        server_config(folder.path(), address, None).unwrap();
        std::fs::write(folder.path().join(CERTIFICATE_FILE), "garbage").unwrap();
        let error = server_config(folder.path(), address, None).unwrap_err().to_string();
        assert!(error.contains(CERTIFICATE_FILE), "{error}");
        std::fs::remove_file(folder.path().join(CERTIFICATE_FILE)).unwrap();
        assert!(matches!(server_config(folder.path(), address, None), Err(TlsError::Half(_))));
    }
}
