//! dnsvet as a proxy-wasm plugin (ABI 0.2.1): translates between HTTP streams and [`dnsvet_core::filter`].
//!
//! ```text
//! request head/body ─► core::doh ─► Filter::ask ─┬► local answer
//!                                                ├► continue ─► response body ─► Filter::answered
//!                                                └► pause ─► callout reply ─► Filter::on_reply
//! ```
//!
//! It decides nothing itself. The same bytes run in Envoy and in our resolver; what a runtime knows better (the
//! door, that it can drop a question) it says in the property `dnsvet.door`.

mod root;
mod runtime;
mod stream;

use proxy_wasm::types::LogLevel;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
