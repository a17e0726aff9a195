//! The update bundle: a signed manifest, and behind it the octets of a slot. Taken piece by piece, so that it is never in memory as a whole.
//!
//! | Octets | What |
//! |---|---|
//! | 16 | [`MAGIC`] |
//! | 2 | length of the manifest, most significant octet first |
//! | that many | the manifest: lines `name=value` |
//! | 64 | signature of all before it (Ed25519, RFC 8032) |
//! | `size` of the manifest | the system, and the hashes of its blocks |

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use thiserror::Error;

use crate::hexadecimal;
use crate::table::Content;
use crate::tree::{HASH_BLOCK, Root};

/// What every bundle begins with; its last octet is the number of the format.
pub const MAGIC: [u8; 16] = *b"CAUSEWAY-BUNDLE1";
/// Octets of a signature (RFC 8032, section 5.1.6).
pub const SIGNATURE: usize = 64;
const PRODUCT: &str = "causeway";
const LENGTH: usize = 2;
/// The longest manifest that is read, in octets.
const LONGEST: usize = 1024;

/// One of the keys that may have signed a bundle (RFC 8032, section 5.1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Keys as the image keeps them, each a line of hexadecimal digits; nothing when a line is none.
    pub fn all(text: &str) -> Option<Vec<Self>> {
        let lines = text.lines();
        lines.map(|line| hexadecimal::decode(line).map(Self)).collect()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hexadecimal::encode(&self.0))
    }
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The system, as the slot table tells it.
    pub content: Content,
    /// Octets of the system with its hashes.
    pub size: u64,
    /// SHA-256 of these.
    pub digest: [u8; 32],
    /// Octets that a slot has at least.
    pub slot: u64,
}

/// Why a bundle is not taken. A wrong signature cannot be overridden.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BundleError {
    /// It is something else, or for another product.
    #[error("this is no update of this product: {0}")]
    Foreign(&'static str),
    /// None of the keys of this system signed it, or it was changed since.
    #[error("it is not signed by a key that this system knows, or its manifest was changed")]
    Signature,
    /// It ended before all of it came.
    #[error("it ends too early: {missing} octets of the system are missing")]
    Truncated {
        /// Octets of the system that did not come; 0 where the manifest did not.
        missing: u64,
    },
    /// The octets are not those that were signed.
    #[error("its octets are not those that were signed")]
    Damaged,
    /// It is older than what runs.
    #[error("it is older than what runs, {running}: say that a downgrade is wanted")]
    Older {
        /// The version that runs.
        running: String,
    },
    /// The slot has no room for it.
    #[error("it needs a slot of {needed} octets, and this one has {room}")]
    TooLarge {
        /// Octets that it needs.
        needed: u64,
        /// Octets that there are.
        room: u64,
    },
}

impl BundleError {
    /// The word for it.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Foreign(_) => "bundle-foreign",
            Self::Signature => "bundle-signature",
            Self::Truncated { .. } => "bundle-truncated",
            Self::Damaged => "bundle-damaged",
            Self::Older { .. } => "bundle-older",
            Self::TooLarge { .. } => "bundle-too-large",
        }
    }
}

impl Manifest {
    /// What stands before the system, signed by the caller.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn encode<E>(&self, sign: impl FnOnce(&[u8]) -> Result<[u8; SIGNATURE], E>) -> Result<Vec<u8>, E> {
        let Content {
            version,
            build,
            blocks,
            root,
        } = &self.content;
        let (size, digest, slot) = (self.size, hexadecimal::encode(&self.digest), self.slot);
        let text = format!(
            "product={PRODUCT}\nversion={version}\nbuild={build}\nblocks={blocks}\nroot={root}\n\
             size={size}\nsha256={digest}\nslot={slot}\n"
        );
        // At most 350 octets: all of it but the version has a fixed longest length.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut head = [&MAGIC[..], &length, text.as_bytes()].concat();
        let signature = sign(&head)?;
        head.extend_from_slice(&signature);
        Ok(head)
    }

    /// What a signed manifest says.
    fn decode(text: &[u8]) -> Result<Self, BundleError> {
        let text = std::str::from_utf8(text).map_err(|_| BundleError::Foreign("its manifest is no text"))?;
        let named: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        if named.get("product") != Some(&PRODUCT) {
            return Err(BundleError::Foreign("it is for another product"));
        }
        Self::of(&named)
            .filter(Self::agrees)
            .ok_or(BundleError::Foreign("its manifest lacks something"))
    }

    fn of(named: &BTreeMap<&str, &str>) -> Option<Self> {
        let number = |name: &str| named.get(name)?.parse::<u64>().ok();
        let octets = |name: &str| hexadecimal::decode(named.get(name)?);
        Some(Self {
            content: Content {
                version: (*named.get("version")?).to_owned(),
                build: number("build")?,
                blocks: number("blocks")?,
                root: Root(octets("root")?),
            },
            size: number("size")?,
            digest: octets("sha256")?,
            slot: number("slot")?,
        })
    }

    /// Whether the system can be what the table would be told of it.
    fn agrees(&self) -> bool {
        let block = u64::try_from(HASH_BLOCK).unwrap_or(u64::MAX);
        let data = self.content.blocks.checked_mul(block);
        Content::is_version(&self.content.version) && data.is_some_and(|data| data <= self.size)
    }

    /// Whether it may be written over what is in a slot of so many octets.
    ///
    /// # Errors
    /// When there is no room, or when it is older than what runs and nobody said that it may be.
    pub fn admit(&self, running: &Content, room: u64, allow_downgrade: bool) -> Result<(), BundleError> {
        let needed = self.size.max(self.slot);
        if needed > room {
            return Err(BundleError::TooLarge { needed, room });
        }
        if self.content.build < running.build && !allow_downgrade {
            let running = running.version.clone();
            return Err(BundleError::Older { running });
        }
        Ok(())
    }
}

