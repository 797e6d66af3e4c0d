//! Lists from files into a snapshot.
//!
//! ```text
//! block:hosts:ads.txt.gz ─► ListSource ─► read (.gz and .zst too) ─► parse ─► Builder ─► .dvs
//!                                                       └─► ListReport: counts, first bad lines
//! ```
//!
//! Only files are read here. What comes over the network is fetched by `control::subscription`.

mod source;
mod told;
mod unpack;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::io;
use std::path::{Path, PathBuf};

use dnsvet_core::lists::{self, Counts, Format, Rejected, Why};
use dnsvet_core::policy::Policy;
use dnsvet_core::snapshot::{
    BuildError, Builder, ListInfo, PatternError, Role, Snapshot, SnapshotError, Vetted,
};
use ed25519_dalek::SigningKey;

use crate::explain::Places;

pub use source::{ListSource, Place, SourceError, Transfer, prefixes};
pub use told::Told;
pub use unpack::{UnpackError, limited, unpack};

/// The largest list that is read, bytes after decompression: some forty million names.
const MOST_LIST_BYTES: u64 = 1 << 30;
/// How much of a list is looked at to see that it has rules, before all of it is.
const LOOKED_AT_BYTES: usize = 1 << 16;

/// Why no snapshot was made.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A list can't be read.
    #[error("list {}: {error}; correct its path or its rights", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A list is packed and damaged, or larger than is read.
    #[error("list {}: {error}; pack it again, or split it", path.display())]
    Unpack {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        error: UnpackError,
    },
    /// A list that is no file, where only files are read.
    #[error("list {0}: only files are compiled here; download it first, or let `dnsvet serve` fetch it")]
    NotAFile(Place),
    /// A list in which no line is a rule.
    #[error(
        "list {place}: none of its {lines} lines is a {format} rule ({first}); name its format in `lists`, as in hosts:PATH"
    )]
    NoRules {
        /// Its file.
        place: String,
        /// How many lines it has.
        lines: u64,
        /// What it was read as.
        format: Format,
        /// The first bad line.
        first: String,
    },
    /// A file that holds no text.
    #[error("list {}: holds NUL bytes, so it is no list in UTF-8; save it as text, or give another path", path.display())]
    NoText {
        /// The file.
        path: PathBuf,
    },
    /// The builder refused.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// What was built can't be opened.
    #[error("the snapshot that was built can't be opened: {0}; please report it")]
    Open(#[from] SnapshotError),
}

/// What became of one list.
#[derive(Debug, Clone)]
pub struct ListReport {
    /// Its name in verdicts.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Where it is from.
    pub place: Place,
    /// What it was read as.
    pub format: Format,
    /// Its lines, by what became of them.
    pub counts: Counts,
    /// The first bad lines, or all.
    pub rejected: Vec<Rejected>,
}

impl ListReport {
    /// An error if the lines are clearly of another format: there are some, and none is a rule.
    ///
    /// # Errors
    /// [`CompileError::NoRules`], with the first bad line.
    pub fn refuse_without_rules(&self) -> Result<(), CompileError> {
        match (self.counts.entries, self.complaints().next()) {
            (0, Some(first)) => {
                let (place, lines, format) = (self.place.to_string(), self.counts.lines, self.format);
                Err(CompileError::NoRules { place, lines, format, first })
            }
            _ => Ok(()),
        }
    }

    /// The first bad lines as `file:line: "text": why`, and how many more there are.
    pub fn complaints(&self) -> impl Iterator<Item = String> {
        let place = &self.place;
        let first = self.rejected.iter();
        let first = first.map(move |r| format!("{place}:{}: {:?}: {}", r.line, r.text, r.why));
        let more = self.counts.rejected.saturating_sub(self.rejected.len() as u64);
        first.chain((more > 0).then(|| format!("{place}: {more} more lines were passed over")))
    }
}

/// A snapshot with what went into it.
#[derive(Debug)]
pub struct Compiled {
    /// The snapshot's file.
    pub bytes: Vec<u8>,
    /// Each list, in order.
    pub reports: Vec<ListReport>,
}

