//! What it takes to build a large snapshot. `DNSVET_LONG=1` builds one of ten million names.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use dnsvet_core::lists::Scope;
use dnsvet_core::name::Name;
use dnsvet_core::snapshot::{Builder, Role, Snapshot};

const MIB: u64 = 1 << 20;

/// The most memory that this process has had at once, bytes; `None` where the system does not say.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

fn name(number: u64) -> Name {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    Name::parse(&format!("{mixed:x}.n{number}.test")).unwrap()
}

#[test]
fn a_large_snapshot_is_built_in_bounded_memory_and_changed_without_building_it_again() {
    let long = std::env::var_os("DNSVET_LONG").is_some();
    let (names, most) = if long { (10_000_000, 2_048 * MIB) } else { (400_000, 64 * MIB) };
    let mut builder = Builder::new(1, [3; 16]);
    let lists: Vec<u16> = ["a", "b", "ours"].map(|list| builder.list(list, Role::Block, "")).into();
    for number in 0..names {
        builder.add(lists[usize::from(number % 4 == 0)], &name(number), Scope::Suffix);
    }
    let start = Instant::now();
    let file = builder.build(None).unwrap();
    let compiled = start.elapsed();
    let peak = peak_bytes();
    let before = Snapshot::open(file.into(), &[]).unwrap();
    for number in names..names + 100 {
        builder.add(lists[2], &name(number), Scope::Suffix);
    }
    let start = Instant::now();
    let file = builder.serial(2).build(None).unwrap();
    let changed = start.elapsed();
    let after = Snapshot::open(file.into(), &[]).unwrap();
    println!("{names} names: built in {compiled:?}, {peak:?} bytes at most; 100 more in {changed:?}");
    assert_eq!((before.name_count(), after.name_count()), (names, names + 100));
    assert!([0, 5, names - 1].iter().all(|number| after.is_listed(&name(*number))));
    assert!(after.update_bytes(&before) < 16 * 1_024, "{}", after.update_bytes(&before));
    assert!(changed < compiled, "{changed:?} of {compiled:?}");
    if let Some(peak) = peak {
        assert!(peak <= most, "{} MiB", peak / MIB);
    }
}
