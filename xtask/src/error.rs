//! What can go wrong in a task.

use std::io;
use std::path::{Path, PathBuf};

/// Why a task stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be started.
    #[error("cannot start `{program}`: {source}")]
    Start {
        /// As it was called.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{command}` failed ({status})\n{output}")]
    Failed {
        /// With its arguments.
        command: String,
        /// Exit code or signal.
        status: String,
        /// The end of what it printed.
        output: String,
    },
    /// Something is not on this machine and could not be brought here.
    #[error("{what}; {remedy}")]
    Missing {
        /// What is missing, and why it is needed.
        what: String,
        /// What the reader can do.
        remedy: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A check found something: one line each.
    #[error("{}", .0.join("\n"))]
    Found(Vec<String>),
}

impl Error {
    /// A file error, for `map_err`.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |source| Error::File { path: path.to_owned(), source }
    }
}
