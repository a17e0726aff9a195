use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reach::Reach;
use crate::store::replace;

/// A system that did not become good, or could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// When it was found, in words.
    pub(crate) at: String,
    /// Its version.
    pub(crate) version: String,
    /// Its build.
    pub(crate) build: u64,
    /// Why, in one stable word.
    pub(crate) reason: String,
    /// More, for people.
    pub(crate) detail: String,
}

/// A system that was uploaded, and that nobody has tried yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Staged {
    /// The root of its hash tree, in digits: of another system in the slot nothing is said here.
    pub(super) root: String,
    /// Who wants it installed in the next window, if anybody does.
    pub(super) by: Option<String>,
    /// Although it is older than what runs.
    pub(super) allow_downgrade: bool,
}

/// What systems in both slots leave for each other, beside their own copies of everything else.
#[derive(Debug)]
pub(super) struct Notes {
    folder: PathBuf,
}

impl Notes {
    /// In this folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// How the machine could be reached before the switch.
    pub(super) fn before(&self) -> Option<Reach> {
        self.read("before.json")
    }

    /// Leaves that for the system that comes; what an earlier one left is gone.
    pub(super) fn keep_before(&self, reach: &Reach) -> io::Result<()> {
        self.remove("failed")?;
        self.write("before.json", reach)
    }

    /// Why the system on trial gave up, as far as it could say: a word, and a line for people. `/etc/trial` of the image leaves
    /// the same.
    pub(super) fn failed(&self) -> Option<(String, String)> {
        let text = fs::read_to_string(self.folder.join("failed")).ok()?;
        let (reason, detail) = text.split_once('\n').unwrap_or((&text, ""));
        Some((reason.to_owned(), detail.trim().to_owned()))
    }

    /// Leaves that for the system that comes back.
    pub(super) fn keep_failed(&self, reason: &str, detail: &str) -> io::Result<()> {
        replace(
            &self.folder.join("failed"),
            format!("{reason}\n{detail}\n").as_bytes(),
        )
    }

    /// The last failure that was told.
    pub(super) fn last_failure(&self) -> Option<Failure> {
        self.read("last-failure.json")
    }

    /// Keeps the last failure.
    pub(super) fn keep_last_failure(&self, failure: &Failure) -> io::Result<()> {
        self.write("last-failure.json", failure)
    }

    /// What was uploaded, and what somebody wants with it.
    pub(super) fn staged(&self) -> Option<Staged> {
        self.read("staged.json")
    }

    /// Keeps that.
    pub(super) fn keep_staged(&self, staged: &Staged) -> io::Result<()> {
        self.write("staged.json", staged)
    }

    /// It was tried, or is not to be.
    pub(super) fn forget_staged(&self) -> io::Result<()> {
        self.remove("staged.json")
    }

    /// The trial is over. What was tried is not tried again by itself.
    pub(super) fn clear(&self) -> io::Result<()> {
        self.forget_staged()?;
        self.remove("before.json")?;
        self.remove("failed")
    }

    /// What is damaged is as good as missing: nothing that has to be is in it.
    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.folder.join(name)).ok()?).ok()
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> io::Result<()> {
        replace(&self.folder.join(name), &serde_json::to_vec(value)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        removed(&self.folder.join(name))
    }
}

fn removed(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
