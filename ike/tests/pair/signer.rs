//! Who has the private keys of a site, and signs with them.

use std::collections::BTreeMap;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RsaKeyPair,
};
use ike::crypto::{Hash, SignatureScheme};
use ike::{Input, SaId, SignerFault, SignerReason, ToBeSigned};
use num_bigint::BigUint;
use x509_cert::der::Decode;
use x509_cert::der::asn1::AnyRef;

/// Private keys by name, in PKCS#8.
#[derive(Default)]
pub(crate) struct Signer {
    pub(crate) keys: BTreeMap<String, Vec<u8>>,
    /// Signs only when it is told to.
    pub(crate) hesitates: bool,
    /// What waits for that.
    pub(crate) waiting: Vec<(SaId, ToBeSigned)>,
    /// How it signed so far.
    pub(crate) schemes: Vec<SignatureScheme>,
}

impl Signer {
    pub(crate) fn sign(&mut self, sa: SaId, asked: &ToBeSigned) -> Option<Input> {
        if self.hesitates {
            self.waiting.push((sa, asked.clone()));
            return None;
        }
        Some(self.signed(sa, asked))
    }

    pub(crate) fn signed(&mut self, sa: SaId, asked: &ToBeSigned) -> Input {
        self.schemes.push(asked.scheme);
        let Some(key) = self.keys.get(asked.key.0.as_ref()) else {
            let fault = SignerFault {
                reason: SignerReason::KeyMissing,
                detail: format!("no key {}", asked.key.0),
            };
            return Input::Signed(sa, Err(fault));
        };
        let all = asked.messages.iter();
        Input::Signed(
            sa,
            Ok(all.map(|message| sign(key, asked.scheme, message)).collect()),
        )
    }
}

fn sign(key: &[u8], scheme: SignatureScheme, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let encoding: &dyn signature::RsaEncoding = match scheme {
        SignatureScheme::RsaPkcs1(Hash::Sha256) => &signature::RSA_PKCS1_SHA256,
        SignatureScheme::RsaPkcs1(Hash::Sha384) => &signature::RSA_PKCS1_SHA384,
        SignatureScheme::RsaPkcs1(Hash::Sha512) => &signature::RSA_PKCS1_SHA512,
        SignatureScheme::RsaPss(Hash::Sha256) => &signature::RSA_PSS_SHA256,
        SignatureScheme::RsaPss(Hash::Sha384) => &signature::RSA_PSS_SHA384,
        SignatureScheme::RsaPss(Hash::Sha512) => &signature::RSA_PSS_SHA512,
        SignatureScheme::Ecdsa(hash) => {
            let algorithm = match hash {
                Hash::Sha256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
                _ => &ECDSA_P384_SHA384_FIXED_SIGNING,
            };
            let pair = EcdsaKeyPair::from_pkcs8(algorithm, key).unwrap();
            return pair.sign(&random, message).unwrap().as_ref().to_vec();
        }
        SignatureScheme::RsaBare => return sign_bare(key, message),
        SignatureScheme::RsaPkcs1(Hash::Sha1) | SignatureScheme::RsaPss(Hash::Sha1) => {
            panic!("no SHA-1 here")
        }
    };
    let pair = RsaKeyPair::from_pkcs8(key).unwrap();
    let mut signed = vec![0; pair.public_modulus_len()];
    pair.sign(encoding, &random, message, &mut signed).unwrap();
    signed
}

/// A hash, padded as PKCS#1 v1.5 has it and named by nothing (RFC 2409 §5.1).
fn sign_bare(key: &[u8], hash: &[u8]) -> Vec<u8> {
    let parts = Vec::<AnyRef<'_>>::from_der(key).unwrap();
    let numbers = Vec::<AnyRef<'_>>::from_der(parts[2].value()).unwrap();
    let number = |place: usize| BigUint::from_bytes_be(numbers[place].value());
    let (modulus, private) = (number(1), number(3));
    let octets = usize::try_from(modulus.bits().div_ceil(8)).unwrap();
    let padding = vec![0xff; octets - 3 - hash.len()];
    let padded = [&[0, 1], padding.as_slice(), &[0], hash].concat();
    let signed = BigUint::from_bytes_be(&padded).modpow(&private, &modulus);
    let signed = signed.to_bytes_be();
    [vec![0; octets - signed.len()], signed].concat()
}
