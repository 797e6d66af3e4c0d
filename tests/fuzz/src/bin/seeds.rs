//! Writes what fuzzing starts from: `dnsvet-fuzz-seeds FOLDER` makes `FOLDER/TARGET/…` of the tests' own data.

use std::collections::BTreeMap;
use std::path::Path;

use dnsvet_core::lists::Format;
use dnsvet_core::model::Brands;
use dnsvet_fuzz::{fixtures, forge};

/// Cases of lists in each format: a text, a tab, what is read of it.
const CASES: [(Format, &str); 8] = [
    (Format::Plain, include_str!("../../../../core/tests/formats/plain.tsv")),
    (Format::Hosts, include_str!("../../../../core/tests/formats/hosts.tsv")),
    (Format::Adblock, include_str!("../../../../core/tests/formats/adblock.tsv")),
    (Format::Wildcard, include_str!("../../../../core/tests/formats/wildcard.tsv")),
    (Format::Dnsmasq, include_str!("../../../../core/tests/formats/dnsmasq.tsv")),
    (Format::Unbound, include_str!("../../../../core/tests/formats/unbound.tsv")),
    (Format::Regex, include_str!("../../../../core/tests/formats/regex.tsv")),
    (Format::Rpz, include_str!("../../../../core/tests/formats/rpz.tsv")),
];

type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: dnsvet-fuzz-seeds FOLDER");
        std::process::exit(2);
    };
    let mut seeds = Seeds::new();
    lists(&mut seeds);
    messages(&mut seeds);
    snapshots(&mut seeds);
    for (target, inputs) in seeds {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for input in inputs {
            std::fs::write(folder.join(&blake3::hash(&input).to_hex()[..16]), input)?;
        }
    }
    Ok(())
}

fn lists(seeds: &mut Seeds) {
    for (number, (_, cases)) in (0u8..).zip(CASES) {
        let texts = cases.lines().filter(|line| !line.starts_with('#'));
        let texts = texts.filter_map(|line| line.split('\t').next());
        let texts: Vec<String> = texts.map(unmarked).collect();
        for some in texts.chunks(4) {
            let input = [&[number], some.join("\n").as_bytes()].concat();
            seeds.entry("lists").or_default().push(input.clone());
            seeds.entry("compile").or_default().push(input);
        }
        seeds.entry("name").or_default().extend(texts.into_iter().take(20).map(String::into_bytes));
    }
}

/// A text of the cases without the marks of what can't be seen there.
fn unmarked(text: &str) -> String {
    text.replace('⏎', "\n").replace('⇥', "\t").replace('␍', "\r").replace('␣', " ")
}

fn question(name: &[u8], qtype: u8, options: Option<&[u8]>) -> Vec<u8> {
    let mut wire = vec![0, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(options.is_some())];
    wire.extend(name);
    wire.extend([0, qtype, 0, 1]);
    if let Some(options) = options {
        wire.extend([0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, options.len() as u8]);
        wire.extend(options);
    }
    wire
}

