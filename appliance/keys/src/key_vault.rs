//! Private keys of Azure Key Vault, which sign there. Only what the vault cannot sign, and lets go, is fetched and signed here.

mod answers;
mod reference;
mod vault;

use std::sync::{Arc, OnceLock};

use tokio::task::spawn_blocking;

pub use reference::{ReferenceError, VaultReference};

use crate::chain;
use crate::digest;
use crate::error::KeyError;
use crate::evp::Evp;
use crate::file::{FileKey, certificates_of, usable};
use crate::limits::Limits;
use crate::managed_identity::ManagedIdentity;
use crate::provider::{Hash, Key, KeyKind, Place, Scheme, Signing};
use answers::Certificate;
use vault::Vault;

/// By whom, and by which roots, key vaults are asked.
#[derive(Clone)]
pub struct Access {
    /// Who gives tokens.
    pub identity: ManagedIdentity,
    /// Certificates in DER that a vault's own goes back to.
    pub roots: Vec<Vec<u8>>,
    /// For whom tokens are, if not for the cloud that the vault's name is of.
    pub audience: Option<String>,
    /// How long a request waits, and how soon it is made again.
    pub limits: Limits,
}

/// A private key in a key vault: that of one version of a certificate.
pub struct VaultKey {
    vault: Arc<Vault>,
    certificate: Certificate,
    kind: KeyKind,
    public: Evp,
    info: Vec<u8>,
    chain: Vec<Vec<u8>>,
    /// The key itself, once it was fetched.
    fetched: OnceLock<FileKey>,
    fetching: tokio::sync::Mutex<()>,
}

/// The roots that this machine trusts.
pub fn system_roots() -> Vec<Vec<u8>> {
    let found = rustls_native_certs::load_native_certs();
    found.certs.iter().map(|root| root.to_vec()).collect()
}

impl VaultKey {
    /// Asks a vault about a certificate: its newest version, unless one is named.
    pub async fn open(reference: &VaultReference, access: &Access) -> Result<Self, KeyError> {
        let vault = Arc::new(Vault::new(reference.clone(), access)?);
        let certificate = vault.certificate().await?;
        Self::of(vault, certificate).await
    }

    async fn of(vault: Arc<Vault>, certificate: Certificate) -> Result<Self, KeyError> {
        let whose = vault.reference.to_string();
        let invalid = || KeyError::VaultAnswerInvalid(format!("{whose}: has a cer that is no certificate"));
        let (info, public) = chain::public_key(&certificate.der).ok_or_else(invalid)?;
        let kind = usable(&public, &whose)?;
        let chain = Self::chain(&vault, &certificate, &info).await?;
        Ok(Self {
            vault,
            certificate,
            kind,
            public,
            info,
            chain,
            fetched: OnceLock::new(),
            fetching: tokio::sync::Mutex::default(),
        })
    }

    /// The certificate, and those above it where they can be had without the private key: a vault has them only in the secret.
    async fn chain(vault: &Vault, certificate: &Certificate, info: &[u8]) -> Result<Vec<Vec<u8>>, KeyError> {
        let alone = || vec![certificate.der.clone()];
        let Some(secret) = certificate
            .secret
            .as_deref()
            .filter(|_| !certificate.is_exportable)
        else {
            return Ok(alone());
        };
        let octets = match vault.secret(secret).await {
            Ok(octets) => octets,
            // It may sign without being allowed to read secrets.
            Err(KeyError::VaultRefused(_) | KeyError::KeyMissing(_)) => return Ok(alone()),
            Err(error) => return Err(error),
        };
        let whose = vault.reference.to_string();
        let read = spawn_blocking(move || certificates_of(&octets, &whose)).await;
        // What cannot be read is no reason not to sign.
        let mut certificates = read.ok().and_then(Result::ok).unwrap_or_default();
        if !certificates.contains(&certificate.der) {
            certificates.push(certificate.der.clone());
        }
        chain::ordered(certificates, info, &vault.reference.to_string())
    }

    /// Which version of the certificate it is.
    pub fn version(&self) -> &str {
        &self.certificate.version
    }

    /// The key of the certificate's newest version, if that is another one. A reference that names a version has no newer one.
    pub async fn refresh(&self) -> Result<Option<Self>, KeyError> {
        if self.vault.reference.is_pinned() {
            return Ok(None);
        }
        let certificate = self.vault.certificate().await?;
        if certificate.version == self.certificate.version {
            return Ok(None);
        }
        Self::of(Arc::clone(&self.vault), certificate).await.map(Some)
    }

