//! Compiled modules on disk.
//!
//! A file is named after the SHA-256 of the wasm and of everything that compiled code depends on (engine
//! version, settings, processor), and starts with the SHA-256 of what follows, so a torn, old or foreign
//! file reads as absent and the module is compiled again.

use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::{Engine, Module};

const MAGIC: &[u8; 8] = b"DVCWASM1";
const DIGEST_BYTES: usize = 32;

/// A folder of compiled modules.
pub(super) struct Cache {
    dir: PathBuf,
}

impl Cache {
    /// The cache in `dir`, which is made with mode 0700. Whoever can write there can run code in this
    /// process, so a folder of another user, or one that others may write to, is refused.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let meta = fs::metadata(dir)?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::Error::other(format!("{} belongs to another user", dir.display())));
        }
        if meta.mode() & 0o022 != 0 {
            let why = format!("{} may be written by others, make its mode 0700", dir.display());
            return Err(io::Error::other(why));
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The compiled module, where an intact one for this very engine is there.
    pub(super) fn load(&self, engine: &Engine, wasm_sha256: &str) -> Option<Module> {
        let bytes = fs::read(self.path(engine, wasm_sha256)).ok()?;
        let (digest, code) = bytes.strip_prefix(MAGIC)?.split_at_checked(DIGEST_BYTES)?;
        if Sha256::digest(code).as_slice() != digest {
            return None;
        }
        deserialize(engine, code)
    }

    /// Keeps a compiled module. Readers see the whole file or none.
    pub(super) fn store(&self, engine: &Engine, wasm_sha256: &str, module: &Module) -> io::Result<()> {
        let code = module.serialize().map_err(|error| io::Error::other(error.to_string()))?;
        let path = self.path(engine, wasm_sha256);
        let partial = path.with_extension(format!("{}.part", std::process::id()));
        let _ = fs::remove_file(&partial);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(MAGIC)?;
        file.write_all(&Sha256::digest(&code))?;
        file.write_all(&code)?;
        drop(file);
        fs::rename(&partial, &path)
    }

    fn path(&self, engine: &Engine, wasm_sha256: &str) -> PathBuf {
        let mut hasher = Sha256Hasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let compatibility = hex(&hasher.0.finalize()[..8]);
        self.dir.join(format!("{wasm_sha256}-{compatibility}.cwasm"))
    }
}

/// Lower-case hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, code: &[u8]) -> Option<Module> {
    // SAFETY: `deserialize` runs what the bytes say, so they must come from `Module::serialize`.
    // - They come from a file that `Cache::store` wrote: its name holds the hash of this engine's settings,
    //   and its digest was just found right, so it is whole.
    // - The folder is this user's alone to write (`Cache::open`), so nobody who could not already run code
    //   as this user put the file there.
    // - The bytes are a private copy in memory, so nobody changes them while they are read.
    unsafe { Module::deserialize(engine, code) }.ok()
}

/// Feeds a [`Hash`] to SHA-256, since the standard hasher may change with the compiler.
struct Sha256Hasher(Sha256);

impl Hasher for Sha256Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        u64::from_le_bytes(self.0.clone().finalize()[..8].try_into().unwrap_or_default())
    }
}
