//! Header fields in the order they came, and how they travel over the ABI.
//!
//! All fields lie in one buffer that keeps its capacity when a context is used again, so a request
//! allocates nothing for its headers.

use std::ops::Range;

/// The guest's maps are read up to these sizes, as in Envoy.
const MAX_BYTES: usize = 1 << 20;
const MAX_PAIRS: usize = 1024;

/// An ordered multimap; names in lower case.
#[derive(Debug, Default, Clone)]
pub(super) struct Headers {
    bytes: Vec<u8>,
    fields: Vec<Field>,
}

/// Offsets into `bytes`: the name, then the value right after it.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    middle: usize,
    end: usize,
}

impl Headers {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.fields.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    pub(super) fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend(name.iter().map(u8::to_ascii_lowercase));
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.fields.push(Field { start, middle, end: self.bytes.len() });
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields
            .iter()
            .map(|field| (self.slice(field.start..field.middle), self.slice(field.middle..field.end)))
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(range).unwrap_or_default()
    }

    fn named(&self, field: &Field, name: &[u8]) -> bool {
        self.slice(field.start..field.middle).eq_ignore_ascii_case(name)
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.value(self.find(name)?.0)
    }

    /// Where the first value of a field stands, and its length.
    pub(super) fn find(&self, name: &[u8]) -> Option<(usize, usize)> {
        let index = self.fields.iter().position(|field| self.named(field, name))?;
        Some((index, self.value(index)?.len()))
    }

    /// The value at an index that [`Headers::find`] gave.
    pub(super) fn value(&self, index: usize) -> Option<&[u8]> {
        self.fields.get(index).map(|field| self.slice(field.middle..field.end))
    }

    /// Removes every value of a field. The bytes stay until [`Headers::clear`].
    pub(super) fn remove(&mut self, name: &[u8]) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.retain(|field| !self.named(field, name));
        self.fields = fields;
    }

    /// Puts one value in the place of the first, and removes the others; adds it where there is none.
    pub(super) fn replace(&mut self, name: &[u8], value: &[u8]) {
        let place = self.fields.iter().position(|field| self.named(field, name));
        self.remove(name);
        self.push(name, value);
        if let Some(place) = place {
            // Those removed stood at or after the place, so it is still within.
            self.fields[place..].rotate_right(1);
        }
    }

    /// Replaces all fields.
    pub(super) fn assign(&mut self, pairs: &[(&[u8], &[u8])]) {
        self.clear();
        for (name, value) in pairs {
            self.push(name, value);
        }
    }

    /// Bytes that [`Headers::encode`] writes; 0 for an empty map, which travels as a null pointer.
    pub(super) fn encoded_len(&self) -> usize {
        if self.fields.is_empty() {
            return 0;
        }
        self.fields.iter().fold(4, |sum, field| sum + 10 + (field.end - field.start))
    }

    /// Writes the map as Envoy does: count, then all lengths, then all texts, each with a NUL behind it.
    /// `false` if `out` is not exactly [`Headers::encoded_len`] bytes long.
    pub(super) fn encode(&self, out: &mut [u8]) -> bool {
        if out.len() != self.encoded_len() || out.is_empty() {
            return out.len() == self.encoded_len();
        }
        let (count, rest) = out.split_at_mut(4);
        count.copy_from_slice(&(self.fields.len() as u32).to_le_bytes());
        let (lengths, mut texts) = rest.split_at_mut(self.fields.len() * 8);
        for (field, pair) in self.fields.iter().zip(lengths.chunks_exact_mut(8)) {
            let (name, value) = pair.split_at_mut(4);
            name.copy_from_slice(&((field.middle - field.start) as u32).to_le_bytes());
            value.copy_from_slice(&((field.end - field.middle) as u32).to_le_bytes());
            for part in [field.start..field.middle, field.middle..field.end] {
                let (text, after) = texts.split_at_mut(part.len());
                text.copy_from_slice(self.slice(part));
                let (nul, after) = after.split_at_mut(1);
                nul.fill(0);
                texts = after;
            }
        }
        true
    }

    /// All fields as text; bytes that are not UTF-8 are replaced.
    pub(super) fn to_strings(&self) -> Vec<(String, String)> {
        self.iter().map(|(name, value)| (text(name), text(value))).collect()
    }
}