/// What a snapshot is made of, lists left out.
#[derive(Debug, Clone, Copy)]
pub struct Rest<'a> {
    /// People's decisions.
    pub vetted: &'a [Vetted],
    /// The policy.
    pub policy: &'a Policy,
    /// The brands section; empty for none.
    pub brands: &'a [u8],
    /// The small model's artifact.
    pub small_model: Option<&'a [u8]>,
    /// Must rise from one snapshot of a feed to the next.
    pub serial: u64,
    /// When it is made, milliseconds since 1970.
    pub made_ms: u64,
    /// Signs it.
    pub key: Option<&'a SigningKey>,
}

/// Makes a snapshot of list files. `on_list` is told of each list once it was read.
///
/// The key of the name map is drawn from the signing key, or from the lists' texts if there is none: the same
/// input gives the same bytes. Of bad lines the first few of each list are reported, or every one.
pub fn compile(
    sources: &[ListSource],
    rest: &Rest,
    every_line: bool,
    mut on_list: impl FnMut(&ListReport),
) -> Result<Compiled, CompileError> {
    let mut seed = blake3::Hasher::new_derive_key("dnsvet 2026 snapshot key seed");
    if let Some(key) = rest.key {
        seed.update(&key.to_bytes());
    }
    let mut texts = Vec::with_capacity(sources.len());
    for source in sources {
        let Place::File(path) = &source.place else {
            return Err(CompileError::NotAFile(source.place.clone()));
        };
        let text = read(path)?;
        if rest.key.is_none() {
            seed.update(&text);
        }
        texts.push(text);
    }
    let mut key_seed = [0; 16];
    seed.finalize_xof().fill(&mut key_seed);
    let mut builder = Builder::new(rest.serial, key_seed);
    let mut reports = Vec::with_capacity(sources.len());
    for (source, text) in sources.iter().zip(texts) {
        let info = ListInfo { name: source.name(), role: source.role, ..ListInfo::default() };
        let mut told = if every_line { Told::every_line() } else { Told::default() };
        let (name, list) = (info.name.clone(), builder.add_list(info));
        let report = fill(&mut builder, list, name, source, &text, &mut told);
        on_list(&report);
        reports.push(report);
    }
    builder.times(rest.made_ms, 0).vetted(rest.vetted.to_vec()).policy(rest.policy.clone());
    builder.brands(rest.brands.to_vec());
    if let Some(model) = rest.small_model {
        builder.small_model(model.to_vec());
    }
    Ok(Compiled { bytes: builder.build(rest.key)?, reports })
}

/// Adds a list with the rules of its text to a builder, under the name and with the powers that `info` says.
pub fn add_text(builder: &mut Builder, info: ListInfo, source: &ListSource, text: &[u8]) -> ListReport {
    let name = info.name.clone();
    let list = builder.add_list(info);
    fill(builder, list, name, source, text, &mut Told::default())
}

/// Adds the rules of a list's text to a list of a builder. What `told` knows of its text is not read again.
pub fn fill(
    builder: &mut Builder,
    list: u16,
    name: String,
    source: &ListSource,
    text: &[u8],
    told: &mut Told,
) -> ListReport {
    let format = source.format.unwrap_or_else(|| Format::detect(text));
    let kept = told.kept;
    let lines = LazyCell::new(|| lists::lines(text).collect::<Vec<_>>());
    let mut telling = told.again(builder, list, format);
    let mut counts = lists::parse_into(text, format, &mut telling);
    let (mut rejected, mut refused) = (telling.rejected, telling.refused);
    counts.entries -= refused.len() as u64;
    refused.dedup_by_key(|(line, _)| *line);
    for (line, why) in refused {
        counts.rules = counts.rules.saturating_sub(1);
        counts.rejected += 1;
        if rejected.len() < kept {
            let why = match why {
                PatternError::Large => Why::LargeRegex,
                other => Why::Regex(other.to_string()),
            };
            rejected.push(Rejected { line, text: line_text(&lines, line).chars().take(80).collect(), why });
        }
    }
    ListReport { name, role: source.role, place: source.place.clone(), format, counts, rejected }
}

