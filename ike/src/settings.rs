use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::crypto::{Encryption, Group, Integrity, Prf};
use crate::{Authentication, PeerCertificate, PostQuantumPresharedKey, TrafficSelector};

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
    /// What lies behind peers: packets to there go into tunnels, so no peer can be reached at an address of these.
    pub inside: Vec<IpNet>,
    /// Whether the datapath carries on while nobody runs the engine: peers are told so where they are told of a first contact.
    pub carries_on: bool,
}

/// One connection to one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The version of IKE that it speaks: for good, and no other.
    pub version: Version,
    /// IKEv1: phase 1 begins by aggressive mode, and the peer may begin so too. It is weak: whoever asks gets a hash to try secrets on,
    /// and who both sides are is said in clear text.
    pub aggressive: bool,
    /// Our address and IKE port, normally 500; from there NAT traversal moves to 4500 of the same address.
    pub local: SocketAddr,
    /// Where the peer is.
    pub remote: Remote,
    /// Who may start the first IKE SA.
    pub mode: Mode,
    /// Who we say we are.
    pub local_identity: Identity,
    /// Who the peer must prove to be.
    pub remote_identity: ExpectedIdentity,
    /// How both sides prove it.
    pub authentication: Authentication,
    /// A secret that is mixed into the keys besides.
    pub ppk: Option<PostQuantumPresharedKey>,
    /// Whether the first Child SA is made in IKE_AUTH.
    pub childless: Childless,
    /// IKE proposals, most wanted first.
    pub ike_proposals: Vec<IkeProposal>,
    /// ESP proposals, most wanted first.
    pub esp_proposals: Vec<EspProposal>,
    /// ESP proposals for Child SAs that the peer asks for, most wanted first; empty for the same.
    pub responder_esp_proposals: Vec<EspProposal>,
    /// What may pass, one Child SA each; never empty, and the first line comes up with the tunnel.
    pub lines: Vec<SelectorLine>,
    /// What of the peer's selectors is taken when it proposes them.
    pub responder_selectors: ResponderSelectors,
    /// Encapsulate in UDP although no NAT was found (by sending a NAT detection hash that cannot match).
    pub force_encapsulation: bool,
    /// The IKE SA may move to other addresses (RFC 4555), of ours to these; `None` if it may not.
    pub mobike: Option<Vec<IpAddr>>,
    /// Go to another gateway where the peer says so (RFC 5685); it must prove the same identity.
    pub allow_redirect: bool,
    /// How many octets an IP packet with an IKE message may have; longer messages go in fragments (RFC 7383).
    pub fragment_size: u16,
    /// How long the peer may be silent before it is taken for dead.
    pub dpd_timeout: Duration,
    /// IKEv1: after how long without a packet in either direction all SAs are closed, until one wants through; `None` for never. Where
    /// only the peer may start, it is left to that.
    pub idle_timeout: Option<Duration>,
    /// How long an IKE SA may live; it is replaced when between eight and nine tenths of this have passed.
    pub ike_lifetime: Duration,
    /// How long both sides believe what they proved: a new IKE SA takes the place of the old one, make before break, when
    /// between eight and nine tenths of this have passed (RFC 7296 §2.8.3); `None` for ever, unless the peer says how long
    /// (RFC 4478).
    pub reauthentication: Option<Duration>,
    /// The same at once where the certificate changes by which we prove who we are.
    pub reauthenticate_on_renewal: bool,
    /// How long a Child SA may live; it is replaced as an IKE SA is.
    pub child_lifetime: Duration,
    /// How many octets one direction of a Child SA may carry; `None` for as many as its algorithm bears.
    pub child_octets: Option<u64>,
    /// How many packets one direction of a Child SA may carry; `None` for as many as its algorithm bears.
    pub child_packets: Option<u64>,
}

