//! The `.dvs` container: header, signed manifest, pieces.
//!
//! ```text
//! header     magic 8 · manifest bytes u32 · signature kind u32 · BLAKE3 of the manifest 32 · signature 64
//! manifest   major u16 · minor u16 · serial u64 · made u64 · expires u64 · sections u16
//!            section: kind u16 · flags u16 (1 = required) · pieces u32 · bytes of each piece u32
//!            chunk table: BLAKE3 of each chunk, pieces in order, 32 bytes each
//! pieces     each at the next multiple of 64 bytes, zeros between; chunks of 256 KiB from a piece's start
//! ```
//!
//! All numbers are little-endian. What can be computed is not stored: a piece's place follows from the sizes
//! before it, so there is nothing to contradict. The signature (Ed25519) covers the manifest, the manifest's
//! chunk table covers everything else.

use std::ops::Range;

use bytes::Bytes;
use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

use super::SnapshotError;
use super::wire::{Reader, Writer};

/// The newest format written and read. A reader takes every minor of its major.
pub const FORMAT: (u16, u16) = (2, 0);
/// The most bytes of a chunk, and so of a range that a filter asks for.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes before the manifest.
pub(super) const HEADER_BYTES: usize = 112;

const MAGIC: [u8; 8] = *b"\x89DVS\r\n\x1a\n";
const UNSIGNED: u32 = 0;
const ED25519: u32 = 1;
const REQUIRED: u16 = 1;
const ALIGNMENT: u64 = 64;
const MOST_MANIFEST_BYTES: u32 = 1 << 20;
/// Keeps a signature of a manifest from being taken for one of anything else.
const SIGNED_CONTEXT: &[u8] = b"dnsvet snapshot manifest\0";

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Lists,
    Policy,
    Vetted,
    Brands,
    NameMap,
    Popular,
    SmallModel,
    Rules,
    Overlay,
}

impl Kind {
    pub(super) const ALL: [Kind; 9] = [
        Kind::Lists,
        Kind::Policy,
        Kind::Vetted,
        Kind::Brands,
        Kind::NameMap,
        Kind::Popular,
        Kind::SmallModel,
        Kind::Rules,
        Kind::Overlay,
    ];

    fn code(self) -> u16 {
        match self {
            Kind::Lists => 1,
            Kind::Policy => 2,
            Kind::Vetted => 3,
            Kind::Brands => 4,
            Kind::NameMap => 5,
            Kind::Popular => 6,
            Kind::SmallModel => 7,
            Kind::Rules => 8,
            Kind::Overlay => 9,
        }
    }

    /// A reader that does not know the section must refuse the snapshot.
    fn required(self) -> bool {
        !matches!(self, Kind::Brands | Kind::Popular | Kind::SmallModel)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Kind::Lists => "lists",
            Kind::Policy => "policy",
            Kind::Vetted => "vetted",
            Kind::Brands => "brands",
            Kind::NameMap => "name map",
            Kind::Popular => "popular",
            Kind::SmallModel => "small model",
            Kind::Rules => "rules",
            Kind::Overlay => "overlay",
        }
    }
}

/// The name of a section in errors.
fn section_name(code: u16) -> String {
    let known = Kind::ALL.into_iter().find(|kind| kind.code() == code);
    known.map_or_else(|| format!("unknown ({code})"), |kind| kind.as_str().to_owned())
}

/// One buffer of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// Section's code.
    pub section: u16,
    /// Bytes from the start of the snapshot.
    pub offset: u64,
    /// Length, bytes.
    pub len: usize,
    /// BLAKE3 of each chunk.
    pub chunks: Vec<[u8; 32]>,
}

impl Piece {
    /// The chunks as (offset in the piece, length, hash).
    pub(super) fn chunk_ranges(&self) -> impl Iterator<Item = (usize, usize, &[u8; 32])> {
        let len = self.len;
        self.chunks.iter().enumerate().map(move |(number, hash)| {
            let from = number * CHUNK_BYTES;
            (from, CHUNK_BYTES.min(len.saturating_sub(from)), hash)
        })
    }

    /// Checks one chunk.
    pub(super) fn check(&self, from: usize, hash: &[u8; 32], bytes: &[u8]) -> Result<(), SnapshotError> {
        if blake3::hash(bytes).as_bytes() == hash {
            return Ok(());
        }
        let (section, offset) = (section_name(self.section), self.offset + from as u64);
        Err(SnapshotError::Chunk { section, offset, bytes: bytes.len() })
    }
}

