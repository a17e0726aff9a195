//! The disk: partitions and what is in them.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use image_slots::{Slot, Table};

use crate::bootloader;
use crate::secure_boot::SecureBoot;
use crate::system::System;
use crate::tool;

const SECTOR: u64 = 512;
pub(crate) const MIB: u64 = 1 << 20;
/// Octets that are looked at at once to tell what is zero.
const BLOCK: usize = 4096;
/// A slot, in MiB: three times what a system needs at present.
const SLOT_MIB: u64 = 192;

/// A partition: its name, its type as sgdisk has it, and its size in MiB. They follow each other, each on a whole MiB.
pub(crate) struct Partition {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) mib: u64,
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

/// A disk in the making: a file, and the partitions on it.
pub(crate) struct Drive<'d> {
    file: &'d Path,
    partitions: &'d [Partition],
}

impl<'d> Drive<'d> {
    /// A new one with its table of partitions. Identifiers are the same on every disk, as everything is: the kernel finds
    /// partitions by their names.
    pub(crate) fn new(file: &'d Path, partitions: &'d [Partition]) -> Result<Self> {
        let whole: u64 = partitions.iter().map(|partition| partition.mib).sum();
        File::create(file)?.set_len((whole + 2) * MIB)?;
        let drive = Self { file, partitions };
        let mut sgdisk = Command::new("sgdisk");
        sgdisk.args(["-a", "1", "-U", "C0DE0000-CA05-4EAA-8000-000000000000"]);
        for (number, partition) in (1..).zip(partitions) {
            let (start, size) = drive.place(partition.name)?;
            let (first, last) = (start / SECTOR, (start + size) / SECTOR - 1);
            sgdisk.args(["-n", &format!("{number}:{first}:{last}")]);
            sgdisk.args(["-t", &format!("{number}:{}", partition.kind)]);
            sgdisk.args(["-c", &format!("{number}:{}", partition.name)]);
            let identifier = format!("{number}:C0DE0000-CA05-4EAA-8000-00000000000{number}");
            sgdisk.args(["-u", &identifier]);
        }
        tool::output(sgdisk.arg(file))?;
        Ok(drive)
    }

    /// Where a partition begins and how long it is, in octets.
    pub(crate) fn place(&self, name: &str) -> Result<(u64, u64)> {
        let mut start = MIB;
        for partition in self.partitions {
            let size = partition.mib * MIB;
            if partition.name == name {
                return Ok((start, size));
            }
            start += size;
        }
        anyhow::bail!("there is no partition {name}")
    }

    /// Writes octets at a place of the disk.
    pub(crate) fn write(&self, start: u64, octets: &[u8]) -> Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.file)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file.write_all(octets)?)
    }

    /// Fills the beginning of a partition with a file.
    pub(crate) fn fill(&self, name: &str, file: &Path) -> Result<()> {
        let (start, size) = self.place(name)?;
        let octets = fs::read(file)?;
        ensure!(
            u64::try_from(octets.len())? <= size,
            "{} does not fit into the partition {name}",
            file.display()
        );
        self.write(start, &octets)
    }
}

/// Makes the disk with this system in the first slot.
pub(crate) fn assemble(
    system: &System,
    epoch: u64,
    trust: &SecureBoot,
    work: &Path,
    image: &Path,
) -> Result<()> {
    let made = work.join("disk");
    let drive = Drive::new(&made, &PARTITIONS)?;
    bootloader::install(&drive, "bios", trust, work)?;
    bootloader::esp(&drive, "esp", epoch, &bootloader::tree(work, trust, "grub.cfg")?)?;
    let table = Table {
        good: Slot::A,
        tries: None,
        a: Some(system.content.clone()),
        b: None,
    };
    bootloader::table(&drive, epoch, work, &table.encode())?;
    drive.fill("slot-a", &system.file)?;
    state(&drive, epoch)?;
    fs::rename(&made, image).context("moving the image to its place")
}

/// What is on a disk but zeros, outside the slots: the place of each piece, and its octets. None reaches over a whole MiB.
pub(crate) fn pieces(image: &Path, mut piece: impl FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
    let drive = Drive {
        file: image,
        partitions: &PARTITIONS,
    };
    let (slots, state) = (drive.place("slot-a")?.0, drive.place("state")?);
    let mut file = File::open(image)?;
    for at in (0..slots)
        .chain(state.0..state.0 + state.1)
        .step_by(usize::try_from(MIB)?)
    {
        let mut octets = vec![0; usize::try_from(MIB)?];
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut octets)?;
        let mut first = None;
        let blocks = octets.len() / BLOCK;
        for number in 0..=blocks {
            let block = octets
                .get(number * BLOCK..(number + 1) * BLOCK)
                .unwrap_or_default();
            let zeros = block.iter().all(|octet| *octet == 0);
            match (first, zeros) {
                (None, false) => first = Some(number),
                (Some(begun), true) => {
                    let run = octets.get(begun * BLOCK..number * BLOCK).unwrap_or_default();
                    piece(at + u64::try_from(begun * BLOCK)?, run)?;
                    first = None;
                }
                (None, true) | (Some(_), false) => (),
            }
        }
    }
    Ok(())
}

/// An empty file system for what the machine keeps.
fn state(drive: &Drive<'_>, epoch: u64) -> Result<()> {
    let (start, size) = drive.place("state")?;
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
    make.arg(drive.file).arg(format!("{}k", size / 1024));
    tool::output(&mut make).map(drop)
}
