use std::collections::BTreeMap;

use ike::crypto::Certificate;
use schemars::JsonSchema;
use serde::Serialize;

use super::OutageStatus;
use crate::signer::{KeySnapshot, KeySnapshots, KeyState};

/// A private key, by the name of its certificate.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct KeyStatus {
    /// Who has it: `file`, `pkcs11` or `key-vault`.
    provider: &'static str,
    /// `opening`, `ready` or `failed`.
    state: &'static str,
    /// Where it is: in this machine's `memory`, in a `token`, or in a `vault` that does not give it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<&'static str>,
    /// What kind of key it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// Its version, where its provider has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// The subjects of the certificates that its provider has for it, its own first.
    chain: Vec<String>,
    /// How many signatures it made.
    signed: u64,
    /// How often it could not.
    failed: u64,
    /// Why it could not last.
    #[serde(skip_serializing_if = "Option::is_none")]
    outage: Option<OutageStatus>,
}

/// All keys.
pub(crate) fn keys(snapshots: &KeySnapshots) -> BTreeMap<String, KeyStatus> {
    let keys = snapshots.iter();
    keys.map(|(name, key)| (name.0.to_string(), KeyStatus::new(key)))
        .collect()
}

impl KeyStatus {
    /// As the API tells it.
    pub(super) fn new(key: &KeySnapshot) -> Self {
        let (place, kind, version, chain) = match &key.state {
            KeyState::Ready {
                place,
                kind,
                version,
                chain,
            } => (
                Some(place.word()),
                Some(kind.to_string()),
                version.clone(),
                chain.to_vec(),
            ),
            KeyState::Opening | KeyState::Failed => (None, None, None, Vec::new()),
        };
        let subject = |der: &Vec<u8>| Some(Certificate::read(der)?.names().0);
        Self {
            provider: key.provider,
            state: match key.state {
                KeyState::Opening => "opening",
                KeyState::Ready { .. } => "ready",
                KeyState::Failed => "failed",
            },
            place,
            kind,
            version,
            chain: chain.iter().filter_map(subject).collect(),
            signed: key.signed.0,
            failed: key.signed.1,
            outage: key.fault.as_ref().map(OutageStatus::of_signer),
        }
    }
}
