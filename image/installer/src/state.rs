//! The state partition of a disk: what comes along into it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image_slots::Content;

use crate::disk::Kept;
use crate::machine;
use crate::write::InstallError;

const BUSYBOX: &str = "/bin/busybox";
/// The number of the partition, as `image/builder/src/disk.rs` lays the disk out.
const STATE: usize = 6;

fn failed(words: &str) -> InstallError {
    InstallError::State(words.to_owned())
}

/// Runs a command of busybox; what it complains of.
fn busybox(arguments: &[&str]) -> Result<String, InstallError> {
    let done = Command::new(BUSYBOX).args(arguments).output();
    let done = done.map_err(|error| InstallError::State(format!("cannot be worked on: {error}")))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(InstallError::State(format!("cannot be worked on: {said}")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// Something that is mounted until it is dropped.
struct Mounted(&'static str);

impl Mounted {
    fn new(device: &Path, kind: &str, option: &str, at: &'static str) -> Result<Self, InstallError> {
        let device = device.to_str().ok_or_else(|| failed("has no name"))?;
        fs::create_dir_all(at).map_err(|error| InstallError::State(error.to_string()))?;
        busybox(&["mount", "-t", kind, "-o", option, device, at])?;
        Ok(Self(at))
    }

    /// Writes out what is left, and tells when that fails.
    fn end(self) -> Result<(), InstallError> {
        busybox(&["sync"])?;
        busybox(&["umount", self.0]).map(drop)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Where it ended in order it is gone already.
        let _gone = busybox(&["umount", self.0]);
    }
}

fn of(disk: &str) -> Result<PathBuf, InstallError> {
    machine::partition(disk, STATE).ok_or_else(|| failed("is not found"))
}

/// The first digits of a hash tree's root: what a system's copy of the state is called, as `rootfs/etc/start` calls it.
fn copy_of(content: &Content) -> String {
    content.root.to_string().chars().take(16).collect()
}

/// Gives a new system a copy of the state that is on a disk; that of the system before stays as it is.
///
/// # Errors
/// When there is none, it cannot be read, or there is no room.
pub(crate) fn keep(disk: &str, kept: &Kept, new: &Content) -> Result<(), InstallError> {
    let mounted = Mounted::new(&of(disk)?, "ext4", "noatime", "/state")?;
    let systems = Path::new(mounted.0).join("systems");
    let [theirs, ours, half] = [copy_of(&kept.runs), copy_of(new), "new".to_owned()]
        .map(|name| systems.join(name).display().to_string());
    if !Path::new(&theirs).is_dir() {
        return Err(failed("has no configuration"));
    }
    if theirs != ours {
        busybox(&["rm", "-rf", &half, &ours])?;
        let copied = busybox(&["cp", "-a", &theirs, &half]).and_then(|_| busybox(&["sync"]));
        if let Err(error) = copied.and_then(|_| busybox(&["mv", &half, &ours])) {
            busybox(&["rm", "-rf", &half])?;
            return Err(error);
        }
    }
    mounted.end()
}

/// Puts the first configuration of a volume called CAUSEWAY into the state of a disk that was just written; whether there was one.
///
/// # Errors
/// When there is one and it cannot be copied.
pub(crate) fn seed(disk: &str) -> Result<bool, InstallError> {
    let Ok(volume) = busybox(&["findfs", "LABEL=CAUSEWAY"]) else {
        return Ok(false);
    };
    let volume = Mounted::new(Path::new(&volume), "vfat", "ro", "/volume")?;
    if !Path::new("/volume/causeway.json").is_file() {
        return Ok(false);
    }
    busybox(&["blockdev", "--rereadpt", &format!("/dev/{disk}")])?;
    let state = Mounted::new(&of(disk)?, "ext4", "noatime", "/state")?;
    busybox(&["mkdir", "-p", "-m", "700", "/state/seed"])?;
    busybox(&["cp", "/volume/causeway.json", "/state/seed/"])?;
    if Path::new("/volume/secrets").is_dir() {
        busybox(&["cp", "-r", "/volume/secrets", "/state/seed/"])?;
    }
    volume.end()?;
    state.end().map(|()| true)
}
