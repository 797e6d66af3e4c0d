//! Lists of names as other people publish them: parsed line by line, nothing lost in silence.
//!
//! ```text
//! bytes ─► lines ─► format (plain, hosts, …) ─► Entry { rule, line } …  to the snapshot builder
//!                                           └─► Rejected { line, text, why } … to whoever reads the log
//! ```
//!
//! Every line is one of three: it gave entries or a part of one, it was blank or a comment, or it is reported. So
//! `rules + comments + rejected == lines` always, and one bad line never costs the others. A format is one file
//! beside this one, one variant of [`Format`] and one arm of its reader.
//!
//! The surprise is scope, since each dialect has its own. A *plain* list names zones: `example.com` covers all
//! below it, and so does `*.example.com`. A *hosts* file names hosts: `0.0.0.0 example.com` covers that name only,
//! as the resolver library reads it, and so does a bare name among ad blockers' rules. `*.example.com` covers
//! `example.com` in a *wildcard* list and does not in RPZ, dnsmasq and ad blockers' rules.
//!
//! The second one is what a line says besides the name. A null or loopback address is how lists write "blocked",
//! so such a line is [`Effect::Listed`] and answered as its list says; an answer that a dialect spells out
//! (NXDOMAIN, NODATA, REFUSED, another address) is kept.

mod adblock;
mod dnsmasq;
mod format;
mod hosts;
mod master;
mod parts;
mod pattern;
mod plain;
mod records;
mod regex;
mod rpz;
mod rule;
mod unbound;
mod why;
mod wildcard;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::ops::AddAssign;

use memchr::memchr2;

use self::format::Reader;
pub use self::format::{Format, UnknownFormat};
use self::parts::Open;
pub use self::parts::Taker;
pub use self::pattern::{MAX_PATTERN_BYTES, Pattern, Start};
pub use self::rule::{ClientIs, Conditions, Effect, LocalData, Rule, Scope, Trigger};
pub use self::why::Why;
use crate::name::{Name, NameError};

/// The most characters of a bad line that a report repeats.
const SHOWN_CHARACTERS: usize = 80;
/// The longest line, and the longest record of several lines, bytes.
const MOST_LINE_BYTES: usize = 1 << 16;
/// The most records of one answer.
const MOST_RECORDS: usize = 64;

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

/// What became of a list's lines. `rules + comments + rejected == lines`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Lines in all.
    pub lines: u64,
    /// Lines that gave entries, or a part of one, and nothing to report.
    pub rules: u64,
    /// Blank lines, comments, what only describes the list (headers, a zone's SOA), and the names that every hosts
    /// file starts with (`localhost` and its kin).
    pub comments: u64,
    /// Lines with something to report; names of the line that are good were taken all the same.
    pub rejected: u64,
    /// Entries given: one or more a rule line, or one for several lines.
    pub entries: u64,
}