impl Connection {
    /// The usual lifetime of an IKE SA, as Azure VPN Gateway has it.
    pub const IKE_LIFETIME: Duration = Duration::from_secs(28_800);
    /// The usual lifetime of a Child SA, as Azure VPN Gateway has it.
    pub const CHILD_LIFETIME: Duration = Duration::from_secs(27_000);

    /// The usual size of a packet with a fragment: what every IPv6 path carries, and nearly every IPv4 path.
    pub const FRAGMENT_SIZE: u16 = 1280;

    /// A connection between two addresses with the usual settings, each side named by its address, without proposals:
    /// any IPv4 packet may pass. What else is to be said is said over it (`Connection { mode, ..Connection::between(…) }`).
    pub fn between(local: SocketAddr, remote: SocketAddr, authentication: Authentication) -> Self {
        let remote_identity = Identity::Address(remote.ip());
        Self::with_peer(local, Remote::Address(remote), remote_identity, authentication)
    }

    /// The same with a peer of which no more than this is known.
    pub fn with_peer(
        local: SocketAddr,
        remote: Remote,
        remote_identity: impl Into<ExpectedIdentity>,
        authentication: Authentication,
    ) -> Self {
        let any = vec![TrafficSelector::any_ipv4()];
        Self {
            version: Version::V2,
            aggressive: false,
            local,
            remote,
            mode: Mode::Default,
            local_identity: Identity::Address(local.ip()),
            remote_identity: remote_identity.into(),
            authentication,
            ppk: None,
            childless: Childless::Allow,
            ike_proposals: Vec::new(),
            esp_proposals: Vec::new(),
            responder_esp_proposals: Vec::new(),
            lines: vec![SelectorLine::with_tunnel(any.clone(), any)],
            responder_selectors: ResponderSelectors::Narrowed,
            force_encapsulation: false,
            mobike: None,
            allow_redirect: false,
            fragment_size: Self::FRAGMENT_SIZE,
            dpd_timeout: Duration::from_secs(45),
            idle_timeout: None,
            ike_lifetime: Self::IKE_LIFETIME,
            reauthentication: None,
            reauthenticate_on_renewal: true,
            child_lifetime: Self::CHILD_LIFETIME,
            child_octets: None,
            child_packets: None,
        }
    }

    /// Whether an IKE SA of `other` serves this one as well: they differ at most in what only we act on.
    /// Of certificates that the peer has shown it is asked whether they are `still_believed`.
    pub(crate) fn is_served_by(
        &self,
        other: &Self,
        still_believed: impl FnOnce(&PeerCertificate) -> bool,
    ) -> bool {
        let alike = Self {
            mode: other.mode,
            dpd_timeout: other.dpd_timeout,
            authentication: other.authentication.clone(),
            reauthentication: other.reauthentication,
            reauthenticate_on_renewal: other.reauthenticate_on_renewal,
            ..self.clone()
        };
        alike == *other
            && self
                .authentication
                .is_served_by(&other.authentication, still_believed)
    }

    /// The same with one pair of selectors in each line, as a quick mode has (RFC 2409 §5.5); IKEv2 needs no such thing.
    pub(crate) fn in_pairs(mut self) -> Self {
        let pair = |line: &SelectorLine, local: &TrafficSelector, remote: &TrafficSelector| SelectorLine {
            local: vec![*local],
            remote: vec![*remote],
            start: line.start,
        };
        if self.version == Version::V1 {
            let mut pairs = Vec::new();
            for line in &self.lines {
                for local in &line.local {
                    pairs.extend(line.remote.iter().map(|remote| pair(line, local, remote)));
                }
            }
            self.lines = pairs;
        }
        self
    }

    /// Whether we may start its first IKE SA.
    pub(crate) fn may_start(&self) -> bool {
        self.mode != Mode::ResponderOnly && self.remote != Remote::Any
    }
}

/// A version of IKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// IKEv1 (RFC 2409), by a pre-shared key or signatures of RSA. What of a connection only IKEv2 has is left out.
    V1,
    /// IKEv2 (RFC 7296).
    V2,
}

