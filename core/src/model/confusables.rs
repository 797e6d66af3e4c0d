//! Which characters are read as which plain letters and digits.
//!
//! Derived from Unicode's `confusables.txt` (UTS #39, version 18; Unicode License v3) and from canonical
//! decompositions: those letters and digits that a domain name may hold and that come down to one or two plain
//! ones. Right-to-left scripts are left out, because IDNA forbids to mix them with Latin. To these come
//! lower-case letters that fonts draw like small Latin capitals (Cyrillic ve and en), which UTS #39 compares as
//! capitals only, and a few that imitations use though UTS #39 stops short of a plain letter (beta and the soft
//! sign as b, ze as 3, shcha as w; Latin letters with hooks and tails that do not decompose).

use std::sync::LazyLock;

/// Letters of the Latin script with marks, by the plain letters that they are read as.
const ACCENTED: &[(&str, &str)] = &[
    ("a", "àáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ"),
    ("ae", "æǣǽ"),
    ("b", "ḃḅḇ"),
    ("c", "çćĉċčḉ"),
    ("d", "ðďđḋḍḏḑḓ"),
    ("e", "èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ"),
    ("f", "ḟ"),
    ("g", "ĝğġģǥǧǵḡ"),
    ("h", "ĥħȟḣḥḧḩḫẖ"),
    ("i", "ìíîïĩīĭįıǐȉȋḭḯỉị"),
    ("j", "ĵǰȷ"),
    ("k", "ķĸǩḱḳḵ"),
    ("l", "ĺļľłḷḹḻḽ"),
    ("m", "ḿṁṃ"),
    ("n", "ñńņňŋǹṅṇṉṋ"),
    ("o", "òóôõöøōŏőơǒǫǭǿȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ"),
    ("oe", "œ"),
    ("p", "þṕṗ"),
    ("r", "ŕŗřȑȓṙṛṝṟ"),
    ("s", "śŝşšșṡṣṥṧṩ"),
    ("ss", "ß"),
    ("t", "ţťŧțṫṭṯṱẗ"),
    ("u", "ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự"),
    ("v", "ṽṿ"),
    ("w", "ŵẁẃẅẇẉẘ"),
    ("x", "ẋẍ"),
    ("y", "ýÿŷȳẏẙỳỵỷỹ"),
    ("z", "źżžẑẓẕ"),
];

/// Letters and digits of any script, by the plain ones that they look like.
const LOOK_ALIKES: &[(&str, &str)] = &[
    ("2", "ƻᒿᘖꛯ"),
    ("3", "ǯȝɜʒзӟӡ३૩ᜂꣶ𑣊𖼻"),
    ("4", "Ꮞ𖺂"),
    ("6", "бᏮⳓꕃ𑣕"),
    ("7", "ᜪ𑣆𖺊"),
    ("8", "ȣ৪੪ꖉ𐌚𖧾"),
    ("9", "৭੧୨൭ⳋꝯ𑣌𑣖𖧁𞋲"),
    ("a", "ɐɑάαаӑӓᎪᗅᴀἀἁἂἃἄἅἆἇὰᾰᾱᾶꓮꭤ𐊠𖽀ⱥ"),
    ("aa", "ꜳ"),
    ("ae", "ӕ"),
    ("ao", "ꜵ"),
    ("au", "ꜷ"),
    ("av", "ꜹꜻ"),
    ("ay", "ꜽ"),
    ("b", "ƀƃƅɓʙβвъьѣҍᏏᏴᑲᑳᖯᗷꓐꕗꞵꟗ𐊂𐊡𐌁𐌜"),
    ("c", "ȼςсҫငၚᏟᴄⲥꓚ𐊢𐌂𐐽𐔛𑣩𑣲ɕ"),
    ("co", "ꭃꭄ"),
    ("d", "ƌɖɗԁժᎠᏧᑯᗞᗪᴅꓒꓓ𐆋"),
    ("dz", "ʣ"),
    ("e", "ǝɇɘəɛέεеѐёєҽҿӗᎬᴇἐἑἒἓἔἕὲⴹꓰꗋꬲ𐊆ⱸ"),
    ("f", "ƒʄքᖴᵮẝꓝꜰꞙꬵ𐊇𐊥𐔥𑣂ꝼ"),
    ("fn", "ʩ"),
    ("g", "ƍɠɡɢցᏀᏳᶃꓖ"),
    ("h", "ɦɧʜнћһհᎻᏂᏲᕼꓧꚕ𐋏ⱨ"),
    ("i", "ɨɩɪΐίιϊіїւᎥᵻᵼἰἱἲἳἴἵἶἷὶῐῑῒῖῗⲓꙇ𑣃"),
    ("j", "ɉɟϳјյᎫᒍᴊꓙʝ"),
    ("k", "ƙʞκкќқҟᏦᛕᴋⲕꓗ𐔘ⱪ"),
    ("l", "ƚǀɫɭʟӏ۱Ꮮᒪᛁᛅᛐⵊⵏꓡꓲꕯꞁꟾ꠰𐊊𐌉𐌠𐔎𐔦𑷚𑷡𖫤𖵣𖼖𖼨𝍷𞅁ɬ"),
    ("ll", "ǁ"),
    ("ls", "ʪ"),
    ("lz", "ʫ"),
    ("m", "мᎷᗰᛖᴍꓟ𐊰𐌑ɰ"),
    ("n", "ƞɲɳɴήηπпղոռᴎᵰἠἡἢἣἤἥἦἧὴῆꓠ𐔓𑪾"),
    ("o", "ɵʘθοσόϭоѳӧөӫօ۵०০੦૦ଠ୦௦౦೦ഠ൦๐໐ဝ၀ჿᄋᆼዐፀᎤᎾᏫ០ᩅ᪀᪐ᴏᴑὀὁὂὃὄὅὸⲑⲟⴱⵁⵔ〇ꓳꚢꝋꬽꬾ𐊒𐊫𐌏𐐬𐓪𐔖𐔞𑄤𑓐𑣈𑣗𑣠𑷠𖦛𖫩𖺀𞅀𞋰"),
    ("oo", "ᅇᇮꚙꝏ"),
    ("oy", "ѹ"),
    ("p", "ƥƿρϸрᏢᑭᴘᵽῤῥⲣⳏꓑ𐊕ᵱ"),
    ("q", "ɋʠԛգզⵕ"),
    ("r", "ɍɼɽʀгѓғᎡᏒᖇᴦᵲⲅꓣꭇꭈ𖨙𖼵ɾɹ"),
    ("rn", "ɱՠᵯꭑ𑜀𑣣"),
    ("s", "ƨƽʂѕടჽᏕᏚᵴꓢꕶꜱ𐊖𐑈𑣁𖫖𖼺"),
    ("t", "ƫƭτтᎢᎿᴛᵵㄒ丅ꓔꔋ𐊗𐊱𐌕𖼊𝍳ʈ"),
    ("tf", "ꝷ"),
    ("ts", "ʦ"),
    ("u", "ʋΰμυϋύцџսሀᏌᑌᴜᵾὐὑὒὓὔὕὖὗὺῠῡῢῦῧꓴꞟꭎꭒ𐓶𑣘𖽂ʉ"),
    ("ue", "ᵫ"),
    ("uo", "ꭣ"),
    ("v", "νѵѷ۷Ꮩᐯᴠⴸꓦꛟ𐔝𑜆𑣀𖼈𞅅ⱱⱴ"),
    ("w", "ɯωώшщѡѽԝաᎳᏔᴡὠὡὢὣὤὥὦὧὼῶⲽꓪꝡꟺ𑓅𑜊𑜎𑜏𑣦𑣯ⱳ"),
    ("x", "χхᕁᕽᚷᝣᳵⵝꓫ𐊐𐊴𐌗𐌢𐔧𑣬"),
    ("y", "ƴɏɣʏγуўүұӯӱӳყᎩᎽᶌỿⲩㄚ丫ꓬꚲꭚ𐊲𑣄𑣜𖽃"),
    ("z", "ƶȥʐᏃᴢᵶⱬⲍⴭꓜꛉ𐋵𐔇𑣥𑪼ʑ"),
];

