//! Signatures of a vault's keys: over hashes that the client made.

use aws_lc_rs::digest::{Digest, SHA256, SHA384, SHA512};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
};

/// The signature, if key, algorithm and hash fit one another as Key Vault asks for.
pub(super) fn sign(key: &[u8], algorithm: &str, digest: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        "RS256" => of_rsa(
            key,
            &RSA_PKCS1_SHA256,
            Digest::import_less_safe(digest, &SHA256).ok()?,
        ),
        "RS384" => of_rsa(
            key,
            &RSA_PKCS1_SHA384,
            Digest::import_less_safe(digest, &SHA384).ok()?,
        ),
        "RS512" => of_rsa(
            key,
            &RSA_PKCS1_SHA512,
            Digest::import_less_safe(digest, &SHA512).ok()?,
        ),
        "PS256" => of_rsa(
            key,
            &RSA_PSS_SHA256,
            Digest::import_less_safe(digest, &SHA256).ok()?,
        ),
        "PS384" => of_rsa(
            key,
            &RSA_PSS_SHA384,
            Digest::import_less_safe(digest, &SHA384).ok()?,
        ),
        "PS512" => of_rsa(
            key,
            &RSA_PSS_SHA512,
            Digest::import_less_safe(digest, &SHA512).ok()?,
        ),
        "ES256" => on_curve(
            key,
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            Digest::import_less_safe(digest, &SHA256).ok()?,
        ),
        "ES384" => on_curve(
            key,
            &ECDSA_P384_SHA384_FIXED_SIGNING,
            Digest::import_less_safe(digest, &SHA384).ok()?,
        ),
        "ES512" => on_curve(
            key,
            &ECDSA_P521_SHA512_FIXED_SIGNING,
            Digest::import_less_safe(digest, &SHA512).ok()?,
        ),
        _ => None,
    }
}

fn of_rsa(key: &[u8], encoding: &'static dyn RsaEncoding, digest: Digest) -> Option<Vec<u8>> {
    let pair = rsa::KeyPair::from_pkcs8(key).ok()?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign_digest(encoding, &digest, &mut signature).ok()?;
    Some(signature)
}

fn on_curve(key: &[u8], algorithm: &'static EcdsaSigningAlgorithm, digest: Digest) -> Option<Vec<u8>> {
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, key).ok()?;
    Some(pair.sign_digest(&digest).ok()?.as_ref().to_vec())
}
