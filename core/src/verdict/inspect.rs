//! On the way back: what the upstream answered may turn an allowed question into a blocked one.
//!
//! Looks at CNAME and SVCB targets (lists and people hold for them as for the name asked), at addresses and at
//! SVCB address hints (a public name must not point into the private network).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::lists::LocalData;
use crate::message::{Answer, Data};
use crate::name::Name;
use crate::policy::groups::Held;
use crate::policy::{Group, Mode, Policy};
use crate::snapshot::{Decision, Role, Snapshot};
use crate::verdict::precedence::{Candidates, Question};
use crate::verdict::special::{Special, special};
use crate::verdict::{Action, Own, Reason, Step, TraceLine, Verdict};

/// Inspects the answer to a question that was allowed by `verdict`. Returns the verdict that replaces it, or
/// `None` if the answer may pass as it is.
pub fn inspect(
    asked: &Question<'_>,
    verdict: &Verdict,
    answer: &Answer,
    held: &Held,
    policy: &Policy,
    snapshot: Option<&Snapshot>,
) -> Option<Verdict> {
    let group = &held.group;
    if group.lists == Mode::Off || policy.skip_steps.contains(&Step::Response) {
        return None;
    }
    let special = special(asked.name, false, &policy.local_zones);
    let local = matches!(special, Some(Special::Unscored { inside: true, .. }));
    let allowed =
        matches!(verdict.reason(), Some(Reason::Vetted | Reason::Unblock | Reason::Allowlist | Reason::Rule));
    let context = Context { asked, held, policy, snapshot, allowed };
    let found = answer.records.iter().find_map(|record| {
        let (targets, addresses): (Option<&Name>, &[IpAddr]) = match &record.data {
            Data::Address(address) => (None, std::slice::from_ref(address)),
            Data::Cname(target) => (Some(target), &[]),
            Data::Svcb { target, hints, .. } => (Some(target), hints),
            Data::Pointer(_) | Data::Other => (None, &[]),
        };
        let target = targets.filter(|target| !target.is_root() && *target != asked.name);
        target
            .and_then(|target| context.against_target(target))
            .or_else(|| addresses.iter().find_map(|address| context.against_address(*address)))
            .or_else(|| against_rebinding(addresses, group, local))
    });
    let Found { action, rule, said, by_law, own } = found?;
    let mut changed = verdict.clone();
    changed.rule = Some(rule);
    changed.own = own;
    changed.reasons = vec![Reason::Response];
    changed.reasons.extend(by_law.then_some(Reason::Mandatory));
    changed.ttl_s = if action == Action::Honeypot { group.honeypot_ttl_s } else { group.block_ttl_s };
    for line in &mut changed.trace {
        line.decided = false;
    }
    changed.trace.push(TraceLine { step: Step::Response, said: said.into(), decided: true, score: None });
    let paused = !by_law && policy.is_paused(&group.name, asked.now_ms) == Some(true);
    if group.lists == Mode::Log || paused {
        changed.would = Some(action);
        let said = format!("log mode: allowed, would be {}", action.as_str()).into();
        changed.trace.push(TraceLine { step: Step::Mode, said, decided: false, score: None });
    } else {
        changed.action = action;
        changed.would = None;
    }
    Some(changed)
}

struct Found {
    action: Action,
    rule: String,
    said: String,
    /// A mandatory list says so.
    by_law: bool,
    own: Own,
}

/// What an answer is held against.
struct Context<'a> {
    asked: &'a Question<'a>,
    held: &'a Held,
    policy: &'a Policy,
    snapshot: Option<&'a Snapshot>,
    /// The name asked was allowed by a person or a list: that holds for where it leads, but for the law.
    allowed: bool,
}

