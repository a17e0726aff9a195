use std::net::IpAddr;

use super::{Endpoint, Identity, Name};
use crate::reader::{Object, Value};

/// How both sides prove who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// The same secret on both sides.
    PreSharedKey {
        /// The name of the secret.
        secret: Name,
        /// Who we say we are.
        local_identity: Identity,
        /// Who the peer must prove to be.
        remote_identity: Identity,
    },
}

impl Authentication {
    /// Our address and the peer's endpoint are the identities that are left out.
    pub(super) fn read(value: &Value<'_>, local: Option<IpAddr>, remote: Option<&Endpoint>) -> Option<Self> {
        let mut object = value.object()?;
        let method = object.required("method", |value| value.word(&[("psk", ())], &["certificate"]));
        object.later(&["certificate", "peer"]);
        let secret = match method {
            Some(()) => object.required("secret", Value::name),
            None => object.take("secret").and_then(|value| value.name()),
        };
        let local_identity = match object.take("local_id") {
            Some(value) => Identity::read(&value),
            None => local.map(Identity::Address),
        };
        let remote_identity = match object.take("remote_id") {
            Some(value) => Identity::read(&value),
            None => remote.and_then(|endpoint| identity_of(endpoint, &object)),
        };
        method?;
        Some(Self::PreSharedKey {
            secret: secret?,
            local_identity: local_identity?,
            remote_identity: remote_identity?,
        })
    }
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
