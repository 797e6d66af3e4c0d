//! On the way back: what the upstream answered may turn an allowed question into a blocked one.
//!
//! Looks at CNAME and SVCB targets (lists and people hold for them as for the name asked), at addresses and at
//! SVCB address hints (a public name must not point into the private network).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::message::{Answer, Data};
use crate::name::Name;
use crate::policy::{Group, Mode, Policy};
use crate::snapshot::{Decision, Match, Role, Snapshot};
use crate::verdict::special::{Special, special};
use crate::verdict::{Action, Reason, Step, TraceLine, Verdict};

/// Inspects the answer to a question that was allowed by `verdict`. Returns the verdict that replaces it, or
/// `None` if the answer may pass as it is.
pub fn inspect(
    name: &Name,
    verdict: &Verdict,
    answer: &Answer,
    group: &Group,
    policy: &Policy,
    snapshot: Option<&Snapshot>,
) -> Option<Verdict> {
    if group.lists == Mode::Off || policy.skip_steps.contains(&Step::Response) {
        return None;
    }
    let local =
        matches!(special(name, false, &policy.local_zones), Some(Special::Unscored { inside: true, .. }));
    let allowed_by_person =
        matches!(verdict.reason(), Some(Reason::Vetted | Reason::Unblock | Reason::Allowlist));
    let found = answer.records.iter().find_map(|record| {
        let (targets, addresses): (Option<&Name>, &[IpAddr]) = match &record.data {
            Data::Address(address) => (None, std::slice::from_ref(address)),
            Data::Cname(target) => (Some(target), &[]),
            Data::Svcb { target, hints, .. } => (Some(target), hints),
            Data::Other => (None, &[]),
        };
        let target = targets.filter(|target| !target.is_root() && *target != name);
        target
            .and_then(|target| against_target(target, group, snapshot?, allowed_by_person))
            .or_else(|| against_address(addresses, group, local))
    });
    let Found { action, rule, said, by_law } = found?;
    let mut changed = verdict.clone();
    changed.rule = Some(rule);
    changed.reasons = vec![Reason::Response];
    changed.reasons.extend(by_law.then_some(Reason::Mandatory));
    changed.ttl_s = if action == Action::Honeypot { group.honeypot_ttl_s } else { group.block_ttl_s };
    for line in &mut changed.trace {
        line.decided = false;
    }
    changed.trace.push(TraceLine { step: Step::Response, said, decided: true, score: None });
    if group.lists == Mode::Log {
        changed.would = Some(action);
        let said = format!("log mode: allowed, would be {}", action.as_str());
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
}

/// The steps of lists and people for a name that the answer leads to, in the order of the cascade.
fn against_target(target: &Name, group: &Group, snapshot: &Snapshot, allowed: bool) -> Option<Found> {
    let matches = snapshot.lookup(target);
    let first = |role: Role| {
        matches.iter().find_map(|found| {
            let list = snapshot.lists().get(usize::from(found.list))?;
            (list.role == role).then_some((found, list.name.as_str()))
        })
    };
    let listed = |(found, list): (&Match, &str), by_law| Found {
        action: group.block_action,
        rule: list.to_owned(),
        said: format!("leads to {target}, listed by {list} as {}", found.suffix),
        by_law,
    };
    if let Some(found) = first(Role::Mandatory) {
        return Some(listed(found, true));
    }
    if allowed {
        return None;
    }
    if let Some(vetted) = snapshot.vetted(target) {
        let action = match vetted.decision {
            Decision::Benign => return None,
            Decision::Malicious => group.block_action,
            Decision::Honeypot => Action::Honeypot,
        };
        let said = format!("leads to {target}, vetted by {}", vetted.author);
        return Some(Found { action, rule: format!("vetted:{}", vetted.name), said, by_law: false });
    }
    let block = first(Role::Block)?;
    let spared = first(Role::Allow).is_some_and(|(allow, _)| allow.suffix.len() >= block.0.suffix.len());
    (!spared).then(|| listed(block, false))
}

fn against_address(addresses: &[IpAddr], group: &Group, local: bool) -> Option<Found> {
    if local || !group.rebinding {
        return None;
    }
    let inside = addresses.iter().find(|address| is_inside(**address))?;
    let said = format!("a public name answered with the private address {inside}");
    Some(Found { action: group.block_action, rule: "rebinding".to_owned(), said, by_law: false })
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
