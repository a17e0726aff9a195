//! What a token is asked for: it hashes nothing itself, as not every token can hash and sign in one.

use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsPssParams};
use cryptoki::mechanism::{Mechanism, MechanismType};

use crate::digest;
use crate::provider::{Hash, Scheme};

/// `DigestInfo` up to the hash (RFC 8017 §9.2 note 1).
const SHA1: &[u8] = b"\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
const SHA256: &[u8] = b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
const SHA384: &[u8] = b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30";
const SHA512: &[u8] = b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40";

/// The mechanism for a scheme, and what it is given of a message.
pub(super) fn prepared(scheme: Scheme, message: &[u8]) -> (Mechanism<'static>, Vec<u8>) {
    let digest = digest::signed(scheme, message);
    match scheme {
        Scheme::RsaPkcs1(hash) => (Mechanism::RsaPkcs, [prefix(hash), &digest].concat()),
        Scheme::RsaBare => (Mechanism::RsaPkcs, digest),
        Scheme::RsaPss(hash) => {
            let (hash_alg, mgf, octets) = match hash {
                Hash::Sha1 => (MechanismType::SHA1, PkcsMgfType::MGF1_SHA1, 20),
                Hash::Sha256 => (MechanismType::SHA256, PkcsMgfType::MGF1_SHA256, 32),
                Hash::Sha384 => (MechanismType::SHA384, PkcsMgfType::MGF1_SHA384, 48),
                Hash::Sha512 => (MechanismType::SHA512, PkcsMgfType::MGF1_SHA512, 64),
            };
            let s_len = octets.into();
            let parameters = PkcsPssParams { hash_alg, mgf, s_len };
            (Mechanism::RsaPkcsPss(parameters), digest)
        }
        Scheme::Ecdsa(_) => (Mechanism::Ecdsa, digest),
    }
}

fn prefix(hash: Hash) -> &'static [u8] {
    match hash {
        Hash::Sha1 => SHA1,
        Hash::Sha256 => SHA256,
        Hash::Sha384 => SHA384,
        Hash::Sha512 => SHA512,
    }
}
