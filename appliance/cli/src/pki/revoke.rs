use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use x509_cert::crl::CertificateList;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use super::authority::{Authority, date, days_of};
use super::file::{Read, certificate, not_made, read, wrong};
use super::folder::{LIST, put_list};
use crate::answer::{Answer, Done};
use crate::client::Error;

/// Numbers of certificates, and since when they are worth nothing.
type Revoked = BTreeMap<Vec<u8>, SystemTime>;

/// Writes the list of an authority anew.
pub(super) fn run(ca: &Path, files: &[PathBuf], days: u32) -> Done {
    let authority = Authority::open(ca)?;
    let now = SystemTime::now();
    let mut revoked = before(&ca.join(LIST), &authority)?;
    for file in files {
        let certificate = certificate(file)?;
        is_from(&certificate, &authority, file)?;
        let number = certificate
            .says
            .tbs_certificate()
            .serial_number()
            .as_bytes()
            .to_vec();
        revoked.entry(number).or_insert(now);
    }
    let count = revoked.len();
    let entries = revoked.into_iter().map(|(number, since)| RevokedCertParams {
        serial_number: SerialNumber::from(number),
        revocation_time: date(since),
        reason_code: None,
        invalidity_date: None,
    });
    let since_1970 = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let number: Vec<u8> = since_1970.as_micros().to_be_bytes().into();
    let number: Vec<u8> = number.into_iter().skip_while(|octet| *octet == 0).collect();
    let list = CertificateRevocationListParams {
        this_update: date(now),
        next_update: date(now + days_of(days)),
        // Each list has a higher number than the one before (RFC 5280 §5.2.3), also one that was lost.
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: entries.collect(),
        key_identifier_method: identifier(&authority),
    };
    let list = list.signed_by(&authority.issuer).map_err(not_made)?;
    let file = put_list(ca, &list.pem().map_err(not_made)?)?;
    let file = file.display().to_string();
    let text = format!("{file} has {count} revoked and is good for {days} days.\n");
    Ok(Answer::done(
        json!({ "file": file, "revoked": count, "days": days }),
        text,
    ))
}

/// What the list of before says; there may be none.
fn before(file: &Path, authority: &Authority) -> Result<Revoked, Error> {
    if !file.exists() {
        return Ok(Revoked::new());
    }
    let unusable = "is no list of this authority (PEM); move it away to begin a new one";
    let list = CertificateRevocationListDer::from_pem_slice(&read(file)?).ok();
    let list = list.and_then(|der| CertificateList::from_der(&der).ok());
    let list = list
        .map(|list: CertificateList| list.tbs_cert_list)
        .filter(|list| &list.issuer == authority.certificate.says.tbs_certificate().subject())
        .ok_or_else(|| wrong(file, unusable))?;
    let entries = list.revoked_certificates.into_iter().flatten();
    let since = |entry: &x509_cert::crl::RevokedCert| UNIX_EPOCH + entry.revocation_date.to_unix_duration();
    Ok(entries
        .map(|entry| (entry.serial_number.as_bytes().to_vec(), since(&entry)))
        .collect())
}

/// Only who issued a certificate revokes it.
fn is_from(certificate: &Read, authority: &Authority, file: &Path) -> Result<(), Error> {
    let says = certificate.says.tbs_certificate();
    let subject = authority.certificate.says.tbs_certificate().subject();
    if says.issuer() == subject {
        return Ok(());
    }
    let why = format!(
        "was issued by {}, not by {subject}; nothing is revoked",
        says.issuer()
    );
    Err(wrong(file, &why))
}

/// As the authority is called in what it issues.
fn identifier(authority: &Authority) -> KeyIdMethod {
    let says = authority.certificate.says.tbs_certificate();
    match says.get_extension::<SubjectKeyIdentifier>() {
        Ok(Some((_, identifier))) => KeyIdMethod::PreSpecified(identifier.0.as_bytes().to_vec()),
        Ok(None) | Err(_) => KeyIdMethod::Sha256,
    }
}
