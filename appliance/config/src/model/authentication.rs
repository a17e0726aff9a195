use super::{
    Certificate, Endpoint, Identity, LocalAddress, Name, Phase, PostQuantumPresharedKey, Signatures,
    Transition, Trust,
};
use crate::Reason;
use crate::reader::{Collection, Object, Value};

/// How both sides prove who they are. Each may do so in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// How we do.
    pub local: OwnProof,
    /// How the peer is to.
    pub remote: PeerProof,
    /// How certificates are proved.
    pub signatures: Signatures,
    /// When both sides go over to other certificates.
    pub transition: Option<Box<Transition>>,
    /// A secret that is mixed into the keys.
    pub ppk: Option<PostQuantumPresharedKey>,
}

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnProof {
    /// By a secret that both sides have.
    PreSharedKey {
        /// The name of the secret.
        secret: Name,
        /// Who we say we are; our outer address, where that is known at run time only and nothing else is given.
        identity: Option<Identity>,
    },
    /// By a certificate.
    Certificate {
        /// Its name.
        name: Name,
        /// The certificate.
        certificate: Box<Certificate>,
        /// Who we say we are; the subject of our certificate if there is none.
        identity: Option<Identity>,
    },
}

/// How the peer is to prove who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerProof {
    /// By a secret that both sides have.
    PreSharedKey {
        /// The name of the secret.
        secret: Name,
        /// Who the peer must be.
        identity: Identity,
    },
    /// By a certificate.
    Certificate {
        /// The certificate that it must have.
        peer: CertificatePeer,
        /// Who the peer must say it is; the subject of its certificate if there is none.
        identity: Option<Identity>,
    },
}

/// The certificate that a peer must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePeer {
    /// The common name of its subject.
    pub subject: String,
    /// The name of what it must lead to.
    pub trust_name: Name,
    /// What it must lead to.
    pub trust: Trust,
}

#[derive(Clone, Copy)]
pub(crate) enum Method {
    PreSharedKey,
    Certificate,
}

pub(crate) const METHOD: &[(&str, Method)] = &[
    ("psk", Method::PreSharedKey),
    ("certificate", Method::Certificate),
];
/// The longest common name (RFC 5280, upper bound `ub-common-name`).
const LONGEST_SUBJECT: usize = 64;

/// What an authentication follows from and may refer to.
pub(super) struct Parties<'c> {
    pub(super) local: Option<&'c LocalAddress>,
    pub(super) remote: Option<&'c Endpoint>,
    pub(super) certificates: &'c Collection<Certificate>,
    pub(super) trust: &'c Collection<Trust>,
}

/// What an authentication says of the peer, besides who it must be.
enum Peer {
    PreSharedKey(Name),
    Certificate(CertificatePeer),
}

impl Authentication {
    /// Our address and the peer's endpoint are the identities that are left out, with a pre-shared key.
    pub(super) fn read(value: &Value<'_>, parties: &Parties<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let method = object.required("method", |value| value.word(METHOD, &[]));
        let Some(method) = method else {
            object.ignore(&[
                "secret",
                "certificate",
                "peer",
                "local_id",
                "remote_id",
                "ppk",
                "signatures",
                "transition",
            ]);
            return None;
        };
        let local = own(&mut object, method, parties);
        let peer = peer(&mut object, local.as_ref(), method, parties);
        let remote = proof_of(peer, &mut object, parties);
        let ppk = object.optional("ppk", None, |value| {
            PostQuantumPresharedKey::read(value).map(Some)
        });
        let signatures = signatures(&mut object, method, remote.as_ref());
        let transition = transition(&mut object, local.as_ref(), remote.as_ref(), parties);
        Some(Self {
            local: local?,
            remote: remote?,
            signatures: signatures?,
            transition: transition?,
            ppk: ppk?,
        })
    }

    /// The certificate of ours that proves who we are at this time, in seconds of UNIX time, with its name.
    pub fn certificate(&self, unix_s: Option<u64>) -> Option<(&Name, &Certificate)> {
        let transition = self.transition.as_ref();
        let begun = transition.filter(|transition| transition.phase(unix_s) != Phase::Before);
        match (
            &self.local,
            begun.and_then(|transition| transition.certificate.as_ref()),
        ) {
            (OwnProof::Certificate { .. }, Some((name, next))) => Some((name, next)),
            (
                OwnProof::Certificate {
                    name, certificate, ..
                },
                None,
            ) => Some((name, certificate)),
            (OwnProof::PreSharedKey { .. }, _) => None,
        }
    }

