//! A name as our models read it: its content, and the public suffix that stands behind it.
//!
//! The suffix carries much evidence and proves nothing: whoever registers a name chooses it. So content and
//! suffix are read apart, and what a suffix may say is bounded (see [`super::stack`]). The surprise: only
//! suffixes of registries (ICANN) are cut off. A private one, such as `webflow.io`, stays in the content,
//! because it says who hosts the name.

use psl::Type;

use super::tokenizer::scored_text;

/// [`scored_text`] in two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// What somebody registered, and all before it. Empty for a suffix itself.
    pub content: &'a str,
    /// The registry's suffix, without the dot before it: `co.uk`.
    pub suffix: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a name apart.
    pub fn of(name: &'a str) -> Self {
        let text = scored_text(name);
        let suffix = registry_suffix(text);
        let content = text.strip_suffix(suffix).unwrap_or(text);
        Self { content: content.strip_suffix('.').unwrap_or(content), suffix }
    }
}

/// The longest suffix of the list's ICANN section, or the last label where the list has none.
fn registry_suffix(text: &str) -> &str {
    let mut rest = text;
    loop {
        match psl::suffix(rest.as_bytes()) {
            Some(suffix) if suffix.typ() == Some(Type::Private) => {
                let private = rest.get(rest.len() - suffix.as_bytes().len()..).unwrap_or_default();
                rest = private.split_once('.').map_or("", |(_, above)| above);
            }
            Some(suffix) => return rest.get(rest.len() - suffix.as_bytes().len()..).unwrap_or_default(),
            None => return "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_suffixes_are_cut_off_and_private_ones_stay() {
        for (name, content, suffix) in [
            ("www.example.com", "example", "com"),
            ("a.b.example.co.uk", "a.b.example", "co.uk"),
            ("mine.webflow.io", "mine.webflow", "io"),
            ("webflow.io", "webflow", "io"),
            ("bucket.s3.eu-west-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws", "com"),
            ("x.unknown-suffix", "x", "unknown-suffix"),
            ("co.uk", "", "co.uk"),
            ("com", "", "com"),
            ("", "", ""),
        ] {
            assert_eq!(Parts::of(name), Parts { content, suffix }, "{name}");
        }
    }
}
