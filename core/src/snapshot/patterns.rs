//! Patterns of rules as automata: compiled where the snapshot is built, only run where it is read.
//!
//! ```text
//! patterns ─► packed into DFAs of bounded size ─► sparse bytes ─► one pass over a name for each DFA
//! ```
//!
//! A DFA reads each byte of a name once, whatever the patterns are, so no pattern can be slow. What patterns can
//! be is large, so a DFA has a bound; patterns that don't fit into one go into several.

use bytes::Bytes;
use regex_automata::dfa::{Automaton, StartKind, dense, sparse};
use regex_automata::nfa::thompson;
use regex_automata::util::{primitives::PatternID, syntax};
use regex_automata::{Input, MatchKind, PatternSet};

use super::wire::{Reader, Writer};

/// A DFA under construction takes at most this much, bytes.
const MOST_DENSE_BYTES: usize = 512 << 10;
/// Patterns that are tried together in one DFA.
const PACKED: usize = 64;
/// All DFAs of a snapshot together, bytes.
const MOST_BYTES: usize = 4 << 20;
/// To refuse a pattern for its size takes as long as to build the largest DFA, so after this many none is looked at any
/// more.
const MOST_REFUSED: usize = 256;

/// Why a pattern is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a regular expression of this engine.
    #[error("not a regular expression that dnsvet reads: {0}")]
    Syntax(String),
    /// Its automaton alone is past the bound.
    #[error("the regular expression is too large; split it, or bound its repetitions")]
    Large,
    /// With those before, past the bound of a snapshot.
    #[error("regular expressions of all lists take more than 4 MiB; leave some out")]
    Full,
    /// So many before it were refused that it was not looked at.
    #[error("too many regular expressions before it are too large; leave some out")]
    Unread,
}

/// Patterns of rules while a snapshot is put together.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// Rule's number, pattern, and the bytes that it takes alone.
    patterns: Vec<(u32, String, usize)>,
    bytes: usize,
    refused: usize,
}

impl Builder {
    /// Takes a pattern for a rule, if it compiles and fits.
    pub(super) fn add(&mut self, rule: u32, pattern: &str) -> Result<(), PatternError> {
        if self.refused >= MOST_REFUSED {
            return Err(PatternError::Unread);
        }
        let sized = compile(&[pattern]).map(|dfa| dfa.write_to_len());
        let fits = |alone: &usize| self.bytes + alone <= MOST_BYTES;
        match sized.and_then(|alone| Some(alone).filter(fits).ok_or(PatternError::Full)) {
            Ok(alone) => {
                self.bytes += alone;
                self.patterns.push((rule, pattern.to_owned(), alone));
                Ok(())
            }
            Err(why) => {
                self.refused += usize::from(matches!(why, PatternError::Large | PatternError::Full));
                Err(why)
            }
        }
    }

    /// Looks at patterns again, however many were refused.
    pub(super) fn forget_refused(&mut self) {
        self.refused = 0;
    }

    /// Gives each rule another number; a pattern whose rule gets none is forgotten.
    pub(super) fn renumber(&mut self, number: impl Fn(u32) -> Option<u32>) {
        self.patterns.retain_mut(|(rule, _, _)| match number(*rule) {
            Some(new) => {
                *rule = new;
                true
            }
            None => false,
        });
        self.bytes = self.patterns.iter().map(|(_, _, bytes)| bytes).sum();
    }

    /// One piece for each DFA. `number` gives a rule its number in the snapshot; a pattern whose rule has none is
    /// left out.
    pub(super) fn build(&self, number: impl Fn(u32) -> Option<u32>) -> Vec<Bytes> {
        let numbered =
            self.patterns.iter().filter_map(|(rule, text, _)| Some((number(*rule)?, text.as_str())));
        let kept: Vec<(u32, &str)> = numbered.collect();
        let mut pieces = Vec::new();
        for packed in kept.chunks(PACKED) {
            pack(packed, &mut pieces);
        }
        pieces
    }
}

/// All of `patterns` in one DFA; halved until it fits. Each alone does, [`Builder::add`] saw to that.
fn pack(patterns: &[(u32, &str)], pieces: &mut Vec<Bytes>) {
    let texts: Vec<&str> = patterns.iter().map(|(_, text)| *text).collect();
    match compile(&texts) {
        Ok(dfa) => {
            let mut piece = Writer::default();
            piece.u32(patterns.len() as u32);
            for (rule, _) in patterns {
                piece.u32(*rule);
            }
            piece.bytes(&dfa.to_bytes_little_endian());
            pieces.push(piece.finish().into());
        }
        Err(_) => {
            let (left, right) = patterns.split_at_checked(patterns.len() / 2).unwrap_or_default();
            for half in [left, right] {
                if !half.is_empty() && half.len() < patterns.len() {
                    pack(half, pieces);
                }
            }
        }
    }
}

fn compile(patterns: &[&str]) -> Result<sparse::DFA<Vec<u8>>, PatternError> {
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(MOST_DENSE_BYTES))
        .determinize_size_limit(Some(4 * MOST_DENSE_BYTES));
    // Names are ASCII: classes such as `\d` mean ASCII, and every byte is a character.
    let syntax = syntax::Config::new().unicode(false).utf8(false).case_insensitive(true).nest_limit(64);
    let thompson = thompson::Config::new().utf8(false).nfa_size_limit(Some(MOST_DENSE_BYTES));
    let built =
        dense::Builder::new().configure(config).syntax(syntax).thompson(thompson).build_many(patterns);
    let sparse = match built {
        Ok(dense) => dense.to_sparse(),
        Err(error) => Err(error),
    };
    sparse.map_err(|error| match error.is_size_limit_exceeded() {
        true => PatternError::Large,
        false => PatternError::Syntax(reason(&error)),
    })
}