    /// All certificates of ours that prove who we are at some time, with their names.
    pub fn certificates(&self) -> impl Iterator<Item = (&Name, &Certificate)> {
        let next = self
            .transition
            .as_ref()
            .and_then(|transition| transition.certificate.as_ref());
        let next = next.map(|(name, certificate)| (name, &**certificate));
        self.certificate(None).into_iter().chain(next)
    }

    /// What a certificate of the peer may lead to at this time, in seconds of UNIX time; none where it has none.
    pub fn believed(&self, unix_s: Option<u64>) -> Vec<&Trust> {
        let PeerProof::Certificate { peer, .. } = &self.remote else {
            return Vec::new();
        };
        let next = self.transition.as_ref().and_then(|transition| {
            let (_, trust) = transition.trust.as_ref()?;
            Some((transition.phase(unix_s), trust))
        });
        match next {
            None | Some((Phase::Before, _)) => vec![&peer.trust],
            Some((Phase::During, next)) => vec![&peer.trust, next],
            Some((Phase::After, next)) => vec![next],
        }
    }

    /// The name of the secret that both sides have, if one of them proves itself by it.
    pub fn pre_shared_key(&self) -> Option<&Name> {
        match (&self.local, &self.remote) {
            (OwnProof::PreSharedKey { secret, .. }, _) | (_, PeerProof::PreSharedKey { secret, .. }) => {
                Some(secret)
            }
            (OwnProof::Certificate { .. }, PeerProof::Certificate { .. }) => None,
        }
    }

    /// Whether what was authenticated by `old` stands: only how we prove who we are differs, under the same name, or more
    /// certificates of the peer are believed. When a transition changes what, only who must be believed is decided then.
    pub(crate) fn is_served_by(&self, old: &Self) -> bool {
        self.local.is_served_by(&old.local) && self.remote.is_served_by(&old.remote) && self.ppk == old.ppk
    }

    /// What the peer proves to be, for a human, and in a form that is the same for two that could not be told apart.
    pub(crate) fn expected(&self) -> (String, (u8, String)) {
        match &self.remote {
            PeerProof::PreSharedKey { identity, .. }
            | PeerProof::Certificate {
                identity: Some(identity),
                ..
            } => (identity.to_string(), identity.folded()),
            PeerProof::Certificate { peer, identity: None } => {
                let subject = format!("CN={}", peer.subject);
                let folded = subject.to_lowercase();
                (subject, (Identity::DISTINGUISHED_NAME, folded))
            }
        }
    }
}

impl OwnProof {
    fn is_served_by(&self, old: &Self) -> bool {
        let (
            Self::Certificate {
                certificate,
                identity,
                ..
            },
            Self::Certificate {
                certificate: old_certificate,
                identity: old_identity,
                ..
            },
        ) = (self, old)
        else {
            return self == old;
        };
        // Who has the key tells the subject later, where the document has no certificate.
        let subjects = certificate.chain.first().zip(old_certificate.chain.first());
        let named = identity.is_some() || subjects.is_none_or(|(new, old)| new.name() == old.name());
        named && identity == old_identity
    }
}

impl PeerProof {
    fn is_served_by(&self, old: &Self) -> bool {
        let (
            Self::Certificate { peer, identity },
            Self::Certificate {
                peer: old_peer,
                identity: old_identity,
            },
        ) = (self, old)
        else {
            return self == old;
        };
        (identity, &peer.subject) == (old_identity, &old_peer.subject)
            && peer.trust.believes_all_that(&old_peer.trust)
    }
}

/// How we prove who we are.
fn own(object: &mut Object<'_>, method: Method, parties: &Parties<'_>) -> Option<OwnProof> {
    match method {
        Method::PreSharedKey => {
            let secret = object.required("secret", Value::name);
            let identity = match object.take("local_id") {
                Some(value) => Identity::read(&value).map(Some),
                None => parties.local.map(|local| local.known().map(Identity::Address)),
            };
            Some(OwnProof::PreSharedKey {
                secret: secret?,
                identity: identity?,
            })
        }
        Method::Certificate => {
            let certificate = object.required("certificate", |value| {
                parties.certificates.follow(value, "certificate")
            });
            let identity = object.optional("local_id", None, |value| Identity::read(value).map(Some));
            let (name, certificate) = certificate?;
            Some(OwnProof::Certificate {
                name,
                certificate: certificate.into(),
                identity: identity?,
            })
        }
    }
}

