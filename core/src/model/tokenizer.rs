//! What a model reads of a name: the one place where names are normalised before they are scored.
//!
//! Versioned, because weights mean nothing under another tokenizer. [`TEXT`] drops a leading `www.` label
//! and the final dot, folds case, keeps the last 64 bytes (the registrable domain is at the end) and frames
//! them by padding, so that a filter can tell the start and the end of a name from its middle:
//!
//! ```text
//! www.Example.com.  ->  pad e x a m p l e . c o m pad pad ... pad      (66 tokens)
//! ```
//!
//! [`PARTS`] and [`READINGS`] cut the same text in two, see [`super::Parts`].

/// Tokenizer version of the seed: code points of the whole name, zero-padded to 256; nothing normalised.
pub const CODE_POINTS: u8 = 1;
/// Tokenizer version of a single table CNN: [`scored_text`] as one token of [`ALPHABET`] a byte.
pub const TEXT: u8 = 2;
/// Tokenizer version of a stack: [`scored_text`] in [`super::Parts`], the content as tokens and as features.
pub const PARTS: u8 = 3;
/// The same of a stack whose bags read in unlike ways: features of each [`super::Reading`].
pub const READINGS: u8 = 4;

/// Bytes of a name that [`TEXT`] looks at, from its end.
pub const TEXT_BYTES: usize = 64;
/// Tokens of a name under [`TEXT`]: one pad, the text, at least one pad.
pub const TEXT_TOKENS: usize = TEXT_BYTES + 2;
/// How many tokens [`TEXT`] knows: pad, `.`, `-`, `_`, ten digits, 26 letters, and all else.
pub const ALPHABET: usize = 41;
/// The token around a name.
pub const PAD: u8 = 0;
/// The token of bytes that rarely stand in names, escapes among them.
pub const OTHER: u8 = 40;

/// The name's part that [`TEXT`] scores: without final dot and leading `www.`, at most 64 bytes, from the
/// end. Two names with the same scored text have the same score, so it is what a score cache is keyed by
/// (names of one cache are in one case).
pub fn scored_text(name: &str) -> &str {
    let name = name.strip_suffix('.').unwrap_or(name);
    let name = match name.split_at_checked(4) {
        Some((head, rest)) if head.eq_ignore_ascii_case("www.") && rest.contains('.') => rest,
        _ => name,
    };
    let mut start = name.len().saturating_sub(TEXT_BYTES);
    while !name.is_char_boundary(start) {
        start += 1;
    }
    name.get(start..).unwrap_or(name)
}

/// The token of one byte, below [`ALPHABET`].
pub fn token(byte: u8) -> u8 {
    match byte {
        b'.' => 1,
        b'-' => 2,
        b'_' => 3,
        b'0'..=b'9' => byte - b'0' + 4,
        b'a'..=b'z' => byte - b'a' + 14,
        b'A'..=b'Z' => byte - b'A' + 14,
        _ => OTHER,
    }
}

/// A text as tokens within padding, and how many of them are text.
pub type Framed = ([u8; TEXT_TOKENS], usize);

/// The tokens of a name under [`TEXT`].
pub fn tokens(name: &str) -> Framed {
    frame(scored_text(name))
}

/// The tokens of a text of at most [`TEXT_BYTES`]; what is beyond is left out.
pub fn frame(text: &str) -> Framed {
    let mut tokens = [PAD; TEXT_TOKENS];
    for (slot, &byte) in tokens.iter_mut().skip(1).zip(text.as_bytes()).take(TEXT_BYTES) {
        *slot = token(byte);
    }
    (tokens, text.len().min(TEXT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn www_case_and_final_dot_do_not_matter() {
        let plain = tokens("example.com");
        for name in ["www.example.com", "example.com.", "WWW.Example.COM."] {
            assert_eq!(tokens(name), plain, "{name}");
        }
        assert_eq!(scored_text("www.com"), "www.com");
        assert_eq!(scored_text("wwwx.com"), "wwwx.com");
    }

    #[test]
    fn the_end_of_a_long_name_is_kept() {
        let name = format!("{}.example.com", "x".repeat(90));
        assert_eq!(scored_text(&name).len(), TEXT_BYTES);
        assert!(scored_text(&name).ends_with("x.example.com"));
        let (tokens, used) = tokens(&name);
        assert_eq!((tokens[0], tokens[TEXT_TOKENS - 1], used), (PAD, PAD, TEXT_BYTES));
    }

    #[test]
    fn every_byte_has_a_token_of_the_alphabet() {
        let mut seen = [false; ALPHABET];
        for byte in 0..=255u8 {
            seen[usize::from(token(byte))] = true;
        }
        assert!(!seen[0] && seen[1..].iter().all(|&seen| seen));
    }

    #[test]
    fn text_outside_ascii_is_cut_between_characters() {
        let name = "é".repeat(40);
        assert!(scored_text(&name).len() <= TEXT_BYTES);
        assert!(tokens(&name).0.iter().all(|&token| token == PAD || token == OTHER));
    }
}
