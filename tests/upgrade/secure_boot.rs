//! Secure Boot with the certificate of the image enrolled: what is signed starts, and whatever else somebody writes to the disk does not.

use std::fs::{File, OpenOptions};

use image_slots::{BLOCK, Root, Table};
use system_tests::lab::image::{Appliance, ENROLLED, Firmware};

use crate::{ENVIRONMENT, MIB, SLOT_A, START, at, folder, image, place_of_table, put};

/// Where the partition that UEFI reads begins, and how long it is: `image/builder/src/disk.rs`.
const ESP: (u64, u64) = (ENVIRONMENT + MIB, 34 * MIB);

/// A machine with a disk that was changed, and what it has to say then.
fn refuses(words: &str, change: impl FnOnce(&mut File)) {
    let work = tempfile::tempdir().unwrap();
    let machine = machine(work.path());
    let mut disk = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&machine.disk)
        .unwrap();
    change(&mut disk);
    machine.start().unwrap().says(words, START).unwrap();
}

fn machine(work: &std::path::Path) -> Appliance {
    let mut machine = Appliance::new(&image(), work, 600).unwrap();
    machine.firmware = Firmware::Uefi;
    machine.enrolled = Some(folder("image").join(ENROLLED));
    machine
}

/// Flips the lowest bit of the octet so far behind the first place where these octets are.
fn flip(disk: &mut File, (start, length): (u64, u64), mark: &[u8], behind: u64) {
    let octets = at(disk, start, usize::try_from(length).unwrap());
    let found = octets.windows(mark.len()).position(|window| window == mark);
    let place = start + u64::try_from(found.unwrap()).unwrap() + behind;
    let octet = at(disk, place, 1)[0];
    put(disk, place, &[octet ^ 1]);
}

#[test]
fn a_signed_image_starts_with_secure_boot() {
    let work = tempfile::tempdir().unwrap();
    let mut running = machine(work.path()).start().unwrap();
    running.says("claim code", START).unwrap();
    assert_eq!(running.says("health", START).unwrap(), "healthy");
    assert!(running.call("/claim", &["-d", "{}"]).is_ok());
}

/// By the firmware.
#[test]
fn a_changed_boot_loader_is_refused_with_secure_boot() {
    refuses("Access Denied", |disk| {
        flip(disk, ESP, b"set superusers=nobody", 0)
    });
}

/// By the boot loader.
#[test]
fn a_changed_configuration_of_the_boot_loader_is_refused_with_secure_boot() {
    refuses("finds no configuration that is signed", |disk| {
        flip(disk, ESP, b"# Starts the slot on trial", 2)
    });
}

/// By the boot loader, too: "HdrS" is in the first sectors of every kernel.
#[test]
fn a_changed_kernel_is_refused_with_secure_boot() {
    refuses("no system on this disk can be started", |disk| {
        flip(disk, (SLOT_A, 64 * MIB), b"HdrS", MIB)
    });
}

/// Nothing that is written into the slot table is a parameter of the kernel.
#[test]
fn parameters_in_the_slot_table_are_refused_with_secure_boot() {
    refuses("no system on this disk can be started", |disk| {
        let place = place_of_table(disk);
        let text = String::from_utf8(at(disk, place, BLOCK)).unwrap();
        let (before, after) = text.split_once("a_root=").unwrap();
        let mut block = format!("{before}a_root=init=/bin/sh {after}");
        block.truncate(BLOCK);
        put(disk, place, block.as_bytes());
    });
}

/// By the first file system: a system whose hash tree is whole, and that nobody signed.
#[test]
fn a_root_that_is_not_signed_is_refused_with_secure_boot() {
    refuses("its root is not signed by a key", |disk| {
        let place = place_of_table(disk);
        let mut table = Table::decode(&at(disk, place, BLOCK)).unwrap();
        table.a.as_mut().unwrap().root = Root([0x5a; 32]);
        put(disk, place, &table.encode());
    });
}
