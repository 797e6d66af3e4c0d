//! The formats: their words, how one is told from the other, and what each line goes to.

use std::fmt;
use std::str::FromStr;

use super::master::record_lines;
use super::{Lines, Out, Why, adblock, dnsmasq, hosts, plain, regex, rpz, unbound, wildcard};

/// How many telling lines [`Format::detect`] looks at.
const DETECT_LINES: usize = 64;

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One name a line, suffix scope.
    Plain,
    /// `ADDRESS NAME...` as in `/etc/hosts`, exact scope.
    Hosts,
    /// Ad blockers' rules as AdGuard documents them for DNS.
    Adblock,
    /// `*.name` a line.
    Wildcard,
    /// dnsmasq's `address=`, `server=` and `local=`.
    Dnsmasq,
    /// Unbound's `local-zone:` and `local-data:`.
    Unbound,
    /// One regular expression a line.
    Regex,
    /// A response policy zone in master file text.
    Rpz,
}

/// A format that dnsvet does not read; carries the word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown list format {0:?}; known: plain, hosts, adblock, wildcard, dnsmasq, unbound, regex, rpz")]
pub struct UnknownFormat(pub String);

impl Format {
    /// All formats.
    pub const ALL: [Format; 8] = [
        Format::Plain,
        Format::Hosts,
        Format::Adblock,
        Format::Wildcard,
        Format::Dnsmasq,
        Format::Unbound,
        Format::Regex,
        Format::Rpz,
    ];

    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Hosts => "hosts",
            Format::Adblock => "adblock",
            Format::Wildcard => "wildcard",
            Format::Dnsmasq => "dnsmasq",
            Format::Unbound => "unbound",
            Format::Regex => "regex",
            Format::Rpz => "rpz",
        }
    }

    /// Whether a line means the same whatever other lines say.
    pub(super) fn lines_stand_alone(self) -> bool {
        !matches!(self, Format::Unbound | Format::Rpz)
    }

    /// Guesses from the first 64 lines that are no comments: the format that most of them look like, plain if none.
    ///
    /// A web page or JSON is no list in any format: [`parse`](super::parse) reports it, whatever it is taken for.
    pub fn detect(text: &[u8]) -> Format {
        let mut votes = [0usize; Self::ALL.len()];
        let mut seen = 0usize;
        for line in Lines::new(text) {
            let Ok(line) = std::str::from_utf8(line.bytes) else { continue };
            let Some(format) = Self::of_line(line.trim()) else { continue };
            seen += 1;
            if let Some(votes) = votes.get_mut(format as usize) {
                *votes += 1;
            }
            if seen == DETECT_LINES {
                break;
            }
        }
        let most = votes.iter().copied().max().filter(|&most| most > 0);
        let best = Self::ALL.into_iter().zip(votes).find(|&(_, votes)| Some(votes) == most);
        best.map_or(Format::Plain, |(format, _)| format)
    }

    /// The one format that a line looks like; `None` for a comment.
    fn of_line(line: &str) -> Option<Format> {
        if line.is_empty() || line.starts_with(['!', ';']) || line.starts_with("//") {
            return None;
        }
        if adblock::looks_like(line) {
            return Some(Format::Adblock);
        }
        if line.starts_with('#') {
            return None;
        }
        let bare = plain::without_comment(line);
        Some(match line {
            _ if hosts::starts_with_address(bare) => Format::Hosts,
            _ if dnsmasq::looks_like(line) => Format::Dnsmasq,
            _ if unbound::looks_like(line) => Format::Unbound,
            _ if rpz::looks_like(line) => Format::Rpz,
            _ if bare.starts_with("*.") && !bare.contains(char::is_whitespace) => Format::Wildcard,
            _ if regex::looks_like(line) => Format::Regex,
            _ => Format::Plain,
        })
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

/// A list being read: the format with what its earlier lines said.
pub(super) enum Reader {
    Plain,
    Hosts,
    Adblock,
    Wildcard,
    Dnsmasq,
    Unbound(unbound::Config),
    Regex,
    Rpz(rpz::Zone),
}

impl Reader {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Plain => Reader::Plain,
            Format::Hosts => Reader::Hosts,
            Format::Adblock => Reader::Adblock,
            Format::Wildcard => Reader::Wildcard,
            Format::Dnsmasq => Reader::Dnsmasq,
            Format::Unbound => Reader::Unbound(unbound::Config::default()),
            Format::Regex => Reader::Regex,
            Format::Rpz => Reader::Rpz(rpz::Zone::default()),
        }
    }

    /// How many of the lines behind `first` belong to it.
    pub(super) fn further_lines(&self, first: &[u8], rest: &Lines) -> u32 {
        match self {
            Reader::Rpz(_) => record_lines(first, rest),
            _ => 0,
        }
    }

    pub(super) fn line(&mut self, line: &str, out: &mut Out) {
        match self {
            Reader::Plain => plain::line(line, out),
            Reader::Hosts => hosts::line(line, out),
            Reader::Adblock => adblock::line(line, out),
            Reader::Wildcard => wildcard::line(line, out),
            Reader::Dnsmasq => dnsmasq::line(line, out),
            Reader::Unbound(config) => config.line(line, out),
            Reader::Regex => regex::line(line, out),
            Reader::Rpz(zone) => zone.record(line, out),
        }
    }

    /// Gives what could not be said before the last line was read.
    pub(super) fn finish(self, out: &mut Out) {
        if let Reader::Unbound(config) = self {
            config.finish(out);
        }
    }
}

/// Why a text is no list in any format: a web page, such as a server's "not found", or JSON.
pub(super) fn no_list(text: &[u8]) -> Option<Why> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
    let starts = |start: &[u8]| text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let tags: [&[u8]; 7] = [b"<!doctype", b"<html", b"<head", b"<body", b"<?xml", b"<!--", b"<title"];
    if tags.into_iter().any(starts) {
        return Some(Why::WebPage);
    }
    let json = match text.split_first() {
        Some((b'{', rest)) => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'}')),
        Some((b'[', rest)) => matches!(rest.trim_ascii_start().first(), Some(b'"' | b'{')),
        _ => false,
    };
    json.then_some(Why::Json)
}
