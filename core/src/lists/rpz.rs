//! Response policy zones (draft-vixie-dnsop-dns-rpz) in master file text.
//!
//! ```text
//! $ORIGIN rpz.example.
//! @ SOA ns.example. hostmaster.example. (1 3600 600 86400 60)   counted as a comment
//! bad.example            CNAME .                NXDOMAIN for that name
//! *.bad.example          CNAME *.               NODATA below it, not at it
//! 24.0.2.0.192.rpz-ip    CNAME rpz-drop.        drops answers with an address of 192.0.2.0/24
//! walled.example         A     192.0.2.1        answers that, and NODATA for other types
//! ```
//!
//! Owners are relative to the zone; absolute ones lose the zone's name, which `$ORIGIN` or the SOA's owner tells.
//! A record over several lines counts with all its lines as what it is. The surprise: `CNAME rpz-drop` without
//! its last dot would mean a name of the zone, so it is reported, not obeyed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::master::{self, Word};
use super::pattern::Pattern;
use super::records::{self, CNAME};
use super::{Conditions, Effect, LocalData, Out, Rule, Scope, Trigger, Why};
use crate::name::Name;
use crate::policy::nets::canonical;
use crate::verdict::Action;

/// What earlier lines said.
#[derive(Default)]
pub(super) struct Zone {
    /// The zone's own name, once known.
    apex: Option<Name>,
    origin: Origin,
    owner: Option<Owner>,
}

/// What relative names are relative to.
#[derive(Default)]
enum Origin {
    /// The zone, whose name is not known.
    #[default]
    Zone,
    Name(Name),
    /// A `$ORIGIN` that was not understood: nobody knows until the next one.
    Lost,
}

/// An owner, relative to the zone.
#[derive(Clone)]
struct Owner {
    /// Whether `*.` stands in front.
    star: bool,
    name: Name,
}

/// Whether the line is a master file's: a `$` line, or a record.
pub(super) fn looks_like(line: &str) -> bool {
    if line.starts_with("$TTL") || line.starts_with("$ORIGIN") {
        return true;
    }
    let Ok(words) = master::words(line.split('(').next().unwrap_or(line)) else { return false };
    let known = |words: &[Word]| {
        master::type_and_data(words).is_ok_and(|(rtype, _)| matches!(rtype, 1 | 2 | 5 | 6 | 15 | 16 | 28))
    };
    words.get(1..).is_some_and(known)
}

impl Zone {
    /// Reads a record or a `$` line.
    pub(super) fn record(&mut self, text: &str, out: &mut Out) {
        if text.trim_start().is_empty() || text.trim_start().starts_with(';') {
            return;
        }
        match self.read(text) {
            Ok(Some(rule)) => out.rule(rule),
            Ok(None) => {}
            Err(why) => out.reject(text, why),
        }
    }

    /// The record's rule; `None` for what is no policy.
    fn read(&mut self, text: &str) -> Result<Option<Rule>, Why> {
        let inherits = text.starts_with([' ', '\t']);
        if inherits {
            let words = master::words(text)?;
            let owner = self.owner.clone().ok_or(Why::NoRecord)?;
            return if words.is_empty() { Ok(None) } else { self.policy(owner, &words) };
        }
        // Whatever is wrong with this line, the next one without an owner does not belong to the one before.
        self.owner = None;
        let words = master::words(text)?;
        let [first, rest @ ..] = words.as_slice() else { return Ok(None) };
        if first.text.starts_with('$') && !first.quoted {
            return self.directive(first.text, rest).map(|()| None);
        }
        let is_soa = matches!(master::type_and_data(rest), Ok((6, _)));
        let owner = if is_soa { self.apex_of(first.text)? } else { self.owner_of(first.text)? };
        self.owner = Some(owner.clone());
        self.policy(owner, rest)
    }

    fn directive(&mut self, word: &str, rest: &[Word]) -> Result<(), Why> {
        if word.eq_ignore_ascii_case("$TTL") {
            return Ok(());
        }
        if !word.eq_ignore_ascii_case("$ORIGIN") {
            return Err(Why::Directive(word.to_owned()));
        }
        let lost = std::mem::replace(&mut self.origin, Origin::Lost);
        let text = rest.first().ok_or(Why::NoName)?.text;
        let (name, absolute) = master::name(text)?;
        let name = match (absolute, lost) {
            (true, _) => name,
            (false, Origin::Name(origin)) => master::below(&name, &origin)?,
            (false, _) => return Err(Why::Directive("$ORIGIN without its dot at the end".to_owned())),
        };
        self.apex.get_or_insert_with(|| name.clone());
        self.origin = Origin::Name(name);
        Ok(())
    }