/// Bytes as text; those that are not UTF-8 are replaced.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads a map that the guest wrote. As in Envoy, one that is malformed or too large reads as empty.
pub(super) fn decode(bytes: &[u8]) -> Vec<(&[u8], &[u8])> {
    try_decode(bytes).unwrap_or_default()
}

fn try_decode(bytes: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    if bytes.len() > MAX_BYTES {
        return None;
    }
    let (count, rest) = bytes.split_first_chunk::<4>()?;
    let count = u32::from_le_bytes(*count) as usize;
    if count > MAX_PAIRS {
        return None;
    }
    let (lengths, mut texts) = rest.split_at_checked(count * 8)?;
    let mut take = |length: &[u8]| {
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        let (text, after) = texts.split_at_checked(length)?;
        texts = after.strip_prefix(&[0])?;
        Some(text)
    };
    let mut pairs = Vec::with_capacity(count);
    for pair in lengths.chunks_exact(8) {
        let (name, value) = pair.split_at(4);
        pairs.push((take(name)?, take(value)?));
    }
    texts.is_empty().then_some(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::default();
        for (name, value) in [(":method", "GET"), ("X-A", "1"), ("x-b", ""), ("x-a", "2")] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    #[test]
    fn names_are_lower_case_and_looked_up_in_any_case() {
        assert_eq!(sample().get(b"x-A"), Some(&b"1"[..]));
        assert_eq!(sample().to_strings()[1], ("x-a".to_owned(), "1".to_owned()));
    }

    #[test]
    fn a_map_reads_back_as_it_was_written() {
        let headers = sample();
        let mut bytes = vec![0; headers.encoded_len()];
        assert!(headers.encode(&mut bytes));
        assert_eq!(decode(&bytes), headers.iter().collect::<Vec<_>>());
        assert!(!headers.encode(&mut [0; 3]));
    }

    #[test]
    fn the_encoding_is_envoys() {
        let mut headers = Headers::default();
        headers.push(b":path", b"/x");
        let mut bytes = vec![0; headers.encoded_len()];
        assert!(headers.encode(&mut bytes));
        assert_eq!(bytes, b"\x01\0\0\0\x05\0\0\0\x02\0\0\0:path\0/x\0");
        assert_eq!(Headers::default().encoded_len(), 0);
    }

    #[test]
    fn replace_keeps_the_place_and_drops_the_others() {
        let mut headers = sample();
        headers.replace(b"X-a", b"9");
        headers.replace(b"new", b"n");
        let all: Vec<_> = headers.iter().collect();
        assert_eq!(all, [(&b":method"[..], &b"GET"[..]), (b"x-a", b"9"), (b"x-b", b""), (b"new", b"n")]);
        headers.remove(b"x-a");
        assert_eq!(headers.get(b"x-a"), None);
    }

    #[test]
    fn malformed_maps_read_as_empty() {
        let good = b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a\0b\0";
        assert_eq!(decode(good).len(), 1);
        for cut in 0..good.len() {
            assert!(decode(&good[..cut]).is_empty(), "cut at {cut}");
        }
        let mut long = good.to_vec();
        long.push(0);
        assert!(decode(&long).is_empty());
        assert!(decode(b"\x01\0\0\0\x01\0\0\0\x01\0\0\0a-b\0").is_empty());
        assert!(decode(b"\x01\0\0\0\xff\xff\xff\xff\x01\0\0\0a\0b\0").is_empty());
        assert!(decode(&[0xff; 64]).is_empty());
    }
}