/// Says where each entry of a list's text stands.
///
/// # Errors
/// If that can't be written.
pub fn index(places: &mut Places, format: Option<Format>, text: &[u8]) -> io::Result<()> {
    let format = format.unwrap_or_else(|| Format::detect(text));
    let lines: Vec<&[u8]> = lists::lines(text).collect();
    let mut added = Ok(());
    let add = |entry: lists::Entry| {
        if added.is_ok() && !entry.revokes {
            added = places.add(&entry.rule.trigger.key(), entry.line, &line_text(&lines, entry.line));
        }
    };
    lists::parse(text, format, add, |_| ());
    added
}

/// Whether any line of a text is a rule; a look at its start is mostly enough.
pub fn has_rules(format: Option<Format>, text: &[u8]) -> bool {
    let format = format.unwrap_or_else(|| Format::detect(text));
    let any = |text: &[u8]| lists::parse(text, format, |_| (), |_| ()).entries > 0;
    any(text.get(..LOOKED_AT_BYTES).unwrap_or(text)) || text.len() > LOOKED_AT_BYTES && any(text)
}

/// The text of a line, from 1, without white space around it.
fn line_text<'a>(lines: &[&'a [u8]], line: u32) -> Cow<'a, str> {
    let bytes = (line as usize).checked_sub(1).and_then(|at| lines.get(at)).copied().unwrap_or_default();
    String::from_utf8_lossy(bytes.trim_ascii())
}

/// Reads a file or a pipe, unpacked if its first bytes say gzip or zstd.
///
/// # Errors
/// If it can't be read, is damaged, holds more than 1 GiB of text, or no text.
pub fn read(path: &Path) -> Result<Vec<u8>, CompileError> {
    let packed = std::fs::read(path).map_err(|error| CompileError::Read { path: path.to_owned(), error })?;
    unpacked(path, packed)
}

/// Reads a regular file as it is: from a pipe or a device what serves would wait for ever.
///
/// # Errors
/// If it can't be read.
pub fn read_packed(path: &Path) -> Result<Vec<u8>, CompileError> {
    let read = regular(path).and_then(|_| std::fs::read(path));
    read.map_err(|error| CompileError::Read { path: path.to_owned(), error })
}

/// What the system says of a regular file.
///
/// # Errors
/// If there is none at this path.
pub fn regular(path: &Path) -> io::Result<std::fs::Metadata> {
    let data = std::fs::metadata(path)?;
    match data.is_file() {
        true => Ok(data),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Unpacks what was read from a file, if its first bytes say gzip or zstd.
///
/// # Errors
/// If it is damaged, holds more than 1 GiB of text, or no text.
pub fn unpacked(path: &Path, packed: Vec<u8>) -> Result<Vec<u8>, CompileError> {
    let unpacked = unpack(packed, MOST_LIST_BYTES);
    let text = unpacked.map_err(|error| CompileError::Unpack { path: path.to_owned(), error })?;
    match is_text(&text) {
        true => Ok(text),
        false => Err(CompileError::NoText { path: path.to_owned() }),
    }
}

/// Whether the start of a list may be that of a text in UTF-8 or Latin-1: it has no NUL byte.
pub fn is_text(bytes: &[u8]) -> bool {
    !bytes.get(..LOOKED_AT_BYTES).unwrap_or(bytes).contains(&0)
}

/// What a key file should hold.
const KEY_REMEDY: &str = "a key file holds 64 hex digits (an Ed25519 seed), or the PEM that \
    `openssl genpkey -algorithm ed25519` writes";

/// Why a signing key was not taken.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file can't be read.
    #[error("key {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The file holds no key.
    #[error("key {}: not a key; {KEY_REMEDY}", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
}

/// Reads an Ed25519 signing key: 64 hex digits, or PEM (PKCS #8).
pub fn signing_key(path: &Path) -> Result<SigningKey, KeyError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| KeyError::Read { path: path.to_owned(), error })?;
    let seed =
        if text.contains("-----BEGIN PRIVATE KEY-----") { pem_seed(&text) } else { hex_seed(text.trim()) };
    seed.map(|seed| SigningKey::from_bytes(&seed)).ok_or_else(|| KeyError::NotAKey { path: path.to_owned() })
}

