//! Signatures of proofs: with which schemes, how a proof names them, and whether one is right.

use std::fmt;

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader, TagMode, TagNumber, Tagged};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::bare;

/// The hash of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// SHA-1, which only method 1 still has.
    Sha1,
    /// SHA2-256.
    Sha256,
    /// SHA2-384.
    Sha384,
    /// SHA2-512.
    Sha512,
}

/// How something is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SignatureScheme {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2).
    RsaPkcs1(Hash),
    /// The same of a message that is a hash already, which nothing names: what IKEv1 signs (RFC 2409 §5.1).
    RsaBare,
    /// RSASSA-PSS, its salt as long as the hash, which MGF1 uses too (RFC 8017 §8.1).
    RsaPss(Hash),
    /// ECDSA on the curve of the key; the signature is r and s, each as long as the order of the curve (RFC 4754 §7).
    Ecdsa(Hash),
}

/// What kind of key a certificate has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA with a modulus of so many bits.
    Rsa(usize),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
    /// ECDSA on P-521.
    P521,
}

/// The moduli that a signature of RSA is verified with, in bits, as AWS-LC does for those that name their hash.
const LEGAL_RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");

impl Hash {
    /// Those of RFC 7427, strongest last.
    pub(crate) const SHA2: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its length in octets.
    pub(crate) fn octets(self) -> u8 {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn identifier(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Sha1 => "1.3.14.3.2.26",
            Self::Sha256 => "2.16.840.1.101.3.4.2.1",
            Self::Sha384 => "2.16.840.1.101.3.4.2.2",
            Self::Sha512 => "2.16.840.1.101.3.4.2.3",
        })
    }

    fn of(identifier: ObjectIdentifier) -> Option<Self> {
        let all = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];
        all.into_iter().find(|hash| hash.identifier() == identifier)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA2-256",
            Self::Sha384 => "SHA2-384",
            Self::Sha512 => "SHA2-512",
        })
    }
}

impl fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RsaPkcs1(hash) => write!(f, "RSA PKCS#1 with {hash}"),
            Self::RsaBare => f.write_str("RSA PKCS#1 without the name of a hash"),
            Self::RsaPss(hash) => write!(f, "RSA-PSS with {hash}"),
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
            Self::P256 => f.write_str("ECDSA P-256"),
            Self::P384 => f.write_str("ECDSA P-384"),
            Self::P521 => f.write_str("ECDSA P-521"),
        }
    }
}

impl KeyKind {
    /// What kind a public key is: `key` is the content of a SubjectPublicKeyInfo's bit string. `None` for one that we
    /// cannot use.
    pub(super) fn of(algorithm: &AlgorithmIdentifierRef<'_>, key: &[u8]) -> Option<Self> {
        match algorithm.oid {
            RSA => {
                let mut reader = SliceReader::new(key).ok()?;
                let modulus = reader.sequence(|inner| {
                    let modulus = UintRef::decode(inner)?;
                    inner.drain(inner.remaining_len())?;
                    Ok::<_, x509_cert::der::Error>(modulus)
                });
                let modulus = modulus.ok()?.as_bytes();
                let unused = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
                Some(Self::Rsa((modulus.len() * 8).saturating_sub(unused)))
            }
            EC => match algorithm.parameters?.decode_as::<ObjectIdentifier>().ok()? {
                P256 => Some(Self::P256),
                P384 => Some(Self::P384),
                P521 => Some(Self::P521),
                _ => None,
            },
            _ => None,
        }
    }

    /// All that a key of this kind may be asked for: SHA-1 of RSA by method 1 alone (RFC 7296 §2.15), the others by RFC 7427 too,
    /// and what IKEv1 has.
    pub fn schemes(self) -> Vec<SignatureScheme> {
        let sha2 = Hash::SHA2.into_iter();
        match self {
            Self::Rsa(_) => {
                let pkcs1 = [Hash::Sha1].into_iter().chain(sha2.clone());
                let pkcs1 = pkcs1.map(SignatureScheme::RsaPkcs1);
                let pss = sha2.map(SignatureScheme::RsaPss);
                pkcs1.chain(pss).chain([SignatureScheme::RsaBare]).collect()
            }
            Self::P256 | Self::P384 | Self::P521 => sha2.map(SignatureScheme::Ecdsa).collect(),
        }
    }

