use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::client::Error;

/// A certificate as it stands in a file, and what it says.
pub(super) struct Read {
    pub(super) der: Vec<u8>,
    pub(super) says: Certificate,
}

/// All certificates of a file, one at least (PEM or DER).
pub(super) fn certificates(file: &Path) -> Result<Vec<Read>, Error> {
    let octets = read(file)?;
    let parse = |der: Vec<u8>| {
        Some(Read {
            says: Certificate::from_der(&der).ok()?,
            der,
        })
    };
    let found: Option<Vec<Read>> = if octets.starts_with(&[0x30]) {
        Some(parse(octets).into_iter().collect())
    } else {
        CertificateDer::pem_slice_iter(&octets)
            .map(|der| parse(der.ok()?.to_vec()))
            .collect()
    };
    found.filter(|found| !found.is_empty()).ok_or_else(|| {
        wrong(
            file,
            "no certificate that can be read: expected PEM or DER (RFC 5280)",
        )
    })
}

/// The same in DER.
pub(crate) fn ders(file: &Path) -> Result<Vec<Vec<u8>>, Error> {
    Ok(certificates(file)?.into_iter().map(|one| one.der).collect())
}

/// The first certificate of a file.
pub(super) fn certificate(file: &Path) -> Result<Read, Error> {
    let first = certificates(file)?.into_iter().next();
    first.ok_or_else(|| wrong(file, "no certificate"))
}

/// What is in a file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|cause| Error::Unreadable {
        file: file.display().to_string(),
        cause,
    })
}

/// Why a file is not what it should be.
pub(super) fn wrong(file: &Path, why: &str) -> Error {
    Error::Usage(format!("{}: {why}", file.display()))
}

/// Why something could not be made.
pub(super) fn not_made(cause: impl std::fmt::Display) -> Error {
    Error::Usage(format!("this cannot be made: {cause}"))
}
