//! Frame Streams: data frames behind their length, control frames behind a length of 0.
//!
//! ```text
//! 0 ─ length ─ START ─ content type ... | length ─ data | length ─ data | ... | 0 ─ length ─ STOP
//! ```
//!
//! All numbers have 32 bits, highest byte first. A file that is still written, or was cut, has no STOP.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

use super::super::{ImportError, RowError, file};

/// What the content type of dnstap says.
pub(super) const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";
/// The longest data frame, bytes: two DNS messages of 64 KiB and what is around them.
const MOST_DATA: u32 = 256 << 10;
/// The longest control frame, bytes, as fstrm has it.
const MOST_CONTROL: u32 = 512;
const START: u32 = 2;
const STOP: u32 = 3;
const FIELD_CONTENT_TYPE: u32 = 1;

/// A data frame with its number, from 1, or why it is not read.
pub(super) enum Frame<'a> {
    Data(u64, &'a [u8]),
    Bad(u64, RowError),
}

/// The frames of a file.
pub(super) struct Frames<R> {
    reader: R,
    number: u64,
    bytes: u64,
    frame: Vec<u8>,
    ended: bool,
}

impl Frames<BufReader<File>> {
    /// Opens a file and reads its first frame, which must be START.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(file(path))?);
        Frames::new(reader).map_err(|why| match why {
            Unread::System(source) => ImportError::File { path: path.to_owned(), source },
            other => ImportError::Format {
                path: path.to_owned(),
                why: other.to_string(),
                expected: "a dnstap file in Frame Streams (fstrm)",
            },
        })
    }
}

/// Why frames are not read on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("{0}")]
    System(std::io::Error),
    #[error("it breaks off")]
    Short,
    #[error("it does not begin with a START frame")]
    NoStart,
    #[error("a control frame of {0} bytes")]
    Control(u32),
    #[error("its content type is `{0}`")]
    Content(String),
}

impl From<std::io::Error> for Unread {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::UnexpectedEof => Unread::Short,
            _ => Unread::System(error),
        }
    }
}

impl<R: Read> Frames<R> {
    /// Reads the first frame, which must be START.
    pub(super) fn new(mut reader: R) -> Result<Self, Unread> {
        if word(&mut reader)? != 0 {
            return Err(Unread::NoStart);
        }
        let length = word(&mut reader)?;
        if !(4..=MOST_CONTROL).contains(&length) {
            return Err(Unread::Control(length));
        }
        let mut control = vec![0; length as usize];
        reader.read_exact(&mut control)?;
        let mut rest = control.as_slice();
        if take_word(&mut rest) != Some(START) {
            return Err(Unread::NoStart);
        }
        while let (Some(field), Some(length)) = (take_word(&mut rest), take_word(&mut rest)) {
            let value = rest.split_off(..length as usize).ok_or(Unread::Short)?;
            if field == FIELD_CONTENT_TYPE && value != CONTENT_TYPE {
                return Err(Unread::Content(String::from_utf8_lossy(value).chars().take(60).collect()));
            }
        }
        let bytes = 8 + u64::from(length);
        Ok(Self { reader, number: 0, bytes, frame: Vec::new(), ended: false })
    }

    /// The next data frame. One that is too long is passed over; where a file breaks off, it ends.
    pub(super) fn frame(&mut self) -> Option<Frame<'_>> {
        if self.ended {
            return None;
        }
        match self.read() {
            Ok(Some(())) => Some(Frame::Data(self.number, &self.frame)),
            Ok(None) => {
                self.ended = true;
                None
            }
            Err(why) => {
                self.ended |= !matches!(why, RowError::TooLong(_));
                Some(Frame::Bad(self.number, why))
            }
        }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&mut self) -> Result<Option<()>, RowError> {
        loop {
            let mut head = [0; 4];
            // A file may end here without STOP.
            match self.reader.read(&mut head[..1]) {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(_) => return Err(RowError::Damaged("it can't be read on")),
            }
            self.number += 1;
            let short = |_| RowError::Damaged("the file breaks off within it");
            self.reader.read_exact(&mut head[1..]).map_err(short)?;
            let length = u32::from_be_bytes(head);
            if length == 0 {
                self.number -= 1;
                let length = word(&mut self.reader).map_err(short)?;
                if !(4..=MOST_CONTROL).contains(&length) {
                    return Err(RowError::Damaged("a control frame behind it has no possible length"));
                }
                let mut control = vec![0; length as usize];
                self.reader.read_exact(&mut control).map_err(short)?;
                self.bytes += 8 + u64::from(length);
                if take_word(&mut control.as_slice()) == Some(STOP) {
                    return Ok(None);
                }
                continue;
            }
            if length > MOST_DATA {
                let skipped =
                    std::io::copy(&mut (&mut self.reader).take(u64::from(length)), &mut std::io::sink());
                self.bytes += 4 + u64::from(length);
                return Err(match skipped {
                    Ok(skipped) if skipped == u64::from(length) => RowError::TooLong(MOST_DATA as usize),
                    _ => RowError::Damaged("the file breaks off within it"),
                });
            }
            self.frame.resize(length as usize, 0);
            self.reader.read_exact(&mut self.frame).map_err(short)?;
            self.bytes += 4 + u64::from(length);
            return Ok(Some(()));
        }
    }
}

fn word(reader: &mut impl Read) -> std::io::Result<u32> {
    let mut word = [0; 4];
    reader.read_exact(&mut word)?;
    Ok(u32::from_be_bytes(word))
}

fn take_word(rest: &mut &[u8]) -> Option<u32> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*word))
}