    /// The length of each half of an ECDSA signature, in octets; `None` for RSA.
    fn half(self) -> Option<usize> {
        match self {
            Self::Rsa(_) => None,
            Self::P256 => Some(32),
            Self::P384 => Some(48),
            Self::P521 => Some(66),
        }
    }

    /// The hash that goes with a curve (RFC 4754 §3); `None` for RSA.
    pub(crate) fn hash_of_curve(self) -> Option<Hash> {
        match self {
            Self::Rsa(_) => None,
            Self::P256 => Some(Hash::Sha256),
            Self::P384 => Some(Hash::Sha384),
            Self::P521 => Some(Hash::Sha512),
        }
    }
}

impl SignatureScheme {
    /// The AlgorithmIdentifier that names it (RFC 7427 appendix A), in DER; `None` where there is none.
    pub(crate) fn identifier(self) -> Option<Vec<u8>> {
        let null = Some(AnyRef::NULL);
        let (oid, parameters) = match self {
            Self::RsaPkcs1(hash) => (pkcs1_identifier(hash), null),
            Self::Ecdsa(hash) => (ecdsa_identifier(hash), None),
            Self::RsaPss(hash) => return pss_identifier(hash),
            Self::RsaBare => return None,
        };
        AlgorithmIdentifierRef { oid, parameters }.to_der().ok()
    }

    /// The scheme that an AlgorithmIdentifier names; `None` for one that we do not have.
    pub(crate) fn named(der: &[u8]) -> Option<Self> {
        let named = AlgorithmIdentifierRef::from_der(der).ok()?;
        if named.oid == RSA_PSS {
            return pss_hash(named.parameters?).map(Self::RsaPss);
        }
        let plain = named.parameters.is_none_or(|parameters| parameters.is_null());
        let all = [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512];
        let mut all = all.into_iter().filter(|_| plain);
        all.find_map(|hash| {
            let rsa = pkcs1_identifier(hash) == named.oid;
            let ecdsa = ecdsa_identifier(hash) == named.oid;
            rsa.then_some(Self::RsaPkcs1(hash))
                .or(ecdsa.then_some(Self::Ecdsa(hash)))
        })
    }

    /// The hash of it; `None` where the message is one.
    pub(crate) fn hash(self) -> Option<Hash> {
        match self {
            Self::RsaPkcs1(hash) | Self::RsaPss(hash) | Self::Ecdsa(hash) => Some(hash),
            Self::RsaBare => None,
        }
    }

    /// Whether `signature` is one of `message` by this key, a SubjectPublicKeyInfo in DER. That of ECDSA is in DER.
    pub(crate) fn verifies(self, (kind, key): (KeyKind, &[u8]), message: &[u8], signature: &[u8]) -> bool {
        if let (Self::RsaBare, KeyKind::Rsa(bits)) = (self, kind) {
            return LEGAL_RSA_BITS.contains(&bits) && bare::verifies(key, message, signature);
        }
        let Some(algorithm) = self.algorithm(kind) else {
            return false;
        };
        UnparsedPublicKey::new(algorithm, key)
            .verify(message, signature)
            .is_ok()
    }

