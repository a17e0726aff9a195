//! Keys in a TPM 2.0, which is a real one in software, by its PKCS#11 module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

#[allow(dead_code, reason = "each test that has this module uses another part of it")]
#[path = "token/lab.rs"]
mod token;

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use appliance_keys::pkcs11::Modules;
use appliance_keys::{Hash, Key, KeyKind, Place, Scheme};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use token::{Lab, PIN, block_on, open, refusal, run};
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

const MODULE: &str = "/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so";
const NEEDS: &[&str] = &[
    MODULE,
    "/usr/bin/swtpm",
    "/usr/bin/pkcs11-tool",
    "/usr/lib/x86_64-linux-gnu/libtss2-tcti-swtpm.so.0",
];
const MESSAGE: &[u8] = b"what IKE signs";

/// A TPM that runs until it is dropped.
struct Tpm {
    process: String,
}

impl Tpm {
    /// Starts it in the folder of the lab, and makes a token of it.
    fn start(lab: &Lab, port: u16) -> Self {
        let file = lab.folder.join("tpm.pid");
        let at = |port: u16| format!("type=tcp,port={port},bindaddr=127.0.0.1");
        let mut arguments: Vec<String> = ["socket", "--tpm2", "--daemon", "--tpmstate"]
            .map(String::from)
            .to_vec();
        arguments.push(format!("dir={}", lab.folder.display()));
        arguments.extend(["--server".to_owned(), at(port), "--ctrl".to_owned(), at(port + 1)]);
        arguments.extend(["--flags".to_owned(), "not-need-init,startup-clear".to_owned()]);
        arguments.extend(["--pid".to_owned(), format!("file={}", file.display())]);
        run("swtpm", arguments);
        let process = std::fs::read_to_string(file).unwrap().trim().to_owned();
        let tpm = Self { process };
        let slot = ["--init-token", "--slot-index", "0", "--label", "tpm"];
        tool(&[slot.as_slice(), &["--so-pin", "81581511"]].concat());
        tool(&[
            "--token-label",
            "tpm",
            "--login",
            "--login-type",
            "so",
            "--so-pin",
            "81581511",
            "--init-pin",
            "--pin",
            PIN,
        ]);
        tpm
    }

    /// Makes a key that never was anywhere else.
    fn make(&self, kind: &str, id: &str) {
        let login = ["--token-label", "tpm", "--login", "--pin", PIN];
        let key = ["--keypairgen", "--key-type", kind, "--label", kind, "--id", id];
        tool(&[login.as_slice(), &key].concat());
    }
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(&self.process).status();
    }
}

fn tool(arguments: &[&str]) {
    run(
        "pkcs11-tool",
        ["--module", MODULE].iter().chain(arguments).copied(),
    );
}

/// Two ports in a row that nobody has.
fn ports() -> u16 {
    for _ in 0..100 {
        let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        if port < u16::MAX && TcpListener::bind((Ipv4Addr::LOCALHOST, port + 1)).is_ok() {
            return port;
        }
    }
    panic!("no two ports in a row are free")
}

fn is_taken(key: &dyn Key, algorithm: &'static dyn VerificationAlgorithm, signature: &[u8]) -> bool {
    let info = SubjectPublicKeyInfoRef::from_der(key.public_key()).unwrap();
    let public = info.subject_public_key.raw_bytes();
    UnparsedPublicKey::new(algorithm, public)
        .verify(MESSAGE, signature)
        .is_ok()
}

/// A key that was made in a TPM signs there, by the method that RFC 7296 has by default, too; a wrong PIN counts once against
/// the TPM's patience.
#[test]
fn tpm_signs() {
    const TCTI: &str = "TPM2_PKCS11_TCTI";
    let port = || format!("swtpm:host=127.0.0.1,port={}", ports());
    token::alone_with(
        "tpm_signs",
        NEEDS,
        || vec![(TCTI, port()), ("TPM2_PKCS11_LOG_LEVEL", "0".to_owned())],
        |lab| {
            let tcti = env::var(TCTI).unwrap();
            let port = tcti.rsplit('=').next().unwrap().parse().unwrap();
            let tpm = Tpm::start(lab, port);
            tpm.make("rsa:2048", "0102");
            tpm.make("EC:prime256v1", "03");
            block_on(async {
                let modules = Modules::default();
                let uri = |id| format!("pkcs11:token=tpm;id={id}?module-path={MODULE}");
                for _ in 0..3 {
                    assert_eq!(refusal(&modules, &uri("%03"), "9999").await.word(), "pin-wrong");
                }
                let rsa = open(&modules, &uri("%01%02"), PIN).await.unwrap();
                assert_eq!(
                    (rsa.kind(), rsa.place()),
                    (KeyKind::Rsa { bits: 2048 }, Place::Token)
                );
                let schemes: [(Scheme, &'static dyn VerificationAlgorithm); 2] = [
                    (
                        Scheme::RsaPkcs1(Hash::Sha1),
                        &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
                    ),
                    (Scheme::RsaPkcs1(Hash::Sha256), &RSA_PKCS1_2048_8192_SHA256),
                ];
                for (scheme, algorithm) in schemes {
                    let signature = rsa.sign(scheme, MESSAGE).await.unwrap();
                    assert!(is_taken(&rsa, algorithm, &signature), "{scheme}");
                }
                let curve = open(&modules, &uri("%03"), PIN).await.unwrap();
                assert_eq!(curve.kind(), KeyKind::EcdsaP256);
                let signature = curve.sign(Scheme::Ecdsa(Hash::Sha256), MESSAGE).await.unwrap();
                assert!(is_taken(&curve, &ECDSA_P256_SHA256_FIXED, &signature));
            });
        },
    );
}
