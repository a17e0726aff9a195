//! The update bundle.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use anyhow::Result;
use aws_lc_rs::digest::{Context, SHA256};
use image_slots::Manifest;

use crate::keys::Keys;
use crate::system::System;

/// Octets that are read at once.
const PART: usize = 1 << 20;

/// Writes a system as a bundle that is signed; what stands in it before the system.
pub(crate) fn write(system: &System, keys: &Keys, output: &Path) -> Result<Vec<u8>> {
    let mut file = File::open(&system.file)?;
    let (mut hash, mut part, mut size) = (Context::new(&SHA256), vec![0; PART], 0);
    loop {
        let length = file.read(&mut part)?;
        if length == 0 {
            break;
        }
        hash.update(part.get(..length).unwrap_or_default());
        size += u64::try_from(length)?;
    }
    let manifest = Manifest {
        content: system.content.clone(),
        size,
        digest: hash.finish().as_ref().try_into()?,
        slot: size,
    };
    let mut bundle = File::create(output)?;
    let head = manifest.encode(|head| keys.sign(head))?;
    bundle.write_all(&head)?;
    file.rewind()?;
    io::copy(&mut file, &mut bundle)?;
    Ok(head)
}
