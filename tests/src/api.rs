//! A client of the control plane's API, logged in as the first user.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dnsvet_core::verdict::TraceLine;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

/// The API on a loopback port.
pub struct Api {
    runtime: tokio::runtime::Runtime,
    port: u16,
    cookie: String,
}

/// What the API answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `set-cookie`, up to the first `;`.
    cookie: String,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

impl Api {
    /// Logs in.
    ///
    /// # Panics
    /// If the login is refused.
    pub fn login(port: u16, password: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut api = Self { runtime, port, cookie: String::new() };
        let answer = api.post("/api/v1/login", &json!({"user": "admin", "password": password}));
        assert_eq!(answer.status, 200, "login: {}", answer.text);
        api.cookie = answer.cookie;
        api
    }

    /// `GET`.
    ///
    /// # Panics
    /// If nobody answers.
    pub fn get(&self, path: &str) -> Answer {
        self.try_send(Method::GET, path, Bytes::new()).expect("the API answers")
    }

    /// `POST` of JSON.
    ///
    /// # Panics
    /// If nobody answers.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_send(Method::POST, path, Bytes::from(body.to_string())).expect("the API answers")
    }

    fn try_send(&self, method: Method, path: &str, body: Bytes) -> Option<Answer> {
        self.runtime.block_on(async {
            let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.ok()?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(connection);
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("host", format!("127.0.0.1:{}", self.port))
                .header("content-type", "application/json")
                .header("cookie", &self.cookie)
                .header("x-dnsvet-csrf", "1")
                .body(Full::new(body))
                .ok()?;
            let response = sender.send_request(request).await.ok()?;
            let status: StatusCode = response.status();
            let cookie = response.headers().get("set-cookie").and_then(|value| value.to_str().ok());
            let cookie = cookie.and_then(|text| text.split(';').next()).unwrap_or_default().to_owned();
            let bytes = response.into_body().collect().await.ok()?.to_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            Some(Answer { status: status.as_u16(), cookie, text })
        })
    }

    /// Every stored event that `filter` (`name=...&reason=...`) lets through, newest first.
    ///
    /// # Panics
    /// If the API refuses.
    pub fn queries(&self, filter: &str) -> Vec<Value> {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/v1/queries?limit=1000&{filter}{cursor}"));
            assert_eq!(page.status, 200, "queries: {}", page.text);
            let page = page.json();
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break items,
            }
        }
    }

    /// Waits until at least `count` events are stored, then a little longer for any that should not be there.
    pub fn queries_at_least(&self, filter: &str, count: usize) -> Vec<Value> {
        let start = Instant::now();
        loop {
            let items = self.queries(filter);
            if items.len() >= count || start.elapsed() > Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(1_500));
                return self.queries(filter);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// A metric of the control plane or resolver, all label sets summed; 0 if it is not there.
    pub fn metric(&self, name: &str) -> f64 {
        metric_of(&self.get("/metrics").text, name)
    }
}

/// A metric of a Prometheus text, all label sets summed; 0 if it is not there.
pub fn metric_of(text: &str, name: &str) -> f64 {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.trim().parse::<f64>().ok()
    });
    values.sum()
}

/// The canonical trace of a stored event or of a line of `dnsvet check --json`.
///
/// # Panics
/// If it has none.
pub fn canonical_trace(item: &Value) -> String {
    let trace: Vec<TraceLine> =
        serde_json::from_value(item["trace"].clone()).unwrap_or_else(|error| panic!("{error}: {item}"));
    serde_json::to_string(&trace).expect("JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_summed_over_its_labels_and_not_mixed_with_longer_names() {
        let text = "a_total{x=\"1\"} 2\na_total{x=\"2 }\"} 3\na_total_more 9\na_total 4\n";
        assert_eq!(metric_of(text, "a_total"), 9.0);
        assert_eq!(metric_of(text, "b_total"), 0.0);
    }
}
