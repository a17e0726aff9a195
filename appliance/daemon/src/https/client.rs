use std::sync::Arc;

use appliance_config::model::{Crl, Trust};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tracing::warn;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::der::oid::db::rfc4519::COMMON_NAME;

use crate::access::Verified;

/// What certificates of clients are checked against: whoever has one of this chain's has proved who it is, and whoever has
/// none goes on to sign in. None is asked for where none could be believed.
pub(super) fn verifier(trust: &Trust) -> Option<Arc<dyn ClientCertVerifier>> {
    match trust.crl {
        Crl::Relaxed => (),
        // No list of revoked certificates is fetched.
        Crl::Strict => return None,
    }
    let mut roots = RootCertStore::empty();
    let chain = trust
        .chain
        .iter()
        .map(|certificate| CertificateDer::from(certificate.der().to_vec()));
    let (_believed, unusable) = roots.add_parsable_certificates(chain);
    if unusable > 0 {
        warn!(
            unusable,
            "certificates of client_trust that no client's can go back to"
        );
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()));
    let built = builder.allow_unauthenticated().build();
    built
        .map_err(|error| warn!(%error, "clients are not asked for certificates"))
        .ok()
}

/// What the certificate of a client proves that was verified, unless it is revoked.
pub(super) fn verified(trust: Trust, chain: Option<&[CertificateDer<'_>]>) -> Option<Verified> {
    let leaf = chain?.first()?;
    let hashes = [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256].map(|algorithm| digest(algorithm, leaf));
    let is_revoked = |hash: &[u8]| trust.revoked.values().any(|revoked| revoked.octets() == hash);
    if hashes.iter().any(|hash| is_revoked(hash.as_ref())) {
        return None;
    }
    let name = common_name(leaf)?;
    Some(Verified { name, trust })
}

/// The one common name of the subject.
fn common_name(der: &[u8]) -> Option<String> {
    let certificate = Certificate::from_der(der).ok()?;
    let subject = certificate.tbs_certificate().subject();
    let mut names = subject.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    let (name, more) = (names.next()?, names.next());
    if more.is_some() {
        return None;
    }
    let printable = || {
        name.value
            .decode_as::<PrintableStringRef<'_>>()
            .map(|text| text.to_string())
    };
    let text = name
        .value
        .decode_as::<Utf8StringRef<'_>>()
        .map(|text| text.to_string());
    text.or_else(|_| printable()).ok()
}
