use std::collections::BTreeMap;

use appliance_config::ValidConfig;
use appliance_config::model::{Certificate, KeyProvider, KeyReference};
use ike::{KeyName, SharedSecret};

use crate::secrets::{Secrets, opens};
use crate::signer::KeySpec;

/// The private keys of all certificates that enabled connections have, but for those whose secret could not be had.
pub(super) fn keys(config: &ValidConfig, secrets: &Secrets) -> BTreeMap<KeyName, KeySpec> {
    let enabled = config
        .connections
        .values()
        .filter(|connection| connection.enabled);
    let certificates = enabled.flat_map(|connection| connection.authentication.certificates());
    let used = certificates.filter_map(|(name, certificate)| {
        let secret = match opens(certificate) {
            Some(name) => Some(SharedSecret(secrets.value(name)?.clone())),
            None => None,
        };
        Some((KeyName(name.as_str().into()), key_spec(certificate, secret)?))
    });
    used.collect()
}

/// Where the key of a certificate is; `secret` is that which it is, or which opens it.
pub(crate) fn key_spec(certificate: &Certificate, secret: Option<SharedSecret>) -> Option<KeySpec> {
    match (&certificate.key, &certificate.provider) {
        (KeyReference::File(_), _) => secret.map(KeySpec::File),
        (KeyReference::Pkcs11(uri), KeyProvider::Pkcs11 { module, .. }) => Some(KeySpec::Token {
            uri: format!("{uri}?module-path={module}"),
            pin: secret,
        }),
        (reference @ KeyReference::KeyVault { .. }, KeyProvider::KeyVault { identity }) => {
            Some(KeySpec::Vault {
                reference: vault_reference(reference)?,
                client_id: identity.client_id().map(str::to_owned),
            })
        }
        // The document has no key of one kind at a provider of another.
        (KeyReference::Pkcs11(_) | KeyReference::KeyVault { .. }, _) => None,
    }
}

/// The identifier of a certificate in a vault; `None` for what is elsewhere.
pub(crate) fn vault_reference(key: &KeyReference) -> Option<String> {
    match key {
        KeyReference::KeyVault { vault, name, version } => {
            let version = version.iter().map(|version| format!("/{version}"));
            let version: String = version.collect();
            Some(format!("https://{vault}/certificates/{name}{version}"))
        }
        KeyReference::Pkcs11(_) | KeyReference::File(_) => None,
    }
}