fn messages(seeds: &mut Seeds) {
    let padding: &[u8] = &[0, 12, 0, 2, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0, 0, 10, 0, 1, 5];
    let queries = [
        question(b"\x03WwW\x07example\x00", 1, None),
        question(b"\x03ads\x07example\x00", 28, Some(&[])),
        question(b"\x04safe\x07example\x00", 65, Some(padding)),
        question(b"\x03one\x05court\x07example\x00", 255, Some(padding)),
        question(b"\x04text\x07example\x00", 16, None),
        question(b"\x03tcp\x07example\x00", 1, None),
        question(b"\x00", 2, None),
        question(b"\x06g00gle\x03com\x00", 1, None),
    ];
    let answers = [
        // An alias in compressed names, an address; a service with hints; a negative answer with EDNS.
        b"\x00\x09\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00\x04safe\x07example\x00\x00\x01\x00\x01\
\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x05\x02vs\xc0\x11\xc0\x2a\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x04\xc0\x00\x02\x07"
            .to_vec(),
        b"\x00\x09\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x04safe\x07example\x00\x00\x41\x00\x01\
\xc0\x0c\x00\x41\x00\x01\x00\x00\x00\x3c\x00\x22\x00\x01\x00\x00\x01\x00\x03\x02h3\x00\x04\x00\x04\x0a\x00\x00\x01\x00\x06\x00\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
            .to_vec(),
        b"\x00\x09\x81\x83\x00\x01\x00\x00\x00\x01\x00\x01\x04safe\x07example\x00\x00\x01\x00\x01\
\xc0\x11\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x18\x01a\xc0\x11\x01b\xc0\x11\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x03\x00\x00\x00\x04\x00\x00\x00\x05\
\x00\x00\x29\x04\xd0\x01\x00\x00\x00\x00\x00"
            .to_vec(),
    ];
    let score = br#"{"model":"m@1","device":"cpu","results":[{"name":"www.example","score":0.9,"p":0.99}]}"#;
    let sized = |bytes: &[u8]| [&(bytes.len() as u16).to_le_bytes(), bytes].concat();
    for (number, query) in (0u8..).zip(&queries) {
        let more = |bytes: u16| [&bytes.to_le_bytes(), query.as_slice()].concat();
        seeds.entry("query").or_default().extend([0, 8, 470, 1_190].map(more));
        let answer = &answers[usize::from(number) % answers.len()];
        let asked = [vec![number * 9], sized(query), sized(answer), sized(score)].concat();
        seeds.entry("filter").or_default().extend([asked.clone(), [asked.clone(), asked].concat()]);
    }
    seeds.entry("answer").or_default().extend(answers);
    let names = seeds.entry("name").or_default();
    names.extend(
        ["www.example.com.", "bücher.example", "a\\046b.example", "_dns.resolver.arpa"].map(Vec::from),
    );
    names.push(b"\x03WwW\x07example\x00".to_vec());
    let requests = [
        "GET\n/dns-query?dns=AAEC\n\nBearer 0123456789abcdefghijkl\nbytes=0-65535\n\"0123456789abcdef\"",
        "GET\n/dns-query/0123456789abcdefghijkl?x=1&dns=AAE=\n\n\nbytes=900-\nW/\"a\", \"0123456789abcdef\"",
        "POST\n/dns-query\nApplication/DNS-message; q=1\nbasic x\nbytes=-5\n*",
    ];
    seeds.entry("http").or_default().extend(requests.map(Vec::from));
}

fn snapshots(seeds: &mut Seeds) {
    let made = fixtures::snapshot();
    for file in [fixtures::golden(), &made] {
        seeds.entry("snapshot").or_default().push(file.to_vec());
        let Some(forged) = forge::read(file) else { continue };
        seeds.entry("sections").or_default().push(forged.join());
        let policy = forged.sections.iter().filter(|section| section.code == forge::POLICY);
        seeds.entry("policy").or_default().extend(policy.flat_map(|section| section.pieces.clone()));
        // The feed: true answers, then one that is forged.
        let join = forged.join();
        let mut script = vec![1, 0x40, 0x46];
        script.extend((join.len() as u16).to_le_bytes());
        script.extend(join);
        seeds.entry("feed").or_default().push(script);
    }
    let feed = seeds.entry("feed").or_default();
    feed.extend(
        (0..8u8).map(|what| vec![0, 0x40, 0x60 | what, 3, 0, 1, 0, 9, 0x60, 0x60 | what, 9, 0, 5, 0xc0]),
    );
    feed.push(b"\x02\x40\x07\x01\x03\x00\"x\"\x0c\x00bytes 0-9/99\x04\x00abcd\x40\xc0".to_vec());
    let brands = Brands::from_popular(["google.com", "paypal.com", "paypai.org", "bbc.co.uk"]).encode();
    seeds.entry("brands").or_default().extend([brands, b"google.com\npaypal.com\ng00gle.net\n".to_vec()]);
    for artifact in
        [fixtures::model(), fixtures::seed_model(), fixtures::stack_model()].map(|model| model.encode())
    {
        let body = artifact.len() - 32;
        seeds.entry("model").or_default().push(artifact[..body].to_vec());
    }
}
