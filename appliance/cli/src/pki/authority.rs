use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{Issuer, KeyPair, PublicKeyData};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_cert::der::Encode;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::file::{Read, certificate, not_made, read, wrong};
use super::folder::{CERTIFICATE, CHAIN, KEY, chain};
use crate::client::Error;

/// An authority that `causeway pki ca` made, or another one whose folder looks the same.
pub(super) struct Authority {
    pub(super) certificate: Read,
    pub(super) issuer: Issuer<'static, KeyPair>,
    /// Itself first, the root last.
    pub(super) chain: Vec<CertificateDer<'static>>,
}

impl Authority {
    /// Reads its folder.
    pub(super) fn open(ca: &Path) -> Result<Self, Error> {
        let file = ca.join(CERTIFICATE);
        let certificate = certificate(&file)?;
        check(&certificate, &file)?;
        let key_file = ca.join(KEY);
        let key = String::from_utf8_lossy(&read(&key_file)?).into_owned();
        let key = KeyPair::from_pem(&key)
            .map_err(|_| wrong(&key_file, "no private key that can be read (PKCS#8, PEM)"))?;
        let public = certificate.says.tbs_certificate().subject_public_key_info();
        if public.to_der().ok() != Some(key.subject_public_key_info()) {
            return Err(wrong(
                &key_file,
                "is the key of another certificate than the one beside it",
            ));
        }
        let der = CertificateDer::from(certificate.der.clone());
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(not_made)?;
        Ok(Self {
            certificate,
            issuer,
            chain: chain(&ca.join(CHAIN))?,
        })
    }

    /// Until when it is good.
    pub(super) fn end(&self) -> SystemTime {
        let end = self.certificate.says.tbs_certificate().validity().not_after;
        UNIX_EPOCH + end.to_unix_duration()
    }
}

/// It may issue and revoke (RFC 5280 §4.2.1.3, §4.2.1.9).
fn check(certificate: &Read, file: &Path) -> Result<(), Error> {
    let says = certificate.says.tbs_certificate();
    let extension = |_| wrong(file, "says nothing that can be read of what it may do");
    let basic = says.get_extension::<BasicConstraints>().map_err(extension)?;
    let usage = says.get_extension::<KeyUsage>().map_err(extension)?;
    let is_authority = basic.is_some_and(|(_, basic)| basic.ca);
    if is_authority && usage.is_none_or(|(_, usage)| usage.key_cert_sign() && usage.crl_sign()) {
        Ok(())
    } else {
        Err(wrong(
            file,
            "is no authority that may issue and revoke; make one with causeway pki ca",
        ))
    }
}

/// From an hour ago, for clocks that go behind, and for so many days.
pub(super) fn validity(days: u32) -> [SystemTime; 2] {
    let now = SystemTime::now();
    [now - Duration::from_secs(3600), now + days_of(days)]
}

/// So many days.
pub(super) fn days_of(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

/// A time as rcgen has it.
pub(super) fn date(time: SystemTime) -> OffsetDateTime {
    time.into()
}
