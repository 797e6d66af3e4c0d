//! Modules, good and bad, and the cache of compiled ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;
use crate::wasm::LoadError;

fn load(wat: &str) -> Result<Arc<Runtime>, LoadError> {
    Runtime::load(&wat::parse_str(wat).unwrap(), None, limits())
}

/// A module with these fields beside what every plugin has.
fn plugin(fields: &str) -> String {
    format!(
        r#"(module {fields} (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1"))
        (func (export "malloc") (param i32) (result i32) (i32.const 0)))"#
    )
}

#[track_caller]
fn refused(wat: &str, because: &str) {
    let error = load(wat).err().expect("it is refused").to_string();
    assert!(error.contains(because), "{error}");
}

#[test]
fn what_is_no_plugin_is_refused_with_the_reason() {
    assert!(load(&plugin("")).is_ok());
    let garbage = Runtime::load(b"\0asm garbage", None, limits()).err().unwrap();
    assert!(matches!(garbage, LoadError::Compile(_)), "{garbage}");
    refused("(module)", "no proxy-wasm ABI");
    refused(r#"(module (func (export "proxy_abi_version_0_1_0")))"#, "proxy-wasm ABI 0.1.0");
    refused(r#"(module (func (export "proxy_abi_version_0_2_1")))"#, "memory");
    let no_malloc = r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_0_2_1")))"#;
    refused(no_malloc, "malloc");
    refused(
        &plugin(r#"(import "env" "proxy_dance" (func)) (import "wasi_snapshot_preview1" "fd_write" (func))"#),
        "env.proxy_dance, wasi_snapshot_preview1.fd_write",
    );
    refused(&plugin(r#"(import "env" "proxy_log" (func (param i64)))"#), "proxy_log");
    refused(&plugin(r#"(func (export "proxy_on_tick"))"#), "proxy_on_tick takes 1 i32");
    refused(
        &plugin(r#"(func (export "proxy_on_done") (param i32) (result i64) (i64.const 0))"#),
        "proxy_on_done",
    );
    refused(&plugin(r#"(global (export "proxy_on_log") i32 (i32.const 0))"#), "proxy_on_log");
}

#[test]
fn abi_0_2_0_and_the_other_allocator_are_accepted() {
    let old = plugin("").replace("0_2_1", "0_2_0").replace("malloc", "proxy_on_memory_allocate");
    load(&old).unwrap();
}

#[test]
fn a_module_that_needs_more_memory_than_the_limit_does_not_start() {
    let big = plugin("").replace("\"memory\") 1", "\"memory\") 1000");
    let started = match load(&big) {
        Ok(runtime) => {
            Vm::start(&runtime, b"", SharedState::new([""; 0])).err().map(|error| error.to_string())
        }
        Err(error) => Some(error.to_string()),
    };
    assert!(started.unwrap().contains("memory"));
}

/// The one file of a cache.
fn cached(dir: &Path) -> PathBuf {
    let files: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    file.clone()
}

fn works(runtime: &Arc<Runtime>) {
    let mut vm = Vm::start(runtime, b"", SharedState::new([""; 0])).unwrap();
    assert!(request(&mut vm).is_ok());
}

#[test]
fn the_second_load_comes_from_the_cache() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("a/b");
    let wasm = Guest::new().on("proxy_on_request_body", 0, &["log 2 'x'"]).wasm();
    let first = Runtime::load(&wasm, Some(&dir), limits()).unwrap();
    let second = Runtime::load(&wasm, Some(&dir), limits()).unwrap();
    assert_eq!((first.from_cache(), second.from_cache()), (false, true));
    assert_eq!(first.sha256(), second.sha256());
    assert_eq!(first.sha256().len(), 64);
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(cached(&dir)).unwrap().permissions().mode() & 0o777, 0o600);
    works(&second);

    let other = Runtime::load(&Guest::new().wasm(), Some(&dir), limits()).unwrap();
    assert!(!other.from_cache());
}

#[test]
fn a_damaged_cache_is_ignored_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("cache");
    let wasm = Guest::new().on("proxy_on_request_body", 0, &["log 2 'x'"]).wasm();
    Runtime::load(&wasm, Some(&dir), limits()).unwrap();
    let whole = fs::read(cached(&dir)).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut headless = whole.clone();
    headless[0] ^= 1;
    for damaged in [&whole[..0], &whole[..7], &whole[..40], &whole[..whole.len() - 1], &flipped, &headless] {
        fs::write(cached(&dir), damaged).unwrap();
        let runtime = Runtime::load(&wasm, Some(&dir), limits()).unwrap();
        assert!(!runtime.from_cache());
        works(&runtime);
        assert_eq!(fs::read(cached(&dir)).unwrap().len(), whole.len());
        assert!(Runtime::load(&wasm, Some(&dir), limits()).unwrap().from_cache());
    }
}

#[test]
fn a_folder_that_others_may_write_to_is_no_cache() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let wasm = Guest::new().wasm();
    for _ in 0..2 {
        assert!(!Runtime::load(&wasm, Some(folder.path()), limits()).unwrap().from_cache());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    works(&Runtime::load(&wasm, Some(&file), limits()).unwrap());
}
