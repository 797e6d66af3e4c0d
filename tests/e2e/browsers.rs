//! Firefox and Chromium in a network whose resolver is dnsvet: they stay with it where the group keeps its clients
//! here, and go elsewhere where it does not.
//!
//! Elsewhere is an Unbound with DoH that blocks nothing: what a browser asks it has got past dnsvet.

use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use dnsvet_tests::browser::{Firefox, Page, SecureDns, chromium};
use dnsvet_tests::names::Draw;
use dnsvet_tests::network::{self, ELSEWHERE, PUBLIC, WEB};
use dnsvet_tests::rig::{Plan, Rig, eventually};
use dnsvet_tests::upstream::Upstream;
use dnsvet_tests::web;
use serde_json::{Value, json};

/// Firefox turns its own resolver off if this name has no address.
const CANARY: &str = "use-application-dns.net";
/// A DoH resolver that no list knows: only the canary keeps Firefox from it.
const UNKNOWN_DOH: &str = "doh.elsewhere.example";
/// One that everybody knows.
const KNOWN_DOH: &str = "dns.google";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn browsers_stay_where_the_group_keeps_its_clients() {
    let test = "browsers::browsers_stay_where_the_group_keeps_its_clients";
    network::in_its_own(test, &["firefox-esr", "chromium"], || {
        let setting = Setting::new("browsers-stay", true);
        firefox_stays(&setting);
        chromium_stays(&setting);
    });
}

#[test]
fn browsers_go_elsewhere_where_the_group_does_not_keep_its_clients() {
    let test = "browsers::browsers_go_elsewhere_where_the_group_does_not_keep_its_clients";
    network::in_its_own(test, &["firefox-esr", "chromium"], || {
        let setting = Setting::new("browsers-go", false);
        firefox_goes(&setting);
        chromium_goes(&setting);
    });
}

#[test]
fn a_question_to_anybody_else_is_noted_and_arrives_nowhere() {
    let test = "browsers::a_question_to_anybody_else_is_noted_and_arrives_nowhere";
    network::in_its_own(test, &[], || {
        assert_eq!(network::sent_elsewhere(), Vec::<String>::new());
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        // Whether the refusal shows here or at the next call is the kernel's affair.
        let _ = socket.send_to(b"question", "192.0.2.1:53");
        let resolver = "192.0.2.2:443".parse().expect("an address");
        assert!(TcpStream::connect_timeout(&resolver, Duration::from_secs(5)).is_err());
        web::serve();
        assert!(TcpStream::connect((WEB, 80)).is_ok(), "what stays on this machine is not noted");
        let mut noted = network::sent_elsewhere();
        noted.sort_unstable();
        assert_eq!(noted, ["192.0.2.1 . udp . 53", "192.0.2.2 . tcp . 443"]);
    });
}

/// What the tests of this file have in common: dnsvet, a resolver elsewhere, and two names that lead to a page.
struct Setting {
    rig: Rig,
    elsewhere: Upstream,
    /// Allowed.
    page: String,
    /// Listed.
    listed: String,
}

impl Setting {
    fn new(name: &'static str, keep_clients_here: bool) -> Self {
        web::serve();
        let mut draw = Draw::new(name);
        let (page, listed) = (draw.plain_domain(), draw.plain_domain());
        let rig = Rig::start(Plan {
            blocked: vec![listed.clone()],
            group: format!("keep_clients_here = {keep_clients_here}"),
            models: "off",
            dns_port: Some(53),
            scorer: false,
            envoy: false,
            upstream: addresses(),
            ..Plan::new(name)
        });
        let elsewhere = Upstream::start(&rig.options.folder.join("elsewhere"), &doh_lines(&rig));
        let elsewhere = elsewhere.unwrap_or_else(|error| panic!("{error}"));
        Self { rig, elsewhere, page, listed }
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.rig.options.folder.join(name)
    }

    /// Events of a name, once there are any: door and action of each.
    fn events(&self, name: &str) -> Vec<(String, String)> {
        let (api, mut found) = (self.rig.api(), Vec::new());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let stored = || {
            let items = api.queries(&format!("name={name}"));
            let of_name = items.iter().filter(|item| item["name"] == name);
            found = of_name.map(|item| (text(&item["door"]), text(&item["verdict"]["action"]))).collect();
            !found.is_empty()
        };
        assert!(eventually(PATIENCE, stored).is_some(), "no event of {name}");
        found
    }

