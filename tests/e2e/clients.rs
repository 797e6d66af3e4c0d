//! Real clients: dig, kdig and curl.

use std::process::Command;

use dnsvet_tests::names::Draw;
use dnsvet_tests::upstream::ADDRESS;
use xtask::shell;

use crate::line::rig;

fn run(program: &str, arguments: &[&str]) -> String {
    shell::output(Command::new(program).args(arguments)).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn dig_sees_a_block_with_soa_and_extended_error() {
    let (rig, listed) = rig();
    let port = rig.options.ports.dns.to_string();
    let name = Draw::new("dig").pick(listed).clone();
    for transport in ["+notcp", "+tcp"] {
        let text = run("dig", &["@127.0.0.1", "-p", &port, transport, &name]);
        assert!(text.contains("status: NXDOMAIN"), "{text}");
        assert!(text.contains("SOA"), "{text}");
        assert!(text.contains("EDE: 15 (Blocked)"), "{text}");
    }
    let without = run("dig", &["@127.0.0.1", "-p", &port, "+noedns", &name]);
    assert!(!without.contains("OPT PSEUDOSECTION") && without.contains("SOA"), "{without}");
}

#[test]
fn dig_gets_an_allowed_name() {
    let (rig, _) = rig();
    let port = rig.options.ports.dns.to_string();
    let name = Draw::new("dig allowed").plain_domain();
    rig.dnsvet(&["vet", &name, "benign"]);
    for transport in ["+notcp", "+tcp"] {
        let found =
            shell::output(Command::new("dig").args(["@127.0.0.1", "-p", &port, transport, "+short", &name]));
        assert_eq!(found.expect("dig").trim(), ADDRESS.to_string());
    }
}

#[test]
fn kdig_over_https_sees_a_block_at_both_doors() {
    let (rig, listed) = rig();
    let name = Draw::new("kdig").pick(listed).clone();
    for port in [rig.options.ports.doh, rig.options.ports.envoy] {
        let text = run("kdig", &["@127.0.0.1", "-p", &port.to_string(), "+https", "+edns", &name]);
        assert!(text.contains("status: NXDOMAIN"), "{text}");
        assert!(text.contains("SOA"), "{text}");
        let padded =
            text.contains("EDE") || text.contains("EXTENDED DNS ERROR") || text.contains("option 15");
        assert!(padded, "an extended error: {text}");
    }
}

#[test]
fn curl_resolves_through_both_doors_and_not_a_blocked_name() {
    let (rig, listed) = rig();
    let mut draw = Draw::new("curl");
    let (allowed, blocked) = (draw.plain_domain(), draw.pick(listed).clone());
    rig.dnsvet(&["vet", &allowed, "benign"]);
    for port in [rig.options.ports.doh, rig.options.ports.envoy] {
        let doh = format!("https://127.0.0.1:{port}/dns-query");
        let resolve = |name: &str| {
            let url = format!("http://{name}/");
            // The address is not served by anybody: what counts is how far curl gets.
            let mut curl = Command::new("curl");
            curl.args(["--silent", "--show-error", "--verbose", "--ipv4", "--connect-timeout", "1"]);
            let output = curl.args(["--doh-insecure", "--doh-url", &doh, &url]).output().expect("curl");
            (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
        };
        let (_, text) = resolve(&allowed);
        assert!(text.contains(&ADDRESS.to_string()), "{port}: {text}");
        // Which exit code curl gives for an NXDOMAIN over DoH differs between its releases.
        let (code, text) = resolve(&blocked);
        assert_ne!(code, Some(0), "{port}: {text}");
        assert!(text.contains("Bad RCODE") && !text.contains(&ADDRESS.to_string()), "{port}: {text}");
    }
}
