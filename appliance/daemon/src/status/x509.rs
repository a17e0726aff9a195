use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use schemars::JsonSchema;
use serde::Serialize;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::{Certificate, TbsCertificate};

use crate::clock;
use crate::store::hex;

/// What a certificate says, for people. Nobody has looked at its signature.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct X509Status {
    pub(super) subject: String,
    issuer: String,
    /// Hexadecimal.
    serial: String,
    /// Names beside the subject, such as `dns:gw.example`.
    names: Vec<String>,
    /// What kind of key it has, such as `RSA-2048` or `ECDSA P-256`; the object identifier of one that is not used for IKE.
    key: String,
    /// How many bits the modulus of RSA has.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_bits: Option<usize>,
    /// What it was signed with.
    signature: String,
    /// What its key may do, by the names of RFC 5280 §4.2.1.3; left out if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    usages: Option<Vec<&'static str>>,
    /// What it is for, by the names of RFC 5280 §4.2.1.12; left out if it does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    purposes: Option<Vec<String>>,
    /// It may issue others.
    authority: bool,
    /// So many intermediates may stand below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_length: Option<u8>,
    /// It names itself as its issuer.
    pub(super) self_issued: bool,
    #[serde(flatten)]
    pub(super) dates: Dates,
    /// Hexadecimal.
    sha1: String,
    /// Hexadecimal.
    pub(super) sha256: String,
}

/// From when until when something is valid.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Dates {
    /// RFC 3339.
    not_before: String,
    /// RFC 3339.
    pub(super) not_after: String,
    /// `valid`, `not-yet-valid` or `expired`, by the clock of this machine.
    pub(super) state: &'static str,
    /// In how many seconds it ends; negative once it has.
    pub(super) ends_in_s: i64,
}

/// Purposes by their names.
const PURPOSES: [(&str, &str); 8] = [
    ("2.5.29.37.0", "any"),
    ("1.3.6.1.5.5.7.3.1", "serverAuth"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth"),
    ("1.3.6.1.5.5.7.3.3", "codeSigning"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection"),
    ("1.3.6.1.5.5.7.3.8", "timeStamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSPSigning"),
    ("1.3.6.1.5.5.7.3.17", "ipsecIKE"),
];

/// Ways to sign a certificate, by their names of RFC 4055 and RFC 5758.
const SIGNATURES: [(&str, &str); 8] = [
    ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
    ("1.2.840.113549.1.1.11", "sha256WithRSAEncryption"),
    ("1.2.840.113549.1.1.12", "sha384WithRSAEncryption"),
    ("1.2.840.113549.1.1.13", "sha512WithRSAEncryption"),
    ("1.2.840.113549.1.1.10", "RSASSA-PSS"),
    ("1.2.840.10045.4.3.2", "ecdsa-with-SHA256"),
    ("1.2.840.10045.4.3.3", "ecdsa-with-SHA384"),
    ("1.2.840.10045.4.3.4", "ecdsa-with-SHA512"),
];

/// What a key may do (RFC 5280 §4.2.1.3).
const USAGES: [(KeyUsages, &str); 9] = [
    (KeyUsages::DigitalSignature, "digitalSignature"),
    (KeyUsages::NonRepudiation, "nonRepudiation"),
    (KeyUsages::KeyEncipherment, "keyEncipherment"),
    (KeyUsages::DataEncipherment, "dataEncipherment"),
    (KeyUsages::KeyAgreement, "keyAgreement"),
    (KeyUsages::KeyCertSign, "keyCertSign"),
    (KeyUsages::CRLSign, "cRLSign"),
    (KeyUsages::EncipherOnly, "encipherOnly"),
    (KeyUsages::DecipherOnly, "decipherOnly"),
];

impl Dates {
    /// From so many seconds of UNIX time until so many.
    pub(crate) fn new((from, until): (u64, u64), now: SystemTime) -> Self {
        let at = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let words = |seconds| at(seconds).map_or_else(String::new, clock::words);
        let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let state = if now > until {
            "expired"
        } else if now < from {
            "not-yet-valid"
        } else {
            "valid"
        };
        Self {
            not_before: words(from),
            not_after: words(until),
            state,
            ends_in_s: signed(until).saturating_sub(signed(now)),
        }
    }
}

impl X509Status {
    /// What is in this DER; `None` if it is no certificate.
    pub(crate) fn read(der: &[u8], now: SystemTime) -> Option<Self> {
        let parsed = Certificate::from_der(der).ok()?;
        let says = parsed.tbs_certificate();
        let known = ike::crypto::Certificate::read(der);
        let basic = says.get_extension::<BasicConstraints>().ok().flatten();
        let basic = basic.map(|(_, basic)| basic);
        let kind = known.as_ref().map(ike::crypto::Certificate::kind);
        let of_key = || says.subject_public_key_info().algorithm.oid.to_string();
        Some(Self {
            subject: says.subject().to_string(),
            issuer: says.issuer().to_string(),
            serial: hex(says.serial_number().as_bytes()),
            names: names(says),
            key: kind.map_or_else(of_key, |kind| kind.to_string()),
            key_bits: kind.and_then(|kind| match kind {
                ike::crypto::KeyKind::Rsa(bits) => Some(bits),
                ike::crypto::KeyKind::P256 | ike::crypto::KeyKind::P384 | ike::crypto::KeyKind::P521 => None,
            }),
            signature: named(&SIGNATURES, &parsed.signature_algorithm().oid.to_string()),
            usages: usages(says),
            purposes: purposes(says),
            authority: basic.as_ref().is_some_and(|basic| basic.ca),
            path_length: basic.and_then(|basic| basic.path_len_constraint),
            self_issued: says.subject() == says.issuer(),
            dates: Dates::new(validity(says), now),
            sha1: hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, der).as_ref()),
            sha256: hex(digest(&SHA256, der).as_ref()),
        })
    }
}

