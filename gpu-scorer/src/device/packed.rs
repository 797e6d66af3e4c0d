//! Names as the kernels take them, and how many one launch takes.

use dnsvet_core::model::features::{MAX_FEATURES, crossed};
use dnsvet_core::model::{Parts, Reading, features, stack, tokenizer};

/// Bytes of a name that seed.cu reads.
const SEED_BYTES: usize = 256;

/// What a model reads of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// Its first 256 bytes.
    Bytes,
    /// Its scored text.
    Text,
    /// Its content's text; the content's features of each reading; its suffix, by itself and on what stands before.
    Parts(Vec<Reading>),
}

impl Reads {
    /// Lists of features that a name has: those crossed with its suffix, then one for each reading.
    pub fn lists(&self) -> usize {
        match self {
            Self::Bytes | Self::Text => 0,
            Self::Parts(readings) => 1 + readings.len(),
        }
    }

    /// What a launch takes. Of parts fewer names, because each brings up to 2 KiB of features a list: 8,388,608
    /// features are 512 a name, where names of usual length have 300 in all.
    pub fn limits(&self) -> Limits {
        match self {
            Self::Bytes | Self::Text => Limits { names: 1 << 16, text_bytes: 1 << 21, features: 0 },
            Self::Parts(_) => Limits { names: 1 << 14, text_bytes: 1 << 20, features: 1 << 23 },
        }
    }
}

/// The most of each that a launch takes; a fuller batch is cut into several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names.
    pub names: usize,
    /// Bytes of all their texts; at least those of one name.
    pub text_bytes: usize,
    /// Features in all their lists; at least those of one name: 512 a list.
    pub features: usize,
}

impl Limits {
    /// Words of a packed batch that is filled to these limits.
    pub fn words(&self, reads: &Reads) -> usize {
        let lists = reads.lists();
        let of_a_name = if lists == 0 { 1 } else { 2 + lists };
        self.names * of_a_name + self.features + self.text_bytes.div_ceil(4)
    }
}

/// A batch of names. Lists and slots are empty where no features are read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// What is read as text, one name behind the other: name i is `text[ends[i - 1]..ends[i]]`.
    pub text: Vec<u8>,
    /// Where each ends; they never fall.
    pub ends: Vec<u32>,
    /// Of each name, the slot of its suffix among the suffix terms.
    pub slots: Vec<u32>,
    /// `[name][list]`: where each list ends in `features`; it starts where the one before ends.
    pub list_ends: Vec<u32>,
    /// Each below `2^FEATURE_BITS`.
    pub features: Vec<u32>,
    found: Vec<u32>,
}

impl Packed {
    /// Packs as many names from the front as fit, and at least one; says how many.
    pub fn fill(&mut self, reads: &Reads, names: &[&str], limits: Limits) -> usize {
        self.text.clear();
        self.ends.clear();
        self.slots.clear();
        self.list_ends.clear();
        self.features.clear();
        for name in names.iter().take(limits.names) {
            let (bytes, parts) = match reads {
                Reads::Bytes => (&name.as_bytes()[..name.len().min(SEED_BYTES)], None),
                Reads::Text => (tokenizer::scored_text(name).as_bytes(), None),
                Reads::Parts(readings) => {
                    let parts = Parts::of(name);
                    (parts.content.as_bytes(), Some((parts, readings)))
                }
            };
            let full = self.text.len() + bytes.len() > limits.text_bytes
                || self.features.len() + reads.lists() * MAX_FEATURES > limits.features;
            if full && !self.ends.is_empty() {
                break;
            }
            self.text.extend_from_slice(bytes);
            self.ends.push(self.text.len() as u32);
            if let Some((parts, readings)) = parts {
                self.slots.push(stack::slot(parts.suffix) as u32);
                self.lists(&parts, readings);
            }
        }
        self.ends.len()
    }

    fn lists(&mut self, parts: &Parts<'_>, readings: &[Reading]) {
        let mut read = Reading::Labels;
        features(parts.content, read, &mut self.found);
        self.features.extend(crossed(&self.found, parts.suffix));
        self.list_ends.push(self.features.len() as u32);
        for reading in readings {
            if *reading != read {
                read = *reading;
                features(parts.content, read, &mut self.found);
            }
            self.features.extend_from_slice(&self.found);
            self.list_ends.push(self.features.len() as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_packed_up_to_the_bounds_and_none_is_lost() {
        let long = "x".repeat(300);
        let names = ["a.example", "bb.example", &long, "c.example"];
        let limits = Limits { names: 2, text_bytes: 20, features: 0 };
        let mut packed = Packed::default();
        let mut rest: &[&str] = &names;
        let mut launches = Vec::new();
        while !rest.is_empty() {
            let count = packed.fill(&Reads::Bytes, rest, limits);
            launches.push((count, packed.text.len(), packed.ends.clone()));
            rest = &rest[count..];
        }
        assert_eq!(launches, [(2, 19, vec![9, 19]), (1, 256, vec![256]), (1, 9, vec![9])]);
    }

    #[test]
    fn the_table_kernel_gets_the_scored_part_of_a_name() {
        let mut packed = Packed::default();
        packed.fill(&Reads::Text, &["www.example.com", &"y".repeat(100)], Reads::Text.limits());
        assert_eq!(packed.ends, [11, 75]);
        assert!(packed.text.starts_with(b"example.com"));
        assert!(packed.list_ends.is_empty() && packed.slots.is_empty());
    }

    #[test]
    fn a_stack_gets_the_content_and_its_features_under_the_suffix_and_of_each_reading() {
        let reads = Reads::Parts(vec![Reading::Labels, Reading::Skips]);
        let mut packed = Packed::default();
        assert_eq!(packed.fill(&reads, &["com", "www.a.pay-pal1.co.uk"], reads.limits()), 2);
        assert_eq!((packed.text.as_slice(), packed.ends.as_slice()), (&b"a.pay-pal1"[..], &[0, 10][..]));
        assert_eq!(packed.slots, ["com", "co.uk"].map(|suffix| stack::slot(suffix) as u32));
        let mut expected = Vec::new();
        let mut found = Vec::new();
        features("a.pay-pal1", Reading::Labels, &mut found);
        let labels = found.len();
        expected.extend(crossed(&found, "co.uk"));
        expected.extend(&found);
        features("a.pay-pal1", Reading::Skips, &mut found);
        expected.extend(&found);
        assert_eq!(packed.features, expected);
        let ends = [0, 0, 0, labels, 2 * labels, expected.len()].map(|end| end as u32);
        assert_eq!(packed.list_ends, ends);
    }

    #[test]
    fn features_of_the_longest_names_stay_within_a_launch() {
        let reads = Reads::Parts(Reading::ALL.to_vec());
        let limits = Limits { names: 100, features: 3 * 4 * MAX_FEATURES, ..reads.limits() };
        let name = format!("{}.com", "a-1.".repeat(15) + "b");
        let mut packed = Packed::default();
        let count = packed.fill(&reads, &vec![name.as_str(); 100], limits);
        assert!((2..100).contains(&count), "{count}");
        assert!(packed.features.len() <= limits.features);
        let words = packed.ends.len() + packed.slots.len() + packed.list_ends.len() + packed.features.len();
        assert!(words + packed.text.len().div_ceil(4) <= limits.words(&reads));
        assert_eq!(packed.fill(&reads, &[&name], Limits { names: 1, text_bytes: 0, features: 0 }), 1);
    }
}