/// How the peer is to prove who it is: as `peer` says, or by the secret by which we do.
fn peer(
    object: &mut Object<'_>,
    local: Option<&OwnProof>,
    method: Method,
    parties: &Parties<'_>,
) -> Option<Peer> {
    match method {
        Method::PreSharedKey => match object.take("peer") {
            Some(value) => CertificatePeer::read(&value, parties.trust).map(Peer::Certificate),
            None => match local? {
                OwnProof::PreSharedKey { secret, .. } => Some(Peer::PreSharedKey(secret.clone())),
                OwnProof::Certificate { .. } => None,
            },
        },
        Method::Certificate => object.required("peer", |value| Peer::read(value, parties.trust)),
    }
}

fn proof_of(peer: Option<Peer>, object: &mut Object<'_>, parties: &Parties<'_>) -> Option<PeerProof> {
    let written = object.take("remote_id").map(|value| Identity::read(&value));
    match peer? {
        Peer::PreSharedKey(secret) => {
            let implied = || parties.remote.and_then(|endpoint| identity_of(endpoint, object));
            Some(PeerProof::PreSharedKey {
                secret,
                identity: written.unwrap_or_else(implied)?,
            })
        }
        Peer::Certificate(peer) => {
            let identity = match written {
                Some(read) => Some(read?),
                None => None,
            };
            Some(PeerProof::Certificate { peer, identity })
        }
    }
}

/// When both sides go over to other certificates, where they have some.
fn transition(
    object: &mut Object<'_>,
    local: Option<&OwnProof>,
    remote: Option<&PeerProof>,
    parties: &Parties<'_>,
) -> Option<Option<Box<Transition>>> {
    let read = object.optional("transition", None, |value| {
        Transition::read(value, parties).map(|transition| Some(transition.into()))
    })?;
    let read: Option<Box<Transition>> = read;
    let Some(transition) = &read else {
        return Some(None);
    };
    let ours = transition.certificate.is_some() && matches!(local, Some(OwnProof::PreSharedKey { .. }));
    let theirs = transition.trust.is_some() && matches!(remote, Some(PeerProof::PreSharedKey { .. }));
    if ours || theirs {
        let detail = "has no meaning for a side that has a pre-shared key";
        object.faulty("transition", Reason::ConflictingKeys, detail);
        return None;
    }
    Some(read)
}

/// How certificates are proved, where a side has one.
fn signatures(object: &mut Object<'_>, method: Method, remote: Option<&PeerProof>) -> Option<Signatures> {
    let by_secrets = matches!(
        (method, remote),
        (Method::PreSharedKey, Some(PeerProof::PreSharedKey { .. }))
    );
    let written = object.take("signatures");
    if by_secrets && written.is_some() {
        object.faulty(
            "signatures",
            Reason::ConflictingKeys,
            "has no meaning where both sides have a pre-shared key",
        );
        return None;
    }
    written.map_or_else(|| Some(Signatures::default()), |value| Signatures::read(&value))
}

impl Peer {
    /// Beside a certificate of ours the peer may have one too, or a pre-shared key.
    fn read(value: &Value<'_>, trust: &Collection<Trust>) -> Option<Self> {
        let mut object = value.object()?;
        if let Some(secret) = object.take("secret") {
            return secret.name().map(Self::PreSharedKey);
        }
        CertificatePeer::of(&mut object, trust).map(Self::Certificate)
    }
}

impl CertificatePeer {
    fn read(value: &Value<'_>, trust: &Collection<Trust>) -> Option<Self> {
        Self::of(&mut value.object()?, trust)
    }

    fn of(object: &mut Object<'_>, trust: &Collection<Trust>) -> Option<Self> {
        let subject = object.required("subject", common_name);
        let chain = object.required("chain", |value| trust.follow(value, "trust"));
        let (trust_name, trust) = chain?;
        Some(Self {
            subject: subject?,
            trust_name,
            trust,
        })
    }
}

/// A common name, with `CN=` before it or without.
fn common_name(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let name = text.strip_prefix("CN=").unwrap_or(text);
    let plain = !name.contains('=') && !name.chars().any(char::is_control) && name.trim() == name;
    if plain && (1..=LONGEST_SUBJECT).contains(&name.chars().count()) {
        return Some(name.to_owned());
    }
    let detail = format!("expected the common name alone, 1 to {LONGEST_SUBJECT} characters");
    value.wrong(Reason::InvalidIdentity, text, &detail)
}

/// What a peer is expected to call itself that is there.
fn identity_of(endpoint: &Endpoint, object: &Object<'_>) -> Option<Identity> {
    match endpoint {
        Endpoint::Address(address) => Some(Identity::Address(*address)),
        Endpoint::Name(host) => Some(Identity::Fqdn(host.clone())),
        Endpoint::Any => {
            let detail = "\"remote_id\" must be given: nothing else tells a peer that comes from anywhere";
            object.lacks("remote_id", detail);
            None
        }
    }
}
