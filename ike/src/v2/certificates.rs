//! Proofs by certificate: CERT and CERTREQ (RFC 7296 §3.6, §3.7), AUTH by a signature (§2.15, RFC 4754, RFC 7427).

use std::time::Instant;

use super::extensions::Hashes;
use super::proof::Claim;
use crate::beliefs::Beliefs;
use crate::certificates;
use crate::crypto::{Certificate, Hash, KeyKind, SignatureScheme, signature};
use crate::wire::registry::authentication;
use crate::wire::{AuthPayload, Payload};
use crate::{
    CertificateReason, Connection, Outage, OwnCertificate, PeerCertificate, Reason, RemoteProof, Side,
    Signatures, Stage,
};

/// A proof of ours that is to be signed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unsigned {
    method: u8,
    pub(crate) scheme: SignatureScheme,
    kind: KeyKind,
    /// How many signatures it takes.
    count: usize,
}

impl Unsigned {
    /// How we sign so many messages: by method 14 if the peer has a hash for it, else by what comes with the key.
    pub(crate) fn choose(own: &OwnCertificate, hashes: Hashes, count: usize) -> Result<Self, Outage> {
        let kind = certificates::own(own, Stage::IkeAuth)?.kind();
        let digital = hashes.common().filter(|_| own.signatures.digital);
        let (method, scheme) = match (kind, digital) {
            (KeyKind::Rsa(_), Some(hash)) if own.signatures.pss => {
                (authentication::DIGITAL_SIGNATURE, SignatureScheme::RsaPss(hash))
            }
            (KeyKind::Rsa(_), Some(hash)) => {
                (authentication::DIGITAL_SIGNATURE, SignatureScheme::RsaPkcs1(hash))
            }
            (KeyKind::Rsa(_), None) => {
                let hash = own.signatures.rsa.first().copied().unwrap_or(Hash::Sha1);
                (authentication::RSA_SIGNATURE, SignatureScheme::RsaPkcs1(hash))
            }
            (KeyKind::P256 | KeyKind::P384 | KeyKind::P521, Some(first)) => {
                let fitting = kind.hash_of_curve().filter(|hash| hashes.has(*hash));
                let scheme = SignatureScheme::Ecdsa(fitting.unwrap_or(first));
                (authentication::DIGITAL_SIGNATURE, scheme)
            }
            (KeyKind::P256, None) => (authentication::ECDSA_256, SignatureScheme::Ecdsa(Hash::Sha256)),
            (KeyKind::P384, None) => (authentication::ECDSA_384, SignatureScheme::Ecdsa(Hash::Sha384)),
            (KeyKind::P521, None) => (authentication::ECDSA_521, SignatureScheme::Ecdsa(Hash::Sha512)),
        };
        Ok(Self {
            method,
            scheme,
            kind,
            count,
        })
    }

    /// The AUTH payloads with these signatures; `None` if they are not what was asked for.
    pub(crate) fn signed(self, signatures: Vec<Vec<u8>>) -> Option<Vec<AuthPayload>> {
        let payload = |signature: Vec<u8>| {
            let ecdsa = matches!(self.scheme, SignatureScheme::Ecdsa(_));
            let as_der = ecdsa.then(|| signature::ecdsa_of(self.kind, &signature));
            let data = match (self.method, as_der) {
                (_, Some(None)) => return None,
                (authentication::DIGITAL_SIGNATURE, der) => {
                    let named = self.scheme.identifier()?;
                    let length = u8::try_from(named.len()).ok()?;
                    [&[length], named.as_slice(), &der.flatten().unwrap_or(signature)].concat()
                }
                _ => signature,
            };
            let method = self.method;
            Some(AuthPayload { method, data })
        };
        let all = signatures.len() == self.count;
        all.then(|| signatures.into_iter().map(payload).collect())
            .flatten()
    }
}

/// Whether the peer has a certificate that is believed and names it, and signed this with its key.
pub(crate) fn judge(
    claim: Claim<'_>,
    expected: &PeerCertificate,
    signed: &[u8],
    (beliefs, now): (&Beliefs, Instant),
) -> Result<(), Outage> {
    let refused = |reason, offered: String, expected: String| Outage {
        offered,
        expected,
        ..Outage::plain(reason, Side::We, Stage::IkeAuth)
    };
    let proof = claim.proof;
    let methods = methods(&expected.signatures);
    let not_allowed = || {
        let offered = method_words(proof.method);
        refused(
            Reason::Certificate(CertificateReason::SignatureRefused),
            offered,
            methods.clone(),
        )
    };
    if !is_signature(proof.method) {
        return Err(not_allowed());
    }
    let sent = sent(claim.payloads);
    let certificate = beliefs.believe(
        (&sent, claim.said.identity),
        &expected.trust,
        (now, Stage::IkeAuth),
    )?;
    let read = signatures(proof, &certificate, &expected.signatures).ok_or_else(not_allowed)?;
    let key = (certificate.kind(), certificate.public_key());
    let good = read
        .iter()
        .any(|(scheme, signature)| scheme.verifies(key, signed, signature));
    good.then_some(()).ok_or_else(|| {
        let offered = format!("a signature by {} that is wrong", method_words(proof.method));
        let by = format!(
            "a signature by the key of {}, {}",
            certificate.names().0,
            certificate.kind()
        );
        refused(Reason::AuthenticationFailed, offered, by)
    })
}

