//! A plugin, compiled: what all its VMs have in common.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use wasmtime::{
    Config, Engine, ExternType, InstanceAllocationStrategy, InstancePre, Linker, Module,
    PoolingAllocationConfig, ValType,
};

use super::cache::{Cache, hex};
use super::error::LoadError;
use super::hostcalls;
use super::state::State;

/// What one plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Memory of one VM, bytes. The default, 512 MiB, holds some tens of millions of listed names.
    pub memory_bytes: usize,
    /// Time of one guest call of a request, milliseconds. The default of 100 is a thousand times what a
    /// request takes.
    pub call_ms: u32,
    /// Time of one guest call outside of requests (start, configuration, tick, replies to the root
    /// context), milliseconds. The default of 5,000 lets a VM take in a large snapshot on a busy machine.
    pub background_ms: u32,
    /// VMs at a time. The default of 64 is enough for 32 worker threads; see [`Limits::for_workers`].
    pub instances: u32,
}

impl Limits {
    /// The defaults, with one VM for each worker thread and room to replace all of them.
    pub fn for_workers(workers: usize) -> Self {
        let both = u32::try_from(workers).unwrap_or(u32::MAX).saturating_mul(2);
        let limits = Self::default();
        Self { instances: both.max(limits.instances), ..limits }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 512 << 20, call_ms: 100, background_ms: 5_000, instances: 64 }
    }
}

/// A time limit: half of it, as duration and in epochs. See [`super::state::Watch`].
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfLimit {
    pub(super) time: Duration,
    pub(super) ticks: u64,
}

/// A compiled plugin. Dropping the last VM and the last reference ends its clock thread.
pub struct Runtime {
    engine: Engine,
    pre: InstancePre<State>,
    sha256: String,
    limits: Limits,
    tick: Duration,
    from_cache: bool,
}

/// Functions that a guest may export, with the number of parameters, and whether a number comes back.
pub(super) const EXPORTS: &[(&str, usize, bool)] = &[
    ("_initialize", 0, false),
    ("_start", 0, false),
    ("malloc", 1, true),
    ("proxy_on_memory_allocate", 1, true),
    ("proxy_on_context_create", 2, false),
    ("proxy_on_vm_start", 2, true),
    ("proxy_on_configure", 2, true),
    ("proxy_on_tick", 1, false),
    ("proxy_on_queue_ready", 2, false),
    ("proxy_on_request_headers", 3, true),
    ("proxy_on_request_body", 3, true),
    ("proxy_on_response_headers", 3, true),
    ("proxy_on_response_body", 3, true),
    ("proxy_on_http_call_response", 5, false),
    ("proxy_on_done", 1, true),
    ("proxy_on_log", 1, false),
    ("proxy_on_delete", 1, false),
];

impl Runtime {
    /// Compiles a plugin, or takes it from the cache where that holds an intact copy for this engine. A
    /// cache that cannot be used costs the time to compile and a line in the log, nothing else.
    pub fn load(wasm: &[u8], cache_dir: Option<&Path>, limits: Limits) -> Result<Arc<Self>, LoadError> {
        let engine = engine(limits)?;
        let sha256 = hex(&Sha256::digest(wasm));
        let cache = cache_dir.and_then(|dir| {
            let opened = Cache::open(dir);
            opened.inspect_err(|error| tracing::warn!(%error, "compiled modules are not cached")).ok()
        });
        let cached = cache.as_ref().and_then(|cache| cache.load(&engine, &sha256));
        let from_cache = cached.is_some();
        let module = match cached {
            Some(module) => module,
            None => Module::from_binary(&engine, wasm)
                .map_err(|error| LoadError::Compile(format!("{error:#}")))?,
        };
        if let (false, Some(cache)) = (from_cache, &cache)
            && let Err(error) = cache.store(&engine, &sha256, &module)
        {
            tracing::warn!(%error, "a compiled module was not cached");
        }
        check_exports(&module)?;
        let pre = link(&engine, &module)?;
        let tick = Duration::from_millis(u64::from(limits.call_ms / 10).max(1));
        start_clock(&engine, tick)?;
        Ok(Arc::new(Self { engine, pre, sha256, limits, tick, from_cache }))
    }