/// A manifest that was checked, with where everything lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    /// 16 hex digits of the manifest's BLAKE3.
    pub id: String,
    pub minor: u16,
    pub serial: u64,
    pub made_ms: u64,
    pub expires_ms: u64,
    pub pieces: Vec<Piece>,
    /// Bytes of header and manifest.
    pub head: u64,
    /// Length of the whole snapshot, bytes.
    pub total: u64,
}

/// Bytes of header and manifest together, from the header alone. `None` while it is not there in full.
pub(super) fn head_bytes(start: &[u8]) -> Option<Result<usize, SnapshotError>> {
    let mut reader = Reader::new(start);
    let magic = reader.array::<8>()?;
    if magic != MAGIC {
        return Some(Err(SnapshotError::NotASnapshot));
    }
    let manifest = reader.u32()?;
    if manifest > MOST_MANIFEST_BYTES {
        return Some(Err(SnapshotError::LongManifest(manifest)));
    }
    Some(Ok(HEADER_BYTES + manifest as usize))
}

impl Manifest {
    /// Decodes and checks header and manifest. With no `keys`, any signature or none is taken.
    pub(super) fn decode(bytes: &[u8], keys: &[VerifyingKey]) -> Result<Self, SnapshotError> {
        let short = |want: usize| SnapshotError::Short { have: bytes.len() as u64, want: want as u64 };
        let want = head_bytes(bytes).ok_or_else(|| short(HEADER_BYTES))??;
        let head = bytes.get(..want).ok_or_else(|| short(want))?;
        let (header, manifest) = head.split_at_checked(HEADER_BYTES).ok_or_else(|| short(want))?;
        let mut reader = Reader::new(header);
        let _ = reader.bytes(12);
        let cut = || short(HEADER_BYTES);
        let signature_kind = reader.u32().ok_or_else(cut)?;
        let hash = reader.array::<32>().ok_or_else(cut)?;
        let signature = reader.array::<64>().ok_or_else(cut)?;

        let mut reader = Reader::new(manifest);
        let version = reader.u16().zip(reader.u16()).ok_or(SnapshotError::Manifest("it is cut short"))?;
        if version.0 != FORMAT.0 {
            let (major, minor) = version;
            return Err(match version.0 > FORMAT.0 {
                true => SnapshotError::NewerFormat { major, minor },
                false => SnapshotError::OlderFormat { major, minor },
            });
        }
        if blake3::hash(manifest).as_bytes() != &hash {
            return Err(SnapshotError::ManifestHash);
        }
        check_signature(signature_kind, &signature, manifest, keys)?;
        Self::decode_fields(reader, version.1, &hash, want)
            .unwrap_or(Err(SnapshotError::Manifest("it is cut short")))
    }

    fn decode_fields(
        mut reader: Reader,
        minor: u16,
        hash: &[u8; 32],
        head: usize,
    ) -> Option<Result<Self, SnapshotError>> {
        let (serial, made_ms, expires_ms) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let mut pieces = Vec::new();
        let mut end = head as u64;
        for _ in 0..reader.u16()? {
            let (section, flags, count) = (reader.u16()?, reader.u16()?, reader.u32()?);
            let known = Kind::ALL.iter().any(|kind| kind.code() == section);
            if !known && flags & REQUIRED != 0 {
                return Some(Err(SnapshotError::UnknownSection(section)));
            }
            for _ in 0..count {
                let len = reader.u32()? as usize;
                let offset = end.next_multiple_of(ALIGNMENT);
                pieces.push(Piece { section, offset, len, chunks: Vec::new() });
                end = offset + len as u64;
            }
        }
        for piece in &mut pieces {
            let chunks = (0..piece.len.div_ceil(CHUNK_BYTES)).map(|_| reader.array());
            piece.chunks = chunks.collect::<Option<_>>()?;
        }
        if !reader.is_empty() {
            return Some(Err(SnapshotError::Manifest("it has bytes left over")));
        }
        let id = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Some(Ok(Self { id, minor, serial, made_ms, expires_ms, pieces, head: head as u64, total: end }))
    }

