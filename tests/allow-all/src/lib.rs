//! A proxy-wasm plugin that passes every request and every response untouched.
//!
//! A test swaps it in for the real one: if a name is still blocked then, something beside the plugin decides.

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(PassAll) });
}}

struct PassAll;

impl Context for PassAll {}

impl RootContext for PassAll {
    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(PassAll))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

impl HttpContext for PassAll {}