fn hex_seed(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut seed = [0; 32];
    for (byte, pair) in seed.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(seed)
}

/// The seed of a PKCS #8 Ed25519 key (RFC 8410 section 7): 16 bytes of frame, then the seed.
fn pem_seed(text: &str) -> Option<[u8; 32]> {
    use base64::Engine;
    const FRAME: [u8; 16] = *b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
    let body = text.split_once("-----BEGIN PRIVATE KEY-----")?.1.split_once("-----END")?.0;
    let packed: String = body.split_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD.decode(packed).ok()?;
    der.strip_prefix(&FRAME)?.get(..32)?.try_into().ok()
}

/// A snapshot file opened, with what it was read from in the error.
pub fn open_snapshot(path: &Path) -> Result<Snapshot, OpenError> {
    let named = |why| OpenError { path: path.to_owned(), why };
    let bytes = std::fs::read(path).map_err(|error| named(OpenWhy::Read(error)))?;
    Snapshot::open(bytes.into(), &[]).map_err(|error| named(OpenWhy::Snapshot(error)))
}

/// A snapshot file that can't be used.
#[derive(Debug, thiserror::Error)]
#[error("snapshot {}: {why}", path.display())]
pub struct OpenError {
    path: PathBuf,
    why: OpenWhy,
}

/// Why a snapshot file can't be used.
#[derive(Debug, thiserror::Error)]
enum OpenWhy {
    #[error("{0}")]
    Read(io::Error),
    #[error("{0}")]
    Snapshot(SnapshotError),
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use dnsvet_core::name::Name;

    use super::*;

    fn rest<'a>(policy: &'a Policy, key: Option<&'a SigningKey>) -> Rest<'a> {
        Rest { vetted: &[], policy, brands: b"", small_model: None, serial: 3, made_ms: 5, key }
    }

