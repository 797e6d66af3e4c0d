//! Lists of names as other people publish them: parsed line by line, nothing lost in silence.
//!
//! ```text
//! bytes ─► lines ─► format (plain, hosts) ─► Entry { rule, line } …  to the snapshot builder
//!                                        └─► Rejected { line, text, why } … to whoever reads the log
//! ```
//!
//! Every line is one of three: it gave entries, it was blank or a comment, or it is reported. So
//! `rules + comments + rejected == lines` always, and one bad line never costs the others. A format is one file
//! beside this one and one arm of [`Format`].
//!
//! The surprise is scope. A *plain* list names zones: `example.com` covers all below it, and so does
//! `*.example.com` (which covers `example.com` too, as blocky reads it, unlike RPZ). A *hosts* file names hosts:
//! `0.0.0.0 example.com` covers that name only, as the resolver library reads it.

mod hosts;
mod plain;
mod rule;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

pub use self::rule::{ClientIs, Conditions, Effect, LocalData, Rule, Scope, Trigger};
use crate::name::{Name, NameError};

/// The most characters of a bad line that a report repeats.
const SHOWN_CHARACTERS: usize = 80;
/// How many telling lines [`Format::detect`] looks at.
const DETECT_LINES: usize = 64;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One name a line, suffix scope.
    Plain,
    /// `ADDRESS NAME...` as in `/etc/hosts`, exact scope.
    Hosts,
}

/// A format that dnsvet does not read; carries the word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown list format {0:?}; known: plain, hosts")]
pub struct UnknownFormat(pub String);

impl Format {
    /// All formats.
    pub const ALL: [Format; 2] = [Format::Plain, Format::Hosts];

    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Hosts => "hosts",
        }
    }

    /// Guesses from the first lines that are no comments: hosts if most of them start with an address.
    pub fn detect(text: &[u8]) -> Format {
        let mut seen = 0usize;
        let mut hosts = 0usize;
        for (_, raw) in Lines::new(text) {
            let Ok(line) = std::str::from_utf8(raw) else { continue };
            let line = plain::without_comment(line);
            if line.is_empty() {
                continue;
            }
            seen += 1;
            hosts += usize::from(hosts::starts_with_address(line));
            if seen == DETECT_LINES {
                break;
            }
        }
        if hosts * 2 > seen { Format::Hosts } else { Format::Plain }
    }

    fn line(self, line: &str, sink: &mut dyn FnMut(Found)) {
        match self {
            Format::Plain => plain::line(line, sink),
            Format::Hosts => hosts::line(line, sink),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(word: &str) -> Result<Self, UnknownFormat> {
        Self::ALL.into_iter().find(|f| f.as_str() == word).ok_or_else(|| UnknownFormat(word.to_owned()))
    }
}

/// One rule of a list, with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The rule.
    pub rule: Rule,
    /// Takes back every rule that is equal to this one, in whatever list it stands (AdGuard's `$badfilter`).
    pub revokes: bool,
    /// Line in the list, from 1.
    pub line: u32,
}

/// A line, or one name of a line, that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Line in the list, from 1.
    pub line: u32,
    /// What stood there, at most 80 characters.
    pub text: String,
    /// What is wrong with it.
    pub why: Why,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?}: {}", self.line, self.text, self.why)
    }
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Bytes that are not UTF-8.
    #[error("not UTF-8; save the list as UTF-8")]
    NotUtf8,
    /// The name breaks a rule of names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The root name.
    #[error("the root name would cover every name")]
    Root,
    /// More than one word on a line that holds one name.
    #[error("more than one word; a plain list has one name a line")]
    Words,
    /// An address where a name belongs.
    #[error("an address, not a name")]
    Address,
    /// A URL where a name belongs.
    #[error("a URL, not a name; keep only the host part")]
    Url,
    /// A `*` that is not the whole first label.
    #[error("a wildcard stands only at the start, as in *.example.com")]
    Wildcard,
    /// An ad blocker's rule.
    #[error("an ad blocker's rule; this format holds names only")]
    AdblockRule,
    /// A hosts line that does not start with an address.
    #[error("no address before the name; is this a plain list?")]
    NoAddress,
    /// A hosts line with an address and nothing behind it.
    #[error("no name after the address")]
    NoName,
}