/// Where a peer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// At this address, with this IKE port, normally 500.
    Address(SocketAddr),
    /// Where its name leads: asked for before an attempt ([`crate::Action::Resolve`]), and good for five minutes. It may
    /// come from anywhere itself.
    Name {
        /// The host name.
        host: String,
        /// Its IKE port, normally 500.
        port: u16,
    },
    /// Anywhere: only the peer can start, and it is found by its identity.
    Any,
}

impl Connection {
    /// The ESP proposals for Child SAs that the peer asks for.
    pub(crate) fn esp_answers(&self) -> &[EspProposal] {
        if self.responder_esp_proposals.is_empty() {
            &self.esp_proposals
        } else {
            &self.responder_esp_proposals
        }
    }
}

/// The selectors of one Child SA, as we propose them and, unless all is taken, as we narrow the peer's to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorLine {
    /// Inner addresses on our side.
    pub local: Vec<TrafficSelector>,
    /// Inner addresses on the peer's side.
    pub remote: Vec<TrafficSelector>,
    /// When its Child SA is made. The first line's comes up with the tunnel, whatever stands here.
    pub start: LineStart,
}

impl SelectorLine {
    /// A line whose Child SA comes up with the tunnel.
    pub fn with_tunnel(local: Vec<TrafficSelector>, remote: Vec<TrafficSelector>) -> Self {
        let start = LineStart::WithTunnel;
        Self { local, remote, start }
    }
}

/// When the Child SA of a selector line is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStart {
    /// As soon as the IKE SA is established.
    WithTunnel,
    /// When a packet wants through ([`crate::Input::Wanted`]).
    OnDemand,
}

/// What a responder takes of the selectors that the peer proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponderSelectors {
    /// What a line of ours has in common with them (RFC 7296 §2.9).
    Narrowed,
    /// All of them, whatever our lines say, as Azure VPN Gateway does.
    AsProposed,
}

/// Whether IKE_AUTH makes an IKE SA alone, and CREATE_CHILD_SA its first Child SA (RFC 6023).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Childless {
    /// As initiator IKE_AUTH makes a Child SA; as responder the peer decides.
    Allow,
    /// As initiator IKE_AUTH makes none, so that the first Child SA has a key exchange of its own too; as responder the
    /// peer decides.
    Force,
    /// IKE_AUTH makes a Child SA, or there is no IKE SA.
    Never,
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
    /// ID_DER_ASN1_DN: a distinguished name in DER.
    DistinguishedName(Vec<u8>),
    /// ID_KEY_ID.
    KeyId(Vec<u8>),
}

/// Who a peer must prove to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedIdentity {
    /// This one.
    Exactly(Identity),
    /// ID_DER_ASN1_DN with this common name, whatever else stands in it.
    CommonName(String),
}

impl From<Identity> for ExpectedIdentity {
    fn from(identity: Identity) -> Self {
        Self::Exactly(identity)
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
    /// Further key exchanges in this order, each with its groups, most wanted first (RFC 9370); at most seven.
    pub additional: Vec<Vec<Group>>,
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
    /// Further key exchanges at each rekey, as for the IKE SA (RFC 9370).
    pub additional: Vec<Vec<Group>>,
}

/// Bounds on what unauthenticated peers may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// IKE SAs as responder that have not authenticated; more than this are refused.
    pub half_open: usize,
    /// From how many half-open IKE SAs on a cookie is asked for (RFC 7296 §2.6): from then on we are under load.
    pub cookie_threshold: usize,
    /// How many of them one address (one /64 of IPv6) may have while we are under load.
    pub half_open_per_source: usize,
    /// How long an unauthenticated IKE SA is kept.
    pub half_open_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 1000,
            cookie_threshold: 32,
            half_open_per_source: 16,
            half_open_timeout: Duration::from_secs(30),
        }
    }
}
