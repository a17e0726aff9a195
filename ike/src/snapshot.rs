use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use crate::{
    ChildId, ConnectionName, Encapsulation, Identity, Outage, SelectorLine, TrafficSelector, Version2Trial,
};

/// A read-only view for status.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Every configured connection, up or not.
    pub connections: BTreeMap<ConnectionName, ConnectionSnapshot>,
    /// Messages dropped, by cause, since the start.
    pub drops: BTreeMap<DropCause, u64>,
    /// IKE SAs as responder that have not authenticated.
    pub half_open: usize,
}

/// One connection.
#[derive(Debug, Clone)]
pub struct ConnectionSnapshot {
    /// Where it stands.
    pub state: ConnectionState,
    /// Since when it stands there.
    pub since: Instant,
    /// The last outage; kept while the next attempt is under way, gone once up. Of a connection that is up, what does
    /// not work although traffic flows.
    pub outage: Option<Outage>,
    /// The IKE SA that carries or will carry the connection.
    pub ike: Option<IkeSnapshot>,
    /// Whether and when both sides prove anew who they are.
    pub reauthentication: ReauthenticationSnapshot,
    /// Whether the peer answers IKEv2, if somebody tried that with a connection of IKEv1.
    pub version_2: Option<Version2Trial>,
    /// Its Child SAs.
    pub children: Vec<ChildSnapshot>,
    /// The weak algorithms that it uses or may use, those in use first.
    pub weak: Vec<WeakAlgorithm>,
    /// Its selector lines, as configured.
    pub lines: Vec<LineSnapshot>,
}

/// A new IKE SA in the place of the one that a connection runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReauthenticationSnapshot {
    /// When we begin; `None` if nobody asks for it.
    pub due: Option<Instant>,
    /// Either side has begun; both IKE SAs may be there.
    pub under_way: bool,
    /// Why our last attempt came to nothing; it is tried again.
    pub outage: Option<Outage>,
}

/// One selector line of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSnapshot {
    /// Our side.
    pub local: Vec<TrafficSelector>,
    /// The peer's side.
    pub remote: Vec<TrafficSelector>,
    /// Where it stands.
    pub standing: LineStanding,
}

impl LineSnapshot {
    pub(crate) fn new(line: &SelectorLine, standing: LineStanding) -> Self {
        let (local, remote) = (line.local.clone(), line.remote.clone());
        Self {
            local,
            remote,
            standing,
        }
    }
}

/// Where a selector line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineStanding {
    /// The datapath carries a Child SA of it.
    Up,
    /// Its Child SA is made when a packet wants through.
    Waiting,
    /// Its Child SA is being made, or will be with the tunnel.
    Pending,
    /// Its Child SA could not be made, or is gone, for this reason.
    Refused(Outage),
}

/// An algorithm that nobody should choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeakAlgorithm {
    /// Its name, as in the names of algorithms of SAs.
    pub algorithm: String,
    /// What is wrong with it.
    pub why: &'static str,
    /// An SA uses it now; else the settings only allow it.
    pub in_use: bool,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// No attempt is under way.
    Down,
    /// An exchange is under way.
    Connecting,
    /// It has a Child SA that the datapath carries.
    Up,
}

/// One IKE SA.
#[derive(Debug, Clone)]
pub struct IkeSnapshot {
    /// The initiator's SPI.
    pub initiator_spi: u64,
    /// The responder's SPI; 0 until known.
    pub responder_spi: u64,
    /// We started it.
    pub initiator: bool,
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The peer's identity, once proved.
    pub remote_identity: Option<Identity>,
    /// The algorithms in words, such as `AES_GCM_16_128/PRF_HMAC_SHA2_256/X25519`; empty until agreed.
    pub algorithms: String,
    /// A NAT stands before us, as NAT detection says (RFC 7296 §2.23).
    pub nat_local: bool,
    /// A NAT stands before the peer.
    pub nat_remote: bool,
    /// What beyond RFC 7296 both sides use, in the order of their documents.
    pub extensions: Vec<Extension>,
    /// When we begin to replace it, unless the peer does before; `None` until it is established.
    pub rekey: Option<Instant>,
}

