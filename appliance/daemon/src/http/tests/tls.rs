use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::machine::{Answer, Machine, document, exchange};

/// A machine and where its API is served.
pub(super) struct Served {
    pub(super) machine: Machine,
    pub(super) address: SocketAddr,
}

/// What a user has after signing in.
pub(super) struct SignedIn {
    pub(super) cookie: String,
    pub(super) csrf_token: String,
}

pub(super) const PASSWORD: &str = "correct horse battery";

/// An address that nobody has.
pub(super) fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

impl Served {
    /// A machine that nobody has claimed, with two connections.
    pub(super) async fn new() -> Self {
        let (machine, address) = (Machine::configured().await, free_address());
        let mut served = document();
        served["system"] = json!({ "management": { "listen": [address] } });
        let put = machine.put(1, &served).await;
        assert_eq!(put.status, 200, "{put:?}");
        let machine = machine.killed_and_served().await;
        Self { machine, address }
    }

    /// Claimed by alice.
    pub(super) async fn claimed() -> Self {
        let served = Self::new().await;
        let code = served.machine.get("/api/v1/claim").await.body["code"].clone();
        let claim = json!({ "code": code, "user": "alice", "password": PASSWORD });
        let claimed = served.send("POST", "/api/v1/claim", "", &claim.to_string()).await;
        assert_eq!(claimed.status, 201, "{claimed:?}");
        served
    }

    /// A connection, trusting the certificate that the control socket tells.
    pub(super) async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let told = self.machine.get("/api/v1/certificate").await.body;
        connect(self.address, told["chain"].as_str().unwrap()).await
    }

    /// A request over TLS; headers each end with a line end.
    pub(super) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let stream = self.connect().await.unwrap();
        exchange(stream, (method, path), headers, body.as_bytes()).await
    }

    pub(super) async fn sign_in(&self, user: &str, password: &str) -> Answer {
        let body = json!({ "user": user, "password": password }).to_string();
        self.send("POST", "/api/v1/session", "", &body).await
    }

    pub(super) async fn signed_in(&self, user: &str) -> SignedIn {
        let answer = self.sign_in(user, PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let set = answer.header("set-cookie");
        SignedIn {
            cookie: set.split(';').next().unwrap().to_owned(),
            csrf_token: answer.body["csrf_token"].as_str().unwrap().to_owned(),
        }
    }

    /// Makes a user with a password.
    pub(super) async fn user(&self, name: &str, role: &str) {
        let path = format!("/api/v1/config/users/{name}");
        let body = json!({ "role": role }).to_string();
        let put = self
            .machine
            .send("PUT", &path, "If-Match: *\r\n", body.as_bytes())
            .await;
        assert_eq!(put.status, 200, "{put:?}");
        let path = format!("/api/v1/users/{name}/password");
        let body = json!({ "password": PASSWORD }).to_string();
        let set = self.machine.ask("PUT", &path, None, &body).await;
        assert_eq!(set.status, 204, "{set:?}");
    }

    /// Makes a token of alice and returns the header that shows it.
    pub(super) async fn token(&self, token: &Value) -> String {
        let signed_in = self.signed_in("alice").await;
        let made = self
            .send("POST", "/api/v1/tokens", &signed_in.headers(), &token.to_string())
            .await;
        assert_eq!(made.status, 201, "{made:?}");
        format!(
            "Authorization: Bearer {}\r\n",
            made.body["token"].as_str().unwrap()
        )
    }
}

impl SignedIn {
    /// What a write by cookie needs.
    pub(super) fn headers(&self) -> String {
        format!("Cookie: {}\r\nX-Csrf-Token: {}\r\n", self.cookie, self.csrf_token)
    }
}

/// A TLS connection to a server with this certificate.
pub(super) async fn connect(address: SocketAddr, chain: &str) -> std::io::Result<TlsStream<TcpStream>> {
    connect_with(address, chain, |builder| builder.with_no_client_auth()).await
}

/// The same, by a client that may have a certificate.
pub(super) async fn connect_with(
    address: SocketAddr,
    chain: &str,
    finish: impl FnOnce(ConfigBuilder<ClientConfig, WantsClientCert>) -> ClientConfig,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(chain.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let config = finish(builder);
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
