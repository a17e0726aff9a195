//! The states of a phase 1 SA. Each holds exactly what is known in it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::aggressive::AggressiveSent;
use super::aggressive_answer::AggressiveAnswered;
use super::dpd::Probe;
use super::keys::{Keys, Said};
use super::main_answer::{ExchangeAnswered, ProposalAnswered};
use super::main_mode::{ExchangeSent, ProofSent, ProposalSent};
use super::method::Method;
use super::proposal::Transport;
use super::quick_answer::QuickAnswer;
use super::quick_mode::QuickMode;
use super::signing::Signing;
use super::vendor::{Announced, Traversal};
use crate::crypto::Prf;
use crate::proposal::IkeSuite;
use crate::v2::nat::Nat;
use crate::v2::state::Common;
use crate::v2::timers::Lifetime;
use crate::wire::Header;
use crate::wire::v1::registry::exchange;
use crate::{IkeSnapshot, Stage};

/// One phase 1 SA, found by our cookie.
pub(crate) struct Phase {
    pub(crate) common: Common,
    pub(crate) state: State,
    /// When it is on the agenda.
    pub(crate) due: Option<Instant>,
}

/// What a phase 1 SA is doing.
pub(crate) enum State {
    /// Initiator: our proposals were sent (message 1 of main mode).
    ProposalSent(Box<ProposalSent>),
    /// Initiator: our public value was sent (message 3).
    ExchangeSent(Box<ExchangeSent>),
    /// Initiator: keys are agreed and our proof was sent (message 5).
    ProofSent(Box<ProofSent>),
    /// Responder: the proposals were answered (message 2); half-open.
    ProposalAnswered(Box<ProposalAnswered>),
    /// Responder: the public value was answered (message 4); half-open.
    ExchangeAnswered(Box<ExchangeAnswered>),
    /// Initiator: our proposals, public value and identity were sent (message 1 of aggressive mode).
    AggressiveSent(Box<AggressiveSent>),
    /// Responder: they were answered with our proof (message 2); half-open.
    AggressiveAnswered(Box<AggressiveAnswered>),
    /// Either side: keys are agreed, and our proof is being signed.
    Signing(Box<Signing>),
    /// Both sides are authenticated.
    Established(Box<Established>),
}

/// What both sides agreed on before they prove who they are.
pub(crate) struct Agreement {
    /// By aggressive mode.
    pub(crate) aggressive: bool,
    pub(crate) suite: IkeSuite,
    pub(crate) method: Method,
    /// How long the other side lets the SA live, in seconds.
    pub(crate) seconds: Option<u64>,
    pub(crate) announced: Announced,
    pub(crate) nat: Nat,
    pub(crate) said: Said,
}

impl Agreement {
    /// Where the negotiation stands.
    pub(crate) fn stage(&self) -> Stage {
        if self.aggressive {
            Stage::AggressiveMode
        } else {
            Stage::MainMode
        }
    }
}

/// A message that was answered, which may come again.
pub(crate) struct Done {
    /// SHA-256 of what was answered.
    request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
    /// Until when it is remembered.
    pub(crate) until: Instant,
}

/// How long an answer is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);

impl Done {
    pub(crate) fn new(request: &[u8], answer: Vec<u8>, now: Instant) -> Self {
        Self {
            request: digest(request),
            answer,
            until: now + REMEMBERED,
        }
    }

    /// Whether this is what was answered.
    pub(crate) fn answers(&self, message: &[u8]) -> bool {
        self.request == digest(message)
    }
}

/// SHA-256 of what follows the header of a message: nothing protects that, so it may not make a message another one.
pub(crate) fn digest(message: &[u8]) -> Vec<u8> {
    let body = message.get(Header::LENGTH..).unwrap_or_default();
    Prf::HmacSha2_256.digest(&[body])
}

