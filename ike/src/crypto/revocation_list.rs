//! Lists of revoked certificates (RFC 5280 §5).

use std::fmt;
use std::sync::Arc;

use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_cert::crl::{CertificateList, TbsCertList};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};

use super::certificate::Certificate;
use super::signature::SignatureScheme;
use crate::Identity;

/// A list of revoked certificates that can be read.
#[derive(Clone)]
pub struct RevocationList(Arc<Contents>);

struct Contents {
    list: CertRevocationList<'static>,
    issuer: Vec<u8>,
    this_update: u64,
    next_update: Option<u64>,
    revoked: usize,
}

impl fmt::Debug for RevocationList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {} from {}", self.issuer(), self.this_update())
    }
}

impl RevocationList {
    /// Reads one in DER. Nobody has looked at its signature.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(der: &[u8]) -> Result<Self, String> {
        let list = OwnedCertRevocationList::from_der(der).map_err(|error| error.to_string())?;
        let (_, read) = parts(der).ok_or("not a CertificateList")?;
        let issuer = read.issuer.to_der().map_err(|error| error.to_string())?;
        Ok(Self(Arc::new(Contents {
            list: list.into(),
            issuer,
            this_update: read.this_update.to_unix_duration().as_secs(),
            next_update: read.next_update.map(|time| time.to_unix_duration().as_secs()),
            revoked: read.revoked_certificates.map_or(0, |revoked| revoked.len()),
        })))
    }

    /// Reads one in DER that one of these certificates, in DER too, must have signed.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read_of(der: &[u8], issuers: &[Vec<u8>]) -> Result<Self, String> {
        let list = Self::read(der)?;
        let issuers = issuers.iter().filter_map(|issuer| Certificate::read(issuer));
        let mut named = issuers
            .filter(|issuer| issuer.subject() == list.0.issuer)
            .peekable();
        if named.peek().is_none() {
            return Err(format!(
                "it is of {}, who issues none of what is to be judged",
                list.issuer()
            ));
        }
        let good = named.any(|issuer| is_signed_by(der, &issuer));
        good.then_some(list.clone())
            .ok_or_else(|| format!("its signature is not that of {}", list.issuer()))
    }

    /// The name of who issued it, for a human.
    pub fn issuer(&self) -> String {
        Identity::DistinguishedName(self.0.issuer.clone()).to_string()
    }

    /// When it was issued, in seconds of UNIX time.
    pub fn this_update(&self) -> u64 {
        self.0.this_update
    }

    /// When the next one is there at the latest, in seconds of UNIX time, if it says so.
    pub fn next_update(&self) -> Option<u64> {
        self.0.next_update
    }

    /// How many certificates stand on it.
    pub fn revoked(&self) -> usize {
        self.0.revoked
    }

    /// The same for who looks for a certificate in it.
    pub(super) fn list(&self) -> &CertRevocationList<'static> {
        &self.0.list
    }
}

impl PartialEq for RevocationList {
    /// Of two lists of one issuer and one moment nobody could say which counts.
    fn eq(&self, other: &Self) -> bool {
        let key = |list: &Self| (list.0.this_update, list.0.next_update, list.0.revoked);
        self.0.issuer == other.0.issuer && key(self) == key(other)
    }
}

impl Eq for RevocationList {}

/// What is signed, as it stands there and as it is read.
fn parts(der: &[u8]) -> Option<(&[u8], TbsCertList)> {
    let mut reader = SliceReader::new(der).ok()?;
    let signed = reader.sequence(|inner| {
        let signed = inner.tlv_bytes()?;
        inner.drain(inner.remaining_len())?;
        Ok::<_, x509_cert::der::Error>(signed)
    });
    let signed = signed.ok()?;
    Some((signed, TbsCertList::from_der(signed).ok()?))
}

fn is_signed_by(der: &[u8], issuer: &Certificate) -> bool {
    let good = || {
        let (signed, _) = parts(der)?;
        let whole: CertificateList = CertificateList::from_der(der).ok()?;
        let scheme = SignatureScheme::named(&whole.signature_algorithm.to_der().ok()?)?;
        let key = (issuer.kind(), issuer.public_key());
        Some(scheme.verifies(key, signed, whole.signature.as_bytes()?))
    };
    good().unwrap_or(false)
}
