//! What is wrong with algorithms that are here for peers that know nothing better (RFC 8221, RFC 8247).

use super::{Encryption, Group, Integrity, Prf};

const MD5: &str = "MD5 is broken";
const SHA1: &str = "SHA-1 is broken, though not under HMAC yet";

impl Encryption {
    /// Why nobody should choose it; `None` if it is good.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            Self::TripleDes => Some("with blocks of 64 bits, much traffic tells about itself"),
            Self::Des => Some("keys of 56 bits are found by trying"),
            Self::Null => Some("anyone on the way can read"),
            Self::AesCbc(_) | Self::AesGcm16(_) | Self::ChaCha20Poly1305 => None,
        }
    }
}

impl Integrity {
    /// Why nobody should choose it; `None` if it is good.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            Self::HmacMd5_96 => Some(MD5),
            Self::HmacSha1_96 => Some(SHA1),
            Self::HmacSha2_256_128 | Self::HmacSha2_384_192 | Self::HmacSha2_512_256 => None,
        }
    }
}

impl Prf {
    /// Why nobody should choose it; `None` if it is good.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            Self::HmacMd5 => Some(MD5),
            Self::HmacSha1 => Some(SHA1),
            Self::HmacSha2_256 | Self::HmacSha2_384 | Self::HmacSha2_512 => None,
        }
    }
}

impl Group {
    /// Why nobody should choose it; `None` if it is good.
    pub fn weakness(self) -> Option<&'static str> {
        match self {
            Self::Modp768 => Some("logarithms of 768 bits have been computed"),
            Self::Modp1024 => Some("logarithms of 1024 bits are within reach of a state"),
            Self::Modp1536 => Some("logarithms of 1536 bits may be within reach of a state"),
            Self::Modp2048Subgroup256 => Some("nobody says where its prime comes from"),
            Self::Modp2048
            | Self::Modp3072
            | Self::Modp4096
            | Self::Ecp256
            | Self::Ecp384
            | Self::Ecp521
            | Self::X25519
            | Self::MlKem512
            | Self::MlKem768
            | Self::MlKem1024 => None,
        }
    }
}
