use std::fmt;

/// A cipher with its key length in bits (IANA "Transform Type 1").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encryption {
    /// ENCR_AES_CBC (12), keys of 128, 192 or 256 bits (RFC 3602).
    AesCbc(u16),
    /// ENCR_AES_GCM_16 (20), keys of 128, 192 or 256 bits (RFC 4106, RFC 5282).
    AesGcm16(u16),
    /// ENCR_CHACHA20_POLY1305 (28), keys of 256 bits (RFC 7634).
    ChaCha20Poly1305,
    /// ENCR_3DES (3), in CBC mode (RFC 2451): weak.
    TripleDes,
    /// ENCR_DES (2), in CBC mode (RFC 2405): broken.
    Des,
    /// ENCR_NULL (11), for ESP only: authenticates and hides nothing (RFC 2410).
    Null,
}

/// An authenticator (IANA "Transform Type 3").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// AUTH_HMAC_MD5_96 (1) (RFC 2403): weak.
    HmacMd5_96,
    /// AUTH_HMAC_SHA1_96 (2).
    HmacSha1_96,
    /// AUTH_HMAC_SHA2_256_128 (12).
    HmacSha2_256_128,
    /// AUTH_HMAC_SHA2_384_192 (13).
    HmacSha2_384_192,
    /// AUTH_HMAC_SHA2_512_256 (14).
    HmacSha2_512_256,
}

/// A pseudo-random function (IANA "Transform Type 2").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Prf {
    /// PRF_HMAC_MD5 (1) (RFC 2104): weak.
    HmacMd5,
    /// PRF_HMAC_SHA1 (2).
    HmacSha1,
    /// PRF_HMAC_SHA2_256 (5).
    HmacSha2_256,
    /// PRF_HMAC_SHA2_384 (6).
    HmacSha2_384,
    /// PRF_HMAC_SHA2_512 (7).
    HmacSha2_512,
}

/// A key-exchange method (IANA "Transform Type 4").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// 768-bit MODP (1): broken.
    Modp768,
    /// 1024-bit MODP (2).
    Modp1024,
    /// 1536-bit MODP (5).
    Modp1536,
    /// 2048-bit MODP (14).
    Modp2048,
    /// 3072-bit MODP (15).
    Modp3072,
    /// 4096-bit MODP (16).
    Modp4096,
    /// 256-bit random ECP (19).
    Ecp256,
    /// 384-bit random ECP (20).
    Ecp384,
    /// 521-bit random ECP (21).
    Ecp521,
    /// 2048-bit MODP with 256-bit prime order subgroup (24).
    Modp2048Subgroup256,
    /// Curve25519 (31).
    X25519,
    /// ML-KEM-512 (35) (FIPS 203, draft-ietf-ipsecme-ikev2-mlkem).
    MlKem512,
    /// ML-KEM-768 (36).
    MlKem768,
    /// ML-KEM-1024 (37).
    MlKem1024,
}

impl Encryption {
    /// The cipher of an ENCR transform and its Key Length attribute, if we have it. Ciphers whose keys have one length
    /// carry no attribute (RFC 7296 §3.3.5, RFC 7634 §4).
    pub fn from_id(id: u16, key_length: Option<u16>) -> Option<Self> {
        match (id, key_length) {
            (2, None) => Some(Self::Des),
            (3, None) => Some(Self::TripleDes),
            (11, None) => Some(Self::Null),
            (12, Some(bits @ (128 | 192 | 256))) => Some(Self::AesCbc(bits)),
            (20, Some(bits @ (128 | 192 | 256))) => Some(Self::AesGcm16(bits)),
            (28, None) => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// Its number in the registry.
    pub fn id(self) -> u16 {
        match self {
            Self::Des => 2,
            Self::TripleDes => 3,
            Self::Null => 11,
            Self::AesCbc(_) => 12,
            Self::AesGcm16(_) => 20,
            Self::ChaCha20Poly1305 => 28,
        }
    }

    /// The Key Length attribute, in bits, without salt; `None` if it carries none.
    pub fn key_length(self) -> Option<u16> {
        match self {
            Self::AesCbc(bits) | Self::AesGcm16(bits) => Some(bits),
            Self::ChaCha20Poly1305 | Self::TripleDes | Self::Des | Self::Null => None,
        }
    }

    /// Octets of key material to take for it: the key and, for AEAD ciphers, the salt (RFC 5282 §7.1, RFC 7634 §2).
    pub fn key_octets(self) -> usize {
        let key = match self {
            Self::AesCbc(bits) | Self::AesGcm16(bits) => usize::from(bits / 8),
            Self::ChaCha20Poly1305 => 32,
            Self::TripleDes => 24,
            Self::Des => 8,
            Self::Null => 0,
        };
        key + self.salt_octets()
    }

    /// Octets of salt that follow the key in its key material.
    pub fn salt_octets(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 => 4,
            Self::AesCbc(_) | Self::TripleDes | Self::Des | Self::Null => 0,
        }
    }

    /// Octets of the initialization vector that each message carries.
    pub fn iv_octets(self) -> usize {
        match self {
            Self::AesCbc(_) => 16,
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 | Self::TripleDes | Self::Des => 8,
            Self::Null => 0,
        }
    }

    /// Octets of the integrity check value that it makes itself; 0 if an authenticator must.
    pub fn icv_octets(self) -> usize {
        match self {
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 => 16,
            Self::AesCbc(_) | Self::TripleDes | Self::Des | Self::Null => 0,
        }
    }

    /// Plaintext and padding must fill blocks of this many octets.
    pub fn block_octets(self) -> usize {
        match self {
            Self::AesCbc(_) => 16,
            Self::TripleDes | Self::Des => 8,
            Self::AesGcm16(_) | Self::ChaCha20Poly1305 | Self::Null => 1,
        }
    }

    /// Whether it authenticates too, so that no authenticator goes with it.
    pub fn is_aead(self) -> bool {
        self.icv_octets() != 0
    }
}

impl fmt::Display for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AesCbc(bits) => write!(f, "AES_CBC_{bits}"),
            Self::AesGcm16(bits) => write!(f, "AES_GCM_16_{bits}"),
            Self::ChaCha20Poly1305 => f.write_str("CHACHA20_POLY1305"),
            Self::TripleDes => f.write_str("3DES"),
            Self::Des => f.write_str("DES"),
            Self::Null => f.write_str("NULL"),
        }
    }
}

