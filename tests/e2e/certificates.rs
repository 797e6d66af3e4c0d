//! Clients that show certificates at the resolver's own door are in the groups of their names.

use std::fs;

use dnsvet_tests::client::{Client, Door};
use dnsvet_tests::rig::{Plan, Rig};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use xtask::workspace;

const GROUPS: &str = r#"
[[groups]]
name = "phone"
sans = ["phone.devices.example", "spiffe://devices.example/tablet"]
models = "off"
rules = ["||only-devices.example^"]
"#;

/// An authority, and who it signs for.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(parameters, key), pem }
    }

    /// A client with a certificate of these names.
    fn client(&self, rig: &Rig, names: &[SanType]) -> Client {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names = names.to_vec();
        let certificate = parameters.signed_by(&key, &self.issuer).expect("a certificate");
        let shown = (certificate.der().clone(), key.into());
        Client::showing(rig.options.ports, &rig.data_dir().join("doh-cert.pem"), Some(shown))
    }
}

#[test]
fn the_names_of_a_certificate_choose_the_group() {
    let (ours, strangers) = (Authority::new(), Authority::new());
    let file = workspace::target().join("tmp/certificates-ca.pem");
    fs::create_dir_all(file.parent().expect("a folder")).expect("a folder of ours");
    fs::write(&file, &ours.pem).expect("the file can be written");
    let keys = format!("client_ca = \"{}\"\n", file.display());
    let plan = Plan { keys, group: GROUPS.into(), scorer: false, envoy: false, ..Plan::new("certificates") };
    let rig = Rig::start(plan);
    let dns = |name: &str| SanType::DnsName(name.try_into().expect("a DNS name"));
    let uri = |name: &str| SanType::URI(name.try_into().expect("a URI"));
    let code = |client: &Client| client.ask(Door::Doh, "x.only-devices.example").rcode();
    assert_eq!(code(&rig.client()), Some(0), "without a certificate");
    for names in [
        vec![dns("phone.devices.example")],
        vec![uri("spiffe://devices.example/tablet")],
        vec![dns("other.devices.example"), uri("spiffe://devices.example/tablet")],
    ] {
        assert_eq!(code(&ours.client(&rig, &names)), Some(3), "{names:?}");
    }
    assert_eq!(code(&ours.client(&rig, &[dns("other.devices.example")])), Some(0), "nobody's name");
    let stranger = strangers.client(&rig, &[dns("phone.devices.example")]);
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| code(&stranger)));
    assert!(!matches!(refused, Ok(Some(_))), "a certificate that nobody known has signed: {refused:?}");
}
