//! The disks of this machine, as the kernel tells them.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, judge};
use crate::gpt::{HEAD, SECTOR};
use crate::material::Material;

const BLOCK: &str = "/sys/class/block";
/// The partition of the stick that has the system, by its name.
const SYSTEM: &str = "installer-system";
/// Drivers of things that are no disks: memory, compact discs, what lies over other disks.
const NO_DISKS: &[&str] = &["loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd"];

/// The device with the system of the stick; nothing until the kernel has found it.
pub(crate) fn stick() -> Option<PathBuf> {
    let (partition, _) = sticks().into_iter().next()?;
    Some(Path::new("/dev").join(partition))
}

/// Partitions with a system to install, and the disks that they are on.
fn sticks() -> Vec<(String, String)> {
    let named = |name: &String| {
        word(name, "uevent")
            .lines()
            .any(|line| line == format!("PARTNAME={SYSTEM}"))
    };
    let partitions = names().into_iter().filter(named);
    partitions
        .filter_map(|name| Some((name.clone(), disk_of(&name)?)))
        .collect()
}

/// All disks but those with a system to install.
pub(crate) fn disks(material: &Material) -> Vec<Disk> {
    let sticks = sticks();
    let mut disks: Vec<Disk> = names()
        .into_iter()
        .filter(|name| !NO_DISKS.iter().any(|other| name.starts_with(other)))
        .filter(|name| !Path::new(BLOCK).join(name).join("partition").exists())
        .filter(|name| !sticks.iter().any(|(_, stick)| stick == name) && word(name, "ro") != "1")
        .filter_map(|name| disk(name, material))
        .collect();
    disks.sort_by(|one, other| one.name.cmp(&other.name));
    disks
}

/// The partition of a disk with this number.
pub(crate) fn partition(disk: &str, number: usize) -> Option<PathBuf> {
    let number = number.to_string();
    let found = names()
        .into_iter()
        .find(|name| disk_of(name).as_deref() == Some(disk) && word(name, "partition") == number);
    Some(Path::new("/dev").join(found?))
}

fn disk(name: String, material: &Material) -> Option<Disk> {
    let octets = word(&name, "size").parse::<u64>().ok()?.saturating_mul(512);
    if octets == 0 {
        return None;
    }
    // A disk that does not let itself be read is in the list all the same: writing tells why it cannot be used.
    let file = File::open(Path::new("/dev").join(&name)).ok();
    let read = |place: u64, length: usize| {
        let mut found = vec![0; length];
        let whole = file.as_ref().map(|file| file.read_exact_at(&mut found, place));
        if whole.is_some_and(|read: io::Result<()>| read.is_ok()) {
            found
        } else {
            Vec::new()
        }
    };
    let environment =
        |place: u64, size: u64| read(place, usize::try_from(size.min(16 << 20)).unwrap_or_default());
    let found = judge(&read(0, HEAD * SECTOR), environment, material);
    // SCSI and ATA tell it behind four octets of their own (SPC-4, section 7.8.17).
    let told = word(&name, "device/vpd_pg80").chars().skip(1).collect::<String>();
    let serial = [
        word(&name, "serial"),
        word(&name, "device/serial"),
        told.trim().to_owned(),
    ];
    Some(Disk {
        octets,
        model: model(&name),
        serial: serial
            .into_iter()
            .find(|serial| !serial.is_empty())
            .unwrap_or_default(),
        sector: word(&name, "queue/logical_block_size")
            .parse()
            .unwrap_or_default(),
        found,
        name,
    })
}

/// Who made it, where that is told by name and not by a number, and what it is.
fn model(name: &str) -> String {
    let words = [word(name, "device/vendor"), word(name, "device/model")];
    let words = words
        .into_iter()
        .filter(|word| !word.is_empty() && !word.starts_with("0x"));
    words.collect::<Vec<_>>().join(" ")
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(BLOCK).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// The disk that a partition is on.
fn disk_of(partition: &str) -> Option<String> {
    let place = fs::canonicalize(Path::new(BLOCK).join(partition)).ok()?;
    Some(place.parent()?.file_name()?.to_str()?.to_owned())
}

/// What a file about a disk says; nothing where there is none.
fn word(name: &str, file: &str) -> String {
    let text = fs::read(Path::new(BLOCK).join(name).join(file)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    text.trim()
        .chars()
        .filter(|letter| !letter.is_control() || *letter == '\n')
        .collect()
}
