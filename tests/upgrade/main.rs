//! The firmware image as a box boots it, seen from outside: by its serial line and through its API.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout
)]

mod build;
mod installer;
mod secure_boot;
mod tunnel;
mod update;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use image_slots::{BLOCK, Root, SECTOR, Table};
use serde_json::{Value, json};
use system_tests::lab::image::{Appliance, Firmware, IMAGE, INSTALLER, Running};
use system_tests::peer::causeway::Document;

/// A start takes half a minute under emulation on an idle machine.
const START: Duration = Duration::from_secs(240);
const ACCOUNT: &str = r#"{"user": "alice", "password": "a box at a branch"}"#;
const MIB: u64 = 1 << 20;
/// Where the partitions of the boot loader's table and of both slots begin: `image/builder/src/disk.rs`.
const ENVIRONMENT: u64 = 2 * MIB;
const SLOT_A: u64 = 37 * MIB;
const SLOT_B: u64 = SLOT_A + 192 * MIB;

fn folder(name: &str) -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap().join("target").join(name)
}

fn image() -> PathBuf {
    folder("image").join(IMAGE)
}

fn read(answer: &str) -> Value {
    serde_json::from_str(answer).unwrap_or_else(|_| panic!("no JSON: {answer}"))
}

/// The same input makes the same octets.
#[test]
fn an_image_made_again_is_the_same() {
    for name in [
        IMAGE,
        INSTALLER,
        "causeway.bundle",
        "causeway-secure-boot.der",
        "causeway.cdx.json",
    ] {
        let same = Command::new("cmp")
            .arg(folder("image").join(name))
            .arg(folder("image-again").join(name))
            .output()
            .unwrap();
        assert!(same.status.success(), "{name}: {same:?}");
    }
    let bill = read(&fs::read_to_string(folder("image").join("causeway.cdx.json")).unwrap());
    let names: Vec<&str> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["name"].as_str().unwrap())
        .collect();
    for expected in ["nftables", "libc6", "causewayd", "image-installer", "aws-lc-rs"] {
        assert!(names.contains(&expected), "{expected} is not in the bill");
    }
}

/// By BIOS: the screen says where it is and how it is claimed; what was claimed is there after the power was cut, by
/// UEFI and with a TPM, which takes the machine key over. Who has the keyboard wipes it, whatever the power does meanwhile.
#[test]
fn a_box_is_claimed_and_keeps_it_over_a_power_cut_until_it_is_wiped() {
    let work = tempfile::tempdir().unwrap();
    let mut machine = Appliance::new(&image(), work.path(), 1024).unwrap();
    let mut running = machine.start().unwrap();
    for stage in [
        "drivers after",
        "state partition after",
        "starting causewayd after",
        "causewayd answers after",
    ] {
        println!("BIOS: {stage} {}", running.says(stage, START).unwrap());
    }
    running.says("192.168.77.1/24 on", START).unwrap();
    let code = running.says("claim code", START).unwrap();
    let storage = running.says("storage", START).unwrap();
    let whole: u64 = storage.split_whitespace().nth(2).unwrap().parse().unwrap();
    assert!(whole > 400, "the state partition did not grow: {storage}");
    assert_eq!(running.says("health", START).unwrap(), "healthy");

    let account = ACCOUNT;
    let mut wrong = read(account);
    wrong["code"] = "AAAA-AAAA-AAAA-AAAA".into();
    let refused = read(&running.call("/claim", &["-d", &wrong.to_string()]).unwrap());
    assert_eq!(refused["reason"], "wrong-code", "{refused}");
    let mut claim = read(account);
    claim["code"] = code.as_str().into();
    running
        .call("/claim", &["--fail", "-d", &claim.to_string()])
        .unwrap();
    running.call("/session", &["--fail", "-d", account]).unwrap();
    running.cut_power().unwrap();

    machine.firmware = Firmware::Uefi;
    machine.tpm = Some(work.path().join("tpm"));
    let mut running = machine.start().unwrap();
    println!(
        "UEFI: causewayd answers after {}",
        running.says("causewayd answers after", START).unwrap()
    );
    assert_eq!(running.says("health", START).unwrap(), "healthy");
    let jar = work.path().join("cookies");
    let jar = jar.to_str().unwrap();
    let session = running.call("/session", &["--fail", "-c", jar, "-d", account]);
    let session = read(&session.unwrap());
    assert_eq!(session["user"], "alice", "{session}");
    let status = read(&running.call("/status", &["--fail", "-b", jar]).unwrap());
    assert_eq!(status["configuration"]["machine_key"]["kept"], "tpm", "{status}");
    let again = read(&running.call("/claim", &["-d", &claim.to_string()]).unwrap());
    assert_eq!(again["reason"], "already-claimed", "{again}");
    wiped(&machine, running, &code);
}

