//! Zones whose keepers write codes into names: look-ups of mail filters and anti-virus programs, proofs of control
//! over a name, hosts of clouds.
//!
//! In each of them only its keeper answers, and gives nobody a zone, so what is asked there reaches no stranger.
//! Shared suffixes under which anybody may run name servers have no place here. The list is never complete: a zone
//! that is not in it is judged by its names alone.

/// Whether a registrable domain is such a zone.
pub(super) fn is_kept(registrable: &str) -> bool {
    KEPT.binary_search(&registrable).is_ok()
}

/// Sorted, for the search.
const KEPT: &[&str] = &[
    "abuse.ch",
    "acm-validations.aws",
    "amazonaws.com",
    "amazonses.com",
    "avast.com",
    "avira.com",
    "awstrack.me",
    "azure-devices.net",
    "azure.com",
    "barracudacentral.org",
    "barracudanetworks.com",
    "bitdefender.com",
    "bitdefender.net",
    "brightcloud.com",
    "cloudflare.com",
    "cloudmark.com",
    "comodoca.com",
    "ctmail.com",
    "cymru.com",
    "digicert.com",
    "dnswl.org",
    "e5.sk",
    "eset.com",
    "f-secure.com",
    "fortinet.net",
    "found.io",
    "googleusercontent.com",
    "googlevideo.com",
    "gvt1.com",
    "invaluement.com",
    "kaspersky-labs.com",
    "kaspersky.com",
    "mailspike.net",
    "mcafee.com",
    "microsoft.com",
    "msbl.org",
    "paypal.com",
    "sectigo.com",
    "senderscore.com",
    "sophosxl.net",
    "sorbs.net",
    "spamcop.net",
    "spamhaus.net",
    "spamhaus.org",
    "surbl.org",
    "symantec.com",
    "trendmicro.com",
    "uribl.com",
    "webcfs00.com",
    "windows.net",
    "zvelo.com",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Name;

    #[test]
    fn every_zone_is_a_registrable_domain_and_is_found() {
        for zone in KEPT {
            assert_eq!(Name::parse(zone).unwrap().registrable_domain(), Some(*zone));
            assert!(is_kept(zone), "{zone} is out of order");
        }
        assert!(!is_kept("notmcafee.com") && !is_kept("com") && !is_kept(""));
    }
}
