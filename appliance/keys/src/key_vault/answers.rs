//! What a key vault answers (its REST interface, version 7.4), and what it says when it will not.

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::reference::VaultReference;
use crate::error::KeyError;
use crate::http::{Answer, NoAnswer};
use crate::managed_identity::printable;

/// A certificate, as it is answered.
#[derive(Deserialize)]
struct CertificateAnswer {
    id: String,
    kid: String,
    sid: Option<String>,
    cer: String,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    policy: Policy,
}

#[derive(Default, Deserialize)]
struct Attributes {
    enabled: Option<bool>,
}

#[derive(Default, Deserialize)]
struct Policy {
    #[serde(default)]
    key_props: KeyProperties,
}

#[derive(Default, Deserialize)]
struct KeyProperties {
    exportable: Option<bool>,
}

/// A certificate of a vault.
pub(super) struct Certificate {
    pub(super) version: String,
    pub(super) der: Vec<u8>,
    /// Where its key signs.
    pub(super) key: String,
    /// Where it stands as a secret, with the certificates above it and, if it may leave, its key.
    pub(super) secret: Option<String>,
    pub(super) is_exportable: bool,
}

#[derive(Deserialize)]
struct SecretAnswer {
    value: SecretString,
    #[serde(rename = "contentType")]
    content_type: Option<String>,
}

#[derive(Serialize)]
struct SignQuestion<'a> {
    alg: &'a str,
    value: String,
}

#[derive(Deserialize)]
struct SignAnswer {
    value: String,
}

/// Reads a certificate, whose items must be of the same vault.
pub(super) fn certificate(answer: &Answer, reference: &VaultReference) -> Result<Certificate, KeyError> {
    let invalid = |what: &str| KeyError::VaultAnswerInvalid(format!("{reference}: {what}"));
    let read: Option<CertificateAnswer> = answer.json();
    let read = read.ok_or_else(|| invalid("is answered by what is no certificate"))?;
    if read.attributes.enabled == Some(false) {
        return Err(KeyError::VaultRefused(format!("{reference} is disabled")));
    }
    let (_, version) = reference
        .item(&read.id, "certificates")
        .ok_or_else(|| invalid("has an id that is not of its vault"))?;
    let (key, _) = reference
        .item(&read.kid, "keys")
        .ok_or_else(|| invalid("has a kid that is not of its vault"))?;
    let secret = read.sid.as_deref().and_then(|sid| reference.item(sid, "secrets"));
    Ok(Certificate {
        version: version.to_owned(),
        der: Base64::decode_vec(&read.cer).map_err(|_| invalid("has a cer that is not base 64"))?,
        key,
        secret: secret.map(|(path, _)| path),
        is_exportable: read.policy.key_props.exportable == Some(true),
    })
}

/// The octets of a secret: PKCS#12 or PEM.
pub(super) fn secret(answer: &Answer, reference: &VaultReference) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let invalid = |what: &str| KeyError::VaultAnswerInvalid(format!("the secret of {reference} {what}"));
    let read: Option<SecretAnswer> = answer.json();
    let read = read.ok_or_else(|| invalid("is answered by what is no secret"))?;
    let value = read.value.expose_secret();
    match read.content_type.as_deref() {
        Some("application/x-pkcs12") => {
            let octets = Base64::decode_vec(value).map_err(|_| invalid("is not base 64"))?;
            Ok(Zeroizing::new(octets))
        }
        Some("application/x-pem-file") => Ok(Zeroizing::new(value.as_bytes().to_vec())),
        _ => Err(invalid(
            "is neither application/x-pkcs12 nor application/x-pem-file",
        )),
    }
}

/// What asks for a signature of a hash.
pub(super) fn to_sign(algorithm: &str, digest: &[u8]) -> String {
    let question = SignQuestion {
        alg: algorithm,
        value: Base64UrlUnpadded::encode_string(digest),
    };
    // Two texts always make JSON; were it not so, the vault would refuse what is empty.
    serde_json::to_string(&question).unwrap_or_default()
}

/// A signature.
pub(super) fn signature(answer: &Answer, reference: &VaultReference) -> Result<Vec<u8>, KeyError> {
    let read: Option<SignAnswer> = answer.json();
    let octets = read.and_then(|read| Base64UrlUnpadded::decode_vec(&read.value).ok());
    octets.ok_or_else(|| KeyError::VaultAnswerInvalid(format!("{reference}: is answered by no signature")))
}

/// How a vault says no; only its words are taken over, which have no secrets in them.
#[derive(Deserialize)]
struct Refusal {
    error: Word,
}

#[derive(Deserialize)]
struct Word {
    #[serde(default)]
    code: String,
    innererror: Option<Box<Word>>,
}

/// What it means that a vault did not answer 200.
pub(super) fn refusal(answer: &Answer, whose: &str) -> KeyError {
    let words = answer.json().map(|refusal: Refusal| refusal.error).map(|word| {
        let inner = word.innererror.map(|inner| inner.code).unwrap_or_default();
        format!(" {} {}", printable(&word.code), printable(&inner))
    });
    let said = format!(
        "{whose} answers {}{}",
        answer.status,
        words.as_deref().unwrap_or_default().trim_end()
    );
    match answer.status {
        404 => KeyError::KeyMissing(said),
        429 => KeyError::VaultThrottled(said),
        408 | 500..=599 => KeyError::VaultUnreachable(said),
        400..=499 => KeyError::VaultRefused(said),
        _ => KeyError::VaultAnswerInvalid(said),
    }
}

/// What it means that a vault did not answer at all.
pub(super) fn silence(no: NoAnswer, whose: &str) -> KeyError {
    match no {
        NoAnswer::Unresolved(why) => KeyError::NameUnresolved(format!("{whose}: {why}")),
        NoAnswer::Unreachable(why) => KeyError::VaultUnreachable(format!("{whose}: {why}")),
        NoAnswer::Malformed(why) => KeyError::VaultAnswerInvalid(format!("{whose}: {why}")),
    }
}

/// For whom a vault wants tokens to be, by what it answers to one that it does not take:
/// `Bearer authorization="…", resource="https://vault.azure.net"`.
pub(super) fn wanted_audience(answer: &Answer) -> Option<String> {
    let challenge = answer.challenge.as_deref()?.strip_prefix("Bearer ")?;
    let wanted = challenge.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        (name.trim() == "resource").then(|| printable(value.trim().trim_matches('"')))
    });
    wanted.filter(|wanted| !wanted.is_empty())
}
