use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::runtime_directory::RuntimeError;

/// Why the store could not do what it was asked for.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    /// The state directory cannot be had.
    #[error("{0}")]
    Directory(#[from] RuntimeError),
    /// The file system refused.
    #[error("{path}: {error}")]
    File {
        /// What was read or written.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// SQLite refused.
    #[error("the database: {0}")]
    Database(#[from] rusqlite::Error),
    /// What was read is not what was written.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The machine key cannot be used.
    #[error("{path}: {detail}")]
    Key {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// The system has no random numbers.
    #[error("the system's random generator failed")]
    Randomness,
}

/// The error of a file.
pub(super) fn of_file(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |error| StoreError::File { path, error }
}
