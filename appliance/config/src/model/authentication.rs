use super::{Endpoint, Identity, LocalAddress, Name};
use crate::Reason;
use crate::reader::{Object, Value, shown};

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

pub(crate) const METHOD: &[(&str, ())] = &[("psk", ())];
/// The longest name of a post-quantum preshared key, in octets.
pub(crate) const LONGEST_ID: usize = 255;

impl Authentication {
    /// Our address and the peer's endpoint are the identities that are left out.
    pub(super) fn read(
        value: &Value<'_>,
        local: Option<&LocalAddress>,
        remote: Option<&Endpoint>,
    ) -> Option<Self> {
        let mut object = value.object()?;
        let method = object.required("method", |value| value.word(METHOD, &["certificate"]));
        object.later(&["certificate", "peer"]);
        let secret = match method {
            Some(()) => object.required("secret", Value::name),
            None => object.take("secret").and_then(|value| value.name()),
        };
        let local_identity = match object.take("local_id") {
            Some(value) => Identity::read(&value).map(Some),
            None => local.map(|local| local.known().map(Identity::Address)),
        };
        let remote_identity = match object.take("remote_id") {
            Some(value) => Identity::read(&value),
            None => remote.and_then(|endpoint| identity_of(endpoint, &object)),
        };
        let ppk = match object.take("ppk") {
            Some(value) => PostQuantumPresharedKey::read(&value).map(Some),
            None => Some(None),
        };
        method?;
        Some(Self::PreSharedKey {
            secret: secret?,
            local_identity: local_identity?,
            remote_identity: remote_identity?,
            ppk: ppk?,
        })
    }
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
