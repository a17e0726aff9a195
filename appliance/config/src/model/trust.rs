use std::collections::BTreeMap;

use super::Name;
use super::list_source::{self, ListSource};
use super::x509::{Order, X509, chain};
use crate::Reason;
use crate::reader::Value;

/// Whom to believe that a certificate is another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// A root, and what it leads to, and so on with other roots; at most five in all.
    pub chain: Vec<X509>,
    /// Certificates that are not to be believed.
    pub revoked: BTreeMap<Name, Thumbprint>,
    /// What a list of revoked certificates that cannot be had means.
    pub crl: Crl,
    /// Where such lists are, besides where certificates say.
    pub lists: Vec<ListSource>,
}

/// The hash of a certificate: SHA-1 or SHA-256 of its DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbprint(Vec<u8>);

/// What a list of revoked certificates that cannot be had means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crl {
    /// No certificate is believed.
    Strict,
    /// Certificates are believed all the same.
    Relaxed,
}

pub(crate) const CRL: &[(&str, Crl)] = &[("strict", Crl::Strict), ("relaxed", Crl::Relaxed)];
/// Octets of SHA-1 and SHA-256.
const LENGTHS: [usize; 2] = [20, 32];

impl Thumbprint {
    /// Its octets, 20 of SHA-1 or 32 of SHA-256.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        let text = value.text()?;
        match octets(text).filter(|octets| LENGTHS.contains(&octets.len())) {
            Some(octets) => Some(Self(octets)),
            None => value.wrong(
                Reason::InvalidThumbprint,
                text,
                "expected SHA-1 or SHA-256 of a certificate, 40 or 64 hexadecimal digits",
            ),
        }
    }
}

/// Hexadecimal digits, colons between octets allowed.
fn octets(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.split(':').collect();
    if digits.len() > 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let starts = (0..digits.len()).step_by(2);
    let octet = |start: usize| u8::from_str_radix(digits.get(start..start + 2)?, 16).ok();
    starts.map(octet).collect()
}

impl Trust {
    /// Whether all that `old` believes is believed by this one.
    pub(super) fn believes_all_that(&self, old: &Self) -> bool {
        let known = old.chain.iter().all(|x509| self.chain.contains(x509));
        let revoked = self
            .revoked
            .values()
            .all(|thumbprint| old.revoked.values().any(|other| other == thumbprint));
        known && revoked && (self.crl == Crl::Relaxed || old.crl == Crl::Strict)
    }

    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let chain = object.required("chain", trusted);
        let revoked = object.collection("revoked_thumbprints", Thumbprint::read);
        let crl = object.optional("crl", Crl::Relaxed, |value| value.word(CRL, &[]));
        let lists = object.optional("crl_sources", Vec::new(), list_source::sources);
        Some(Self {
            chain: chain?,
            revoked: revoked.all()?,
            crl: crl?,
            lists: lists?,
        })
    }
}

/// Chains that each begin with their root.
fn trusted(value: &Value<'_>) -> Option<Vec<X509>> {
    let chain = chain(value, Order::RootFirst)?;
    match chain.first() {
        None => {
            value.problem(Reason::OutOfRange, "is empty; a root certificate is needed");
            None
        }
        Some(first) if !first.is_root() => {
            let detail = format!(
                "{} is no root: write the root first, then what is from it",
                first.name()
            );
            value.element_problem(0, Reason::RootMissing, &detail);
            None
        }
        Some(_) => Some(chain),
    }
}
