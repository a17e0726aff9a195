//! The USB installer as somebody at the serial line uses it.

use std::fs::{self, File};
use std::path::PathBuf;

use serde_json::Value;
use system_tests::lab::image::{Appliance, Firmware, INSTALLER, Running};

use crate::{START, folder, office, read};

const ACCOUNT: &str = r#"{"user": "alice", "password": "a box at a branch"}"#;

fn stick() -> PathBuf {
    folder("image").join(INSTALLER)
}

/// A machine with this empty disk that has started from the stick.
fn begun(machine: &Appliance) -> Running {
    let mut running = machine.start().unwrap();
    running.says("installer", START).unwrap();
    running
}

/// Chooses the disk, answers as told, and waits until it is written.
fn installs(running: &mut Running, answers: &[(&str, &str)]) {
    for (question, answer) in answers {
        running.says(question, START).unwrap();
        running.types(answer).unwrap();
    }
    running.says("100 % written", START).unwrap();
    running
        .says("was written and read back. Remove the stick", START)
        .unwrap();
}

/// Who signs in with the account.
fn user(running: &Running) -> Value {
    read(&running.call("/session", &["--fail", "-d", ACCOUNT]).unwrap())["user"].clone()
}

fn claims(running: &mut Running) {
    let mut claim = read(ACCOUNT);
    claim["code"] = running.says("claim code", START).unwrap().into();
    let claim = claim.to_string();
    running.call("/claim", &["--fail", "-d", &claim]).unwrap();
}

/// A disk that is too small is not taken, and the stick is none to choose; what was written starts alone, with the first configuration
/// that was there, and can be claimed.
#[test]
fn an_empty_disk_gets_a_box_from_the_stick() {
    let work = tempfile::tempdir().unwrap();
    let mut machine = Appliance::empty(&stick(), work.path(), 1024).unwrap();
    let small = work.path().join("small.img");
    File::create(&small).unwrap().set_len(64 << 20).unwrap();
    machine.others.push(small.clone());
    machine.seed(&office()).unwrap();
    machine.address = "10.9.0.1".to_owned();
    let mut running = begun(&machine);
    let listed = running.says("  1  ", START).unwrap();
    assert!(listed.contains("vda  empty  (too small: "), "{listed}");
    assert!(running.says("  2  ", START).unwrap().ends_with("  empty"));
    running.says("Which disk", START).unwrap();
    running.types("1").unwrap();
    running.says("Disk 1 cannot be used: too small", START).unwrap();
    running.types("3").unwrap();
    running.says("No disk has that number", START).unwrap();
    installs(&mut running, &[("Which disk", "2"), ("Type YES", "YES")]);
    running.types("").unwrap();
    running.says("Causeway starts", START).unwrap();
    running.cut_power().unwrap();
    assert!(fs::read(small).unwrap().iter().all(|octet| *octet == 0));

    (machine.stick, machine.seed, machine.others) = (None, None, vec![]);
    let mut running = machine.start().unwrap();
    running
        .says("the first configuration comes from the installer", START)
        .unwrap();
    claims(&mut running);
    assert_eq!(user(&running), "alice");
}

/// By UEFI: what an admin said is still known after the system was written anew beside the old one, and lost where that was chosen.
#[test]
fn a_disk_that_has_a_box_keeps_its_configuration_or_loses_it() {
    let work = tempfile::tempdir().unwrap();
    let mut machine = Appliance::empty(&stick(), work.path(), 1024).unwrap();
    machine.firmware = Firmware::Uefi;
    let mut running = begun(&machine);
    installs(&mut running, &[("Which disk", "1"), ("Type YES", "YES")]);
    running.cut_power().unwrap();
    let stick = machine.stick.take();
    let mut running = machine.start().unwrap();
    assert!(running.says("  Causeway ", START).unwrap().ends_with("slot a"));
    claims(&mut running);
    running.cut_power().unwrap();

    machine.stick = stick;
    let mut running = begun(&machine);
    assert!(running.says("  1  ", START).unwrap().contains("  Causeway "));
    installs(
        &mut running,
        &[
            ("Which disk", "1"),
            ("Keep its configuration", "yes"),
            ("Type YES", "YES"),
        ],
    );
    running.cut_power().unwrap();
    let stick = machine.stick.take();
    let mut running = machine.start().unwrap();
    assert!(running.says("  Causeway ", START).unwrap().ends_with("slot b"));
    running.says("health", START).unwrap();
    assert_eq!(user(&running), "alice");
    running.cut_power().unwrap();

    machine.stick = stick;
    let mut running = begun(&machine);
    installs(
        &mut running,
        &[
            ("Which disk", "1"),
            ("Keep its configuration", "no"),
            ("Type YES", "YES"),
        ],
    );
    running.cut_power().unwrap();
    machine.stick = None;
    running = machine.start().unwrap();
    running.says("claim code", START).unwrap();
}
