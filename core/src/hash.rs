//! A keyed hash for bounded tables: without the secret nobody can choose who shares a slot.

use std::hash::{DefaultHasher, Hasher};

/// Hashes parts under a secret. `["ab", "c"]` and `["a", "bc"]` differ.
#[inline]
pub fn keyed(secret: u64, parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(secret);
    for part in parts {
        hasher.write(part);
        hasher.write_usize(part.len());
    }
    hasher.finish()
}
