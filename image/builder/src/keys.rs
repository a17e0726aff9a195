//! Who signs bundles, and whom a machine with this image believes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use image_slots::{PublicKey, SIGNATURE};

/// A pair that signs, and the public half of the one that is to come after it.
pub(crate) struct Keys {
    signer: Ed25519KeyPair,
    next: PublicKey,
}

impl Keys {
    /// Those of a folder: `current.key` (PKCS#8, DER) and `next.pub`. Where there is no `current.key`, both pairs are made.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let current = folder.join("current.key");
        if !current.exists() {
            println!(
                "new keys for bundles, in {}: for development only",
                folder.display()
            );
            fs::create_dir_all(folder)?;
            make(folder, "next")?;
            make(folder, "current")?;
        }
        let key = fs::read(&current).with_context(|| current.display().to_string())?;
        let signer = Ed25519KeyPair::from_pkcs8(&key).context("current.key is no Ed25519 key in PKCS#8")?;
        let next = PublicKey::all(&fs::read_to_string(folder.join("next.pub")).context("next.pub")?);
        let next = next.and_then(|keys| keys.first().copied());
        Ok(Self {
            signer,
            next: next.context("next.pub is no public key in hexadecimal digits")?,
        })
    }

    /// The public halves, a line each, as the image has them.
    pub(crate) fn public(&self) -> Result<String> {
        Ok(format!("{}\n{}\n", public(&self.signer)?, self.next))
    }

    /// Signs (RFC 8032).
    pub(crate) fn sign(&self, octets: &[u8]) -> Result<[u8; SIGNATURE]> {
        Ok(self.signer.sign(octets).as_ref().try_into()?)
    }
}

fn public(pair: &Ed25519KeyPair) -> Result<PublicKey> {
    Ok(PublicKey(pair.public_key().as_ref().try_into()?))
}

/// A new pair: the private half for its owner only.
fn make(folder: &Path, name: &str) -> Result<()> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref())?;
    fs::write(
        folder.join(name).with_extension("pub"),
        format!("{}\n", public(&pair)?),
    )?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(folder.join(name).with_extension("key"))?;
    Ok(file.write_all(document.as_ref())?)
}