impl Integrity {
    /// The authenticator of an INTEG transform, if we have it.
    pub fn from_id(id: u16) -> Option<Self> {
        match id {
            1 => Some(Self::HmacMd5_96),
            2 => Some(Self::HmacSha1_96),
            12 => Some(Self::HmacSha2_256_128),
            13 => Some(Self::HmacSha2_384_192),
            14 => Some(Self::HmacSha2_512_256),
            _ => None,
        }
    }

    /// Its number in the registry.
    pub fn id(self) -> u16 {
        match self {
            Self::HmacMd5_96 => 1,
            Self::HmacSha1_96 => 2,
            Self::HmacSha2_256_128 => 12,
            Self::HmacSha2_384_192 => 13,
            Self::HmacSha2_512_256 => 14,
        }
    }

    /// Octets of its key.
    pub fn key_octets(self) -> usize {
        match self {
            Self::HmacMd5_96 => 16,
            Self::HmacSha1_96 => 20,
            Self::HmacSha2_256_128 => 32,
            Self::HmacSha2_384_192 => 48,
            Self::HmacSha2_512_256 => 64,
        }
    }

    /// Octets of the integrity check value.
    pub fn icv_octets(self) -> usize {
        match self {
            Self::HmacMd5_96 | Self::HmacSha1_96 => 12,
            Self::HmacSha2_256_128 => 16,
            Self::HmacSha2_384_192 => 24,
            Self::HmacSha2_512_256 => 32,
        }
    }
}

impl fmt::Display for Integrity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacMd5_96 => "HMAC_MD5_96",
            Self::HmacSha1_96 => "HMAC_SHA1_96",
            Self::HmacSha2_256_128 => "HMAC_SHA2_256_128",
            Self::HmacSha2_384_192 => "HMAC_SHA2_384_192",
            Self::HmacSha2_512_256 => "HMAC_SHA2_512_256",
        })
    }
}

impl Prf {
    /// The function of a PRF transform, if we have it.
    pub fn from_id(id: u16) -> Option<Self> {
        match id {
            1 => Some(Self::HmacMd5),
            2 => Some(Self::HmacSha1),
            5 => Some(Self::HmacSha2_256),
            6 => Some(Self::HmacSha2_384),
            7 => Some(Self::HmacSha2_512),
            _ => None,
        }
    }

    /// Its number in the registry.
    pub fn id(self) -> u16 {
        match self {
            Self::HmacMd5 => 1,
            Self::HmacSha1 => 2,
            Self::HmacSha2_256 => 5,
            Self::HmacSha2_384 => 6,
            Self::HmacSha2_512 => 7,
        }
    }

    /// Octets of its output, which are also those of its preferred key (RFC 7296 §2.13).
    pub fn octets(self) -> usize {
        match self {
            Self::HmacMd5 => 16,
            Self::HmacSha1 => 20,
            Self::HmacSha2_256 => 32,
            Self::HmacSha2_384 => 48,
            Self::HmacSha2_512 => 64,
        }
    }
}

impl fmt::Display for Prf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacMd5 => "PRF_HMAC_MD5",
            Self::HmacSha1 => "PRF_HMAC_SHA1",
            Self::HmacSha2_256 => "PRF_HMAC_SHA2_256",
            Self::HmacSha2_384 => "PRF_HMAC_SHA2_384",
            Self::HmacSha2_512 => "PRF_HMAC_SHA2_512",
        })
    }
}

