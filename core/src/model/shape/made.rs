//! Names as tunnels and exfiltration tools write them, by tool: shapes as their sources and reports on them show. For
//! tests and for the fit.
//!
//! ```text
//! payload (random, text, or headers with zeros) -> the tool's encoding -> its labels -> a zone of somebody's
//! ```

use crate::model::fitting::Dice;
use crate::name::Name;

/// What made names are put together of.
impl Dice {
    fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.roll(most - least + 1)
    }

    fn text(&mut self, alphabet: &[u8], many: usize) -> String {
        (0..many).map(|_| char::from(*self.pick(alphabet))).collect()
    }

    fn hex(&mut self, many: usize) -> String {
        self.text(b"0123456789abcdef", many)
    }
}

/// Tools whose names the points are fitted on.
pub(super) const FITTED: [&str; 18] = [
    "iodine base32",
    "iodine base64",
    "iodine base128",
    "iodine handshake",
    "dnscat2",
    "dns2tcp",
    "dnsexfiltrator base64",
    "dnsexfiltrator base32",
    "cobalt strike",
    "sliver base32",
    "ozymandns",
    "dnspot",
    "pyexfil",
    "merlin",
    "nstx",
    "pisloader",
    "udpos",
    "beacon",
];

/// Tools that no fit sees.
pub(super) const UNSEEN: [&str; 9] = [
    "sliver base58",
    "tuns",
    "heyoka",
    "dnsteal",
    "godoh",
    "sunburst",
    "multigrain",
    "dnspionage",
    "framework",
];

/// Their names carry nothing: what is fetched comes in the answers.
pub(super) const EMPTY: [&str; 2] = ["ozymandns down", "dnsstager"];

const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
const IODINE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz012345";
const SLIVER32: &[u8] = b"ab1c2d3e4f5g6h7j8k9m0npqrtuvwxyz";
const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Bytes in the digits of a base of `2^bits`, the last ones filled up with zeros.
fn encode(bytes: &[u8], bits: usize, alphabet: &[u8]) -> Vec<u8> {
    let (mut held, mut many, mut out) = (0usize, 0, Vec::new());
    for byte in bytes {
        held = held << 8 | usize::from(*byte);
        many += 8;
        while many >= bits {
            many -= bits;
            out.push(alphabet[held >> many & ((1 << bits) - 1)]);
        }
        held &= (1 << many) - 1;
    }
    if many > 0 {
        out.push(alphabet[held << (bits - many) & ((1 << bits) - 1)]);
    }
    out
}

fn hex(bytes: &[u8]) -> Vec<u8> {
    encode(bytes, 4, b"0123456789abcdef")
}

/// What is carried: mostly encrypted or packed, now and then text or headers.
fn payload(many: usize, dice: &mut Dice) -> Vec<u8> {
    const TEXT: &[u8] =
        b"root:x:0:0:root:/root:/bin/bash\nGET /index.php?id=1 HTTP/1.1\r\nHost: intranet\r\n\
        Name;Number;Expires\nMiller;4111111111111111;12/28\nuser=admin&password=Summer2026!\n";
    match dice.roll(10) {
        0 | 1 => {
            let at = dice.roll(TEXT.len());
            TEXT.iter().cycle().skip(at).take(many).copied().collect()
        }
        2 => (0..many).map(|at| if at % 4 < 2 { 0 } else { dice.roll(256) as u8 }).collect(),
        _ => (0..many).map(|_| dice.roll(256) as u8).collect(),
    }
}

/// A text of wire bytes, cut in labels of `size`; bytes that no name has in text are escaped.
fn labels(bytes: &[u8], size: usize) -> String {
    let label = |chunk: &[u8]| -> String {
        let escaped = |byte: &u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(*byte).to_string(),
            other => format!("\\{other:03}"),
        };
        chunk.iter().map(escaped).collect()
    };
    bytes.chunks(size).map(label).collect::<Vec<_>>().join(".")
}

