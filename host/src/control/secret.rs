//! Secrets: random ones for sessions and tokens, argon2id for passwords, files for keys.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::Semaphore;

/// Longest name of a user, bytes.
pub const MAX_USER_BYTES: usize = 64;
/// Longest password, bytes: a longer one only costs time to hash.
pub const MAX_PASSWORD_BYTES: usize = 1_024;
/// Passwords hashed at once: each takes 19 MiB and a core.
static HASHING: Semaphore = Semaphore::const_new(2);

/// 256 random bits as text, and the hash that is kept of them.
pub fn fresh() -> (String, [u8; 32]) {
    let text = URL_SAFE_NO_PAD.encode(random::<32>());
    let hash = hash(&text);
    (text, hash)
}

/// Random bytes of the system.
///
/// # Panics
/// If the system has no random source: nothing here could go on.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system's random source works");
    bytes
}

/// What is kept of a session's or token's secret.
pub fn hash(secret: &str) -> [u8; 32] {
    *blake3::hash(secret.as_bytes()).as_bytes()
}

/// A password a person can type: 20 letters and digits without look-alikes, 99 bits.
pub fn password() -> String {
    const LETTERS: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
    let letter = || loop {
        let [byte] = random::<1>();
        if let Some(letter) = LETTERS.get(usize::from(byte & 31)) {
            return char::from(*letter);
        }
    };
    let groups: Vec<String> = (0..4).map(|_| (0..5).map(|_| letter()).collect()).collect();
    groups.join("-")
}

/// argon2id in PHC form, with a random salt.
///
/// # Errors
/// If the password is longer than argon2 takes.
pub fn hash_password(password: &str) -> Result<String, argon2::password_hash::Error> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
}

/// Whether a password is the stored one. An unknown user costs as much time as a wrong password.
pub async fn verify(password: String, stored: Option<String>) -> bool {
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash_password(&self::password()).unwrap_or_default());
    let Ok(_turn) = HASHING.acquire().await else { return false };
    let checked = tokio::task::spawn_blocking(move || {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| NOBODY.clone());
        let right = PasswordHash::new(&stored)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        right && known
    });
    checked.await.unwrap_or(false)
}

/// Reads a secret file, or makes it with what `make` gives; the owner's alone (0600), and there in whole or
/// not at all.
///
/// # Errors
/// If the file can be neither read nor made, or is empty.
pub fn file(path: &Path, make: impl FnOnce() -> String) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => {
            return Err(io::Error::other("it is empty; delete it, and the next start makes another"));
        }
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let text = make();
    let fresh = path.with_added_extension("new");
    // One that a crash has left is of no use.
    let _ = std::fs::remove_file(&fresh);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_right_password_verifies_and_nothing_else_does() {
        let stored = hash_password("correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        assert!(verify("correct horse".into(), Some(stored.clone())).await);
        assert!(!verify("correct".into(), Some(stored)).await);
        assert!(!verify("correct horse".into(), None).await);
        assert!(!verify("x".into(), Some("not phc".into())).await);
    }

    #[test]
    fn secrets_differ_and_passwords_have_their_shape() {
        assert_ne!(fresh(), fresh());
        let password = password();
        assert_eq!(password.len(), 23);
        assert_eq!(password.split('-').count(), 4);
    }

    #[test]
    fn a_secret_file_is_made_once_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(file(&path, || "one".into()).unwrap(), "one");
        assert_eq!(file(&path, || "two".into()).unwrap(), "one");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
    }

    #[test]
    fn an_empty_secret_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for empty in ["", " \n"] {
            std::fs::write(&path, empty).unwrap();
            let error = file(&path, || "one".into()).unwrap_err().to_string();
            assert!(error.contains("empty") && error.contains("delete it"), "{error}");
        }
    }
}