impl Counts {
    /// What was counted since.
    fn since(self, before: Self) -> Self {
        Self {
            lines: self.lines - before.lines,
            rules: self.rules - before.rules,
            comments: self.comments - before.comments,
            rejected: self.rejected - before.rejected,
            entries: self.entries - before.entries,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.lines += more.lines;
        self.rules += more.rules;
        self.comments += more.comments;
        self.rejected += more.rejected;
        self.entries += more.entries;
    }
}

/// Reads a list. Entries and reports come as soon as their line was read, in order, with two exceptions: records
/// that belong to one answer ([`Effect::Answer`]) are put together and come at the end with the line of the first,
/// and so do rules that depend on later lines (Unbound's local zones).
///
/// A record over several lines counts with all its lines as a rule, a comment or rejected; its entry or report has
/// the number of the first. A text that is a web page or JSON gives one report, and all its lines are rejected.
pub fn parse(
    text: &[u8],
    format: Format,
    on_entry: impl FnMut(Entry),
    on_rejected: impl FnMut(Rejected),
) -> Counts {
    parse_into(text, format, &mut (on_entry, on_rejected))
}

/// [`parse`] for a taker that may know parts of the text.
pub fn parse_into(text: &[u8], format: Format, taker: &mut dyn Taker) -> Counts {
    let mut counts = Counts::default();
    let mut lines = Lines::new(text);
    if let Some(why) = format::no_list(text) {
        let first = lines.clone().next().map(|line| shorten(&String::from_utf8_lossy(line.bytes)));
        taker.rejected(Rejected { line: 1, text: first.unwrap_or_default(), why });
        counts.lines = lines.count() as u64;
        counts.rejected = counts.lines;
        return counts;
    }
    // A whole text is looked through for what is no UTF-8 in a tenth of the time that its lines take one by one.
    let utf8 = std::str::from_utf8(lines.text).ok();
    let mut reader = Reader::new(format);
    let mut out = Out::new(taker);
    let mut part = format.lines_stand_alone().then(Open::default);
    loop {
        part.iter_mut().for_each(|part| part.go_on(&mut lines, &mut counts, &mut out));
        let Some(line) = lines.next() else { break };
        let more = reader.further_lines(line.bytes, &lines);
        let bytes = lines.joined(line, more);
        out.start(line.number);
        if bytes.len() > MOST_LINE_BYTES {
            out.reject(
                &String::from_utf8_lossy(bytes.get(..SHOWN_CHARACTERS).unwrap_or(bytes)),
                Why::LongLine(bytes.len()),
            );
        } else {
            let part = line.start..line.start + bytes.len();
            match utf8.map_or_else(|| std::str::from_utf8(bytes).ok(), |text| text.get(part)) {
                Some(text) => reader.line(text, &mut out),
                None => out.reject(&String::from_utf8_lossy(bytes), Why::NotUtf8),
            }
        }
        let taken = u64::from(more) + 1;
        counts.lines += taken;
        *match out.became() {
            Became::Rule => &mut counts.rules,
            Became::Comment => &mut counts.comments,
            Became::Rejected => &mut counts.rejected,
        } += taken;
    }
    part.iter_mut().for_each(|part| part.close(&counts, &mut out));
    reader.finish(&mut out);
    let (entries, late) = out.finish();
    counts.entries = entries;
    counts.rules -= late;
    counts.rejected += late;
    counts
}

/// Reads a whole list into memory: entries, reports, counts.
pub fn collect(text: &[u8], format: Format) -> (Vec<Entry>, Vec<Rejected>, Counts) {
    let (mut entries, mut rejected) = (Vec::new(), Vec::new());
    let counts = parse(text, format, |entry| entries.push(entry), |report| rejected.push(report));
    (entries, rejected, counts)
}

/// What became of a line.
enum Became {
    Rule,
    Comment,
    Rejected,
}

/// Where a format puts what it finds.
struct Out<'a> {
    taker: &'a mut dyn Taker,
    /// Nothing of the part that is read was rejected, taken back, or is still to come.
    alone: bool,
    line: u32,
    rules: u64,
    reports: u64,
    entries: u64,
    answers: Answers,
    /// Lines that wait for the end of the list and have nothing reported yet.
    waiting: BTreeSet<u32>,
    waits: bool,
    late: u64,
}

impl<'a> Out<'a> {
    fn new(taker: &'a mut dyn Taker) -> Self {
        Self {
            taker,
            alone: true,
            line: 0,
            rules: 0,
            reports: 0,
            entries: 0,
            answers: Answers::default(),
            waiting: BTreeSet::new(),
            waits: false,
            late: 0,
        }
    }

    fn start(&mut self, line: u32) {
        (self.line, self.rules, self.reports, self.waits) = (line, 0, 0, false);
    }

    fn became(&mut self) -> Became {
        match (self.rules, self.reports) {
            (0, 0) => return Became::Comment,
            (_, 0) => {}
            _ => return Became::Rejected,
        }
        if self.waits {
            self.waiting.insert(self.line);
        }
        Became::Rule
    }

    fn line(&self) -> u32 {
        self.line
    }

    /// A rule of this line.
    fn rule(&mut self, rule: Rule) {
        self.entry(rule, false);
    }

    /// A rule that this line takes back.
    fn revoke(&mut self, rule: Rule) {
        self.entry(rule, true);
    }

    fn entry(&mut self, rule: Rule, revokes: bool) {
        self.rules += 1;
        self.alone &= !revokes;
        if matches!(rule.effect, Effect::Answer(_)) {
            self.alone = false;
            if let Err((trigger, why)) = self.answers.add(Entry { rule, revokes, line: self.line }) {
                self.reject(&trigger.to_string(), why);
            }
            return;
        }
        self.entries += 1;
        self.taker.entry(Entry { rule, revokes, line: self.line });
    }

    /// Something of this line that was not understood.
    fn reject(&mut self, text: &str, why: Why) {
        self.reports += 1;
        self.alone = false;
        self.taker.rejected(Rejected { line: self.line, text: shorten(text), why });
    }

    /// This line gives a rule at the end of the list.
    fn later(&mut self) {
        self.rules += 1;
        self.waits = true;
        self.alone = false;
    }

    /// At the end of the list: the line that is spoken of.
    fn at(&mut self, line: u32) {
        self.line = line;
    }

    /// At the end of the list: a rule of a line that waited.
    fn rule_later(&mut self, rule: Rule) -> Result<(), Why> {
        let entry = Entry { rule, revokes: false, line: self.line };
        if matches!(entry.rule.effect, Effect::Answer(_)) {
            return self.answers.add(entry).map_err(|(_, why)| why);
        }
        self.entries += 1;
        self.taker.entry(entry);
        Ok(())
    }