    /// Each question of a name came to this door and was answered so.
    fn assert_all(&self, name: &str, door: &str, action: &str) {
        for (came_to, answered) in self.events(name) {
            assert_eq!((came_to.as_str(), answered.as_str()), (door, action), "{name}");
        }
    }

    /// Nobody else was asked for any of these.
    fn assert_never_elsewhere(&self, names: &[&str]) {
        let asked = self.elsewhere.asked();
        assert!(names.iter().all(|name| !asked.contains_key(*name)), "{asked:?}");
        assert_eq!(network::sent_elsewhere(), Vec::<String>::new());
    }
}

/// The upstream's lines: where resolvers are, and other addresses for safe search than for search, since Firefox takes
/// equal ones for a filter and turns its own resolver off.
fn addresses() -> String {
    let safe = ["forcesafesearch.google.com", "restrict.youtube.com", "restrictmoderate.youtube.com"];
    let others = safe.map(|name| (name, "198.51.100.78".to_owned()));
    let resolvers = [UNKNOWN_DOH, KNOWN_DOH].map(|name| (name, ELSEWHERE.to_string()));
    let line = |(name, address): (&str, String)| {
        format!("  local-zone: \"{name}\" redirect\n  local-data: \"{name} 60 IN A {address}\"\n")
    };
    others.into_iter().chain(resolvers).map(line).collect()
}

/// The lines of the resolver elsewhere. Its certificate is that of dnsvet's door: the browsers are told to trust
/// it under any name. Firefox believes in a resolver that knows name servers of `example.com`.
fn doh_lines(rig: &Rig) -> String {
    let data = |name: &str| rig.data_dir().join(name).display().to_string();
    let public = PUBLIC.map(|address| format!("  interface: {address}@53\n")).concat();
    format!(
        "  interface: {ELSEWHERE}@443
{public}  https-port: 443
  tls-service-key: \"{key}\"
  tls-service-pem: \"{certificate}\"
  access-control: 0.0.0.0/0 allow
  local-zone: \"example.com\" redirect
  local-data: \"example.com 60 IN NS ns.example.com\"
",
        key = data("doh-key.pem"),
        certificate = data("doh-cert.pem"),
    )
}

/// What Firefox's look around the network came to.
struct Decision {
    firefox: Firefox,
    /// The mode in which it resolves names itself: 0 not at all, 2 before the system.
    mode: u64,
}

/// Starts a Firefox that may use the resolver elsewhere, as in the regions where Mozilla rolled that out, and waits
/// until it has looked at the network.
fn firefox_decides(setting: &Setting) -> Decision {
    // A region, so that Firefox need not ask for it.
    let mut firefox = Firefox::start(&setting.folder("firefox"), &[("doh-rollout.home-region", json!("US"))]);
    let certificate =
        std::fs::read_to_string(setting.rig.data_dir().join("doh-cert.pem")).expect("a certificate");
    let base64: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let roll_out = r#"
        const [certificate, resolver] = arguments;
        const parsed = Cc["@mozilla.org/security/x509certdb;1"]
            .getService(Ci.nsIX509CertDB).constructX509FromBase64(certificate);
        Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService)
            .rememberValidityOverride(resolver, 443, {}, parsed, true);
        const providers = JSON.stringify([{ uri: `https://${resolver}/dns-query` }]);
        Services.prefs.setStringPref("doh-rollout.provider-list", providers);
        Services.prefs.setBoolPref("doh-rollout.enabled", true);
    "#;
    firefox.script(roll_out, &json!([base64, UNKNOWN_DOH]));
    let mut state = Value::Null;
    let look = r#"
        return {
            mode: Services.prefs.getIntPref("doh-rollout.mode", -1),
            resolver: Services.prefs.getStringPref("doh-rollout.uri", ""),
            inForce: Services.dns.currentTrrMode,
            // 2: the resolver has answered.
            confirmed: Services.dns.currentTrrConfirmationState == 2,
        };
    "#;
    let decided = || {
        state = firefox.script(look, &json!([]));
        state["mode"] == 0 || (state["mode"] == 2 && state["confirmed"] == true)
    };
    assert!(eventually(PATIENCE, decided).is_some(), "Firefox does not decide: {state}");
    println!("firefox decided: {state}");
    assert_eq!(state["inForce"], state["mode"], "{state}");
    assert_eq!(state["resolver"], format!("https://{UNKNOWN_DOH}/dns-query"), "{state}");
    let mode = state["mode"].as_u64().unwrap_or_default();
    Decision { firefox, mode }
}

