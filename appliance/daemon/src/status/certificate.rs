use std::collections::BTreeMap;
use std::time::SystemTime;

use appliance_config::ValidConfig;
use appliance_config::model::{Crl, KeyReference};
use ike::KeyName;
use schemars::JsonSchema;
use serde::Serialize;

use super::{KeyStatus, X509Status};
use crate::control::provider_word;
use crate::derive::{Collection, Entry, Source, inventory, vault_reference};
use crate::signer::KeySnapshots;

/// A certificate of ours: what it says, where its key is, and who uses it.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct CertificateStatus {
    /// The name of who has the key.
    provider: String,
    /// `file`, `pkcs11` or `key-vault`.
    provider_kind: &'static str,
    /// What the provider knows the key by.
    reference: String,
    /// How the key does; left out while no enabled connection uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<KeyStatus>,
    /// Who told the certificate: the `document`, or the `provider`.
    source: &'static str,
    /// The certificate, then that of its issuer and so on; empty while nobody has told it.
    chain: Vec<X509Status>,
    /// Where the document names it, as JSON pointers.
    used_by: Vec<String>,
}

/// Whom to believe that a certificate is another's.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TrustEntryStatus {
    /// A root, then what is from it and so on; a second root beside the first is one for a transition.
    chain: Vec<X509Status>,
    /// How many thumbprints are of certificates that are not believed.
    revoked_thumbprints: usize,
    /// What a list of revoked certificates that cannot be had means: `strict` or `relaxed`.
    crl: &'static str,
    /// Where the document names it, as JSON pointers.
    used_by: Vec<String>,
}

/// All certificates of ours.
pub(crate) fn certificates(
    config: &ValidConfig,
    keys: &KeySnapshots,
    now: SystemTime,
) -> BTreeMap<String, CertificateStatus> {
    let entries = inventory(config, keys).into_iter();
    let ours = entries.filter(|entry| entry.collection == Collection::Certificates);
    let told = ours.filter_map(|entry| {
        let certificate = config.certificates.get(&entry.name)?;
        let key = keys.get(&KeyName(entry.name.as_str().into()));
        let status = CertificateStatus {
            provider: certificate.provider_name.to_string(),
            provider_kind: provider_word(&certificate.provider),
            reference: reference(&certificate.key),
            key: key.map(KeyStatus::new),
            source: match entry.source {
                Source::Document => "document",
                Source::Provider => "provider",
            },
            chain: chain(&entry, now),
            used_by: used_by(&entry),
        };
        Some((entry.name.to_string(), status))
    });
    told.collect()
}

/// All that others' certificates may lead to.
pub(crate) fn trust(config: &ValidConfig, now: SystemTime) -> BTreeMap<String, TrustEntryStatus> {
    let entries = inventory(config, &KeySnapshots::new()).into_iter();
    let others = entries.filter(|entry| entry.collection == Collection::Trust);
    let told = others.filter_map(|entry| {
        let trust = config.trust.get(&entry.name)?;
        let status = TrustEntryStatus {
            chain: chain(&entry, now),
            revoked_thumbprints: trust.revoked.len(),
            crl: match trust.crl {
                Crl::Strict => "strict",
                Crl::Relaxed => "relaxed",
            },
            used_by: used_by(&entry),
        };
        Some((entry.name.to_string(), status))
    });
    told.collect()
}

fn chain(entry: &Entry, now: SystemTime) -> Vec<X509Status> {
    let chain = entry.chain.iter();
    chain.filter_map(|der| X509Status::read(der, now)).collect()
}

fn used_by(entry: &Entry) -> Vec<String> {
    entry.users.iter().map(|user| user.path.clone()).collect()
}

fn reference(key: &KeyReference) -> String {
    match key {
        KeyReference::Pkcs11(uri) => uri.clone(),
        KeyReference::File(name) => name.to_string(),
        KeyReference::KeyVault { .. } => vault_reference(key).unwrap_or_default(),
    }
}