/// What became of a list's lines. `rules + comments + rejected == lines`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines in all.
    pub lines: u64,
    /// Lines that gave entries and nothing to report.
    pub rules: u64,
    /// Blank lines, comments, and the names that every hosts file starts with (`localhost` and its kin).
    pub comments: u64,
    /// Lines with something to report; names of the line that are good were taken all the same.
    pub rejected: u64,
    /// Entries given: one or more a rule line.
    pub entries: u64,
}

/// Reads a list. Each entry and each report comes as soon as its line was read, in order.
pub fn parse(
    text: &[u8],
    format: Format,
    mut on_entry: impl FnMut(Entry),
    mut on_rejected: impl FnMut(Rejected),
) -> Counts {
    let mut counts = Counts::default();
    for (number, raw) in Lines::new(text) {
        counts.lines += 1;
        let Ok(line) = std::str::from_utf8(raw) else {
            counts.rejected += 1;
            let shown = shorten(&String::from_utf8_lossy(raw));
            on_rejected(Rejected { line: number, text: shown, why: Why::NotUtf8 });
            continue;
        };
        let (mut entries, mut reports) = (0u64, 0u64);
        format.line(line, &mut |found| match found {
            Found::Rule(rule) => {
                entries += 1;
                on_entry(Entry { rule, revokes: false, line: number });
            }
            Found::Rejected(text, why) => {
                reports += 1;
                on_rejected(Rejected { line: number, text: shorten(text), why });
            }
        });
        counts.entries += entries;
        match (entries, reports) {
            (0, 0) => counts.comments += 1,
            (_, 0) => counts.rules += 1,
            _ => counts.rejected += 1,
        }
    }
    counts
}

/// What a format finds on a line.
enum Found<'a> {
    Rule(Rule),
    Rejected(&'a str, Why),
}

/// A word as a name, with what lists get wrong told apart.
fn name_of(word: &str) -> Result<Name, Why> {
    if word.parse::<std::net::IpAddr>().is_ok() {
        return Err(Why::Address);
    }
    if word.contains("://") || word.contains('/') {
        return Err(Why::Url);
    }
    if word.starts_with("||") || word.starts_with("@@") || word.ends_with('^') {
        return Err(Why::AdblockRule);
    }
    if word.contains('*') {
        return Err(Why::Wildcard);
    }
    let strange = |c: &char| c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.');
    if let Some(character) = word.chars().find(strange) {
        return Err(Why::Name(NameError::Character(character)));
    }
    let name = Name::parse(word)?;
    if name.is_root() { Err(Why::Root) } else { Ok(name) }
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Numbered lines, without line ends (LF, CRLF or a lone CR) and without a byte order mark at the start.
struct Lines<'a> {
    rest: &'a [u8],
    number: u32,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { rest: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        self.number = self.number.saturating_add(1);
        let end = self.rest.iter().position(|&b| b == b'\n' || b == b'\r').unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, &[]));
        self.rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
        Some((self.number, line))
    }
}

/// Reads a whole list into memory: entries, reports, counts.
pub fn collect(text: &[u8], format: Format) -> (Vec<Entry>, Vec<Rejected>, Counts) {
    let (mut entries, mut rejected) = (Vec::new(), Vec::new());
    let counts = parse(text, format, |entry| entries.push(entry), |report| rejected.push(report));
    (entries, rejected, counts)
}

/// The names of a hosts file that are no rules.
fn is_boilerplate(name: &str) -> bool {
    let name: Cow<'_, str> = match name.bytes().any(|b| b.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    };
    matches!(
        name.as_ref(),
        "localhost"
            | "localhost.localdomain"
            | "localhost4"
            | "localhost4.localdomain4"
            | "localhost6"
            | "localhost6.localdomain6"
            | "local"
            | "broadcasthost"
            | "ip6-localhost"
            | "ip6-loopback"
            | "ip6-localnet"
            | "ip6-mcastprefix"
            | "ip6-allnodes"
            | "ip6-allrouters"
            | "ip6-allhosts"
    )
}

#[cfg(test)]
mod tests;
