//! Who has private keys, tried without any key where that is possible.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use appliance_keys::key_vault::{VaultKey, VaultReference};
use appliance_keys::pkcs11::Modules;
use appliance_keys::{KeyError, Pkcs11Uri};
use ike::{SharedSecret, SignerFault};
use tokio::time::{Instant, timeout_at};

use super::fault::fault;
use super::open::{access, open, text};
use super::spec::KeySpec;
use super::trial::{TrialFault, late};

/// For whom tokens are where no vault is named.
const PUBLIC_CLOUD: &str = "https://vault.azure.net";

/// What of a provider is to be tried.
#[derive(Debug)]
pub(crate) enum TryProvider {
    /// Sealed files, by the name of the secret; `None` for one that cannot be had.
    Files(Vec<(String, Option<KeySpec>)>),
    /// A module and the tokens that certificates name.
    Tokens {
        /// The path of the module.
        module: String,
        /// The PIN, or the name of the secret that cannot be had.
        pin: Result<Option<SharedSecret>, String>,
        /// What certificates name.
        uris: BTreeSet<String>,
    },
    /// The vaults that certificates name.
    Vaults {
        /// The managed identity; that of the machine itself if there is none.
        client_id: Option<String>,
        /// What certificates name.
        references: BTreeSet<String>,
    },
}

/// One thing that was tried.
#[derive(Debug)]
pub(crate) struct Step {
    /// In one word: `file`, `module`, `token`, `pin`, `identity` or `vault`.
    pub(crate) step: &'static str,
    /// Which.
    pub(crate) subject: String,
    /// How long it took; what is tried together has it once.
    pub(crate) took: Duration,
    /// Why it failed, if it did.
    pub(crate) fault: Option<TrialFault>,
}

/// Tokens whose PIN is known to be wrong: by the URI of a key, and why.
pub(super) type RefusedTokens = Vec<(String, SignerFault)>;

/// Tries it, until the deadline.
pub(super) async fn try_provider(
    asked: TryProvider,
    modules: Arc<Modules>,
    refused: RefusedTokens,
    deadline: Instant,
) -> Vec<Step> {
    match asked {
        TryProvider::Files(files) => try_files(files, &modules, deadline).await,
        TryProvider::Tokens { module, pin, uris } => {
            try_tokens(&module, (pin, uris), (&modules, refused), deadline).await
        }
        TryProvider::Vaults {
            client_id,
            references,
        } => try_vaults(client_id, references, deadline).await,
    }
}

fn step(step: &'static str, subject: String, begun: Instant, tried: Result<(), KeyError>) -> Step {
    Step {
        step,
        subject,
        took: begun.elapsed(),
        fault: tried.err().map(|error| TrialFault::Signer(fault(&error))),
    }
}

async fn try_files(
    files: Vec<(String, Option<KeySpec>)>,
    modules: &Arc<Modules>,
    deadline: Instant,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (name, spec) in files {
        let begun = Instant::now();
        let Some(spec) = spec else {
            steps.push(Step {
                step: "file",
                took: Duration::ZERO,
                fault: Some(TrialFault::NoSecret(name.clone())),
                subject: name,
            });
            continue;
        };
        let opened = timeout_at(deadline, open(spec, Arc::clone(modules))).await;
        let opened = opened.unwrap_or_else(|_| Err(late())).map(|_| ());
        steps.push(step("file", name, begun, opened));
    }
    steps
}

/// The tokens that URIs of keys name, each once. What is no URI of a key is told as one that is missing.
fn tokens(module: &str, uris: BTreeSet<String>) -> Vec<(String, Result<Pkcs11Uri, KeyError>)> {
    let mut tokens: Vec<(String, Result<Pkcs11Uri, KeyError>)> = Vec::new();
    for text in uris {
        let uri = format!("{text}?module-path={module}").parse::<Pkcs11Uri>();
        let uri = uri.map(|uri| Pkcs11Uri {
            object: None,
            id: None,
            ..uri
        });
        let uri = uri.map_err(|error| KeyError::KeyMissing(error.to_string()));
        if !tokens.iter().any(|(_, known)| *known == uri) {
            tokens.push((text, uri));
        }
    }
    tokens
}

