//! The root file system: chosen files of the packages, our programs, and what `image/rootfs` lays over them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::packages::Unpacked;
use crate::{Arguments, initrd, tool};

/// Programs of packages, beside busybox.
const PROGRAMS: &[&str] = &[
    "sbin/dmsetup",
    "sbin/e2fsck",
    "sbin/mke2fs",
    "sbin/resize2fs",
    "sbin/sfdisk",
    "usr/bin/partx",
    "usr/sbin/chronyd",
    "usr/sbin/nft",
];
/// Commands of busybox.
const COMMANDS: &[&str] = &[
    "basename",
    "blkdiscard",
    "cat",
    "chmod",
    "chown",
    "cp",
    "cut",
    "date",
    "dd",
    "df",
    "dirname",
    "find",
    "findfs",
    "grep",
    "head",
    "hostname",
    "init",
    "ip",
    "kill",
    "killall",
    "ln",
    "mkdir",
    "mkfifo",
    "modprobe",
    "mount",
    "mv",
    "pidof",
    "poweroff",
    "readlink",
    "reboot",
    "rm",
    "sed",
    "sh",
    "shred",
    "sleep",
    "sort",
    "stat",
    "sync",
    "tail",
    "timeout",
    "umount",
    "wc",
    "xargs",
];
const FOLDERS: &[&str] = &[
    "boot",
    "dev",
    "etc/ssl/certs",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib64",
    "usr/sbin",
    "usr/lib/x86_64-linux-gnu",
    "usr/share/doc",
    "var/lib/causeway",
];
/// Files laid over the base system, as `image/rootfs` has them.
const OVERLAY: &[&str] = &[
    "inittab",
    "chrony.conf",
    "clock",
    "slots",
    "start",
    "seed",
    "gateway",
    "trial",
    "reset",
    "screen",
    "stop",
    "watchdog",
];

/// The folder that holds `image`.
pub(crate) fn source() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Puts the whole tree together at `root`.
pub(crate) fn assemble(arguments: &Arguments, packages: &Unpacked, keys: &str, root: &Path) -> Result<()> {
    for folder in FOLDERS {
        fs::create_dir_all(root.join(folder))?;
    }
    for name in ["bin", "lib", "lib64", "sbin"] {
        symlink(format!("usr/{name}"), root.join(name))?;
    }
    symlink("../run", root.join("var/run"))?;
    let from = &packages.folder;
    for library in ["lib", "usr/lib"] {
        libraries(&from.join(library).join("x86_64-linux-gnu"), root)?;
    }
    symlink(
        "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
        root.join("usr/lib64/ld-linux-x86-64.so.2"),
    )?;
    for program in PROGRAMS {
        fs::copy(from.join(program), root.join("usr/sbin").join(name(program)?))
            .with_context(|| (*program).to_owned())?;
    }
    fs::copy(from.join("bin/busybox"), root.join("usr/bin/busybox"))?;
    for command in COMMANDS {
        symlink("/usr/bin/busybox", root.join("usr/sbin").join(command))?;
    }
    symlink("/usr/bin/busybox", root.join("usr/bin/sh"))?;
    for (program, place) in [("causewayd", "usr/sbin"), ("causeway", "usr/bin")] {
        let mut strip = Command::new("strip");
        strip.arg("-o").arg(root.join(place).join(program));
        tool::output(strip.arg(arguments.programs.join(program)))?;
    }
    licences(from, root)?;
    settings(arguments, from, root)?;
    fs::write(root.join("etc/causeway-keys"), keys)?;
    initrd::drivers(from, root)?;
    initrd::make(arguments, root)
}

fn name(path: &str) -> Result<&str> {
    path.rsplit('/').next().context("a path without a name")
}

/// Shared libraries and their links, without plug-ins and character sets.
fn libraries(from: &Path, root: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let to = root.join("usr/lib/x86_64-linux-gnu").join(&file_name);
        let kind = entry.file_type()?;
        if !file_name.contains(".so") || kind.is_dir() {
            continue;
        }
        if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Who has the rights in what is in the image, as each package tells it.
fn licences(from: &Path, root: &Path) -> Result<()> {
    for entry in fs::read_dir(from.join("usr/share/doc"))? {
        let entry = entry?;
        let copyright = entry.path().join("copyright");
        if copyright.is_file() {
            fs::copy(copyright, root.join("usr/share/doc").join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Files below `/etc`.
fn settings(arguments: &Arguments, from: &Path, root: &Path) -> Result<()> {
    let etc = root.join("etc");
    for file in OVERLAY {
        fs::copy(source().join("rootfs/etc").join(file), etc.join(file))?;
        let mode = if ["inittab", "chrony.conf"].contains(file) {
            0o644
        } else {
            0o755
        };
        fs::set_permissions(etc.join(file), fs::Permissions::from_mode(mode))?;
    }
    fs::write(
        etc.join("causeway-version"),
        format!("{}\n", arguments.named.image_version),
    )?;
    // Who keeps the clock is nobody else, by the name that Debian's chronyd has for that.
    fs::write(
        etc.join("passwd"),
        "root:x:0:0:root:/:/bin/sh\n_chrony:x:100:100::/run/chrony:/bin/false\n",
    )?;
    fs::write(etc.join("group"), "root:x:0:\n_chrony:x:100:\n")?;
    fs::write(etc.join("hosts"), "127.0.0.1 localhost\n::1 localhost\n")?;
    fs::write(
        etc.join("nsswitch.conf"),
        "passwd: files\ngroup: files\nhosts: files dns\n",
    )?;
    symlink("/run/image/resolv.conf", etc.join("resolv.conf"))?;
    let mut roots: Vec<PathBuf> = fs::read_dir(from.join("usr/share/ca-certificates/mozilla"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    roots.sort();
    let mut bundle = Vec::new();
    for path in roots {
        bundle.extend(fs::read(path)?);
    }
    Ok(fs::write(etc.join("ssl/certs/ca-certificates.crt"), bundle)?)
}