    /// Cuts a whole snapshot into its pieces, each chunk checked, without copying.
    pub(super) fn cut(&self, bytes: &Bytes, head: usize) -> Result<Vec<Bytes>, SnapshotError> {
        let have = bytes.len() as u64;
        if have < self.total {
            return Err(SnapshotError::Short { have, want: self.total });
        }
        if have > self.total {
            return Err(SnapshotError::Long { have, want: self.total });
        }
        let mut end = head;
        let mut cut = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let from = piece.offset as usize;
            if bytes.get(end..from).is_none_or(|gap| gap.iter().any(|&byte| byte != 0)) {
                return Err(SnapshotError::Gap(end as u64));
            }
            end = from + piece.len;
            let body = bytes.slice(from..end);
            for (at, len, hash) in piece.chunk_ranges() {
                piece.check(at, hash, body.get(at..at + len).unwrap_or_default())?;
            }
            cut.push(body);
        }
        Ok(cut)
    }

    /// The pieces of a section.
    pub(super) fn section(&self, kind: Kind, pieces: &[Bytes]) -> Vec<Bytes> {
        self.sized(kind, pieces).map(|(_, bytes)| bytes).collect()
    }

    /// The pieces of a section, each with the length that it has or, if it is not here, would have.
    pub(super) fn sized(&self, kind: Kind, pieces: &[Bytes]) -> impl Iterator<Item = (usize, Bytes)> {
        let both = self.pieces.iter().zip(pieces).filter(move |(piece, _)| piece.section == kind.code());
        both.map(|(piece, bytes)| (piece.len, bytes.clone()))
    }

    /// Numbers of the pieces of a section.
    pub(super) fn numbers(&self, kind: Kind) -> Range<usize> {
        let is_of = |piece: &Piece| piece.section == kind.code();
        let first = self.pieces.iter().position(is_of).unwrap_or(self.pieces.len());
        first..first + self.pieces.iter().skip(first).take_while(|piece| is_of(piece)).count()
    }
}

fn check_signature(
    kind: u32,
    signature: &[u8; 64],
    manifest: &[u8],
    keys: &[VerifyingKey],
) -> Result<(), SnapshotError> {
    match kind {
        UNSIGNED if signature.iter().any(|&byte| byte != 0) => Err(SnapshotError::SignatureKind(kind)),
        UNSIGNED if keys.is_empty() => Ok(()),
        UNSIGNED => Err(SnapshotError::Unsigned),
        ED25519 if signature == &[0; 64] => Err(SnapshotError::Signature),
        ED25519 if keys.is_empty() => Ok(()),
        ED25519 => {
            let signature = Signature::from_bytes(signature);
            let signed = signed_bytes(manifest);
            let by_one = keys.iter().any(|key| key.verify(&signed, &signature).is_ok());
            if by_one { Ok(()) } else { Err(SnapshotError::Signature) }
        }
        _ => Err(SnapshotError::SignatureKind(kind)),
    }
}

fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
    [SIGNED_CONTEXT, manifest].concat()
}

/// What a manifest says besides the sections.
pub(super) struct Stamp {
    pub serial: u64,
    pub made_ms: u64,
    pub expires_ms: u64,
}

/// Puts a snapshot together. `None` if a piece is 4 GiB or more or there are too many.
pub(super) fn encode(
    stamp: &Stamp,
    sections: &[(Kind, Vec<Bytes>)],
    key: Option<&SigningKey>,
) -> Option<Vec<u8>> {
    let sections: Vec<Section> =
        sections.iter().map(|(kind, pieces)| (kind.code(), kind.required(), pieces.as_slice())).collect();
    encode_coded(FORMAT, stamp, &sections, key)
}

type Section<'a> = (u16, bool, &'a [Bytes]);