    /// The SOA's owner is the zone's name.
    fn apex_of(&mut self, text: &str) -> Result<Owner, Why> {
        let full = if text == "@" {
            match &self.origin {
                Origin::Name(origin) => Some(origin.clone()),
                Origin::Zone => None,
                Origin::Lost => return Err(Why::NoOrigin),
            }
        } else {
            match (master::name(text)?, &self.origin) {
                ((name, true), _) => Some(name),
                ((name, false), Origin::Name(origin)) => Some(master::below(&name, origin)?),
                ((_, false), _) => return Err(Why::NoOrigin),
            }
        };
        if let Some(full) = full {
            if matches!(self.origin, Origin::Zone) {
                self.origin = Origin::Name(full.clone());
            }
            self.apex = Some(full);
        }
        Ok(Owner { star: false, name: Name::root() })
    }

    fn owner_of(&self, text: &str) -> Result<Owner, Why> {
        let (star, text) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None if text == "*" => (true, "@"),
            None => (false, text),
        };
        let (name, absolute) = if text == "@" { (Name::root(), false) } else { master::name(text)? };
        if name.labels().any(|label| label.contains("\\042")) {
            return Err(Why::Wildcard);
        }
        let name = match (absolute, &self.origin, &self.apex) {
            (false, Origin::Lost, _) => return Err(Why::NoOrigin),
            (false, Origin::Zone, _) => name,
            (false, Origin::Name(origin), Some(apex)) if origin == apex => name,
            (false, Origin::Name(origin), apex) => {
                let full = if name.is_root() { origin.clone() } else { master::below(&name, origin)? };
                within(&full, apex.as_ref())?
            }
            (true, _, apex) => within(&name, apex.as_ref())?,
        };
        Ok(Owner { star, name })
    }

    fn policy(&self, owner: Owner, words: &[Word]) -> Result<Option<Rule>, Why> {
        let (rtype, data) = master::type_and_data(words)?;
        if records::signs_zones(rtype) {
            return Ok(None);
        }
        if owner.name.is_root() && !owner.star {
            // What describes the zone; a TXT there is a note of its author.
            return if matches!(rtype, 2 | 6 | 16) { Ok(None) } else { Err(Why::Apex) };
        }
        let trigger = trigger(&owner)?;
        let effect = if rtype == CNAME { self.action(&owner, data)? } else { self.local_data(rtype, data)? };
        Ok(Some(Rule { trigger, effect, conditions: Conditions::default() }))
    }

    fn action(&self, owner: &Owner, data: &[Word]) -> Result<Effect, Why> {
        let [target] = data else {
            return Err(Why::Data { rtype: "CNAME", expected: "a name" });
        };
        match target.text {
            "." => return Ok(Effect::Stop(Action::Nxdomain)),
            "*." => return Ok(Effect::Stop(Action::Nodata)),
            text if text.starts_with("*.") || text == "*" => return Err(Why::WildcardTarget),
            _ => {}
        }
        let (name, absolute) =
            if target.text == "@" { (Name::root(), false) } else { master::name(target.text)? };
        let top = name.labels().next_back().unwrap_or_default();
        if !absolute && name.label_count() == 1 && name.as_str().starts_with("rpz-") {
            return Err(Why::ActionDot(target.text.to_owned()));
        }
        if absolute && top.starts_with("rpz-") {
            return match name.as_str() {
                "rpz-passthru" => Ok(Effect::Allow),
                "rpz-drop" => Ok(Effect::Stop(Action::Drop)),
                "rpz-tcp-only" => Ok(Effect::TcpOnly),
                _ => Err(Why::UnknownAction(target.text.to_owned())),
            };
        }
        // PASSTHRU's first form: a CNAME to the trigger itself, for addresses without their last label.
        let itself = owner.name.as_str();
        let bare = itself.strip_suffix(".rpz-ip").or_else(|| itself.strip_suffix(".rpz-client-ip"));
        if absolute && !owner.star && name.as_str() == bare.unwrap_or(itself) {
            return Ok(Effect::Allow);
        }
        Ok(Effect::Answer(vec![LocalData::Cname(self.full(target.text)?)]))
    }

    fn local_data(&self, rtype: u16, data: &[Word]) -> Result<Effect, Why> {
        Ok(Effect::Answer(vec![records::data(rtype, data, &|text| self.full(text))?]))
    }

    /// A name in a record's data, made absolute.
    fn full(&self, text: &str) -> Result<Name, Why> {
        let (name, absolute) = if text == "@" { (Name::root(), false) } else { master::name(text)? };
        match (absolute, &self.origin) {
            (true, _) => Ok(name),
            (false, Origin::Name(origin)) => master::below(&name, origin),
            (false, _) => Err(Why::NoOrigin),
        }
    }
}

