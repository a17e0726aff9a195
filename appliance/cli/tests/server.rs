//! The command against a daemon elsewhere: TLS, certificates, tokens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "support/daemon.rs"]
mod daemon;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use daemon::{Ended, answer, run, serve};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ProtocolVersion, ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

const UP: &str = include_str!("fixtures/up.json");

/// A daemon behind TLS that takes one caller.
struct Server {
    url: String,
    folder: TempDir,
    fingerprint: String,
    served: JoinHandle<Option<String>>,
}

impl Server {
    fn giving(status: &str, body: &str, names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made: CertifiedKey<KeyPair> = generate_simple_self_signed(names).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let digest = sha256(made.cert.der());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let answer = answer(status, body);
        let served = thread::spawn(move || take(listener.accept().unwrap().0, config, &answer));
        Self {
            url,
            folder,
            fingerprint: format!("sha256:{digest}"),
            served,
        }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn request(self) -> Option<String> {
        // Whoever waits for a caller that will not come sees one that leaves at once.
        let _ = TcpStream::connect(self.url.trim_start_matches("https://"));
        self.served.join().unwrap()
    }
}

/// The request, unless the caller left before.
fn take(mut stream: TcpStream, config: ServerConfig, answer: &str) -> Option<String> {
    let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    Some(serve(StreamOwned::new(connection, stream), answer))
}

fn sha256(octets: &[u8]) -> String {
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, octets);
    let octets: Vec<String> = digest
        .as_ref()
        .iter()
        .map(|octet| format!("{octet:02X}"))
        .collect();
    octets.join(":")
}

/// The command in an environment that says nothing else.
fn causeway(home: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_causeway"));
    command.env_clear().env("HOME", home).args(arguments);
    command.envs(variables.iter().copied());
    run(&mut command, "")
}

