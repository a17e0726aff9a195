//! How both sides of phase 1 prove who they are: in the same way (RFC 2409 §5).

use crate::wire::v1::registry::authentication;
use crate::{Connection, LocalProof, RemoteProof};

/// A method of authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// By the secret that both have (§5.4).
    PreSharedKey,
    /// By signatures of RSA, with certificates (§5.1).
    RsaSignature,
}

impl Method {
    /// That of a connection; `None` where both sides would have to prove themselves in different ways.
    pub(crate) fn of(settings: &Connection) -> Option<Self> {
        match (&settings.authentication.local, &settings.authentication.remote) {
            (LocalProof::PreSharedKey(_), RemoteProof::PreSharedKey(_)) => Some(Self::PreSharedKey),
            (LocalProof::Certificate(_), RemoteProof::Certificate(_)) => Some(Self::RsaSignature),
            (LocalProof::PreSharedKey(_), RemoteProof::Certificate(_))
            | (LocalProof::Certificate(_), RemoteProof::PreSharedKey(_)) => None,
        }
    }

    /// The value of its attribute.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::PreSharedKey => authentication::PRE_SHARED_KEY,
            Self::RsaSignature => authentication::RSA_SIGNATURE,
        }
    }

    /// The one with this number.
    pub(crate) fn of_number(number: u16) -> Option<Self> {
        match number {
            authentication::PRE_SHARED_KEY => Some(Self::PreSharedKey),
            authentication::RSA_SIGNATURE => Some(Self::RsaSignature),
            _ => None,
        }
    }

    /// What it adds to the words of a proposal.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::PreSharedKey => "",
            Self::RsaSignature => "/RSA_SIG",
        }
    }
}