impl<'a> Context<'a> {
    /// The steps of lists and people for a name that the answer leads to, in the order of the cascade.
    fn against_target(&self, target: &Name) -> Option<Found> {
        let snapshot = self.snapshot?;
        let question = Question { name: target, ..*self.asked };
        let candidates = Candidates::of(snapshot.lookup(target), snapshot, self.held, self.policy, &question);
        let leads = |said: String| format!("leads to {target}, {said}");
        if let Some(found) = chosen(&candidates, Role::Mandatory, leads) {
            return Some(found);
        }
        if self.allowed {
            return None;
        }
        if let Some(vetted) = snapshot.vetted(target) {
            let action = match vetted.decision {
                Decision::Benign => return None,
                Decision::Malicious => self.held.group.block_action,
                Decision::Honeypot => Action::Honeypot,
            };
            let said = leads(format!("vetted by {}", vetted.author));
            let rule = format!("vetted:{}", vetted.name);
            return Some(Found { action, rule, said, by_law: false, own: Own::default() });
        }
        chosen(&candidates, Role::Block, leads)
    }

    /// Rules on answered addresses.
    fn against_address(&self, address: IpAddr) -> Option<Found> {
        let snapshot = self.snapshot?;
        let matches = snapshot.lookup_address(address);
        let candidates = Candidates::of(matches, snapshot, self.held, self.policy, self.asked);
        let leads = |said: String| format!("answered with {address}, {said}");
        let law = chosen(&candidates, Role::Mandatory, leads);
        law.or_else(|| if self.allowed { None } else { chosen(&candidates, Role::Block, leads) })
    }
}

/// The rule that decides, unless it allows. For blocklists those that allow are asked too.
fn chosen(candidates: &Candidates<'_>, role: Role, leads: impl Fn(String) -> String) -> Option<Found> {
    let law = role == Role::Mandatory;
    let found = candidates.choose(Mode::Enforce, |of| if law { of == role } else { of.is_chosen() })?;
    let (mut action, mut own) = candidates.outcome(found);
    if let Own::Records(records) = &own
        && records.iter().any(|record| matches!(record, LocalData::Cname(_)))
    {
        // Whom an alias leads to can be asked for in the place of a question, not of an answer.
        (action, own) = (Action::Nxdomain, Own::default());
    }
    let (rule, said) = (found.list.name.clone(), leads(found.said()));
    action.stops().then_some(Found { action, rule, said, by_law: law, own })
}

fn against_rebinding(addresses: &[IpAddr], group: &Group, local: bool) -> Option<Found> {
    if local || !group.rebinding {
        return None;
    }
    let inside = addresses.iter().find(|address| is_inside(**address))?;
    let said = format!("a public name answered with the private address {inside}");
    let rule = "rebinding".to_owned();
    Some(Found { action: group.block_action, rule, said, by_law: false, own: Own::default() })
}

/// Whether an address belongs to a private network, this machine, this link or nobody.
pub fn is_inside(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => is_inside_v4(v4),
        IpAddr::V6(v6) => is_inside_v6(v6),
    }
}

fn is_inside_v4(v4: Ipv4Addr) -> bool {
    let [a, b, ..] = v4.octets();
    let shared = a == 100 && b & 0xc0 == 64;
    v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || shared || a == 0
}

fn is_inside_v6(v6: Ipv6Addr) -> bool {
    // An IPv4 address that a translator takes out again: NAT64 (RFC 6052), 6to4 (RFC 3056).
    let embedded = match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    };
    embedded.is_some_and(is_inside_v4)
        || v6.is_loopback()
        || v6.is_unspecified()
        || v6.is_unique_local()
        || v6.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_ranges_are_inside_and_public_ones_are_not() {
        for address in [
            "10.1.2.3",
            "127.0.0.1",
            "0.0.0.0",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:192.168.1.1",
            "64:ff9b::192.168.1.1",
            "2002:c0a8:101::1",
        ] {
            assert!(is_inside(address.parse().unwrap()), "{address}");
        }
        for address in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2001:4860::8888",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert!(!is_inside(address.parse().unwrap()), "{address}");
        }
    }
}
