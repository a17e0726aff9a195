//! Makes the firmware image of Debian packages and our programs, without loop devices: the same input, the same octets.
#![allow(clippy::print_stdout, reason = "a command line tool talks on standard output")]

mod bill;
mod bootloader;
mod disk;
mod initrd;
mod packages;
mod rootfs;
mod system;
mod tool;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;

/// Makes the firmware image: `causeway.img`, and its bill of materials beside it.
#[derive(Debug, Parser)]
#[command(name = "image-builder")]
struct Arguments {
    /// The folder that the artefacts go to.
    #[arg(long)]
    output: PathBuf,
    /// The folder with the programs, as cargo's release profile makes them.
    #[arg(long)]
    programs: PathBuf,
    /// Seconds since 1970 that stand for the time of every file; also says which of two images is older.
    #[arg(long)]
    epoch: u64,
    /// What the version is called.
    #[arg(long, default_value = env!("CARGO_PKG_VERSION"))]
    image_version: String,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let version = &arguments.image_version;
    anyhow::ensure!(
        image_slots::Content::is_version(version),
        "{version} is no version"
    );
    fs::create_dir_all(&arguments.output)?;
    let work = tempfile::tempdir_in(&arguments.output)?;
    let unpacked = packages::unpack(&work.path().join("packages"))?;
    let root = work.path().join("root");
    rootfs::assemble(&arguments, &unpacked, &root)?;
    let system = system::seal(&root, &arguments, &work.path().join("system"))?;
    let image = arguments.output.join("causeway.img");
    disk::assemble(&system, arguments.epoch, work.path(), &image)?;
    let bill = arguments.output.join("causeway.cdx.json");
    fs::write(&bill, bill::write(&unpacked, version)?)?;
    for artefact in [&image, &bill] {
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
