//! DNS over HTTPS requests (RFC 8484): from method, path and body to the DNS message, or to a status.
//!
//! Strict on purpose: whatever is not exactly a question in one of the two forms is refused here, so that
//! nothing reaches an upstream that the filter did not read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The media type of a DNS message (RFC 8484 section 6).
pub const MEDIA_TYPE: &str = "application/dns-message";
/// The longest DNS message, bytes.
pub const MAX_MESSAGE_BYTES: usize = 65_535;

/// Why a request is refused; the status says it to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 404: another path.
    #[error("no such path")]
    NotFound,
    /// 405: neither GET nor POST.
    #[error("method is neither GET nor POST")]
    Method,
    /// 415: a body of another media type.
    #[error("content-type is not application/dns-message")]
    MediaType,
    /// 413: a body longer than a DNS message can be.
    #[error("message is longer than 65535 bytes")]
    TooLong,
    /// 400: no `dns` parameter, or one that is not base64url.
    #[error("no dns parameter in base64url")]
    Parameter,
}

impl Refusal {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Refusal::NotFound => 404,
            Refusal::Method => 405,
            Refusal::MediaType => 415,
            Refusal::TooLong => 413,
            Refusal::Parameter => 400,
        }
    }
}

/// How the question of a request comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// In the path: the decoded message.
    Get(Vec<u8>),
    /// In the body, which is still to come.
    Post,
}

/// Reads the head of a request. `doh_path` is the one path that is served.
pub fn read_head(
    method: &str,
    path_and_query: &str,
    content_type: Option<&str>,
    doh_path: &str,
) -> Result<Form, Refusal> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    if path != doh_path {
        return Err(Refusal::NotFound);
    }
    match method {
        "GET" => {
            let value =
                query.split('&').find_map(|pair| pair.strip_prefix("dns=")).ok_or(Refusal::Parameter)?;
            if value.len() > MAX_MESSAGE_BYTES / 3 * 4 + 4 {
                return Err(Refusal::TooLong);
            }
            let wire = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).map_err(|_| Refusal::Parameter)?;
            Ok(Form::Get(wire))
        }
        "POST" => {
            let kind = content_type.unwrap_or("").split(';').next().unwrap_or("").trim();
            if kind.eq_ignore_ascii_case(MEDIA_TYPE) { Ok(Form::Post) } else { Err(Refusal::MediaType) }
        }
        _ => Err(Refusal::Method),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, path: &str, kind: Option<&str>) -> Result<Form, Refusal> {
        read_head(method, path, kind, "/dns-query")
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(head("GET", "/dns-query?dns=AAEC", None), Ok(Form::Get(vec![0, 1, 2])));
        assert_eq!(head("GET", "/dns-query?x=1&dns=AAE=", None), Ok(Form::Get(vec![0, 1])));
        assert_eq!(head("POST", "/dns-query", Some("Application/DNS-message; q=1")), Ok(Form::Post));
    }

    #[test]
    fn everything_else_is_refused_with_its_status() {
        for (method, path, kind, status) in [
            ("GET", "/dns-query", None, 400),
            ("GET", "/dns-query?name=example.com", None, 400),
            ("GET", "/dns-query?dns=a+b", None, 400),
            ("GET", "//dns-query?dns=AAEC", None, 404),
            ("GET", "/dns-query/?dns=AAEC", None, 404),
            ("PUT", "/dns-query", Some(MEDIA_TYPE), 405),
            ("POST", "/dns-query", Some("text/plain"), 415),
            ("POST", "/dns-query", None, 415),
        ] {
            assert_eq!(head(method, path, kind).unwrap_err().status(), status, "{method} {path}");
        }
        let long = format!("/dns-query?dns={}", "A".repeat(90_000));
        assert_eq!(head("GET", &long, None).unwrap_err().status(), 413);
    }
}
