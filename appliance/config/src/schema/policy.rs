use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;
use crate::model::policy::reading::{IKE_LIFETIME_S, IPSEC_LIFETIME_KB, IPSEC_LIFETIME_S};

/// One combination of algorithms, complete or not at all.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    /// Lets `ike` name DES3, DES and a cipher as integrity.
    #[serde(default)]
    pub(super) legacy: bool,
    /// For the IKE SA.
    pub(super) ike: Ike,
    /// For Child SAs.
    pub(super) ipsec: Ipsec,
}

/// For the IKE SA.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ike {
    /// The cipher with its key length.
    #[schemars(schema_with = "limits::ike_encryption")]
    pub(super) encryption: String,
    /// The hash of the authenticator and of the pseudo-random function.
    #[schemars(schema_with = "limits::integrity")]
    pub(super) integrity: String,
    /// The key-exchange group.
    #[schemars(schema_with = "limits::dh_group")]
    pub(super) dh_group: String,
    /// Key exchanges after the first (RFC 9370).
    #[serde(default)]
    #[schemars(schema_with = "limits::additional")]
    pub(super) additional_key_exchanges: Vec<String>,
    /// Fixed, in seconds.
    #[serde(default = "ike_lifetime_s")]
    #[schemars(schema_with = "limits::ike_lifetime_s")]
    pub(super) lifetime_s: u64,
}

/// For Child SAs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ipsec {
    /// The cipher with its key length.
    #[schemars(schema_with = "limits::ipsec_encryption")]
    pub(super) encryption: String,
    /// The hash of the authenticator; the cipher again where that authenticates by itself.
    #[schemars(schema_with = "limits::integrity")]
    pub(super) integrity: String,
    /// The group of the key exchange at each rekey.
    #[serde(default = "no_group")]
    #[schemars(schema_with = "limits::pfs_group")]
    pub(super) pfs_group: String,
    /// Key exchanges after that (RFC 9370).
    #[serde(default)]
    #[schemars(schema_with = "limits::additional")]
    pub(super) additional_key_exchanges: Vec<String>,
    /// In seconds.
    #[serde(default = "ipsec_lifetime_s")]
    #[schemars(schema_with = "limits::ipsec_lifetime_s")]
    pub(super) lifetime_s: u64,
    /// In units of 1,024 bytes, 0 for as much as the cipher bears.
    #[serde(default = "ipsec_lifetime_kb")]
    #[schemars(schema_with = "limits::ipsec_lifetime_kb")]
    pub(super) lifetime_kb: u64,
}

fn no_group() -> String {
    "None".to_owned()
}

fn ike_lifetime_s() -> u64 {
    IKE_LIFETIME_S
}

fn ipsec_lifetime_s() -> u64 {
    IPSEC_LIFETIME_S
}

fn ipsec_lifetime_kb() -> u64 {
    IPSEC_LIFETIME_KB
}
