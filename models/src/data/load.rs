//! The data folder's files: gzipped text, tab-separated, the source in a column. Every row is looked at: what
//! is no row of names stops the run with file and row, before anything is trained or written.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use dnsvet_core::name::{Name, NameError};
use flate2::read::MultiGzDecoder;

use super::Class;

/// Benign names: `name, rank, source, clean|single`.
const BENIGN: &str = "benign-train-meta.tsv.gz";
/// Malicious names: `name, source[/family], category`.
const MALICIOUS: &str = "malicious-train.tsv.gz";
/// Names that malware generated: `name, family`. May be absent.
const GENERATED: &str = "dga-train.tsv.gz";

/// Why names could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file is missing or can't be read.
    #[error("{}: {source}; --data takes the folder with {BENIGN} and {MALICIOUS}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A row is none of the file's kind.
    #[error("{}:{row}: {fault}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// What is wrong with it.
        fault: RowFault,
    },
    /// A class without names.
    #[error("{}: no {class} names of {sources} sources; a model needs both classes", path.display())]
    Empty {
        /// The file or folder.
        path: PathBuf,
        /// Which class.
        class: &'static str,
        /// Which sources were asked for.
        sources: &'static str,
    },
}

/// What is wrong with a row.
#[derive(Debug, thiserror::Error)]
pub enum RowFault {
    /// Bytes that are no text.
    #[error("not UTF-8 text; is this another kind of file?")]
    Text,
    /// Another number of columns.
    #[error("{got} tab-separated columns, {expected} are needed")]
    Columns {
        /// As many as the row has.
        got: usize,
        /// As many as the file has.
        expected: usize,
    },
    /// The first column holds no name.
    #[error("{name:?} is no name: {source}")]
    Name {
        /// The text, cut to a length that a terminal holds.
        name: String,
        /// Why.
        source: NameError,
    },
    /// A name in another form than the product would score.
    #[error("{name:?} should be written {canonical:?}: lower case, punycode, no dot at the end")]
    Form {
        /// As written.
        name: String,
        /// As it must be.
        canonical: String,
    },
    /// A word that the column does not know.
    #[error("{got:?} in column {column}; one of {expected} is needed")]
    Word {
        /// Which column, from 1.
        column: usize,
        /// What stands there.
        got: String,
        /// What may.
        expected: &'static str,
    },
    /// No source.
    #[error("column {0} names no source")]
    Source(usize),
    /// A name twice.
    #[error("{name:?} was in {}:{row} already, keep one of the two rows", path.display())]
    Twice {
        /// The name.
        name: String,
        /// Where it was first.
        path: PathBuf,
        /// The row there.
        row: usize,
    },
}

/// One row of any of the files.
#[derive(Debug)]
pub(super) struct Row {
    pub name: String,
    pub class: Class,
    /// In two independent lists, or .edu, .gov.
    pub clean: bool,
    /// Source, or `source/family`.
    pub origin: String,
}

/// The rows of all files, in their order.
pub(super) fn rows(dir: &Path) -> Result<Vec<Row>, DataError> {
    let mut reader = Rows::default();
    reader.read(&dir.join(BENIGN), 4, |columns| {
        let clean = match columns[3] {
            "clean" => true,
            "single" => false,
            other => return Err(word(4, other, "clean, single")),
        };
        Ok((Class::Benign, clean, columns[2].to_owned()))
    })?;
    reader.read(&dir.join(MALICIOUS), 3, |columns| {
        let class = match columns[2] {
            "phishing" => Class::Phishing,
            "malware" => Class::Malware,
            "c2" => Class::CommandAndControl,
            "scam" => Class::Scam,
            other => return Err(word(3, other, "phishing, malware, c2, scam")),
        };
        Ok((class, false, columns[1].to_owned()))
    })?;
    let generated = dir.join(GENERATED);
    if generated.exists() {
        reader.read(&generated, 2, |columns| Ok((Class::Generated, false, format!("dga/{}", columns[1]))))?;
    }
    Ok(reader.rows)
}

fn word(column: usize, got: &str, expected: &'static str) -> RowFault {
    RowFault::Word { column, got: shown(got), expected }
}

/// A text for a message: escaped there, and never long.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// Where each name was first.
    seen: HashMap<String, Place>,
    files: Vec<PathBuf>,
}

struct Place {
    /// Index in [`Rows::files`].
    file: usize,
    row: usize,
    class: Class,
}

impl Place {
    fn is_other_file_of_the_same_side(&self, file: usize, class: Class) -> bool {
        self.file != file && (self.class == Class::Benign) == (class == Class::Benign)
    }
}

