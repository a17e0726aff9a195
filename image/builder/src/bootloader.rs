//! GRUB for both kinds of firmware, with one configuration.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::disk::Drive;
use crate::rootfs::source;
use crate::secure_boot::SecureBoot;
use crate::tool;

const MODULES: &[&str] = &[
    "boot",
    "configfile",
    "echo",
    "fat",
    "gcry_rsa",
    "gcry_sha256",
    "gzio",
    "linux",
    "loadenv",
    "normal",
    "part_gpt",
    "pgp",
    "reboot",
    "regexp",
    "search",
    "search_fs_file",
    "serial",
    "sleep",
    "squash4",
    "terminal",
    "test",
    "xzio",
];
/// The configuration of the disk that GRUB came from is asked for first: another disk may have one, too. A user that nobody is
/// closes the command line; what is not signed is not read, and the machine starts again.
const EARLY: &str = "set superusers=nobody\n\
                     export superusers\n\
                     set check_signatures=enforce\n\
                     export check_signatures\n\
                     search --no-floppy --set=root --file /causeway/grub.cfg --hint $root --hint $root,\n\
                     configfile ($root)/causeway/grub.cfg\n\
                     echo \"the boot loader finds no configuration that is signed\"\n\
                     sleep 10\n\
                     reboot\n";
/// What UEFI starts from a disk that it was told nothing of (UEFI 2.10, section 3.5.1.1).
const EFI: &str = "BOOTX64.EFI";
const BOOT_SECTOR: &str = "/usr/lib/grub/i386-pc/boot.img";
/// Octets of the first sector that hold code; behind them is the table of partitions.
const CODE: usize = 440;
/// Where the boot sector says at which sector the core begins.
const CORE_SECTOR: usize = 0x5c;
/// A jump that a boot sector on a hard disk does without: some BIOSes pass a wrong number of the drive.
const DRIVE_CHECK: usize = 0x66;
/// Where the core says at which sector its second one is.
const REST_SECTOR: usize = 0x1f4;

/// Puts GRUB where the BIOS finds it; what UEFI finds goes to the tree that [`esp`] is made of.
pub(crate) fn install(drive: &Drive<'_>, name: &str, trust: &SecureBoot, work: &Path) -> Result<()> {
    let early = work.join("early.cfg");
    fs::write(&early, EARLY)?;
    let bios = work.join("core.img");
    make("i386-pc", &early, &bios, trust, &["biosdisk"])?;
    let (efi, sbat) = (work.join(EFI), source().join("rootfs/sbat.csv"));
    let sbat = format!("--sbat={}", sbat.display());
    make("x86_64-efi", &early, &efi, trust, &["--disable-shim-lock", &sbat])?;
    trust.sign_loader(&efi)?;
    let start = drive.place(name)?.0;
    let sector = start / 512;
    let mut boot = fs::read(BOOT_SECTOR).context("grub-pc-bin is missing")?;
    patch(&mut boot, CORE_SECTOR, &sector.to_le_bytes())?;
    patch(&mut boot, DRIVE_CHECK, &[0x90, 0x90])?;
    drive.write(0, boot.get(..CODE).context("a short boot sector")?)?;
    let mut core = fs::read(&bios)?;
    patch(&mut core, REST_SECTOR, &(sector + 1).to_le_bytes())?;
    drive.write(start, &core)
}

fn make(platform: &str, early: &Path, output: &Path, trust: &SecureBoot, more: &[&str]) -> Result<()> {
    let mut command = Command::new("grub-mkimage");
    command.args(["-O", platform, "-p", "/causeway", "-c"]).arg(early);
    command.arg("--pubkey").arg(trust.public());
    command.arg("-o").arg(output).args(MODULES).args(more);
    tool::output(&mut command).map(drop)
}

fn patch(octets: &mut [u8], at: usize, value: &[u8]) -> Result<()> {
    let place = octets
        .get_mut(at..at + value.len())
        .context("a short piece of GRUB")?;
    place.copy_from_slice(value);
    Ok(())
}

/// What UEFI finds, with this configuration of `image/rootfs`.
pub(crate) fn tree(work: &Path, trust: &SecureBoot, configuration: &str) -> Result<PathBuf> {
    let tree = work.join("esp");
    for folder in ["EFI/BOOT", "causeway"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    fs::copy(work.join(EFI), tree.join("EFI/BOOT").join(EFI))?;
    let configuration = source().join("rootfs").join(configuration);
    let copy = tree.join("causeway/grub.cfg");
    fs::copy(configuration, &copy)?;
    trust.sign(&copy)?;
    Ok(tree)
}

/// The partition that UEFI reads.
pub(crate) fn esp(drive: &Drive<'_>, name: &str, epoch: u64, tree: &Path) -> Result<()> {
    volume(drive, epoch, tree, &[name, "32", "1"])
}

/// Puts the slot table where GRUB finds it: in a file of one cluster, which is never moved, alone in a partition.
pub(crate) fn table(drive: &Drive<'_>, epoch: u64, work: &Path, block: &[u8]) -> Result<()> {
    let tree = work.join("environment");
    fs::create_dir_all(&tree)?;
    fs::write(tree.join("table"), block)?;
    volume(drive, epoch, &tree, &["environment", "12", "2"])
}

/// Makes a FAT file system of a tree: the name of its partition, the bits of its entries, the sectors of a cluster.
fn volume(drive: &Drive<'_>, epoch: u64, tree: &Path, [name, bits, sectors]: &[&str; 3]) -> Result<()> {
    let (start, size) = drive.place(name)?;
    let file = tree.with_extension("fat");
    let script = "find \"$1\" -exec touch -h -d \"@$3\" {} +; truncate -s \"$4\" \"$2\"; \
                  mkfs.vfat --invariant -F \"$5\" -s \"$6\" \"$2\"; cd \"$1\"; mcopy -s -m -i \"$2\" * ::";
    let mut command = Command::new("sh");
    command.args(["-ec", script, "volume"]).arg(tree).arg(&file);
    command.args([&epoch.to_string(), &size.to_string(), *bits, *sectors]);
    command
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .env("TZ", "UTC");
    tool::output(&mut command)?;
    drive.write(start, &fs::read(file)?)
}