/// A module, and none of its tokens.
fn alone(module: &str) -> Pkcs11Uri {
    Pkcs11Uri {
        module_path: PathBuf::from(module),
        token: None,
        serial: None,
        manufacturer: None,
        model: None,
        slot: None,
        object: None,
        id: None,
    }
}

async fn try_tokens(
    module: &str,
    (pin, uris): (Result<Option<SharedSecret>, String>, BTreeSet<String>),
    (modules, refused): (&Arc<Modules>, RefusedTokens),
    deadline: Instant,
) -> Vec<Step> {
    let (mut steps, begun) = (Vec::new(), Instant::now());
    let loaded = timeout_at(deadline, modules.probe(alone(module), None)).await;
    let loaded = loaded.map_or_else(|_| Err(late()), |probed| probed.module);
    let is_loaded = loaded.is_ok();
    steps.push(step("module", module.to_owned(), begun, loaded));
    if !is_loaded {
        return steps;
    }
    let (pin, lacking) = match pin {
        Ok(pin) => (pin, None),
        Err(secret) => (None, Some(secret)),
    };
    for (text, uri) in tokens(module, uris) {
        let begun = Instant::now();
        let known = refused.iter().find(|(of, _)| *of == text);
        let fault = known.map(|(_, fault)| TrialFault::Signer(fault.clone()));
        if let Some(fault) = fault.or(lacking.clone().map(TrialFault::NoSecret)) {
            // No second try of a PIN, and none without it.
            steps.push(Step {
                step: "pin",
                subject: text,
                took: Duration::ZERO,
                fault: Some(fault),
            });
            continue;
        }
        let uri = match uri {
            Ok(uri) => uri,
            Err(error) => {
                steps.push(step("token", text, begun, Err(error)));
                continue;
            }
        };
        let probing = modules.probe(uri, pin.as_ref().map(self::text));
        match timeout_at(deadline, probing).await {
            Ok(probed) => {
                let token = probed.token.unwrap_or(probed.module);
                steps.push(step("token", text.clone(), begun, token));
                steps.extend(probed.pin.map(|pin| step("pin", text, begun, pin)));
            }
            Err(_) => steps.push(step("token", text, begun, Err(late()))),
        }
    }
    steps
}

async fn try_vaults(client_id: Option<String>, references: BTreeSet<String>, deadline: Instant) -> Vec<Step> {
    let begun = Instant::now();
    let access = match access(client_id) {
        Ok(access) => access,
        Err(error) => return vec![step("identity", PUBLIC_CLOUD.to_owned(), begun, Err(error))],
    };
    let parse = |text: String| {
        let reference = text.parse::<VaultReference>();
        (
            text,
            reference.map_err(|error| KeyError::KeyMissing(error.to_string())),
        )
    };
    let vaults: Vec<_> = references.into_iter().map(parse).collect();
    let named = vaults
        .iter()
        .filter_map(|(_, vault)| Some(vault.as_ref().ok()?.audience()));
    let mut audiences: BTreeSet<String> = named.collect();
    if audiences.is_empty() {
        audiences.insert(PUBLIC_CLOUD.to_owned());
    }
    let (mut steps, mut without) = (Vec::new(), BTreeSet::new());
    for audience in audiences {
        let begun = Instant::now();
        let token = timeout_at(deadline, access.identity.token(&audience)).await;
        let token = token.unwrap_or_else(|_| Err(late())).map(|_| ());
        if token.is_err() {
            without.insert(audience.clone());
        }
        steps.push(step("identity", audience, begun, token));
    }
    for (text, vault) in vaults {
        let begun = Instant::now();
        let opened = match vault {
            Ok(vault) if without.contains(&vault.audience()) => continue,
            Ok(vault) => {
                let opening = VaultKey::open(&vault, &access);
                let opened = timeout_at(deadline, opening).await;
                opened.unwrap_or_else(|_| Err(late())).map(|_| ())
            }
            Err(error) => Err(error),
        };
        steps.push(step("vault", text, begun, opened));
    }
    steps
}