    fn algorithm(self, kind: KeyKind) -> Option<&'static dyn VerificationAlgorithm> {
        use KeyKind::{P256, P384, P521, Rsa};
        Some(match (self, kind) {
            (Self::RsaPkcs1(Hash::Sha1), Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            (Self::RsaPkcs1(Hash::Sha256), Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA256,
            (Self::RsaPkcs1(Hash::Sha384), Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA384,
            (Self::RsaPkcs1(Hash::Sha512), Rsa(_)) => &signature::RSA_PKCS1_2048_8192_SHA512,
            (Self::RsaPss(Hash::Sha256), Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA256,
            (Self::RsaPss(Hash::Sha384), Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA384,
            (Self::RsaPss(Hash::Sha512), Rsa(_)) => &signature::RSA_PSS_2048_8192_SHA512,
            (Self::Ecdsa(Hash::Sha256), P256) => &signature::ECDSA_P256_SHA256_ASN1,
            (Self::Ecdsa(Hash::Sha384), P256) => &signature::ECDSA_P256_SHA384_ASN1,
            (Self::Ecdsa(Hash::Sha512), P256) => &signature::ECDSA_P256_SHA512_ASN1,
            (Self::Ecdsa(Hash::Sha256), P384) => &signature::ECDSA_P384_SHA256_ASN1,
            (Self::Ecdsa(Hash::Sha384), P384) => &signature::ECDSA_P384_SHA384_ASN1,
            (Self::Ecdsa(Hash::Sha512), P384) => &signature::ECDSA_P384_SHA512_ASN1,
            (Self::Ecdsa(Hash::Sha256), P521) => &signature::ECDSA_P521_SHA256_ASN1,
            (Self::Ecdsa(Hash::Sha384), P521) => &signature::ECDSA_P521_SHA384_ASN1,
            (Self::Ecdsa(Hash::Sha512), P521) => &signature::ECDSA_P521_SHA512_ASN1,
            (Self::RsaPkcs1(_) | Self::RsaBare | Self::RsaPss(_), _) | (Self::Ecdsa(_), _) => return None,
        })
    }
}

/// An ECDSA signature as Ecdsa-Sig-Value (RFC 3279 §2.2.3), from its two halves; `None` if it is not two halves.
pub(crate) fn ecdsa_to_der(halves: &[u8]) -> Option<Vec<u8>> {
    let (r, s) = halves.split_at_checked(halves.len() / 2)?;
    if r.len() != s.len() || r.is_empty() {
        return None;
    }
    let value = [UintRef::new(r).ok()?, UintRef::new(s).ok()?];
    value.to_der().ok()
}

/// The same for a key of this kind, whose halves have a length of their own.
pub(crate) fn ecdsa_of(kind: KeyKind, halves: &[u8]) -> Option<Vec<u8>> {
    let sound = kind.half().is_some_and(|half| halves.len() == 2 * half);
    sound.then(|| ecdsa_to_der(halves)).flatten()
}

/// Whether `signature`, as whoever has the private key gives it (r and s of ECDSA are each as long as the order of the curve,
/// RFC 4754 §7), is one of `message` by this public key, a SubjectPublicKeyInfo in DER.
pub fn is_signed_by(public_key: &[u8], scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
    let Some(kind) = kind_of(public_key) else {
        return false;
    };
    let der = match kind {
        KeyKind::Rsa(_) => Some(signature.to_vec()),
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => ecdsa_of(kind, signature),
    };
    der.is_some_and(|der| scheme.verifies((kind, public_key), message, &der))
}

/// What kind of key a SubjectPublicKeyInfo in DER has.
fn kind_of(public_key: &[u8]) -> Option<KeyKind> {
    let info = SubjectPublicKeyInfoRef::try_from(public_key).ok()?;
    KeyKind::of(&info.algorithm, info.subject_public_key.as_bytes()?)
}

fn pkcs1_identifier(hash: Hash) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Hash::Sha1 => "1.2.840.113549.1.1.5",
        Hash::Sha256 => "1.2.840.113549.1.1.11",
        Hash::Sha384 => "1.2.840.113549.1.1.12",
        Hash::Sha512 => "1.2.840.113549.1.1.13",
    })
}

fn ecdsa_identifier(hash: Hash) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(match hash {
        Hash::Sha1 => "1.2.840.10045.4.1",
        Hash::Sha256 => "1.2.840.10045.4.3.2",
        Hash::Sha384 => "1.2.840.10045.4.3.3",
        Hash::Sha512 => "1.2.840.10045.4.3.4",
    })
}

