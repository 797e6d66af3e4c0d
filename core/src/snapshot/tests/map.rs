//! The map itself: bytes a name, false matches, construction over many sizes.

use super::super::base::Base;
use super::super::fuse::mix;
use super::super::hash::Hasher;
use super::super::map::{Row, SetTable, group_of_name, last_two_labels};
use super::*;

/// Whether the long run was asked for.
fn is_long() -> bool {
    std::env::var_os("DNSVET_LONG").is_some()
}

fn text(number: u64) -> String {
    format!("n{:x}.example", mix(number))
}

/// A map of `size` names, its rows sorted by hash.
fn map_of(size: usize, seed: u8) -> (Base, Vec<u64>) {
    let hasher = Hasher::new(&[seed; 16]);
    let mut table = SetTable::default();
    let sets: Vec<u32> = (0..(size / 1_000).clamp(1, 300) as u16)
        .map(|part| table.number(&[Member::new(part, Scope::Suffix)]))
        .collect();
    let mut rows: Vec<Row> = (0..size as u64)
        .map(|number| {
            let text = text(number);
            // Most names of a list have one of a few sets.
            let set = sets[if number % 1_000 == 0 { number as usize / 1_000 % sets.len() } else { 0 }];
            Row { hash: hasher.whole(&text), set, group: group_of_name(&text) }
        })
        .collect();
    rows.sort_by_key(|row| row.hash);
    let hashes = rows.iter().map(|row| row.hash).collect();
    (Base::build(&[seed; 16], rows, table).unwrap(), hashes)
}

fn bytes_of(base: &mut Base) -> usize {
    base.encode().0.iter().map(Bytes::len).sum()
}

#[test]
fn a_name_takes_at_most_5_8_bytes_in_maps_of_any_size() {
    let sizes: &[usize] = if is_long() {
        &[10_000, 30_000, 65_000, 100_000, 300_000, 1_000_000, 3_000_000]
    } else {
        &[10_000, 100_000]
    };
    for &size in sizes {
        let (mut base, _) = map_of(size, 3);
        let each = bytes_of(&mut base) as f64 / size as f64;
        println!("{size} names: {each:.3} bytes a name");
        assert!(each <= 5.8, "{size} names: {each}");
    }
}

#[test]
fn maps_of_random_sizes_are_built_and_hold_their_names() {
    let rounds = if is_long() { 1_000 } else { 50 };
    for round in 0..rounds {
        // As many small as large ones, on a scale of powers.
        let power = mix(round) % 17;
        let size = (1usize << power) + mix(round ^ 77) as usize % (1 << power);
        let (base, hashes) = map_of(size, round as u8);
        let held = (0..size as u64).step_by(7).filter(|number| {
            let text = text(*number);
            base.says(&text, Hasher::new(&[round as u8; 16]).whole(&text))
        });
        assert_eq!(held.count(), size.div_ceil(7), "{size} names");
        assert!(hashes.is_sorted());
    }
}

#[test]
fn no_more_names_match_falsely_than_the_fingerprint_allows() {
    let probes: u64 = if is_long() { 100_000_000 } else { 2_000_000 };
    let (base, hashes) = map_of(100_000, 9);
    let mut matches = 0;
    for probe in 0..probes {
        let hash = mix(probe ^ (1 << 60));
        let suffix = if probe % 2 == 0 { "a.example" } else { "b.example" };
        matches += u64::from(base.says(suffix, hash) && hashes.binary_search(&hash).is_err());
    }
    // Expected: probes / 2^32, that is 0.02 in 100 M; more than one has a probability below 1 in 3,000.
    assert!(matches <= 1, "{matches} of {probes}");
}

#[test]
fn shards_are_even_over_names_with_many_endings() {
    let mut counts = [0u32; 16];
    for number in 0..160_000 {
        let text = format!("www.d{:x}.co{}.test", mix(number) >> 40, number % 40_000);
        let group = u64::from(group_of_name(&text).unwrap());
        counts[((group * 16) >> 32) as usize] += 1;
    }
    assert!(counts.iter().all(|count| (8_500..11_500).contains(count)), "{counts:?}");
    assert_eq!(last_two_labels("a.b.c.d"), Some("c.d"));
    assert_eq!(
        (last_two_labels("c.d"), last_two_labels("d"), last_two_labels("")),
        (Some("c.d"), None, None)
    );
}
