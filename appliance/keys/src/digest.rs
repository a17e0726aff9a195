use aws_lc_rs::digest::{Algorithm, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};

use crate::provider::{Hash, Scheme};

/// The hash of a message.
fn hash(hash: Hash, message: &[u8]) -> Digest {
    let algorithm: &'static Algorithm = match hash {
        Hash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &SHA256,
        Hash::Sha384 => &SHA384,
        Hash::Sha512 => &SHA512,
    };
    digest(algorithm, message)
}

/// What is signed of a message: its hash, or itself.
pub(crate) fn signed(scheme: Scheme, message: &[u8]) -> Vec<u8> {
    match scheme.hash() {
        Some(hash) => self::hash(hash, message).as_ref().to_vec(),
        None => message.to_vec(),
    }
}