fn encode_coded(
    version: (u16, u16),
    stamp: &Stamp,
    sections: &[Section],
    key: Option<&SigningKey>,
) -> Option<Vec<u8>> {
    let mut manifest = Writer::default();
    manifest.u16(version.0).u16(version.1).u64(stamp.serial).u64(stamp.made_ms).u64(stamp.expires_ms);
    manifest.u16(u16::try_from(sections.len()).ok()?);
    for (code, required, pieces) in sections {
        manifest.u16(*code).u16(if *required { REQUIRED } else { 0 });
        manifest.u32(u32::try_from(pieces.len()).ok()?);
        for piece in *pieces {
            manifest.u32(u32::try_from(piece.len()).ok()?);
        }
    }
    let pieces = || sections.iter().flat_map(|(_, _, pieces)| pieces.iter());
    for chunk in pieces().flat_map(|piece| piece.chunks(CHUNK_BYTES)) {
        manifest.bytes(blake3::hash(chunk).as_bytes());
    }
    let manifest = manifest.finish();
    let manifest_bytes = u32::try_from(manifest.len()).ok().filter(|&len| len <= MOST_MANIFEST_BYTES)?;
    let signature = key.map(|key| key.sign(&signed_bytes(&manifest)).to_bytes());

    let room: usize = pieces().map(|piece| piece.len() + ALIGNMENT as usize).sum();
    let mut file = Writer::with_capacity(HEADER_BYTES + manifest.len() + room);
    file.bytes(&MAGIC).u32(manifest_bytes).u32(if key.is_some() { ED25519 } else { UNSIGNED });
    file.bytes(blake3::hash(&manifest).as_bytes()).bytes(&signature.unwrap_or([0; 64])).bytes(&manifest);
    for piece in pieces() {
        file.pad(ALIGNMENT as usize).bytes(piece);
    }
    Some(file.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8], keys: &[VerifyingKey]) -> Result<Manifest, SnapshotError> {
        Manifest::decode(bytes, keys)
    }

    fn stamp() -> Stamp {
        Stamp { serial: 7, made_ms: 1, expires_ms: 2 }
    }

    #[test]
    fn a_manifest_says_where_each_piece_lies() {
        let pieces = vec![Bytes::from(vec![1u8; 3]), vec![2u8; CHUNK_BYTES + 1].into()];
        let file = encode(&stamp(), &[(Kind::NameMap, pieces)], None).unwrap();
        let manifest = decode(&file, &[]).unwrap();
        assert_eq!((manifest.serial, manifest.made_ms, manifest.expires_ms), (7, 1, 2));
        assert_eq!(
            manifest.pieces.iter().map(|p| (p.len, p.chunks.len())).collect::<Vec<_>>(),
            [(3, 1), (CHUNK_BYTES + 1, 2)]
        );
        assert_eq!(manifest.total, file.len() as u64);
        let head = head_bytes(&file).unwrap().unwrap();
        let cut = manifest.cut(&file.clone().into(), head).unwrap();
        assert_eq!((cut[0].as_ref(), cut[1].len()), ([1u8, 1, 1].as_slice(), CHUNK_BYTES + 1));
        assert!(manifest.pieces.iter().all(|piece| piece.offset % 64 == 0));
    }

    #[test]
    fn one_of_several_keys_must_have_signed() {
        let [ours, next, other] = [1u8, 2, 3].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let file = encode(&stamp(), &[], Some(&next)).unwrap();
        let accepted = [ours.verifying_key(), next.verifying_key()];
        assert!(decode(&file, &accepted).is_ok());
        assert_eq!(decode(&file, &[other.verifying_key()]), Err(SnapshotError::Signature));
        assert!(decode(&file, &[]).is_ok(), "no keys configured");
        let unsigned = encode(&stamp(), &[], None).unwrap();
        assert_eq!(decode(&unsigned, &accepted), Err(SnapshotError::Unsigned));
    }

    #[test]
    fn an_unknown_section_is_skipped_if_optional_and_refused_if_required() {
        let body = [Bytes::from(vec![9u8; 5])];
        let file = |required| encode_coded(FORMAT, &stamp(), &[(900, required, &body)], None).unwrap();
        assert_eq!(decode(&file(false), &[]).unwrap().pieces.len(), 1);
        assert_eq!(decode(&file(true), &[]), Err(SnapshotError::UnknownSection(900)));
    }

    #[test]
    fn another_major_is_refused_and_another_minor_is_read() {
        let file = |version| encode_coded(version, &stamp(), &[], None).unwrap();
        assert_eq!(decode(&file((2, 9)), &[]).unwrap().minor, 9);
        assert_eq!(decode(&file((3, 0)), &[]), Err(SnapshotError::NewerFormat { major: 3, minor: 0 }));
        assert_eq!(decode(&file((1, 3)), &[]), Err(SnapshotError::OlderFormat { major: 1, minor: 3 }));
    }
}
