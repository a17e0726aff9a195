//! Drivers, and the first file system that the kernel starts from: it finds and checks the slot.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::rootfs::source;
use crate::{Arguments, tool};

/// Programs of the first file system, and the libraries that they need.
const FILES: &[&str] = &[
    "usr/bin/busybox",
    "usr/sbin/dmsetup",
    "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    "usr/lib/x86_64-linux-gnu/libc.so.6",
    "usr/lib/x86_64-linux-gnu/libdevmapper.so.1.02.1",
    "usr/lib/x86_64-linux-gnu/libgcc_s.so.1",
    "usr/lib/x86_64-linux-gnu/libm.so.6",
    "usr/lib/x86_64-linux-gnu/libpcre2-8.so.0",
    "usr/lib/x86_64-linux-gnu/libselinux.so.1",
    "usr/lib/x86_64-linux-gnu/libudev.so.1",
];

/// Puts the kernel and the drivers that `image/kernel/modules` lists into the tree, unpacked, for the tree is packed as a whole.
pub(crate) fn drivers(from: &Path, root: &Path) -> Result<()> {
    let version = version(from)?;
    fs::copy(
        from.join(format!("boot/vmlinuz-{version}")),
        root.join("boot/vmlinuz"),
    )?;
    tool::output(Command::new("depmod").arg("-b").arg(from).arg(&version))?;
    let to = root.join("usr/lib/modules").join(&version);
    for module in with_needs(from, &version, &["early", "later"])? {
        let inside = module.strip_prefix(from.join("lib/modules").join(&version))?;
        let target = to.join(inside).with_extension("");
        fs::create_dir_all(target.parent().context("a module in no folder")?)?;
        unpack(&module, &target)?;
    }
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::copy(from.join("lib/modules").join(&version).join(list), to.join(list))?;
    }
    tool::output(Command::new("depmod").arg("-b").arg(root).arg(&version)).map(drop)
}

/// Packs the first file system, from what is in the tree by now.
pub(crate) fn make(arguments: &Arguments, root: &Path) -> Result<()> {
    let work = tempfile::tempdir()?;
    let tree = work.path();
    for folder in [
        "bin",
        "dev",
        "lib64",
        "lib/x86_64-linux-gnu",
        "modules",
        "proc",
        "root",
        "sys",
    ] {
        fs::create_dir_all(tree.join(folder))?;
    }
    for file in FILES {
        let name = Path::new(file).file_name().context("a file without a name")?;
        let folder = match file {
            file if file.contains("/ld-linux") => "lib64",
            file if file.contains(".so") => "lib/x86_64-linux-gnu",
            _ => "bin",
        };
        fs::copy(root.join(file), tree.join(folder).join(name)).with_context(|| (*file).to_owned())?;
    }
    let modules = root.join("usr/lib/modules");
    let version = version_in(&modules)?;
    let early = with_needs(root, &version, &["early"])?;
    for (number, module) in early.iter().enumerate() {
        let name = module.file_name().context("a module without a name")?;
        let target = format!("modules/{number:03}-{}", name.to_string_lossy());
        fs::copy(module, tree.join(target))?;
    }
    without_indexes(&modules.join(&version))?;
    let init = tree.join("init");
    fs::copy(source().join("rootfs/initrd-init"), &init)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let verifier = "image-verifier";
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(tree.join("bin").join(verifier));
    tool::output(strip.arg(arguments.programs.join(verifier)))?;
    fs::copy(root.join("etc/causeway-keys"), tree.join("keys"))?;
    pack(tree, arguments.named.epoch, &root.join("boot/initrd"))
}

/// Packs a tree as the kernel takes it for its first file system, alone or behind another one.
pub(crate) fn pack(tree: &Path, epoch: u64, to: &Path) -> Result<()> {
    let script = "find . -exec touch -h -d \"@$2\" {} + && find . | LC_ALL=C sort | \
                  cpio -o -H newc --quiet --reproducible -R 0:0 | xz -9 --check=crc32 >\"$1\"";
    let mut pack = Command::new("sh");
    pack.args(["-ec", script, "pack"]).arg(to);
    tool::output(pack.arg(epoch.to_string()).current_dir(tree)).map(drop)
}

/// Puts the drivers of the installer into a tree of its own: they are loaded after those of the first file system.
pub(crate) fn installer_drivers(from: &Path, to: &Path) -> Result<()> {
    let version = version(from)?;
    let early = with_needs(from, &version, &["early"])?;
    let all = with_needs(from, &version, &["installer"])?;
    let more = all.iter().filter(|module| !early.contains(module));
    for (number, module) in (early.len()..).zip(more) {
        let name = module.file_stem().context("a module without a name")?;
        unpack(
            module,
            &to.join(format!("{number:03}-{}", name.to_string_lossy())),
        )?;
    }
    Ok(())
}

/// Busybox reads the lists of drivers as text.
fn without_indexes(modules: &Path) -> Result<()> {
    for index in fs::read_dir(modules)? {
        let path = index?.path();
        if path.extension().is_some_and(|extension| extension == "bin") {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn version(from: &Path) -> Result<String> {
    version_in(&from.join("lib/modules"))
}

fn version_in(modules: &Path) -> Result<String> {
    let entry = fs::read_dir(modules)?
        .next()
        .context("a kernel without modules")??;
    Ok(entry.file_name().to_string_lossy().into_owned())
}

/// Files of the listed drivers of these kinds, and of what they need, in the order to load them.
fn with_needs(base: &Path, version: &str, kinds: &[&str]) -> Result<Vec<PathBuf>> {
    let list = fs::read_to_string(source().join("kernel/modules"))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for line in list.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|kind| kinds.contains(&kind)) {
            continue;
        }
        let mut show = Command::new("modprobe");
        show.args(["-C", "/dev/null", "-d"]).arg(base);
        show.args(["-S", version, "-a", "--show-depends"]);
        for file in tool::output(show.args(words))?.lines() {
            let Some(file) = file.strip_prefix("insmod ") else {
                continue;
            };
            let file = PathBuf::from(file.trim());
            if !files.contains(&file) {
                files.push(file);
            }
        }
    }
    Ok(files)
}

fn unpack(module: &Path, target: &Path) -> Result<()> {
    let mut xz = Command::new("sh");
    xz.args(["-ec", "xz -dc \"$1\" >\"$2\"", "unpack"]);
    tool::output(xz.arg(module).arg(target)).map(drop)
}
