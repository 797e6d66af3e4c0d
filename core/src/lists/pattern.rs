//! Patterns over names, checked once: regular expressions and masks with `*`.
//!
//! A pattern runs in linear time and in bounded memory, so look-around, back-references and counted repetitions
//! of counted repetitions are refused here. Whoever compiles one does so with Unicode and UTF-8 mode off: names
//! are ASCII, and `.` is one byte of them.
//!
//! The surprise: the text stays as its author wrote it. Only where it has capitals does it get `(?i)` in front,
//! since names are lower case.

use regex_syntax::ast::{self, Ast, ClassSetBinaryOp, ClassSetItem};
use regex_syntax::hir::{Hir, HirKind, translate};

use super::{Trigger, Why};
use crate::name::NameError;

/// The longest pattern, bytes.
pub const MAX_PATTERN_BYTES: usize = 2_048;
/// How many characters, classes and anchors a pattern may become once its repetitions are written out.
const MOST_STATES: u64 = 10_000;
/// How deep groups and repetitions may be nested.
const MOST_NESTED: u32 = 64;

/// A regular expression that was checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

/// Where in a name a mask starts to match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Anywhere.
    Anywhere,
    /// At the start of a label.
    Label,
    /// At the start of the name.
    Name,
}

impl Pattern {
    /// Checks a regular expression, as `regex-syntax` reads it, in any case.
    pub fn regex(text: &str) -> Result<Self, Why> {
        if !text.is_ascii() {
            return Err(Why::NotAscii);
        }
        if text.len() > MAX_PATTERN_BYTES {
            return Err(Why::LargeRegex);
        }
        let parsed = ast::parse::ParserBuilder::new().nest_limit(MOST_NESTED).build().parse(text);
        let ast = parsed.map_err(|error| refused(error.kind()))?;
        ast::visit(&ast, PlainClasses)?;
        let mut translator =
            translate::TranslatorBuilder::new().unicode(false).utf8(false).case_insensitive(true).build();
        let hir = translator.translate(text, &ast).map_err(|error| Why::Regex(error.kind().to_string()))?;
        if states(&hir) > MOST_STATES {
            return Err(Why::LargeRegex);
        }
        let capitals = text.bytes().any(|byte| byte.is_ascii_uppercase());
        Ok(Self(if capitals { format!("(?i){text}") } else { text.to_owned() }))
    }

    /// Makes a pattern of a mask: letters, digits, `-`, `_` and dots for themselves, `*` for anything or nothing.
    pub fn mask(start: Start, mask: &str, ends: bool) -> Result<Self, Why> {
        let bare = mask.trim_start_matches('*');
        let start = if bare.len() < mask.len() { Start::Anywhere } else { start };
        let body = bare.trim_end_matches('*');
        let ends = ends && body.len() == bare.len();
        if body.is_empty() && start == Start::Anywhere {
            return Ok(Self::every());
        }
        let mut text = String::with_capacity(body.len() + 16);
        text.push_str(match start {
            Start::Anywhere => "",
            Start::Label => r"(?:^|\.)",
            Start::Name => "^",
        });
        for character in body.chars() {
            match character {
                '*' if text.ends_with(".*") => {}
                '*' => text.push_str(".*"),
                '.' => text.push_str(r"\."),
                'a'..='z' | '0'..='9' | '-' | '_' => text.push(character),
                'A'..='Z' => text.push(character.to_ascii_lowercase()),
                _ if !character.is_ascii() => return Err(Why::NotAscii),
                _ => return Err(Why::Name(NameError::Character(character))),
            }
        }
        if ends {
            text.push('$');
        }
        Self::regex(&text)
    }

    /// The pattern that every name matches.
    pub fn every() -> Self {
        Self(".*".to_owned())
    }

    /// The regular expression.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Pattern> for Trigger {
    fn from(pattern: Pattern) -> Self {
        Trigger::Pattern(pattern.0)
    }
}

fn refused(kind: &ast::ErrorKind) -> Why {
    match kind {
        ast::ErrorKind::UnsupportedLookAround => Why::LookAround,
        ast::ErrorKind::UnsupportedBackreference => Why::BackReference,
        ast::ErrorKind::NestLimitExceeded(_) | ast::ErrorKind::CaptureLimitExceeded => Why::LargeRegex,
        other => Why::Regex(other.to_string()),
    }
}

/// How large the expression becomes when its repetitions are written out. Its depth is bounded by the parser.
fn states(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Class(_) | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            states(&repetition.sub).saturating_mul(u64::from(times).max(1))
        }
        HirKind::Capture(capture) => states(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(states).fold(0, u64::saturating_add)
        }
    }
}

/// Refuses what POSIX and RE2 read as single characters of a class and this engine as operations on classes.
struct PlainClasses;

impl ast::Visitor for PlainClasses {
    type Output = ();
    type Err = Why;

    fn finish(self) -> Result<(), Why> {
        Ok(())
    }

    fn visit_pre(&mut self, _: &Ast) -> Result<(), Why> {
        Ok(())
    }

    fn visit_class_set_item_pre(&mut self, item: &ClassSetItem) -> Result<(), Why> {
        if matches!(item, ClassSetItem::Bracketed(_)) { Err(Why::ClassSet) } else { Ok(()) }
    }

    fn visit_class_set_binary_op_pre(&mut self, _: &ClassSetBinaryOp) -> Result<(), Why> {
        Err(Why::ClassSet)
    }
}
