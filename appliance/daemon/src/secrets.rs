//! The secrets that a configuration names, and how they are read from a directory: one file per name, for its owner only.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use appliance_config::ValidConfig;
use appliance_config::model::{
    Certificate, Connection, KeyProvider, KeyReference, Name, OwnProof, PeerProof, Unfit, X509,
};
use ike::KeyName;
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::signer::Chains;

/// Longer than any secret that is accepted; bounds what is read.
const MAX_BYTES: u64 = 64 << 10;
/// What a private key in PEM has, and no pre-shared key: it has spaces.
const PEM: &[u8] = b"-----BEGIN ";

/// What a configuration names and does not hold: secrets, the certificates that providers of keys have, and what time it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    values: BTreeMap<Name, SecretSlice<u8>>,
    chains: Arc<Chains>,
    unix_s: Option<u64>,
}

/// Checks a secret: a pre-shared key or a PIN, or a private key in PEM.
///
/// # Errors
/// What is wrong with it, in words that tell nothing of it.
pub(crate) fn check(secret: &SecretSlice<u8>) -> Result<(), String> {
    let octets = secret.expose_secret();
    if octets.windows(PEM.len()).any(|window| window == PEM) {
        let opened = appliance_keys::file::FileKey::open(secret, None);
        return opened.map(drop).map_err(|error| error.to_string());
    }
    appliance_config::check_pre_shared_key(octets).map_err(|fault| fault.to_string())
}

/// One secret that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct SecretProblem {
    /// Where the document refers to it, as a JSON pointer.
    pub(crate) path: String,
    /// What is wrong, in one stable word.
    pub(crate) reason: &'static str,
    /// The same for a human. Never holds any of the secret.
    pub(crate) detail: String,
}

impl std::fmt::Display for SecretProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}", self.path, self.reason, self.detail)
    }
}

/// A reason word, and the same for a human.
pub(crate) type SecretFault = (&'static str, String);

/// The first of what a connection cannot be negotiated without, and that could not be had.
pub(crate) fn lacking(connection: &Connection, secrets: &Secrets) -> Option<Lack> {
    let mut proofs = proofs(connection).map(|(_, secret)| secret);
    if let Some(secret) = proofs.find(|secret| secrets.value(secret).is_none()) {
        return Some(Lack::Secret(secret.clone()));
    }
    let (name, certificate) = connection.authentication.certificate(secrets.unix_s)?;
    let Some(told) = secrets.chain(name, certificate) else {
        return Some(Lack::Certificate(name.clone()));
    };
    // What the document has was checked when it was committed.
    let told: Vec<X509> = told.into_iter().filter_map(|der| X509::from_der(&der)).collect();
    let unfit = certificate.profile.check(&told).err();
    unfit.map(|unfit| Lack::Fitness(name.clone(), unfit))
}

/// What a connection lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lack {
    /// This secret.
    Secret(Name),
    /// The certificate of ours with this name, which its provider has not told yet.
    Certificate(Name),
    /// The certificate of ours with this name, which its provider has told, is not what its profile asks for.
    Fitness(Name, Unfit),
}

/// Where a document names which secret, of every connection, enabled or not, and of every key provider.
pub(crate) fn uses(config: &ValidConfig) -> impl Iterator<Item = (String, &Name)> {
    let connections = config.connections.iter();
    let of_connections = connections.flat_map(|(name, connection)| named(name, connection));
    let pins = config
        .key_providers
        .iter()
        .filter_map(|(name, provider)| match provider {
            KeyProvider::Pkcs11 { pin, .. } => Some((format!("/key_providers/{name}/pin"), pin.as_ref()?)),
            KeyProvider::KeyVault { .. } | KeyProvider::File => None,
        });
    of_connections.chain(pins)
}

/// The secrets that prove who both sides are, with their keys in `authentication`.
fn proofs(settings: &Connection) -> impl Iterator<Item = (&'static str, &Name)> {
    let authentication = &settings.authentication;
    let secret = match (&authentication.local, &authentication.remote) {
        (OwnProof::PreSharedKey { secret, .. }, _) => Some(("secret", secret)),
        (OwnProof::Certificate { .. }, PeerProof::PreSharedKey { secret, .. }) => {
            Some(("peer/secret", secret))
        }
        (OwnProof::Certificate { .. }, PeerProof::Certificate { .. }) => None,
    };
    let places = ["certificate", "transition/certificate"];
    let keys = places.into_iter().zip(authentication.certificates());
    let keys = keys.filter_map(|(place, (_, certificate))| Some((place, opens(certificate)?)));
    let ppk = authentication.ppk.as_ref().map(|ppk| ("ppk/secret", &ppk.secret));
    secret.into_iter().chain(keys).chain(ppk)
}

