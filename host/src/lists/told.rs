//! Lists into a builder, and what did not change since the last time past the parser.

use std::collections::HashMap;

use dnsvet_core::lists::{Counts, Effect, Entry, Format, Rejected, Taker, Trigger};
use dnsvet_core::snapshot::{Builder, PatternError, Run};

/// How many bad lines of a list a report keeps, unless it is to keep more.
const KEPT_REJECTED: usize = 5;

/// Parts of a list's text, as they were told to the builder last.
///
/// It belongs to one list of one builder. Its surprise: a part that was not there the last time is forgotten, since
/// its names may have been told from elsewhere.
#[derive(Debug)]
pub struct Told {
    /// How many bad lines are kept.
    pub(super) kept: usize,
    format: Option<Format>,
    /// By the BLAKE3 of their text.
    parts: HashMap<blake3::Hash, Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    counts: Counts,
    run: Run,
}

impl Default for Told {
    fn default() -> Self {
        Self { kept: KEPT_REJECTED, format: None, parts: HashMap::new() }
    }
}

impl Told {
    /// Nothing yet, of a list of which every bad line is to be reported.
    pub(super) fn every_line() -> Self {
        Self { kept: usize::MAX, ..Self::default() }
    }

    /// A taker that adds what it gets to a list, which was taken back if it is not new.
    pub(super) fn again<'a>(
        &'a mut self,
        builder: &'a mut Builder,
        list: u16,
        format: Format,
    ) -> Telling<'a> {
        let same = self.format.replace(format) == Some(format);
        let before = std::mem::take(&mut self.parts);
        let before = if same { before } else { HashMap::new() };
        Telling { told: self, before, builder, list, read: None, rejected: Vec::new(), refused: Vec::new() }
    }
}

/// Adds a text to a list of a builder.
pub(super) struct Telling<'a> {
    told: &'a mut Told,
    before: HashMap<blake3::Hash, Part>,
    builder: &'a mut Builder,
    list: u16,
    /// The part that is read, and whether each of its entries is a name that is listed and no more.
    read: Option<(blake3::Hash, bool)>,
    /// The first bad lines.
    pub(super) rejected: Vec<Rejected>,
    /// Lines with a pattern that the builder does not take.
    pub(super) refused: Vec<(u32, PatternError)>,
}

impl Taker for Telling<'_> {
    fn entry(&mut self, entry: Entry) {
        let rule = &entry.rule;
        if let Some((_, listed)) = &mut self.read {
            let conditions = &rule.conditions;
            *listed &= matches!(rule.trigger, Trigger::Name(..))
                && rule.effect == Effect::Listed
                && !conditions.important
                && !conditions.narrows();
        }
        if entry.revokes {
            self.builder.revoke_by(self.list, rule);
        } else if let Err(why) = self.builder.add_rule(self.list, rule) {
            self.refused.push((entry.line, why));
        }
    }

    fn rejected(&mut self, rejected: Rejected) {
        if self.rejected.len() < self.told.kept {
            self.rejected.push(rejected);
        }
    }

    fn begins(&mut self, text: &[u8]) -> Option<Counts> {
        let digest = blake3::hash(text);
        let known = self.before.get(&digest).copied();
        if let Some(part) = known.filter(|part| self.builder.add_run(self.list, part.run)) {
            self.told.parts.insert(digest, part);
            return Some(part.counts);
        }
        self.builder.begin_run(self.list);
        self.read = Some((digest, true));
        None
    }

    fn ended(&mut self, counts: Counts, alone: bool) {
        let run = self.builder.end_run(self.list);
        if let (Some((digest, true)), Some(run), true) = (self.read.take(), run, alone) {
            self.told.parts.insert(digest, Part { counts, run });
        }
    }
}

#[cfg(test)]
mod tests {
    use dnsvet_core::name::Name;
    use dnsvet_core::snapshot::{Role, Snapshot};

    use super::super::{ListReport, ListSource, fill};
    use super::*;

    fn tell(told: &mut Told, builder: &mut Builder, format: &str, text: &str) -> ListReport {
        let source: ListSource = format!("{format}:list").parse().unwrap();
        builder.clear_list(0);
        fill(builder, 0, "list".into(), &source, text.as_bytes(), told)
    }