fn loaded(name: &str) -> Page {
    Page::Loaded(web::title(name))
}

#[track_caller]
fn assert_failed(page: &Page, with: &str) {
    assert!(matches!(page, Page::Failed(why) if why.contains(with)), "{page:?}");
}

/// Firefox believes the canary: it resolves nothing itself, and all that it asks comes here.
fn firefox_stays(setting: &Setting) {
    let Decision { mut firefox, mode } = firefox_decides(setting);
    assert_eq!(mode, 0, "Firefox resolves names itself");
    setting.assert_all(CANARY, "udp", "nxdomain");
    assert!(!setting.rig.upstream.asked().contains_key(CANARY));

    assert_eq!(firefox.open(&setting.page), loaded(&setting.page));
    assert_failed(&firefox.open(&setting.listed), "dnsNotFound");
    setting.assert_all(&setting.page, "udp", "allow");
    setting.assert_all(&setting.listed, "udp", "nxdomain");
    setting.assert_never_elsewhere(&[&setting.page, &setting.listed, CANARY]);
    assert_eq!(setting.elsewhere.asked().len(), 0, "{:?}", setting.elsewhere.asked());
}

/// Firefox finds the canary and resolves names itself: a listed one is there.
fn firefox_goes(setting: &Setting) {
    let Decision { mut firefox, mode } = firefox_decides(setting);
    assert_eq!(mode, 2, "Firefox resolves names itself, and by the system where it can't");
    setting.assert_all(CANARY, "udp", "allow");
    assert!(setting.rig.upstream.asked().contains_key(CANARY));

    for name in [&setting.page, &setting.listed] {
        assert_eq!(firefox.open(name), loaded(name));
        assert!(setting.elsewhere.asked().contains_key(name), "{:?}", setting.elsewhere.asked());
        assert!(!setting.rig.upstream.asked().contains_key(name));
    }
}

/// Chromium asks dnsvet by the system or by HTTPS, as it is told, and gets no other.
fn chromium_stays(setting: &Setting) {
    let trusted = setting.rig.data_dir().join("doh-cert.pem");
    let ours = format!("https://127.0.0.1:{}/dns-query", setting.rig.options.ports.doh);
    let ways = [("udp", SecureDns::Automatic), ("doh", SecureDns::Only(&ours))];
    for (door, dns) in ways {
        // Other names at each door, so that their events are told apart.
        let (page, listed) = (format!("{door}.{}", setting.page), format!("{door}.{}", setting.listed));
        let folder = setting.folder(&format!("chromium-{door}"));
        assert_eq!(chromium(&folder, dns, &trusted, &page), loaded(&page));
        assert_failed(&chromium(&folder, dns, &trusted, &listed), "ERR_NAME_NOT_RESOLVED");
        setting.assert_all(&page, door, "allow");
        setting.assert_all(&listed, door, "nxdomain");
        setting.assert_never_elsewhere(&[&page, &listed]);
    }
    // Told to use a resolver that everybody knows and no other, it has none.
    let known = format!("https://{KNOWN_DOH}/dns-query");
    let page = chromium(&setting.folder("chromium-known"), SecureDns::Only(&known), &trusted, &setting.page);
    assert_failed(&page, "ERR_NAME_NOT_RESOLVED");
    setting.assert_all(KNOWN_DOH, "udp", "nxdomain");
    // To explain a page that failed, Chromium asks public resolvers for this name, and for no other.
    let asked: Vec<String> = setting.elsewhere.asked().into_keys().collect();
    assert!(asked.iter().all(|name| name == "google.com"), "{asked:?}");
    assert_eq!(network::sent_elsewhere(), Vec::<String>::new());
}

/// Chromium gets to a resolver that everybody knows: a listed name is there.
fn chromium_goes(setting: &Setting) {
    let trusted = setting.rig.data_dir().join("doh-cert.pem");
    let known = format!("https://{KNOWN_DOH}/dns-query");
    // Another name than Firefox's.
    let listed = format!("chromium.{}", setting.listed);
    let page = chromium(&setting.folder("chromium"), SecureDns::Only(&known), &trusted, &listed);
    assert_eq!(page, loaded(&listed));
    setting.assert_all(KNOWN_DOH, "udp", "allow");
    assert!(setting.elsewhere.asked().contains_key(&listed));
    assert!(!setting.rig.upstream.asked().contains_key(&listed));
}