/// The secret that is a private key or opens one.
pub(crate) fn opens(certificate: &Certificate) -> Option<&Name> {
    match (&certificate.key, &certificate.provider) {
        (KeyReference::File(file), _) => Some(file),
        (KeyReference::Pkcs11(_), KeyProvider::Pkcs11 { pin, .. }) => pin.as_ref(),
        (KeyReference::Pkcs11(_) | KeyReference::KeyVault { .. }, _) => None,
    }
}

fn named<'c>(connection: &Name, settings: &'c Connection) -> impl Iterator<Item = (String, &'c Name)> {
    let path = format!("/connections/{connection}");
    let session = settings.bgp.iter().flat_map(|bgp| bgp.signing.secrets());
    let signing: Vec<_> = session
        .map(|(key, name)| (format!("{path}/bgp/{key}"), name))
        .collect();
    proofs(settings)
        .map(move |(key, name)| (format!("{path}/authentication/{key}"), name))
        .chain(signing)
}

impl Secrets {
    /// Every secret that an enabled connection names, or what is wrong with each.
    pub(crate) fn load(directory: &Path, config: &ValidConfig) -> Result<Self, Vec<SecretProblem>> {
        let (secrets, problems) = Self::read(directory, config);
        if problems.is_empty() {
            Ok(secrets)
        } else {
            Err(problems)
        }
    }

    /// Those that can be read from a directory, and what is wrong with the others.
    pub(crate) fn read(directory: &Path, config: &ValidConfig) -> (Self, Vec<SecretProblem>) {
        Self::gather(config, |name| read(&directory.join(name.as_str())))
    }

    /// Those that enabled connections name and that can be had, and what is wrong with the others.
    pub(crate) fn gather(
        config: &ValidConfig,
        value: impl Fn(&Name) -> Result<SecretSlice<u8>, SecretFault>,
    ) -> (Self, Vec<SecretProblem>) {
        let mut secrets = BTreeMap::new();
        let mut problems = Vec::new();
        let enabled = config
            .connections
            .iter()
            .filter(|(_, connection)| connection.enabled);
        for (path, name) in enabled.flat_map(|(name, connection)| named(name, connection)) {
            if secrets.contains_key(name) {
                continue;
            }
            match value(name) {
                Ok(value) => drop(secrets.insert(name.clone(), value)),
                Err((reason, detail)) => problems.push(SecretProblem { path, reason, detail }),
            }
        }
        let secrets = Self {
            values: secrets,
            ..Self::default()
        };
        (secrets, problems)
    }

    /// The same at this time, in seconds of UNIX time, if anybody knows it.
    pub(crate) fn at(self, unix_s: Option<u64>) -> Self {
        Self { unix_s, ..self }
    }

    /// What time it is, in seconds of UNIX time, if anybody knows it.
    pub(crate) fn unix_s(&self) -> Option<u64> {
        self.unix_s
    }

    /// The same, while providers have these certificates.
    pub(crate) fn with_chains(self, chains: Chains) -> Self {
        let chains = Arc::new(chains);
        Self { chains, ..self }
    }

    /// A certificate of ours and those that lead from it to its root, if anybody knows them: the document, or who has its key.
    pub(crate) fn chain(&self, name: &Name, certificate: &Certificate) -> Option<Vec<Vec<u8>>> {
        if !certificate.chain.is_empty() {
            return Some(certificate.chain.iter().map(|x509| x509.der().to_vec()).collect());
        }
        let known = self.chains.get(&KeyName(name.as_str().into()));
        known.filter(|chain| !chain.is_empty()).cloned()
    }

    /// The value of a secret, if it could be had.
    pub(crate) fn value(&self, name: &Name) -> Option<&SecretSlice<u8>> {
        self.values.get(name)
    }

    /// Secrets as given, for tests.
    #[cfg(test)]
    pub(crate) fn of(secrets: &[(&str, &str)]) -> Self {
        let entry = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.as_bytes().to_vec().into());
        Self {
            values: secrets.iter().map(entry).collect(),
            ..Self::default()
        }
    }
}

