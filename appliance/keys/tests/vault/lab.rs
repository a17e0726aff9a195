//! A key vault of the lab, with certificates in it, and keys of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use appliance_keys::key_vault::{Access, VaultKey};
use appliance_keys::managed_identity::{ManagedIdentity, Source, Which};
use appliance_keys::{Hash, Key, KeyError, Limits, Scheme};
use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use system_tests::lab::pki::{self, Issued, Wanted};
use system_tests::peer::key_vault::{AUDIENCE, KeyVault, Version};
use x509_cert::der::Decode;
use x509_cert::spki::SubjectPublicKeyInfoRef;

pub(crate) const MESSAGE: &[u8] = b"what IKE signs";
pub(crate) const SHA1: Scheme = Scheme::RsaPkcs1(Hash::Sha1);
pub(crate) const SHA256: Scheme = Scheme::RsaPkcs1(Hash::Sha256);
/// Quick, as what is waited for comes when it comes.
pub(crate) const QUICK: Limits = Limits {
    request: Duration::from_secs(5),
    first_delay: Duration::from_millis(5),
};
/// For servers that never answer.
pub(crate) const IMPATIENT: Limits = Limits {
    request: Duration::from_millis(100),
    first_delay: Duration::from_millis(5),
};

pub(crate) fn started() -> KeyVault {
    KeyVault::start(IpAddr::V4(Ipv4Addr::LOCALHOST)).unwrap()
}

/// A certificate below an intermediate and a root.
pub(crate) fn issued(key: pki::Key) -> Issued {
    let root = Issued::root(&Wanted::authority("Root", 1)).unwrap();
    let middle = root.issue(&Wanted::authority("Middle", 0)).unwrap();
    let mut wanted = Wanted::leaf("gateway");
    wanted.key = key;
    middle.issue(&wanted).unwrap()
}

/// The identity that the vault's metadata service gives tokens for.
pub(crate) fn identity(vault: &KeyVault, which: Which, limits: Limits) -> ManagedIdentity {
    let endpoint = vault.metadata();
    ManagedIdentity::open(Source::AzureVm { endpoint, which }, limits).unwrap()
}

pub(crate) fn access(vault: &KeyVault, limits: Limits) -> Access {
    Access {
        identity: identity(vault, Which::Only, limits),
        roots: vec![vault.root().der().to_vec()],
        audience: Some(AUDIENCE.to_owned()),
        limits,
    }
}

pub(crate) async fn open(vault: &KeyVault, name: &str, access: &Access) -> Result<VaultKey, KeyError> {
    let reference = vault.reference(name, None).parse().unwrap();
    VaultKey::open(&reference, access).await
}

/// A vault with an RSA key in it, and that key.
pub(crate) async fn with_rsa(exportable: bool, limits: Limits) -> (KeyVault, VaultKey) {
    let vault = started();
    let issued = issued(pki::Key::Rsa2048);
    vault.put("vpn", Version::of(&issued, exportable).unwrap());
    let key = open(&vault, "vpn", &access(&vault, limits)).await.unwrap();
    (vault, key)
}

pub(crate) fn is_taken(
    key: &dyn Key,
    algorithm: &'static dyn VerificationAlgorithm,
    signature: &[u8],
) -> bool {
    let info = SubjectPublicKeyInfoRef::from_der(key.public_key()).unwrap();
    let public = info.subject_public_key.raw_bytes();
    UnparsedPublicKey::new(algorithm, public)
        .verify(MESSAGE, signature)
        .is_ok()
}

/// Signs, and says whether the signature is right.
pub(crate) async fn signs(key: &VaultKey) -> Result<bool, KeyError> {
    let signature = key.sign(SHA256, MESSAGE).await?;
    Ok(is_taken(key, &RSA_PKCS1_2048_8192_SHA256, &signature))
}
