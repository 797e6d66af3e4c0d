//! Why a snapshot was refused.

/// Why a snapshot was refused. The last good one stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The file does not start as a snapshot does.
    #[error("not a dnsvet snapshot; build one with `dnsvet lists compile`")]
    NotASnapshot,
    /// Fewer bytes than header and manifest say.
    #[error("cut short: {have} of {want} bytes; fetch or copy it again")]
    Short {
        /// Bytes that are there.
        have: u64,
        /// Bytes that should be.
        want: u64,
    },
    /// More bytes than header and manifest say.
    #[error("{have} bytes where {want} belong; fetch or copy it again")]
    Long {
        /// Bytes that are there.
        have: u64,
        /// Bytes that should be.
        want: u64,
    },
    /// The header asks for a manifest that no snapshot has; carries its bytes.
    #[error("a manifest of {0} bytes; the file is damaged")]
    LongManifest(u32),
    /// A major version after the one read here.
    #[error("format {major}.{minor}; this build reads {}.x: update dnsvet", super::FORMAT.0)]
    NewerFormat {
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// A major version before the one read here.
    #[error("format {major}.{minor}; this build reads {}.x: build it again with `dnsvet lists compile`", super::FORMAT.0)]
    OlderFormat {
        /// Its major version.
        major: u16,
        /// Its minor version.
        minor: u16,
    },
    /// The manifest is not what the header's hash says.
    #[error("the manifest is damaged (its BLAKE3 differs); fetch or copy it again")]
    ManifestHash,
    /// The manifest hangs together badly.
    #[error("the manifest is wrong: {0}")]
    Manifest(&'static str),
    /// Keys are configured and the snapshot has no signature.
    #[error("unsigned, but keys are configured; sign it with `dnsvet lists compile --key`")]
    Unsigned,
    /// No configured key made the signature.
    #[error("its signature is by none of the configured keys")]
    Signature,
    /// A kind of signature that is not read here; carries its number.
    #[error("signature of kind {0}; known: none and Ed25519")]
    SignatureKind(u32),
    /// A section that its maker marked as required and this build does not know; carries its number.
    #[error("needs section {0}, which this build does not know: update dnsvet")]
    UnknownSection(u16),
    /// A section that every snapshot has is absent.
    #[error("section {0:?} is missing")]
    MissingSection(&'static str),
    /// A chunk is not what the manifest says.
    #[error(
        "the chunk of {bytes} bytes at byte {offset} (section {section}) is damaged; fetch or copy it again"
    )]
    Chunk {
        /// Section's name.
        section: String,
        /// Where the chunk starts in the snapshot.
        offset: u64,
        /// Its length.
        bytes: usize,
    },
    /// Bytes between two pieces that are not zero; carries where.
    #[error("bytes between sections at byte {0} are not zero; fetch or copy it again")]
    Gap(u64),
    /// A section's content is wrong though its chunks are whole: its maker erred.
    #[error("section {section}: {why}")]
    Section {
        /// Section's name.
        section: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Larger than this filter takes.
    #[error("{bytes} bytes; this filter takes at most {most}")]
    TooLarge {
        /// The snapshot's bytes.
        bytes: u64,
        /// The bound.
        most: u64,
    },
    /// Not newer than the one in force.
    #[error("serial {offered} is not above {held}, which is in force; a rollback needs a new serial")]
    Serial {
        /// The serial offered.
        offered: u64,
        /// The serial in force.
        held: u64,
    },
    /// The control plane answered something else than a part of the snapshot; carries the HTTP status.
    #[error("the control plane answered {0} to the snapshot feed; check the token and the address")]
    Status(u16),
    /// A reply does not fit its request.
    #[error("the snapshot feed's reply is wrong: {0}")]
    Reply(&'static str),
}

impl SnapshotError {
    /// Whether the way here may be to blame, so that the same snapshot may be whole the next time.
    pub fn is_of_transport(&self) -> bool {
        matches!(
            self,
            Self::NotASnapshot
                | Self::Short { .. }
                | Self::Long { .. }
                | Self::LongManifest(_)
                | Self::ManifestHash
                | Self::Chunk { .. }
                | Self::Gap(_)
                | Self::Status(_)
                | Self::Reply(_)
        )
    }
}