    fn built(builder: &mut Builder) -> Snapshot {
        Snapshot::open(builder.build(None).unwrap().into(), &[]).unwrap()
    }

    /// Compares a list that changes with the same text in a fresh builder.
    fn assert_told_as_if_fresh(format: &str, versions: &[String]) -> usize {
        let mut told = Told::default();
        let mut builder = Builder::new(1, [7; 16]);
        builder.list("list", Role::Block, "");
        let mut passed = 0;
        for (number, text) in versions.iter().enumerate() {
            let before: Vec<blake3::Hash> = told.parts.keys().copied().collect();
            let report = tell(&mut told, &mut builder, format, text);
            passed += before.iter().filter(|digest| told.parts.contains_key(digest)).count();
            let mut fresh = Builder::new(1, [7; 16]);
            fresh.list("list", Role::Block, "");
            let want = tell(&mut Told::default(), &mut fresh, format, text);
            assert_eq!((report.counts, report.rejected), (want.counts, want.rejected), "{format} {number}");
            let (snapshot, fresh) = (built(&mut builder), built(&mut fresh));
            assert_eq!(snapshot.lists()[0].entries, fresh.lists()[0].entries, "{format} {number}");
            let old = number.checked_sub(1).and_then(|number| versions.get(number)).map(String::as_str);
            let words =
                [text.as_str(), old.unwrap_or_default()].map(|text| text.split_whitespace().step_by(7));
            for name in words.into_iter().flatten().map(|word| word.trim_matches(['|', '^', '@'])) {
                let Ok(name) = Name::parse(name) else { continue };
                assert_eq!(snapshot.lookup(&name), fresh.lookup(&name), "{format} {number} {name}");
            }
        }
        passed
    }

    #[test]
    fn a_list_that_changed_is_told_as_a_fresh_one_whatever_its_lines_say() {
        let lines = |format: &str, number: u32| match (format, number % 4_999) {
            ("hosts", 17) => "0.0.0.0 no name here!\n".into(),
            ("hosts", _) => format!("0.0.0.0 n{number}.example\n"),
            ("adblock", 17) => format!("@@||n{number}.example^\n"),
            ("adblock", 18) => "||n19.example^$badfilter\n".into(),
            ("adblock", 20) => format!("/n{number}[a-z]/\n"),
            ("adblock", 21) => format!("||n{number}.example^$dnsrewrite=10.1.2.3\n"),
            ("adblock", _) => format!("||n{number}.example^\n"),
            (_, 17) => "# a comment\n".into(),
            (_, 18) => "-bad-.example\n".into(),
            (_, 19) => "n3.example\n".into(),
            _ => format!("n{number}.example\n"),
        };
        for format in ["plain", "hosts", "adblock"] {
            let first: Vec<String> = (0..30_000).map(|number| lines(format, number)).collect();
            let mut more = first.clone();
            more.insert(10_000, lines(format, 40_000));
            let mut less = more.clone();
            less.drain(5_000..5_010);
            let turned: Vec<String> = less[15_000..].iter().chain(&less[..15_000]).cloned().collect();
            let versions = [&first, &more, &first, &less, &turned, &first];
            let mut versions: Vec<String> = versions.into_iter().map(|lines| lines.concat()).collect();
            // A byte order mark, other line ends, no end at all, a line that is no name, all of it twice.
            versions.push(format!("\u{feff}{}", versions[0]));
            versions.push(versions[1].replace('\n', "\r\n"));
            versions.push(versions[1].trim_end().to_owned());
            versions.push(versions[0].replacen("n500.example", "n\u{7f}500.example", 1));
            versions.push(versions[0].repeat(2));
            let passed = assert_told_as_if_fresh(format, &versions);
            assert!(passed > 20, "{format}: {passed} parts were passed over");
        }
    }

    #[test]
    fn what_is_read_as_another_format_is_read_anew() {
        let mut told = Told::default();
        let mut builder = Builder::new(1, [7; 16]);
        builder.list("list", Role::Block, "");
        let text = "n1.example\n";
        tell(&mut told, &mut builder, "plain", text);
        built(&mut builder);
        tell(&mut told, &mut builder, "hosts", text);
        let snapshot = built(&mut builder);
        assert!(snapshot.lookup(&Name::parse("www.n1.example").unwrap()).is_empty());
    }
}
