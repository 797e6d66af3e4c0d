//! What stands behind the `$` of an ad blocker's rule.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::master::Word;
use super::super::{ClientIs, Conditions, Effect, LocalData, Why, master, name_of, records};
use crate::message::type_of;
use crate::name::Name;
use crate::policy::nets::canonical;
use crate::verdict::Action;

/// The modifiers of one rule.
pub(super) struct Modifiers {
    pub conditions: Conditions,
    /// `$badfilter`.
    pub revokes: bool,
    /// `$dnsrewrite`.
    pub rewrite: Option<Effect>,
}

/// Modifiers of ad blockers in browsers, negated with `~` too.
const FOR_BROWSERS: [&str; 79] = [
    "1p",
    "3p",
    "all",
    "app",
    "beacon",
    "blocking",
    "bypass",
    "cookie",
    "content",
    "csp",
    "css",
    "cname",
    "doc",
    "document",
    "domain",
    "ehide",
    "elemhide",
    "empty",
    "extension",
    "fetch",
    "first-party",
    "font",
    "frame",
    "from",
    "generichide",
    "genericblock",
    "ghide",
    "hls",
    "header",
    "image",
    "inline-font",
    "inline-script",
    "ipaddress",
    "jsinject",
    "jsonprune",
    "match-case",
    "media",
    "method",
    "mp4",
    "network",
    "noop",
    "object",
    "object-subrequest",
    "other",
    "permissions",
    "ping",
    "popunder",
    "popup",
    "redirect",
    "redirect-rule",
    "referrerpolicy",
    "removeheader",
    "removeparam",
    "replace",
    "rewrite",
    "queryprune",
    "script",
    "shide",
    "sitekey",
    "specifichide",
    "stealth",
    "strict1p",
    "strict3p",
    "strict-first-party",
    "strict-third-party",
    "stylesheet",
    "subdocument",
    "third-party",
    "to",
    "trusted-types",
    "uritransform",
    "urlblock",
    "urlskip",
    "urltransform",
    "webrtc",
    "websocket",
    "xhr",
    "xmlhttprequest",
    "xmlprune",
];

impl Modifiers {
    pub(super) fn parse(text: &str, exception: bool) -> Result<Self, Why> {
        let mut modifiers = Self { conditions: Conditions::default(), revokes: false, rewrite: None };
        let conditions = &mut modifiers.conditions;
        for modifier in split(text, ',') {
            let (name, value) = match modifier.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (modifier.as_str(), None),
            };
            let needed =
                |name: &'static str| value.filter(|value| !value.is_empty()).ok_or(Why::NoValue(name));
            match name {
                "important" if value.is_none() => conditions.important = true,
                "badfilter" if value.is_none() => modifiers.revokes = true,
                "client" => clients(needed("client")?, conditions)?,
                "denyallow" => conditions.except = denyallow(needed("denyallow")?)?,
                "dnstype" => types(needed("dnstype")?, conditions)?,
                "dnsrewrite" if exception => return Err(Why::RewriteException),
                "dnsrewrite" => {
                    modifiers.rewrite = Some(rewrite(needed("dnsrewrite")?)?);
                    conditions.important = true;
                }
                "ctag" => return Err(Why::ClientTags),
                "respgeo" => return Err(Why::ResponseGeo),
                _ if FOR_BROWSERS.contains(&name.strip_prefix('~').unwrap_or(name)) => {
                    return Err(Why::BrowserModifier(name.to_owned()));
                }
                _ => return Err(Why::UnknownModifier(name.to_owned())),
            }
        }
        Ok(modifiers)
    }
}

/// Parts a text at a separator that is not escaped; an escaped separator loses its `\`, all else keeps it. Empty
/// parts are left out.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '\\' && characters.peek() == Some(&separator) {
            part.extend(characters.next());
        } else if character == separator {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(character);
        }
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

