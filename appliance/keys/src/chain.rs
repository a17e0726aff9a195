//! Certificates in the order in which each certifies the one before it.

use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::error::KeyError;
use crate::evp::Evp;

/// How many certificates a chain has at most, whatever it came with.
const MOST: usize = 16;

/// Orders certificates: that of the public key first, then the one that certifies it, and so on. What belongs to no such
/// chain is left out. Of several that would do, the one that was issued last is taken. No certificates at all are no chain.
pub(crate) fn ordered(
    mut certificates: Vec<Vec<u8>>,
    public: &[u8],
    whose: &str,
) -> Result<Vec<Vec<u8>>, KeyError> {
    if certificates.is_empty() {
        return Ok(Vec::new());
    }
    let leaf = newest(&certificates, |_, der| is_of(der, public));
    let foreign = || {
        KeyError::KeyWrongKind(format!(
            "{whose} has certificates, but none is of its private key"
        ))
    };
    let mut chain = vec![certificates.swap_remove(leaf.ok_or_else(foreign)?)];
    while chain.len() < MOST
        && let Some(issuer) = chain.last().and_then(|last| issuer(last, &certificates))
    {
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
    newest(among, |one, _| one.tbs_certificate().subject() == names.issuer())
}

/// Where the certificate is that was issued last among those that are meant.
fn newest(among: &[Vec<u8>], is_meant: impl Fn(&Certificate, &[u8]) -> bool) -> Option<usize> {
    let read = among.iter().enumerate().filter_map(|(place, der)| {
        let certificate = Certificate::from_der(der).ok()?;
        let issued = certificate
            .tbs_certificate()
            .validity()
            .not_before
            .to_unix_duration();
        is_meant(&certificate, der).then_some((issued, place))
    });
    read.max().map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use system_tests::lab::pki::{Issued, Key, Wanted};

    use super::*;

    fn wanted(authority: Option<u8>, from: i32) -> Wanted {
        Wanted {
            days: [from, 30],
            authority,
            key: Key::P256,
            ..Wanted::leaf("same name")
        }
    }

    /// A certificate that was renewed for the same key stands beside the one of before in many tokens.
    #[test]
    fn renewed_certificates_are_taken() {
        let old = Issued::root(&wanted(Some(0), -9)).unwrap();
        let new = Issued::root(&wanted(Some(0), -3)).unwrap();
        let leaf = Wanted {
            subject: Vec::new(),
            ..wanted(None, -2)
        };
        let leaf = new.issue(&leaf).unwrap();
        let (public, _) = public_key(leaf.der()).unwrap();
        let all = [old.der(), leaf.der(), new.der(), b"damaged"].map(<[u8]>::to_vec);
        for turn in 0..all.len() {
            let mut all = all.to_vec();
            all.rotate_left(turn);
            assert_eq!(ordered(all, &public, "it").unwrap(), [leaf.der(), new.der()]);
        }
    }

    #[test]
    fn foreign_certificates_are_refused() {
        let (one, other) = (
            Issued::root(&wanted(None, -2)).unwrap(),
            Issued::root(&wanted(None, -2)).unwrap(),
        );
        let (public, _) = public_key(one.der()).unwrap();
        let error = ordered(vec![other.der().to_vec()], &public, "it").unwrap_err();
        assert_eq!(error.word(), "key-wrong-kind");
        assert!(ordered(Vec::new(), &public, "it").unwrap().is_empty());
    }
}
