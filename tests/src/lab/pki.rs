//! Certificates for scenarios: roots, intermediates and leaves, also such as nobody should accept, and lists of what was
//! revoked.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationList,
    CertificateRevocationListParams, CrlDistributionPoint, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    RevocationReason, RevokedCertParams, RsaKeySize, SanType, SerialNumber, SignatureAlgorithm,
};
pub use rcgen::{CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, NameConstraints};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Every certificate has a number of its own, whoever issues it.
static ISSUED: AtomicU64 = AtomicU64::new(1);

/// What kind of key a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// RSA with 2,048 bits, which signs with SHA-256.
    Rsa2048,
    /// ECDSA on P-256, which signs with SHA-256.
    P256,
    /// ECDSA on P-384, which signs with SHA-384.
    P384,
}

/// A name beside the subject.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// Of a host.
    Dns(&'static str),
    /// An address.
    Ip(IpAddr),
    /// Of a mailbox.
    Email(&'static str),
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The subject, in this order, each kind at most once.
    pub subject: Vec<(DnType, &'static str)>,
    /// Names beside it.
    pub names: Vec<Name>,
    /// What it may be used for; without any it says nothing of that.
    pub purposes: Vec<ExtendedKeyUsagePurpose>,
    /// From and until so many days from now.
    pub days: [i32; 2],
    /// Its key.
    pub key: Key,
    /// It may issue others, with so many intermediates below it at most.
    pub authority: Option<u8>,
    /// Which names may stand below it.
    pub constraints: Option<NameConstraints>,
    /// Where a list says whether it is revoked.
    pub list: Option<String>,
}

/// A certificate with its key and the certificates above it.
#[derive(Clone, Debug)]
pub struct Issued {
    params: CertificateParams,
    certificate: Certificate,
    key: Arc<KeyPair>,
    above: Vec<Certificate>,
}

/// What an issuer has revoked.
#[derive(Clone, Debug)]
pub struct Revocations(CertificateRevocationList);

impl Wanted {
    /// Of a gateway, with both purposes that Azure asks of an outbound certificate.
    pub fn leaf(common_name: &'static str) -> Self {
        Self {
            subject: vec![(DnType::CommonName, common_name)],
            names: Vec::new(),
            purposes: vec![
                ExtendedKeyUsagePurpose::ClientAuth,
                ExtendedKeyUsagePurpose::ServerAuth,
            ],
            days: [-1, 30],
            key: Key::Rsa2048,
            authority: None,
            constraints: None,
            list: None,
        }
    }

    /// Of an issuer, with so many intermediates below it at most.
    pub fn authority(common_name: &'static str, below: u8) -> Self {
        Self {
            purposes: Vec::new(),
            days: [-1, 365],
            authority: Some(below),
            ..Self::leaf(common_name)
        }
    }

    /// The same, valid until yesterday.
    #[must_use]
    pub fn expired(mut self) -> Self {
        self.days = [-30, -1];
        self
    }

    /// The same, valid from tomorrow on.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.days = [1, 30];
        self
    }

    fn params(&self) -> Result<CertificateParams> {
        let mut params = CertificateParams::default();
        let number = ISSUED.fetch_add(1, Ordering::Relaxed);
        params.serial_number = Some(SerialNumber::from_slice(&number.to_be_bytes()));
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in &self.subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let [from, until] = self.days;
        (params.not_before, params.not_after) = (day(from)?.into(), day(until)?.into());
        params.extended_key_usages.clone_from(&self.purposes);
        params.name_constraints.clone_from(&self.constraints);
        let points = self.list.iter().map(|address| CrlDistributionPoint {
            uris: vec![address.clone()],
        });
        params.crl_distribution_points = points.collect();
        params.use_authority_key_identifier_extension = true;
        for name in &self.names {
            params.subject_alt_names.push(match *name {
                Name::Dns(name) => SanType::DnsName(name.try_into()?),
                Name::Ip(address) => SanType::IpAddress(address),
                Name::Email(name) => SanType::Rfc822Name(name.try_into()?),
            });
        }
        (params.is_ca, params.key_usages) = match self.authority {
            Some(below) => (
                IsCa::Ca(BasicConstraints::Constrained(below)),
                vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign],
            ),
            None => (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature]),
        };
        Ok(params)
    }
}

/// Octets of a point on P-256, which a SubjectPublicKeyInfo ends with.
const POINT: usize = 65;

/// A point on P-256 whose private key is not here.
struct Elsewhere<'k>(&'k [u8]);

