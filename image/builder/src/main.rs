//! Makes the firmware image of Debian packages and our programs, without loop devices: the same input, the same octets.
#![allow(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod bill;
mod bootloader;
mod bundle;
mod disk;
mod initrd;
mod installer;
mod keys;
mod packages;
mod rootfs;
mod secure_boot;
mod system;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser};

use keys::Keys;
use secure_boot::SecureBoot;

/// Makes the firmware image and update bundles.
#[derive(Debug, Parser)]
#[command(name = "image-builder")]
enum Command {
    /// `causeway.img`, `causeway-installer.img`, `causeway.bundle`, and beside them the certificate for Secure Boot and the bill of materials.
    Image(Arguments),
    /// A bundle of a tree that is there.
    Bundle(Repacked),
}

#[derive(Debug, Args)]
struct Arguments {
    /// The folder that the artefacts go to.
    #[arg(long)]
    output: PathBuf,
    /// The folder with the programs, as cargo's release profile makes them.
    #[arg(long)]
    programs: PathBuf,
    #[command(flatten)]
    named: Named,
}

#[derive(Debug, Args)]
struct Repacked {
    /// The tree, as `unsquashfs` unpacks that of an image.
    #[arg(long)]
    root: PathBuf,
    /// The bundle.
    #[arg(long)]
    output: PathBuf,
    #[command(flatten)]
    named: Named,
}

/// What a system is called, and who signs it.
#[derive(Debug, Args)]
struct Named {
    /// Seconds since 1970 that stand for the time of every file; also says which of two images is older.
    #[arg(long)]
    epoch: u64,
    /// What the version is called.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    image_version: String,
    /// The folder with the keys that sign bundles and the boot loader; they are made where there are none.
    #[arg(long)]
    keys: PathBuf,
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Image(arguments) => image(&arguments),
        Command::Bundle(repacked) => {
            let work = tempfile::tempdir()?;
            let keys = repacked.named.keys()?;
            let system = system::seal(
                &repacked.root,
                &repacked.named,
                &keys,
                &work.path().join("system"),
            )?;
            bundle::write(&system, &keys, &repacked.output)?;
            announce(&repacked.output)
        }
    }
}

impl Named {
    /// The keys, once it is clear that the version is one.
    fn keys(&self) -> Result<Keys> {
        let version = &self.image_version;
        ensure!(
            image_slots::Content::is_version(version),
            "{version} is no version"
        );
        Keys::open(&self.keys)
    }
}

fn image(arguments: &Arguments) -> Result<()> {
    let named = &arguments.named;
    let keys = named.keys()?;
    fs::create_dir_all(&arguments.output)?;
    let work = tempfile::tempdir_in(&arguments.output)?;
    let unpacked = packages::unpack(&work.path().join("packages"))?;
    let root = work.path().join("root");
    rootfs::assemble(arguments, &unpacked, &keys.public()?, &root)?;
    let trust = SecureBoot::open(&named.keys, named.epoch)?;
    for file in ["boot/vmlinuz", "boot/initrd"] {
        trust.sign(&root.join(file))?;
    }
    let system = system::seal(&root, named, &keys, &work.path().join("system"))?;
    let image = arguments.output.join("causeway.img");
    disk::assemble(&system, named.epoch, &trust, work.path(), &image)?;
    let update = arguments.output.join("causeway.bundle");
    let manifest = bundle::write(&system, &keys, &update)?;
    let stick = arguments.output.join("causeway-installer.img");
    let made = installer::Made {
        image: &image,
        manifest: &manifest,
        keys: &keys.public()?,
        trust: &trust,
        system: &system.file,
    };
    installer::assemble(arguments, &unpacked, &made, work.path(), &stick)?;
    let bill = arguments.output.join("causeway.cdx.json");
    fs::write(&bill, bill::write(&unpacked, &named.image_version)?)?;
    let certificate = arguments.output.join("causeway-secure-boot.der");
    trust.certificate(&certificate)?;
    for artefact in [&image, &stick, &update, &certificate, &bill] {
        announce(artefact)?;
    }
    println!(
        "{:>12} octets  a system, of {} blocks and their hashes",
        fs::metadata(&system.file)?.len(),
        system.content.blocks
    );
    Ok(())
}

/// Prints the SHA-256 of an artefact, its size, and where it is.
fn announce(path: &Path) -> Result<()> {
    let said = tool::output(std::process::Command::new("sha256sum").arg(path))?;
    let hash = said.split_whitespace().next().context("sha256sum said nothing")?;
    println!(
        "{hash}  {:>12} octets  {}",
        fs::metadata(path)?.len(),
        path.display()
    );
    Ok(())
}
