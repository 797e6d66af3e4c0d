//! The API's checker: decides with the snapshot in force, its policy's modes included.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use dnsvet_core::name::Name;
use dnsvet_core::schema::Attribution;
use dnsvet_core::snapshot::Snapshot;
use dnsvet_core::verdict::Verdict;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{Checker, report};
use crate::api;
use crate::control::Control;

/// A checker for the API. `scorer` is a base URL, empty for none; `resolver` is who is asked for names that pass, if that
/// is wanted.
pub fn live(control: Arc<Control>, scorer: &str, resolver: Option<SocketAddr>) -> api::Checker {
    Arc::new(Live { control, scorer: scorer.parse().ok(), resolver, kept: Mutex::default() })
}

/// Its filter is kept until the snapshot changes.
struct Live {
    control: Arc<Control>,
    scorer: Option<http::Uri>,
    resolver: Option<SocketAddr>,
    /// The snapshot's id beside its filter.
    kept: Mutex<Option<(String, Checker)>>,
}

impl Live {
    fn with<T>(&self, work: impl FnOnce(&mut Checker) -> Result<T, String>) -> Result<T, String> {
        let published = self.control.published().ok_or("no snapshot is in force yet")?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let checker = match kept.take().filter(|(id, _)| *id == published.id) {
            Some((_, checker)) => checker,
            None => {
                let snapshot =
                    Snapshot::open(published.bytes.clone(), &[]).map_err(|error| error.to_string())?;
                let checker = Checker::new(snapshot, self.scorer.clone(), None);
                checker.map_err(|error| error.to_string())?.with_index(self.control.data_dir())
            }
        };
        let (_, checker) = kept.insert((published.id.clone(), checker));
        work(checker)
    }
}

impl api::Check for Live {
    fn check(&self, name: &Name, client: IpAddr, resolve: bool) -> Result<Value, String> {
        if resolve && self.resolver.is_none() {
            return Err("this process has no upstream that could be asked".into());
        }
        self.with(|checker| {
            checker.resolver = self.resolver.filter(|_| resolve);
            let runtime = Handle::current();
            let event = runtime.block_on(checker.check(name, client));
            let event = event.ok_or_else(|| "the filter recorded nothing".to_owned())?;
            let matches = checker.matches(name, client);
            let without = runtime.block_on(checker.without(&event, name, client));
            let attribution = runtime.block_on(checker.attribution(name.as_str(), &event.verdict));
            Ok(report(&event, &matches, without.as_ref(), attribution.as_ref()))
        })
    }

    fn attribution(&self, name: &str, verdict: &Verdict) -> Option<Attribution> {
        self.with(|checker| Ok(Handle::current().block_on(checker.attribution(name, verdict)))).ok().flatten()
    }
}
