/// A cipher with its key length in bits (IANA "Transform Type 1").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encryption {
    /// ENCR_AES_CBC (12), keys of 128, 192 or 256 bits (RFC 3602).
    AesCbc(u16),
    /// ENCR_AES_GCM_16 (20), keys of 128, 192 or 256 bits (RFC 4106, RFC 5282).
    AesGcm16(u16),
}

/// An authenticator (IANA "Transform Type 3").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
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
    /// PRF_HMAC_SHA1 (2).
    HmacSha1,
    /// PRF_HMAC_SHA2_256 (5).
    HmacSha2_256,
    /// PRF_HMAC_SHA2_384 (6).
    HmacSha2_384,
    /// PRF_HMAC_SHA2_512 (7).
    HmacSha2_512,
}

/// A key-exchange group (IANA "Transform Type 4").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// 1024-bit MODP (2).
    Modp1024,
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
}
