//! Names that imitate, made by class: typing errors, homographs and combinations, as dnstwist and URLCrazy describe
//! them. For tests and for the fit; what the rule itself knows is left out of account.

use crate::model::fitting::Dice;

pub(super) const TYPOS: [&str; 12] = [
    "omission",
    "repetition",
    "transposition",
    "replacement",
    "insertion",
    "vowel",
    "bitsquatting",
    "hyphenation",
    "addition",
    "www",
    "suffix",
    "anykey",
];
const KEYS: [&str; 26] = [
    "qwsz", "vghn", "xdfv", "erfcxs", "wsdr34", "rtgvcd", "tyhbvf", "yujnbg", "uiok89", "uikmnh", "iolmj",
    "opk", "njk", "bhjm", "iplk90", "ol0", "wa12", "etdf45", "wedxza", "ryfg56", "yihj78", "cfgb", "qeas23",
    "zsdc", "tugh67", "asx",
];

/// A typing error of a class in a label; nothing where the label has no place for it.
pub(super) fn typing_error(class: &str, label: &str, dice: &mut Dice) -> Option<String> {
    let letters: Vec<char> = label.chars().collect();
    let at = dice.roll(letters.len());
    let mut typed = letters.clone();
    let key = |letter: char, dice: &mut Dice| {
        let near: Vec<char> = KEYS.get((letter as usize).checked_sub(97)?)?.chars().collect();
        Some(*dice.pick(&near))
    };
    let inner = at.clamp(1, letters.len() - 1);
    match class {
        "omission" => drop(typed.remove(at)),
        "repetition" => typed.insert(at, letters[at]),
        "transposition" => typed.swap(inner - 1, inner),
        "replacement" => typed[at] = key(letters[at], dice)?,
        "insertion" => {
            let put = key(letters[at], dice)?;
            typed.insert(at + dice.roll(2), put);
        }
        "vowel" => {
            let vowels = ['a', 'e', 'i', 'o', 'u'];
            let places: Vec<usize> = (0..letters.len()).filter(|&at| vowels.contains(&letters[at])).collect();
            (!places.is_empty()).then_some(())?;
            typed[*dice.pick(&places)] = *dice.pick(&vowels);
        }
        "bitsquatting" => {
            let flipped = letters[at] as u8 ^ (1 << dice.roll(7));
            (flipped.is_ascii_lowercase() || flipped.is_ascii_digit() || flipped == b'-').then_some(())?;
            typed[at] = flipped.into();
        }
        "hyphenation" => typed.insert(inner, '-'),
        "addition" => {
            typed.push(*dice.pick(&"abcdefghijklmnopqrstuvwxyz0123456789".chars().collect::<Vec<_>>()))
        }
        "www" => return Some(format!("www{}{label}", dice.pick(&["", "-"]))),
        "suffix" => return Some(format!("{label}{}com", dice.pick(&["", "-"]))),
        _ => typed[at] = *dice.pick(&"abcdefghijklmnopqrstuvwxyz".chars().collect::<Vec<_>>()),
    }
    let typed: String = typed.into_iter().collect();
    (typed != label && !typed.starts_with('-') && !typed.ends_with('-')).then_some(typed)
}