fn clients(value: &str, conditions: &mut Conditions) -> Result<(), Why> {
    for client in split(value, '|') {
        let (negated, text) = client.strip_prefix('~').map_or((false, client.as_str()), |text| (true, text));
        let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"'));
        let quoted = quote.and_then(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
        let name = match (quote, quoted) {
            (Some(quote), Some(inner)) => inner.replace(&format!("\\{quote}"), &quote.to_string()),
            _ => text.to_owned(),
        };
        let name = name.replace("\\,", ",");
        if name.is_empty() {
            return Err(Why::ModifierValue {
                modifier: "client",
                value: client,
                expected: "addresses or names",
            });
        }
        let is = match (name.parse::<IpAddr>(), name.parse::<IpNet>()) {
            (Ok(address), _) => ClientIs::In(canonical(address.into())),
            (_, Ok(net)) => ClientIs::In(canonical(net)),
            _ => ClientIs::Named(name),
        };
        (if negated { &mut conditions.not_clients } else { &mut conditions.clients }).push(is);
    }
    let key = |is: &ClientIs| match is {
        ClientIs::In(net) => (0, net.to_string()),
        ClientIs::Named(name) => (1, name.clone()),
    };
    for list in [&mut conditions.clients, &mut conditions.not_clients] {
        list.sort_by_cached_key(key);
        list.dedup();
    }
    Ok(())
}

fn denyallow(value: &str) -> Result<Vec<Name>, Why> {
    let mut names = Vec::new();
    for word in value.split('|') {
        names.push(name_of(word).map_err(|_| Why::ModifierValue {
            modifier: "denyallow",
            value: word.to_owned(),
            expected: "names, without ~ and *",
        })?);
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// `$dnstype`: with types to match, those to leave out say nothing more.
fn types(value: &str, conditions: &mut Conditions) -> Result<(), Why> {
    let (mut types, mut not_types) = (Vec::new(), Vec::new());
    for word in value.split('|') {
        let (list, name) = match word.strip_prefix('~') {
            Some(name) => (&mut not_types, name),
            None => (&mut types, word),
        };
        list.push(type_of(name).ok_or_else(|| Why::ModifierValue {
            modifier: "dnstype",
            value: word.to_owned(),
            expected: "record types",
        })?);
    }
    for list in [&mut types, &mut not_types] {
        list.sort_unstable();
        list.dedup();
    }
    if !types.is_empty() {
        types.retain(|rtype| not_types.binary_search(rtype).is_err());
        not_types.clear();
        if types.is_empty() {
            return Err(Why::NeverMatches("$dnstype takes a type and leaves it out"));
        }
    }
    conditions.types = types;
    conditions.not_types = not_types;
    Ok(())
}

fn rewrite(value: &str) -> Result<Effect, Why> {
    let wrong = |expected| Why::ModifierValue { modifier: "dnsrewrite", value: value.to_owned(), expected };
    let parts: Vec<&str> = value.splitn(3, ';').collect();
    let (rcode, rtype, data) = match parts.as_slice() {
        [short] => return short_rewrite(short).ok_or_else(|| wrong("an address, a name or a keyword"))?,
        [rcode, rtype, data] => (*rcode, *rtype, *data),
        _ => return Err(wrong("RCODE;TYPE;VALUE")),
    };
    if !rcode.eq_ignore_ascii_case("NOERROR") || (rtype.is_empty() && data.is_empty()) {
        return keyword(&rcode.to_ascii_uppercase())
            .unwrap_or_else(|| Err(wrong("NOERROR, NXDOMAIN or REFUSED")));
    }
    let code = type_of(rtype).ok_or_else(|| Why::RecordType(rtype.to_owned()))?;
    use records::{A, AAAA, CNAME, HTTPS, MX, PTR, SRV, SVCB, TXT};
    let words: Vec<Word> = match code {
        // A text is what stands there, however long.
        TXT => return Ok(Effect::Answer(vec![text_record(data)])),
        A | AAAA | CNAME | PTR | MX | SRV | HTTPS | SVCB => {
            data.split(' ').filter(|word| !word.is_empty()).map(|text| Word { text, quoted: false }).collect()
        }
        _ => return Err(wrong("A, AAAA, CNAME, PTR, MX, TXT, SRV, HTTPS or SVCB")),
    };
    let name = |text: &str| Ok(master::name(text)?.0);
    Ok(Effect::Answer(vec![records::data(code, &words, &name)?]))
}

fn short_rewrite(value: &str) -> Option<Result<Effect, Why>> {
    if value.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return keyword(value);
    }
    if let Ok(address) = value.parse::<IpAddr>() {
        return Some(Ok(Effect::Answer(vec![LocalData::Address(address)])));
    }
    let name = name_of(value).ok()?;
    Some(Ok(Effect::Answer(vec![LocalData::Cname(name)])))
}

fn keyword(rcode: &str) -> Option<Result<Effect, Why>> {
    Some(match rcode {
        "NOERROR" => Ok(Effect::Stop(Action::Nodata)),
        "NXDOMAIN" => Ok(Effect::Stop(Action::Nxdomain)),
        "REFUSED" => Ok(Effect::Stop(Action::Refused)),
        "FORMERR" | "SERVFAIL" | "NOTIMP" | "NOTIMPL" | "YXDOMAIN" | "YXRRSET" | "NXRRSET" | "NOTAUTH"
        | "NOTZONE" => Err(Why::Rcode(rcode.to_owned())),
        _ => return None,
    })
}

fn text_record(text: &str) -> LocalData {
    let mut rdata = Vec::with_capacity(text.len() + 1);
    if text.is_empty() {
        rdata.push(0);
    }
    for chunk in text.as_bytes().chunks(255) {
        rdata.push(chunk.len() as u8);
        rdata.extend(chunk);
    }
    LocalData::Record { rtype: records::TXT, rdata }
}