/// A secret that is a file of its own. May wait for the disk.
pub(crate) fn read(path: &Path) -> Result<SecretSlice<u8>, SecretFault> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => ("secret-missing", format!("{shown} does not exist")),
        _ => ("secret-unreadable", format!("{shown}: {error}")),
    };
    // A FIFO in place of the file must not hold the daemon up.
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(("secret-unreadable", format!("{shown} is not a file")));
    }
    if metadata.mode() & 0o077 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err((
            "secret-exposed",
            format!("{shown} has mode {mode:04o}: chmod 600, then set a new secret"),
        ));
    }
    let mut value = Zeroizing::new(Vec::with_capacity(
        usize::try_from(MAX_BYTES).unwrap_or_default() + 1,
    ));
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut value)
        .map_err(unreadable)?;
    let key = value.strip_suffix(b"\n").unwrap_or(&value);
    let key = key.strip_suffix(b"\r").unwrap_or(key);
    let key = SecretSlice::from(key.to_vec());
    check(&key).map_err(|fault| ("secret-invalid", format!("{shown}: {fault}")))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use appliance_config::model::AzureRule;

    use super::*;

    const DOCUMENT: &str = r#"{
      "gateway": { "ip_configurations": { "default": { "address": "192.0.2.1" } }, "address_space": ["10.1.0.0/24"] },
      "sites": { "b": { "endpoint": "192.0.2.2", "address_space": ["10.2.0.0/24"] } },
      "connections": { "to-b": { "site": "b", "authentication": { "method": "psk", "secret": "psk-b" } } }
    }"#;

    /// What comes of a secret file with this content and mode.
    fn load(content: &[u8], mode: u32) -> Result<Vec<u8>, Vec<SecretProblem>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("psk-b");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        load_from(directory.path())
    }

    fn load_from(directory: &Path) -> Result<Vec<u8>, Vec<SecretProblem>> {
        let config = appliance_config::parse(DOCUMENT.as_bytes()).unwrap();
        let secrets = Secrets::load(directory, &config)?;
        Ok(secrets
            .value(&"psk-b".parse().unwrap())
            .unwrap()
            .expose_secret()
            .to_vec())
    }

    fn reason(loaded: Result<Vec<u8>, Vec<SecretProblem>>) -> &'static str {
        let problems = loaded.unwrap_err();
        assert_eq!(problems[0].path, "/connections/to-b/authentication/secret");
        problems[0].reason
    }

    #[test]
    fn one_line_end_is_not_part_of_the_secret() {
        for content in ["Geheim1", "Geheim1\n", "Geheim1\r\n"] {
            assert_eq!(load(content.as_bytes(), 0o600).unwrap(), b"Geheim1");
        }
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o666, 0o620] {
            assert_eq!(reason(load(b"Geheim1", mode)), "secret-exposed", "{mode:o}");
        }
        assert!(load(b"Geheim1", 0o400).is_ok());
    }

    #[test]
    fn what_is_no_pre_shared_key_is_refused_without_being_shown() {
        for content in ["", "\n", "two words", "two\nlines"] {
            assert_eq!(
                reason(load(content.as_bytes(), 0o600)),
                "secret-invalid",
                "{content:?}"
            );
        }
        let problems = load(b"Geh eim", 0o600).unwrap_err();
        assert!(!problems[0].detail.contains("Geh"), "{problems:?}");
    }

    #[test]
    fn a_missing_secret_and_one_that_is_no_file_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(reason(load_from(directory.path())), "secret-missing");
        fs::create_dir(directory.path().join("psk-b")).unwrap();
        assert_eq!(reason(load_from(directory.path())), "secret-unreadable");
    }

    /// A certificate that its vault tells is held to its profile as one in the document is.
    #[test]
    fn what_a_vault_tells_has_to_be_what_the_document_asks_for() {
        let text = DOCUMENT.replace(
            r#""method": "psk", "secret": "psk-b""#,
            r#""method": "certificate", "certificate": "edge", "peer": { "chain": "roots", "subject": "b" }"#,
        );
        let mut document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let told = params.self_signed(&key).unwrap();
        document["trust"] = serde_json::json!({ "roots": { "chain": [told.pem()] } });
        document["key_providers"] = serde_json::json!({ "vault": { "kind": "key-vault", "identity": { "managed": "system-assigned" } } });
        let lacks = |profile: &str, chains: Chains| {
            let mut document = document.clone();
            document["certificates"] = serde_json::json!({ "edge": { "profile": profile,
                "key": { "provider": "vault", "reference": "https://contoso.vault.azure.net/certificates/edge" } } });
            let config = appliance_config::parse(document.to_string().as_bytes()).unwrap();
            lacking(
                &config.connections["to-b"],
                &Secrets::default().with_chains(chains),
            )
        };
        let chains = Chains::from([(KeyName("edge".into()), vec![told.der().to_vec()])]);
        let name: Name = "edge".parse().unwrap();
        assert_eq!(
            lacks("azure", Chains::new()),
            Some(Lack::Certificate(name.clone()))
        );
        assert_eq!(lacks("general", chains.clone()), None);
        let Some(Lack::Fitness(unfit, fault)) = lacks("azure", chains) else {
            panic!("it is taken");
        };
        assert_eq!((unfit, fault.rule), (name, AzureRule::Rsa));
    }
}
