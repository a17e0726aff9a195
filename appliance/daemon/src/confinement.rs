//! What is given up once everything that needs it is open.

use std::path::{Path, PathBuf};

use tracing::warn;

use crate::control::Origin;
use crate::sandbox::{self, Reach};
use crate::{Arguments, privileges};

/// Gives up what is no longer needed. Must come before the first worker: a thread passes its confinement on to those that
/// it starts.
pub(crate) fn confine(
    origin: &Origin,
    arguments: &Arguments,
    runtime_directory: &Path,
) -> anyhow::Result<()> {
    privileges::reduce()?;
    let (read, mut write) = (folders_of(origin), vec![runtime_directory]);
    match origin {
        Origin::Files(_) => (),
        Origin::Store(_) => write.extend([arguments.state.as_path(), &arguments.image]),
    }
    let read: Vec<&Path> = read.iter().map(PathBuf::as_path).collect();
    let lacking = sandbox::enter(&Reach {
        read: &read,
        write: &write,
    })?;
    if !lacking.is_empty() {
        warn!(lacking, "confined only in part");
    }
    Ok(())
}

/// The folders of the files that are read again.
fn folders_of(origin: &Origin) -> Vec<PathBuf> {
    let Origin::Files(files) = origin else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = Vec::new();
    for path in [&files.config, &files.secrets] {
        // What lies behind a link, too; and beside it, since whoever replaces it whole puts another in its place.
        for path in [path.clone(), path.canonicalize().unwrap_or_default()] {
            let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            folders.push(parent.unwrap_or(Path::new(".")).to_owned());
        }
    }
    folders.retain(|folder| folder.parent().is_some());
    folders.push(files.secrets.clone());
    folders
}