/// RSASSA-PSS-params (RFC 4055 §3.1) with one hash for everything and a salt of its length.
fn pss_identifier(hash: Hash) -> Option<Vec<u8>> {
    let digest = AlgorithmIdentifierRef {
        oid: hash.identifier(),
        parameters: Some(AnyRef::NULL),
    };
    let digest = digest.to_der().ok()?;
    let mask = AlgorithmIdentifierRef {
        oid: MGF1,
        parameters: Some(AnyRef::from_der(&digest).ok()?),
    };
    let parameters = [
        tagged(0xa0, &digest),
        tagged(0xa1, &mask.to_der().ok()?),
        tagged(0xa2, &hash.octets().to_der().ok()?),
    ];
    let parameters = tagged(0x30, &parameters.concat());
    let named = AlgorithmIdentifierRef {
        oid: RSA_PSS,
        parameters: Some(AnyRef::from_der(&parameters).ok()?),
    };
    named.to_der().ok()
}

/// A short value of DER: fewer than 128 octets.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    [&[tag, length], content].concat()
}

/// The hash of RSASSA-PSS-params that have one hash for everything and a salt of its length.
fn pss_hash(parameters: AnyRef<'_>) -> Option<Hash> {
    const TAG: fn(u32) -> TagNumber = TagNumber;
    let mut reader = SliceReader::new(parameters.value()).ok()?;
    if parameters.tag() != x509_cert::der::Tag::Sequence {
        return None;
    }
    let explicit = TagMode::Explicit;
    let digest: AlgorithmIdentifierRef<'_> = reader.context_specific(TAG(0), explicit).ok()??;
    let mask: AlgorithmIdentifierRef<'_> = reader.context_specific(TAG(1), explicit).ok()??;
    let salt: u8 = reader.context_specific(TAG(2), explicit).ok()??;
    let trailer: u8 = reader.context_specific(TAG(3), explicit).ok()?.unwrap_or(1);
    let of_mask = mask.parameters?.decode_as::<AlgorithmIdentifierRef<'_>>().ok()?;
    let hash = Hash::of(digest.oid)?;
    let sound = mask.oid == MGF1
        && of_mask.oid == digest.oid
        && salt == hash.octets()
        && trailer == 1
        && reader.is_finished();
    sound.then_some(hash)
}

#[cfg(test)]
mod tests {
    use hex_literal::hex;

    use super::*;

    /// RFC 7427 appendix A.1, A.3 and A.4.
    #[test]
    fn schemes_are_named_as_the_standard_says() {
        let named = |scheme: SignatureScheme| scheme.identifier().unwrap();
        assert_eq!(
            named(SignatureScheme::RsaPkcs1(Hash::Sha256)),
            hex!("300d06092a864886f70d01010b0500")
        );
        assert_eq!(
            named(SignatureScheme::Ecdsa(Hash::Sha384)),
            hex!("300a06082a8648ce3d040303")
        );
        for hash in Hash::SHA2 {
            for scheme in [
                SignatureScheme::RsaPkcs1(hash),
                SignatureScheme::RsaPss(hash),
                SignatureScheme::Ecdsa(hash),
            ] {
                assert_eq!(SignatureScheme::named(&named(scheme)), Some(scheme));
            }
        }
        // As the appendix writes it, with the trailer that need not be said.
        let pss = hex!(
            "304606092a864886f70d01010a3039a00f300d06096086480165030402010500"
            "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101"
        );
        assert_eq!(
            SignatureScheme::named(&pss),
            Some(SignatureScheme::RsaPss(Hash::Sha256))
        );
    }

    #[test]
    fn what_is_signed_in_another_way_has_no_name() {
        let mut salt = SignatureScheme::RsaPss(Hash::Sha256).identifier().unwrap();
        *salt.last_mut().unwrap() = 20;
        // Ed25519, a salt of another length, no DER at all.
        for other in [&hex!("300506032b6570")[..], &salt, b"", b"0"] {
            assert_eq!(SignatureScheme::named(other), None);
        }
    }

    #[test]
    fn halves_of_ecdsa_become_der() {
        let halves = hex!("0000000080000001" "0000000000000000");
        assert_eq!(
            ecdsa_to_der(&halves).unwrap(),
            hex!("300a 0205 0080000001 0201 00")
        );
        assert_eq!(ecdsa_to_der(&[1, 2, 3]), None);
        assert_eq!(ecdsa_of(KeyKind::P256, &[1; 62]), None);
    }
}
