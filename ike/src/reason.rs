use strum::{IntoEnumIterator, VariantArray};

use crate::{CertificateReason, SignerReason};

/// Why a connection is down, or up with something amiss: one word, the same in API, console, log and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::EnumIter)]
pub enum Reason {
    /// Nothing was tried yet, or the first attempt is under way.
    Starting,
    /// No common IKE proposal.
    IkeProposalMismatch,
    /// No common ESP proposal.
    ChildProposalMismatch,
    /// The traffic selectors have nothing in common.
    SelectorMismatch,
    /// No common key-exchange group.
    KeyExchangeGroupRefused,
    /// A proof of identity is wrong: the peer's if we say so, ours if the peer does.
    AuthenticationFailed,
    /// The peer proved an identity that no connection expects.
    PeerIdentityUnexpected,
    /// A certificate, or how somebody signed with it, is refused.
    Certificate(CertificateReason),
    /// Our private key does not sign.
    Signer(SignerReason),
    /// The peer's host name leads to no address that we can use.
    NameDoesNotResolve,
    /// The peer never answered.
    PeerUnreachable,
    /// The peer answered once and then fell silent.
    PeerSilent,
    /// The peer sends us to another gateway (RFC 5685), which we are not to follow.
    Redirected,
    /// The datapath refused a state or a policy.
    DatapathRefused,
    /// Too many half-open exchanges at this moment.
    HalfOpenLimit,
    /// The peer closed the connection.
    DeletedByPeer,
    /// Nothing was carried for as long as the connection is to be up without that.
    Idle,
    /// It could not be replaced before its lifetime ended.
    LifetimeEnded,
    /// A newer SA of the same peer took its place.
    Replaced,
    /// Our configuration closed it, or does not let us initiate.
    Configuration,
    /// Our outer address is not on this machine.
    NoAddress,
    /// Another program has a port of IKE at our outer address.
    PortInUse,
    /// A secret of ours is not there, or was sealed by another machine key.
    SecretUnusable,
    /// An operator took it down.
    DisconnectedByAdmin,
    /// An operator had it started anew.
    ResetByAdmin,
    /// The wall clock jumped, or cannot be right.
    Clock,
    /// The peer's message broke the protocol.
    ProtocolError,
}

/// Which side found the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// We refused, gave up or closed.
    We,
    /// The peer refused or closed.
    Peer,
}

/// Where in the negotiation it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Before the first message.
    Idle,
    /// IKE_SA_INIT.
    IkeSaInit,
    /// IKE_INTERMEDIATE.
    IkeIntermediate,
    /// IKE_AUTH.
    IkeAuth,
    /// Main mode, phase 1 of IKEv1.
    MainMode,
    /// Aggressive mode, phase 1 of IKEv1 where a connection allows it.
    AggressiveMode,
    /// Quick mode, phase 2 of IKEv1.
    QuickMode,
    /// Programming the datapath.
    Datapath,
    /// CREATE_CHILD_SA: replacing an SA, or making one more.
    CreateChildSa,
    /// After the connection was up.
    Established,
}

/// A connection that is down, and all that is known of why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The reason word.
    pub reason: Reason,
    /// Who refused.
    pub side: Side,
    /// In which exchange.
    pub stage: Stage,
    /// What was offered, in words; empty where nothing is to be said.
    pub offered: String,
    /// What was expected, in words; empty where nothing is to be said.
    pub expected: String,
}

/// More of what a peer said than this is not told.
const CHARACTERS: usize = 500;

impl Outage {
    /// The same, with what a peer said cut to a bearable length.
    pub(crate) fn abridged(&self) -> Self {
        let cut = |text: &String| {
            let mut abridged: String = text.chars().take(CHARACTERS).collect();
            if abridged.len() < text.len() {
                abridged.push('…');
            }
            abridged
        };
        Self {
            offered: cut(&self.offered),
            expected: cut(&self.expected),
            ..*self
        }
    }

    /// An outage that needs no further words.
    pub(crate) fn plain(reason: Reason, side: Side, stage: Stage) -> Self {
        Self {
            reason,
            side,
            stage,
            offered: String::new(),
            expected: String::new(),
        }
    }
}

impl Reason {
    /// All reasons there are.
    pub fn all() -> Vec<Self> {
        let each = |reason| match reason {
            Self::Certificate(_) => CertificateReason::VARIANTS
                .iter()
                .copied()
                .map(Self::Certificate)
                .collect(),
            Self::Signer(_) => SignerReason::VARIANTS.iter().copied().map(Self::Signer).collect(),
            plain => vec![plain],
        };
        Self::iter().flat_map(each).collect()
    }

