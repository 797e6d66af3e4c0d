//! Packed lists: gzip and zstd, known by their first bytes, never more than a limit comes out.

use std::io::{self, Read};

/// Why a packed list gave no text.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is damaged.
    #[error("it can't be unpacked ({0})")]
    Damaged(#[from] io::Error),
    /// More comes out than is taken; carries the limit, bytes.
    #[error("it holds more than {0} bytes of text")]
    TooLarge(u64),
}

/// The text of a list that may be packed. Its surprise: a small file may unpack to anything, so the limit is on
/// what comes out.
///
/// # Errors
/// If it is damaged, or holds more than `most` bytes.
pub fn unpack(packed: Vec<u8>, most: u64) -> Result<Vec<u8>, UnpackError> {
    match packed.as_slice() {
        [0x1f, 0x8b, ..] => limited(flate2::read::MultiGzDecoder::new(packed.as_slice()), most),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => limited(zstd::stream::read::Decoder::new(packed.as_slice())?, most),
        _ if packed.len() as u64 > most => Err(UnpackError::TooLarge(most)),
        _ => Ok(packed),
    }
}

/// What `from` gives, at most `most` bytes of it.
///
/// # Errors
/// If it fails, or gives more.
pub fn limited(from: impl Read, most: u64) -> Result<Vec<u8>, UnpackError> {
    let mut text = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut text)?;
    if text.len() as u64 > most { Err(UnpackError::TooLarge(most)) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_read_of_what_has_no_end() {
        assert!(matches!(limited(io::repeat(b'x'), 1_000), Err(UnpackError::TooLarge(1_000))));
        assert_eq!(limited(io::repeat(b'x').take(1_000), 1_000).unwrap().len(), 1_000);
        assert!(matches!(unpack(vec![b'x'; 5], 4), Err(UnpackError::TooLarge(4))));
        assert!(matches!(unpack(vec![0x1f, 0x8b, 0], 9), Err(UnpackError::Damaged(_))));
    }
}