/// Both sides are authenticated.
pub(crate) struct Established {
    /// It was made by aggressive mode.
    pub(crate) aggressive: bool,
    pub(crate) keys: Keys,
    pub(crate) suite: IkeSuite,
    /// The last block of phase 1, from which each exchange has its IV.
    pub(crate) last_block: Vec<u8>,
    pub(crate) announced: Announced,
    pub(crate) nat: Nat,
    /// Our quick mode, if one is under way.
    pub(crate) asked: Option<Box<QuickMode>>,
    /// The peer's quick modes that are under way.
    pub(crate) answering: Vec<QuickAnswer>,
    /// What was answered and may be asked again.
    pub(crate) done: Vec<Done>,
    /// The ids of all messages of the peer that were genuine: none is good for another exchange (RFC 2409 §5.5).
    pub(crate) seen: BTreeSet<u32>,
    pub(crate) lifetime: Lifetime,
    /// When a genuine message of the peer arrived last, or what came by a child showed that it is there.
    pub(crate) heard: Instant,
    /// The datapath is asked what came; it has until then to answer.
    pub(crate) looking: Option<Instant>,
    /// Our question whether the peer is there.
    pub(crate) probe: Option<Probe>,
    /// The sequence number of our last question.
    pub(crate) sequence: u32,
    /// The sequence number of the peer's last question.
    pub(crate) peer_sequence: Option<u32>,
    /// How long the peer may be silent.
    pub(crate) dpd_timeout: Duration,
    /// When a NAT before us is to be shown that its mapping is in use.
    pub(crate) keepalive: Option<Instant>,
    /// Another SA took its place; it is closed then.
    pub(crate) leaving: Option<Instant>,
}

impl Established {
    /// How what its quick modes make travels.
    pub(crate) fn transport(&self) -> Transport {
        Transport {
            encapsulation: self.nat.encapsulation(),
            draft: self.announced.traversal == Some(Traversal::Draft),
        }
    }

    /// The exchange that fragments of its messages are said to be of, if the peer understands them.
    pub(crate) fn fragments(&self) -> Option<u8> {
        self.announced.fragments(self.aggressive)
    }

    /// The IV of the first message of an exchange.
    pub(crate) fn iv(&self, message_id: u32) -> Vec<u8> {
        self.keys.exchange_iv(&self.last_block, message_id)
    }
}

impl State {
    /// Which message of which exchange waits for its answer, and how often it was sent.
    pub(crate) fn awaited(&self) -> Option<(u8, u8, u32)> {
        match self {
            Self::ProposalSent(state) => Some((exchange::MAIN_MODE, 1, state.request.tries())),
            Self::ExchangeSent(state) => Some((exchange::MAIN_MODE, 3, state.request.tries())),
            Self::ProofSent(state) => Some((exchange::MAIN_MODE, 5, state.request.tries())),
            Self::AggressiveSent(state) => Some((exchange::AGGRESSIVE, 1, state.request.tries())),
            Self::AggressiveAnswered(state) => Some((exchange::AGGRESSIVE, 2, state.answer.tries())),
            Self::ProposalAnswered(_)
            | Self::ExchangeAnswered(_)
            | Self::Signing(_)
            | Self::Established(_) => None,
        }
    }
}

impl Phase {
    /// The established part, if there is one.
    pub(crate) fn established(&self) -> Option<&Established> {
        if let State::Established(established) = &self.state {
            Some(established)
        } else {
            None
        }
    }

    /// Whether it is ours, and on its way to be established.
    pub(crate) fn is_attempt(&self) -> bool {
        self.common.initiator && self.established().is_none()
    }

    /// A view for status.
    pub(crate) fn snapshot(&self) -> IkeSnapshot {
        let (initiator_spi, responder_spi) = self.common.spis();
        let (suite, nat) = match &self.state {
            State::Established(state) => (Some(state.suite), state.nat),
            State::ProofSent(state) => (Some(state.agreement.suite), state.agreement.nat),
            State::Signing(state) => (Some(state.agreement().suite), state.agreement().nat),
            State::AggressiveAnswered(state) => (Some(state.agreement.suite), state.agreement.nat),
            State::ProposalSent(_)
            | State::ExchangeSent(_)
            | State::AggressiveSent(_)
            | State::ProposalAnswered(_)
            | State::ExchangeAnswered(_) => (None, Nat::default()),
        };
        IkeSnapshot {
            initiator_spi,
            responder_spi,
            initiator: self.common.initiator,
            local: self.common.path.local,
            remote: self.common.path.remote,
            remote_identity: self.established().and_then(|_| self.common.proved.clone()),
            algorithms: suite.map(|suite| suite.to_string()).unwrap_or_default(),
            nat_local: nat.local,
            nat_remote: nat.remote,
            extensions: Vec::new(),
            rekey: self.established().map(|state| state.lifetime.soft),
        }
    }
}
