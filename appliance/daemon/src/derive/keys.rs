use std::collections::BTreeMap;

use appliance_config::ValidConfig;
use appliance_config::model::{Authentication, Certificate, KeyProvider, KeyReference, ManagedIdentity};
use ike::{KeyName, SharedSecret};

use crate::secrets::{Secrets, opens};
use crate::signer::KeySpec;

/// The private keys of all certificates that enabled connections have, but for those whose secret could not be had.
pub(super) fn keys(config: &ValidConfig, secrets: &Secrets) -> BTreeMap<KeyName, KeySpec> {
    let enabled = config
        .connections
        .values()
        .filter(|connection| connection.enabled);
    let used = enabled.filter_map(|connection| match &connection.authentication {
        Authentication::PreSharedKey { .. } => None,
        Authentication::Certificate {
            name, certificate, ..
        } => Some((KeyName(name.as_str().into()), spec(certificate, secrets)?)),
    });
    used.collect()
}

fn spec(certificate: &Certificate, secrets: &Secrets) -> Option<KeySpec> {
    let secret = match opens(certificate) {
        Some(name) => Some(SharedSecret(secrets.value(name)?.clone())),
        None => None,
    };
    match (&certificate.key, &certificate.provider) {
        (KeyReference::File(_), _) => secret.map(KeySpec::File),
        (KeyReference::Pkcs11(uri), KeyProvider::Pkcs11 { module, .. }) => Some(KeySpec::Token {
            uri: format!("{uri}?module-path={module}"),
            pin: secret,
        }),
        (KeyReference::KeyVault { vault, name, version }, KeyProvider::KeyVault { identity }) => {
            let version = version.iter().map(|version| format!("/{version}"));
            let version: String = version.collect();
            Some(KeySpec::Vault {
                reference: format!("https://{vault}/certificates/{name}{version}"),
                client_id: match identity {
                    ManagedIdentity::SystemAssigned => None,
                    ManagedIdentity::UserAssigned { client_id } => Some(client_id.clone()),
                },
            })
        }
        // The document has no key of one kind at a provider of another.
        (KeyReference::Pkcs11(_) | KeyReference::KeyVault { .. }, _) => None,
    }
}
