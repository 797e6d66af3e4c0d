//! Snapshots and models to start from: small, and with something of every kind in them.

use std::sync::LazyLock;

use bytes::Bytes;
use dnsvet_core::lists::{Format, collect};
use dnsvet_core::model::bag::DIMENSIONS;
use dnsvet_core::model::stack::SUFFIX_BITS;
use dnsvet_core::model::tokenizer::ALPHABET;
use dnsvet_core::model::{
    Bag, BagWeights, BankWeights, Brands, Calibration, Member, Model, Network, Reading, Seed, Spec, Stack,
    StackWeights, SuffixWeights, Table, TableWeights, Thresholds,
};
use dnsvet_core::name::Name;
use dnsvet_core::policy::Policy;
use dnsvet_core::snapshot::{Builder, Decision, Role, Vetted};
use ed25519_dalek::SigningKey;

/// The snapshot of the first release that core keeps.
pub fn golden() -> &'static [u8] {
    include_bytes!("../../../core/tests/golden/2.0.dvs")
}

/// The list of [`snapshot`]: an effect, a condition and a trigger of every kind.
const RULES: &str = "\
||ads.example^
@@||good.ads.example^
||track.example^$important
||typed.example^$dnstype=AAAA
||client.example^$client=10.0.0.1
||wide.example^$denyallow=fine.wide.example
|own.example^$dnsrewrite=192.0.2.1
|safe.example^$dnsrewrite=NOERROR;CNAME;other.example
|text.example^$dnsrewrite=NOERROR;TXT;hello
|gone.example^$dnsrewrite=REFUSED
/^ad[0-9]+\\.pattern/
";
const ZONE: &str = "\
drop.example CNAME rpz-drop.
tcp.example CNAME rpz-tcp-only.
*.below.example CNAME *.
24.0.2.0.192.rpz-ip CNAME .
32.9.0.0.10.rpz-client-ip CNAME rpz-passthru.
";
const POLICY: &str = r#"{"groups":[{"name":"kids","clients":["10.1.0.0/16"],"path_ids":["0123456789abcdefghijkl"],
"models":"enforce","block_action":"null","schedules":[{"name":"game.example","from_minute":60,"to_minute":30,
"days":["mon"],"offsets":[[0,60]]}],"nodata_types":["HTTPS"],"refused_types":["ANY"]},{"name":"default"}],
"local_zones":["lan.example"],"unblocks":[{"name":"free.ads.example","group":"","until_ms":9000000000000}],
"pauses":[{"group":"none","until_ms":1}],"clients":[{"name":"tv","nets":["10.0.0.7/32"]}],
"designated":[{"name":"dns.example","protocols":["h2","dot"],"doh_path":"/dns-query{?dns}","addresses":["192.0.2.53"]}]}"#;

/// A snapshot with lists, rules, patterns, an overlay, decisions, popular names, brands, a model and a policy.
pub fn snapshot() -> Bytes {
    static MADE: LazyLock<Bytes> = LazyLock::new(|| served(5, None));
    MADE.clone()
}

/// The same under another serial, with one name more; signed, if there is a key.
pub fn served(serial: u64, key: Option<&SigningKey>) -> Bytes {
    let mut builder = Builder::new(serial, *b"fixture key seed");
    for (name, role) in
        [("ads", Role::Block), ("ours", Role::Allow), ("court", Role::Mandatory), ("top", Role::Popular)]
    {
        let list = builder.list(name, role, "CC0-1.0");
        for label in ["one", "two", "popular"] {
            let added = Name::parse(&format!("{label}.{name}.example")).unwrap_or_default();
            builder.add(list, &added, dnsvet_core::lists::Scope::Suffix);
        }
    }
    for (text, format) in [(RULES, Format::Adblock), (ZONE, Format::Rpz)] {
        for entry in collect(text.as_bytes(), format).0 {
            assert!(builder.add_rule(0, &entry.rule).is_ok());
        }
    }
    let author = "a person".to_owned();
    let decided = Vetted {
        name: "vetted.example".into(),
        decision: Decision::Honeypot,
        exact: false,
        author,
        time_ms: 5,
    };
    let brands = Brands::from_popular(["google.com", "paypal.com", "example.com"]);
    builder.vet(decided).brands(brands.encode()).small_model(model().encode());
    builder.policy(serde_json::from_str::<Policy>(POLICY).unwrap_or_default());
    builder.times(1, 0).build(None).unwrap_or_default();
    // Into the overlay.
    let later = Name::parse(&format!("later{serial}.example")).unwrap_or_default();
    builder.add(0, &later, dnsvet_core::lists::Scope::Exact);
    builder.build(key).unwrap_or_default().into()
}

fn spec() -> Spec {
    Spec {
        name: "fixture".into(),
        calibration: Calibration { slope: 1.0, intercept: 0.0, balance: 0.5 },
        prior: 0.01,
        thresholds: Thresholds { allow_below: 0.1, block_above: 0.9 },
    }
}

/// Weights that are not all the same.
fn weights(count: usize) -> Vec<f32> {
    (0..count).map(|number| (number % 7) as f32 * 0.25 - 0.5).collect()
}

/// The smallest table CNN that there may be.
pub fn model() -> Model {
    let bank = BankWeights { width: 1, bias: weights(16), table: weights(ALPHABET * 16) };
    let weights = TableWeights {
        banks: vec![bank],
        hidden: weights(32 * 16),
        hidden_bias: weights(16),
        output: weights(16),
        output_bias: 0.5,
    };
    let table = Table::new(weights).map(|table| Network::Table(Box::new(table)));
    table.and_then(|network| Model::new(spec(), network)).unwrap_or_else(|error| panic!("{error}"))
}

/// The smallest stack with a member of each kind.
pub fn stack_model() -> Model {
    let Network::Table(table) = model().network().clone() else { unreachable!("it is a table") };
    let bag = Bag::new(BagWeights {
        reading: Reading::Labels,
        bits: 1,
        rows: vec![[3; DIMENSIONS], [-7; DIMENSIONS]],
        scale: [0.25; DIMENSIONS],
        hidden: vec![[0.5; DIMENSIONS]],
        hidden_bias: vec![0.5],
        output: vec![-1.0],
        output_bias: 0.25,
    });
    let bag = bag.unwrap_or_else(|error| panic!("{error}"));
    let stack = Stack::new(StackWeights {
        members: vec![(0.5, Member::Table(table)), (0.5, Member::Bag(Box::new(bag)))],
        suffix: SuffixWeights {
            bound: 1.0,
            terms: weights(1 << SUFFIX_BITS),
            bits: 1,
            rows: vec![5, -9],
            scale: 0.25,
        },
        bias: 0.25,
    });
    let model = stack.and_then(|stack| Model::new(spec(), Network::Stack(Box::new(stack))));
    model.unwrap_or_else(|error| panic!("{error}"))
}

/// A model of the seed's network.
pub fn seed_model() -> Model {
    let count = dnsvet_core::model::seed::PARAMETERS;
    let seed = Seed::from_weights(&weights(count)).map(|seed| Network::Seed(Box::new(seed)));
    seed.and_then(|network| Model::new(spec(), network)).unwrap_or_else(|error| panic!("{error}"))
}