    /// At the end of the list: a report of a line that waited.
    fn reject_later(&mut self, text: &str, why: Why) {
        self.late += u64::from(self.waiting.remove(&self.line));
        self.taker.rejected(Rejected { line: self.line, text: shorten(text), why });
    }

    /// How many entries were given, and how many lines turned out bad at the end.
    fn finish(self) -> (u64, u64) {
        let answers = self.answers.entries;
        let given = self.entries + answers.len() as u64;
        answers.into_iter().for_each(|entry| self.taker.entry(entry));
        (given, self.late)
    }
}

/// Answers by what they answer to: records of one trigger under the same conditions are one rule.
#[derive(Default)]
struct Answers {
    entries: Vec<Entry>,
    by_key: HashMap<(Trigger, Conditions, bool), usize>,
}

impl Answers {
    fn add(&mut self, entry: Entry) -> Result<(), (Trigger, Why)> {
        let key = (entry.rule.trigger.clone(), entry.rule.conditions.clone(), entry.revokes);
        let Some(earlier) = self.by_key.get(&key).and_then(|&at| self.entries.get_mut(at)) else {
            self.by_key.insert(key, self.entries.len());
            self.entries.push(entry);
            return Ok(());
        };
        let (Effect::Answer(records), Effect::Answer(more)) = (&mut earlier.rule.effect, entry.rule.effect)
        else {
            return Ok(());
        };
        for record in more {
            if records.contains(&record) {
                continue;
            }
            let alone = |record: &LocalData| matches!(record, LocalData::Cname(_));
            if alone(&record) || records.iter().any(alone) {
                return Err((key.0, Why::CnameAlone));
            }
            if records.len() == MOST_RECORDS {
                return Err((key.0, Why::ManyRecords));
            }
            records.push(record);
        }
        Ok(())
    }
}

/// The name of a text that is a plain name and nothing else, for a quick way past all that a line may also be; what
/// ends in a digit may be an address.
fn plain_name(text: &str) -> Option<Name> {
    let digit = text.bytes().next_back().is_some_and(|last| last.is_ascii_digit());
    Name::parse_plain(text)?.ok().filter(|name| !digit && !name.is_root())
}

/// A word as a name, with what lists get wrong told apart.
fn name_of(word: &str) -> Result<Name, Why> {
    let name = match Name::parse_plain(word) {
        // An address in letters of names ends in a digit.
        Some(_) if word.ends_with(|last: char| last.is_ascii_digit()) && word.parse::<IpAddr>().is_ok() => {
            return Err(Why::Address);
        }
        Some(name) => name?,
        None => {
            if word.parse::<IpAddr>().is_ok() {
                return Err(Why::Address);
            }
            if word.contains('/') {
                return Err(Why::Url);
            }
            if word.starts_with("||") || word.starts_with("@@") || word.ends_with('^') {
                return Err(Why::AdblockRule);
            }
            if word.contains('*') {
                return Err(Why::Wildcard);
            }
            let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if let Some(character) = word.chars().find(|c| c.is_ascii() && !known(*c)) {
                return Err(Why::Name(NameError::Character(character)));
            }
            Name::parse(word)?
        }
    };
    if name.is_root() { Err(Why::Root) } else { Ok(name) }
}

fn shorten(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A line without its end.
#[derive(Clone, Copy)]
struct Line<'a> {
    /// From 1.
    number: u32,
    bytes: &'a [u8],
    /// Where it starts in the text.
    start: usize,
}

/// The lines of a list as reports number them: the first is line 1.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    Lines::new(text).map(|line| line.bytes)
}

/// Numbered lines, without line ends (LF, CRLF or a lone CR) and without a byte order mark at the start.
#[derive(Clone)]
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
    number: u32,
}

impl<'a> Lines<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self { text: text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text), at: 0, number: 0 }
    }

    /// What was not read yet.
    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Goes on behind so many bytes, which are so many whole lines.
    fn pass(&mut self, bytes: usize, lines: u64) {
        self.at += bytes;
        self.number = self.number.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
    }

    /// A line together with the next ones.
    fn joined(&mut self, first: Line<'a>, more: u32) -> &'a [u8] {
        let mut end = first.start + first.bytes.len();
        for line in self.by_ref().take(more as usize) {
            end = line.start + line.bytes.len();
        }
        self.text.get(first.start..end).unwrap_or(first.bytes)
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        let rest = Some(self.rest()).filter(|rest| !rest.is_empty())?;
        self.number = self.number.saturating_add(1);
        let start = self.at;
        let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (bytes, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        let end = if behind.starts_with(b"\r\n") { 2 } else { usize::from(!behind.is_empty()) };
        self.at = start + length + end;
        Some(Line { number: self.number, bytes, start })
    }
}

#[cfg(test)]
mod tests;
