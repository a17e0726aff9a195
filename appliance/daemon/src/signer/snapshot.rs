use std::collections::BTreeMap;
use std::sync::Arc;

use appliance_keys::{KeyKind, Place};
use ike::{KeyName, SignerFault};

/// The certificates that providers have for keys of theirs, in DER, that of the key first.
pub(crate) type Chains = BTreeMap<KeyName, Vec<Vec<u8>>>;

/// All keys, by the names of their certificates.
pub(crate) type KeySnapshots = BTreeMap<KeyName, KeySnapshot>;

/// How a private key does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySnapshot {
    /// Who has it.
    pub(crate) provider: &'static str,
    /// Whether it can sign.
    pub(crate) state: KeyState,
    /// How many signatures it made, and how often it could not.
    pub(crate) signed: (u64, u64),
    /// Why it could not sign last.
    pub(crate) fault: Option<SignerFault>,
}

/// Whether a key can sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyState {
    /// It is being opened.
    Opening,
    /// It can.
    Ready {
        /// Where it is.
        place: Place,
        /// What kind of key it is.
        kind: KeyKind,
        /// Its version, where its provider has several.
        version: Option<String>,
        /// The certificates that its provider has for it.
        chain: Arc<Vec<Vec<u8>>>,
    },
    /// It cannot, and is tried again.
    Failed,
}
