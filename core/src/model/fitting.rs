//! What fits and judgements of rules share: numbers that are the same on every run, and the training data.

use std::io::Read;
use std::path::PathBuf;

/// A small generator of numbers, the same on every run.
pub(in crate::model) struct Dice(pub(in crate::model) u64);

impl Dice {
    pub(in crate::model) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }

    pub(in crate::model) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.roll(all.len())]
    }
}

/// The training data: in `TEST_DATA`, else beside the repository.
pub(in crate::model) fn data(file: &str) -> Option<Vec<u8>> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os("TEST_DATA").map_or(beside, PathBuf::from);
    let mut bytes = Vec::new();
    let read = std::fs::File::open(folder.join(file))
        .and_then(|opened| flate2::read::GzDecoder::new(opened).read_to_end(&mut bytes));
    match read {
        Ok(_) => Some(bytes),
        Err(error) => {
            println!("skipped: {file} can't be read ({error}); set TEST_DATA");
            None
        }
    }
}
