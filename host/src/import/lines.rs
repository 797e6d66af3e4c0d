//! Lines of a file, each of bounded length.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use super::{ImportError, RowError, file};

/// Lines with their numbers, from 1.
pub(super) struct Lines<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    most: usize,
    number: u64,
    bytes: u64,
    line: Vec<u8>,
}

/// A line, or why it is not read.
pub(super) type Line<'a> = Result<&'a [u8], RowError>;

impl<'a> Lines<'a> {
    /// Opens a file; lines have `most` bytes at most.
    pub(super) fn open(path: &'a Path, most: usize) -> Result<Self, ImportError> {
        let reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(file(path))?);
        Ok(Self { path, reader, most, number: 0, bytes: 0, line: Vec::new() })
    }

    /// The next line without its end; empty ones are passed over.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Line<'_>)>, ImportError> {
        loop {
            self.line.clear();
            let limit = self.most as u64 + 2;
            let read = (&mut self.reader).take(limit).read_until(b'\n', &mut self.line);
            let read = read.map_err(file(self.path))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            self.bytes += read as u64;
            let whole = self.line.ends_with(b"\n") || (read as u64) < limit;
            if !whole {
                self.skip()?;
            }
            while self.line.last().is_some_and(u8::is_ascii_whitespace) {
                self.line.pop();
            }
            if !whole || self.line.len() > self.most {
                return Ok(Some((self.number, Err(RowError::TooLong(self.most)))));
            }
            if !self.line.is_empty() {
                return Ok(Some((self.number, Ok(&self.line))));
            }
        }
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads the rest of a line away.
    fn skip(&mut self) -> Result<(), ImportError> {
        let mut rest = Vec::new();
        while !rest.ends_with(b"\n") {
            rest.clear();
            let read = (&mut self.reader).take(1 << 16).read_until(b'\n', &mut rest);
            let read = read.map_err(file(self.path))?;
            self.bytes += read as u64;
            if read == 0 {
                break;
            }
        }
        Ok(())
    }
}
