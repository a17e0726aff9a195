use std::fmt;
use std::pin::Pin;

use crate::error::KeyError;

/// Hash of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hash {
    /// SHA-1, which RSA signatures of IKEv2 have by default (RFC 7296 §2.15).
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// How to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(Hash),
    /// The same of a message that is a hash already, which nothing names: what IKEv1 signs (RFC 2409 §5.1).
    RsaBare,
    /// RSASSA-PSS with MGF1 of the same hash and a salt as long as it (RFC 8017 §8.1).
    RsaPss(Hash),
    /// ECDSA on the curve of the key.
    Ecdsa(Hash),
}

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// RSA.
    Rsa {
        /// The length of the modulus.
        bits: u32,
    },
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521.
    EcdsaP521,
}

/// Where the private key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In this machine's memory.
    Memory,
    /// In a PKCS#11 token, which does not give it away.
    Token,
    /// In a key vault, which does not give it away.
    Vault,
}

/// A signature on its way. Whoever drops it is rid of it; a deadline is the caller's.
pub type Signing<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, KeyError>> + Send + 'a>>;

/// A private key that is somewhere.
pub trait Key: Send + Sync {
    /// What kind of key it is.
    fn kind(&self) -> KeyKind;

    /// The public key: SubjectPublicKeyInfo in DER (RFC 5280 §4.1.2.7).
    fn public_key(&self) -> &[u8];

    /// Where the private key is.
    fn place(&self) -> Place;

    /// Certificates in DER, that of the key first and each certified by the next; empty if the provider has none.
    fn chain(&self) -> &[Vec<u8>];

    /// Signs a message, which is hashed here unless it is a hash already. A signature of RSA is as long as the modulus; one of
    /// ECDSA is r and s, each as long as the order of the curve (RFC 4754 §7).
    fn sign<'a>(&'a self, scheme: Scheme, message: &'a [u8]) -> Signing<'a>;

    /// Whether the private key would leave where it is to sign like this: a trial does not ask for that.
    fn would_leave(&self, _scheme: Scheme) -> bool {
        false
    }
}

/// The shortest modulus of RSA that is taken, in bits.
pub(crate) const LEAST_RSA_BITS: u32 = 2048;

/// The longest, with which a signature still takes less than a tenth of a second.
pub(crate) const MOST_RSA_BITS: u32 = 8192;

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

impl Scheme {
    /// The hash that is signed; `None` where the message is one.
    pub fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => Some(hash),
            Self::RsaBare => None,
        }
    }

    /// Refuses what no key of this kind can do.
    pub(crate) fn check(self, kind: KeyKind) -> Result<(), KeyError> {
        let fits = match (self, kind) {
            (Self::RsaPkcs1(_) | Self::RsaBare | Self::RsaPss(_), KeyKind::Rsa { bits: _ }) => true,
            (Self::Ecdsa(_), KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521) => true,
            (
                Self::RsaPkcs1(_) | Self::RsaBare | Self::RsaPss(_),
                KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521,
            )
            | (Self::Ecdsa(_), KeyKind::Rsa { bits: _ }) => false,
        };
        let refusal = || KeyError::SchemeUnsupported(format!("the key is {kind}, and {self} was asked for"));
        fits.then_some(()).ok_or_else(refusal)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "RSA PKCS#1 v1.5 with {hash}"),
            Self::RsaBare => f.write_str("RSA PKCS#1 v1.5 without the name of a hash"),
            Self::RsaPss(hash) => write!(f, "RSA PSS with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
        }
    }
}

impl KeyKind {
    /// How long r and s are, each; `None` for RSA.
    pub(crate) fn half(self) -> Option<usize> {
        match self {
            Self::Rsa { bits: _ } => None,
            Self::EcdsaP256 => Some(32),
            Self::EcdsaP384 => Some(48),
            Self::EcdsaP521 => Some(66),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa { bits } => write!(f, "RSA of {bits} bits"),
            Self::EcdsaP256 => f.write_str("ECDSA on P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA on P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA on P-521"),
        }
    }
}

impl Place {
    /// The word for it, the same in API, log and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Token => "token",
            Self::Vault => "vault",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A scheme of another kind of key is refused before anything is asked of a token or a vault.
    #[test]
    fn scheme_must_fit_the_key() {
        let rsa = KeyKind::Rsa { bits: 2048 };
        assert!(Scheme::RsaPkcs1(Hash::Sha1).check(rsa).is_ok());
        assert!(Scheme::Ecdsa(Hash::Sha384).check(KeyKind::EcdsaP521).is_ok());
        for (scheme, kind) in [
            (Scheme::Ecdsa(Hash::Sha256), rsa),
            (Scheme::RsaPss(Hash::Sha256), KeyKind::EcdsaP256),
        ] {
            let error = scheme.check(kind).unwrap_err();
            assert_eq!(error.word(), "scheme-unsupported");
            assert!(
                error.to_string().contains(&scheme.to_string()),
                "{error} names what was asked for"
            );
        }
    }
}