/// The labels that a tool writes before its zone.
fn written(tool: &str, dice: &mut Dice) -> String {
    // Interactive sessions ask short names, transfers full ones.
    let many = |dice: &mut Dice, least: usize, most: usize| match dice.roll(3) {
        0 => dice.between(least, least + (most - least) / 4),
        1 => dice.between(least, most),
        _ => most,
    };
    let join = |parts: &[String]| parts.join(".");
    match tool {
        "iodine base32" | "iodine base64" | "iodine base128" => {
            let user = dice.hex(1);
            let header = dice.text(IODINE32, 4);
            let most = *dice.pick(&[60, 90, 120]);
            let size = many(dice, 12, most);
            let data = payload(size, dice);
            let base128: Vec<u8> =
                (b'a'..=b'z').chain(b'A'..=b'Z').chain(b'0'..=b'9').chain(0xbc..=0xfd).collect();
            let data = match tool {
                "iodine base32" => encode(&data, 5, IODINE32),
                "iodine base64" => {
                    encode(&data, 6, b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789+")
                }
                _ => encode(&data, 7, &base128),
            };
            labels(&[user.as_bytes(), header.as_bytes(), &data].concat(), 57)
        }
        "iodine handshake" => match dice.roll(5) {
            // Version, login, codec probe, fragment size probe, ping.
            0 => format!("vaaaakau{}", dice.text(IODINE32, 3)),
            1 => format!("l{}", dice.text(IODINE32, 32)),
            2 => format!("z{}aabbccddeeffgghhiijjkkllmmnnooppqqrrssttuuvvwwxxyyzz", dice.text(IODINE32, 3)),
            3 => labels(format!("r{}", dice.text(IODINE32, 180)).as_bytes(), 57),
            _ => format!("pa{}", dice.text(IODINE32, 6)),
        },
        "dnscat2" => {
            let size = many(dice, 9, 80);
            let mut packet: Vec<u8> = (0..2).map(|_| dice.roll(256) as u8).collect();
            packet.push(dice.roll(4) as u8);
            packet.extend(payload(size - 3, dice));
            labels(&hex(&packet), *dice.pick(&[60, 62, 63]))
        }
        "dns2tcp" => {
            let size = many(dice, 9, 120);
            let mut data =
                encode(&[dice.roll(256) as u8, dice.roll(256) as u8, 0, dice.roll(64) as u8], 6, BASE64URL);
            data.extend(encode(&payload(size, dice), 6, BASE64URL));
            labels(&data, 63)
        }
        "dnsexfiltrator base64" | "dnsexfiltrator base32" => {
            let size = many(dice, 30, 100);
            let chunk = dice.roll(2000).to_string();
            let data = payload(size, dice);
            let data = match tool {
                "dnsexfiltrator base64" => encode(&data, 6, BASE64URL),
                _ => encode(&data, 5, BASE32),
            };
            join(&[chunk, labels(&data, 63)])
        }
        "cobalt strike" => {
            let id = dice.hex(8);
            let nonce = format!("{}{}", dice.between(1, 9), dice.hex(7));
            match dice.roll(4) {
                0 => id,
                1 => join(&[dice.pick(&["www", "api", "cdn"]).to_string(), nonce, id]),
                2 => join(&[dice.pick(&["api", "cdn", "www6"]).to_string(), dice.hex(2), nonce, id]),
                _ => {
                    let parts = dice.between(1, 3);
                    let data: Vec<String> = (0..parts).map(|_| dice.hex(56)).collect();
                    let first = format!("{parts}{}", data.join("."));
                    join(&["post".to_owned(), first, nonce, id])
                }
            }
        }
        "sliver base32" | "sliver base58" => {
            let size = many(dice, 10, 120);
            let data = payload(size, dice);
            let data = match tool {
                "sliver base32" => encode(&data, 5, SLIVER32),
                _ => (0..data.len() * 137 / 100).map(|_| *dice.pick(BASE58)).collect(),
            };
            labels(&data, 63)
        }
        "ozymandns" => {
            let (seq, id) = (dice.roll(500) * 110, dice.roll(65_536));
            let size = many(dice, 20, 68);
            let data = labels(&encode(&payload(size, dice), 5, BASE32), 55);
            format!("{data}-{seq}.id-{id}.up")
        }
        "ozymandns down" => {
            format!("{}-{}.id-{}.down", dice.roll(100_000), dice.roll(500) * 110, dice.roll(65_536))
        }
        "dnsstager" => format!("cloud-srv-{}", dice.roll(300)),
        "dnspot" => {
            let size = many(dice, 50, 150);
            labels(dice.text(b"0123456789abcdefghijklmnopqrstuvwxyz", size).as_bytes(), 60)
        }
        "pyexfil" => {
            let size = many(dice, 8, 31);
            labels(&hex(&payload(size, dice)), 62)
        }
        "merlin" => {
            let agent = dice.hex(8);
            let seq = dice.roll(300).to_string();
            let size = many(dice, 15, 30);
            join(&[labels(&encode(&payload(size, dice), 5, BASE32), 48), seq, agent])
        }
        "nstx" => {
            let size = many(dice, 20, 110);
            labels(&encode(&payload(size, dice), 6, BASE64URL), 63)
        }
        "pisloader" => {
            let size = dice.between(12, 38);
            let data = [dice.text(BASE32, 4).into_bytes(), encode(&payload(size, dice), 5, BASE32)].concat();
            labels(&data, 63)
        }
        "udpos" => {
            let machine = dice.hex(15);
            let kind = dice.pick(&["bin", "info", "ping", "trp", "note"]).to_string();
            if kind == "ping" {
                return join(&[machine, kind]);
            }
            let size = dice.between(16, 60);
            join(&[machine, kind, labels(&hex(&payload(size, dice)), 62)])
        }
        "beacon" => match dice.roll(4) {
            0 => dice.hex(8),
            1 => dice.hex(12),
            2 => dice.hex(16),
            _ => join(&[dice.hex(8), dice.roll(1000).to_string()]),
        },
        "tuns" => {
            let size = many(dice, 20, 80);
            labels(&[b"d".as_slice(), &encode(&payload(size, dice), 5, BASE32), b"0"].concat(), 63)
        }
        "heyoka" => {
            let size = many(dice, 20, 100);
            labels(&encode(&payload(size, dice), 5, BASE32), 60)
        }
        "dnsteal" => {
            let data = payload(*dice.pick(&[42, 84, 126]), dice);
            let data = encode(&data, 6, BASE64);
            let parts: Vec<String> = data.chunks(56).map(|chunk| labels(chunk, 63) + "-").collect();
            let file = *dice.pick(&["passwd", "shadow", "id_rsa", "db.zip", "report.docx"]);
            format!("{}.{file}", parts.join("."))
        }
        "godoh" => {
            let (agent, seq, check) = (dice.hex(5), dice.roll(400), dice.hex(8));
            let lines = dice.between(1, 3);
            let data: Vec<String> = (0..3)
                .map(|at| if at < lines { labels(&hex(&payload(30, dice)), 60) } else { "0".to_owned() })
                .collect();
            format!("{agent}.{}.{seq:x}.{check}.1.{lines}.{}", dice.pick(&["be", "ef", "ca"]), data.join("."))
        }
        "sunburst" => {
            let size = dice.between(16, 32);
            let code = dice.text(b"0123456789abcdefghijklmnopqrstuvwxyz", size);
            let region = dice.pick(&["eu-west-1", "us-west-2", "us-east-1", "us-east-2"]);
            format!("{code}.appsync-api.{region}")
        }
        "multigrain" => {
            let size = dice.between(20, 90);
            format!("log.{}", labels(&encode(&payload(size, dice), 5, BASE32), 63))
        }
        "dnspionage" => {
            let size = dice.between(6, 30);
            format!("{}{}", dice.text(BASE58, 4), labels(&encode(&payload(size, dice), 5, BASE32), 59))
        }
        _ => {
            let size = dice.between(12, 28);
            join(&[
                dice.hex(10),
                dice.pick(&["alert", "log", "grabb", "trk"]).to_string(),
                labels(&hex(&payload(size, dice)), 60),
            ])
        }
    }
}

/// A zone that somebody registered: words or noise, under many suffixes, with or without labels before it.
fn zone(dice: &mut Dice) -> String {
    const WORDS: [&str; 32] = [
        "cloud", "data", "secure", "mail", "update", "system", "net", "web", "fast", "blue", "green",
        "house", "garden", "travel", "music", "office", "health", "north", "river", "market", "photo",
        "green", "micro", "soft", "global", "trade", "sky", "line", "host", "time", "fox", "stone",
    ];
    const SUFFIXES: [&str; 24] = [
        "com",
        "com",
        "com",
        "com",
        "net",
        "net",
        "org",
        "info",
        "xyz",
        "top",
        "site",
        "online",
        "io",
        "me",
        "cc",
        "ru",
        "de",
        "co.uk",
        "com.br",
        "pw",
        "tk",
        "club",
        "live",
        "duckdns.org",
    ];
    const BEFORE: [&str; 28] = [
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "t",
        "t1",
        "dns",
        "ns1",
        "tun",
        "x",
        "c2",
        "d.ns",
        "cdn",
        "static",
        "updates",
        "img.cdn",
        "api.eu",
        "mail-relay",
        "edge01.prod",
        "telemetry",
        "login.portal",
        "a.sync-service",
    ];
    let noise = dice.between(6, 14);
    let label = match dice.roll(5) {
        0 | 1 => format!("{}{}", dice.pick(&WORDS), dice.pick(&WORDS)),
        2 => format!("{}-{}", dice.pick(&WORDS), dice.pick(&WORDS)),
        3 => dice.text(b"abcdefghijklmnopqrstuvwxyz0123456789", noise),
        _ => format!("{}{}", dice.pick(&WORDS), dice.roll(1000)),
    };
    let before = *dice.pick(&BEFORE);
    let dot = if before.is_empty() { "" } else { "." };
    format!("{before}{dot}{label}.{}", dice.pick(&SUFFIXES))
}

/// Names of a tool, each under a zone of its own.
pub(super) fn made(tool: &str, many: usize, dice: &mut Dice) -> Vec<Name> {
    let mut names = Vec::with_capacity(many);
    while names.len() < many {
        let text = format!("{}.{}", written(tool, dice), zone(dice));
        // A tool that has no room for its data asks with less.
        if let Ok(name) = Name::parse(&text) {
            names.push(name);
        }
    }
    names
}
