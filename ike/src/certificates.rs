//! What CERT and CERTREQ hold in either version of IKE (RFC 7296 §3.6, §3.7; RFC 2408 §3.9, §3.10; RFC 4945 §3).

use std::collections::BTreeSet;

use crate::crypto::Certificate;
use crate::wire::CertificatePayload;
use crate::{
    CertificateReason, Connection, LocalProof, Outage, OwnCertificate, Reason, RemoteProof, Side, Stage,
};

/// X.509 Certificate - Signature (RFC 7296 §3.6, RFC 2408 §3.9).
const X509_SIGNATURE: u8 = 4;
/// The most certificates of a peer that are looked at.
const MOST: usize = 8;

/// A certificate, or what names those that are wanted.
pub(crate) fn x509(data: Vec<u8>) -> CertificatePayload {
    CertificatePayload {
        encoding: X509_SIGNATURE,
        data,
    }
}

/// Our certificate and what leads from it to its root, if that is how we prove who we are.
pub(crate) fn ours(settings: &Connection) -> Vec<CertificatePayload> {
    match &settings.authentication.local {
        LocalProof::Certificate(own) => own.chain.iter().cloned().map(x509).collect(),
        LocalProof::PreSharedKey(_) => Vec::new(),
    }
}

/// What our certificate says of its key.
pub(crate) fn own(own: &OwnCertificate, stage: Stage) -> Result<Certificate, Outage> {
    let certificate = own.chain.first().and_then(|der| Certificate::read(der));
    certificate.ok_or_else(|| Outage {
        offered: "a certificate of ours that cannot be read".to_owned(),
        ..Outage::plain(Reason::Certificate(CertificateReason::Invalid), Side::We, stage)
    })
}

/// The certificates among these payloads, in their order.
pub(crate) fn sent<'p>(payloads: impl Iterator<Item = &'p CertificatePayload>) -> Vec<&'p [u8]> {
    let certificates = payloads.filter(|found| found.encoding == X509_SIGNATURE);
    certificates
        .map(|found| found.data.as_slice())
        .take(MOST)
        .collect()
}

/// The roots that the certificates of the peers of these connections are to lead to, as they are named to them; `None` if none of the
/// peers is to have one.
pub(crate) fn roots<'c>(
    all: impl Iterator<Item = &'c Connection>,
    named: impl Fn(&Certificate) -> Vec<u8>,
) -> Option<BTreeSet<Vec<u8>>> {
    let mut names = None;
    for settings in all {
        if let RemoteProof::Certificate(expected) = &settings.authentication.remote {
            let roots = expected.trust.roots.iter();
            let read = roots.filter_map(|root| Certificate::read(root));
            names
                .get_or_insert_with(BTreeSet::new)
                .extend(read.map(|root| named(&root)));
        }
    }
    names
}