impl Group {
    /// The method of a KE transform or a KE payload, if we have it.
    pub fn from_id(id: u16) -> Option<Self> {
        match id {
            1 => Some(Self::Modp768),
            2 => Some(Self::Modp1024),
            5 => Some(Self::Modp1536),
            14 => Some(Self::Modp2048),
            15 => Some(Self::Modp3072),
            16 => Some(Self::Modp4096),
            19 => Some(Self::Ecp256),
            20 => Some(Self::Ecp384),
            21 => Some(Self::Ecp521),
            24 => Some(Self::Modp2048Subgroup256),
            31 => Some(Self::X25519),
            35 => Some(Self::MlKem512),
            36 => Some(Self::MlKem768),
            37 => Some(Self::MlKem1024),
            _ => None,
        }
    }

    /// Its number in the registry.
    pub fn id(self) -> u16 {
        match self {
            Self::Modp768 => 1,
            Self::Modp1024 => 2,
            Self::Modp1536 => 5,
            Self::Modp2048 => 14,
            Self::Modp3072 => 15,
            Self::Modp4096 => 16,
            Self::Ecp256 => 19,
            Self::Ecp384 => 20,
            Self::Ecp521 => 21,
            Self::Modp2048Subgroup256 => 24,
            Self::X25519 => 31,
            Self::MlKem512 => 35,
            Self::MlKem768 => 36,
            Self::MlKem1024 => 37,
        }
    }

    /// Octets of what the initiator sends in its KE payload: a public value, or an encapsulation key.
    pub fn initiator_octets(self) -> usize {
        match self {
            Self::Modp768 => 96,
            Self::Modp1024 => 128,
            Self::Modp1536 => 192,
            Self::Modp2048 | Self::Modp2048Subgroup256 => 256,
            Self::Modp3072 => 384,
            Self::Modp4096 => 512,
            Self::Ecp256 => 64,
            Self::Ecp384 => 96,
            Self::Ecp521 => 132,
            Self::X25519 => 32,
            Self::MlKem512 => 800,
            Self::MlKem768 => 1184,
            Self::MlKem1024 => 1568,
        }
    }

    /// Octets of what the responder sends in its KE payload: a public value, or a ciphertext.
    pub fn responder_octets(self) -> usize {
        match self {
            Self::MlKem512 => 768,
            Self::MlKem768 => 1088,
            Self::MlKem1024 => 1568,
            diffie_hellman => diffie_hellman.initiator_octets(),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Modp768 => "MODP_768",
            Self::Modp1024 => "MODP_1024",
            Self::Modp1536 => "MODP_1536",
            Self::Modp2048 => "MODP_2048",
            Self::Modp3072 => "MODP_3072",
            Self::Modp4096 => "MODP_4096",
            Self::Ecp256 => "ECP_256",
            Self::Ecp384 => "ECP_384",
            Self::Ecp521 => "ECP_521",
            Self::Modp2048Subgroup256 => "MODP_2048_256",
            Self::X25519 => "X25519",
            Self::MlKem512 => "ML_KEM_512",
            Self::MlKem768 => "ML_KEM_768",
            Self::MlKem1024 => "ML_KEM_1024",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever number a peer sends, what we make of it is what we would send for it.
    #[test]
    fn numbers_round_trip() {
        for id in 0..=u16::MAX {
            assert!(Integrity::from_id(id).is_none_or(|known| known.id() == id));
            assert!(Prf::from_id(id).is_none_or(|known| known.id() == id));
            assert!(Group::from_id(id).is_none_or(|known| known.id() == id));
            for length in [None, Some(128), Some(192), Some(256)] {
                let known = Encryption::from_id(id, length);
                assert!(known.is_none_or(|known| (known.id(), known.key_length()) == (id, length)));
            }
        }
        assert!(
            [1, 2, 12, 13, 14]
                .iter()
                .all(|id| Integrity::from_id(*id).is_some())
        );
        assert!([1, 2, 5, 6, 7].iter().all(|id| Prf::from_id(*id).is_some()));
        let groups = [1, 2, 14, 15, 16, 19, 20, 21, 24, 31, 35, 36, 37];
        assert!(groups.iter().all(|id| Group::from_id(*id).is_some()));
    }

    /// A cipher with variable keys is unknown without a valid Key Length, one with fixed keys with any (RFC 7296 §3.3.5).
    #[test]
    fn key_length_is_needed_where_it_says_something() {
        assert_eq!(Encryption::from_id(20, None), None);
        assert_eq!(Encryption::from_id(12, Some(512)), None);
        assert_eq!(
            Encryption::from_id(20, Some(192)),
            Some(Encryption::AesGcm16(192))
        );
        assert_eq!(Encryption::from_id(28, None), Some(Encryption::ChaCha20Poly1305));
        assert_eq!(Encryption::from_id(28, Some(256)), None);
    }

    #[test]
    fn names_are_those_of_the_registry() {
        assert_eq!(Encryption::AesGcm16(128).to_string(), "AES_GCM_16_128");
        assert_eq!(Integrity::HmacSha2_256_128.to_string(), "HMAC_SHA2_256_128");
        assert_eq!(Prf::HmacSha2_384.to_string(), "PRF_HMAC_SHA2_384");
        assert_eq!(Group::Modp2048.to_string(), "MODP_2048");
    }
}
