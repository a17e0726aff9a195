//! The directory of the control socket, held by one daemon at a time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;
use tokio::net::UnixListener;

/// Why the directory cannot be used.
#[derive(Debug, Error)]
pub(crate) enum RuntimeError {
    /// Another daemon serves it.
    #[error("{directory} is held by causewayd (pid {pid}): give this one another {flag}")]
    Held {
        /// The directory.
        directory: PathBuf,
        /// What says where it is.
        flag: &'static str,
        /// Who holds it, as it wrote itself.
        pid: String,
    },
    /// The file system refused.
    #[error("{path}: {error}")]
    Refused {
        /// What was to be made or opened.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
}

/// The directory, locked until dropped or the process ends.
#[derive(Debug)]
pub(crate) struct RuntimeDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl RuntimeDirectory {
    /// Makes the directory if it is not there, and locks it.
    pub(crate) fn lock(path: &Path) -> Result<Self, RuntimeError> {
        let lock = hold(path, 0o755, "--runtime")?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Binds the control socket, for the owner only. What an earlier daemon left behind is replaced.
    pub(crate) fn listen(&self) -> Result<UnixListener, RuntimeError> {
        let (path, fresh) = (self.socket(), self.path.join("control.sock.new"));
        for stale in [&path, &fresh] {
            match fs::remove_file(stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(stale)(error)),
                _ => (),
            }
        }
        // Nobody can connect by the public name before the mode is set.
        let listener = UnixListener::bind(&fresh).map_err(refused(&fresh))?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).map_err(refused(&fresh))?;
        fs::rename(&fresh, &path).map_err(refused(&path))?;
        Ok(listener)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }
}

impl Drop for RuntimeDirectory {
    fn drop(&mut self) {
        // A socket left behind is replaced by the next start.
        let _left_behind = fs::remove_file(self.socket());
    }
}

/// Makes a directory if it is not there, and locks it for this process; `flag` says where it is.
pub(crate) fn hold(path: &Path, mode: u32, flag: &'static str) -> Result<Flock<File>, RuntimeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(refused(path))?;
    let lock_path = path.join("causewayd.lock");
    let open = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path);
    let file = open.map_err(refused(&lock_path))?;
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(mut file, _)| {
        let mut pid = String::new();
        // Only for the message.
        let _unknown = file.read_to_string(&mut pid);
        RuntimeError::Held {
            directory: path.to_owned(),
            flag,
            pid: pid.trim().to_owned(),
        }
    })?;
    let write_pid = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write_pid(&mut lock).map_err(refused(&lock_path))?;
    Ok(lock)
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> RuntimeError {
    let path = path.to_owned();
    move |error| RuntimeError::Refused { path, error }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_daemon_holds_a_directory_and_its_socket_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let held = RuntimeDirectory::lock(directory.path()).unwrap();
        let _listener = held.listen().unwrap();
        let mode = fs::metadata(held.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refusal = RuntimeDirectory::lock(directory.path()).unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("pid {}", std::process::id())),
            "{refusal}"
        );
        drop(held);
        RuntimeDirectory::lock(directory.path())
            .unwrap()
            .listen()
            .unwrap();
    }
}
