use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::*;
use crate::provider::Hash;

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/vectors/", $name)).as_slice()
    };
}

const RSA: &[u8] = vector!("rsa.der");
const MESSAGE: &[u8] = b"what IKE signs: a message, a nonce and an identity";

fn open(octets: &[u8], password: Option<&str>) -> Result<FileKey, KeyError> {
    let password = password.map(SecretString::from);
    FileKey::open(&SecretSlice::from(octets.to_vec()), password.as_ref())
}

fn refusal(octets: &[u8], password: Option<&str>) -> (&'static str, String) {
    let error = open(octets, password).map(|key| key.kind()).unwrap_err();
    (error.word(), error.to_string())
}

/// Whether another implementation's public half takes the signature.
fn is_taken(key: &FileKey, algorithm: &'static dyn VerificationAlgorithm, signature: &[u8]) -> bool {
    let info = SubjectPublicKeyInfoRef::from_der(key.public_key()).unwrap();
    let public = info.subject_public_key.raw_bytes();
    UnparsedPublicKey::new(algorithm, public)
        .verify(MESSAGE, signature)
        .is_ok()
}

/// Every scheme that IKE negotiates makes signatures of the form that its RFCs ask for.
#[tokio::test]
async fn schemes_sign() {
    let rsa: [(Scheme, &'static dyn VerificationAlgorithm); 6] = [
        (
            Scheme::RsaPkcs1(Hash::Sha1),
            &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        ),
        (Scheme::RsaPkcs1(Hash::Sha256), &RSA_PKCS1_2048_8192_SHA256),
        (Scheme::RsaPkcs1(Hash::Sha384), &RSA_PKCS1_2048_8192_SHA384),
        (Scheme::RsaPkcs1(Hash::Sha512), &RSA_PKCS1_2048_8192_SHA512),
        (Scheme::RsaPss(Hash::Sha256), &RSA_PSS_2048_8192_SHA256),
        (Scheme::RsaPss(Hash::Sha512), &RSA_PSS_2048_8192_SHA512),
    ];
    let key = open(RSA, None).unwrap();
    assert_eq!(
        (key.kind(), key.place()),
        (KeyKind::Rsa { bits: 2048 }, Place::Memory)
    );
    for (scheme, algorithm) in rsa {
        let signature = key.sign(scheme, MESSAGE).await.unwrap();
        assert_eq!(signature.len(), 256, "{scheme}");
        assert!(is_taken(&key, algorithm, &signature), "{scheme}");
    }
    sign_on_curve(vector!("p-256.der"), Hash::Sha256, &ECDSA_P256_SHA256_FIXED, 64).await;
    sign_on_curve(vector!("p-384.der"), Hash::Sha384, &ECDSA_P384_SHA384_FIXED, 96).await;
    sign_on_curve(vector!("p-521.der"), Hash::Sha512, &ECDSA_P521_SHA512_FIXED, 132).await;
}

async fn sign_on_curve(
    octets: &[u8],
    hash: Hash,
    algorithm: &'static dyn VerificationAlgorithm,
    length: usize,
) {
    let key = open(octets, None).unwrap();
    let signature = key.sign(Scheme::Ecdsa(hash), MESSAGE).await.unwrap();
    assert_eq!(signature.len(), length);
    assert!(is_taken(&key, algorithm, &signature), "{}", key.kind());
}

/// The hash of a signature of ECDSA need not be that of its curve (RFC 7427 §3).
#[tokio::test]
async fn curve_signs_with_any_hash() {
    let key = open(vector!("p-256.der"), None).unwrap();
    for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let scheme = Scheme::Ecdsa(hash);
        let signature = key.sign(scheme, MESSAGE).await.unwrap();
        let public = Evp::from_public(key.public_key()).unwrap();
        assert!(public.verify(scheme, MESSAGE, &signature), "{scheme}");
        assert!(!public.verify(scheme, b"another", &signature), "{scheme}");
    }
}

#[tokio::test]
async fn scheme_of_another_kind_is_refused() {
    let key = open(RSA, None).unwrap();
    let error = key.sign(Scheme::Ecdsa(Hash::Sha256), MESSAGE).await.unwrap_err();
    assert_eq!(error.word(), "scheme-unsupported");
}

/// The chain of a file is in the order in which IKE sends it, whatever the order in the file.
#[test]
fn chain_comes_leaf_first() {
    let chain = [vector!("leaf.der"), vector!("mid.der"), vector!("root.der")];
    for (file, octets, password) in [
        ("modern.p12", vector!("modern.p12"), Some("käse")),
        ("legacy.p12", vector!("legacy.p12"), Some("secret")),
        ("bundle.pem", vector!("bundle.pem"), None),
    ] {
        let key = open(octets, password).unwrap();
        assert_eq!(key.chain(), chain, "{file}");
        assert_eq!(key.public_key(), open(RSA, None).unwrap().public_key(), "{file}");
    }
    let key = open(vector!("empty.p12"), None).unwrap();
    assert_eq!(key.kind(), KeyKind::EcdsaP384);
    assert_eq!(key.chain(), [vector!("leaf384.der"), vector!("root.der")]);
}

