use aws_lc_rs::digest::{Algorithm, Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};

use crate::provider::Hash;

/// The hash of a message.
pub(crate) fn hash(hash: Hash, message: &[u8]) -> Digest {
    let algorithm: &'static Algorithm = match hash {
        Hash::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &SHA256,
        Hash::Sha384 => &SHA384,
        Hash::Sha512 => &SHA512,
    };
    digest(algorithm, message)
}
