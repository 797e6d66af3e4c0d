//! Verdicts in few bytes, without loss.
//!
//! A verdict's JSON repeats itself: the same steps say the same sentences, only numbers, the name and its
//! parents differ. So each is split into a *shape* (the JSON with those taken out), which is stored once,
//! and its *arguments*. [`split`] and [`join`] are exact inverses for any JSON text: what is not recognised
//! just stays in the shape.

use dnsvet_core::name::Name;
use dnsvet_core::verdict::{Action, Reason, Verdict};

/// In a shape: an argument that is not the name stands here. JSON never holds this byte unescaped.
const ARGUMENT: char = '\u{1}';
/// In a shape: the name, with as many labels taken off its front as the next character says.
const NAME: char = '\u{2}';
/// Between arguments.
const SEPARATOR: char = '\u{1f}';

/// Actions by their stored code. Only ever append.
const ACTIONS: [Action; 8] = [
    Action::Allow,
    Action::Nxdomain,
    Action::Nodata,
    Action::Null,
    Action::Honeypot,
    Action::Custom,
    Action::Refused,
    Action::Drop,
];

/// Reasons by their stored code, from 1; 0 is none. Only ever append.
const REASONS: [Reason; 16] = [
    Reason::Special,
    Reason::Mandatory,
    Reason::Vetted,
    Reason::Unblock,
    Reason::Allowlist,
    Reason::List,
    Reason::Rule,
    Reason::Schedule,
    Reason::LookAlike,
    Reason::Tunnel,
    Reason::Model,
    Reason::Popular,
    Reason::NotConfident,
    Reason::Budget,
    Reason::Response,
    Reason::Failure,
];

/// The stored code of an action.
pub fn action_code(action: Action) -> i64 {
    ACTIONS.iter().position(|known| *known == action).unwrap_or(0) as i64
}

/// The action of a word such as `nxdomain`.
pub fn action_of(word: &str) -> Option<Action> {
    ACTIONS.into_iter().find(|action| action.as_str() == word)
}

/// The word of a stored action.
pub fn action_word(code: i64) -> &'static str {
    usize::try_from(code).ok().and_then(|code| ACTIONS.get(code)).map_or("unknown", |action| action.as_str())
}

/// The stored code of a deciding reason.
pub fn reason_code(reason: Option<Reason>) -> i64 {
    reason
        .and_then(|reason| REASONS.iter().position(|known| *known == reason))
        .map_or(0, |code| code as i64 + 1)
}

/// The reason of a word such as `look_alike`.
pub fn reason_of(word: &str) -> Option<Reason> {
    REASONS.into_iter().find(|reason| reason.as_str() == word)
}

/// The word of a stored reason; `none` for 0.
pub fn reason_word(code: i64) -> &'static str {
    let code = usize::try_from(code).ok().and_then(|code| code.checked_sub(1));
    code.and_then(|code| REASONS.get(code)).map_or("none", |reason| reason.as_str())
}

/// The action of a stored code; one that is not known is taken for allow, as everywhere.
pub fn action_at(code: i64) -> Action {
    usize::try_from(code).ok().and_then(|code| ACTIONS.get(code)).copied().unwrap_or(Action::Allow)
}

/// The reason of a stored code.
pub fn reason_at(code: i64) -> Option<Reason> {
    let code = usize::try_from(code).ok().and_then(|code| code.checked_sub(1));
    code.and_then(|code| REASONS.get(code)).copied()
}

/// Splits `json` into its shape and its arguments; `name` is the event's.
pub fn split(json: &str, name: &str) -> (String, String) {
    let suffixes: Vec<&str> = Name::parse(name).map_or(Vec::new(), |_| {
        let all = std::iter::successors(Some(name), |text| text.split_once('.').map(|(_, parent)| parent));
        all.filter(|text| text.contains('.')).take(26).collect()
    });
    let (mut shape, mut arguments) = (String::with_capacity(json.len()), String::new());
    let mut rest = json;
    let mut before = '"';
    while let Some(first) = rest.chars().next() {
        let starts_word = !before.is_ascii_alphanumeric() && !matches!(before, '-' | '_' | '.');
        let found = suffixes.iter().position(|suffix| starts_word && rest.starts_with(suffix));
        if let Some(labels) = found {
            let length = suffixes[labels].len();
            shape.push(NAME);
            shape.push(char::from(b'a' + labels as u8));
            before = rest[..length].chars().next_back().unwrap_or(first);
            rest = &rest[length..];
            continue;
        }
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        if digits > 0 && first.is_ascii_digit() {
            shape.push(ARGUMENT);
            arguments.push_str(&rest[..digits]);
            arguments.push(SEPARATOR);
            before = '0';
            rest = &rest[digits..];
            continue;
        }
        shape.push(first);
        before = first;
        rest = &rest[first.len_utf8()..];
    }
    arguments.pop();
    (shape, arguments)
}

