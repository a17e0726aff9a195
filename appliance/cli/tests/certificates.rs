//! Certificates and keys, against a Unix socket that answers what a daemon once answered.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/daemon.rs"]
mod daemon;

use daemon::{Daemon, against, run};
use rcgen::generate_simple_self_signed;

const OUTAGE: &str = r#"{ "reason": "pin-wrong", "side": "we", "stage": "idle", "offered": "token branch refused it",
  "expected": "a signature by our own key", "next_step": "Set the right PIN; it is not tried again until then." }"#;

const CERTIFICATE: &str = r#"{ "provider": "hsm", "provider_kind": "pkcs11", "reference": "pkcs11:token=branch;object=edge",
  "source": "provider", "used_by": ["/connections/to-b/authentication/certificate"],
  "key": { "provider": "pkcs11", "state": "ready", "place": "token", "kind": "RSA of 2048 bits", "chain": [], "signed": 7, "failed": 0 },
  "chain": [ { "subject": "CN=edge", "issuer": "CN=root", "serial": "2a", "names": ["dns:edge.example"], "key": "RSA-2048",
    "key_bits": 2048, "signature": "sha256WithRSAEncryption", "usages": ["digitalSignature"], "purposes": ["serverAuth", "clientAuth"],
    "authority": false, "self_issued": false, "not_before": "2026-01-01T00:00:00Z", "not_after": "2027-01-01T00:00:00Z",
    "state": "valid", "ends_in_s": 864000, "sha1": "aa", "sha256": "bb" } ] }"#;

#[test]
fn a_certificate_is_told_with_its_key_its_dates_and_who_uses_it() {
    let all = format!(r#"{{ "edge": {CERTIFICATE} }}"#);
    let (request, ended) = against("200 OK", &all, &["certificates"]);
    assert_eq!(request, "GET /api/v1/certificates HTTP/1.1");
    assert_eq!(
        ended.out,
        "edge: key by hsm (pkcs11), pkcs11:token=branch;object=edge\n\
         \x20 key      ready, in token, RSA of 2048 bits; signed 7, failed 0\n\
         \x20 used at  /connections/to-b/authentication/certificate\n\
         \x20 told by  the provider\n\
         \x20 subject  CN=edge\n\
         \x20 valid    2026-01-01T00:00:00Z to 2027-01-01T00:00:00Z: 10 days left\n"
    );
    let (request, ended) = against("200 OK", CERTIFICATE, &["certificates", "edge"]);
    assert_eq!(request, "GET /api/v1/certificates/edge HTTP/1.1");
    for line in [
        "    names     dns:edge.example",
        "    purposes  serverAuth, clientAuth",
        "    authority no",
        "    SHA-256   bb",
    ] {
        assert!(
            ended.out.lines().any(|other| other == line),
            "{line} in {}",
            ended.out
        );
    }
    assert_eq!(ended.status, 0);
}

#[test]
fn a_trial_of_a_key_that_does_not_sign_says_why_and_fails() {
    let body = format!(
        r#"{{ "ok": false, "provider": "pkcs11", "took_ms": 12, "outage": {OUTAGE}, "schemes": [
          {{ "scheme": "RSA PKCS#1 with SHA-1", "state": "left-out", "took_ms": 0 }},
          {{ "scheme": "RSA PKCS#1 with SHA2-256", "state": "works", "took_ms": 9 }} ] }}"#
    );
    let (request, ended) = against("200 OK", &body, &["certificates", "test-sign", "edge"]);
    assert_eq!(request, "POST /api/v1/certificates/edge:test-sign HTTP/1.1");
    assert!(
        ended
            .out
            .starts_with("edge: DOES NOT SIGN as it should; pkcs11, 12 ms\n"),
        "{}",
        ended.out
    );
    for words in [
        "  why      pin-wrong, said by this side at idle",
        "  RSA PKCS#1 with SHA-1: left out: the key would have to leave its vault for it",
        "  RSA PKCS#1 with SHA2-256: works, 9 ms",
    ] {
        assert!(
            ended.out.lines().any(|line| line == words),
            "{words} in {}",
            ended.out
        );
    }
    assert_eq!(ended.status, 1);
}

#[test]
fn the_timeline_is_told_with_the_next_warning() {
    let body = r#"{ "now": "2026-11-27T00:00:00Z", "certificates": [
      { "place": "trust/roots", "position": "root", "subject": "CN=old", "sha256": "cc", "not_before": "2016-01-01T00:00:00Z",
        "not_after": "2027-01-01T00:00:00Z", "state": "valid", "ends_in_s": 3024000, "next_warning": "2026-12-02T00:00:00Z",
        "used_by": [] } ] }"#;
    let (request, ended) = against("200 OK", body, &["certificates", "timeline"]);
    assert_eq!(request, "GET /api/v1/certificates:timeline HTTP/1.1");
    assert_eq!(
        ended.out,
        "2027-01-01T00:00:00Z  trust/roots, root: CN=old\n\
         \x20 35 days left since 2016-01-01T00:00:00Z\n\
         \x20 not used; next warning 2026-12-02T00:00:00Z\n"
    );
}

