//! Certificates in the order in which each certifies the one before it.

use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::error::KeyError;
use crate::evp::Evp;

/// How many certificates a key may come with.
const MOST: usize = 32;

/// Orders certificates: that of the public key first, then the one that certifies it, and so on. What belongs to no such
/// chain is left out. No certificates at all are no chain.
pub(crate) fn ordered(
    mut certificates: Vec<Vec<u8>>,
    public: &[u8],
    whose: &str,
) -> Result<Vec<Vec<u8>>, KeyError> {
    if certificates.is_empty() {
        return Ok(Vec::new());
    }
    if certificates.len() > MOST {
        let count = certificates.len();
        let more = format!("{whose} has {count} certificates, and at most {MOST} are read");
        return Err(KeyError::KeyWrongKind(more));
    }
    let leaf = certificates
        .iter()
        .position(|certificate| is_of(certificate, public));
    let foreign = || {
        KeyError::KeyWrongKind(format!(
            "{whose} has certificates, but none is of its private key"
        ))
    };
    let mut chain = vec![certificates.swap_remove(leaf.ok_or_else(foreign)?)];
    while let Some(issuer) = chain.last().and_then(|last| issuer(last, &certificates)) {
        chain.push(certificates.swap_remove(issuer));
    }
    Ok(chain)
}

/// The public key of a certificate: SubjectPublicKeyInfo in DER, as AWS-LC writes it.
pub(crate) fn public_key(certificate: &[u8]) -> Option<(Vec<u8>, Evp)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let info = certificate.tbs_certificate().subject_public_key_info();
    let key = Evp::from_public(&info.to_der().ok()?).ok()?;
    Some((key.public()?, key))
}

fn is_of(certificate: &[u8], public: &[u8]) -> bool {
    public_key(certificate).is_some_and(|(of, _)| of == public)
}

/// Where the certificate is that has the name of another's issuer, unless that is the other itself.
fn issuer(of: &[u8], among: &[Vec<u8>]) -> Option<usize> {
    let of = Certificate::from_der(of).ok()?;
    let names = of.tbs_certificate();
    if names.issuer() == names.subject() {
        return None;
    }
    among.iter().position(|certificate| {
        Certificate::from_der(certificate).is_ok_and(|one| one.tbs_certificate().subject() == names.issuer())
    })
}
