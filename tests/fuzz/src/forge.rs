//! Snapshots put together from any sections, with hashes that hold.
//!
//! ```text
//! a .dvs file, damaged or not ─► read ─┐
//! pieces between separators ─► split ──┴─► Forged ─► encode ─► a .dvs file whose hashes hold
//! ```
//!
//! The separators are bytes that UTF-8 has not, so an input can grow and shrink within a section without a
//! length to be kept in step.

const MAGIC: [u8; 8] = *b"\x89DVS\r\n\x1a\n";
const HEADER_BYTES: usize = 112;
const ALIGNMENT: usize = 64;
const CHUNK_BYTES: usize = dnsvet_core::snapshot::CHUNK_BYTES;
/// Stands before each piece, and a byte with the section's code behind it.
const SEPARATOR: [u8; 3] = [0xf5, 0xf6, 0xf7];
/// The code of the policy's section.
pub const POLICY: u16 = 2;

/// One section: code, flags, pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What it holds.
    pub code: u16,
    /// 1: required.
    pub flags: u16,
    /// Its buffers.
    pub pieces: Vec<Vec<u8>>,
}

/// What a snapshot is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forged {
    /// Version, serial and times as they lie in the manifest.
    pub stamp: [u8; 28],
    /// The sections in their order.
    pub sections: Vec<Section>,
}

/// Reads what a file says as far as it goes, whether its hashes hold or not.
pub fn read(file: &[u8]) -> Option<Forged> {
    let manifest_bytes = u32_at(file, 8)? as usize;
    let end = HEADER_BYTES.checked_add(manifest_bytes)?.min(file.len());
    let manifest = file.get(HEADER_BYTES..end)?;
    let stamp = *manifest.first_chunk::<28>()?;
    let sections = u16_at(manifest, 28)?;
    let (mut at, mut from) = (30, end);
    let mut found = Vec::new();
    for _ in 0..sections {
        let (Some(code), Some(flags)) = (u16_at(manifest, at), u16_at(manifest, at + 2)) else { break };
        let Some(count) = u32_at(manifest, at + 4) else { break };
        at += 8;
        let mut pieces = Vec::new();
        for _ in 0..count {
            let Some(len) = u32_at(manifest, at) else { break };
            at += 4;
            from = from.next_multiple_of(ALIGNMENT).min(file.len());
            let to = from.saturating_add(len as usize).min(file.len());
            pieces.push(file.get(from..to)?.to_vec());
            from = to;
        }
        found.push(Section { code, flags, pieces });
    }
    Some(Forged { stamp, sections: found })
}

/// The pieces between separators; those of one section in a row belong together.
pub fn split(input: &[u8]) -> Forged {
    let mut sections: Vec<Section> = Vec::new();
    let mut rest = input;
    while let Some(at) = position(rest, &SEPARATOR) {
        let behind = rest.get(at + SEPARATOR.len()..).unwrap_or_default();
        let Some((code, body)) = behind.split_first() else { break };
        let piece = body.get(..position(body, &SEPARATOR).unwrap_or(body.len())).unwrap_or_default().to_vec();
        let code = u16::from(*code);
        match sections.last_mut() {
            Some(last) if last.code == code => last.pieces.push(piece),
            _ => sections.push(Section { code, flags: 0, pieces: vec![piece] }),
        }
        rest = body;
    }
    let mut stamp = [0; 28];
    stamp[0] = 2;
    stamp[4] = 9;
    Forged { stamp, sections }
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

impl Forged {
    /// The pieces with separators, as [`split`] takes them.
    pub fn join(&self) -> Vec<u8> {
        let mut joined = Vec::new();
        for section in &self.sections {
            for piece in &section.pieces {
                joined.extend(SEPARATOR);
                joined.push(section.code as u8);
                joined.extend(piece);
            }
        }
        joined
    }

    /// Replaces a section's pieces.
    pub fn replace(&mut self, code: u16, pieces: Vec<Vec<u8>>) {
        if let Some(section) = self.sections.iter_mut().find(|section| section.code == code) {
            section.pieces = pieces;
        }
    }

    /// A snapshot of these sections, unsigned.
    pub fn encode(&self) -> Vec<u8> {
        let mut manifest = self.stamp.to_vec();
        manifest.extend((self.sections.len() as u16).to_le_bytes());
        for section in &self.sections {
            manifest.extend(section.code.to_le_bytes());
            manifest.extend(section.flags.to_le_bytes());
            manifest.extend((section.pieces.len() as u32).to_le_bytes());
            manifest.extend(section.pieces.iter().flat_map(|piece| (piece.len() as u32).to_le_bytes()));
        }
        let pieces = || self.sections.iter().flat_map(|section| &section.pieces);
        for chunk in pieces().flat_map(|piece| piece.chunks(CHUNK_BYTES)) {
            manifest.extend(blake3::hash(chunk).as_bytes());
        }
        let mut file = MAGIC.to_vec();
        file.extend((manifest.len() as u32).to_le_bytes());
        file.extend([0; 4]);
        file.extend(blake3::hash(&manifest).as_bytes());
        file.extend([0; 64]);
        file.extend(manifest);
        for piece in pieces() {
            file.resize(file.len().next_multiple_of(ALIGNMENT), 0);
            file.extend(piece);
        }
        file
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|field| u16::from_le_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|field| u32::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use dnsvet_core::snapshot::Snapshot;

    use super::*;
    use crate::fixtures;

    #[test]
    fn a_forged_snapshot_is_the_one_that_it_was_read_from() {
        let file = fixtures::snapshot();
        let forged = read(&file).unwrap();
        assert_eq!(forged.encode(), file);
        let pieces = |forged: &Forged| -> Vec<_> {
            forged.sections.iter().map(|section| (section.code, section.pieces.clone())).collect()
        };
        assert_eq!(pieces(&split(&forged.join())), pieces(&forged), "a separator in the content");
        assert!(Snapshot::open(split(&forged.join()).encode().into(), &[]).is_ok());
    }

    #[test]
    fn a_damaged_file_is_forged_into_one_whose_hashes_hold() {
        let mut file = fixtures::golden().to_vec();
        let last = file.len() - 1;
        file[last] ^= 1;
        assert!(Snapshot::open(file.clone().into(), &[]).is_err());
        assert!(Snapshot::open(read(&file).unwrap().encode().into(), &[]).is_ok());
    }
}
