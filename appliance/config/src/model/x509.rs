use std::fmt;

use base64ct::{Base64, Encoding};
use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Decode, Encode, Reader, SliceReader};
use x509_cert::ext::pkix::ExtendedKeyUsage;

use crate::Reason;
use crate::reader::Value;

/// A certificate (RFC 5280) as far as it can be read; nobody has looked at its signature or its time.
#[derive(Clone, PartialEq, Eq)]
pub struct X509 {
    der: Vec<u8>,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    name: String,
}

impl fmt::Debug for X509 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X509({})", self.name)
    }
}

/// The most certificates of one chain.
pub(crate) const MOST: usize = 5;
/// The kind of an RSA key.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The smallest RSA key that anybody should take, in bits.
pub(super) const RSA_BITS: usize = 2048;
/// The longest text of one certificate.
pub(crate) const LONGEST: usize = 16 << 10;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl X509 {
    /// One in DER; `None` if it is none.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let certificate = Certificate::from_der(der).ok()?;
        let tbs = certificate.tbs_certificate();
        Some(Self {
            subject: tbs.subject().to_der().ok()?,
            issuer: tbs.issuer().to_der().ok()?,
            name: tbs.subject().to_string(),
            der: der.to_vec(),
        })
    }

    /// Its DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// It names itself as its issuer, so it is a root.
    pub fn is_root(&self) -> bool {
        self.subject == self.issuer
    }

    /// It names `issuer` as its own.
    pub(super) fn is_from(&self, issuer: &Self) -> bool {
        self.issuer == issuer.subject
    }

    /// Its subject, for a human.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The bits of its key, if that is RSA (RFC 3279 §2.3.1).
    pub(super) fn rsa_bits(&self) -> Option<usize> {
        let certificate = Certificate::from_der(&self.der).ok()?;
        let info = certificate.tbs_certificate().subject_public_key_info();
        if info.algorithm.oid != RSA_ENCRYPTION {
            return None;
        }
        let mut reader = SliceReader::new(info.subject_public_key.as_bytes()?).ok()?;
        let modulus = reader.sequence(|inner| {
            let modulus = UintRef::decode(inner)?;
            inner.drain(inner.remaining_len())?;
            Ok::<_, x509_cert::der::Error>(modulus)
        });
        let modulus = modulus.ok()?.as_bytes();
        let unused = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
        (modulus.len() * 8).checked_sub(unused)
    }

    /// Whether it says what it is for (RFC 5280 §4.2.1.12), and this is all among it.
    pub(super) fn is_for(&self, purposes: &[ObjectIdentifier]) -> bool {
        let usage = Certificate::from_der(&self.der).ok().and_then(|certificate| {
            let (_, usage) = certificate
                .tbs_certificate()
                .get_extension::<ExtendedKeyUsage>()
                .ok()??;
            Some(usage)
        });
        usage.is_some_and(|usage| purposes.iter().all(|purpose| usage.0.contains(purpose)))
    }

    /// Base64 of its DER, in one line or as PEM. What is written is never repeated: it may be a key in the wrong place.
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        let parsed = Self::parse(text).map_err(|reason| match reason {
            Reason::PrivateKeyInDocument => {
                let detail =
                    "is a private key, which does not belong here and is to be replaced: documents are kept";
                value.problem(reason, detail);
            }
            other => value.problem(other, "expected one certificate: base64 of its DER, or PEM"),
        });
        parsed.ok()
    }

    /// Base64 of its DER, in one line or as PEM.
    ///
    /// # Errors
    /// [`Reason::PrivateKeyInDocument`] for a private key, [`Reason::InvalidCertificate`] for all else that is none.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        if text.contains("PRIVATE KEY") {
            return Err(Reason::PrivateKeyInDocument);
        }
        parse(text).ok_or(Reason::InvalidCertificate)
    }

    /// The longest text of one, in octets.
    pub const LONGEST: usize = LONGEST;
    /// The most of one chain.
    pub const MOST: usize = MOST;
}

fn parse(text: &str) -> Option<X509> {
    if text.len() > LONGEST {
        return None;
    }
    let text = text.trim();
    let inside = match text.strip_prefix(BEGIN) {
        Some(rest) => rest.strip_suffix(END)?,
        None => text,
    };
    let digits: String = inside
        .chars()
        .filter(|character| !character.is_ascii_whitespace())
        .collect();
    X509::from_der(&Base64::decode_vec(&digits).ok()?)
}

/// At most five certificates, none twice, of which each is from the one `order` says.
pub(super) fn chain(value: &Value<'_>, order: Order) -> Option<Vec<X509>> {
    let chain = value.list(X509::read)?;
    if chain.len() > MOST {
        let detail = format!("{} certificates; there can be {MOST}", chain.len());
        value.problem(Reason::OutOfRange, detail);
        return None;
    }
    for (index, pair) in chain.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        if chain.iter().take(index + 1).any(|before| before == second) {
            value.element_problem(index + 1, Reason::DuplicateCertificate, "is there already");
            return None;
        }
        let (issuer, issued) = match order {
            Order::RootFirst => (first, second),
            Order::LeafFirst => (second, first),
        };
        // While roots change, what is believed goes back to the old one or to the new one.
        let begins = matches!(order, Order::RootFirst) && second.is_root();
        if !begins && !issued.is_from(issuer) {
            let detail = format!("{} is not from {}", issued.name(), issuer.name());
            value.element_problem(index + 1, Reason::ChainBroken, &detail);
            return None;
        }
    }
    Some(chain)
}

/// In which order a chain is written.
#[derive(Clone, Copy)]
pub(super) enum Order {
    RootFirst,
    LeafFirst,
}
