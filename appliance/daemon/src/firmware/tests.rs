use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use image_slots::{BLOCK, Content, HASH_BLOCK, Manifest, PublicKey, SECTOR, Slot, Table, Tree};

/// The disk of a machine, as files: what is in slot a runs, and slot b is empty.
pub(crate) struct Disk {
    pub(crate) image: PathBuf,
}

/// The build that runs.
pub(crate) const RUNS: u64 = 2000;
/// Octets of a slot.
const ROOM: usize = 64 * HASH_BLOCK;
/// Where the table is: not at the beginning of its partition.
const PLACE: usize = 3 * SECTOR;

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

/// A system of so many blocks, with its hashes and the seal of the first key.
pub(crate) fn system(build: u64, blocks: u8) -> (Content, Vec<u8>) {
    let mut tree = Tree::default();
    let mut octets = Vec::new();
    for number in 0..blocks {
        let block = [number ^ build.to_le_bytes()[0]; HASH_BLOCK];
        tree.block(&block);
        octets.extend_from_slice(&block);
    }
    let (hashes, root) = tree.finish();
    octets.extend_from_slice(&hashes);
    let sign = |statement: &[u8]| key(1).sign(statement).as_ref().try_into();
    let seal: Result<Vec<u8>, std::array::TryFromSliceError> = root.seal(blocks.into(), sign);
    octets.extend_from_slice(&seal.unwrap());
    let content = Content {
        version: format!("0.{build}"),
        build,
        blocks: blocks.into(),
        root,
    };
    (content, octets)
}

/// A bundle with this system, signed by the key with this number.
pub(crate) fn bundle(signer: u8, (content, octets): (Content, Vec<u8>)) -> Vec<u8> {
    let manifest = Manifest {
        content,
        size: octets.len().try_into().unwrap(),
        digest: digest(&SHA256, &octets).as_ref().try_into().unwrap(),
        slot: 0,
    };
    let sign = |head: &[u8]| key(signer).sign(head).as_ref().try_into();
    let head: Result<Vec<u8>, std::array::TryFromSliceError> = manifest.encode(sign);
    [head.unwrap(), octets].concat()
}

impl Disk {
    /// Below this folder; the keys 1 and 2 may sign.
    pub(crate) fn new(folder: &Path) -> Self {
        let image = folder.join("image");
        fs::create_dir_all(image.join("notes")).unwrap();
        let disk = Self { image };
        for slot in ["slot-a", "slot-b"] {
            let partition = folder.join(format!("partition-{slot}"));
            fs::write(&partition, vec![0; ROOM]).unwrap();
            symlink(&partition, disk.image.join(slot)).unwrap();
        }
        let keys = [1, 2].map(|seed| PublicKey(key(seed).public_key().as_ref().try_into().unwrap()));
        fs::write(
            disk.image.join("keys"),
            keys.map(|key| format!("{key}\n")).concat(),
        )
        .unwrap();
        fs::write(disk.image.join("environment"), vec![0; PLACE + BLOCK + SECTOR]).unwrap();
        disk.runs(Slot::A);
        let (content, octets) = system(RUNS, 3);
        let table = Table {
            good: Slot::A,
            tries: None,
            a: Some(content),
            b: None,
        };
        disk.write(&table);
        let mut slot = fs::read(disk.image.join("slot-a")).unwrap();
        slot[..octets.len()].copy_from_slice(&octets);
        fs::write(disk.image.join("slot-a"), slot).unwrap();
        disk
    }

    /// The next start runs this slot.
    pub(crate) fn runs(&self, slot: Slot) {
        fs::write(self.image.join("slot"), slot.letter()).unwrap();
    }

    pub(crate) fn table(&self) -> Table {
        let partition = fs::read(self.image.join("environment")).unwrap();
        Table::decode(&partition[PLACE..PLACE + BLOCK]).unwrap()
    }

    pub(crate) fn write(&self, table: &Table) {
        let mut partition = fs::read(self.image.join("environment")).unwrap();
        partition[PLACE..PLACE + BLOCK].copy_from_slice(&table.encode());
        fs::write(self.image.join("environment"), partition).unwrap();
    }

    /// Whether the machine is to be started again.
    pub(crate) fn restarts(&self) -> bool {
        self.image.join("restart").exists()
    }

    /// Whether the next start wipes the state.
    pub(crate) fn is_wiped(&self) -> bool {
        let partition = fs::read(self.image.join("environment")).unwrap();
        partition[partition.len() - SECTOR..].starts_with(b"causeway-factory-reset")
    }

    /// As the boot loader does it.
    pub(crate) fn boot(&self) -> Slot {
        let start = image_slots::next_start(&self.table());
        self.write(&start.table);
        self.runs(start.slot);
        let _none_was_wanted = fs::remove_file(self.image.join("restart"));
        start.slot
    }
}