#[test]
fn encrypted_keys_open_with_their_password() {
    let public = open(RSA, None).unwrap().public_key().to_vec();
    for octets in [vector!("encrypted.pem"), vector!("encrypted.der")] {
        assert_eq!(open(octets, Some("secret")).unwrap().public_key(), public);
    }
}

/// A wrong password is told apart from a damaged file.
#[test]
fn wrong_passwords_are_named() {
    for octets in [
        vector!("modern.p12"),
        vector!("legacy.p12"),
        vector!("encrypted.pem"),
        vector!("encrypted.der"),
    ] {
        let (word, text) = refusal(octets, Some("not this one"));
        assert_eq!(word, "pin-wrong");
        assert!(!text.contains("not this one"), "{text}");
        assert_eq!(refusal(octets, None).0, "pin-wrong");
    }
    assert_eq!(refusal(vector!("modern.p12"), Some("a\0b")).0, "pin-wrong");
}

/// Each thing that a user may give us instead of a key has its reason.
#[test]
fn what_is_no_key_is_named() {
    let wrong = [
        (vector!("weak.der"), "1024 bits"),
        (vector!("secp256k1.der"), "another curve"),
        (vector!("ed25519.der"), "another algorithm"),
        (vector!("traditional.pem"), "openssl pkcs8 -topk8"),
        (vector!("foreign.pem"), "none is of its private key"),
        (vector!("leaf.der"), "neither PKCS#8 nor PKCS#12"),
        (b"", "neither PKCS#8 nor PKCS#12"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA", "damaged"),
    ];
    for (octets, why) in wrong {
        let (word, text) = refusal(octets, None);
        assert_eq!(word, "key-wrong-kind", "{text}");
        assert!(text.contains(why), "{text} says {why}");
    }
    let (word, text) = refusal(vector!("nokey.p12"), None);
    assert_eq!(word, "key-missing", "{text}");
    let large = vec![b'x'; MAX_FILE_BYTES + 1];
    assert_eq!(refusal(&large, None).0, "key-wrong-kind");
}

/// A damaged file is a reason, never an end of the program.
#[test]
fn damaged_files_are_refused() {
    for (octets, password) in [
        (RSA, None),
        (vector!("empty.p12"), None),
        (vector!("p-256.der"), None),
    ] {
        for end in (0..octets.len()).step_by(7) {
            assert!(open(&octets[..end], password).is_err(), "{end} octets of it");
        }
    }
    let mut longer = RSA.to_vec();
    longer.push(0);
    assert_eq!(refusal(&longer, None).0, "key-wrong-kind");
}

/// What was opened by its password once is opened without one from then on, and is the same key with the same certificates.
#[test]
fn files_are_unlocked_once() {
    for (file, password) in [(vector!("modern.p12"), "käse"), (vector!("legacy.p12"), "secret")] {
        let locked = SecretSlice::from(file.to_vec());
        let password = SecretString::from(password);
        let unlocked = unlock(&locked, &password).unwrap();
        let before = FileKey::open(&locked, Some(&password)).unwrap();
        let after = FileKey::open(&unlocked.pem, None).unwrap();
        assert_eq!(after.public_key(), before.public_key());
        assert_eq!(
            (after.chain(), unlocked.chain.as_slice()),
            (before.chain(), before.chain())
        );
        let wrong = unlock(&locked, &SecretString::from("another")).err().unwrap();
        assert_eq!(wrong.word(), "pin-wrong");
    }
}

/// What IKEv1 signs is a hash that the signature does not name (RFC 2409 §5.1).
#[tokio::test]
async fn a_hash_is_signed_as_it_is() {
    let key = open(RSA, None).unwrap();
    let public = evp::Evp::from_public(key.public_key()).unwrap();
    for hash in [&[7; 16][..], &[8; 20], &[9; 64]] {
        let signature = key.sign(Scheme::RsaBare, hash).await.unwrap();
        assert_eq!(signature.len(), 256);
        assert!(public.verify(Scheme::RsaBare, hash, &signature));
        assert!(!public.verify(Scheme::RsaBare, &hash[1..], &signature));
        assert!(!public.verify(Scheme::RsaPkcs1(Hash::Sha1), hash, &signature));
    }
    let curve = open(vector!("p-256.der"), None).unwrap();
    let error = curve.sign(Scheme::RsaBare, &[7; 20]).await.unwrap_err();
    assert_eq!(error.word(), "scheme-unsupported");
}
