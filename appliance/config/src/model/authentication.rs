use super::{Certificate, Endpoint, Identity, LocalAddress, Name, Trust};
use crate::Reason;
use crate::reader::{Collection, Object, Value, shown};

/// How both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The same secret on both sides.
    PreSharedKey {
        /// The name of the secret.
        secret: Name,
        /// Who we say we are; our outer address, where that is known at run time only and nothing else is given.
        local_identity: Option<Identity>,
        /// Who the peer must prove to be.
        remote_identity: Identity,
        /// Another secret, which is mixed into the keys.
        ppk: Option<PostQuantumPresharedKey>,
    },
    /// A certificate on each side.
    Certificate {
        /// The name of ours.
        name: Name,
        /// Ours.
        certificate: Box<Certificate>,
        /// What the peer must have.
        peer: CertificatePeer,
        /// Who we say we are; the subject of our certificate if there is none.
        local_identity: Option<Identity>,
        /// Who the peer must say it is; the subject of its certificate if there is none.
        remote_identity: Option<Identity>,
        /// A secret that is mixed into the keys.
        ppk: Option<PostQuantumPresharedKey>,
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

/// A secret that a quantum computer cannot find (RFC 8784).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostQuantumPresharedKey {
    /// What both sides call it.
    pub id: String,
    /// The name of the secret.
    pub secret: Name,
    /// Whether there is no tunnel without it.
    pub required: bool,
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
/// The longest name of a post-quantum preshared key, in octets.
pub(crate) const LONGEST_ID: usize = 255;
/// The longest common name (RFC 5280, upper bound `ub-common-name`).
const LONGEST_SUBJECT: usize = 64;

/// What an authentication follows from and may refer to.
pub(super) struct Parties<'c> {
    pub(super) local: Option<&'c LocalAddress>,
    pub(super) remote: Option<&'c Endpoint>,
    pub(super) certificates: &'c Collection<Certificate>,
    pub(super) trust: &'c Collection<Trust>,
}

impl Authentication {
    /// Our address and the peer's endpoint are the identities that are left out, with a pre-shared key.
    pub(super) fn read(value: &Value<'_>, parties: &Parties<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let method = object.required("method", |value| value.word(METHOD, &[]));
        match method {
            Some(Method::PreSharedKey) => pre_shared_key(&mut object, parties),
            Some(Method::Certificate) => certificate(&mut object, parties),
            None => {
                object.ignore(&["secret", "certificate", "peer", "local_id", "remote_id", "ppk"]);
                None
            }
        }
    }

    /// The secret that a quantum computer cannot find.
    pub fn ppk(&self) -> Option<&PostQuantumPresharedKey> {
        match self {
            Self::PreSharedKey { ppk, .. } | Self::Certificate { ppk, .. } => ppk.as_ref(),
        }
    }

    /// Whether what was authenticated by `old` stands: only how we prove who we are differs, under the same name, or more
    /// certificates of the peer are believed.
    pub(crate) fn is_served_by(&self, old: &Self) -> bool {
        let (
            Self::Certificate {
                certificate,
                peer,
                local_identity,
                remote_identity,
                ppk,
                ..
            },
            Self::Certificate {
                certificate: old_certificate,
                peer: old_peer,
                local_identity: old_local,
                remote_identity: old_remote,
                ppk: old_ppk,
                ..
            },
        ) = (self, old)
        else {
            return false;
        };
        // Who has the key tells the subject later, where the document has no certificate.
        let subjects = certificate.chain.first().zip(old_certificate.chain.first());
        let named = local_identity.is_some() || subjects.is_none_or(|(new, old)| new.name() == old.name());
        let identities = (local_identity, remote_identity) == (old_local, old_remote);
        named
            && identities
            && (ppk, &peer.subject) == (old_ppk, &old_peer.subject)
            && peer.trust.believes_all_that(&old_peer.trust)
    }

    /// What the peer proves to be, for a human, and in a form that is the same for two that could not be told apart.
    pub(crate) fn expected(&self) -> (String, (u8, String)) {
        match self {
            Self::PreSharedKey { remote_identity, .. }
            | Self::Certificate {
                remote_identity: Some(remote_identity),
                ..
            } => (remote_identity.to_string(), remote_identity.folded()),
            Self::Certificate {
                peer,
                remote_identity: None,
                ..
            } => {
                let subject = format!("CN={}", peer.subject);
                let folded = subject.to_lowercase();
                (subject, (Identity::DISTINGUISHED_NAME, folded))
            }
        }
    }
}

fn pre_shared_key(object: &mut Object<'_>, parties: &Parties<'_>) -> Option<Authentication> {
    let secret = object.required("secret", Value::name);
    let local_identity = match object.take("local_id") {
        Some(value) => Identity::read(&value).map(Some),
        None => parties.local.map(|local| local.known().map(Identity::Address)),
    };
    let remote_identity = match object.take("remote_id") {
        Some(value) => Identity::read(&value),
        None => parties.remote.and_then(|endpoint| identity_of(endpoint, object)),
    };
    let ppk = ppk(object);
    Some(Authentication::PreSharedKey {
        secret: secret?,
        local_identity: local_identity?,
        remote_identity: remote_identity?,
        ppk: ppk?,
    })
}

fn certificate(object: &mut Object<'_>, parties: &Parties<'_>) -> Option<Authentication> {
    let certificate = object.required("certificate", |value| {
        parties.certificates.follow(value, "certificate")
    });
    let peer = object.required("peer", |value| CertificatePeer::read(value, parties.trust));
    let local_identity = object.optional("local_id", None, |value| Identity::read(value).map(Some));
    let remote_identity = object.optional("remote_id", None, |value| Identity::read(value).map(Some));
    let ppk = ppk(object);
    let (name, certificate) = certificate?;
    Some(Authentication::Certificate {
        name,
        certificate: certificate.into(),
        peer: peer?,
        local_identity: local_identity?,
        remote_identity: remote_identity?,
        ppk: ppk?,
    })
}

fn ppk(object: &mut Object<'_>) -> Option<Option<PostQuantumPresharedKey>> {
    object.optional("ppk", None, |value| {
        PostQuantumPresharedKey::read(value).map(Some)
    })
}

impl CertificatePeer {
    fn read(value: &Value<'_>, trust: &Collection<Trust>) -> Option<Self> {
        let mut object = value.object()?;
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

impl PostQuantumPresharedKey {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let id = object.required("id", ppk_id);
        let secret = object.required("secret", Value::name);
        let required = object.optional("required", true, Value::boolean);
        Some(Self {
            id: id?,
            secret: secret?,
            required: required?,
        })
    }
}

fn ppk_id(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    let fits = (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits {
        let detail = format!(
            "\"{}\": expected 1 to {LONGEST_ID} printable ASCII characters without spaces",
            shown(text)
        );
        value.problem(Reason::InvalidIdentity, detail);
    }
    fits.then(|| text.to_owned())
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
