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
        let parsed = if text.contains("PRIVATE KEY") {
            let detail =
                "is a private key, which does not belong here and is to be replaced: documents are kept";
            Err((Reason::PrivateKeyInDocument, detail))
        } else {
            let detail = "expected one certificate: base64 of its DER, or PEM";
            parse(text).ok_or((Reason::InvalidCertificate, detail))
        };
        parsed
            .map_err(|(reason, detail)| value.problem(reason, detail))
            .ok()
    }
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
    let der = Base64::decode_vec(&digits).ok()?;
    let certificate = Certificate::from_der(&der).ok()?;
    let (subject, issuer) = (
        certificate.tbs_certificate().subject(),
        certificate.tbs_certificate().issuer(),
    );
    Some(X509 {
        subject: subject.to_der().ok()?,
        issuer: issuer.to_der().ok()?,
        name: subject.to_string(),
        der,
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
