//! A machine with slots for firmware: its disk as files, as `/etc/start` of the image lays it out, and bundles for it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64ct::{Base64, Encoding};
use image_slots::{BLOCK, Content, HASH_BLOCK, Manifest, PublicKey, SECTOR, Slot, Table, Tree};

/// The build that runs.
const RUNS: u64 = 2000;
/// Blocks of a system.
const BLOCKS: u8 = 3;
/// Octets of a slot.
const ROOM: usize = 64 * HASH_BLOCK;

/// Who signs what the machine takes, and somebody whom it does not know.
const KNOWN: u8 = 1;
const STRANGER: u8 = 2;

/// Lays it out: what is in slot a runs, and slot b is empty.
pub(crate) fn lay_out(image: &Path) -> Result<()> {
    fs::create_dir_all(image.join("notes"))?;
    let (content, octets) = system(RUNS)?;
    let mut slot = vec![0; ROOM];
    fs::write(image.join("slot-b"), &slot)?;
    slot.splice(..octets.len(), octets);
    fs::write(image.join("slot-a"), slot)?;
    fs::write(image.join("slot"), Slot::A.letter())?;
    let public = signer(KNOWN)?.public_key().as_ref().try_into()?;
    fs::write(image.join("keys"), format!("{}\n", PublicKey(public)))?;
    let table = Table {
        good: Slot::A,
        tries: None,
        a: Some(content),
        b: None,
    };
    let mut environment = table.encode().to_vec();
    environment.resize(BLOCK + SECTOR, 0);
    fs::write(image.join("environment"), environment)?;
    Ok(())
}

/// A newer system, signed by whom the machine knows, and by somebody else; in Base64.
pub(crate) fn bundles() -> Result<[String; 2]> {
    Ok([bundle(KNOWN)?, bundle(STRANGER)?])
}

fn bundle(signed_by: u8) -> Result<String> {
    let (content, octets) = system(RUNS + 1)?;
    let manifest = Manifest {
        content,
        size: octets.len().try_into()?,
        digest: digest(&SHA256, &octets).as_ref().try_into()?,
        slot: 0,
    };
    let key = signer(signed_by)?;
    let head = manifest.encode(|head| key.sign(head).as_ref().try_into())?;
    Ok(Base64::encode_string(&[head, octets].concat()))
}

fn signer(seed: u8) -> Result<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32])
        .ok()
        .context("no key")
}

/// A system of three blocks, with its hashes and the seal of whom the machine knows.
fn system(build: u64) -> Result<(Content, Vec<u8>)> {
    let mut tree = Tree::default();
    let mut octets = Vec::new();
    for number in 0..BLOCKS {
        let block = vec![number; HASH_BLOCK];
        tree.block(&block);
        octets.extend_from_slice(&block);
    }
    let (hashes, root) = tree.finish();
    octets.extend_from_slice(&hashes);
    let (blocks, key) = (u64::from(BLOCKS), signer(KNOWN)?);
    octets.extend_from_slice(&root.seal(blocks, |statement| key.sign(statement).as_ref().try_into())?);
    let content = Content {
        version: format!("0.{build}"),
        build,
        blocks,
        root,
    };
    Ok((content, octets))
}
