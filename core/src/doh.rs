//! DNS over HTTPS requests (RFC 8484): from method, path and body to the DNS message, or to a status.
//!
//! Strict on purpose: whatever is not exactly a question in one of the two forms is refused here, so that
//! nothing reaches an upstream that the filter did not read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::policy::identity::is_path_id;

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
    /// In the path.
    Get {
        /// The decoded message.
        wire: Vec<u8>,
        /// What the request's path must be replaced by before it is passed on, if it says more than the message:
        /// whoever reads the rest of it may find another question there.
        path: Option<String>,
    },
    /// In the body, which is still to come.
    Post,
}

/// The path of a GET request for a message.
pub fn get_path(doh_path: &str, wire: &[u8]) -> String {
    format!("{doh_path}?dns={}", URL_SAFE_NO_PAD.encode(wire))
}

/// What the head of a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// How the question comes.
    pub form: Form,
    /// The client's id, where the path ends in one. The path must be replaced before it is passed on.
    pub path_id: Option<String>,
}

/// Reads the head of a request. `doh_path` is the one path that is served, and behind it `/ID` for clients that
/// have one.
pub fn read_head(
    method: &str,
    path_and_query: &str,
    content_type: Option<&str>,
    doh_path: &str,
) -> Result<Head, Refusal> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let path_id = path_id(path, doh_path)?;
    let form = read_form(method, query, content_type, doh_path, path_id.is_some())?;
    Ok(Head { form, path_id: path_id.map(str::to_owned) })
}

/// The client's id at the end of a path, if there is one.
///
/// # Errors
/// If it is another path than `doh_path`, or what follows can't be an id.
pub fn path_id<'a>(path: &'a str, doh_path: &str) -> Result<Option<&'a str>, Refusal> {
    let rest = path.strip_prefix(doh_path).ok_or(Refusal::NotFound)?;
    match rest.strip_prefix('/') {
        None if rest.is_empty() => Ok(None),
        Some(id) if is_path_id(id) => Ok(Some(id)),
        _ => Err(Refusal::NotFound),
    }
}

fn read_form(
    method: &str,
    query: &str,
    content_type: Option<&str>,
    doh_path: &str,
    has_id: bool,
) -> Result<Form, Refusal> {
    match method {
        "GET" => {
            let value =
                query.split('&').find_map(|pair| pair.strip_prefix("dns=")).ok_or(Refusal::Parameter)?;
            if value.len() > MAX_MESSAGE_BYTES / 3 * 4 + 4 {
                return Err(Refusal::TooLong);
            }
            let wire = URL_SAFE_NO_PAD.decode(value.trim_end_matches('=')).map_err(|_| Refusal::Parameter)?;
            let alone = query.strip_prefix("dns=") == Some(value) && !has_id;
            Ok(Form::Get { wire, path: (!alone).then(|| format!("{doh_path}?dns={value}")) })
        }
        "POST" => {
            if is_message(content_type) {
                Ok(Form::Post)
            } else {
                Err(Refusal::MediaType)
            }
        }
        _ => Err(Refusal::Method),
    }
}

/// Whether a content type is that of a DNS message, in any case and with any parameters.
pub fn is_message(content_type: Option<&str>) -> bool {
    let kind = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(MEDIA_TYPE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(method: &str, path: &str, kind: Option<&str>) -> Result<Form, Refusal> {
        read_head(method, path, kind, "/dns-query").map(|head| head.form)
    }

    #[test]
    fn an_id_at_the_end_of_the_path_is_read_and_goes_no_further() {
        let id = "0123456789abcdefghij_-";
        let head = read_head("GET", &format!("/dns-query/{id}?dns=AAEC"), None, "/dns-query").unwrap();
        assert_eq!(head.path_id.as_deref(), Some(id));
        assert_eq!(head.form, Form::Get { wire: vec![0, 1, 2], path: Some("/dns-query?dns=AAEC".into()) });
        for path in
            ["/dns-query/short", "/dns-query/0123456789abcdefghij_-/x", "/dns-query0123456789abcdefghij_-"]
        {
            assert_eq!(
                read_head("GET", &format!("{path}?dns=AAEC"), None, "/dns-query"),
                Err(Refusal::NotFound)
            );
        }
    }

    #[test]
    fn both_forms_are_read() {
        let get = |wire: &[u8]| Ok(Form::Get { wire: wire.to_vec(), path: None });
        assert_eq!(head("GET", "/dns-query?dns=AAEC", None), get(&[0, 1, 2]));
        assert_eq!(head("GET", "/dns-query?dns=AAE=", None), get(&[0, 1]));
        assert_eq!(head("POST", "/dns-query", Some("Application/DNS-message; q=1")), Ok(Form::Post));
    }

    #[test]
    fn a_path_that_could_hold_another_question_is_replaced() {
        for query in ["d%6Es=AAAA&dns=AAEC", "dns=AAEC&dns=AAAA", "x=1&dns=AAEC", "dns=AAEC&", "dns=AAEC&D=1"]
        {
            let path = Some("/dns-query?dns=AAEC".to_owned());
            assert_eq!(
                head("GET", &format!("/dns-query?{query}"), None),
                Ok(Form::Get { wire: vec![0, 1, 2], path }),
                "{query}"
            );
        }
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
