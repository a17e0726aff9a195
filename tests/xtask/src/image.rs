//! The firmware image: making it, booting it by hand, and its tier of the tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use system_tests::lab::image::{Appliance, ENROLLED, Firmware, IMAGE};

use crate::packages;
use crate::step::{self, cargo, root};
use crate::steps::{self, Step};

/// Where the image goes, below the build folder.
pub(crate) const FOLDER: &str = "image";
/// Where the tests make it once more.
const AGAIN: &str = "image-again";
/// The size of the disk that is booted by hand.
const DISK_MIB: u64 = 2048;
const PORT: u16 = 8443;
/// Power cuts of the full run while an update is written, beside one at each moment that there is a word for.
const CUTS: &str = "20";

/// The memory of UEFI as Debian's `ovmf` has it, without keys.
const UNENROLLED: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// Who enrols, as the memory of UEFI tells it.
const OWNER: &str = "c0de0000-ca05-4eaa-8000-000000000001";

/// Where the keys that sign bundles are made when none are given: for development only.
const KEYS: &str = "image-keys";

/// Makes the programs and the image; whether it went well.
pub(crate) fn make(folder: &str, keys: Option<&Path>) -> Result<bool> {
    install()?;
    Ok(
        step::run("building the programs", &mut steps::programs_of_the_image())?
            && step::run("the firmware image", &mut builder(folder, keys)?)?,
    )
}

fn install() -> Result<()> {
    packages::install(packages::MACHINE)?;
    packages::install(packages::IMAGE)
}

/// The time of the newest commit stands for that of every file.
fn builder(folder: &str, keys: Option<&Path>) -> Result<Command> {
    let time = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(root())
        .output()
        .context("git tells the time of the sources")?;
    let time = std::env::var("SOURCE_DATE_EPOCH").or_else(|_| String::from_utf8(time.stdout))?;
    let mut command = cargo(&["run", "--quiet", "-p", "image-builder", "--", "image"]);
    command.arg("--output").arg(target(folder));
    command.args(["--programs", "target/release", "--epoch", time.trim()]);
    command.arg("--keys");
    command.arg(keys.map_or_else(|| target(KEYS), Path::to_owned));
    Ok(command)
}

/// Enrols the certificate of the image in the memory of a UEFI: for the platform, who may enrol, and what may start.
fn enrol() -> Result<Command> {
    let mut enrol = Command::new(packages::python()?);
    enrol.args(["-m", "virt.firmware.vars", "-i", UNENROLLED, "-o"]);
    enrol.arg(target(FOLDER).join(ENROLLED)).arg("--sb");
    let certificate = target(KEYS).join("secure-boot.crt");
    for what in ["--set-pk", "--add-kek", "--add-db"] {
        enrol.args([what, OWNER]).arg(&certificate);
    }
    Ok(enrol)
}

fn target(folder: &str) -> PathBuf {
    root().join("target").join(folder)
}

/// Boots the image until it is switched off, its serial line at ours; the disk is a new one each time.
pub(crate) fn boot(uefi: bool) -> Result<bool> {
    packages::install(packages::LAB)?;
    if !make(FOLDER, None)? {
        return Ok(false);
    }
    let folder = target("image-disk");
    fs::create_dir_all(&folder)?;
    let mut machine = Appliance::new(&target(FOLDER).join(IMAGE), &folder, DISK_MIB)?;
    if uefi {
        machine.firmware = Firmware::Uefi;
    }
    println!("--- its console will be at https://127.0.0.1:{PORT}/; Ctrl-C switches it off");
    step::run("the machine", &mut machine.command(PORT)?)
}

/// The image is made twice, booted, installed from a stick, updated, and its power cut at ten moments of that; a damaged slot, which takes three
/// starts to give up, an installer that finds a box, which takes six, a causewayd that hangs until the watchdog ends it, a disk
/// that is too small and twenty cuts more are for the full run.
pub(crate) fn tier(full: bool) -> Result<Vec<Step>> {
    packages::install(packages::LAB)?;
    install()?;
    let mut scenarios = cargo(&[
        "test",
        "-p",
        "system-tests",
        "--test",
        "upgrade",
        "--",
        "--test-threads=1",
    ]);
    if full {
        scenarios.env("CAUSEWAY_POWER_CUTS", CUTS);
    } else {
        scenarios.args([
            "--skip",
            "a_damaged_system",
            "--skip",
            "a_daemon_that_hangs",
            "--skip",
            "a_disk_that_is",
            "--skip",
            "a_disk_that_has_a_box",
        ]);
    }
    Ok(vec![
        ("the programs".to_owned(), steps::programs_of_the_image()),
        ("the firmware image".to_owned(), builder(FOLDER, None)?),
        ("the same once more".to_owned(), builder(AGAIN, None)?),
        ("its certificate in the memory of a UEFI".to_owned(), enrol()?),
        ("the image as a box boots it".to_owned(), scenarios),
    ])
}