    /// SHA-256 of the wasm, lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// What the plugin may use.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether the compiled module came from the cache.
    pub fn from_cache(&self) -> bool {
        self.from_cache
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(super) fn pre(&self) -> &InstancePre<State> {
        &self.pre
    }

    /// Half of a limit in milliseconds. The epoch that is running counts as one.
    pub(super) fn half(&self, limit_ms: u32) -> HalfLimit {
        let time = Duration::from_millis(u64::from(limit_ms)) / 2;
        let ticks = time.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        HalfLimit { time, ticks: u64::try_from(ticks).unwrap_or(u64::MAX / 2) + 1 }
    }
}

/// An engine that takes memories from a pool; where the address space is too small for one, an engine
/// that maps each as it is needed.
fn engine(limits: Limits) -> Result<Engine, LoadError> {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .wasm_simd(true)
        // Envoy's scores must be ours, bit by bit.
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false);
    let mut pool = PoolingAllocationConfig::default();
    let page_bytes = 64 << 10;
    pool.total_core_instances(limits.instances)
        .total_memories(limits.instances)
        .total_tables(limits.instances.saturating_mul(4))
        .max_tables_per_module(4)
        .table_elements(65_536)
        .max_core_instance_size(4 << 20)
        .max_memory_size(limits.memory_bytes.div_ceil(page_bytes) * page_bytes);
    let mut pooled = config.clone();
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&pooled).or_else(|error| {
        tracing::warn!(%error, "no room for a pool of wasm memories, each is mapped on demand");
        Engine::new(&config).map_err(|error| LoadError::Engine(format!("{error:#}")))
    })
}

/// Refuses a module that is no proxy-wasm 0.2.x plugin, before it runs.
fn check_exports(module: &Module) -> Result<(), LoadError> {
    let names: Vec<&str> = module.exports().map(|export| export.name()).collect();
    if !names.iter().any(|name| matches!(*name, "proxy_abi_version_0_2_1" | "proxy_abi_version_0_2_0")) {
        let version = names.iter().find_map(|name| name.strip_prefix("proxy_abi_version_"));
        let found = version.map_or("no proxy-wasm ABI".to_owned(), |version| {
            format!("proxy-wasm ABI {}", version.replace('_', "."))
        });
        return Err(LoadError::Abi { found });
    }
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(_))) {
        return Err(LoadError::MissingExport("a memory named `memory`"));
    }
    if !names.iter().any(|name| matches!(*name, "malloc" | "proxy_on_memory_allocate")) {
        return Err(LoadError::MissingExport("`malloc` or `proxy_on_memory_allocate`"));
    }
    for &(name, parameters, returns) in EXPORTS {
        let Some(export) = module.get_export(name) else { continue };
        let right = export.func().is_some_and(|function| {
            function.params().len() == parameters
                && function.results().len() == usize::from(returns)
                && function.params().chain(function.results()).all(|kind| matches!(kind, ValType::I32))
        });
        if !right {
            let result = if returns { "an i32" } else { "nothing" };
            let want = format!("{name} takes {parameters} i32 and returns {result}");
            return Err(LoadError::Signature(want));
        }
    }
    Ok(())
}

fn link(engine: &Engine, module: &Module) -> Result<InstancePre<State>, LoadError> {
    let known = |module: &str, name: &str| module == "env" && hostcalls::NAMES.contains(&name);
    let unknown: Vec<String> = module
        .imports()
        .filter(|import| !known(import.module(), import.name()))
        .map(|import| format!("{}.{}", import.module(), import.name()))
        .collect();
    if !unknown.is_empty() {
        return Err(LoadError::UnknownImports(unknown));
    }
    let mut linker = Linker::new(engine);
    hostcalls::define(&mut linker).map_err(|error| LoadError::Engine(format!("{error:#}")))?;
    linker.instantiate_pre(module).map_err(|error| LoadError::Signature(format!("{error:#}")))
}

/// Advances the engine's epoch until the engine is gone.
fn start_clock(engine: &Engine, tick: Duration) -> Result<(), LoadError> {
    let engine = engine.weak();
    let clock = move || {
        loop {
            std::thread::sleep(tick);
            let Some(engine) = engine.upgrade() else { return };
            engine.increment_epoch();
        }
    };
    let thread = std::thread::Builder::new().name("wasm-clock".to_owned()).spawn(clock);
    thread.map(drop).map_err(|error| LoadError::Engine(format!("no thread for its clock: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_room_for_its_vm_and_the_next_one() {
        let instances = |workers| Limits::for_workers(workers).instances;
        assert_eq!((instances(1), instances(32), instances(33), instances(128)), (64, 64, 66, 256));
        assert_eq!(instances(usize::MAX), u32::MAX);
    }
}