/// One to three letters of a label replaced by others that look like them, from the tables of `dnstwist`'s kind.
pub(super) fn homograph(class: &str, label: &str, dice: &mut Dice) -> Option<String> {
    let table: &[(&str, &str)] = match class {
        "cyrillic" => &[
            ("a", "а"),
            ("c", "с"),
            ("d", "ԁ"),
            ("e", "е"),
            ("h", "һ"),
            ("i", "і"),
            ("j", "ј"),
            ("l", "ӏ"),
            ("o", "о"),
            ("p", "р"),
            ("q", "ԛ"),
            ("s", "ѕ"),
            ("w", "ԝ"),
            ("x", "х"),
            ("y", "у"),
            ("g", "ց"),
            ("n", "ո"),
            ("u", "ս"),
            ("b", "Ь"),
            ("r", "г"),
            ("k", "к"),
            ("m", "м"),
            ("t", "т"),
            ("v", "ѵ"),
            ("e", "ё"),
            ("i", "ї"),
        ],
        "greek" => &[
            ("a", "α"),
            ("b", "β"),
            ("e", "ε"),
            ("i", "ι"),
            ("k", "κ"),
            ("n", "η"),
            ("o", "ο"),
            ("p", "ρ"),
            ("t", "τ"),
            ("u", "υ"),
            ("v", "ν"),
            ("w", "ω"),
            ("x", "χ"),
            ("y", "γ"),
            ("o", "σ"),
            ("i", "ί"),
            ("o", "ό"),
            ("a", "ά"),
        ],
        "marks" => &[
            ("a", "àáâãäåāăąạả"),
            ("c", "çćĉċč"),
            ("d", "ďđḍḏ"),
            ("e", "èéêëēĕėęěẹ"),
            ("g", "ĝğġģɡ"),
            ("h", "ĥħ"),
            ("i", "ìíîïĩīĭįıɪ"),
            ("j", "ĵʝ"),
            ("k", "ķĸƙ"),
            ("l", "ĺļľłɫ"),
            ("n", "ñńņňŋṇ"),
            ("o", "òóôõöøōŏőơọ"),
            ("r", "ŕŗř"),
            ("s", "śŝşšșß"),
            ("t", "ţťŧț"),
            ("u", "ùúûüũūŭůűų"),
            ("w", "ŵẁẃẅ"),
            ("y", "ýÿŷƴ"),
            ("z", "źżžʐ"),
            ("b", "ḃḅɓʙ"),
            ("m", "ṁṃɱ"),
            ("p", "ƿṗþ"),
            ("f", "ƒḟ"),
            ("v", "ṿⱱ"),
            ("x", "ẋẍ"),
        ],
        "ascii" => &[
            ("o", "0"),
            ("l", "1"),
            ("i", "1"),
            ("l", "i"),
            ("i", "l"),
            ("m", "rn"),
            ("w", "vv"),
            ("d", "cl"),
            ("e", "3"),
            ("s", "5"),
            ("g", "q"),
            ("a", "4"),
            ("m", "nn"),
            ("b", "d"),
            ("n", "m"),
            ("u", "v"),
            ("g", "9"),
            ("t", "7"),
            ("b", "8"),
            ("h", "lh"),
            ("q", "g"),
            ("k", "lc"),
            ("z", "2"),
        ],
        _ => return whole_script(label),
    };
    let mut found = label.to_owned();
    for _ in 0..=dice.roll(3) {
        let fitting: Vec<_> = table.iter().filter(|(from, _)| found.contains(from)).collect();
        if fitting.is_empty() {
            break;
        }
        let (from, to) = dice.pick(&fitting);
        let to = if class == "marks" {
            dice.pick(&to.chars().collect::<Vec<_>>()).to_string()
        } else {
            (*to).to_owned()
        };
        let places: Vec<_> = found.match_indices(from).map(|(at, _)| at).collect();
        let at = *dice.pick(&places);
        found.replace_range(at..at + from.len(), &to);
    }
    (found != label).then_some(found)
}

/// A label all in Cyrillic, where that has letters for it.
fn whole_script(label: &str) -> Option<String> {
    let table = [
        ('a', 'а'),
        ('c', 'с'),
        ('d', 'ԁ'),
        ('e', 'е'),
        ('h', 'һ'),
        ('i', 'і'),
        ('j', 'ј'),
        ('l', 'ӏ'),
        ('o', 'о'),
        ('p', 'р'),
        ('q', 'ԛ'),
        ('s', 'ѕ'),
        ('w', 'ԝ'),
        ('x', 'х'),
        ('y', 'у'),
        ('k', 'к'),
        ('m', 'м'),
        ('t', 'т'),
        ('b', 'ь'),
        ('r', 'г'),
        ('v', 'ѵ'),
        ('n', 'п'),
    ];
    label.chars().map(|from| Some(table.iter().find(|(plain, _)| *plain == from)?.1)).collect()
}

/// A brand beside a lure.
pub(super) fn combo(class: &str, label: &str, dice: &mut Dice) -> Option<String> {
    let lure = dice.pick(&[
        "login", "secure", "support", "verify", "account", "update", "security", "signin", "help", "service",
        "online", "billing", "pay", "confirm", "auth", "alert", "wallet", "recovery", "mail", "customer",
    ]);
    let hyphen = if class == "hyphenated" { "-" } else { "" };
    Some(if dice.roll(2) == 0 { format!("{label}{hyphen}{lure}") } else { format!("{lure}{hyphen}{label}") })
}
