//! Keys in a key vault, by its own protocol over TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "vault/lab.rs"]
mod lab;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use appliance_keys::file::FileKey;
use appliance_keys::key_vault::VaultKey;
use appliance_keys::{Hash, Key, KeyKind, Place, Scheme};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, VerificationAlgorithm,
};
use lab::{
    IMPATIENT, MESSAGE, QUICK, SHA1, SHA256, access, is_taken, issued, open, signs, started, with_rsa,
};
use secrecy::SecretSlice;
use system_tests::lab::pki;
use system_tests::peer::key_vault::{Failure, Part, Secret, Version};

/// The vault signs by every scheme that it can; the key does not leave it, and the chain comes without it.
#[tokio::test]
async fn vault_signs() {
    let vault = started();
    let leaf = issued(pki::Key::Rsa2048);
    vault.put("vpn", Version::of(&leaf, false).unwrap());
    let key = open(&vault, "vpn", &access(&vault, QUICK)).await.unwrap();
    assert_eq!(
        (key.kind(), key.place()),
        (KeyKind::Rsa { bits: 2048 }, Place::Vault)
    );
    let mut chain = vec![leaf.der().to_vec()];
    chain.extend(leaf.above().iter().map(|above| above.der().to_vec()));
    assert_eq!(key.chain(), chain);
    let schemes: [(Scheme, &'static dyn VerificationAlgorithm); 6] = [
        (SHA256, &RSA_PKCS1_2048_8192_SHA256),
        (Scheme::RsaPkcs1(Hash::Sha384), &RSA_PKCS1_2048_8192_SHA384),
        (Scheme::RsaPkcs1(Hash::Sha512), &RSA_PKCS1_2048_8192_SHA512),
        (Scheme::RsaPss(Hash::Sha256), &RSA_PSS_2048_8192_SHA256),
        (Scheme::RsaPss(Hash::Sha384), &RSA_PSS_2048_8192_SHA384),
        (Scheme::RsaPss(Hash::Sha512), &RSA_PSS_2048_8192_SHA512),
    ];
    for (scheme, algorithm) in schemes {
        let signature = key.sign(scheme, MESSAGE).await.unwrap();
        assert!(is_taken(&key, algorithm, &signature), "{scheme}");
    }
    assert_eq!(key.place(), Place::Vault);
    assert_eq!(vault.asked("GET /metadata"), 1, "one token for all");
}

#[tokio::test]
async fn curves_sign_with_their_hash_only() {
    let vault = started();
    let curves: [(pki::Key, Hash, &'static dyn VerificationAlgorithm); 2] = [
        (pki::Key::P256, Hash::Sha256, &ECDSA_P256_SHA256_FIXED),
        (pki::Key::P384, Hash::Sha384, &ECDSA_P384_SHA384_FIXED),
    ];
    for (kind, hash, algorithm) in curves {
        vault.put("vpn", Version::of(&issued(kind), false).unwrap());
        let key = open(&vault, "vpn", &access(&vault, QUICK)).await.unwrap();
        let signature = key.sign(Scheme::Ecdsa(hash), MESSAGE).await.unwrap();
        assert!(is_taken(&key, algorithm, &signature), "{}", key.kind());
        let other = key.sign(Scheme::Ecdsa(Hash::Sha512), MESSAGE).await.unwrap_err();
        assert_eq!(other.word(), "scheme-unsupported");
    }
}

/// What the vault cannot sign is signed here with the key, if it may leave: it is fetched once, and that is told.
#[tokio::test]
async fn sha1_fetches_the_key() {
    let (vault, key) = with_rsa(true, QUICK).await;
    assert_eq!(
        (key.chain().len(), vault.asked("/secrets/")),
        (1, 0),
        "the key does not come before it is needed"
    );
    assert!(signs(&key).await.unwrap());
    assert_eq!(key.place(), Place::Vault);
    let (one, other) = tokio::join!(key.sign(SHA1, MESSAGE), key.sign(SHA1, MESSAGE));
    for signature in [one.unwrap(), other.unwrap()] {
        assert!(is_taken(
            &key,
            &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            &signature
        ));
    }
    assert_eq!((key.place(), vault.asked("/secrets/")), (Place::Memory, 1));
    assert_eq!(key.chain().len(), 3, "with those above it");
    let before = vault.asked("/sign");
    assert!(signs(&key).await.unwrap());
    assert_eq!(
        vault.asked("/sign"),
        before,
        "what is here need not be signed there"
    );
}

/// As PKCS#12 without a password, too, which is what a certificate in a vault is by default.
#[tokio::test]
async fn sha1_reads_pkcs12() {
    let read = |name: &str| {
        fs::read(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/vectors")
                .join(name),
        )
        .unwrap()
    };
    let vault = started();
    vault.put(
        "vpn",
        Version {
            certificate: read("leaf.der"),
            key: read("rsa.der"),
            secret: Secret::Pfx(read("vault.p12")),
            exportable: true,
            enabled: true,
        },
    );
    let key = open(&vault, "vpn", &access(&vault, QUICK)).await.unwrap();
    assert!(key.sign(SHA1, MESSAGE).await.is_ok());
    assert_eq!(key.chain(), [read("leaf.der"), read("mid.der"), read("root.der")]);
}

#[tokio::test]
async fn key_that_may_not_leave_signs_no_sha1() {
    let (_vault, key) = with_rsa(false, QUICK).await;
    let error = key.sign(SHA1, MESSAGE).await.unwrap_err();
    assert_eq!(error.word(), "scheme-unsupported");
    assert!(error.to_string().contains("may not leave"), "{error}");
    assert_eq!(key.place(), Place::Vault);

    let vault = started();
    let mut version = Version::of(&issued(pki::Key::Rsa2048), true).unwrap();
    version.secret = Secret::Forbidden;
    vault.put("vpn", version);
    let key = open(&vault, "vpn", &access(&vault, QUICK)).await.unwrap();
    let error = key.sign(SHA1, MESSAGE).await.unwrap_err();
    assert_eq!(error.word(), "vault-refused");
    assert!(error.to_string().contains("ForbiddenByRbac"), "{error}");
}

/// A new version is another key, found when it is looked for; the old one goes on signing until its user changes over.
#[tokio::test]
async fn new_version_is_picked_up() {
    let (vault, key) = with_rsa(false, QUICK).await;
    assert!(key.refresh().await.unwrap().is_none());
    let pinned = vault.reference("vpn", Some(key.version())).parse().unwrap();
    let pinned = VaultKey::open(&pinned, &access(&vault, QUICK)).await.unwrap();
    let next = issued(pki::Key::Rsa2048);
    let id = vault.put("vpn", Version::of(&next, false).unwrap());
    let renewed = key.refresh().await.unwrap().unwrap();
    assert_eq!(
        (renewed.version(), renewed.chain()[0].as_slice()),
        (id.as_str(), next.der())
    );
    assert!(signs(&renewed).await.unwrap());
    assert!(signs(&key).await.unwrap());
    assert!(pinned.refresh().await.unwrap().is_none());
    assert_ne!(pinned.public_key(), renewed.public_key());
}

/// A vault that is asked too often is left alone for a while by all who ask it, and what they wait for comes then.
#[tokio::test]
async fn throttled_vault_is_left_alone() {
    let (vault, key) = with_rsa(false, QUICK).await;
    vault.fail(Part::Vault, Failure::Status(429, None), 3);
    assert!(signs(&key).await.unwrap());
    vault.fail(Part::Vault, Failure::Status(429, None), 5);
    let before = vault.asked("/sign");
    assert_eq!(signs(&key).await.unwrap_err().word(), "vault-throttled");
    assert_eq!(vault.asked("/sign") - before, 5);
    assert!(signs(&key).await.unwrap());

    vault.fail(Part::Vault, Failure::Status(429, Some(3600)), 1);
    let before = vault.asked("/sign");
    for _ in 0..3 {
        let error = signs(&key).await.unwrap_err();
        assert_eq!(error.word(), "vault-throttled", "{error}");
    }
    assert_eq!(
        vault.asked("/sign") - before,
        1,
        "who is to come in an hour does not come now"
    );
}

#[tokio::test]
async fn retry_after_is_heeded() {
    let (vault, key) = with_rsa(false, QUICK).await;
    vault.fail(Part::Vault, Failure::Status(503, Some(1)), 1);
    let before = std::time::Instant::now();
    assert!(signs(&key).await.unwrap());
    assert!(before.elapsed() >= Duration::from_secs(1));
}

/// Whatever a vault does wrong has its reason, and it is used again when it is right again.
#[tokio::test]
async fn failures_are_named() {
    let (vault, key) = with_rsa(false, IMPATIENT).await;
    for (failure, word, times) in [
        (Failure::Garbage, "vault-answer-invalid", 1),
        (Failure::Flood, "vault-answer-invalid", 1),
        (Failure::Damage, "vault-answer-invalid", 1),
        (Failure::Status(302, None), "vault-answer-invalid", 1),
        (Failure::Status(400, None), "vault-refused", 1),
        (Failure::Status(500, None), "vault-unreachable", 5),
        (Failure::Hangup, "vault-unreachable", 50),
        (Failure::Silence, "vault-unreachable", 5),
    ] {
        vault.fail(Part::Vault, failure.clone(), times);
        let error = signs(&key).await.unwrap_err();
        assert_eq!(error.word(), word, "{failure:?}: {error}");
        vault.mend();
        assert!(signs(&key).await.unwrap(), "after {failure:?}");
    }
    vault.fail(Part::Vault, Failure::Silence, 2);
    assert!(signs(&key).await.unwrap(), "the third time is soon enough");
}

/// What our identity may not do, or does not find, is told apart.
#[tokio::test]
async fn refusals_are_named() {
    let (vault, key) = with_rsa(false, QUICK).await;
    vault.may_sign(false);
    let error = signs(&key).await.unwrap_err();
    assert_eq!(error.word(), "vault-refused");
    assert!(error.to_string().contains("ForbiddenByRbac"), "{error}");
    vault.may_sign(true);
    vault.enable("vpn", false);
    assert_eq!(signs(&key).await.unwrap_err().word(), "vault-refused");
    let access = access(&vault, QUICK);
    let disabled = open(&vault, "vpn", &access).await.err().unwrap();
    assert_eq!(disabled.word(), "vault-refused");
    assert!(disabled.to_string().contains("disabled"), "{disabled}");
    let missing = open(&vault, "other", &access).await.err().unwrap();
    assert_eq!(missing.word(), "key-missing");
}

/// A token that is taken back is replaced; one for another audience is not tried again.
#[tokio::test]
async fn tokens_are_replaced() {
    let (vault, key) = with_rsa(false, QUICK).await;
    vault.revoke_tokens();
    assert!(signs(&key).await.unwrap());
    assert_eq!(vault.asked("GET /metadata"), 2);
    vault.want_audience("https://managedhsm.azure.net");
    let error = signs(&key).await.unwrap_err();
    assert_eq!(error.word(), "token-audience");
    assert!(error.to_string().contains("managedhsm"), "{error}");
    assert_eq!(vault.asked("GET /metadata"), 2);
}

/// A server that is not the vault does not get a token, nor is it believed.
#[tokio::test]
async fn only_the_vault_is_believed() {
    let (vault, _) = with_rsa(false, QUICK).await;
    let mut access = access(&vault, QUICK);
    access.roots = vec![issued(pki::Key::P256).above()[1].der().to_vec()];
    let error = open(&vault, "vpn", &access).await.err().unwrap();
    assert_eq!(error.word(), "vault-unreachable");
    assert!(error.to_string().contains("certificate"), "{error}");
    // A label of a name has at most 63 letters (RFC 1035 §2.3.4).
    let nowhere = format!("https://{}.vault.azure.net/certificates/vpn", "a".repeat(64));
    let error = VaultKey::open(&nowhere.parse().unwrap(), &access)
        .await
        .err()
        .unwrap();
    assert_eq!(error.word(), "name-unresolved", "{error}");
}

/// A hundred signatures that take their time hold up no other key, and no more connections are made than may be.
#[tokio::test]
async fn slow_vault_holds_up_nobody_else() {
    let (vault, key) = with_rsa(false, QUICK).await;
    vault.delay(Duration::from_millis(500));
    let key = Arc::new(key);
    let signing: Vec<_> = (0..100)
        .map(|_| {
            let key = Arc::clone(&key);
            tokio::spawn(async move { signs(&key).await })
        })
        .collect();
    let rsa = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/rsa.der")).unwrap();
    let file = FileKey::open(&SecretSlice::from(rsa), None).unwrap();
    for _ in 0..5 {
        file.sign(SHA256, MESSAGE).await.unwrap();
    }
    assert!(
        signing.iter().all(|signing| !signing.is_finished()),
        "the vault was quicker"
    );
    for signing in signing {
        assert!(signing.await.unwrap().unwrap());
    }
}

/// Who gives up leaves nothing behind that others would wait for.
#[tokio::test]
async fn given_up_signatures_free_their_place() {
    let (vault, key) = with_rsa(false, QUICK).await;
    vault.fail(Part::Vault, Failure::Silence, 100);
    let key = Arc::new(key);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let key = Arc::clone(&key);
        waiting.spawn(async move { signs(&key).await });
    }
    while vault.asked("/sign") < 64 {
        tokio::task::yield_now().await;
    }
    waiting.shutdown().await;
    vault.mend();
    assert!(signs(&key).await.unwrap());
    assert_eq!(vault.asked("/sign"), 65, "as many as may be asked at a time");
}
