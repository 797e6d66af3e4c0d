//! The `Range` field of HTTP, as the snapshot feed's server answers it (RFC 9110 section 14).

use std::ops::Range;

/// The range lies past the end: 416, with `Content-Range: bytes */LENGTH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the range lies outside of the {len} bytes")]
pub struct Unsatisfiable {
    /// Length of the whole, bytes.
    pub len: u64,
}

/// Which bytes of `len` to send for a `Range` field: `Some` for a 206, `None` for the whole and a 200. What is
/// not one range of bytes is passed over, as RFC 9110 section 14.2 lets a server do.
pub fn serve_range(len: u64, header: Option<&str>) -> Result<Option<Range<u64>>, Unsatisfiable> {
    let spec = header.and_then(|field| field.trim().strip_prefix("bytes=")).map(str::trim);
    let Some((first, last)) = spec.and_then(|spec| spec.split_once('-')) else { return Ok(None) };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // More digits than fit mean "to the end".
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let range = match (first, last) {
        ("", count) if digits(count) => {
            let count = number(count);
            if count == 0 {
                return Err(Unsatisfiable { len });
            }
            len.saturating_sub(count)..len
        }
        (first, "") if digits(first) => number(first)..len,
        (first, last) if digits(first) && digits(last) => {
            if number(last) < number(first) {
                return Ok(None);
            }
            number(first)..number(last).saturating_add(1).min(len)
        }
        _ => return Ok(None),
    };
    if range.start < range.end { Ok(Some(range)) } else { Err(Unsatisfiable { len }) }
}

/// Whether an `If-None-Match` field holds a snapshot's ETag, which is its id in quotes: then the answer is 304.
pub fn etag_matches(header: Option<&str>, id: &str) -> bool {
    let tag = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"') == id;
    header.is_some_and(|field| field.trim() == "*" || field.split(',').any(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_matches_alone_in_a_row_and_by_star() {
        for field in ["\"ab\"", "\"x\", \"ab\"", "W/\"ab\"", "*", "\"ab\" ,\"x\""] {
            assert!(etag_matches(Some(field), "ab"), "{field}");
        }
        assert!(!etag_matches(Some("\"abc\", \"b\""), "ab") && !etag_matches(None, "ab"));
    }

    #[test]
    fn one_range_of_bytes_is_served() {
        let part = |field| serve_range(1_000, Some(field)).unwrap().unwrap();
        assert_eq!(part("bytes=0-99"), 0..100);
        assert_eq!(part("bytes=900-5000"), 900..1_000);
        assert_eq!(part("bytes=900-"), 900..1_000);
        assert_eq!(part("bytes=-1"), 999..1_000);
        assert_eq!(part("bytes=-5000"), 0..1_000);
        assert_eq!(part("bytes=999-99999999999999999999999"), 999..1_000);
    }

    #[test]
    fn anything_else_gets_the_whole() {
        for field in
            ["bytes=5-2", "bytes=0-1,4-5", "lines=0-1", "bytes=a-b", "bytes=", "bytes=-", "bytes=+1-2", "x"]
        {
            assert_eq!(serve_range(1_000, Some(field)), Ok(None), "{field}");
        }
        assert_eq!(serve_range(1_000, None), Ok(None));
    }

    #[test]
    fn a_range_past_the_end_is_unsatisfiable() {
        for field in ["bytes=1000-", "bytes=2000-3000", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(serve_range(1_000, Some(field)), Err(Unsatisfiable { len: 1_000 }), "{field}");
        }
        assert_eq!(serve_range(0, Some("bytes=0-")), Err(Unsatisfiable { len: 0 }));
    }
}
