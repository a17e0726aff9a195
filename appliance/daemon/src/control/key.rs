use appliance_config::model::{Certificate, KeyProvider, KeyReference, Name};
use ike::{KeyName, SharedSecret};
use tokio::sync::oneshot;

use super::order::Answer;
use super::owner::{Control, tell};
use super::refusal::Refusal;
use crate::derive::{key_spec, vault_reference};
use crate::secrets::opens;
use crate::signer::{KeySpec, KeyTrial, Refreshed, Step, TrialFault, TryKey, TryProvider};

impl Control {
    /// Has the key of a certificate sign in every way; who asked hears it from whoever has the key.
    pub(super) async fn try_key(&self, name: String, answer: Answer<KeyTrial>) {
        let asked = match self.certificate(&name) {
            Ok(certificate) => self.asked(KeyName(name.as_str().into()), certificate).await,
            Err(refusal) => Err(refusal),
        };
        match asked {
            Ok(Ok(asked)) => pass_on(self.signer.try_key(asked), answer),
            Ok(Err(trial)) => tell(answer, Ok(trial)),
            Err(refusal) => tell(answer, Err(refusal)),
        }
    }

    fn certificate(&self, name: &str) -> Result<&Certificate, Refusal> {
        let mut named = self.running.config.certificates.iter();
        let found = named.find(|(known, _)| known.as_str() == name);
        found
            .map(|(_, certificate)| certificate)
            .ok_or_else(|| Refusal::UnknownCertificate(name.to_owned()))
    }

    /// What is to be tried, or what came of it without its secret.
    async fn asked(
        &self,
        name: KeyName,
        certificate: &Certificate,
    ) -> Result<Result<TryKey, KeyTrial>, Refusal> {
        let secret = match opens(certificate) {
            Some(secret) => match self.secret_value(secret).await? {
                Some(value) => Some(value),
                None => {
                    let fault = TrialFault::NoSecret(secret.to_string());
                    let provider = provider_word(&certificate.provider);
                    return Ok(Err(KeyTrial::closed(provider, fault, std::time::Duration::ZERO)));
                }
            },
            None => None,
        };
        let unknown = || Refusal::UnknownCertificate(name.0.to_string());
        let spec = key_spec(certificate, secret).ok_or_else(unknown)?;
        Ok(Ok(TryKey {
            spec,
            certificate: certificate.chain.first().map(|x509| x509.der().to_vec()),
            name,
        }))
    }

    async fn secret_value(&self, name: &Name) -> Result<Option<SharedSecret>, Refusal> {
        let (origin, name) = (self.origin.clone(), name.clone());
        let read = tokio::task::spawn_blocking(move || origin.value(&name).ok());
        let value = read.await.map_err(|_| Refusal::Stopping)?;
        Ok(value.map(SharedSecret))
    }

    /// Tries who has keys, without any key where that is possible.
    pub(super) async fn try_provider(&self, name: String, answer: Answer<Vec<Step>>) {
        match self.provider(&name).await {
            Ok(asked) => pass_on(self.signer.try_provider(asked), answer),
            Err(refusal) => tell(answer, Err(refusal)),
        }
    }

    async fn provider(&self, name: &str) -> Result<TryProvider, Refusal> {
        let config = &self.running.config;
        let mut providers = config.key_providers.iter();
        let found = providers.find(|(known, _)| known.as_str() == name);
        let (_, provider) = found.ok_or_else(|| Refusal::UnknownKeyProvider(name.to_owned()))?;
        let certificates = config.certificates.values();
        let keys = certificates
            .filter(|certificate| certificate.provider_name.as_str() == name)
            .map(|certificate| &certificate.key);
        match provider {
            KeyProvider::File => {
                let mut files = Vec::new();
                for key in keys {
                    if let KeyReference::File(file) = key {
                        let spec = self.secret_value(file).await?.map(KeySpec::File);
                        files.push((file.to_string(), spec));
                    }
                }
                Ok(TryProvider::Files(files))
            }
            KeyProvider::Pkcs11 { module, pin } => Ok(TryProvider::Tokens {
                module: module.clone(),
                uris: keys.filter_map(uri).collect(),
                pin: match pin {
                    None => Ok(None),
                    Some(pin) => {
                        let value = self.secret_value(pin).await?;
                        value.map(Some).ok_or_else(|| pin.to_string())
                    }
                },
            }),
            KeyProvider::KeyVault { identity } => Ok(TryProvider::Vaults {
                client_id: identity.client_id().map(str::to_owned),
                references: keys.filter_map(vault_reference).collect(),
            }),
        }
    }

    /// Looks for a newer version of a key.
    pub(super) fn refresh_key(&self, name: &str, answer: Answer<Option<Refreshed>>) {
        match self.certificate(name) {
            Ok(_) => pass_on(self.signer.refresh(KeyName(name.into())), answer),
            Err(refusal) => tell(answer, Err(refusal)),
        }
    }
}

fn uri(key: &KeyReference) -> Option<String> {
    match key {
        KeyReference::Pkcs11(uri) => Some(uri.clone()),
        KeyReference::File(_) | KeyReference::KeyVault { .. } => None,
    }
}

/// Who has a key, in one word.
pub(crate) fn provider_word(provider: &KeyProvider) -> &'static str {
    match provider {
        KeyProvider::File => "file",
        KeyProvider::Pkcs11 { .. } => "pkcs11",
        KeyProvider::KeyVault { .. } => "key-vault",
    }
}

/// What whoever has keys answers in its own time; nothing waits for it here.
fn pass_on<T: Send + 'static>(asked: Option<oneshot::Receiver<T>>, answer: Answer<T>) {
    let Some(tried) = asked else {
        return tell(answer, Err(Refusal::Stopping));
    };
    tokio::spawn(async move { tell(answer, tried.await.map_err(|_| Refusal::Stopping)) });
}