impl Rows {
    fn read(
        &mut self,
        path: &Path,
        columns: usize,
        meaning: impl Fn(&[&str]) -> Result<(Class, bool, String), RowFault>,
    ) -> Result<(), DataError> {
        let file = self.files.len();
        self.files.push(path.to_owned());
        let mut text = Vec::new();
        let mut reader = open(path)?;
        for number in 1.. {
            text.clear();
            let read = |source| DataError::Read { path: path.to_owned(), source };
            if reader.read_until(b'\n', &mut text).map_err(read)? == 0 {
                return Ok(());
            }
            let fault = |fault| DataError::Row { path: path.to_owned(), row: number, fault };
            let line = std::str::from_utf8(&text).map_err(|_| fault(RowFault::Text))?;
            let line = line.trim_end_matches(['\n', '\r']);
            let parts: Vec<&str> = line.split('\t').collect();
            if parts.len() != columns {
                return Err(fault(RowFault::Columns { got: parts.len(), expected: columns }));
            }
            let name = canonical(parts[0]).map_err(fault)?;
            let (class, clean, origin) = meaning(&parts).map_err(fault)?;
            if origin.split('/').next().is_none_or(str::is_empty) {
                return Err(fault(RowFault::Source(if class == Class::Benign { 3 } else { 2 })));
            }
            match self.seen.entry(name) {
                // Malware lists hold names that malware generated, too; the first file's word is kept.
                Entry::Occupied(first) if first.get().is_other_file_of_the_same_side(file, class) => {}
                Entry::Occupied(first) => {
                    let Place { file, row, .. } = *first.get();
                    let (name, path) = (first.key().clone(), self.files[file].clone());
                    return Err(fault(RowFault::Twice { name, path, row }));
                }
                Entry::Vacant(free) => {
                    self.rows.push(Row { name: free.key().clone(), class, clean, origin });
                    free.insert(Place { file, row: number, class });
                }
            }
        }
        Ok(())
    }
}

fn canonical(text: &str) -> Result<String, RowFault> {
    let name = Name::parse(text).map_err(|source| RowFault::Name { name: shown(text), source })?;
    if name.as_str() == text && !name.is_root() {
        return Ok(text.to_owned());
    }
    Err(RowFault::Form { name: shown(text), canonical: name.as_str().to_owned() })
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, DataError> {
    let file = File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let gzipped = path.extension().is_some_and(|extension| extension == "gz");
    Ok(if gzipped {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    })
}

/// The lines of a file, gzipped if its name says so.
pub fn lines(path: &Path) -> Result<Vec<String>, DataError> {
    let lines = open(path)?.lines().collect::<Result<_, _>>();
    lines.map_err(|source| DataError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const GOOD: &[u8] = b"a.com\t1\tmine\tclean\nb.com\t\tmine\tsingle\n";
    const BAD: &[u8] = b"c.top\tmine/family\tc2\n";

    fn folder(benign: &[u8], malicious: &[u8]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [(BENIGN, benign), (MALICIOUS, malicious)] {
            let mut gz = GzEncoder::new(File::create(dir.path().join(file)).unwrap(), Compression::fast());
            gz.write_all(text).unwrap();
            gz.finish().unwrap();
        }
        dir
    }

    #[test]
    fn rows_are_read_with_class_and_origin() {
        let dir = folder(GOOD, BAD);
        let rows = rows(dir.path()).unwrap();
        let told: Vec<_> = rows.iter().map(|row| (&*row.name, row.class, row.clean, &*row.origin)).collect();
        let expected = [
            ("a.com", Class::Benign, true, "mine"),
            ("b.com", Class::Benign, false, "mine"),
            ("c.top", Class::CommandAndControl, false, "mine/family"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_generated_name_on_a_malware_list_counts_once() {
        let dir = folder(GOOD, BAD);
        let mut gz = GzEncoder::new(File::create(dir.path().join(GENERATED)).unwrap(), Compression::fast());
        gz.write_all(b"c.top\tfamily\nd.top\tfamily\n").unwrap();
        gz.finish().unwrap();
        let rows = rows(dir.path()).unwrap();
        let told: Vec<_> = rows[2..].iter().map(|row| (&*row.name, row.class, &*row.origin)).collect();
        let expected =
            [("c.top", Class::CommandAndControl, "mine/family"), ("d.top", Class::Generated, "dga/family")];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_bad_row_is_told_with_file_and_row() {
        let long = format!("{}.com\tmine\tc2\n", vec!["x".repeat(60); 5].join("."));
        let cases: [(&[u8], &str); 10] = [
            (b"c.top\tmine\tc2\n\x00\xff\xfe\tmine\tc2\n", "malicious-train.tsv.gz:2: not UTF-8"),
            (b"c.top\tmine\n", "malicious-train.tsv.gz:1: 2 tab-separated columns, 3 are needed"),
            (b"\n", "malicious-train.tsv.gz:1: 1 tab-separated"),
            (b"c..top\tmine\tc2\n", "malicious-train.tsv.gz:1: \"c..top\" is no name: empty label"),
            (long.as_bytes(), "is no name: name of"),
            (b"C.top.\tmine\tc2\n", "should be written \"c.top\""),
            (b"c.top\tmine\tbad\n", "\"bad\" in column 3; one of phishing"),
            (b"c.top\t/family\tc2\n", "column 2 names no source"),
            (b"c.top\tmine\tc2\nc.top\tother\tc2\n", "malicious-train.tsv.gz:2: \"c.top\" was in"),
            (b"b.com\tmine\tc2\n", "benign-train-meta.tsv.gz:2 already"),
        ];
        for (malicious, says) in cases {
            let dir = folder(GOOD, malicious);
            let error = rows(dir.path()).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_not_gzipped_is_named() {
        let dir = folder(GOOD, BAD);
        std::fs::write(dir.path().join(MALICIOUS), "c.top\tmine\tc2\n").unwrap();
        let error = rows(dir.path()).unwrap_err().to_string();
        assert!(error.contains("malicious-train.tsv.gz: ") && error.contains("--data"), "{error}");
        std::fs::remove_file(dir.path().join(BENIGN)).unwrap();
        let error = rows(dir.path()).unwrap_err().to_string();
        assert!(error.contains("benign-train-meta.tsv.gz: "), "{error}");
    }
}
