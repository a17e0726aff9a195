//! Kernel names of the algorithms.

use std::fmt;

use secrecy::SecretSlice;

/// What an ESP state does to a packet; the key's length says which variant of the cipher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-GCM with an ICV of 16 octets (RFC 4106).
    AesGcm16,
    /// AES-CBC (RFC 3602) with an authenticator.
    AesCbc(Authenticator),
    /// Found in the kernel under our mark, but none of ours.
    Foreign(String),
}

/// Authenticates what AES-CBC has encrypted, truncated as ESP says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authenticator {
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
    /// The cipher's key; for AES-GCM the four octets of salt follow it.
    pub encryption: SecretSlice<u8>,
    /// The authenticator's key; `None` for AES-GCM.
    pub integrity: Option<SecretSlice<u8>>,
}

/// The kernel's name of AES-GCM in ESP.
pub(crate) const GCM: &str = "rfc4106(gcm(aes))";
/// The kernel's name of AES-CBC.
pub(crate) const CBC: &str = "cbc(aes)";
/// Length of the ICV of AES-GCM, in bits.
pub(crate) const GCM_ICV_BITS: u32 = 128;

impl Authenticator {
    const ALL: [Authenticator; 4] = [
        Authenticator::HmacSha1_96,
        Authenticator::HmacSha2_256_128,
        Authenticator::HmacSha2_384_192,
        Authenticator::HmacSha2_512_256,
    ];

    /// The kernel's name, and the length of the ICV in bits.
    pub(crate) fn kernel_name(self) -> (&'static str, u32) {
        match self {
            Authenticator::HmacSha1_96 => ("hmac(sha1)", 96),
            Authenticator::HmacSha2_256_128 => ("hmac(sha256)", 128),
            Authenticator::HmacSha2_384_192 => ("hmac(sha384)", 192),
            Authenticator::HmacSha2_512_256 => ("hmac(sha512)", 256),
        }
    }
}

impl Algorithm {
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
            (CBC, Some(_), Some(known)) => Algorithm::AesCbc(known),
            (_, Some((name, bits)), _) => Algorithm::Foreign(format!("{encryption}, {name}/{bits}")),
            (_, None, _) => Algorithm::Foreign(encryption.to_owned()),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Algorithm::AesGcm16 => f.write_str(GCM),
            Algorithm::AesCbc(authenticator) => write!(f, "{CBC}, {}", authenticator.kernel_name().0),
            Algorithm::Foreign(names) => f.write_str(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every algorithm is found again under the names that it was given to the kernel with.
    #[test]
    fn names_are_read_back() {
        assert_eq!(
            Algorithm::from_kernel("rfc4106(gcm(aes))", None),
            Algorithm::AesGcm16
        );
        for authenticator in Authenticator::ALL {
            assert_eq!(
                Algorithm::from_kernel("cbc(aes)", Some(authenticator.kernel_name())),
                Algorithm::AesCbc(authenticator)
            );
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
