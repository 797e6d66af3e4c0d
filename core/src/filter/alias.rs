//! Answers that lead on to another name.

use crate::lists::LocalData;
use crate::message::rtype;
use crate::name::Name;
use crate::verdict::{Action, Own, Verdict};

/// The name that is asked for in the place of the question's, if a rule says so. A question for the alias itself
/// is answered without asking anybody.
pub(super) fn alias(verdict: &Verdict, qtype: u16) -> Option<&Name> {
    let Own::Records(records) = &verdict.own else { return None };
    let target = records.iter().find_map(|record| match record {
        LocalData::Cname(target) => Some(target),
        _ => None,
    });
    target.filter(|_| verdict.action == Action::Custom && qtype != rtype::CNAME)
}

/// Whether a verdict's answer is an alias, which the upstream completes.
pub(super) fn is_alias(verdict: &Verdict) -> bool {
    alias(verdict, 0).is_some()
}
