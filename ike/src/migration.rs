//! What the peer of a connection of IKEv1 would need for IKEv2, as far as a trial tells.

use std::time::Instant;

/// The last trial whether the peer of a connection of IKEv1 answers IKEv2. Nothing protects the answer: anyone on the way may have
/// given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version2Trial {
    /// When it was asked for, or when this came of it.
    pub at: Instant,
    /// What came of it.
    pub answer: Version2Answer,
    /// The IKE proposals that were offered, in words: those of the connection.
    pub offered: String,
    /// The proposal that the peer takes, the group that it wants, or what else it said; empty where it said nothing.
    pub said: String,
}

/// What a peer says to an IKE_SA_INIT (RFC 7296 §1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version2Answer {
    /// Nothing yet.
    Awaited,
    /// It takes one of the proposals.
    Accepted,
    /// NO_PROPOSAL_CHOSEN: it speaks IKEv2, and takes none of the proposals from our address.
    NoProposal,
    /// INVALID_KE_PAYLOAD with a group that was not offered.
    OtherGroup,
    /// It speaks IKEv2, and says something else.
    Refused,
    /// INVALID_MAJOR_VERSION, or a message of IKEv1 (RFC 2408 §5.2).
    Version1,
    /// Nothing, however often it was asked.
    NoAnswer,
    /// Nothing was sent, for nobody knows where the peer is.
    NoAddress,
}

impl Version2Answer {
    /// The answer in one stable word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Awaited => "awaited",
            Self::Accepted => "accepted",
            Self::NoProposal => "no-proposal-chosen",
            Self::OtherGroup => "other-group-wanted",
            Self::Refused => "refused",
            Self::Version1 => "ikev1-only",
            Self::NoAnswer => "no-answer",
            Self::NoAddress => "no-address",
        }
    }

    /// What an operator can do about it, in one sentence or two.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::Awaited => "Wait some seconds for what comes of it.",
            Self::Accepted => {
                "Make a connection of IKEv2 in the place of this one, for the protocol of a connection stays; the peer needs one with \
                 the same identities and secrets, which only the negotiation itself can tell."
            }
            Self::NoProposal => {
                "Configure IKEv2 for our address on the peer, with one of the offered proposals: it knows IKEv2, and has either no \
                 connection of it for us or other proposals. Then try again."
            }
            Self::OtherGroup => {
                "Allow the group that the peer wants in a policy of a new connection of IKEv2, or the offered one on the peer."
            }
            Self::Refused => "Look in the peer's log: it knows IKEv2 and says no.",
            Self::Version1 => {
                "Bring the peer to a version that knows IKEv2, or stay with IKEv1: it says that it knows no other."
            }
            Self::NoAnswer => {
                "Switch IKEv2 on at the peer, if it has it; see that the peer is reachable if this connection is down, too. Until then \
                 stay with IKEv1."
            }
            Self::NoAddress => "Try again once the peer is connected or its name is known.",
        }
    }
}
