//! What the stick brings: all of the image but the system in memory, and the system in a partition of the stick.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use image_slots::{Decoder, Manifest, Piece, PublicKey};

use crate::gpt::{Gpt, HEAD, SECTOR};

/// All that is written but the system itself.
#[derive(Debug, Clone)]
pub(crate) struct Material {
    /// The image's table of partitions.
    pub(crate) gpt: Gpt,
    /// What is not zero, by its place on the disk in octets; no piece reaches over the end of a partition.
    pub(crate) pieces: BTreeMap<u64, Vec<u8>>,
    /// What the system is.
    pub(crate) manifest: Manifest,
    /// The manifest as it was signed.
    head: Vec<u8>,
    /// Who may have signed it.
    pub(crate) keys: Vec<PublicKey>,
}

fn invalid(words: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}

impl Material {
    /// That of a folder: files that are called by their place on the disk, `manifest` and `keys`.
    ///
    /// # Errors
    /// When something is missing or not what it should be.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let mut pieces = BTreeMap::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if let Some(place) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                pieces.insert(place, fs::read(entry.path())?);
            }
        }
        // The table ends in zeros, which no piece has.
        let mut first = pieces.get(&0).cloned().unwrap_or_default();
        first.resize(first.len().max(HEAD * SECTOR), 0);
        let gpt = Gpt::decode(&first).ok_or_else(|| invalid("the image has no table of partitions"))?;
        let keys = PublicKey::all(&fs::read_to_string(folder.join("keys"))?);
        let keys = keys.ok_or_else(|| invalid("the keys are none"))?;
        let head = fs::read(folder.join("manifest"))?;
        let Ok(Piece::Manifest(manifest)) = Decoder::new(keys.clone()).next(&mut head.as_slice()) else {
            return Err(invalid("the manifest is not signed by a key of this image"));
        };
        Ok(Self {
            gpt,
            pieces,
            manifest,
            head,
            keys,
        })
    }

    /// The octets at a place; none where all is zero.
    pub(crate) fn piece(&self, place: u64) -> &[u8] {
        self.pieces.get(&place).map(Vec::as_slice).unwrap_or_default()
    }

    /// What checks the octets of the system as they are read.
    pub(crate) fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::new(self.keys.clone());
        // The manifest was looked at when it was read.
        let _known = decoder.next(&mut self.head.as_slice());
        decoder
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::digest::{SHA256, digest};
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use image_slots::{Content, Root};

    use super::*;
    use crate::gpt::tests::table;

    /// An image with slots of 4 MiB, and a system of build 10: 8192 octets of 0x55.
    pub(crate) fn material() -> Material {
        let partitions = [
            ("bios", 2048),
            ("environment", 2048),
            ("esp", 4096),
            ("slot-a", 8192),
            ("slot-b", 8192),
            ("state", 4096),
        ];
        let gpt = table(&partitions);
        let (head, _) = gpt.encode(1 << 16);
        let pieces = [
            (0, head),
            (1 << 20, vec![1; 700]),
            (2 << 20, vec![2; 1024]),
            (3 << 20, vec![3; 4096]),
        ];
        let manifest = Manifest {
            content: content(10),
            size: 8192,
            digest: digest(&SHA256, &[0x55; 8192]).as_ref().try_into().unwrap(),
            slot: 8192,
        };
        let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let sign = |head: &[u8]| Ok::<_, ()>(pair.sign(head).as_ref().try_into().unwrap());
        let head = manifest.encode(sign).unwrap();
        let keys = vec![PublicKey(pair.public_key().as_ref().try_into().unwrap())];
        Material {
            gpt,
            pieces: pieces.into(),
            manifest,
            head,
            keys,
        }
    }

    pub(crate) fn content(build: u64) -> Content {
        let version = format!("0.1.0+{build}");
        Content {
            version,
            build,
            blocks: 1,
            root: Root([u8::try_from(build).unwrap(); 32]),
        }
    }
}
