use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use secrecy::{ExposeSecret, SecretSlice};
use thiserror::Error;

use crate::store::replace;

/// Its name in the state directory: chain and key, for its owner only, as the machine key is.
const FILE: &str = "https.pem";
/// So many certificates a chain may have.
const MOST: usize = 10;

/// What the API shows to whoever connects, with its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// Chain and key, as they are kept.
    pem: SecretSlice<u8>,
    /// The same for TLS.
    pub(super) key: Arc<CertifiedKey>,
    /// The machine made it itself.
    pub(crate) is_own: bool,
}

/// Why a certificate cannot be used.
#[derive(Debug, Error)]
pub(crate) enum CertificateFault {
    /// No certificate, or nonsense.
    #[error("expected a chain of 1 to {MOST} certificates and their private key, in PEM: {0}")]
    Unreadable(String),
    /// The key is of another certificate.
    #[error("the private key is not that of the first certificate")]
    OtherKey,
    /// The file system refused.
    #[error("{path}: {error}")]
    File {
        /// What was read or written.
        path: PathBuf,
        /// The system's answer.
        error: io::Error,
    },
    /// It could not be made.
    #[error("making a certificate: {0}")]
    NotMade(#[from] rcgen::Error),
}

impl Certificate {
    /// The one in the state directory. Where there is none, or none that can be used, the machine makes its own; the fault
    /// tells why.
    pub(super) fn open(directory: &Path) -> Result<(Self, Option<CertificateFault>), CertificateFault> {
        let path = directory.join(FILE);
        let fault = match fs::read(&path).map(SecretSlice::from) {
            Ok(pem) => match Self::parse(pem) {
                Ok(certificate) => return Ok((certificate, None)),
                Err(fault) => Some(fault),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(CertificateFault::File { path, error }),
        };
        let certificate = Self::make()?;
        certificate.keep(directory)?;
        Ok((certificate, fault))
    }

    /// A chain and its key, in PEM, in any order but for the certificates.
    pub(crate) fn parse(pem: SecretSlice<u8>) -> Result<Self, CertificateFault> {
        let unreadable = |error: &dyn ToString| CertificateFault::Unreadable(error.to_string());
        let text = pem.expose_secret();
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(&error))?;
        if !(1..=MOST).contains(&chain.len()) {
            return Err(unreadable(&format!("there are {} certificates", chain.len())));
        }
        let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| unreadable(&error))?;
        let own = chain.first().map(ParsedCertificate::try_from);
        own.transpose().map_err(|error| unreadable(&error))?;
        let certified = CertifiedKey::from_der(chain, key, &default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => CertificateFault::OtherKey,
            error => unreadable(&error),
        })?;
        Ok(Self {
            is_own: text.starts_with(OWN.as_bytes()),
            pem,
            key: Arc::new(certified),
        })
    }

    /// One that the machine signs itself, for its name and its addresses. It does not end while anybody uses it: whoever has
    /// compared its fingerprint wants it to stay, and at the first start the clock may be wrong.
    pub(super) fn make() -> Result<Self, CertificateFault> {
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = Some(name.trim())
            .filter(|name| !name.is_empty())
            .unwrap_or("causeway");
        let mut names = vec![name.to_owned(), "localhost".to_owned()];
        names.extend(addresses().iter().map(ToString::to_string));
        let mut parameters = CertificateParams::new(names)?;
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, name);
        parameters.distinguished_name = subject;
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2099, 12, 31);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = parameters.self_signed(&key)?;
        let key = zeroize::Zeroizing::new(key.serialize_pem());
        let pem = [OWN.as_bytes(), certificate.pem().as_bytes(), key.as_bytes()].concat();
        Self::parse(pem.into())
    }

    /// Puts it in place of the one in the state directory.
    pub(super) fn keep(&self, directory: &Path) -> Result<(), CertificateFault> {
        let path = directory.join(FILE);
        let kept = replace(&path, self.pem.expose_secret());
        kept.map_err(|error| CertificateFault::File { path, error })
    }

    /// SHA-256 of the certificate, as openssl and browsers show it.
    pub(crate) fn fingerprint(&self) -> String {
        let own = self.key.cert.first().map(AsRef::as_ref).unwrap_or_default();
        let digest = digest::digest(&digest::SHA256, own);
        let octets: Vec<String> = digest
            .as_ref()
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect();
        octets.join(":")
    }

    /// The chain in PEM, without the key.
    pub(crate) fn chain(&self) -> String {
        let text = String::from_utf8_lossy(self.pem.expose_secret());
        let parts = text
            .split_inclusive(END)
            .filter_map(|part| part.split_once(BEGIN));
        parts.map(|(_, part)| format!("{BEGIN}{part}\n")).collect()
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// What stands before a certificate that the machine made itself; PEM lets text be between its parts.
const OWN: &str = "made by causewayd\n";

/// Those of this machine that others may know it by.
fn addresses() -> Vec<IpAddr> {
    let found = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses = found.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    let useful = |address: &IpAddr| match address {
        IpAddr::V4(address) => !address.is_link_local(),
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    let mut addresses: Vec<IpAddr> = addresses.filter(useful).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn pem(certificate: &Certificate) -> String {
        String::from_utf8(certificate.pem.expose_secret().to_vec()).unwrap()
    }

    #[test]
    fn a_machine_makes_its_certificate_once_and_keeps_it_for_itself() {
        let directory = tempfile::tempdir().unwrap();
        let (made, fault) = Certificate::open(directory.path()).unwrap();
        assert!(fault.is_none() && made.is_own);
        let mode = fs::metadata(directory.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let (again, _) = Certificate::open(directory.path()).unwrap();
        assert_eq!(made.fingerprint(), again.fingerprint());
        assert_eq!(made.fingerprint().len(), 95);
        assert!(!made.chain().contains("PRIVATE") && pem(&made).contains(made.chain().trim()));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_replaced_and_said() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "nonsense").unwrap();
        let (made, fault) = Certificate::open(directory.path()).unwrap();
        assert!(made.is_own && matches!(fault, Some(CertificateFault::Unreadable(_))));
        assert!(Certificate::open(directory.path()).unwrap().1.is_none());
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (one, other) = (Certificate::make().unwrap(), Certificate::make().unwrap());
        let key = pem(&other).split(END).nth(1).unwrap().to_owned();
        let mixed = format!("{}{key}", one.chain());
        let refused = Certificate::parse(mixed.into_bytes().into()).unwrap_err();
        assert!(matches!(refused, CertificateFault::OtherKey), "{refused}");
        for lacking in [
            one.chain(),
            key,
            String::new(),
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned(),
        ] {
            let refused = Certificate::parse(lacking.into_bytes().into()).unwrap_err();
            assert!(matches!(refused, CertificateFault::Unreadable(_)), "{refused}");
        }
    }

    #[test]
    fn an_installed_chain_is_not_taken_for_an_own_one() {
        let own = pem(&Certificate::make().unwrap());
        let installed =
            Certificate::parse(own.strip_prefix(OWN).unwrap().as_bytes().to_vec().into()).unwrap();
        assert!(!installed.is_own);
    }
}
