//! The disk: partitions and what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use image_slots::{Slot, Table};

use crate::bootloader;
use crate::system::System;
use crate::tool;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// A slot, in MiB: three times what a system needs at present.
const SLOT_MIB: u64 = 192;

/// A partition: its name, its type as sgdisk has it, and its size in MiB. They follow each other, each on a whole MiB.
struct Partition {
    name: &'static str,
    kind: &'static str,
    mib: u64,
}

const PARTITIONS: [Partition; 6] = [
    Partition {
        name: "bios",
        kind: "ef02",
        mib: 1,
    },
    Partition {
        name: "environment",
        kind: "8300",
        mib: 1,
    },
    Partition {
        name: "esp",
        kind: "ef00",
        mib: 34,
    },
    Partition {
        name: "slot-a",
        kind: "8304",
        mib: SLOT_MIB,
    },
    Partition {
        name: "slot-b",
        kind: "8304",
        mib: SLOT_MIB,
    },
    Partition {
        name: "state",
        kind: "8300",
        mib: 32,
    },
];

/// Where a partition begins and how long it is, in octets.
pub(crate) fn place(name: &str) -> Result<(u64, u64)> {
    let mut start = MIB;
    for partition in &PARTITIONS {
        let size = partition.mib * MIB;
        if partition.name == name {
            return Ok((start, size));
        }
        start += size;
    }
    anyhow::bail!("there is no partition {name}")
}

/// Makes the disk with this system in the first slot.
pub(crate) fn assemble(system: &System, epoch: u64, work: &Path, image: &Path) -> Result<()> {
    let made = work.join("disk");
    let whole: u64 = PARTITIONS
        .iter()
        .map(|partition| partition.mib * MIB)
        .sum::<u64>()
        + 2 * MIB;
    File::create(&made)?.set_len(whole)?;
    partition(&made)?;
    bootloader::install(&made, epoch, work)?;
    let table = Table {
        good: Slot::A,
        tries: None,
        a: Some(system.content.clone()),
        b: None,
    };
    bootloader::table(&made, epoch, work, &table.encode())?;
    let (start, size) = place("slot-a")?;
    let octets = fs::read(&system.file)?;
    ensure!(
        u64::try_from(octets.len())? <= size,
        "the system does not fit into its slot"
    );
    write(&made, start, &octets)?;
    state(&made, epoch)?;
    fs::rename(&made, image).context("moving the image to its place")
}

/// Writes octets at a place of the disk.
pub(crate) fn write(disk: &Path, start: u64, octets: &[u8]) -> Result<()> {
    let mut disk = OpenOptions::new().write(true).open(disk)?;
    disk.seek(SeekFrom::Start(start))?;
    Ok(disk.write_all(octets)?)
}

/// Identifiers are the same on every disk, as everything is: the kernel finds partitions by their names.
fn partition(disk: &Path) -> Result<()> {
    let mut sgdisk = Command::new("sgdisk");
    sgdisk.args(["-a", "1", "-U", "C0DE0000-CA05-4EAA-8000-000000000000"]);
    for (number, partition) in (1..).zip(&PARTITIONS) {
        let (start, size) = place(partition.name)?;
        let (first, last) = (start / SECTOR, (start + size) / SECTOR - 1);
        sgdisk.args(["-n", &format!("{number}:{first}:{last}")]);
        sgdisk.args(["-t", &format!("{number}:{}", partition.kind)]);
        sgdisk.args(["-c", &format!("{number}:{}", partition.name)]);
        let identifier = format!("{number}:C0DE0000-CA05-4EAA-8000-00000000000{number}");
        sgdisk.args(["-u", &identifier]);
    }
    tool::output(sgdisk.arg(disk)).map(drop)
}

/// An empty file system for what the machine keeps.
fn state(disk: &Path, epoch: u64) -> Result<()> {
    let (start, size) = place("state")?;
    let mut make = Command::new("mke2fs");
    make.args(["-q", "-t", "ext4", "-L", "state", "-m", "0", "-b", "4096"]);
    make.args([
        "-U",
        "c0de0000-ca05-4eaa-8000-0000000000ff",
        "-O",
        "^metadata_csum_seed",
    ]);
    make.args([
        "-E",
        &format!(
            "offset={start},hash_seed=c0de0000-ca05-4eaa-8000-0000000000fe,lazy_itable_init=0,resize=16777216"
        ),
    ]);
    make.env("E2FSPROGS_FAKE_TIME", epoch.to_string());
    make.arg(disk).arg(format!("{}k", size / 1024));
    tool::output(&mut make).map(drop)
}
