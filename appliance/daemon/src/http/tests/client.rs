//! Who has a certificate that the document trusts needs nothing else.

use aws_lc_rs::digest::{SHA256, digest};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use rustls::ConfigBuilder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::machine::{Answer, exchange};
use super::tls::{PASSWORD, Served, connect_with};

/// Somebody who makes certificates.
struct Authority {
    root: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key.
struct Client {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = named(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = parameters.self_signed(&key).unwrap().pem();
        Self {
            root,
            issuer: Issuer::new(parameters, key),
        }
    }

    fn client(&self, name: &str) -> Client {
        let key = KeyPair::generate().unwrap();
        let certificate = named(name).signed_by(&key, &self.issuer).unwrap();
        Client {
            certificate: certificate.der().clone(),
            key,
        }
    }
}

impl Client {
    async fn connect(&self, served: &Served) -> std::io::Result<TlsStream<TcpStream>> {
        let told = served.machine.get("/api/v1/certificate").await.body;
        let key = PrivateKeyDer::from_pem_slice(self.key.serialize_pem().as_bytes()).unwrap();
        let chain = vec![self.certificate.clone()];
        let finish = |builder: ConfigBuilder<_, _>| builder.with_client_auth_cert(chain, key).unwrap();
        connect_with(served.address, told["chain"].as_str().unwrap(), finish).await
    }

    async fn send(&self, served: &Served, method: &str, headers: &str) -> Answer {
        let stream = self.connect(served).await.unwrap();
        exchange(stream, (method, "/api/v1/config"), headers, b"{}").await
    }

    async fn status(&self, served: &Served) -> u16 {
        self.send(served, "GET", "").await.status
    }
}

async fn trust(served: &Served, chain: &str, more: serde_json::Value) {
    let mut trust = json!({ "chain": [chain] });
    trust
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let patch = json!({ "trust": { "admins": trust },
                        "system": { "management": { "client_trust": "admins" } } });
    let headers = "If-Match: *\r\nContent-Type: application/merge-patch+json\r\n";
    let body = patch.to_string();
    let patched = served
        .machine
        .send("PATCH", "/api/v1/config", headers, body.as_bytes())
        .await;
    assert_eq!(patched.status, 200, "{patched:?}");
}

#[tokio::test]
async fn a_certificate_that_is_trusted_says_who_asks() {
    let authority = Authority::new("admins");
    let served = Served::claimed().await;
    let (alice, mallory) = (authority.client("alice"), authority.client("mallory"));
    assert_eq!(alice.status(&served).await, 401);
    trust(&served, &authority.root, json!({})).await;
    assert_eq!(alice.status(&served).await, 200);
    assert_eq!(mallory.status(&served).await, 401);
    assert_eq!(served.send("GET", "/api/v1/config", "", "").await.status, 401);
    assert_eq!(served.sign_in("alice", PASSWORD).await.status, 200);
    let foreign = "If-Match: *\r\nSec-Fetch-Site: cross-site\r\n";
    let refused = alice.send(&served, "PATCH", foreign).await;
    assert_eq!(refused.reason(), (403, "cross-site"));
    assert_eq!(alice.send(&served, "PATCH", "If-Match: *\r\n").await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_is_revoked_or_somebody_elses_says_nothing() {
    let (authority, other) = (Authority::new("admins"), Authority::new("admins"));
    let served = Served::claimed().await;
    let (alice, again) = (authority.client("alice"), authority.client("alice"));
    let hash = digest(&SHA256, &alice.certificate);
    let hash: String = hash.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    let revoked = json!({ "revoked_thumbprints": { "lost-laptop": hash } });
    trust(&served, &authority.root, revoked).await;
    assert_eq!(alice.status(&served).await, 401);
    assert_eq!(again.status(&served).await, 200);
    trust(&served, &authority.root, json!({ "crl": "strict" })).await;
    assert_eq!(again.status(&served).await, 401);

    trust(&served, &other.root, json!({ "crl": "relaxed" })).await;
    if let Ok(mut stream) = again.connect(&served).await {
        // With TLS 1.3 a client hears that it is refused after it has finished its own part.
        let request = b"GET /api/v1/config HTTP/1.1\r\nHost: x\r\n\r\n";
        let _may_be_refused_already = stream.write_all(request).await;
        let read = stream.read(&mut [0; 16]).await;
        assert!(!matches!(read, Ok(1..)), "{read:?}");
    }
}

#[tokio::test]
async fn a_connection_that_is_kept_proves_nothing_once_its_certificate_is_not_believed() {
    let authority = Authority::new("admins");
    let served = Served::claimed().await;
    trust(&served, &authority.root, json!({})).await;
    let mut stream = authority.client("alice").connect(&served).await.unwrap();
    assert_eq!(status_of(&mut stream).await, "200");
    let hash = "0".repeat(64);
    let revoked = json!({ "revoked_thumbprints": { "lost-laptop": hash } });
    trust(&served, &authority.root, revoked).await;
    assert_eq!(status_of(&mut stream).await, "401");
}

/// The status of a request on a connection that goes on.
async fn status_of(stream: &mut TlsStream<TcpStream>) -> String {
    stream
        .write_all(b"GET /api/v1/config/users HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut octets = [0; 16384];
    let length = stream.read(&mut octets).await.unwrap();
    let head = std::str::from_utf8(&octets[..length]).unwrap();
    head.split(' ').nth(1).unwrap().to_owned()
}
