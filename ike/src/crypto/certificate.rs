//! Certificates as far as one of them can be judged alone (RFC 5280), and whose they are (RFC 4945 §3.1, §5.1).

use x509_cert::TbsCertificate;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{CrlDistributionPoints, ExtendedKeyUsage, KeyUsage, SubjectAltName};
use x509_cert::spki::SubjectPublicKeyInfoRef;

use super::signature::KeyKind;
use crate::identity;
use crate::wire::IdentificationPayload;
use crate::{Identity, distinguished_name};

/// A certificate that can be read and whose key we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    parsed: x509_cert::Certificate,
    key: Vec<u8>,
    kind: KeyKind,
}

/// The longest address of a list of revoked certificates.
const LONGEST_URI: usize = 1024;
/// What a certificate may be used for, by its extended key usage.
pub(super) const PURPOSES: [&str; 4] = [
    // id-kp-serverAuth, id-kp-clientAuth, id-kp-ipsecIKE (RFC 4945 §5.1.3.12), anyExtendedKeyUsage.
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
    "1.3.6.1.5.5.7.3.17",
    "2.5.29.37.0",
];

impl Certificate {
    /// Reads one in DER; `None` if it is none, or has a key of a kind that we do not have.
    pub fn read(der: &[u8]) -> Option<Self> {
        let parsed = x509_cert::Certificate::from_der(der).ok()?;
        let key = parsed.tbs_certificate().subject_public_key_info().to_der().ok()?;
        let info = SubjectPublicKeyInfoRef::try_from(key.as_slice()).ok()?;
        let kind = KeyKind::of(&info.algorithm, info.subject_public_key.as_bytes()?)?;
        Some(Self {
            der: der.to_vec(),
            parsed,
            key,
            kind,
        })
    }

    /// All that was read.
    pub(super) fn parsed(&self) -> &x509_cert::Certificate {
        &self.parsed
    }

    /// What its issuer signed.
    pub(super) fn says(&self) -> &TbsCertificate {
        self.parsed.tbs_certificate()
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its SubjectPublicKeyInfo in DER.
    pub fn public_key(&self) -> &[u8] {
        &self.key
    }

    /// What kind of key it has.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The name of its subject, in DER.
    pub fn subject(&self) -> Vec<u8> {
        self.parsed
            .tbs_certificate()
            .subject()
            .to_der()
            .unwrap_or_default()
    }

    /// The names of its subject and its issuer, for a human.
    pub fn names(&self) -> (String, String) {
        let certificate = self.parsed.tbs_certificate();
        (
            Identity::DistinguishedName(self.subject()).to_string(),
            Identity::DistinguishedName(certificate.issuer().to_der().unwrap_or_default()).to_string(),
        )
    }

    /// Whether this name, the content of its DER, is that of its issuer.
    pub(super) fn is_issued_by(&self, name: &[u8]) -> bool {
        let issuer = self
            .parsed
            .tbs_certificate()
            .issuer()
            .to_der()
            .unwrap_or_default();
        issuer.ends_with(name)
    }

    /// From when until when it is valid, in seconds of UNIX time.
    pub fn validity(&self) -> (u64, u64) {
        let validity = self.parsed.tbs_certificate().validity();
        (
            validity.not_before.to_unix_duration().as_secs(),
            validity.not_after.to_unix_duration().as_secs(),
        )
    }

    /// Whether it may sign something: one that says what its key is for says so (RFC 4945 §5.1.3.2).
    pub(super) fn may_sign(&self) -> bool {
        let usage = self.parsed.tbs_certificate().get_extension::<KeyUsage>();
        match usage {
            Ok(Some((_, usage))) => usage.digital_signature() || usage.non_repudiation(),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// The object identifiers of its extended key usage, if it has one that can be read.
    pub fn purposes(&self) -> Option<Vec<String>> {
        let usage = self.parsed.tbs_certificate().get_extension::<ExtendedKeyUsage>();
        let (_, usage) = usage.ok()??;
        Some(usage.0.iter().map(ToString::to_string).collect())
    }

    /// Where lists say whether it is revoked (RFC 5280 §4.2.1.13), of what is fetched by HTTP.
    pub fn distribution_points(&self) -> Vec<String> {
        let points = self
            .parsed
            .tbs_certificate()
            .get_extension::<CrlDistributionPoints>();
        let points = points
            .ok()
            .flatten()
            .map(|(_, points)| points.0)
            .unwrap_or_default();
        let names = points
            .into_iter()
            .filter_map(|point| match point.distribution_point? {
                DistributionPointName::FullName(names) => Some(names),
                DistributionPointName::NameRelativeToCRLIssuer(_) => None,
            });
        let address = |name: GeneralName| match name {
            GeneralName::UniformResourceIdentifier(uri) => Some(uri.as_str().to_owned()),
            _ => None,
        };
        let by_http = |uri: &String| {
            uri.len() <= LONGEST_URI
                && uri
                    .get(..7)
                    .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"))
        };
        names.flatten().filter_map(address).filter(by_http).collect()
    }

    /// Whether what somebody says of itself stands in its certificate: the subject, or an alternative name of the same type.
    pub fn is_of(&self, said: &IdentificationPayload) -> bool {
        let Some(said) = identity::from_payload(said) else {
            return false;
        };
        let alternatives = self.parsed.tbs_certificate().get_extension::<SubjectAltName>();
        let alternatives = alternatives.ok().flatten().map(|(_, names)| names.0);
        let named = |name: &GeneralName| match (&said, name) {
            (Identity::Fqdn(said), GeneralName::DnsName(name)) => said.eq_ignore_ascii_case(name.as_str()),
            (Identity::Email(said), GeneralName::Rfc822Name(name)) => {
                said.eq_ignore_ascii_case(name.as_str())
            }
            (Identity::Address(said), GeneralName::IpAddress(octets)) => match said {
                std::net::IpAddr::V4(said) => octets.as_bytes() == said.octets(),
                std::net::IpAddr::V6(said) => octets.as_bytes() == said.octets(),
            },
            (Identity::DistinguishedName(said), GeneralName::DirectoryName(name)) => name
                .to_der()
                .is_ok_and(|name| distinguished_name::same(said, &name)),
            _ => false,
        };
        let subject = matches!(&said, Identity::DistinguishedName(said) if distinguished_name::same(said, &self.subject()));
        subject || alternatives.is_some_and(|names| names.iter().any(named))
    }

    /// The hash of its key by which a CERTREQ names it as one to lead to (RFC 7296 §3.7).
    pub(crate) fn key_hash(&self) -> Vec<u8> {
        use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.key).as_ref().to_vec()
    }

    /// SHA-1 or SHA-256 of it, as long as `like`, by which it is told from all others.
    pub(super) fn has_thumbprint(&self, like: &[u8]) -> bool {
        use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
        let algorithm = match like.len() {
            20 => &SHA1_FOR_LEGACY_USE_ONLY,
            _ => &SHA256,
        };
        digest(algorithm, &self.der).as_ref() == like
    }
}