fn validity(says: &TbsCertificate) -> (u64, u64) {
    let validity = says.validity();
    (
        validity.not_before.to_unix_duration().as_secs(),
        validity.not_after.to_unix_duration().as_secs(),
    )
}

fn names(says: &TbsCertificate) -> Vec<String> {
    match says.get_extension::<SubjectAltName>() {
        Ok(Some((_, names))) => names.0.iter().map(name).collect(),
        Ok(None) => Vec::new(),
        Err(_) => vec!["cannot be read".to_owned()],
    }
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => format!("dns:{}", name.as_str()),
        GeneralName::Rfc822Name(name) => format!("email:{}", name.as_str()),
        GeneralName::UniformResourceIdentifier(name) => format!("uri:{}", name.as_str()),
        GeneralName::DirectoryName(name) => format!("directory:{name}"),
        GeneralName::IpAddress(octets) => {
            let octets = octets.as_bytes();
            let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
            let address = four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
            address.map_or_else(
                |_| format!("ip:{}", hex(octets)),
                |address| format!("ip:{address}"),
            )
        }
        GeneralName::RegisteredId(id) => format!("id:{id}"),
        GeneralName::OtherName(other) => format!("other:{}", other.type_id),
        GeneralName::EdiPartyName(_) => "a party of EDI".to_owned(),
    }
}

fn usages(says: &TbsCertificate) -> Option<Vec<&'static str>> {
    let (_, usage) = says.get_extension::<KeyUsage>().ok()??;
    let set = USAGES.iter().filter(|(one, _)| usage.0.contains(*one));
    Some(set.map(|(_, word)| *word).collect())
}

fn purposes(says: &TbsCertificate) -> Option<Vec<String>> {
    let (_, purposes) = says.get_extension::<ExtendedKeyUsage>().ok()??;
    Some(
        purposes
            .0
            .iter()
            .map(|one| named(&PURPOSES, &one.to_string()))
            .collect(),
    )
}

fn named(names: &[(&str, &str)], number: &str) -> String {
    let known = names.iter().find(|(known, _)| *known == number);
    known.map_or(number, |(_, name)| name).to_owned()
}