    /// The reason in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::IkeProposalMismatch => "ike-proposal-mismatch",
            Self::ChildProposalMismatch => "child-proposal-mismatch",
            Self::SelectorMismatch => "selector-mismatch",
            Self::KeyExchangeGroupRefused => "key-exchange-group-refused",
            Self::AuthenticationFailed => "authentication-failed",
            Self::PeerIdentityUnexpected => "peer-identity-unexpected",
            Self::Certificate(reason) => reason.word(),
            Self::Signer(reason) => reason.word(),
            Self::NameDoesNotResolve => "name-does-not-resolve",
            Self::PeerUnreachable => "peer-unreachable",
            Self::PeerSilent => "peer-silent",
            Self::Redirected => "redirected",
            Self::DatapathRefused => "datapath-refused",
            Self::HalfOpenLimit => "half-open-limit",
            Self::DeletedByPeer => "deleted-by-peer",
            Self::Idle => "idle",
            Self::LifetimeEnded => "lifetime-ended",
            Self::Replaced => "replaced",
            Self::Configuration => "configuration",
            Self::NoAddress => "no-address",
            Self::PortInUse => "port-in-use",
            Self::SecretUnusable => "secret-unusable",
            Self::DisconnectedByAdmin => "disconnected-by-admin",
            Self::ResetByAdmin => "reset-by-admin",
            Self::Clock => "clock",
            Self::ProtocolError => "protocol-error",
        }
    }

    /// What an operator can do about it, in one sentence.
    pub fn next_step(self, side: Side) -> &'static str {
        match self {
            Self::Starting => "Wait for the first attempt to finish.",
            Self::IkeProposalMismatch => side.either(
                "Offer one of the expected IKE proposals on the peer, or allow its own here.",
                "Allow the offered IKE proposal on the peer, or change the policy here.",
            ),
            Self::ChildProposalMismatch => side.either(
                "Offer one of the expected ESP proposals on the peer, or allow its own here.",
                "Allow the offered ESP proposal on the peer, or change the policy here.",
            ),
            Self::SelectorMismatch => side.either(
                "Make the peer's traffic selectors overlap the expected ones.",
                "Make the traffic selectors here overlap those of the peer.",
            ),
            Self::KeyExchangeGroupRefused => "Configure one common key-exchange group on both sides.",
            Self::AuthenticationFailed => side.either(
                "Set the same pre-shared key on both sides, or the peer's own certificate there; what it proved is another.",
                "Make secret, certificates and identities of both sides match; the peer's log says which differs.",
            ),
            Self::PeerIdentityUnexpected => "Make the identity that the peer sends and the one configured here the same.",
            Self::Certificate(reason) => reason.next_step(),
            Self::Signer(reason) => reason.next_step(),
            Self::NameDoesNotResolve => "Check the host name of the peer, and our name servers.",
            Self::PeerUnreachable => {
                "Check the peer's address, its daemon, and that UDP 500 and 4500 pass both ways."
            }
            Self::PeerSilent => "Check the path to the peer; it answered before and then fell silent.",
            Self::Redirected => {
                "Configure the gateway that the peer names as the site's endpoint, if you trust it."
            }
            Self::DatapathRefused => side.either(
                "Look in the status for what the datapath refused here.",
                "Look in the peer's log: it could not install the Child SA.",
            ),
            Self::HalfOpenLimit => {
                "Find out who sends so many IKE_SA_INITs; this one is admitted when there is room again."
            }
            Self::DeletedByPeer => "Look in the peer's log for why it closed the connection.",
            Self::Idle => "Nothing; the next packet brings it up.",
            Self::LifetimeEnded => {
                "Make lifetimes, proposals and key-exchange groups agree with the peer's; it refused to rekey."
            }
            Self::Replaced => "Nothing; a newer exchange with the same peer took over.",
            Self::Configuration => "Wait for the peer to start, or change the connection's mode.",
            Self::NoAddress => {
                "Give this machine the address, or configure one that it has; the connection then starts by itself."
            }
            Self::PortInUse => "End the program that has the port; the connection then starts by itself.",
            Self::SecretUnusable => "Set the secret again: causeway secret set; the connection then starts by itself.",
            Self::DisconnectedByAdmin => "Connect it when it is wanted again; a restart does that, too.",
            Self::ResetByAdmin => "Nothing; it is negotiated anew, or waits for the peer to do so.",
            Self::Clock => {
                "Let NTP keep the clock of this machine; tunnels run without it, certificates and logs do not."
            }
            Self::ProtocolError => {
                "Look at the log of both sides; one sent what RFC 7296 does not allow."
            }
        }
    }
}

impl Side {
    fn either(self, we: &'static str, peer: &'static str) -> &'static str {
        match self {
            Self::We => we,
            Self::Peer => peer,
        }
    }

    /// The side in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::We => "we",
            Self::Peer => "peer",
        }
    }
}

impl Stage {
    /// The stage in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::IkeSaInit => "ike-sa-init",
            Self::IkeIntermediate => "ike-intermediate",
            Self::IkeAuth => "ike-auth",
            Self::MainMode => "main-mode",
            Self::AggressiveMode => "aggressive-mode",
            Self::QuickMode => "quick-mode",
            Self::Datapath => "datapath",
            Self::CreateChildSa => "create-child-sa",
            Self::Established => "established",
        }
    }
}
