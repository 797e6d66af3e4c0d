//! Hashes: a keyed one for bounded tables, where without the secret nobody can choose who shares a slot; and a plain
//! one for what a model has learnt, the same everywhere and for ever.

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

/// Where [`step`] starts.
pub const START: u32 = 0x811C_9DC5;

/// Takes one more byte in: FNV-1a (Fowler, Noll, Vo).
#[inline]
pub fn step(state: u32, byte: u8) -> u32 {
    (state ^ u32::from(byte)).wrapping_mul(0x0100_0193)
}

/// The finisher of MurmurHash3 (Appleby, public domain): each bit of the state moves the high ones.
#[inline]
pub fn finish(mut state: u32) -> u32 {
    state = (state ^ (state >> 16)).wrapping_mul(0x85EB_CA6B);
    state = (state ^ (state >> 13)).wrapping_mul(0xC2B2_AE35);
    state ^ (state >> 16)
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
