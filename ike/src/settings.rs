use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretSlice};
use subtle::ConstantTimeEq;

use crate::TrafficSelector;
use crate::crypto::{Encryption, Group, Integrity, Prf};

/// The name of a connection in the configuration document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionName(pub Arc<str>);

/// All that the engine is to run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The connections by name.
    pub connections: BTreeMap<ConnectionName, Connection>,
    /// Bounds on what unauthenticated peers may cost.
    pub limits: Limits,
}

/// One connection to one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Our address and IKE port, normally 500; from there NAT traversal moves to 4500 of the same address.
    pub local: SocketAddr,
    /// The peer's address and IKE port, normally 500.
    pub remote: SocketAddr,
    /// Who may start the first IKE SA.
    pub mode: Mode,
    /// Who we say we are.
    pub local_identity: Identity,
    /// Who the peer must prove to be.
    pub remote_identity: Identity,
    /// How both sides prove it.
    pub authentication: Authentication,
    /// IKE proposals, most wanted first.
    pub ike_proposals: Vec<IkeProposal>,
    /// ESP proposals, most wanted first.
    pub esp_proposals: Vec<EspProposal>,
    /// Inner addresses on our side.
    pub local_selectors: Vec<TrafficSelector>,
    /// Inner addresses on the peer's side.
    pub remote_selectors: Vec<TrafficSelector>,
    /// Encapsulate in UDP although no NAT was found (by sending a NAT detection hash that cannot match).
    pub force_encapsulation: bool,
    /// How long the peer may be silent before it is taken for dead.
    pub dpd_timeout: Duration,
    /// How long an IKE SA may live; it is replaced when between eight and nine tenths of this have passed.
    pub ike_lifetime: Duration,
    /// How long a Child SA may live; it is replaced as an IKE SA is.
    pub child_lifetime: Duration,
}

impl Connection {
    /// The usual lifetime of an IKE SA, as Azure VPN Gateway has it.
    pub const IKE_LIFETIME: Duration = Duration::from_secs(28_800);
    /// The usual lifetime of a Child SA, as Azure VPN Gateway has it.
    pub const CHILD_LIFETIME: Duration = Duration::from_secs(27_000);
}

/// Who may start the first IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Both sides.
    Default,
    /// Only we; the peer's IKE_SA_INIT is refused.
    InitiatorOnly,
    /// Only the peer.
    ResponderOnly,
}

/// An identity as it stands in an ID payload (RFC 7296 §3.5).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identity {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
    /// ID_KEY_ID.
    KeyId(Vec<u8>),
}

/// How both sides prove who they are.
#[derive(Clone)]
pub enum Authentication {
    /// The same secret on both sides (RFC 7296 §2.15).
    PreSharedKey(SecretSlice<u8>),
}

impl PartialEq for Authentication {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        let (Self::PreSharedKey(ours), Self::PreSharedKey(theirs)) = (self, other);
        ours.expose_secret().ct_eq(theirs.expose_secret()).into()
    }
}

impl Eq for Authentication {}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreSharedKey(_) => "PreSharedKey",
        })
    }
}

/// One combination for the IKE SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeProposal {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The authenticator; `None` for AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// The pseudo-random function.
    pub prf: Prf,
    /// Key-exchange groups, most wanted first.
    pub groups: Vec<Group>,
}

/// One combination for Child SAs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EspProposal {
    /// The cipher with its key length.
    pub encryption: Encryption,
    /// The authenticator; `None` for AEAD ciphers.
    pub integrity: Option<Integrity>,
    /// Offer 64-bit sequence numbers before 32-bit ones.
    pub extended_sequence_numbers: bool,
    /// Groups for a key exchange of its own at each rekey (perfect forward secrecy), most wanted first; none for none.
    pub groups: Vec<Group>,
}

/// Bounds on what unauthenticated peers may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// IKE SAs as responder that have not authenticated; more than this are refused.
    pub half_open: usize,
    /// From how many half-open IKE SAs on a cookie is asked for (RFC 7296 §2.6).
    pub cookie_threshold: usize,
    /// How long an unauthenticated IKE SA is kept.
    pub half_open_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 1000,
            cookie_threshold: 32,
            half_open_timeout: Duration::from_secs(30),
        }
    }
}