/// A factory reset by the serial line, whose power is cut as soon as it begins: the next start ends it, and nobody is known any more.
fn wiped(machine: &Appliance, mut running: Running, code: &str) {
    let begun = Instant::now();
    running.types("r").unwrap();
    running.says("Type RESET within 30 s", START).unwrap();
    running.types("reset").unwrap();
    running.says("Nothing is wiped", START).unwrap();
    running.types("R").unwrap();
    running.says("Type RESET within 30 s", START).unwrap();
    running.types("RESET").unwrap();
    running.says("asked for at the console", START).unwrap();
    running.says("factory reset: the state is wiped", START).unwrap();
    running.cut_power().unwrap();

    let mut running = machine.start().unwrap();
    running.says("factory reset: the state is wiped", START).unwrap();
    running.says("this machine is as new", START).unwrap();
    running.says("192.168.77.1/24 on", START).unwrap();
    assert_ne!(running.says("claim code", START).unwrap(), code);
    assert_eq!(running.says("health", START).unwrap(), "healthy");
    let unknown = read(&running.call("/session", &["-d", ACCOUNT]).unwrap());
    assert_eq!(unknown["reason"], "wrong-password", "{unknown}");
    println!("wiped after {:?}", begun.elapsed());
}

/// A first configuration whose second card is at 10.9.0.1.
fn office() -> Document {
    let lan = json!({ "role": "lan", "match": { "mac": "52:54:00:00:00:02" },
                      "ipv4": { "method": "static", "addresses": ["10.9.0.1/24"] } });
    Document {
        json: json!({ "schema": 1, "system": { "hostname": "branch-042", "dns": ["10.9.0.53"], "time": { "ntp": ["10.9.0.123"] } },
                      "interfaces": { "office": lan } }),
        secrets: vec![],
    }
}

/// A volume called CAUSEWAY has the first configuration, so nobody has to be there.
#[test]
fn a_box_takes_its_first_configuration_from_a_volume() {
    let work = tempfile::tempdir().unwrap();
    let mut machine = Appliance::new(&image(), work.path(), 600).unwrap();
    machine.seed(&office()).unwrap();
    machine.address = "10.9.0.1".to_owned();
    let mut running = machine.start().unwrap();
    running
        .says("the first configuration comes from the volume", START)
        .unwrap();
    assert_eq!(running.says("host name", START).unwrap(), "branch-042");
    assert_eq!(running.says("name servers", START).unwrap(), "10.9.0.53");
    assert_eq!(running.says("time servers", START).unwrap(), "10.9.0.123");
    running.says("10.9.0.1/24 on", START).unwrap();
    running.says("claim code", START).unwrap();
    let refused = read(&running.call("/status", &[]).unwrap());
    assert_eq!(refused["reason"], "sign-in-needed", "{refused}");
}

/// An image on a disk that it does not fit on says so, instead of starting again and again without a word.
#[test]
fn a_disk_that_is_too_small_is_told() {
    let work = tempfile::tempdir().unwrap();
    let machine = Appliance::new(&image(), work.path(), 300).unwrap();
    let mut running = machine.start().unwrap();
    running
        .says("no disk with slot a; one that is smaller than the image", START)
        .unwrap();
    assert_eq!(running.says("vda with", START).unwrap(), "300 MiB");
}

fn at(disk: &mut File, start: u64, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    disk.seek(SeekFrom::Start(start)).unwrap();
    disk.read_exact(&mut octets).unwrap();
    octets
}

fn put(disk: &mut File, start: u64, octets: &[u8]) {
    disk.seek(SeekFrom::Start(start)).unwrap();
    disk.write_all(octets).unwrap();
}

/// Where the slot table is: the only file of its partition, at the beginning of a sector.
fn place_of_table(disk: &mut File) -> u64 {
    let partition = at(disk, ENVIRONMENT, 1 << 20);
    ENVIRONMENT + Table::find(&partition).unwrap().0
}

/// A system on trial whose octets are not those of its hash tree gets its two starts and no more; then the one before is back.
#[test]
fn a_damaged_system_on_trial_gives_way_to_the_one_before() {
    let work = tempfile::tempdir().unwrap();
    let machine = Appliance::new(&image(), work.path(), 600).unwrap();
    let mut disk = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&machine.disk)
        .unwrap();
    let system = at(&mut disk, SLOT_A, 64 << 20);
    put(&mut disk, SLOT_B, &system);
    let place = place_of_table(&mut disk);
    let mut table = Table::decode(&at(&mut disk, place, BLOCK)).unwrap();
    let mut content = table.a.clone().unwrap();
    content.root = Root([0x5a; 32]);
    (table.b, table.tries) = (Some(content), Some(image_slots::TRIES));
    put(&mut disk, place, &table.encode());
    let mut running = machine.start().unwrap();
    for _ in 0..image_slots::TRIES {
        running.says("Causeway starts slot b", START).unwrap();
    }
    running.says("Causeway starts slot a", START).unwrap();
    assert!(running.says("  Causeway ", START).unwrap().ends_with("slot a"));
    running.cut_power().unwrap();
    let left = Table::decode(&at(&mut disk, place, SECTOR)).unwrap();
    assert_eq!(left.tries, Some(0), "{left:?}");
}
