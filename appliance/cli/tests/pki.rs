//! Certificates for trials, as openssl judges them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use daemon::Ended;
use serde_json::Value;
use tempfile::TempDir;

/// A folder in which things are made.
struct Place(TempDir);

impl Place {
    /// With an authority at `ca`.
    fn with_authority() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.done(&["ca", "--name", "Trial root", "--out", "ca"]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `causeway pki` with these words, run here.
    fn pki(&self, words: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
        command.current_dir(self.0.path()).arg("pki").args(words);
        daemon::run(&mut command, "")
    }

    fn done(&self, words: &[&str]) -> String {
        let ended = self.pki(words);
        assert_eq!(ended.status, 0, "{words:?}: {}", ended.err);
        ended.out
    }

    /// Refused with these words, and nothing is changed.
    fn refused(&self, words: &[&str], why: &str) {
        let ended = self.pki(words);
        assert_eq!(ended.status, 2, "{words:?}: {}", ended.out);
        assert!(ended.err.contains(why), "{words:?}: {}", ended.err);
    }

    /// Whether openssl is content, and what it says.
    fn openssl(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new("openssl");
        let output = command.current_dir(self.0.path()).args(words).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

#[test]
fn openssl_accepts_what_is_issued_and_refuses_what_is_revoked() {
    let place = Place::with_authority();
    for (name, key) in [("a", "rsa-2048"), ("b", "ecdsa-p256"), ("c", "ecdsa-p384")] {
        place.done(&[
            "leaf",
            "--ca",
            "ca",
            "--subject",
            name,
            "--key",
            key,
            "--out",
            name,
        ]);
        for purpose in ["sslclient", "sslserver"] {
            let (content, said) = place.openssl(&[
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                "ca/certificate.pem",
                &format!("{name}/certificate.pem"),
            ]);
            assert!(content, "{key}: {said}");
        }
    }
    let check = |name: &str| {
        let leaf = format!("{name}/certificate.pem");
        place.openssl(&[
            "verify",
            "-crl_check",
            "-CAfile",
            "ca/certificate.pem",
            "-CRLfile",
            "ca/crl.pem",
            &leaf,
        ])
    };
    // A list that revokes nothing is one, too: whoever is strict needs it.
    place.done(&["revoke", "--ca", "ca"]);
    assert!(check("a").0);
    place.done(&["revoke", "--ca", "ca", "a/certificate.pem"]);
    // The second one does not take back the first.
    let told = place.done(&["revoke", "--ca", "ca", "b/certificate.pem", "--days", "7"]);
    assert!(told.contains("2 revoked"), "{told}");
    for (name, is_good) in [("a", false), ("b", false), ("c", true)] {
        let (content, said) = check(name);
        assert_eq!(content, is_good, "{name}: {said}");
        assert_eq!(said.contains("certificate revoked"), !is_good, "{name}: {said}");
    }
}

#[test]
fn the_key_is_its_owners_and_belongs_to_the_certificate() {
    let place = Place::with_authority();
    place.done(&["leaf", "--ca", "ca", "--subject", "CN=gw-a", "--out", "new/a"]);
    for name in ["ca/key.pem", "new/a/key.pem"] {
        let mode = fs::metadata(place.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
    let of_key = place.openssl(&["pkey", "-in", "new/a/key.pem", "-pubout"]).1;
    let of_certificate = place
        .openssl(&["x509", "-in", "new/a/certificate.pem", "-noout", "-pubkey"])
        .1;
    assert_eq!(of_key, of_certificate);
}

/// The chain has the root last, and what the document trusts has it first, without the leaf.
#[test]
fn chain_and_trust_are_in_the_order_that_each_asks_for() {
    let place = Place::with_authority();
    place.done(&["leaf", "--ca", "ca", "--subject", "gw-a", "--out", "a"]);
    let [leaf, root] = ["a", "ca"].map(|name| place.read(&format!("{name}/certificate.pem")));
    assert_eq!(place.read("a/chain.pem"), leaf + &root);
    assert_eq!(place.read("ca/chain.pem"), root);
    let digits: String = root.lines().filter(|line| !line.starts_with('-')).collect();
    for folder in ["a", "ca"] {
        let trust: Value = serde_json::from_str(&place.read(&format!("{folder}/trust.json"))).unwrap();
        assert_eq!(trust, serde_json::json!({ "chain": [digits] }), "{folder}");
    }
}

#[test]
fn nothing_is_overwritten_unless_asked() {
    let place = Place::with_authority();
    let again = ["ca", "--name", "Another", "--out", "ca"];
    let before = place.read("ca/key.pem");
    place.refused(&again, "ca/key.pem: is there already");
    assert_eq!(place.read("ca/key.pem"), before);
    place.done(&[&again[..], &["--force"]].concat());
    assert_ne!(place.read("ca/key.pem"), before);
    let leaf = ["leaf", "--ca", "ca", "--subject", "gw-a", "--out"];
    let before = place.read("ca/key.pem");
    let over_authority = [&leaf[..], &["ca", "--force"]].concat();
    place.refused(&over_authority, "the folder of the authority itself");
    assert_eq!(place.read("ca/key.pem"), before);
    fs::write(place.path("file"), "").unwrap();
    place.refused(&[&leaf[..], &["file"]].concat(), "file: is no folder");
    place.refused(&[&leaf[..], &["file/below"]].concat(), "file/below");
    place.refused(&leaf[..5], "--out");
}

#[test]
fn who_may_not_issue_or_revoke_is_told_so() {
    let place = Place::with_authority();
    place.done(&[
        "ca",
        "--name",
        "Other",
        "--days",
        "20",
        "--key",
        "ecdsa-p256",
        "--out",
        "other",
    ]);
    place.done(&["leaf", "--ca", "ca", "--subject", "gw-a", "--out", "a"]);
    let leaf = ["leaf", "--subject", "gw-b", "--out", "b", "--ca"];
    place.refused(&[&leaf[..], &["a"]].concat(), "is no authority");
    place.refused(&[&leaf[..], &["nowhere"]].concat(), "nowhere/certificate.pem");
    place.refused(&[&leaf[..], &["other"]].concat(), "good for 19 more days");
    let foreign = ["revoke", "--ca", "other", "a/certificate.pem"];
    place.refused(&foreign, "was issued by CN=Trial root, not by CN=Other");
    assert!(!place.path("other/crl.pem").exists());
    place.done(&["revoke", "--ca", "ca", "a/certificate.pem"]);
    fs::copy(place.path("ca/crl.pem"), place.path("other/crl.pem")).unwrap();
    place.refused(&["revoke", "--ca", "other"], "is no list of this authority");
    fs::copy(place.path("ca/key.pem"), place.path("other/key.pem")).unwrap();
    place.refused(
        &[&leaf[..], &["other"]].concat(),
        "the key of another certificate",
    );
    assert!(!place.path("b").exists());
}

#[test]
fn names_that_are_none_are_refused() {
    let place = Place::with_authority();
    let leaf = ["leaf", "--ca", "ca", "--out", "a", "--subject"];
    for subject in ["", "CN=", "a\tb", &"x".repeat(65)] {
        place.refused(&[&leaf[..], &[subject]].concat(), "a common name");
    }
    for name in [
        "gw-a.example",
        "ip:10.0.0",
        "dns:",
        "dns:a b",
        "email:nobody",
        "uri:x",
        "dns:ü",
    ] {
        place.refused(&[&leaf[..], &["gw", "--san", name]].concat(), "expected dns:NAME");
    }
    assert!(!place.path("a").exists());
}

/// Whatever daemon is asked otherwise: the authority of `--ca` is not what that one's certificate goes back to.
#[test]
fn no_daemon_is_asked() {
    let place = Place::with_authority();
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    let words = ["pki", "leaf", "--ca", "ca", "--subject", "gw-a", "--out", "a"];
    command
        .current_dir(place.0.path())
        .env("CAUSEWAY_SERVER", "https://192.0.2.1")
        .env("CAUSEWAY_CA", "/nonexistent")
        .args(words);
    let ended = daemon::run(&mut command, "");
    assert_eq!(ended.status, 0, "{}", ended.err);
}

/// With a certificate of a gateway at `a`, which has names of every kind.
fn named() -> Place {
    let place = Place::with_authority();
    let mut words = vec![
        "leaf",
        "--ca",
        "ca",
        "--subject",
        "gw-a",
        "--days",
        "30",
        "--out",
        "a",
    ];
    for name in [
        "dns:gw-a.example",
        "ip:192.0.2.1",
        "ip:2001:db8::1",
        "email:admin@gw-a.example",
    ] {
        words.extend(["--san", name]);
    }
    place.done(&words);
    place
}

#[test]
fn a_certificate_is_shown_for_a_human() {
    let place = named();
    let shown = place.done(&["show", "a/chain.pem"]);
    let (leaf, root) = shown.split_once("\n\n").unwrap();
    for line in [
        "subject   CN=gw-a",
        "issuer    CN=Trial root",
        "names     dns:gw-a.example, ip:192.0.2.1, ip:2001:db8::1, email:admin@gw-a.example",
        "key       RSA, 2048 bits",
        "purposes  clientAuth, serverAuth",
        "authority no",
    ] {
        assert!(leaf.lines().any(|other| other == line), "{line}: {leaf}");
    }
    assert!(leaf.contains("Z: 29 days left"), "{leaf}");
    assert!(
        root.contains("authority yes, with 4 intermediates below it at most"),
        "{root}"
    );
    let (done, said) = place.openssl(&[
        "x509",
        "-in",
        "a/certificate.pem",
        "-outform",
        "DER",
        "-out",
        "a/certificate.der",
    ]);
    assert!(done, "{said}");
    let of_der = place.done(&["show", "a/certificate.der"]);
    assert_eq!(of_der.trim_end(), leaf);
    place.refused(&["show", "a/key.pem"], "no certificate that can be read");
    place.refused(&["show", "nowhere"], "nowhere");
}

#[test]
fn thumbprints_are_those_of_openssl_and_told_to_scripts() {
    let place = named();
    let told: Value = serde_json::from_str(&place.done(&["--json", "show", "a/chain.pem"])).unwrap();
    assert_eq!(told[1]["subject"], "CN=Trial root");
    for kind in ["sha1", "sha256"] {
        let words = [
            "x509",
            "-in",
            "a/certificate.pem",
            "-noout",
            "-fingerprint",
            &format!("-{kind}"),
        ];
        let print = place.openssl(&words).1;
        let print = print.trim().split_once('=').unwrap().1.replace(':', "");
        assert_eq!(told[0][kind], print.as_str());
    }
}
