use appliance_config::Approach;
use appliance_config::model::{Role, Trust};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::policy::{LocalDevice, Policy};
use super::throttle::Source;
use crate::https::Place;
use crate::store::Author;

/// By which way a request came.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    /// Over the control socket, from a process of this user, as the kernel says (SO_PEERCRED).
    Socket(Option<u32>),
    /// Over the network.
    Network {
        /// From where.
        remote: SocketAddr,
        /// To which address of ours.
        local: SocketAddr,
        /// The device that has it.
        device: Option<Arc<LocalDevice>>,
        /// The certificate that was verified, if there is one.
        certificate: Option<Arc<Verified>>,
        /// Its place among the connections.
        place: Arc<Place>,
    },
}

/// What a client has proved by a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The common name.
    pub(crate) name: String,
    /// What it was believed by; it says nothing any more where the document has another.
    pub(crate) trust: Trust,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody who is known.
    Nobody,
    /// A user of the machine.
    Uid(u32),
    /// A user of the document.
    User(String),
    /// A token.
    Token {
        /// Its name.
        name: String,
        /// Whose it is.
        user: String,
    },
}

/// How it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// By nothing, or by the way that the request came.
    Arrival,
    /// By a cookie: the hash of it.
    Session([u8; 32]),
    /// By a token with this scope.
    Token(String),
}

/// Who asks, by which way, and what they may do.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Who.
    pub(crate) identity: Identity,
    /// How it was shown.
    pub(crate) proof: Proof,
    /// What they may do; nothing if they are not known.
    pub(crate) role: Option<Role>,
    /// By which way.
    pub(crate) arrival: Arrival,
}

impl Arrival {
    /// The address, if it has one.
    pub(crate) fn remote(&self) -> Option<IpAddr> {
        match self {
            Self::Socket(_) => None,
            Self::Network { remote, .. } => Some(remote.ip().to_canonical()),
        }
    }

    /// With what the certificate of the client says, if it has shown one.
    pub(crate) fn with_certificate(self, verified: Option<Verified>) -> Self {
        match self {
            Self::Socket(_) => self,
            Self::Network {
                remote,
                local,
                device,
                certificate: _,
                place,
            } => Self::Network {
                remote,
                local,
                device,
                certificate: verified.map(Arc::new),
                place,
            },
        }
    }

    /// Whether its client has proved by a certificate who it is. Browsers show one to whatever page asks them to.
    pub(crate) fn has_certificate(&self) -> bool {
        match self {
            Self::Socket(_) => false,
            Self::Network { certificate, .. } => certificate.is_some(),
        }
    }

    /// Whether a document lets it in.
    pub(crate) fn is_let_in(&self, policy: &Policy) -> bool {
        match self {
            Self::Socket(_) => true,
            Self::Network { remote, device, .. } => policy.lets_in(remote.ip(), device.as_deref()),
        }
    }

    /// What attempts are counted by.
    pub(super) fn source(&self) -> Source {
        Source::of(self.remote())
    }

    /// In words, for the audit log.
    pub(crate) fn words(&self) -> String {
        self.remote()
            .map_or_else(|| "socket".to_owned(), |address| address.to_string())
    }
}

impl Caller {
    /// Somebody who showed nothing.
    pub(crate) fn nobody(arrival: Arrival) -> Self {
        Self {
            identity: Identity::Nobody,
            proof: Proof::Arrival,
            role: None,
            arrival,
        }
    }

    /// As author of what is written.
    pub(crate) fn author(&self) -> Author {
        let who = match &self.identity {
            Identity::Nobody => "nobody".to_owned(),
            Identity::Uid(user) => format!("uid {user}"),
            Identity::User(name) => name.clone(),
            Identity::Token { name, user } => format!("token {name} of {user}"),
        };
        Author {
            who,
            source: self.arrival.words(),
        }
    }

    /// By which way they come, if it is the network.
    pub(crate) fn approach(&self, policy: &Policy) -> Option<Approach> {
        match &self.arrival {
            Arrival::Socket(_) => None,
            Arrival::Network {
                remote,
                local,
                device,
                ..
            } => Some(Approach {
                remote: remote.ip(),
                local: *local,
                interface: device
                    .as_deref()
                    .and_then(|device| policy.interface(device))
                    .map(str::to_owned),
                user: self.user().map(str::to_owned),
            }),
        }
    }

    /// The user of the document that they are, or act for.
    pub(crate) fn user(&self) -> Option<&str> {
        match &self.identity {
            Identity::Nobody | Identity::Uid(_) => None,
            Identity::User(user) | Identity::Token { user, .. } => Some(user),
        }
    }
}
