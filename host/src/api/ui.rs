//! The dashboard, embedded when it was built before this binary.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};

use super::Problem;

/// A file of `host/ui/dist`.
struct Asset {
    path: &'static str,
    bytes: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/ui_assets.rs"));

/// What is shown where the dashboard was not built.
const NOT_BUILT: &str = include_str!("not_built.html");

/// A file of the dashboard; a path of the application is its page.
pub async fn asset(method: Method, uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") || path.starts_with("v1/") {
        return Problem::not_found(format!("no route {}", uri.path())).into_response();
    }
    if method != Method::GET && method != Method::HEAD {
        return Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the dashboard is read with GET")
            .into_response();
    }
    if ASSETS.is_empty() {
        return Html(NOT_BUILT).into_response();
    }
    let found = ASSETS.iter().find(|asset| asset.path == path);
    let Some(asset) = found.or_else(|| ASSETS.iter().find(|asset| asset.path == "index.html")) else {
        return Html(NOT_BUILT).into_response();
    };
    // A screen's path may end in a name, which has dots as a file has.
    if found.is_none() && path.contains('.') && !path.starts_with("name/") {
        return Problem::not_found(format!("no file {}", uri.path())).into_response();
    }
    let mut response = asset.bytes.into_response();
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(asset.path)));
    // Vite puts a hash into the name of whatever lies under assets/.
    let caching =
        if asset.path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}
