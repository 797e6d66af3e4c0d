//! The dashboard in a real browser, against a resolver that just answered a question.

use crate::error::Error;
use crate::line::{Options, Ports, first_password};
use crate::stage::Outcome;
use crate::up::ask::{self, Door};
use crate::{ui, workspace};

/// Checks the types of the dashboard's sources.
pub fn check_types() -> Result<Outcome, Error> {
    let folder = workspace::root().join("host/ui");
    ui::npm(&folder, "svelte-check", &["run", "check"]).map(|_| Outcome::passed())
}

/// Logs in, looks at a query and its trace, vets a name: `host/ui/e2e/smoke.mjs`.
pub fn smoke() -> Result<Outcome, Error> {
    let folder = workspace::target().join("tmp/browser");
    // What an earlier run left; if it can't go, the start below says why.
    let _ = std::fs::remove_dir_all(&folder);
    let mut options = Options::new(&folder, Ports::free()?);
    options.serve_flags = ["--upstreams", "demo", "--mode-models", "enforce"].map(str::to_owned).to_vec();
    let _scorer = options.start_scorer()?;
    let serve = options.start_serve()?;
    let password = first_password(&serve.printed())
        .ok_or_else(|| Error::Found(vec![format!("no first password in:\n{}", serve.printed())]))?;
    let name = "asked-before.example.com";
    if ask::ask(Door::Udp, &options.ports, name).is_none() {
        return Err(Error::Found(vec!["the resolver does not answer".into()]));
    }
    let url = format!("http://127.0.0.1:{}", options.ports.api);
    let shots = folder.join("shots").display().to_string();
    let arguments = ["run", "e2e", "--", &url, "admin", &password, &shots, name];
    ui::npm(&workspace::root().join("host/ui"), "browser", &arguments).map(|_| Outcome::passed())
}
