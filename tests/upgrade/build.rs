//! Further builds of the image, made of its own files in seconds.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{SLOT_A, folder, image};

/// The bundle that was made beside the image.
pub(crate) fn first() -> PathBuf {
    folder("image").join("causeway.bundle")
}

/// The build that the image is.
pub(crate) fn number() -> u64 {
    told(&first(), "build").parse().unwrap()
}

/// What the manifest of a bundle says.
pub(crate) fn told(bundle: &Path, name: &str) -> String {
    let octets = fs::read(bundle).unwrap();
    let text = String::from_utf8_lossy(&octets[18..1024]).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name}=")));
    line.unwrap().to_owned()
}

/// A bundle like that of the image: another version, so many seconds newer, and what else is changed in its tree.
pub(crate) fn repacked(work: &Path, version: &str, newer: i64, change: impl FnOnce(&Path)) -> PathBuf {
    let (root, bundle) = (work.join("root"), work.join(format!("{version}.bundle")));
    let offset = SLOT_A.to_string();
    run(Command::new("unsquashfs")
        .args(["-q", "-n", "-f", "-o", &offset, "-d"])
        .arg(&root)
        .arg(image()));
    fs::write(root.join("etc/causeway-version"), format!("{version}\n")).unwrap();
    change(&root);
    sealed(&root, &bundle, version, newer);
    fs::remove_dir_all(root).unwrap();
    bundle
}

/// A bundle that is signed, and of which nobody needs more than the manifest.
pub(crate) fn made_of_nothing(work: &Path, version: &str, newer: i64) -> PathBuf {
    let (root, bundle) = (work.join("nothing"), work.join(format!("{version}.bundle")));
    fs::create_dir(&root).unwrap();
    sealed(&root, &bundle, version, newer);
    bundle
}

fn sealed(root: &Path, bundle: &Path, version: &str, newer: i64) {
    let build = number().checked_add_signed(newer).unwrap().to_string();
    run(Command::new(folder("debug").join("image-builder"))
        .args(["bundle", "--epoch", &build, "--image-version", version, "--root"])
        .arg(root)
        .arg("--keys")
        .arg(folder("image-keys"))
        .arg("--output")
        .arg(bundle));
}

/// A causewayd that ends as soon as it is started.
pub(crate) fn without_daemon(root: &Path) {
    let daemon = root.join("usr/sbin/causewayd");
    fs::remove_file(&daemon).unwrap();
    fs::write(&daemon, "#!/bin/sh\necho this one never starts >&2\nexit 1\n").unwrap();
    fs::set_permissions(&daemon, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A causewayd that stops for ever once it has answered, and stays a process.
pub(crate) fn with_daemon_that_hangs(root: &Path) {
    let (hang, table) = (root.join("etc/hang"), root.join("etc/inittab"));
    let script = "#!/bin/sh\nPATH=/usr/sbin:/usr/bin\nuntil causeway certificate >/dev/null 2>&1; do sleep 1; done\n\
                  kill -STOP $(pidof causewayd)\necho causewayd hangs >/dev/console\n";
    fs::write(&hang, script).unwrap();
    fs::set_permissions(&hang, fs::Permissions::from_mode(0o755)).unwrap();
    let with = format!("{}::once:/etc/hang\n", fs::read_to_string(&table).unwrap());
    fs::write(&table, with).unwrap();
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {done:?}");
}
