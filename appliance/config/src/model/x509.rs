use std::fmt;

use base64ct::{Base64, Encoding};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

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
/// The longest text of one certificate.
pub(crate) const LONGEST: usize = 16 << 10;
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl X509 {
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

    /// One in DER; `None` if it is none.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        of_der(der)
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

fn of_der(der: &[u8]) -> Option<X509> {
    let certificate = Certificate::from_der(der).ok()?;
    let (subject, issuer) = (
        certificate.tbs_certificate().subject(),
        certificate.tbs_certificate().issuer(),
    );
    Some(X509 {
        subject: subject.to_der().ok()?,
        issuer: issuer.to_der().ok()?,
        name: subject.to_string(),
        der: der.to_vec(),
    })
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
        if !issued.is_from(issuer) {
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
