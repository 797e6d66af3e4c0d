//! Signatures (RFC 8945), against messages that BIND's and Knot's tools made.

use super::*;
use crate::xfr::message::{Message, Question, Section, Writer, types};
use crate::xfr::tsig::{Chain, FUDGE_S, Stamp};

/// Sent by `dig -y hmac-sha256:...` for `rpz.example SOA`.
const DIG: &str = "aeeb012000010000000000020372707a076578616d706c65000006000100002904d000000000000c000a00087aa7\
    9629352924d9087472616e73666572076578616d706c650000fa00ff00000000003d0b686d61632d736861323536000000\
    6b078bea012c00201d16ae05181c0129dd53eb345a3ab2b9d98bba90604d9ce0fe83612398a62096aeeb00000000";
const DIG_TIME_S: u64 = 0x6b07_8bea;
/// Sent by `kdig -y hmac-sha512:...` for the same.
const KDIG: &str = "8c1e012000010000000000010372707a076578616d706c650000060001087472616e73666572076578616d706c650000\
    fa00ff00000000005d0b686d61632d7368613531320000006b078c7f012c004090ec794d275ca7ef366f9f4444598f6d\
    8cb6a874a256145af3febd858934302a29c96ac6970c1817c66f8367558addb2bce3deb6d5ca707b903bc688b8d7e413\
    8c1e00000000";
const KDIG_TIME_S: u64 = 0x6b07_8c7f;
const KEY_512: &str = "hmac-sha512:transfer.example:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn check(key: &Key, wire: &[u8], now_s: u64) -> Result<bool, TsigError> {
    Chain::request(key).check(wire, &Message::decode(wire).unwrap(), now_s)
}

fn at(time_s: u64) -> Stamp {
    Stamp { time_s, ..Stamp::default() }
}

#[test]
fn signatures_that_other_software_made_are_accepted() {
    assert_eq!(check(&key(KEY), &bytes(DIG), DIG_TIME_S), Ok(true));
    assert_eq!(check(&key(KEY_512), &bytes(KDIG), KDIG_TIME_S), Ok(true));
    // A proxy gave it another id: the original one stands in the signature (section 5.2).
    let mut renumbered = bytes(DIG);
    renumbered[0] ^= 1;
    assert_eq!(check(&key(KEY), &renumbered, DIG_TIME_S), Ok(true));
}

#[test]
fn a_message_is_signed_as_other_software_signs_it() {
    let original = bytes(DIG);
    let tsig_at = Message::decode(&original).unwrap().tsig.unwrap().at;
    let mut message = original[..tsig_at].to_vec();
    message[11] = 1;
    Chain::request(&key(KEY)).sign(&mut message, &at(DIG_TIME_S));
    assert_eq!(message, original);
}

#[test]
fn every_change_and_every_other_key_is_noticed() {
    let other = key("hmac-sha256:transfer.example:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY0");
    assert_eq!(check(&other, &bytes(DIG), DIG_TIME_S), Err(TsigError::BadMac));
    assert_eq!(check(&key(KEY_512), &bytes(DIG), DIG_TIME_S), Err(TsigError::OtherKey));
    let renamed = key(&KEY.replace("transfer", "transfers"));
    assert_eq!(check(&renamed, &bytes(DIG), DIG_TIME_S), Err(TsigError::OtherKey));
    for index in 2..bytes(DIG).len() {
        let mut changed = bytes(DIG);
        changed[index] ^= 1;
        if let Ok(message) = Message::decode(&changed) {
            let checked = Chain::request(&key(KEY)).check(&changed, &message, DIG_TIME_S);
            assert_ne!(checked, Ok(true), "byte {index}");
        }
    }
}

#[test]
fn signatures_hold_for_five_minutes_to_each_side() {
    let fudge = u64::from(FUDGE_S);
    for time_s in [DIG_TIME_S - fudge, DIG_TIME_S + fudge] {
        assert_eq!(check(&key(KEY), &bytes(DIG), time_s), Ok(true));
    }
    let late = check(&key(KEY), &bytes(DIG), DIG_TIME_S + fudge + 1);
    assert_eq!(late, Err(TsigError::Time { seconds: 301 }));
    let early = check(&key(KEY), &bytes(DIG), DIG_TIME_S - fudge - 1);
    assert_eq!(early, Err(TsigError::Time { seconds: 301 }));
}

fn message(id: u16) -> Vec<u8> {
    let question = Question::new(&wire("rpz.example"), types::AXFR);
    let mut writer = Writer::new(id, 0x8400, Some(&question), 4096);
    assert!(writer.push(Section::Answer, block("a").view()));
    writer.finish()
}

