//! Kernel names of the algorithms.

use std::fmt;

use secrecy::SecretSlice;

/// What an ESP state does to a packet; the key's length says which variant of the cipher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-GCM with an ICV of 16 octets (RFC 4106).
    AesGcm16,
    /// ChaCha20-Poly1305 (RFC 7634).
    ChaCha20Poly1305,
    /// AES-CBC (RFC 3602) with an authenticator.
    AesCbc(Authenticator),
    /// 3DES-CBC (RFC 2451) with an authenticator: weak.
    TripleDes(Authenticator),
    /// DES-CBC (RFC 2405) with an authenticator: broken.
    Des(Authenticator),
    /// No encryption (RFC 2410), with an authenticator.
    Null(Authenticator),
    /// Found in the kernel under our mark, but none of ours.
    Foreign(String),
}

/// Authenticates what a cipher without an authenticator of its own has encrypted, truncated as ESP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authenticator {
    /// HMAC-MD5-96 (RFC 2403): weak.
    HmacMd5_96,
    /// HMAC-SHA1-96 (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256-128 (RFC 4868).
    HmacSha2_256_128,
    /// HMAC-SHA-384-192 (RFC 4868).
    HmacSha2_384_192,
    /// HMAC-SHA-512-256 (RFC 4868).
    HmacSha2_512_256,
}

/// Keys of one ESP state, wiped when dropped.
#[derive(Debug)]
pub struct EspKeys {
    /// The cipher's key; for AES-GCM and ChaCha20-Poly1305 the four octets of salt follow it.
    pub encryption: SecretSlice<u8>,
    /// The authenticator's key; `None` for AES-GCM and ChaCha20-Poly1305.
    pub integrity: Option<SecretSlice<u8>>,
}

const GCM: &str = "rfc4106(gcm(aes))";
const CHACHA20_POLY1305: &str = "rfc7539esp(chacha20,poly1305)";
const AES_CBC: &str = "cbc(aes)";
const TRIPLE_DES: &str = "cbc(des3_ede)";
const DES: &str = "cbc(des)";
const NULL: &str = "ecb(cipher_null)";
/// Length of the ICV that AEAD ciphers make, in bits.
pub(crate) const AEAD_ICV_BITS: u32 = 128;

/// The kernel's names of an algorithm.
pub(crate) enum Names<'a> {
    /// An AEAD cipher.
    Aead(&'static str),
    /// A cipher with an authenticator.
    Separate(&'static str, Authenticator),
    /// None that we would give it.
    Foreign(&'a str),
}

impl Authenticator {
    const ALL: [Authenticator; 5] = [
        Authenticator::HmacMd5_96,
        Authenticator::HmacSha1_96,
        Authenticator::HmacSha2_256_128,
        Authenticator::HmacSha2_384_192,
        Authenticator::HmacSha2_512_256,
    ];

    /// The kernel's name, and the length of the ICV in bits.
    pub(crate) fn kernel_name(self) -> (&'static str, u32) {
        match self {
            Authenticator::HmacMd5_96 => ("hmac(md5)", 96),
            Authenticator::HmacSha1_96 => ("hmac(sha1)", 96),
            Authenticator::HmacSha2_256_128 => ("hmac(sha256)", 128),
            Authenticator::HmacSha2_384_192 => ("hmac(sha384)", 192),
            Authenticator::HmacSha2_512_256 => ("hmac(sha512)", 256),
        }
    }
}

impl Algorithm {
    /// The names that the kernel is given, or has given.
    pub(crate) fn names(&self) -> Names<'_> {
        match self {
            Algorithm::AesGcm16 => Names::Aead(GCM),
            Algorithm::ChaCha20Poly1305 => Names::Aead(CHACHA20_POLY1305),
            Algorithm::AesCbc(authenticator) => Names::Separate(AES_CBC, *authenticator),
            Algorithm::TripleDes(authenticator) => Names::Separate(TRIPLE_DES, *authenticator),
            Algorithm::Des(authenticator) => Names::Separate(DES, *authenticator),
            Algorithm::Null(authenticator) => Names::Separate(NULL, *authenticator),
            Algorithm::Foreign(names) => Names::Foreign(names),
        }
    }

    /// What the kernel's names mean: those of an AEAD alone, or of a cipher and an authenticator with the
    /// length of its ICV in bits.
    pub(crate) fn from_kernel(encryption: &str, integrity: Option<(&str, u32)>) -> Self {
        let authenticator = integrity.and_then(|found| {
            Authenticator::ALL
                .into_iter()
                .find(|one| one.kernel_name() == found)
        });
        match (encryption, integrity, authenticator) {
            (GCM, None, _) => Algorithm::AesGcm16,
            (CHACHA20_POLY1305, None, _) => Algorithm::ChaCha20Poly1305,
            (AES_CBC, Some(_), Some(known)) => Algorithm::AesCbc(known),
            (TRIPLE_DES, Some(_), Some(known)) => Algorithm::TripleDes(known),
            (DES, Some(_), Some(known)) => Algorithm::Des(known),
            (NULL, Some(_), Some(known)) => Algorithm::Null(known),
            (_, Some((name, bits)), _) => Algorithm::Foreign(format!("{encryption}, {name}/{bits}")),
            (_, None, _) => Algorithm::Foreign(encryption.to_owned()),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.names() {
            Names::Aead(name) => f.write_str(name),
            Names::Separate(name, authenticator) => write!(f, "{name}, {}", authenticator.kernel_name().0),
            Names::Foreign(names) => f.write_str(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every algorithm is found again under the names that it was given to the kernel with.
    #[test]
    fn names_are_read_back() {
        for aead in [Algorithm::AesGcm16, Algorithm::ChaCha20Poly1305] {
            assert_eq!(Algorithm::from_kernel(&aead.to_string(), None), aead);
        }
        for authenticator in Authenticator::ALL {
            for (name, algorithm) in [
                ("cbc(aes)", Algorithm::AesCbc(authenticator)),
                ("cbc(des3_ede)", Algorithm::TripleDes(authenticator)),
                ("cbc(des)", Algorithm::Des(authenticator)),
                ("ecb(cipher_null)", Algorithm::Null(authenticator)),
            ] {
                let found = Algorithm::from_kernel(name, Some(authenticator.kernel_name()));
                assert_eq!(found, algorithm);
                assert!(found.to_string().starts_with(name), "{found}");
            }
        }
        // The kernel's own default truncation of SHA-256 is 96 bits, which RFC 4868 does not allow.
        assert_eq!(
            Algorithm::from_kernel("cbc(aes)", Some(("hmac(sha256)", 96))),
            Algorithm::Foreign("cbc(aes), hmac(sha256)/96".to_owned())
        );
    }

    /// Keys never show in a debug print.
    #[test]
    fn keys_are_not_printed() {
        let keys = EspKeys {
            encryption: vec![0xab; 20].into(),
            integrity: Some(vec![0xcd; 20].into()),
        };
        let printed = format!("{keys:?}");
        assert!(
            !printed.contains("171") && !printed.contains("205") && !printed.contains("ab"),
            "{printed}"
        );
    }
}