/// What the parser said, on one line.
fn reason(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let said = deepest.to_string();
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(&said);
    last.trim().trim_start_matches("error: ").to_owned()
}

/// The DFAs of a snapshot.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    dfas: Vec<(Vec<u32>, sparse::DFA<Vec<u8>>)>,
}

impl Patterns {
    /// Opens the pieces; `rules` is how many rules there are to refer to.
    pub(super) fn open(pieces: &[Bytes], rules: usize) -> Result<Self, &'static str> {
        let mut dfas = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let cut = "a pattern table is cut short";
            let mut reader = Reader::new(piece);
            let count = reader.u32().ok_or(cut)? as usize;
            let bytes = reader.bytes(count.checked_mul(4).ok_or(cut)?).ok_or(cut)?;
            let numbers: Vec<u32> =
                bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
            if numbers.iter().any(|number| *number as usize >= rules) {
                return Err("a pattern names a rule that is not there");
            }
            let rest = piece.get(4 + count * 4..).unwrap_or_default();
            let (dfa, _) = sparse::DFA::from_bytes(rest).map_err(|_| "a pattern's automaton is damaged")?;
            if dfa.pattern_len() != count {
                return Err("a pattern table has another length than its automaton");
            }
            dfas.push((numbers, dfa.to_owned()));
        }
        Ok(Self { dfas })
    }

    /// The numbers of the rules whose pattern matches `text`, in order.
    pub(super) fn find(&self, text: &str) -> Vec<u32> {
        let mut found = Vec::new();
        for (numbers, dfa) in &self.dfas {
            let mut set = PatternSet::new(dfa.pattern_len());
            // Fails for anchored searches and for bytes that make a DFA quit; there are none of either.
            if dfa.try_which_overlapping_matches(&Input::new(text), &mut set).is_ok() {
                found.extend(set.iter().filter_map(|id: PatternID| numbers.get(id.as_usize()).copied()));
            }
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(patterns: &[&str]) -> Patterns {
        let mut builder = Builder::default();
        for (number, pattern) in (0..).zip(patterns) {
            builder.add(number, pattern).unwrap();
        }
        Patterns::open(&builder.build(Some), patterns.len()).unwrap()
    }

    #[test]
    fn every_pattern_that_matches_is_found() {
        let patterns = open(&[r"^ad[0-9]+\.", "track", r"\.example$", "", "^$", "TRACK"]);
        assert_eq!(patterns.find("ad12.tracker.example"), [0, 1, 2, 3, 5]);
        assert_eq!(patterns.find("mad12.example"), [2, 3]);
        assert_eq!(patterns.find(""), [3, 4]);
    }

    #[test]
    fn a_thousand_patterns_are_packed_and_each_is_found() {
        let texts: Vec<String> = (0..1_000).map(|n| format!(r"^a{n}[a-z]*\.b{n}\.example$")).collect();
        let patterns = open(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(patterns.dfas.len() < 100, "{} automata", patterns.dfas.len());
        for n in 0..1_000 {
            assert_eq!(patterns.find(&format!("a{n}xyz.b{n}.example")), [n], "{n}");
        }
        assert!(patterns.find("a1.b2.example").is_empty());
    }

    #[test]
    fn what_this_engine_can_not_run_is_refused_with_a_reason() {
        let mut builder = Builder::default();
        for (pattern, said) in
            [("(", "unclosed group"), ("(?=a)b", "look-around"), (r"(a)\1", "backreference")]
        {
            let error = builder.add(0, pattern).unwrap_err().to_string();
            assert!(error.contains(said), "{pattern}: {error}");
        }
        assert_eq!(builder.add(0, r"(a[a-z]{60}){60}|(b.{40}c){60}"), Err(PatternError::Large));
        assert!(builder.build(Some).is_empty());
    }

    #[test]
    fn a_list_of_patterns_that_are_too_large_is_given_up() {
        let mut builder = Builder::default();
        (0..2 * MOST_REFUSED)
            .for_each(|_| assert!(matches!(builder.add(0, "("), Err(PatternError::Syntax(_)))));
        builder.refused = MOST_REFUSED - 1;
        assert_eq!(builder.add(0, r"(a[a-z]{60}){60}"), Err(PatternError::Large));
        assert_eq!(builder.add(0, "ads"), Err(PatternError::Unread));
        builder.forget_refused();
        assert_eq!(builder.add(0, "ads"), Ok(()));
    }

    #[test]
    fn damaged_pieces_are_refused() {
        let mut builder = Builder::default();
        builder.add(0, "ads").unwrap();
        let piece = builder.build(Some).remove(0);
        assert!(Patterns::open(std::slice::from_ref(&piece), 0).is_err(), "a rule that is not there");
        for cut in 0..piece.len() {
            assert!(Patterns::open(&[piece.slice(..cut)], 1).is_err(), "cut at {cut}");
        }
    }
}
