//! Names that no model may block, whatever it learned: the false-positive suite.
//!
//! One file a category under `models/suite/`, a name a line; the comments at its head say what is in it and
//! where the names or their shapes are documented. A name found blocked in earnest is added here, with the
//! category it belongs to. The surprise: some categories hold names that the filter never gives a model
//! (DNSBL, time), because a list of such zones is never complete, and a model must do without it.

/// Names of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suite {
    /// What they are, in a word.
    pub category: &'static str,
    /// Lower case, no trailing dot, international ones in punycode.
    pub names: Vec<&'static str>,
}

/// All categories, in the order of their files' names.
pub fn suites() -> Vec<Suite> {
    FILES.iter().map(|&(category, text)| Suite { category, names: names(text).collect() }).collect()
}

fn names(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

macro_rules! files {
    ($($category:literal),+ $(,)?) => {
        /// Category and text of each file.
        const FILES: &[(&str, &str)] = &[
            $(($category, include_str!(concat!("../../suite/", $category, ".txt")))),+
        ];
    };
}

files![
    "banks",
    "certificates",
    "cloud",
    "devices",
    "digits",
    "governments",
    "hospitals",
    "international",
    "long",
    "lookups",
    "machine",
    "mail",
    "newspapers",
    "probes",
    "schools",
    "services",
    "short",
    "time",
    "updates",
];

#[cfg(test)]
mod tests {
    use super::*;
    use dnsvet_core::name::Name;
    use std::collections::HashMap;

    #[test]
    fn every_line_is_a_canonical_name_and_stands_once_in_one_file() {
        let mut home: HashMap<&str, &str> = HashMap::new();
        for suite in suites() {
            assert!(suite.names.len() >= 50, "{}: {} names", suite.category, suite.names.len());
            for name in suite.names {
                assert_eq!(Name::parse(name).as_ref().map(Name::as_str), Ok(name), "{}", suite.category);
                let earlier = home.insert(name, suite.category);
                assert_eq!(earlier, None, "{name} is in {} too", suite.category);
            }
        }
        assert!(home.len() >= 2_500, "{} names", home.len());
    }

    #[test]
    fn no_name_is_of_a_kind_that_is_data_by_its_form() {
        for name in suites().iter().flat_map(|suite| &suite.names) {
            assert!(!name.split('.').any(|label| label.starts_with('_')), "{name}");
            assert!(name.contains('.') && !name.ends_with(".arpa"), "{name}");
        }
    }

    #[test]
    fn each_file_says_what_it_is_and_none_is_left_out() {
        for (category, text) in FILES {
            assert!(text.starts_with("# "), "{category}");
        }
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/suite");
        let files = std::fs::read_dir(folder).unwrap();
        let mut found: Vec<String> =
            files.filter_map(|file| Some(file.unwrap().path().file_stem()?.to_str()?.to_owned())).collect();
        found.sort();
        let listed: Vec<&str> = FILES.iter().map(|(category, _)| *category).collect();
        assert_eq!(found, listed);
    }
}
