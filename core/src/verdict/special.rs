//! Special names: what the protocol or common use says about a name before any list is asked.
//!
//! Two kinds. Some names are *answered* here and never leave (`.onion`, `localhost`). Others are *unscored*:
//! lists still hold, but no model, look-alike or tunnel check runs on them (reverse zones, underscore labels,
//! DNSBL look-ups), because their labels are data and not words.

use crate::name::Name;
use crate::verdict::Action;

/// What is special about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Answered here; the text says why.
    Answered(Action, &'static str),
    /// Passed on through lists, never scored.
    Unscored {
        /// Why.
        why: &'static str,
        /// Its answers may be addresses of the network inside, or codes in the clothes of such addresses.
        inside: bool,
    },
}

/// Zones that never leave, whatever a policy says.
const NEVER_LEAVE: &[&str] = &["localhost", "invalid", "onion", "alt"];

/// Zones answered here, with what is answered.
const ANSWERED: &[(&str, Action, &str)] = &[
    ("localhost", Action::Custom, "loopback name (RFC 6761 section 6.3)"),
    ("invalid", Action::Nxdomain, "never exists (RFC 6761 section 6.4)"),
    ("onion", Action::Nxdomain, "belongs to Tor (RFC 7686)"),
    ("alt", Action::Nxdomain, "not a DNS name (RFC 9476)"),
    ("local", Action::Nxdomain, "belongs to mDNS (RFC 6762)"),
    ("home.arpa", Action::Nxdomain, "belongs to the home network (RFC 8375)"),
    ("resolver.arpa", Action::Nodata, "asks for this resolver's own encrypted doors (RFC 9462)"),
];

/// Zones whose names are look-ups of other data: DNSBL, anti-virus, time and address discovery.
const UNSCORED: &[(&str, &str)] = &[
    ("in-addr.arpa", "reverse zone"),
    ("ip6.arpa", "reverse zone"),
    ("ipv4only.arpa", "NAT64 discovery (RFC 7050)"),
    ("test", "test zone (RFC 6761 section 6.2)"),
    ("spamhaus.org", "DNSBL look-up"),
    ("spamcop.net", "DNSBL look-up"),
    ("sorbs.net", "DNSBL look-up"),
    ("barracudacentral.org", "DNSBL look-up"),
    ("dnswl.org", "DNSBL look-up"),
    ("surbl.org", "DNSBL look-up"),
    ("uribl.com", "DNSBL look-up"),
    ("abuseat.org", "DNSBL look-up"),
    ("senderscore.com", "DNSBL look-up"),
    ("cymru.com", "address look-up"),
    ("avqs.mcafee.com", "anti-virus look-up"),
    ("avts.mcafee.com", "anti-virus look-up"),
    ("sophosxl.net", "anti-virus look-up"),
    ("e5.sk", "anti-virus look-up"),
    ("kaspersky-labs.com", "anti-virus look-up"),
    ("trendmicro.com", "anti-virus look-up"),
    ("ctmail.com", "anti-virus look-up"),
    ("ntp.org", "time"),
];

/// Names by which browsers find their own way around the resolver.
const CANARIES: &[&str] = &["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"];

/// Well-known public DoH resolvers, among them all that Chromium and Firefox offer or switch to of their own accord.
const DOH_RESOLVERS: &[&str] = &[
    "dns.google",
    "cloudflare-dns.com",
    "one.one.one.one",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns12.quad9.net",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "doh.sandbox.opendns.com",
    "doh.cleanbrowsing.org",
    "dns.adguard-dns.com",
    "dns.adguard.com",
    "dns.nextdns.io",
    "doh.mullvad.net",
    "dns.controld.com",
    "doh.dns.sb",
    "canadianshield.cira.ca",
    "dns.levonet.sk",
    "dns.shaw.ca",
    "doh.cox.net",
    "doh.quickline.ch",
    "doh.xfinity.com",
    "doh-01.spectrum.com",
    "doh-02.spectrum.com",
    "child.joindns4.eu",
    "child-noads.joindns4.eu",
    "noads.joindns4.eu",
    "protective.joindns4.eu",
    "unfiltered.joindns4.eu",
    "odvr.nic.cz",
    "public.dns.iij.jp",
];

