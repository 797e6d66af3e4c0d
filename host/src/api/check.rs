//! `GET /api/v1/check`: the verdict on a name, now, with its full trace.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use dnsvet_core::name::Name;
use dnsvet_core::schema::Attribution;
use dnsvet_core::verdict::Verdict;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::auth::Viewer;
use super::{Api, Problem};

/// Decides names as the filter would, now. Both ways block, and want a runtime around them.
pub trait Check: Send + Sync {
    /// Decides one question as `dnsvet check --json` does, and gives the JSON object that it prints. `resolve`: whether
    /// the upstream's answer is looked at.
    ///
    /// # Errors
    /// Why nothing could be decided, as a person reads it.
    fn check(&self, name: &Name, client: IpAddr, resolve: bool) -> Result<Value, String>;

    /// Which characters made the score of a verdict on a name; `None` if no model that is in force now gave it.
    fn attribution(&self, name: &str, verdict: &Verdict) -> Option<Attribution>;
}

/// What the handlers share of it.
pub type Checker = Arc<dyn Check>;

/// Checks at a time: each keeps a thread, and one filter decides them one after another.
const AT_ONCE: usize = 2;
/// Checks that may wait for their turn.
const MAX_WAITING: usize = 256;

/// Whose turn it is.
pub struct Turns {
    places: Arc<Semaphore>,
    running: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { places: semaphore(AT_ONCE + MAX_WAITING), running: semaphore(AT_ONCE) }
    }
}

impl Turns {
    /// Runs `work` off the async threads when its turn comes; refuses if too many wait. A client that goes away
    /// does not give its turn to another before the work is done.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            let detail = "too many checks at once; try again in a second";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(1)
        })?;
        let gone = |why: String| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, why);
        let turn = self.running.clone().acquire_owned().await.map_err(|error| gone(error.to_string()))?;
        let done = tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work()
        });
        done.await.map_err(|error| gone(error.to_string()))
    }
}

/// Name, the client that would ask (default: loopback), and whether the upstream is asked for a name that would pass.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    name: String,
    client: Option<IpAddr>,
    #[serde(default)]
    resolve: bool,
}

/// Asks the checker.
pub async fn check(
    State(api): State<Api>,
    Viewer(_): Viewer,
    params: Result<Query<Params>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(params) = params.map_err(|rejected| Problem::bad_request(rejected.body_text()))?;
    let name =
        Name::parse(params.name.trim()).map_err(|error| Problem::bad_request(format!("name: {error}")))?;
    let client = params.client.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let Some(checker) = api.checker.clone() else {
        return Err(Problem::new(
            StatusCode::NOT_IMPLEMENTED,
            "this process runs without a filter; use `dnsvet check`",
        ));
    };
    let checked = api.checks.run(move || checker.check(&name, client, params.resolve)).await?;
    checked.map(Json).map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use axum::response::IntoResponse as _;

    use super::*;

    #[tokio::test]
    async fn two_checks_run_some_wait_and_the_rest_are_refused() {
        let turns = Arc::new(Turns::default());
        let (started, starts) = channel();
        let mut ends = Vec::new();
        let mut running = Vec::new();
        for _ in 0..AT_ONCE + MAX_WAITING {
            let ((end, ended), started) = (channel::<()>(), started.clone());
            let turns = turns.clone();
            ends.push(end);
            running.push(tokio::spawn(async move {
                let work = move || {
                    started.send(()).unwrap();
                    ended.recv().unwrap_err();
                };
                turns.run(work).await
            }));
        }
        while turns.places.available_permits() > 0 || turns.running.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = turns.run(|| ()).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        drop(ends);
        for run in running {
            run.await.unwrap().unwrap();
        }
        assert_eq!(starts.try_iter().count(), AT_ONCE + MAX_WAITING);
        turns.run(|| ()).await.unwrap();
    }
}
