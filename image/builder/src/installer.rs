//! The USB installer: the system that a slot has, and behind its first file system one more that writes it to a disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::disk::{Drive, MIB, Partition, pieces};
use crate::packages::Unpacked;
use crate::rootfs::source;
use crate::secure_boot::SecureBoot;
use crate::{Arguments, bootloader, initrd, tool};

/// What is needed of an image that was made before.
pub(crate) struct Made<'m> {
    /// The disk.
    pub(crate) image: &'m Path,
    /// The signed manifest of the system.
    pub(crate) manifest: &'m [u8],
    /// Who may have signed it.
    pub(crate) keys: &'m str,
    /// What the boot loader believes.
    pub(crate) trust: &'m SecureBoot,
    /// What is in the slot.
    pub(crate) system: &'m Path,
}

/// Makes the stick.
pub(crate) fn assemble(
    arguments: &Arguments,
    packages: &Unpacked,
    made: &Made<'_>,
    work: &Path,
    stick: &Path,
) -> Result<()> {
    let epoch = arguments.named.epoch;
    let system = fs::metadata(made.system)?.len().div_ceil(MIB);
    // GRUB asks for its configuration in the third partition first, as on the disk of a box.
    let partitions = [
        ("installer-bios", "ef02", 1),
        ("installer-system", "8304", system),
        ("installer-esp", "ef00", 40),
    ];
    let partitions = partitions.map(|(name, kind, mib)| Partition { name, kind, mib });
    let file = work.join("stick");
    let drive = Drive::new(&file, &partitions)?;
    bootloader::install(&drive, "installer-bios", made.trust, work)?;
    let tree = bootloader::tree(work, made.trust, "installer.cfg")?;
    let more = work.join("installer");
    first_file_system(arguments, packages, made, &more)?;
    let packed = tree.join("causeway/installer");
    initrd::pack(&more, epoch, &packed)?;
    made.trust.sign(&packed)?;
    bootloader::esp(&drive, "installer-esp", epoch, &tree)?;
    drive.fill("installer-system", made.system)?;
    fs::rename(&file, stick).context("moving the installer to its place")
}

/// What is laid over the first file system of the image.
fn first_file_system(arguments: &Arguments, packages: &Unpacked, made: &Made<'_>, to: &Path) -> Result<()> {
    for folder in ["bin", "layout", "lib/x86_64-linux-gnu", "modules"] {
        fs::create_dir_all(to.join(folder))?;
    }
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(to.join("bin/image-installer"));
    tool::output(strip.arg(arguments.programs.join("image-installer")))?;
    let library = "lib/x86_64-linux-gnu/libgcc_s.so.1";
    fs::copy(packages.folder.join(library), to.join(library)).context(library)?;
    let init = to.join("installer-init");
    fs::copy(source().join("rootfs/installer-init"), &init)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    initrd::installer_drivers(&packages.folder, &to.join("modules"))?;
    let layout = to.join("layout");
    fs::write(layout.join("manifest"), made.manifest)?;
    fs::write(layout.join("keys"), made.keys)?;
    pieces(made.image, |place, octets| {
        Ok(fs::write(layout.join(place.to_string()), octets)?)
    })
}