#[test]
fn a_pinned_certificate_and_a_token_from_the_environment_lead_in() {
    let server = Server::giving("200 OK", UP, &["elsewhere"]);
    let (home, url, fingerprint) = (server.folder.path(), &server.url, &server.fingerprint);
    let variables = [("CAUSEWAY_SERVER", url.as_str()), ("CAUSEWAY_TOKEN", "geheim\n")];
    let ended = causeway(home, &variables, &["status", "--fingerprint", fingerprint]);
    assert!(ended.out.contains("1 of 1 connections up"), "{}", ended.err);
    assert_eq!(ended.status, 0);
    let host = url.trim_start_matches("https://").to_owned();
    let request = server.request().unwrap();
    assert!(
        request.starts_with("GET /api/v1/status HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("authorization: Bearer geheim\r\n"), "{request}");
    assert!(request.contains(&format!("host: {host}\r\n")), "{request}");
}

#[test]
fn another_certificate_is_told_with_both_fingerprints_and_gets_nothing() {
    let server = Server::giving("200 OK", UP, &["127.0.0.1"]);
    let expected = format!("sha256:{}", ["AB"; 32].join(":"));
    let arguments = ["status", "--server", &server.url, "--fingerprint", &expected];
    let ended = causeway(server.folder.path(), &[("CAUSEWAY_TOKEN", "geheim")], &arguments);
    assert!(
        ended.err.contains(&expected) && ended.err.contains(&server.fingerprint),
        "{}",
        ended.err
    );
    assert_eq!(ended.status, 3);
    assert_eq!(server.request(), None);
}

#[test]
fn a_certificate_is_checked_against_a_file_and_for_the_server() {
    let server = Server::giving("200 OK", UP, &["127.0.0.1"]);
    let (ca, url) = (server.ca(), server.url.clone());
    let arguments = ["status", "--server", &url, "--ca", ca.to_str().unwrap()];
    let ended = causeway(server.folder.path(), &[], &arguments);
    assert_eq!(ended.status, 0, "{}", ended.err);
    let request = server.request().unwrap();
    assert!(!request.contains("authorization"), "{request}");

    let server = Server::giving("200 OK", UP, &["elsewhere"]);
    let (ca, url) = (server.ca(), server.url.clone());
    let arguments = ["status", "--server", &url, "--ca", ca.to_str().unwrap()];
    let ended = causeway(server.folder.path(), &[], &arguments);
    assert!(ended.err.contains("not trusted"), "{}", ended.err);
    assert_eq!((ended.status, server.request()), (3, None));
}

/// Without any word about certificates those of the system count; the message says what else can be done.
#[test]
fn an_unknown_certificate_is_told_with_its_fingerprint() {
    let (server, other) = (
        Server::giving("200 OK", UP, &["127.0.0.1"]),
        Server::giving("200 OK", UP, &["127.0.0.1"]),
    );
    let ca = other.ca();
    let variables = [("SSL_CERT_FILE", ca.to_str().unwrap())];
    let ended = causeway(
        server.folder.path(),
        &variables,
        &["status", "--server", &server.url],
    );
    let advice = format!("--fingerprint {}", server.fingerprint);
    assert!(ended.err.contains(&advice), "{}", ended.err);
    assert_eq!((ended.status, server.request()), (3, None));
}

#[test]
fn a_token_comes_from_a_file_that_nobody_else_may_read() {
    let server = Server::giving("200 OK", UP, &["127.0.0.1"]);
    let (home, url, fingerprint) = (
        server.folder.path().to_path_buf(),
        server.url.clone(),
        server.fingerprint.clone(),
    );
    let tokens = home.join(".config/causeway/tokens");
    fs::create_dir_all(&tokens).unwrap();
    let file = tokens.join("127.0.0.1");
    fs::write(&file, "geheim\n").unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let arguments = ["status", "--server", &url, "--fingerprint", &fingerprint];
    let ended = causeway(&home, &[], &arguments);
    assert!(ended.err.contains("chmod 600"), "{}", ended.err);
    assert_eq!(ended.status, 2);
    fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(causeway(&home, &[], &arguments).status, 0);
    let request = server.request().unwrap();
    assert!(request.contains("authorization: Bearer geheim\r\n"), "{request}");
    let ended = causeway(
        &home,
        &[],
        &[&arguments[..], &["--token-file", "/nonexistent"]].concat(),
    );
    assert!(ended.err.contains("/nonexistent"), "{}", ended.err);
    assert_eq!(ended.status, 2);
}

#[test]
fn who_may_not_do_it_is_told_what_is_missing() {
    for (status, words) in [
        ("401 Unauthorized", "the token has expired"),
        ("403 Forbidden", "this needs the role operator"),
    ] {
        let server = Server::giving(status, &format!(r#"{{"reason":"x","detail":"{words}"}}"#), &["a"]);
        let arguments = [
            "connect",
            "to-b",
            "--server",
            &server.url,
            "--fingerprint",
            &server.fingerprint,
        ];
        let ended = causeway(server.folder.path(), &[], &arguments);
        assert!(ended.err.contains(words), "{}", ended.err);
        assert_eq!(ended.status, 5);
        assert_eq!(ended.err.contains("CAUSEWAY_TOKEN"), status.starts_with("401"));
        assert!(server.request().is_some());
    }
}

#[test]
fn a_server_that_is_none_is_told_as_such() {
    let home = tempfile::tempdir().unwrap();
    let pinned = format!("sha256:{}", "ab".repeat(32));
    for url in [
        "http://127.0.0.1",
        "127.0.0.1:8443",
        "https://a@127.0.0.1",
        "https://127.0.0.1/api",
        "https://",
    ] {
        let ended = causeway(
            home.path(),
            &[],
            &["status", "--server", url, "--fingerprint", &pinned],
        );
        assert!(ended.err.contains("is no server"), "{url}: {}", ended.err);
        assert_eq!(ended.status, 2);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let arguments = ["status", "--server", &url, "--fingerprint", &pinned];
    let plain = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let ended = causeway(home.path(), &[], &arguments);
    assert!(ended.err.contains("cannot talk"), "{}", ended.err);
    plain.join().unwrap();
    let ended = causeway(home.path(), &[], &arguments);
    assert!(
        ended.err.contains("cannot reach") && ended.err.contains("allow_from"),
        "{}",
        ended.err
    );
    assert_eq!(ended.status, 3);
}
