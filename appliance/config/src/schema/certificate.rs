use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits;

/// A certificate of ours.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Certificate {
    /// Its private key, which is never in the document.
    key: Key,
    /// The certificate, then that of its issuer and so on; required with a provider of kind file.
    #[serde(default)]
    #[schemars(schema_with = "limits::chain")]
    chain: Vec<String>,
    /// What it has to be: anything that IKE takes, or what Azure VPN Gateway asks of its own.
    #[serde(default = "general")]
    #[schemars(schema_with = "limits::certificate_profile")]
    profile: String,
}

/// A private key.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Key {
    /// The name of who holds it.
    #[schemars(schema_with = "limits::name")]
    provider: String,
    /// What the provider knows it by: the identifier of a certificate in Key Vault, a pkcs11: URI, the name of a file.
    reference: String,
}

/// Whom to believe that a certificate is another's.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Trust {
    /// A root, then what is from it and so on, then perhaps another root: base64 of the DER, or PEM.
    #[schemars(schema_with = "limits::trusted_chain")]
    chain: Vec<String>,
    /// SHA-1 or SHA-256 of certificates that are not to be believed, by name.
    #[serde(default)]
    #[schemars(schema_with = "limits::items::<String>")]
    revoked_thumbprints: BTreeMap<String, String>,
    /// What a list of revoked certificates that cannot be had means.
    #[serde(default = "relaxed")]
    #[schemars(schema_with = "limits::crl")]
    crl: String,
    /// Where such lists are, besides where certificates say: `http:` addresses, `file:` and a path.
    #[serde(default)]
    #[schemars(schema_with = "limits::list_sources")]
    crl_sources: Vec<String>,
}

/// Who holds private keys and signs with them.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyProvider {
    /// What it is.
    #[schemars(schema_with = "limits::provider_kind")]
    kind: String,
    /// With `key-vault` only: as whom it is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<ManagedIdentity>,
    /// With `pkcs11` only: the path of the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    module: Option<String>,
    /// With `pkcs11` only: the name of the secret that is the PIN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "limits::name")]
    pin: Option<String>,
}

/// Who this machine is in Azure.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ManagedIdentity {
    /// That of the machine, or one that it was given.
    #[schemars(schema_with = "limits::managed")]
    managed: String,
    /// With `user-assigned` only: its client id, a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
}

fn general() -> String {
    "general".to_owned()
}

fn relaxed() -> String {
    "relaxed".to_owned()
}