/// What two peers may use beyond RFC 7296.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extension {
    /// IKE_AUTH may make an IKE SA alone (RFC 6023).
    Childless,
    /// IKE messages too long for one packet travel in several (RFC 7383).
    Fragmentation,
    /// Which hashes signatures may use was said (RFC 7427).
    SignatureHashes,
    /// A post-quantum preshared key is mixed into the keys (RFC 8784).
    PostQuantumPresharedKey,
    /// More exchanges may come between IKE_SA_INIT and IKE_AUTH (RFC 9242).
    Intermediate,
    /// The IKE SA may move to other addresses (RFC 4555).
    Mobility,
}

impl Extension {
    /// The extension in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Childless => "childless",
            Self::SignatureHashes => "signature-hashes",
            Self::PostQuantumPresharedKey => "ppk",
            Self::Fragmentation => "fragmentation",
            Self::Intermediate => "intermediate",
            Self::Mobility => "mobike",
        }
    }
}

/// One Child SA.
#[derive(Debug, Clone)]
pub struct ChildSnapshot {
    /// Its id.
    pub id: ChildId,
    /// Our SPI.
    pub inbound_spi: u32,
    /// The peer's SPI.
    pub outbound_spi: u32,
    /// The algorithms in words.
    pub algorithms: String,
    /// How its packets travel.
    pub encapsulation: Encapsulation,
    /// Our side.
    pub local_selectors: Vec<TrafficSelector>,
    /// The peer's side.
    pub remote_selectors: Vec<TrafficSelector>,
    /// Since when.
    pub since: Instant,
    /// When we begin to replace it, unless the peer does before.
    pub rekey: Instant,
}

/// Why a message was dropped, or answered without changing any state, or what of it was not heeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DropCause {
    /// The header or a payload is not what RFC 7296 §3, or RFC 2408 §3, says.
    Malformed,
    /// A major version other than 2 (§2.5).
    UnsupportedVersion,
    /// A payload that we do not know and that is marked critical (§2.5).
    UnsupportedCriticalPayload,
    /// No IKE SA has this SPI (§2.21.4).
    UnknownSpi,
    /// It says without protection that an SA is unknown: a hint, after which the peer may be asked (§2.21.4).
    Unprotected,
    /// The integrity checksum is wrong (§2.21.2).
    IntegrityFailed,
    /// A fragment that is there already, or of a message that is too long or divided otherwise (RFC 7383 §2.6).
    UnexpectedFragment,
    /// The message id is outside the window, or an answer to nothing (§2.3).
    UnexpectedMessageId,
    /// The exchange does not fit the state of the SA.
    UnexpectedExchange,
    /// No connection is configured between these addresses.
    NoConnection,
    /// Aggressive mode of IKEv1, which no connection between these addresses allows.
    AggressiveMode,
    /// IKEv1: somebody whom no connection expects, or whose identity is none; aggressive mode answers as it answers everybody.
    UnknownIdentity,
    /// The commit bit of IKEv1, which nothing protects: the message was taken as if it were not there.
    CommitBit,
    /// Too many half-open IKE SAs (§2.6).
    HalfOpenLimit,
    /// The cookie is missing or wrong; a new one was sent (§2.6).
    Cookie,
}

impl DropCause {
    /// The cause in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnsupportedVersion => "unsupported-version",
            Self::UnsupportedCriticalPayload => "unsupported-critical-payload",
            Self::UnknownSpi => "unknown-spi",
            Self::Unprotected => "unprotected",
            Self::IntegrityFailed => "integrity-failed",
            Self::UnexpectedFragment => "unexpected-fragment",
            Self::UnexpectedMessageId => "unexpected-message-id",
            Self::UnexpectedExchange => "unexpected-exchange",
            Self::NoConnection => "no-connection",
            Self::AggressiveMode => "aggressive-mode",
            Self::UnknownIdentity => "unknown-identity",
            Self::CommitBit => "commit-bit",
            Self::HalfOpenLimit => "half-open-limit",
            Self::Cookie => "cookie",
        }
    }
}