/// Checks a run of messages, of which those with their place in `signed` are signed.
fn checked_run(count: usize, signed: impl Fn(usize) -> bool) -> Result<bool, TsigError> {
    let key = key(KEY);
    let (mut ours, mut theirs) = (Chain::response(&key, b"mac"), Chain::response(&key, b"mac"));
    let mut last = Ok(false);
    for index in 0..count {
        let mut wire = message(index as u16);
        match signed(index) {
            true => drop(theirs.sign(&mut wire, &at(1000))),
            false => theirs.pass(&wire),
        }
        last = Ok(ours.check(&wire, &Message::decode(&wire).unwrap(), 1000)?);
    }
    last
}

#[test]
fn up_to_99_messages_in_a_row_may_come_unsigned() {
    assert_eq!(checked_run(5, |_| true), Ok(true));
    assert_eq!(checked_run(101, |index| index % 100 == 0), Ok(true));
    assert_eq!(checked_run(201, |index| index % 100 == 0), Ok(true), "they are counted anew");
    assert_eq!(checked_run(100, |index| index == 0), Ok(false), "the last is not covered yet");
    assert_eq!(checked_run(102, |index| index == 0 || index == 101), Err(TsigError::TooManyUnsigned));
    assert_eq!(checked_run(2, |index| index == 1), Err(TsigError::Unsigned), "the first must be signed");
}

#[test]
fn messages_of_a_run_can_not_be_left_out_swapped_or_changed() {
    let key = key(KEY);
    let mut theirs = Chain::response(&key, b"mac");
    let run: Vec<Vec<u8>> = (0..4)
        .map(|index| {
            let mut wire = message(index);
            match index {
                1 => theirs.pass(&wire),
                _ => drop(theirs.sign(&mut wire, &at(1000))),
            }
            wire
        })
        .collect();
    let checked = |order: &[usize]| {
        let mut ours = Chain::response(&key, b"mac");
        let mut check =
            |index: &usize| ours.check(&run[*index], &Message::decode(&run[*index]).unwrap(), 1000).map(drop);
        order.iter().try_for_each(&mut check)
    };
    assert_eq!(checked(&[0, 1, 2, 3]), Ok(()));
    for wrong in [&[0, 2][..], &[0, 1, 3], &[0, 1, 1, 2], &[2], &[0, 3]] {
        assert_eq!(checked(wrong), Err(TsigError::BadMac), "{wrong:?}");
    }
    let mut ours = Chain::response(&key, b"another request's");
    let first = Message::decode(&run[0]).unwrap();
    assert_eq!(ours.check(&run[0], &first, 1000), Err(TsigError::BadMac));
}

#[test]
fn what_the_other_side_says_of_our_signature_is_passed_on() {
    let key = key(KEY);
    let checked = |stamp: Stamp, now_s| {
        let mut wire = message(1);
        Chain::response(&key, b"mac").sign(&mut wire, &stamp);
        Chain::response(&key, b"mac").check(&wire, &Message::decode(&wire).unwrap(), now_s)
    };
    let other = 5000u64.to_be_bytes()[2..].to_vec();
    let badtime = checked(Stamp { time_s: 1000, error: 18, other }, 1000);
    assert_eq!(badtime, Err(TsigError::RefusedTime { seconds: 4000 }));
    let error = |error| Stamp { time_s: 1000, error, other: Vec::new() };
    assert_eq!(checked(error(16), 1000), Err(TsigError::RefusedSignature));
    assert_eq!(checked(error(17), 1000), Err(TsigError::RefusedKey));
    assert_eq!(checked(error(22), 1000), Err(TsigError::RefusedOther(22)));
}

#[test]
fn a_signature_that_is_cut_short_is_refused() {
    let key = key(KEY);
    let mut wire = message(1);
    Chain::request(&key).sign(&mut wire, &at(1000));
    let mut message = Message::decode(&wire).unwrap();
    message.tsig.as_mut().unwrap().mac.truncate(16);
    assert_eq!(Chain::request(&key).check(&wire, &message, 1000), Err(TsigError::Truncated));
}

#[test]
fn keys_are_read_as_dig_takes_them_and_never_shown() {
    let parsed = key("HMAC-SHA512:Transfer.Example.:MDEyMzQ1Njc4OWFiY2RlZg==");
    assert_eq!(format!("{parsed:?}"), "Key(hmac-sha512 transfer.example)");
    let refused = |text: &str| text.parse::<Key>().unwrap_err();
    assert_eq!(refused("transfer.example:MDEy"), KeyError::Form);
    for weak in ["hmac-md5", "hmac-sha1", "hmac-sha256-128", "sha256"] {
        let error = refused(&format!("{weak}:k:MDEyMzQ1Njc4OWFiY2RlZg=="));
        assert_eq!(error, KeyError::Algorithm(weak.to_owned()));
    }
    assert_eq!(refused("hmac-sha256:k:not base64"), KeyError::Base64);
    assert_eq!(refused("hmac-sha256:k:MDEy"), KeyError::Short(3));
    assert!(matches!(refused("hmac-sha256:a..b:MDEyMzQ1Njc4OWFiY2RlZg=="), KeyError::Name(_)));
}