fn is_signature(method: u8) -> bool {
    matches!(
        method,
        authentication::RSA_SIGNATURE
            | authentication::ECDSA_256
            | authentication::ECDSA_384
            | authentication::ECDSA_521
            | authentication::DIGITAL_SIGNATURE
    )
}

/// What an AUTH payload may be signed by, and its signature; `None` if that is not allowed.
fn signatures(
    proof: &AuthPayload,
    certificate: &Certificate,
    allowed: &Signatures,
) -> Option<Vec<(SignatureScheme, Vec<u8>)>> {
    let of_curve = |kind: KeyKind| {
        let scheme = kind.hash_of_curve().map(SignatureScheme::Ecdsa)?;
        let der = signature::ecdsa_of(kind, &proof.data).unwrap_or_default();
        (certificate.kind() == kind).then(|| vec![(scheme, der)])
    };
    match proof.method {
        authentication::RSA_SIGNATURE => {
            let hashes = allowed.rsa.iter();
            let all = hashes.map(|hash| (SignatureScheme::RsaPkcs1(*hash), proof.data.clone()));
            Some(all.collect::<Vec<_>>()).filter(|all| !all.is_empty())
        }
        authentication::ECDSA_256 => of_curve(KeyKind::P256),
        authentication::ECDSA_384 => of_curve(KeyKind::P384),
        authentication::ECDSA_521 => of_curve(KeyKind::P521),
        authentication::DIGITAL_SIGNATURE if allowed.digital => {
            let (length, rest) = proof.data.split_first()?;
            let (named, signature) = rest.split_at_checked(usize::from(*length))?;
            let scheme = SignatureScheme::named(named).filter(|scheme| scheme.hash() != Some(Hash::Sha1))?;
            Some(vec![(scheme, signature.to_vec())])
        }
        _ => None,
    }
}

/// The certificates of a message, in their order.
pub(crate) fn sent(payloads: &[Payload]) -> Vec<&[u8]> {
    certificates::sent(payloads.iter().filter_map(|payload| {
        if let Payload::Certificate(found) = payload {
            Some(found)
        } else {
            None
        }
    }))
}

/// The certificates of a message by which its sender is believed, to be kept.
pub(crate) fn shown(payloads: &[Payload], settings: &Connection) -> Vec<Vec<u8>> {
    match &settings.authentication.remote {
        RemoteProof::Certificate(_) => sent(payloads).into_iter().map(<[u8]>::to_vec).collect(),
        RemoteProof::PreSharedKey(_) => Vec::new(),
    }
}

/// Our certificate and what leads from it to its root, if that is how we prove who we are.
pub(crate) fn ours(settings: &Connection) -> Vec<Payload> {
    let payloads = certificates::ours(settings).into_iter();
    payloads.map(Payload::Certificate).collect()
}

/// Which roots the certificates of the peers of these connections are to lead to, if any of them is to have one.
pub(crate) fn request<'a>(all: impl Iterator<Item = &'a Connection>) -> Option<Payload> {
    let hashes = certificates::roots(all, Certificate::key_hash)?;
    let hashes = hashes.into_iter().flatten().collect();
    Some(Payload::CertificateRequest(certificates::x509(hashes)))
}

/// A method of authentication, in words.
pub(crate) fn method_words(method: u8) -> String {
    let known = match method {
        authentication::RSA_SIGNATURE => "RSA signature",
        authentication::SHARED_KEY => "pre-shared key",
        authentication::ECDSA_256 => "ECDSA P-256",
        authentication::ECDSA_384 => "ECDSA P-384",
        authentication::ECDSA_521 => "ECDSA P-521",
        authentication::NULL => "NULL",
        authentication::DIGITAL_SIGNATURE => "digital signature",
        _ => "unknown",
    };
    format!("{known} (method {method})")
}

/// How a peer may sign, in words.
fn methods(allowed: &Signatures) -> String {
    let rsa = allowed.rsa.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rsa = (!rsa.is_empty()).then(|| format!("RSA signature (method 1) with {}", rsa.join(", ")));
    let ecdsa = Some("ECDSA (methods 9 to 11)".to_owned());
    let digital = allowed
        .digital
        .then(|| "digital signature (method 14)".to_owned());
    rsa.into_iter()
        .chain(ecdsa)
        .chain(digital)
        .collect::<Vec<_>>()
        .join(", ")
}