/// A name relative to the zone.
fn within(full: &Name, apex: Option<&Name>) -> Result<Name, Why> {
    let apex = apex.ok_or(Why::NoOrigin)?;
    if !full.is_within(apex.as_str()) {
        return Err(Why::OutOfZone(apex.to_string()));
    }
    let head = full.as_str().strip_suffix(apex.as_str()).unwrap_or_default();
    Ok(Name::parse(head.strip_suffix('.').unwrap_or(head))?)
}

fn trigger(owner: &Owner) -> Result<Trigger, Why> {
    let text = owner.name.as_str();
    let (rest, last) = text.rsplit_once('.').unwrap_or(("", text));
    match last {
        "rpz-ip" | "rpz-client-ip" if owner.star => {
            Err(Why::AddressTrigger("PREFIX and the address backwards, without *"))
        }
        "rpz-ip" => Ok(Trigger::Address(prefix(rest)?)),
        "rpz-client-ip" => Ok(Trigger::Client(prefix(rest)?)),
        "rpz-nsdname" | "rpz-nsip" => Err(Why::NameServers),
        _ if last.starts_with("rpz-") => Err(Why::UnknownTrigger(last.to_owned())),
        // All names but the root.
        "" => Ok(Pattern::regex(".")?.into()),
        _ => Ok(Trigger::Name(owner.name.clone(), if owner.star { Scope::Below } else { Scope::Exact })),
    }
}

/// `24.0.2.0.192` is 192.0.2.0/24; `32.zz.db8.2001` is 2001:db8::/32, `zz` standing for the zeros left out.
fn prefix(text: &str) -> Result<IpNet, Why> {
    let wrong =
        Why::AddressTrigger("PREFIX.D.C.B.A, or PREFIX and up to eight hex groups backwards, zz for zeros");
    let number = |text: &str, radix| -> Option<u16> {
        let digits = !text.is_empty() && text.bytes().all(|byte| char::from(byte).is_digit(radix));
        digits.then(|| u16::from_str_radix(text, radix).ok()).flatten()
    };
    let mut labels = text.split('.');
    let length =
        labels.next().and_then(|label| number(label, 10)).and_then(|length| u8::try_from(length).ok());
    let length = length.filter(|&length| length > 0).ok_or(wrong.clone())?;
    let groups: Vec<&str> = labels.rev().collect();
    let octets: Option<Vec<u8>> =
        groups.iter().map(|group| number(group, 10).and_then(|value| u8::try_from(value).ok())).collect();
    let address = match octets.and_then(|octets| <[u8; 4]>::try_from(octets).ok()) {
        Some(octets) => IpAddr::V4(Ipv4Addr::from(octets)),
        None => {
            let named = groups.iter().filter(|group| !group.eq_ignore_ascii_case("zz")).count();
            let zeros =
                8usize.checked_sub(named).filter(|_| groups.len() <= named + 1).ok_or(wrong.clone())?;
            if zeros == 0 && groups.len() > named {
                return Err(wrong);
            }
            let mut whole = Vec::with_capacity(8);
            for group in &groups {
                if group.eq_ignore_ascii_case("zz") {
                    whole.resize(whole.len() + zeros, 0);
                } else {
                    whole.push(number(group, 16).ok_or(wrong.clone())?);
                }
            }
            let whole = <[u16; 8]>::try_from(whole).map_err(|_| wrong.clone())?;
            IpAddr::V6(Ipv6Addr::from(whole))
        }
    };
    let net = IpNet::new(address, length).map_err(|_| wrong)?;
    if net.trunc() != net {
        return Err(Why::AddressTrigger("zeros behind the prefix"));
    }
    Ok(canonical(net))
}
