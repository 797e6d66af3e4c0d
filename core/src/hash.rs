//! A keyed hash for bounded tables: without the secret nobody can choose who shares a slot.

use std::hash::{DefaultHasher, Hasher};

/// Hashes parts under a secret. `["ab", "c"]` and `["a", "bc"]` differ.
#[inline]
pub fn keyed(secret: u64, parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(secret);
    for part in parts {
        hasher.write(part);
        // Not `usize`: native code and wasm32 must agree.
        hasher.write_u64(part.len() as u64);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_and_boundaries_of_parts_matter() {
        let of = |secret, parts: &[&str]| {
            let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
            keyed(secret, &parts)
        };
        assert_eq!(of(1, &["ab", "c"]), of(1, &["ab", "c"]));
        assert_ne!(of(1, &["ab", "c"]), of(2, &["ab", "c"]));
        assert_ne!(of(1, &["ab", "c"]), of(1, &["a", "bc"]));
        assert_ne!(of(1, &["ab"]), of(1, &["ab", ""]));
    }
}
