//! Who a client says it is, beside its address: an id in the DoH path, a bearer token, a name in its certificate.
//!
//! Ids and tokens are secrets of their owners. They are kept as hashes: 128 random bits can't be guessed from one.

use serde::{Deserialize, Serialize};

/// The fewest characters of an id or token: 128 bits in base64url without padding.
pub const LEAST_SECRET_CHARACTERS: usize = 22;
/// The most characters of an id or token that are looked at.
pub const MOST_SECRET_CHARACTERS: usize = 128;
/// What stands before a hash where an id or a token could stand.
const HASHED: &str = "blake3:";

/// What a request says of its client.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The last part of the DoH path, as it came.
    pub path_id: Option<String>,
    /// The bearer token.
    pub token: Option<String>,
    /// DNS and URI names of the client's certificate.
    pub sans: Vec<String>,
}

impl Identity {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.path_id.is_none() && self.token.is_none() && self.sans.is_empty()
    }
}

/// Whether a text can be an id of a DoH path: base64url of at least 128 bits.
pub fn is_path_id(text: &str) -> bool {
    (LEAST_SECRET_CHARACTERS..=MOST_SECRET_CHARACTERS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The token of an `authorization` field (RFC 6750 section 2.1), if it can be one.
pub fn bearer(value: &str) -> Option<String> {
    let (scheme, token) = value.split_once(' ')?;
    let fits = scheme.eq_ignore_ascii_case("bearer") && token.len() <= MOST_SECRET_CHARACTERS;
    fits.then(|| token.trim().to_owned())
}

/// An id or token of a policy as a snapshot holds it; what is hashed already stays.
pub fn hashed(secret: &str) -> String {
    if secret.starts_with(HASHED) { secret.to_owned() } else { hash_of(secret) }
}

/// The hash of what a client sent.
pub fn hash_of(secret: &str) -> String {
    let hash =
        blake3::Hasher::new_derive_key("dnsvet 2026 client identity").update(secret.as_bytes()).finalize();
    let half: String = hash.as_bytes().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{HASHED}{half}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hashed_once() {
        let hash = hashed("0123456789abcdefghijkl");
        assert!(hash.starts_with("blake3:") && hash.len() == 7 + 32, "{hash}");
        assert_eq!(hashed(&hash), hash);
        assert_ne!(hashed("0123456789abcdefghijkm"), hash);
    }

    #[test]
    fn a_path_id_has_at_least_128_bits() {
        assert!(is_path_id("0123456789abcdefghi-_Z"));
        assert!(!is_path_id("0123456789abcdefghi-_"), "126 bits");
        assert!(!is_path_id("0123456789abcdefghi-_/"));
    }
}
