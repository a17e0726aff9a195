use appliance_config::ValidConfig;
use appliance_config::model::{Connection, Name, PeerProof};
use ike::KeyName;

use crate::signer::{KeySnapshots, KeyState};

/// A collection of the document that has certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Collection {
    /// Ours.
    Certificates,
    /// Those that others' lead to.
    Trust,
}

/// Who told a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The document.
    Document,
    /// Whoever has its key.
    Provider,
}

/// Certificates under one name.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where the document has the name.
    pub(crate) collection: Collection,
    /// The name.
    pub(crate) name: Name,
    /// Who told them.
    pub(crate) source: Source,
    /// In DER; of ours the leaf first, of others the root.
    pub(crate) chain: Vec<Vec<u8>>,
    /// Who uses them.
    pub(crate) users: Vec<User>,
}

/// Who uses certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// Where the document names them, as a JSON pointer.
    pub(crate) path: String,
    /// The connection, if it is one that is enabled.
    pub(crate) connection: Option<Name>,
}

impl Collection {
    /// Its certificates are ours.
    pub(crate) fn is_ours(self) -> bool {
        match self {
            Self::Certificates => true,
            Self::Trust => false,
        }
    }

    /// As the document calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Trust => "trust",
        }
    }
}

/// All certificates that the document has, and those that providers have for its keys.
pub(crate) fn inventory(config: &ValidConfig, keys: &KeySnapshots) -> Vec<Entry> {
    let ours = config.certificates.iter().map(|(name, certificate)| {
        let written: Vec<_> = certificate.chain.iter().map(|x509| x509.der().to_vec()).collect();
        let (source, chain) = if written.is_empty() {
            (Source::Provider, told(keys, name))
        } else {
            (Source::Document, written)
        };
        Entry {
            collection: Collection::Certificates,
            users: users(config, name, own),
            name: name.clone(),
            source,
            chain,
        }
    });
    let others = config.trust.iter().map(|(name, trust)| {
        let mut users = users(config, name, trusted);
        if config.system.management.client_trust.as_ref() == Some(name) {
            users.push(User {
                path: "/system/management/client_trust".to_owned(),
                connection: None,
            });
        }
        Entry {
            collection: Collection::Trust,
            name: name.clone(),
            source: Source::Document,
            chain: trust.chain.iter().map(|x509| x509.der().to_vec()).collect(),
            users,
        }
    });
    ours.chain(others).collect()
}

/// The certificates that whoever has the key has for it.
fn told(keys: &KeySnapshots, name: &Name) -> Vec<Vec<u8>> {
    let key = keys.get(&KeyName(name.as_str().into()));
    match key.map(|key| &key.state) {
        Some(KeyState::Ready { chain, .. }) => chain.to_vec(),
        Some(KeyState::Opening | KeyState::Failed) | None => Vec::new(),
    }
}

/// Where a connection names what, below its `authentication`.
type Named<'c> = Vec<(&'static str, &'c Name)>;

fn users(config: &ValidConfig, name: &Name, named: fn(&Connection) -> Named<'_>) -> Vec<User> {
    let connections = config.connections.iter();
    let users = connections.flat_map(|(connection, settings)| {
        let places = named(settings).into_iter().filter(|(_, found)| *found == name);
        places.map(move |(place, _)| User {
            path: format!("/connections/{connection}/authentication/{place}"),
            connection: settings.enabled.then(|| connection.clone()),
        })
    });
    users.collect()
}

/// The names of our certificates of a connection.
fn own(connection: &Connection) -> Named<'_> {
    let certificates = connection.authentication.certificates();
    let names = certificates.map(|(name, _)| name);
    ["certificate", "transition/certificate"]
        .into_iter()
        .zip(names)
        .collect()
}

/// The names of what the peer's certificate must lead to, if it must have one.
fn trusted(connection: &Connection) -> Named<'_> {
    let authentication = &connection.authentication;
    let now = match &authentication.remote {
        PeerProof::PreSharedKey { .. } => None,
        PeerProof::Certificate { peer, .. } => Some(("peer/chain", &peer.trust_name)),
    };
    let transition = authentication.transition.as_ref();
    let next = transition.and_then(|transition| transition.trust.as_ref());
    let next = next.map(|(name, _)| ("transition/chain", name));
    now.into_iter().chain(next).collect()
}