/// Whatever else is in a file, only its certificates are sent.
#[test]
fn a_file_is_verified_without_its_private_key() {
    let made = generate_simple_self_signed(vec!["gw.example".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gw.pem");
    std::fs::write(&file, made.signing_key.serialize_pem() + &made.cert.pem()).unwrap();
    let body = r#"{ "believed": false, "purpose": "azure-outbound", "at": "2027-01-01T00:00:00Z", "path": ["CN=gw"], "fault": {
      "certificate": "CN=gw", "rule": "RSA has 2048 bits or more", "reason": "certificate-weak", "found": "ECDSA P-256",
      "expected": "RSA", "next_step": "Have one issued.",
      "azure_error": "VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey" }, "not_asked": ["revocation lists"] }"#;
    let daemon = Daemon::giving(&[("200 OK", body)]);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_causeway"));
    command
        .arg("--socket")
        .arg(daemon.socket())
        .args(["certificates", "verify"]);
    command
        .arg(&file)
        .args(["--purpose", "azure-outbound", "--at", "2027-01-01T00:00:00Z"]);
    let ended = run(&mut command, "");
    let request = daemon.requests().concat();
    assert!(
        request.starts_with("POST /api/v1/certificates:verify HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(r#""purpose":"azure-outbound""#) && !request.contains("PRIVATE"),
        "{request}"
    );
    for words in [
        "NOT BELIEVED as azure-outbound at 2027-01-01T00:00:00Z",
        "  blamed   CN=gw",
        "  Azure   VpnConnectionOutBoundAuthenticationCertificateDoesNotHaveRSAPrivateKey",
        "  not looked at: revocation lists",
    ] {
        assert!(
            ended.out.lines().any(|line| line == words),
            "{words} in {}",
            ended.out
        );
    }
    assert_eq!(ended.status, 1);
}

#[test]
fn keys_are_refreshed_and_providers_tried() {
    let body = r#"{ "renewed": true, "key": { "provider": "key-vault", "state": "ready", "place": "vault", "kind": "RSA of 2048 bits",
      "version": "0123", "chain": [], "signed": 3, "failed": 0 } }"#;
    let (request, ended) = against("200 OK", body, &["keys", "edge", "--refresh"]);
    assert_eq!(request, "POST /api/v1/certificates/edge:refresh HTTP/1.1");
    assert!(
        ended.out.contains("version 0123") && ended.out.contains("there was a newer version"),
        "{}",
        ended.out
    );
    let body = format!(
        r#"{{ "ok": false, "steps": [ {{ "step": "module", "subject": "/usr/lib/hsm.so", "ok": true, "took_ms": 3 }},
          {{ "step": "pin", "subject": "pkcs11:token=branch", "ok": false, "took_ms": 1, "outage": {OUTAGE} }} ] }}"#
    );
    let (request, ended) = against("200 OK", &body, &["keys", "self-test", "hsm"]);
    assert_eq!(request, "POST /api/v1/key-providers/hsm:self-test HTTP/1.1");
    assert!(
        ended
            .out
            .starts_with("hsm: DOES NOT WORK\n  module   ok, /usr/lib/hsm.so, 3 ms\n"),
        "{}",
        ended.out
    );
    assert_eq!(ended.status, 1);
}

/// The password goes along on standard input, and what came with the key is told for the document.
#[test]
fn a_private_key_is_set_with_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("edge.p12");
    std::fs::write(&file, [0x30, 0x00]).unwrap();
    let body = r#"{ "set_at": "2026-11-27T00:00:00Z", "set_by": "root", "fingerprint": "0123456789abcdef", "used_by": [],
      "unchanged": false, "chain": ["TUlJQw=="] }"#;
    let arguments = ["secret", "set", "edge-key", "--pkcs12", file.to_str().unwrap()];
    let (request, ended) = daemon::fed("200 OK", body, &arguments, "geheim\n");
    assert!(
        request.starts_with("PUT /api/v1/secrets/edge-key HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains("content-type: application/json\r\n"),
        "{request}"
    );
    assert!(
        request.ends_with(r#"{"password":"geheim","pkcs12":"MAA="}"#),
        "{request}"
    );
    assert!(
        ended.out.starts_with("edge-key is set; nothing uses it.\n"),
        "{}",
        ended.out
    );
    assert!(
        ended.out.contains("TUlJQw==") && ended.status == 0,
        "{}",
        ended.out
    );
}