impl PublicKeyData for Elsewhere<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Issued {
    /// One that is signed by its own key.
    ///
    /// # Errors
    /// When no such certificate can be made.
    pub fn root(wanted: &Wanted) -> Result<Self> {
        let (params, key) = (wanted.params()?, wanted.key.generate()?);
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            params,
            certificate,
            key: Arc::new(key),
            above: Vec::new(),
        })
    }

    /// A certificate in PEM of a key on P-256 that is somewhere else; its public half is a SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// When no such certificate can be made.
    pub fn certify(&self, wanted: &Wanted, public_key: &[u8]) -> Result<String> {
        let start = public_key.len().checked_sub(POINT).context("no point on P-256")?;
        let elsewhere = Elsewhere(public_key.get(start..).unwrap_or_default());
        Ok(wanted.params()?.signed_by(&elsewhere, &self.issuer())?.pem())
    }

    /// One that this one signs, whether it may or not.
    ///
    /// # Errors
    /// When no such certificate can be made.
    pub fn issue(&self, wanted: &Wanted) -> Result<Self> {
        let (params, key) = (wanted.params()?, wanted.key.generate()?);
        let certificate = params.signed_by(&key, &self.issuer())?;
        let mut above = vec![self.certificate.clone()];
        above.extend_from_slice(&self.above);
        Ok(Self {
            params,
            certificate,
            key: Arc::new(key),
            above,
        })
    }

    /// Those of its certificates that are worth nothing any more, in a list of today that is good for a week.
    ///
    /// # Errors
    /// When it is no authority.
    pub fn revoke(&self, revoked: &[&Self]) -> Result<Revocations> {
        let today = day(0)?;
        let revoked = revoked.iter().map(|issued| RevokedCertParams {
            serial_number: issued
                .params
                .serial_number
                .clone()
                .unwrap_or_else(|| Vec::new().into()),
            revocation_time: today.into(),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: today.into(),
            next_update: day(7)?.into(),
            crl_number: SerialNumber::from(ISSUED.fetch_add(1, Ordering::Relaxed).to_be_bytes().to_vec()),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(Revocations(params.signed_by(&self.issuer())?))
    }

    /// The same without the certificates above it, as of somebody who forgot them.
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.above.clear();
        self
    }

    /// The certificate.
    pub fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// The certificate as text.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its private key (PKCS#8) as text.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The same in DER.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// Those above it, its issuer first and the root last.
    pub fn above(&self) -> &[Certificate] {
        &self.above
    }

    /// The last of those above it.
    pub fn root_der(&self) -> &[u8] {
        self.above.last().map_or(&[], |root| root.der().as_ref())
    }

    /// Its subject in words that strongSwan reads, in the order of the certificate.
    pub fn subject(&self) -> String {
        let parts = self.params.distinguished_name.iter();
        let parts: Vec<_> = parts
            .map(|(kind, value)| format!("{}={}", word(kind), Shown(value)))
            .collect();
        parts.join(", ")
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }
}

impl Revocations {
    /// The list.
    pub fn der(&self) -> &[u8] {
        self.0.der()
    }

    /// The list as text.
    ///
    /// # Errors
    /// When it cannot be written so.
    pub fn pem(&self) -> Result<String> {
        Ok(self.0.pem()?)
    }
}

impl Key {
    fn generate(self) -> Result<KeyPair> {
        Ok(match self {
            Self::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
            Self::P256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            Self::P384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?,
        })
    }
}

/// The text of a part of a subject.
struct Shown<'v>(&'v rcgen::DnValue);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            rcgen::DnValue::Utf8String(text) => f.write_str(text),
            other => write!(f, "{other:?}"),
        }
    }
}

fn word(kind: &DnType) -> &'static str {
    match kind {
        DnType::CountryName => "C",
        DnType::LocalityName => "L",
        DnType::StateOrProvinceName => "ST",
        DnType::OrganizationName => "O",
        DnType::OrganizationalUnitName => "OU",
        DnType::CommonName => "CN",
        _ => "a kind this lab has no word for",
    }
}

/// So many days from now.
fn day(number: i32) -> Result<SystemTime> {
    let distance = DAY * number.unsigned_abs();
    let now = SystemTime::now();
    let day = if number < 0 {
        now.checked_sub(distance)
    } else {
        now.checked_add(distance)
    };
    day.context("a day that this machine's clock does not know")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_told_from_the_issuer_to_the_root() {
        let root = Issued::root(&Wanted::authority("Root", 1)).unwrap();
        let middle = root.issue(&Wanted::authority("Middle", 0)).unwrap();
        let mut wanted = Wanted::leaf("gateway").expired();
        wanted.subject.push((DnType::OrganizationName, "Lab"));
        wanted.key = Key::P384;
        let leaf = middle.issue(&wanted).unwrap();
        let above: Vec<&[u8]> = leaf
            .above()
            .iter()
            .map(|certificate| certificate.der().as_ref())
            .collect();
        assert_eq!(above, [middle.der(), root.der()]);
        assert_eq!(leaf.subject(), "CN=gateway, O=Lab");
        assert!(leaf.key_pem().starts_with("-----BEGIN PRIVATE KEY-----"));
        assert!(leaf.alone().above().is_empty());
    }

    #[test]
    fn only_an_authority_lists_what_is_revoked() {
        let root = Issued::root(&Wanted::authority("Root", 0)).unwrap();
        let leaf = root.issue(&Wanted::leaf("gateway")).unwrap();
        let list = root.revoke(&[&leaf]).unwrap().pem().unwrap();
        assert!(list.starts_with("-----BEGIN X509 CRL-----"), "{list}");
        assert!(leaf.revoke(&[]).is_err());
    }
}
