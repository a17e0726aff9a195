/// Why a connection is down: one word, the same in API, console, log and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The pre-shared keys differ.
    AuthenticationFailed,
    /// The peer proved an identity that no connection expects.
    PeerIdentityUnexpected,
    /// The peer never answered.
    PeerUnreachable,
    /// The peer answered once and then fell silent.
    PeerSilent,
    /// The datapath refused a state or a policy.
    DatapathRefused,
    /// Too many half-open exchanges at this moment.
    HalfOpenLimit,
    /// The peer closed the connection.
    DeletedByPeer,
    /// A newer SA of the same peer took its place.
    Replaced,
    /// Our configuration closed it, or does not let us initiate.
    Configuration,
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
    /// IKE_AUTH.
    IkeAuth,
    /// Programming the datapath.
    Datapath,
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
