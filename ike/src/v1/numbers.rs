//! Our algorithms and the numbers that IKEv1 has for them (RFC 2409 appendix A, RFC 2407 §4.4, §4.5).

use crate::crypto::{Encryption, Group, Integrity, Prf};
use crate::wire::v1::registry::{authenticator, encryption, esp, hash};

pub(super) fn cipher(number: u16, bits: Option<u16>) -> Option<Encryption> {
    match (number, bits) {
        (encryption::DES, None) => Some(Encryption::Des),
        (encryption::TRIPLE_DES, None) => Some(Encryption::TripleDes),
        (encryption::AES_CBC, Some(bits @ (128 | 192 | 256))) => Some(Encryption::AesCbc(bits)),
        _ => None,
    }
}

pub(super) fn cipher_number(of: Encryption) -> Option<u16> {
    match of {
        Encryption::Des => Some(encryption::DES),
        Encryption::TripleDes => Some(encryption::TRIPLE_DES),
        Encryption::AesCbc(_) => Some(encryption::AES_CBC),
        Encryption::AesGcm16(_) | Encryption::ChaCha20Poly1305 | Encryption::Null => None,
    }
}

pub(super) fn esp_cipher(id: u8, bits: Option<u16>) -> Option<Encryption> {
    match (id, bits) {
        (esp::DES, None) => Some(Encryption::Des),
        (esp::TRIPLE_DES, None) => Some(Encryption::TripleDes),
        (esp::NULL, None) => Some(Encryption::Null),
        (esp::AES_CBC, Some(bits @ (128 | 192 | 256))) => Some(Encryption::AesCbc(bits)),
        (esp::AES_GCM_16, Some(bits @ (128 | 192 | 256))) => Some(Encryption::AesGcm16(bits)),
        _ => None,
    }
}

pub(super) fn transform_number(of: Encryption) -> Option<u8> {
    match of {
        Encryption::Des => Some(esp::DES),
        Encryption::TripleDes => Some(esp::TRIPLE_DES),
        Encryption::Null => Some(esp::NULL),
        Encryption::AesCbc(_) => Some(esp::AES_CBC),
        Encryption::AesGcm16(_) => Some(esp::AES_GCM_16),
        Encryption::ChaCha20Poly1305 => None,
    }
}

pub(super) fn prf(number: u16) -> Option<Prf> {
    match number {
        hash::MD5 => Some(Prf::HmacMd5),
        hash::SHA1 => Some(Prf::HmacSha1),
        hash::SHA2_256 => Some(Prf::HmacSha2_256),
        hash::SHA2_384 => Some(Prf::HmacSha2_384),
        hash::SHA2_512 => Some(Prf::HmacSha2_512),
        _ => None,
    }
}

pub(super) fn hash_number(of: Prf) -> u16 {
    match of {
        Prf::HmacMd5 => hash::MD5,
        Prf::HmacSha1 => hash::SHA1,
        Prf::HmacSha2_256 => hash::SHA2_256,
        Prf::HmacSha2_384 => hash::SHA2_384,
        Prf::HmacSha2_512 => hash::SHA2_512,
    }
}

pub(super) fn authenticator(number: u16) -> Option<Integrity> {
    match number {
        authenticator::HMAC_MD5 => Some(Integrity::HmacMd5_96),
        authenticator::HMAC_SHA1 => Some(Integrity::HmacSha1_96),
        authenticator::HMAC_SHA2_256 => Some(Integrity::HmacSha2_256_128),
        authenticator::HMAC_SHA2_384 => Some(Integrity::HmacSha2_384_192),
        authenticator::HMAC_SHA2_512 => Some(Integrity::HmacSha2_512_256),
        _ => None,
    }
}

pub(super) fn authenticator_number(of: Integrity) -> u16 {
    match of {
        Integrity::HmacMd5_96 => authenticator::HMAC_MD5,
        Integrity::HmacSha1_96 => authenticator::HMAC_SHA1,
        Integrity::HmacSha2_256_128 => authenticator::HMAC_SHA2_256,
        Integrity::HmacSha2_384_192 => authenticator::HMAC_SHA2_384,
        Integrity::HmacSha2_512_256 => authenticator::HMAC_SHA2_512,
    }
}

/// A group by its number, which IKEv2 took over; those that came later have none here.
pub(super) fn group(number: u16) -> Option<Group> {
    Group::from_id(number).filter(|group| group_number(*group).is_some())
}

pub(super) fn group_number(of: Group) -> Option<u16> {
    match of {
        Group::X25519 | Group::MlKem512 | Group::MlKem768 | Group::MlKem1024 => None,
        known @ (Group::Modp768
        | Group::Modp1024
        | Group::Modp1536
        | Group::Modp2048
        | Group::Modp3072
        | Group::Modp4096
        | Group::Ecp256
        | Group::Ecp384
        | Group::Ecp521
        | Group::Modp2048Subgroup256) => Some(known.id()),
    }
}
