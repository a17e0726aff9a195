use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Error;
use super::fingerprint::Fingerprint;

/// What makes the certificate of a server the right one.
#[derive(Debug, Clone)]
pub(crate) enum Trust {
    /// It is this very one.
    Pinned(Fingerprint),
    /// It goes back to one of these, and is for this server.
    Roots(Arc<WebPkiServerVerifier>),
}

impl Trust {
    /// The certificates in a PEM file.
    pub(crate) fn file(file: &Path) -> Result<Self, Error> {
        let unreadable = |cause| Error::Unreadable {
            file: file.display().to_string(),
            cause,
        };
        let found = CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|cause| unreadable(io::Error::other(cause)))?;
        Self::roots(found).map_err(|cause| unreadable(io::Error::other(cause)))
    }

    /// The certificates that this system trusts.
    pub(crate) fn system() -> Result<Self, Error> {
        Self::roots(rustls_native_certs::load_native_certs().certs).map_err(|cause| {
            Error::Usage(format!(
                "this system has no certificates that it trusts ({cause}): say with --ca FILE or --fingerprint \
                 sha256:… which one the server has"
            ))
        })
    }

    fn roots(
        certificates: Vec<CertificateDer<'static>>,
    ) -> Result<Self, impl std::error::Error + Send + Sync> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates);
        let provider = Arc::new(aws_lc_rs::default_provider());
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map(Self::Roots)
    }
}

/// Checks a server's certificate, and remembers which one it showed.
#[derive(Debug)]
struct Verifier {
    trust: Trust,
    presented: OnceLock<Fingerprint>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let presented = *self.presented.get_or_init(|| Fingerprint::of(end_entity));
        match &self.trust {
            Trust::Pinned(expected) if *expected == presented => Ok(ServerCertVerified::assertion()),
            Trust::Pinned(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
            Trust::Roots(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// TLS 1.3 (RFC 8446) to a server whose certificate is the right one.
pub(super) async fn connect(
    stream: TcpStream,
    host: &str,
    trust: &Trust,
    place: &str,
) -> Result<TlsStream<TcpStream>, Error> {
    let unusable = |cause: &dyn ToString| Error::Unusable {
        place: place.to_owned(),
        cause: cause.to_string(),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(Verifier {
        trust: trust.clone(),
        presented: OnceLock::new(),
        provider: Arc::clone(&provider),
    });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|cause| unusable(&cause))?;
    let config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|cause| unusable(&cause))?;
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    connected.map_err(
        |cause| match (certificate_error(&cause), verifier.presented.get()) {
            (Some(why), Some(presented)) => untrusted(place, trust, *presented, &why),
            _ => unusable(&cause),
        },
    )
}

fn certificate_error(cause: &io::Error) -> Option<CertificateError> {
    let cause = cause.get_ref()?.downcast_ref::<rustls::Error>()?;
    if let rustls::Error::InvalidCertificate(why) = cause {
        Some(why.clone())
    } else {
        None
    }
}

fn untrusted(place: &str, trust: &Trust, presented: Fingerprint, why: &CertificateError) -> Error {
    let place = place.to_owned();
    match trust {
        Trust::Pinned(expected) => Error::WrongFingerprint {
            place,
            expected: *expected,
            presented,
        },
        Trust::Roots(_) => Error::Untrusted {
            place,
            cause: why.to_string(),
            presented,
        },
    }
}