/// What is special about `name`, if anything. `keep_clients_here` closes the browsers' ways around;
/// `local_zones` are answered inside the network.
pub fn special(name: &Name, keep_clients_here: bool, local_zones: &[String]) -> Option<Special> {
    let local = local_zones.iter().any(|zone| name.is_within(zone));
    for (zone, action, why) in ANSWERED {
        // A network may serve `corp.local` or `home.arpa` itself, and says so by a local zone.
        if name.is_within(zone) && (!local || NEVER_LEAVE.contains(zone)) {
            return Some(Special::Answered(*action, why));
        }
    }
    if keep_clients_here {
        if CANARIES.iter().any(|zone| name.is_within(zone)) {
            return Some(Special::Answered(Action::Nxdomain, "canary name: keeps clients here"));
        }
        if DOH_RESOLVERS.iter().any(|zone| name.is_within(zone)) {
            return Some(Special::Answered(Action::Nxdomain, "public DoH resolver: keeps clients here"));
        }
    }
    let inside = |why| Some(Special::Unscored { why, inside: true });
    if local {
        return inside("local zone");
    }
    if name.label_count() <= 1 {
        return inside("root or single label");
    }
    if let Some((_, why)) = UNSCORED.iter().find(|(zone, _)| name.is_within(zone)) {
        return inside(why);
    }
    // Anybody can put such a label before a name of theirs: their answers are looked at as all others.
    let underscore = Special::Unscored { why: "underscore label", inside: false };
    name.labels().any(|label| label.starts_with('_')).then_some(underscore)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, keep: bool) -> Option<Special> {
        special(&Name::parse(name).unwrap(), keep, &["corp.example".to_owned()])
    }

    #[test]
    fn names_that_never_leave_are_answered() {
        for (name, action) in [
            ("localhost", Action::Custom),
            ("a.localhost", Action::Custom),
            ("x.onion", Action::Nxdomain),
            ("printer.local", Action::Nxdomain),
            ("_dns.resolver.arpa", Action::Nodata),
        ] {
            assert!(matches!(of(name, false), Some(Special::Answered(a, _)) if a == action), "{name}");
        }
    }

    #[test]
    fn look_ups_of_other_data_are_never_scored() {
        for name in [
            "1.0.0.127.in-addr.arpa",
            "_dmarc.example.com",
            "com",
            "2.0.0.127.zen.spamhaus.org",
            "a.corp.example",
        ] {
            assert!(matches!(of(name, false), Some(Special::Unscored { .. })), "{name}");
        }
    }

    #[test]
    fn a_local_zone_wins_over_what_is_answered_here_but_for_names_that_never_leave() {
        let zones = ["corp.local", "home.arpa", "onion"].map(str::to_owned);
        let of = |text: &str| special(&Name::parse(text).unwrap(), false, &zones);
        for text in ["dc.corp.local", "nas.home.arpa"] {
            assert!(matches!(of(text), Some(Special::Unscored { inside: true, .. })), "{text}");
        }
        for text in ["x.onion", "printer.local"] {
            assert!(matches!(of(text), Some(Special::Answered(Action::Nxdomain, _))), "{text}");
        }
    }

    #[test]
    fn an_underscore_does_not_open_the_inside() {
        assert!(matches!(of("_x.evil.com", false), Some(Special::Unscored { inside: false, .. })));
        assert!(matches!(of("_x.corp.example", false), Some(Special::Unscored { inside: true, .. })));
    }

    #[test]
    fn ordinary_names_are_not_special() {
        for name in ["example.com", "notlocalhost.com", "xonion.com", "mylocal.net"] {
            assert_eq!(of(name, false), None, "{name}");
        }
    }

    #[test]
    fn keeping_clients_here_is_an_option() {
        assert_eq!(of("use-application-dns.net", false), None);
        assert!(matches!(of("use-application-dns.net", true), Some(Special::Answered(Action::Nxdomain, _))));
        assert!(matches!(of("dns.google", true), Some(Special::Answered(Action::Nxdomain, _))));
    }

    #[test]
    fn every_resolver_that_browsers_offer_is_closed_and_its_website_is_not() {
        // The names in Chromium's list of providers and in Firefox's, each as of late 2026.
        let chromium = [
            "chrome.cloudflare-dns.com",
            "security.cloudflare-dns.com",
            "family.cloudflare-dns.com",
            "dns.google",
            "dns64.dns.google",
            "dns.levonet.sk",
            "dns.quad9.net",
            "dns10.quad9.net",
            "dns11.quad9.net",
            "doh-01.spectrum.com",
            "doh-02.spectrum.com",
            "doh.cleanbrowsing.org",
            "doh.cox.net",
            "doh.dns.sb",
            "doh.familyshield.opendns.com",
            "doh.opendns.com",
            "doh.quickline.ch",
            "doh.xfinity.com",
            "odvr.nic.cz",
            "protective.joindns4.eu",
            "public.dns.iij.jp",
            "chromium.dns.nextdns.io",
        ];
        let firefox = [
            "mozilla.cloudflare-dns.com",
            "dooh.cloudflare-dns.com",
            "firefox.dns.nextdns.io",
            "private.canadianshield.cira.ca",
            "doh.xfinity.com",
            "dns.shaw.ca",
        ];
        for name in chromium.into_iter().chain(firefox) {
            assert!(matches!(of(name, true), Some(Special::Answered(Action::Nxdomain, _))), "{name}");
            assert_eq!(of(name, false), None, "{name}");
        }
        for name in ["quad9.net", "www.opendns.com", "nextdns.io", "www.cira.ca", "nic.cz", "xfinity.com"] {
            assert_eq!(of(name, true), None, "{name}");
        }
    }
}
