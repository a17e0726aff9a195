//! What goes into a slot: the root file system, behind it the hashes by which each of its blocks is checked, and the seal of their root.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use image_slots::{Content, HASH_BLOCK, Tree};

use crate::keys::Keys;
use crate::{Named, tool};

/// A system, as it is written to a slot.
pub(crate) struct System {
    /// The octets.
    pub(crate) file: PathBuf,
    /// What the boot loader is told of them.
    pub(crate) content: Content,
}

/// Packs a tree and seals it.
pub(crate) fn seal(root: &Path, named: &Named, keys: &Keys, file: &Path) -> Result<System> {
    let mut pack = Command::new("mksquashfs");
    // Of what this GRUB reads, gzip is unpacked fastest. The kernel is packed already.
    pack.arg(root)
        .arg(file)
        .args(["-comp", "gzip", "-b", "131072", "-noappend"]);
    pack.args(["-all-root", "-no-xattrs", "-quiet", "-no-progress"]);
    pack.env("SOURCE_DATE_EPOCH", named.epoch.to_string());
    pack.args([
        "-action",
        "uncompressed@name(vmlinuz)",
        "-action",
        "uncompressed@name(initrd)",
    ]);
    tool::output(&mut pack)?;
    let mut octets = OpenOptions::new().read(true).write(true).open(file)?;
    let whole = octets
        .metadata()?
        .len()
        .next_multiple_of(u64::try_from(HASH_BLOCK)?);
    octets.set_len(whole)?;
    octets.rewind()?;
    let (mut tree, mut block) = (Tree::default(), vec![0; HASH_BLOCK]);
    let blocks = whole / u64::try_from(HASH_BLOCK)?;
    for _ in 0..blocks {
        octets.read_exact(&mut block)?;
        tree.block(&block);
    }
    let (hashes, root) = tree.finish();
    octets.seek(SeekFrom::End(0))?;
    octets.write_all(&hashes)?;
    octets.write_all(&root.seal(blocks, |statement| keys.sign(statement))?)?;
    octets.sync_all()?;
    let version = named.image_version.clone();
    let build = named.epoch;
    let content = Content {
        version,
        build,
        blocks,
        root,
    };
    fs::metadata(file).context("no system was made")?;
    Ok(System {
        file: file.to_owned(),
        content,
    })
}
