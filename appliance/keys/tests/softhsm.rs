//! Keys in SoftHSM 2, which is a real module without hardware.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[path = "token/lab.rs"]
mod token;

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use appliance_keys::file::FileKey;
use appliance_keys::pkcs11::{Modules, Probed};
use appliance_keys::{Hash, Key, KeyError, KeyKind, Place, Scheme};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED,
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, UnparsedPublicKey,
    VerificationAlgorithm,
};
use secrecy::{SecretSlice, SecretString};
use token::{PIN, SOFTHSM_NEEDS, SPY_NEEDS, alone, block_on, direct, open, refusal, spied, vector};
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

const MESSAGE: &[u8] = b"what IKE signs";
const SHA256: Scheme = Scheme::RsaPkcs1(Hash::Sha256);

fn read(name: &str) -> Vec<u8> {
    fs::read(vector(name)).unwrap()
}

fn is_taken(key: &dyn Key, algorithm: &'static dyn VerificationAlgorithm, signature: &[u8]) -> bool {
    let info = SubjectPublicKeyInfoRef::from_der(key.public_key()).unwrap();
    let public = info.subject_public_key.raw_bytes();
    UnparsedPublicKey::new(algorithm, public)
        .verify(MESSAGE, signature)
        .is_ok()
}

/// A key of RSA signs with every hash, SHA-1 by a `DigestInfo` of our own, and comes with the chain of its certificate.
#[test]
fn rsa_signs() {
    alone("rsa_signs", SOFTHSM_NEEDS, |lab| {
        lab.token("site a");
        lab.import("site a", "rsa.der", "vpn", "a1");
        lab.certificate("site a", "root.der", None);
        lab.certificate("site a", "mid.der", None);
        lab.certificate("site a", "leaf.der", Some("a1"));
        block_on(async {
            let modules = Modules::default();
            let key = open(&modules, &direct("token=site%20a;id=%a1"), PIN)
                .await
                .unwrap();
            assert_eq!(
                (key.kind(), key.place()),
                (KeyKind::Rsa { bits: 2048 }, Place::Token)
            );
            assert_eq!(key.chain(), [read("leaf.der"), read("mid.der"), read("root.der")]);
            let file = FileKey::open(&SecretSlice::from(read("rsa.der")), None).unwrap();
            assert_eq!(key.public_key(), file.public_key());
            let schemes: [(Scheme, &'static dyn VerificationAlgorithm); 6] = [
                (
                    Scheme::RsaPkcs1(Hash::Sha1),
                    &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
                ),
                (SHA256, &RSA_PKCS1_2048_8192_SHA256),
                (Scheme::RsaPkcs1(Hash::Sha512), &RSA_PKCS1_2048_8192_SHA512),
                (Scheme::RsaPss(Hash::Sha256), &RSA_PSS_2048_8192_SHA256),
                (Scheme::RsaPss(Hash::Sha384), &RSA_PSS_2048_8192_SHA384),
                (Scheme::RsaPss(Hash::Sha512), &RSA_PSS_2048_8192_SHA512),
            ];
            for (scheme, algorithm) in schemes {
                let signature = key.sign(scheme, MESSAGE).await.unwrap();
                assert_eq!(signature.len(), 256, "{scheme}");
                assert!(is_taken(&key, algorithm, &signature), "{scheme}");
            }
        });
    });
}

/// Module, token and PIN are tried in this order, without any key, and a PIN that was refused is not tried again.
#[test]
fn tokens_are_tried_without_a_key() {
    alone("tokens_are_tried_without_a_key", SPY_NEEDS, |lab| {
        lab.token("site a");
        block_on(async {
            let modules = Modules::default();
            let probe = async |uri: String, pin: &str| {
                let pin = Some(SecretString::from(pin));
                modules.probe(uri.parse().unwrap(), pin).await
            };
            let words = |probed: Probed| {
                let word = |tried: Result<(), KeyError>| tried.err().map_or("ok", |error| error.word());
                (word(probed.module), probed.token.map(word), probed.pin.map(word))
            };
            let good = probe(spied("token=site%20a"), PIN).await;
            assert_eq!(words(good), ("ok", Some("ok"), Some("ok")));
            let elsewhere = probe(spied("token=site%20b"), PIN).await;
            assert_eq!(words(elsewhere), ("ok", Some("token-missing"), None));
            let none = "pkcs11:token=a?module-path=/nowhere/libmissing.so".to_owned();
            assert_eq!(words(probe(none, PIN).await), ("module-missing", None, None));
            let logins = lab.calls("C_Login");
            for _ in 0..2 {
                let wrong = probe(spied("token=site%20a"), "0000").await;
                assert_eq!(words(wrong), ("ok", Some("ok"), Some("pin-wrong")));
            }
            assert_eq!(lab.calls("C_Login"), logins + 1);
        });
    });
}

/// Keys on curves sign with r and s of fixed length; the public half is that of a public key with the same id.
#[test]
fn curves_sign() {
    alone("curves_sign", SOFTHSM_NEEDS, |lab| {
        lab.token("a");
        let curves: [(&str, &str, Scheme, &'static dyn VerificationAlgorithm, usize); 3] = [
            (
                "p-256.der",
                "01",
                Scheme::Ecdsa(Hash::Sha256),
                &ECDSA_P256_SHA256_FIXED,
                64,
            ),
            (
                "p-384.der",
                "02",
                Scheme::Ecdsa(Hash::Sha384),
                &ECDSA_P384_SHA384_FIXED,
                96,
            ),
            (
                "p-521.der",
                "03",
                Scheme::Ecdsa(Hash::Sha512),
                &ECDSA_P521_SHA512_FIXED,
                132,
            ),
        ];
        for (file, id, ..) in curves {
            lab.import("a", file, file, id);
        }
        block_on(async {
            let modules = Modules::default();
            for (file, _, scheme, algorithm, length) in curves {
                let key = open(&modules, &direct(&format!("token=a;object={file}")), PIN)
                    .await
                    .unwrap();
                let signature = key.sign(scheme, MESSAGE).await.unwrap();
                assert_eq!(signature.len(), length, "{file}");
                assert!(is_taken(&key, algorithm, &signature), "{file}");
                assert!(key.chain().is_empty());
            }
            // A hash that is not the curve's (RFC 7427 §3).
            let key = open(&modules, &direct("token=a;id=%01"), PIN).await.unwrap();
            assert!(key.sign(Scheme::Ecdsa(Hash::Sha512), MESSAGE).await.is_ok());
            let error = key.sign(SHA256, MESSAGE).await.unwrap_err();
            assert_eq!(error.word(), "scheme-unsupported");
        });
    });
}

/// What is not there is named, with what is there instead.
#[test]
fn missing_things_are_named() {
    alone("missing_things_are_named", SOFTHSM_NEEDS, |lab| {
        lab.token("a");
        lab.import("a", "rsa.der", "vpn", "01");
        lab.import("a", "p-256.der", "vpn", "02");
        lab.token("twin");
        lab.token("twin");
        block_on(async {
            let modules = Modules::default();
            for (attributes, word, said) in [
                ("token=b", "token-missing", "it has [a, twin, twin]"),
                ("token=twin", "token-missing", "2 tokens"),
                ("token=a;id=%03", "key-missing", "id=%03"),
                ("token=a;object=vpn", "key-missing", "2 private keys"),
            ] {
                let error = refusal(&modules, &direct(attributes), PIN).await;
                assert_eq!(error.word(), word, "{error}");
                assert!(error.to_string().contains(said), "{error} says {said}");
            }
            let nowhere = "pkcs11:token=a?module-path=/nowhere.so";
            assert_eq!(refusal(&modules, nowhere, PIN).await.word(), "module-missing");
            let other = format!("pkcs11:token=a?module-path={}", vector("leaf.der").display());
            assert_eq!(refusal(&modules, &other, PIN).await.word(), "module-missing");
        });
    });
}

/// A wrong PIN is tried once, however often the key is asked for, so that it cannot lock the token.
#[test]
fn wrong_pin_is_tried_once() {
    alone("wrong_pin_is_tried_once", SPY_NEEDS, |lab| {
        lab.token("a");
        lab.import("a", "rsa.der", "vpn", "01");
        block_on(async {
            let modules = Modules::default();
            let uri = spied("token=a");
            for _ in 0..3 {
                let error = refusal(&modules, &uri, "9999").await;
                assert_eq!(error.word(), "pin-wrong");
                assert!(!error.to_string().contains("9999"), "{error}");
            }
            let (one, other) = tokio::join!(refusal(&modules, &uri, "8888"), refusal(&modules, &uri, "8888"));
            assert_eq!((one.word(), other.word()), ("pin-wrong", "pin-wrong"));
            assert_eq!(lab.calls("C_Login"), 2, "one for each PIN");
            modules.forget_refused();
            assert_eq!(refusal(&modules, &uri, "9999").await.word(), "pin-wrong");
            assert_eq!(lab.calls("C_Login"), 3, "and one more after it was set again");
            let key = open(&modules, &uri, PIN).await.unwrap();
            assert!(key.sign(SHA256, MESSAGE).await.is_ok());
            let none = modules.open(uri.parse().unwrap(), None).await.err().unwrap();
            assert_eq!(none.word(), "pin-wrong");
        });
    });
}

/// A token that is pulled is missed, and one that comes back signs, without a restart.
#[test]
fn pulled_token_comes_back() {
    alone("pulled_token_comes_back", SOFTHSM_NEEDS, |lab| {
        lab.token("a");
        lab.import("a", "rsa.der", "vpn", "01");
        let (tokens, away) = (lab.folder.join("tokens"), lab.folder.join("away"));
        block_on(async {
            let modules = Modules::default();
            let key = open(&modules, &direct("token=a"), PIN).await.unwrap();
            assert!(key.sign(SHA256, MESSAGE).await.is_ok());
            fs::rename(&tokens, &away).unwrap();
            fs::create_dir(&tokens).unwrap();
            let error = key.sign(SHA256, MESSAGE).await.unwrap_err();
            assert_eq!(error.word(), "token-missing", "{error}");
            fs::remove_dir(&tokens).unwrap();
            fs::rename(&away, &tokens).unwrap();
            assert!(key.sign(SHA256, MESSAGE).await.is_ok());
        });
    });
}

/// A module that lost all it knew, as one does whose service began anew, is connected to again.
#[test]
fn lost_sessions_are_opened_again() {
    alone("lost_sessions_are_opened_again", SOFTHSM_NEEDS, |lab| {
        use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
        lab.token("a");
        lab.import("a", "p-256.der", "vpn", "01");
        let scheme = Scheme::Ecdsa(Hash::Sha256);
        block_on(async {
            let modules = Modules::default();
            let key = open(&modules, &direct("token=a"), PIN).await.unwrap();
            assert!(key.sign(scheme, MESSAGE).await.is_ok());
            let same = Pkcs11::new(token::SOFTHSM).unwrap();
            same.clone().finalize().unwrap();
            assert!(key.sign(scheme, MESSAGE).await.is_ok(), "not initialized");
            same.clone().finalize().unwrap();
            same.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
                .unwrap();
            assert!(key.sign(scheme, MESSAGE).await.is_ok(), "without sessions");
        });
    });
}

/// A token that was exchanged for another with the same names does not sign for the first.
#[test]
fn exchanged_key_is_noticed() {
    alone("exchanged_key_is_noticed", SOFTHSM_NEEDS, |lab| {
        lab.token("a");
        lab.import("a", "p-256.der", "vpn", "01");
        let tokens = lab.folder.join("tokens");
        block_on(async {
            let modules = Modules::default();
            let key = open(&modules, &direct("token=a"), PIN).await.unwrap();
            fs::remove_dir_all(&tokens).unwrap();
            fs::create_dir(&tokens).unwrap();
            lab.token("a");
            lab.import("a", "p-384.der", "vpn", "01");
            let error = key.sign(Scheme::Ecdsa(Hash::Sha256), MESSAGE).await.unwrap_err();
            assert!(error.to_string().contains("not of its public key"), "{error}");
        });
    });
}

/// A hundred signatures at once all come, by no more sessions than are meant to be; who gives up stops nobody.
#[test]
fn sessions_are_shared() {
    alone("sessions_are_shared", SPY_NEEDS, |lab| {
        lab.token("a");
        lab.import("a", "p-256.der", "vpn", "01");
        let scheme = Scheme::Ecdsa(Hash::Sha256);
        block_on(async {
            let modules = Modules::default();
            let key = Arc::new(open(&modules, &spied("token=a"), PIN).await.unwrap());
            let mut signing: Vec<_> = (0..120)
                .map(|_| {
                    let key = Arc::clone(&key);
                    tokio::spawn(async move { key.sign(scheme, MESSAGE).await })
                })
                .collect();
            for given_up in signing.split_off(100) {
                given_up.abort();
            }
            for signing in signing {
                assert!(signing.await.unwrap().is_ok());
            }
            assert!(
                lab.calls("C_OpenSession") <= 4,
                "{} sessions",
                lab.calls("C_OpenSession")
            );
        });
    });
}

/// A module that does not answer holds up those who ask for it, until they give up, and nobody else.
#[test]
fn module_that_hangs_holds_up_nobody_else() {
    alone("module_that_hangs_holds_up_nobody_else", SPY_NEEDS, |lab| {
        lab.token("a");
        lab.import("a", "p-256.der", "vpn", "01");
        // What writes calls down waits for a reader of this pipe.
        let pipe = lab.folder.join("calls");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let modules = Modules::default();
        block_on(async {
            let soon = Duration::from_millis(200);
            for _ in 0..6 {
                let uri = spied("token=a");
                assert!(
                    tokio::time::timeout(soon, open(&modules, &uri, PIN))
                        .await
                        .is_err()
                );
            }
            modules.forget_refused();
            let file = FileKey::open(&SecretSlice::from(read("rsa.der")), None).unwrap();
            assert!(file.sign(SHA256, MESSAGE).await.is_ok());
            let threads = fs::read_dir("/proc/self/task").unwrap();
            let named = threads.filter(|thread| {
                let thread = thread.as_ref().unwrap().path();
                fs::read_to_string(thread.join("comm")).is_ok_and(|name| name.trim() == "pkcs11")
            });
            assert_eq!(named.count(), 4, "as many as may be in a module");
        });
    });
}