    fn file(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn packed_lists_are_read_by_their_first_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"bad.example\n# no\nworse.example\nno name\n";
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text).unwrap();
        let packed = [gz.finish().unwrap(), zstd::encode_all(&text[..], 3).unwrap(), text.to_vec()];
        for (number, bytes) in packed.iter().enumerate() {
            let path = file(&folder, &format!("list{number}"), bytes);
            let source = path.display().to_string().parse().unwrap();
            let policy = Policy::default();
            let compiled = compile(&[source], &rest(&policy, None), false, |_| {}).unwrap();
            let report = &compiled.reports[0];
            assert_eq!((report.counts.rules, report.counts.comments, report.counts.rejected), (2, 1, 1));
            let complaint = format!("{}:4: \"no name\": ", path.display());
            assert!(report.complaints().next().unwrap().starts_with(&complaint));
            let snapshot = Snapshot::open(compiled.bytes.into(), &[]).unwrap();
            let found = snapshot.lookup(&Name::parse("www.worse.example").unwrap());
            assert_eq!(snapshot.lists()[usize::from(found[0].list)].name, format!("list{number}"));
        }
    }

    #[test]
    fn patterns_that_no_snapshot_takes_are_reported_and_every_line_is_accounted_for() {
        let folder = tempfile::tempdir().unwrap();
        let text = b"\xef\xbb\xbf^ads\r\n(a.{40}b|c.{40}d){9}\r\n# no\r\nok[0-9]\n";
        let path = file(&folder, "patterns", text);
        let source = format!("regex:{}", path.display()).parse().unwrap();
        let policy = Policy::default();
        let compiled = compile(&[source], &rest(&policy, None), false, |_| {}).unwrap();
        let report = &compiled.reports[0];
        let Counts { lines, rules, comments, rejected, entries } = report.counts;
        assert_eq!((lines, rules, comments, rejected, entries), (4, 2, 1, 1, 2));
        let first = &report.rejected[0];
        assert_eq!(
            (first.line, first.text.as_str(), &first.why),
            (2, "(a.{40}b|c.{40}d){9}", &Why::LargeRegex)
        );
    }

    #[test]
    fn an_unreadable_list_is_named() {
        let source: ListSource = "/nowhere/at/all.txt".parse().unwrap();
        let error =
            compile(&[source], &rest(&Policy::default(), None), false, |_| {}).unwrap_err().to_string();
        assert!(
            error.starts_with("list /nowhere/at/all.txt: ")
                && error.ends_with("correct its path or its rights")
        );
    }

    #[test]
    fn every_bad_line_is_reported_if_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "list", format!("ok.example\n{}", "no name\n".repeat(9)).as_bytes());
        let source = [path.display().to_string().parse().unwrap()];
        let policy = Policy::default();
        for (every_line, complaints) in [(false, 6), (true, 9)] {
            let compiled = compile(&source, &rest(&policy, None), every_line, |_| {}).unwrap();
            assert_eq!(compiled.reports[0].complaints().count(), complaints);
            assert_eq!(compiled.reports[0].counts.rejected, 9);
        }
    }

    #[test]
    fn what_holds_no_text_or_no_rule_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy::default();
        let compiled = |bytes: &[u8]| {
            let source = [file(&folder, "list", bytes).display().to_string().parse().unwrap()];
            compile(&source, &rest(&policy, None), false, |_| {})
        };
        let utf_16: Vec<u8> = "bad.example\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let error = compiled(&utf_16).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "holds NUL bytes, so it is no list in UTF-8; save it as text, or give another path"
            )
        );
        let report = &compiled(b"<html>\n<p>504</p>\n").unwrap().reports[0];
        let error = report.refuse_without_rules().unwrap_err().to_string();
        assert!(
            error.contains("none of its 2 lines is a plain rule (") && error.contains(":1: \"<html>\": "),
            "{error}"
        );
        for taken in [&b""[..], b"# nothing yet\n", b"bad.example\n<p>\n"] {
            compiled(taken).unwrap().reports[0].refuse_without_rules().unwrap();
        }
        let error = read_packed(folder.path()).unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_list_that_is_no_file_is_refused_with_what_to_do() {
        let source: ListSource = "https://lists.example/ads.txt".parse().unwrap();
        let error =
            compile(&[source], &rest(&Policy::default(), None), false, |_| {}).unwrap_err().to_string();
        assert!(error.starts_with("list https://lists.example/ads.txt: only files"), "{error}");
        assert!(error.contains("download it first"), "{error}");
    }

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let source: ListSource = file(&folder, "a", b"a.example\n").display().to_string().parse().unwrap();
        let (policy, key) = (Policy::default(), SigningKey::from_bytes(&[1; 32]));
        let build =
            |key| compile(std::slice::from_ref(&source), &rest(&policy, key), false, |_| {}).unwrap().bytes;
        assert_eq!(build(None), build(None));
        assert_eq!(build(Some(&key)), build(Some(&key)));
        assert!(Snapshot::open(build(Some(&key)).into(), &[key.verifying_key()]).is_ok());
    }

    #[test]
    fn a_key_is_read_from_hex_and_from_pem() {
        let folder = tempfile::tempdir().unwrap();
        let hex = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        // The same seed (RFC 8032 section 7.1, test 1) as OpenSSL writes it.
        let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
        let keys = [("hex", hex), ("pem", pem)]
            .map(|(name, text)| signing_key(&file(&folder, name, text.as_bytes())).unwrap().to_bytes());
        assert_eq!(keys[0], keys[1]);
        let error = signing_key(&file(&folder, "none", b"xyz")).unwrap_err().to_string();
        assert!(error.contains("64 hex digits"), "{error}");
    }
}