/// Takes a bundle apart as it comes.
pub struct Decoder {
    keys: Vec<PublicKey>,
    head: Vec<u8>,
    system: Option<System>,
}

/// What is still to come of the system, and what its hash is to be.
struct System {
    left: u64,
    hash: Context,
    digest: [u8; 32],
}

/// What was found in octets of a bundle.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'o> {
    /// Nothing yet: more is needed.
    Nothing,
    /// The manifest, which is signed.
    Manifest(Manifest),
    /// The next octets of the system.
    System(&'o [u8]),
}

impl Decoder {
    /// For a bundle that one of these keys signed.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self {
            keys,
            head: Vec::new(),
            system: None,
        }
    }

    /// The next piece, which is taken off the octets.
    ///
    /// # Errors
    /// When it is no bundle, nobody known signed it, or there is more than there should be.
    pub fn next<'o>(&mut self, octets: &mut &'o [u8]) -> Result<Piece<'o>, BundleError> {
        let Some(system) = &mut self.system else {
            return self.head(octets);
        };
        if octets.is_empty() {
            return Ok(Piece::Nothing);
        }
        if system.left == 0 {
            return Err(BundleError::Damaged);
        }
        let most = usize::try_from(system.left).unwrap_or(usize::MAX);
        let (taken, rest) = octets.split_at(most.min(octets.len()));
        *octets = rest;
        system.hash.update(taken);
        system.left -= u64::try_from(taken.len()).unwrap_or(system.left);
        Ok(Piece::System(taken))
    }

    fn head<'o>(&mut self, octets: &mut &'o [u8]) -> Result<Piece<'o>, BundleError> {
        // First how long it is, then all of it.
        for _ in 0..2 {
            let missing = self.whole_head().saturating_sub(self.head.len());
            let (taken, rest) = octets.split_at(missing.min(octets.len()));
            self.head.extend_from_slice(taken);
            *octets = rest;
            if self
                .head
                .iter()
                .zip(&MAGIC)
                .any(|(found, expected)| found != expected)
            {
                return Err(BundleError::Foreign("it does not begin as one does"));
            }
            if self.whole_head() > MAGIC.len() + LENGTH + LONGEST + SIGNATURE {
                return Err(BundleError::Foreign("its manifest is too long"));
            }
        }
        let whole = self.whole_head();
        if self.head.len() < whole {
            return Ok(Piece::Nothing);
        }
        let manifest = self.manifest(whole)?;
        self.system = Some(System {
            left: manifest.size,
            hash: Context::new(&SHA256),
            digest: manifest.digest,
        });
        Ok(Piece::Manifest(manifest))
    }

    /// What was signed by a key that is known.
    fn manifest(&self, whole: usize) -> Result<Manifest, BundleError> {
        let (signed, signature) = self.head.split_at(whole.saturating_sub(SIGNATURE));
        let known = |key: &PublicKey| {
            UnparsedPublicKey::new(&ED25519, key.0)
                .verify(signed, signature)
                .is_ok()
        };
        if !self.keys.iter().any(known) {
            return Err(BundleError::Signature);
        }
        Manifest::decode(signed.get(MAGIC.len() + LENGTH..).unwrap_or_default())
    }

    /// Octets before the system, as far as they are known.
    fn whole_head(&self) -> usize {
        match self.head.get(MAGIC.len()..MAGIC.len() + LENGTH) {
            Some([high, low]) => {
                MAGIC.len() + LENGTH + usize::from(u16::from_be_bytes([*high, *low])) + SIGNATURE
            }
            Some(_) | None => MAGIC.len() + LENGTH,
        }
    }

    /// Whether all of it came, and was what was signed.
    ///
    /// # Errors
    /// When it was not.
    pub fn finish(self) -> Result<(), BundleError> {
        let system = self.system.ok_or(BundleError::Truncated { missing: 0 })?;
        if system.left > 0 {
            return Err(BundleError::Truncated { missing: system.left });
        }
        if system.hash.finish().as_ref() != system.digest {
            return Err(BundleError::Damaged);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
