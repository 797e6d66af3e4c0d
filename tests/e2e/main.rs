//! End to end: real Envoy, the real resolver, a real upstream that counts, real clients.

mod alone;
mod browsers;
mod certificates;
mod clients;
mod dashboard;
mod events;
mod groups;
mod line;
mod list;
mod mlbridge;
mod models;
mod policy;
mod scorer;
mod vetting;
