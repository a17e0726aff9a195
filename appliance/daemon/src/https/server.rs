use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use appliance_config::model::Trust;
use axum::Router;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, NoServerSessionStorage};
use rustls::version::TLS13;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::certificate::{Certificate, CertificateFault};
use super::client;
use super::places::Places;
use crate::access::{Access, Arrival, LocalDevice};
use crate::http::serve_connection;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A client that takes nothing of what it is sent, or is gone, is given up after this.
const STALLED: Duration = Duration::from_secs(30);
const QUIET: Duration = Duration::from_secs(60);

/// What all listeners share: the certificate, and the places of connections.
#[derive(Debug)]
pub(crate) struct Https {
    state: PathBuf,
    current: RwLock<(Arc<Certificate>, Arc<ServerConfig>)>,
    places: Mutex<Places>,
}

impl Https {
    /// With the certificate of this state directory, or a new one.
    pub(crate) fn open(state: PathBuf) -> Result<Self, CertificateFault> {
        let (certificate, fault) = Certificate::open(&state)?;
        if let Some(fault) = fault {
            warn!(%fault, "the certificate in the state directory could not be used: the machine has made its own");
        }
        info!(
            fingerprint = certificate.fingerprint(),
            "the certificate of the API"
        );
        let config = config(&certificate, Arc::new(NoClientAuth))?;
        Ok(Self {
            state,
            current: RwLock::new((Arc::new(certificate), config)),
            places: Mutex::default(),
        })
    }

    /// What is shown to whoever connects.
    pub(crate) fn certificate(&self) -> Arc<Certificate> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// Shows another one from now on, or one that the machine makes. May wait for the disk.
    pub(crate) fn install(
        &self,
        certificate: Option<Certificate>,
    ) -> Result<Arc<Certificate>, CertificateFault> {
        let certificate = certificate.map_or_else(Certificate::make, Ok)?;
        let config = config(&certificate, Arc::new(NoClientAuth))?;
        certificate.keep(&self.state)?;
        let certificate = Arc::new(certificate);
        info!(
            fingerprint = certificate.fingerprint(),
            "another certificate of the API"
        );
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = (certificate.clone(), config);
        Ok(certificate)
    }

    /// Serves one connection to its end, unless its address may not come in or there is no place.
    pub(super) async fn serve(&self, stream: TcpStream, access: &Access, router: Router) {
        let Ok(remote) = stream.peer_addr() else { return };
        let Ok(local) = stream.local_addr() else { return };
        let device = LocalDevice::with(local.ip());
        if !access.policy().lets_in(remote.ip(), device.as_ref()) {
            return debug!(%remote, "source-not-allowed");
        }
        let taken = self
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(remote.ip());
        let Some((number, place)) = taken else {
            return debug!(%remote, "no place for another connection");
        };
        let arrival = Arrival::Network {
            remote,
            local,
            device: device.map(Arc::new),
            certificate: None,
            place: place.clone(),
        };
        let trust = access.policy().client_trust.clone();
        tokio::select! {
            () = self.converse(stream, (arrival, trust), router) => (),
            () = place.given_up() => (),
        }
        self.places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .leave(number);
    }

    async fn converse(&self, stream: TcpStream, (arrival, trust): (Arrival, Option<Trust>), router: Router) {
        let socket = SockRef::from(&stream);
        let keepalive = TcpKeepalive::new().with_time(QUIET).with_interval(STALLED / 3);
        // Without them a peer that is gone has its place until another needs it.
        let _none = socket.set_tcp_user_timeout(Some(STALLED));
        let _none = socket.set_tcp_keepalive(&keepalive);
        let _slower = stream.set_nodelay(true);
        let Ok(config) = self.config(trust.as_ref()) else {
            return;
        };
        let accepted = TlsAcceptor::from(config).accept(stream);
        match tokio::time::timeout(HANDSHAKE, accepted).await {
            Ok(Ok(stream)) => {
                let chain = stream.get_ref().1.peer_certificates();
                let verified = trust.and_then(|trust| client::verified(trust, chain));
                serve_connection(stream, arrival.with_certificate(verified), router).await;
            }
            Ok(Err(error)) => debug!(from = arrival.words(), %error, "no TLS"),
            Err(_) => debug!(from = arrival.words(), "the TLS handshake took too long"),
        }
    }

    /// As it is, or asking for a certificate that goes back to this.
    fn config(&self, trust: Option<&Trust>) -> Result<Arc<ServerConfig>, CertificateFault> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        match trust.and_then(client::verifier) {
            Some(verifier) => config(&current.0, verifier),
            None => Ok(current.1.clone()),
        }
    }
}

/// TLS 1.3 and no resumption: whether a client certificate is good is looked at each time.
fn config(
    certificate: &Certificate,
    clients: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, CertificateFault> {
    let unreadable = |error: rustls::Error| CertificateFault::Unreadable(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_protocol_versions(&[&TLS13]).map_err(unreadable)?;
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certificate.key.clone()));
    let mut config = builder
        .with_client_cert_verifier(clients)
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