/// Puts arguments and name back into a shape; `None` if they don't fit.
pub fn join(shape: &str, arguments: &str, name: &str) -> Option<String> {
    let mut json = String::with_capacity(shape.len() + arguments.len());
    let mut arguments = arguments.split(SEPARATOR);
    let mut shape = shape.chars();
    while let Some(next) = shape.next() {
        match next {
            ARGUMENT => json.push_str(arguments.next()?),
            NAME => {
                let labels = u32::from(shape.next()?).checked_sub(u32::from('a'))?;
                let mut suffix = name;
                for _ in 0..labels {
                    suffix = suffix.split_once('.')?.1;
                }
                json.push_str(suffix);
            }
            other => json.push(other),
        }
    }
    Some(json)
}

/// A verdict as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Few different ones.
    pub shape: String,
    /// What [`split`] took out of the shape.
    pub arguments: String,
    /// Id of the snapshot: one for long.
    pub snapshot: String,
}

impl Packed {
    /// Packs the verdict on `name`.
    ///
    /// # Errors
    /// If it is no JSON.
    pub fn of(verdict: &Verdict, name: &str) -> serde_json::Result<Self> {
        let mut verdict = verdict.clone();
        let snapshot = std::mem::take(&mut verdict.snapshot);
        let (shape, arguments) = split(&serde_json::to_string(&verdict)?, name);
        Ok(Self { shape, arguments, snapshot })
    }

    /// The verdict on `name`; `None` if it is damaged.
    pub fn verdict(self, name: &str) -> Option<Verdict> {
        let json = join(&self.shape, &self.arguments, name)?;
        let mut verdict: Verdict = serde_json::from_str(&json).ok()?;
        verdict.snapshot = self.snapshot;
        Some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_and_reason_has_a_code_that_leads_back() {
        for action in ACTIONS {
            assert_eq!(action_word(action_code(action)), action.as_str());
            assert_eq!(action_of(action.as_str()), Some(action));
            assert_eq!(action_at(action_code(action)), action);
        }
        for reason in REASONS {
            assert_eq!(reason_word(reason_code(Some(reason))), reason.as_str());
            assert_eq!(reason_of(reason.as_str()), Some(reason));
            assert_eq!(reason_at(reason_code(Some(reason))), Some(reason));
        }
        assert_eq!((reason_code(None), reason_word(0), reason_at(0)), (0, "none", None));
    }

    #[test]
    fn splitting_and_joining_gives_every_byte_back() {
        let json = r#"{"said":"listed by kadhosts as evil.example (suffix), line 20118","score":0.99621,"n":"a1.b-2.evil.example","x":1.}"#;
        for name in ["a1.b-2.evil.example", "evil.example", "example", "", "x\\046y.example", "1.2.3.4"] {
            let (shape, arguments) = split(json, name);
            assert_eq!(join(&shape, &arguments, name).as_deref(), Some(json), "{name}");
        }
        let odd = r#"{"said":"ünïcode … \u0001 \"evil.example.example\" -5e-7"}"#;
        let (shape, arguments) = split(odd, "evil.example");
        assert_eq!(join(&shape, &arguments, "evil.example").as_deref(), Some(odd));
    }

    #[test]
    fn verdicts_that_differ_in_numbers_and_name_share_a_shape() {
        let line = |name: &str, score: &str| {
            format!(r#"{{"said":"score {score}, {name} is in no list","score":{score}}}"#)
        };
        let one = split(&line("abc.example.org", "0.10211"), "abc.example.org");
        let two = split(&line("x1.y2.net", "0.99"), "x1.y2.net");
        assert_eq!(one.0, two.0);
        assert_eq!(two.1, "0.99\u{1f}0.99");
    }

    #[test]
    fn arguments_that_do_not_fit_are_noticed() {
        let (shape, _) = split(r#"{"score":0.5,"n":7}"#, "a.example");
        assert_eq!(join(&shape, "0.5", "a.example"), None);
        assert_eq!(join("\u{2}c", "", "a.example"), None);
    }
}