    async fn sign_somewhere(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        scheme.check(self.kind)?;
        if let Some(fetched) = self.fetched.get() {
            return fetched.sign(scheme, message).await;
        }
        match algorithm(scheme, self.kind) {
            Some(algorithm) => self.sign_there(algorithm, scheme, message).await,
            None => self.fetch(scheme).await?.sign(scheme, message).await,
        }
    }

    async fn sign_there(&self, algorithm: &str, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let digest = digest::signed(scheme, message);
        let signature = self.vault.sign(&self.certificate.key, algorithm, &digest).await?;
        if !self.public.verify(scheme, message, &signature) {
            let foreign = format!(
                "{}: its signature is not of its certificate",
                self.vault.reference
            );
            return Err(KeyError::VaultAnswerInvalid(foreign));
        }
        Ok(signature)
    }

    /// Fetches the key for what the vault cannot sign; once, whoever asks.
    async fn fetch(&self, scheme: Scheme) -> Result<&FileKey, KeyError> {
        let _fetching = self.fetching.lock().await;
        if let Some(fetched) = self.fetched.get() {
            return Ok(fetched);
        }
        let reference = &self.vault.reference;
        let cannot = || {
            KeyError::SchemeUnsupported(format!(
                "{reference}: a vault cannot do {scheme}, and this key may not leave it"
            ))
        };
        let secret = self
            .certificate
            .secret
            .as_deref()
            .filter(|_| self.certificate.is_exportable);
        let octets = self.vault.secret(secret.ok_or_else(cannot)?).await?;
        let whose = format!("the secret of {reference}");
        let called = whose.clone();
        // A key may be derived in so many rounds that nothing else would run meanwhile.
        let read = spawn_blocking(move || FileKey::of_octets(&octets, None, &called)).await;
        let ended = |_| KeyError::VaultAnswerInvalid(format!("{whose} could not be read to its end"));
        let key = read.map_err(ended)??;
        if key.public_key() != self.info {
            let foreign = format!("{whose} has another key than its certificate");
            return Err(KeyError::VaultAnswerInvalid(foreign));
        }
        Ok(self.fetched.get_or_init(|| key))
    }
}

impl Key for VaultKey {
    fn kind(&self) -> KeyKind {
        self.kind
    }

    fn public_key(&self) -> &[u8] {
        &self.info
    }

    /// In memory from the moment on at which it was fetched.
    fn place(&self) -> Place {
        match self.fetched.get() {
            Some(_) => Place::Memory,
            None => Place::Vault,
        }
    }

    fn chain(&self) -> &[Vec<u8>] {
        let fetched = self.fetched.get().map(Key::chain);
        fetched.filter(|chain| !chain.is_empty()).unwrap_or(&self.chain)
    }

    fn sign<'a>(&'a self, scheme: Scheme, message: &'a [u8]) -> Signing<'a> {
        Box::pin(self.sign_somewhere(scheme, message))
    }

    /// What the vault cannot sign is signed by the key that is fetched for it.
    fn would_leave(&self, scheme: Scheme) -> bool {
        self.fetched.get().is_none() && algorithm(scheme, self.kind).is_none()
    }
}

/// What Key Vault calls a scheme (RFC 7518 §3.1); none for what it cannot do: SHA-1, what IKEv1 signs, and a hash that is not the
/// curve's.
fn algorithm(scheme: Scheme, kind: KeyKind) -> Option<&'static str> {
    match scheme {
        Scheme::RsaPkcs1(Hash::Sha256) => Some("RS256"),
        Scheme::RsaPkcs1(Hash::Sha384) => Some("RS384"),
        Scheme::RsaPkcs1(Hash::Sha512) => Some("RS512"),
        Scheme::RsaPss(Hash::Sha256) => Some("PS256"),
        Scheme::RsaPss(Hash::Sha384) => Some("PS384"),
        Scheme::RsaPss(Hash::Sha512) => Some("PS512"),
        Scheme::Ecdsa(Hash::Sha256) => (kind == KeyKind::EcdsaP256).then_some("ES256"),
        Scheme::Ecdsa(Hash::Sha384) => (kind == KeyKind::EcdsaP384).then_some("ES384"),
        Scheme::Ecdsa(Hash::Sha512) => (kind == KeyKind::EcdsaP521).then_some("ES512"),
        Scheme::RsaPkcs1(Hash::Sha1)
        | Scheme::RsaBare
        | Scheme::RsaPss(Hash::Sha1)
        | Scheme::Ecdsa(Hash::Sha1) => None,
    }
}
