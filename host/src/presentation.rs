//! Names as DNS software writes them in text.

use dnsvet_core::name::{Name, NameError};

/// Reads a name as zone files write it (`\.` and `\046` are a dot in a label), or as people do; with or without the last
/// dot.
///
/// # Errors
/// If no such name can exist.
pub fn name(text: &str) -> Result<Name, NameError> {
    if !text.contains('\\') {
        return Name::parse(text);
    }
    let (mut labels, mut label) = (Vec::new(), Vec::new());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => match rest.next().ok_or(NameError::Escape)? {
                digit if digit.is_ascii_digit() => {
                    let digits = [Some(digit), rest.next(), rest.next()];
                    let value = digits.into_iter().try_fold(0u16, |value, digit| {
                        digit.filter(u8::is_ascii_digit).map(|digit| value * 10 + u16::from(digit - b'0'))
                    });
                    let value = value.and_then(|value| u8::try_from(value).ok());
                    label.push(value.ok_or(NameError::Escape)?);
                }
                other => label.push(other),
            },
            other => label.push(other),
        }
    }
    // The root's empty label is not one of the name's.
    if !label.is_empty() {
        labels.push(label);
    }
    Name::from_labels(labels.iter().map(Vec::as_slice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_zone_files_write_them_and_as_people_do() {
        for (text, expected) in [
            ("Example.COM.", "example.com"),
            ("example.com", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            (r"a\046b.example.", r"a\046b.example"),
            (r"a\.b.example.", r"a\046b.example"),
            (r"a\ b.example.", r"a\032b.example"),
        ] {
            assert_eq!(name(text).unwrap().as_str(), expected, "{text}");
        }
        for text in ["a..example", r"a\25", r"a\999.example", r"a\", "a b.example", r"a\.b..example"] {
            assert!(name(text).is_err(), "{text}");
        }
    }
}
