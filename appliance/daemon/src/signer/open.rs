//! Opening a private key where it is.

use std::sync::Arc;

use appliance_keys::file::FileKey;
use appliance_keys::key_vault::{Access, VaultKey, VaultReference, system_roots};
use appliance_keys::managed_identity::{ManagedIdentity, Source, Which};
use appliance_keys::pkcs11::Modules;
use appliance_keys::{Key, KeyError, Limits};
use ike::SharedSecret;
use secrecy::{ExposeSecret, SecretString};

use super::spec::KeySpec;

/// The agent of Azure Arc leaves its challenges there; a machine with it is none of Azure's own.
const ARC: &str = "/var/opt/azcmagent";

/// A private key that is open.
#[derive(Clone)]
pub(super) enum Opened {
    /// Of a file or a token: it stays as it is.
    Fixed(Arc<dyn Key>),
    /// Of a vault, which may get a newer version.
    Vault(Arc<VaultKey>),
}

impl Opened {
    pub(super) fn key(&self) -> Arc<dyn Key> {
        match self {
            Self::Fixed(key) => Arc::clone(key),
            Self::Vault(key) => key.clone(),
        }
    }

    pub(super) fn version(&self) -> Option<String> {
        match self {
            Self::Fixed(_) => None,
            Self::Vault(key) => Some(key.version().to_owned()),
        }
    }

    /// Its newer version, if there is one.
    pub(super) async fn newer(&self) -> Result<Option<Self>, KeyError> {
        match self {
            Self::Fixed(_) => Ok(None),
            Self::Vault(key) => Ok(key.refresh().await?.map(|newer| Self::Vault(Arc::new(newer)))),
        }
    }
}

/// Opens it.
pub(super) async fn open(spec: KeySpec, modules: Arc<Modules>) -> Result<Opened, KeyError> {
    match spec {
        KeySpec::File(octets) => {
            let opened = tokio::task::spawn_blocking(move || FileKey::open(&octets.0, None)).await;
            let opened = opened.map_err(|error| KeyError::KeyWrongKind(error.to_string()))??;
            Ok(Opened::Fixed(Arc::new(opened)))
        }
        KeySpec::Token { uri, pin } => {
            let uri = uri
                .parse()
                .map_err(|error| KeyError::KeyMissing(format!("{error}")))?;
            let pin = pin.as_ref().map(text);
            Ok(Opened::Fixed(Arc::new(modules.open(uri, pin).await?)))
        }
        KeySpec::Vault { reference, client_id } => {
            let reference: VaultReference = reference
                .parse()
                .map_err(|error| KeyError::KeyMissing(format!("{error}")))?;
            let opened = VaultKey::open(&reference, &access(client_id)?).await?;
            Ok(Opened::Vault(Arc::new(opened)))
        }
    }
}

/// As whom vaults are asked.
pub(super) fn access(client_id: Option<String>) -> Result<Access, KeyError> {
    let which = client_id.map_or(Which::Only, Which::Client);
    let source = if std::path::Path::new(ARC).exists() {
        Source::azure_arc()
    } else {
        Source::azure_vm(which)
    };
    Ok(Access {
        identity: ManagedIdentity::open(source, Limits::default())?,
        roots: system_roots(),
        audience: None,
        limits: Limits::default(),
    })
}

/// A PIN as modules take it.
pub(super) fn text(secret: &SharedSecret) -> SecretString {
    String::from_utf8_lossy(secret.0.expose_secret())
        .into_owned()
        .into()
}
