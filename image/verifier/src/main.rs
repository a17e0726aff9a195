//! Tells in the first file system whether the system in a slot is signed: `image-verifier DEVICE BLOCKS ROOT`.
#![allow(clippy::print_stderr, reason = "what it says goes to the screen of a start")]

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::process::ExitCode;

use image_slots::{HASH_BLOCK, PublicKey, Root, hashes};

/// Whom the image believes, as `/etc/causeway-keys` of the system has it.
const KEYS: &str = "/keys";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match signed(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the system in this slot is not started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the seal behind the hashes is about this root, and by a key that is known.
fn signed(arguments: &[String]) -> io::Result<()> {
    let [device, blocks, root] = arguments else {
        return Err(invalid("it takes a device, blocks and a root"));
    };
    let blocks = blocks.parse().map_err(|_| invalid("its blocks are no number"))?;
    let root = Root::parse(root).ok_or_else(|| invalid("its root is none"))?;
    let keys = PublicKey::all(&fs::read_to_string(KEYS)?).ok_or_else(|| invalid("the keys are none"))?;
    let place = hashes(blocks).ok_or_else(|| invalid("it has too many blocks"))?;
    let (mut device, mut seal) = (File::open(device)?, [0; HASH_BLOCK]);
    device.seek(SeekFrom::Start(place.end))?;
    device.read_exact(&mut seal)?;
    match root.is_sealed(blocks, &seal, &keys) {
        true => Ok(()),
        false => Err(invalid("its root is not signed by a key that this system knows")),
    }
}

fn invalid(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}