/// How a character differs from what it is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The same letter with a mark.
    Accent,
    /// Another letter that looks alike.
    LookAlike,
}

static BY_CHARACTER: LazyLock<Vec<(char, &'static str, Kind)>> = LazyLock::new(|| {
    let tables = [(ACCENTED, Kind::Accent), (LOOK_ALIKES, Kind::LookAlike)];
    let rows = tables.into_iter().flat_map(|(table, kind)| table.iter().map(move |row| (row, kind)));
    let mut all: Vec<_> =
        rows.flat_map(|((plain, from), kind)| from.chars().map(move |from| (from, *plain, kind))).collect();
    all.sort_unstable_by_key(|(from, ..)| *from);
    all
});

/// What a character outside ASCII is read as. `None` for one that looks like no plain letter or digit.
pub(super) fn plain(character: char) -> Option<(&'static str, Kind)> {
    let at = BY_CHARACTER.binary_search_by_key(&character, |(from, ..)| *from).ok()?;
    BY_CHARACTER.get(at).map(|(_, plain, kind)| (*plain, *kind))
}

/// What a few characters are read as too, when their first reading makes no brand.
pub(super) fn second(character: char) -> Option<&'static str> {
    match character {
        'ß' => Some("b"),
        'ғ' => Some("f"),
        'υ' | 'ս' => Some("v"),
        'η' | 'ո' => Some("h"),
        _ => None,
    }
}

/// Whether a character is only a mark on the one before it.
pub(super) fn is_mark(character: char) -> bool {
    matches!(u32::from(character), 0x300..=0x36f | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_is_read_in_one_way_and_only_as_plain_letters_or_digits() {
        for pair in BY_CHARACTER.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{:?} twice", pair[0].0);
        }
        for (from, plain, _) in BY_CHARACTER.iter() {
            let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            assert!(!from.is_ascii() && plain.bytes().all(is_plain), "{from} as {plain}");
        }
    }

    #[test]
    fn well_known_look_alikes_are_known() {
        for (from, expected) in [
            ('а', ("a", Kind::LookAlike)),
            ('о', ("o", Kind::LookAlike)),
            ('ρ', ("p", Kind::LookAlike)),
            ('ӏ', ("l", Kind::LookAlike)),
            ('в', ("b", Kind::LookAlike)),
            ('é', ("e", Kind::Accent)),
            ('ø', ("o", Kind::Accent)),
            ('ı', ("i", Kind::Accent)),
            ('æ', ("ae", Kind::Accent)),
        ] {
            assert_eq!(plain(from), Some(expected), "{from}");
        }
        assert_eq!(plain('漢'), None);
    }
}
