//! The data folder's files: gzipped text, tab-separated, the source in a column.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{Example, SOURCES, example};

/// Why names could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file is missing or can't be read.
    #[error("{}: {source}; --data takes the folder with benign-train-meta.tsv.gz and malicious-train.tsv.gz", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line has too few columns.
    #[error("{}:{line}: {columns} tab-separated columns are needed", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// How many columns the file has.
        columns: usize,
    },
    /// No name is left after the sources were chosen.
    #[error("{}: no name of an allowed source with both classes in it", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
}

/// The lines of a file, gzipped if its name says so.
pub fn lines(path: &Path) -> Result<Vec<String>, DataError> {
    let read = |source| DataError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(read)?;
    let gzipped = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn BufRead> = if gzipped {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    reader.lines().collect::<Result<_, _>>().map_err(read)
}

/// `name, rank, source, clean|single`.
pub(super) fn benign(dir: &Path) -> Result<Vec<(&'static str, Example)>, DataError> {
    rows(&dir.join("benign-train-meta.tsv.gz"), 4, |columns| {
        let tag = allowed(columns[2])?;
        Some((tag, example(columns[0].to_owned(), false, columns[3] == "clean")))
    })
}

/// `name, source[/family], category`.
pub(super) fn malicious(dir: &Path) -> Result<Vec<(&'static str, Example)>, DataError> {
    rows(&dir.join("malicious-train.tsv.gz"), 3, |columns| {
        let tag = allowed(columns[1].split('/').next().unwrap_or_default())?;
        Some((tag, example(columns[0].to_owned(), true, false)))
    })
}

type Rows = Vec<(&'static str, Example)>;

fn rows(
    path: &Path,
    columns: usize,
    row: impl Fn(&[&str]) -> Option<(&'static str, Example)>,
) -> Result<Rows, DataError> {
    let mut rows = Vec::new();
    for (index, line) in lines(path)?.iter().enumerate() {
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.len() < columns {
            return Err(DataError::Columns { path: path.to_owned(), line: index + 1, columns });
        }
        rows.extend(row(&cells));
    }
    if rows.is_empty() {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    Ok(rows)
}

fn allowed(tag: &str) -> Option<&'static str> {
    SOURCES.iter().map(|source| source.tag).find(|known| *known == tag)
}
