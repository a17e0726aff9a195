//! The states of an IKEv2 SA. Each holds exactly what is known in it.

use std::time::{Duration, Instant};

use super::auth::AuthSent;
use super::channel::Channel;
use super::child_answer::Owed;
use super::children::Children;
use super::extensions::Extensions;
use super::followup::Pending;
use super::fragments;
use super::init::InitSent;
use super::intermediate::IntermediateSent;
use super::keys::Said;
use super::lines::Lines;
use super::mobike::Mobility;
use super::nat::{Nat, Path};
use super::proofs::Proofs;
use super::rekey::Asked;
use super::signing::{AnswerSigning, AuthSigning};
use super::timers::{Lifetime, Timer, Timers};
use super::window::Window;
use crate::crypto::KeyAnswer;
use crate::proposal::IkeSuite;
use crate::wire::Payload;
use crate::{ConnectionName, Extension, Identity, IkeSnapshot};

/// One IKE SA, found by our SPI.
pub(crate) struct IkeSa {
    pub(crate) common: Common,
    pub(crate) state: State,
}

/// What is known of an IKE SA in every state.
pub(crate) struct Common {
    /// Our SPI.
    pub(crate) spi: u64,
    /// The peer's; 0 until known.
    pub(crate) peer_spi: u64,
    /// We sent the first message.
    pub(crate) initiator: bool,
    /// Where its messages travel.
    pub(crate) path: Path,
    /// Known from the start as initiator, after IKE_AUTH as responder.
    pub(crate) connection: Option<ConnectionName>,
    /// Who the peer proved to be.
    pub(crate) proved: Option<Identity>,
    /// The certificates that the peer proved that by, in DER.
    pub(crate) shown: Vec<Vec<u8>>,
    /// When its first message was sent or arrived.
    pub(crate) begun: Instant,
    pub(crate) timers: Timers,
    pub(crate) extensions: Extensions,
    /// What it may do to move; nothing unless both sides said so.
    pub(crate) mobility: Option<Box<Mobility>>,
}

/// What an IKE SA is doing.
pub(crate) enum State {
    /// Initiator: IKE_SA_INIT was sent.
    InitSent(Box<InitSent>),
    /// Responder: IKE_SA_INIT was answered; half-open.
    InitAnswered(Box<InitAnswered>),
    /// Initiator: an additional key exchange is under way.
    IntermediateSent(Box<IntermediateSent>),
    /// Initiator: keys are agreed, and our proof is being signed.
    AuthSigning(Box<AuthSigning>),
    /// Responder: the peer is authenticated, and our proof is being signed.
    AnswerSigning(Box<AnswerSigning>),
    /// Initiator: keys are agreed and IKE_AUTH was sent.
    AuthSent(Box<AuthSent>),
    /// Responder: the peer is authenticated; the answer is owed until the datapath carries the child.
    Answering(Box<Answering>),
    /// Responder: IKE_AUTH was answered with an error, which may have to be repeated.
    Refused(Box<Refused>),
    /// Both sides are authenticated.
    Established(Box<Established>),
    /// We sent a Delete, or will once our last request is answered.
    Closing(Box<Closing>),
}

/// Responder: half-open. The shared secret is calculated when IKE_AUTH arrives.
pub(crate) struct InitAnswered {
    pub(crate) request: Vec<u8>,
    pub(crate) answer: Vec<u8>,
    pub(crate) suite: IkeSuite,
    pub(crate) initiator_nonce: Vec<u8>,
    pub(crate) responder_nonce: Vec<u8>,
    pub(crate) nat: Nat,
    /// How long our messages may be, if fragments are understood.
    pub(crate) longest: Option<usize>,
    pub(crate) secrets: Secrets,
    /// The id of the peer's next request.
    pub(crate) next: u32,
    /// The last IKE_INTERMEDIATE request, answered.
    pub(crate) answered: Option<Answered>,
}

/// An answer, with the keys that its request came under.
pub(crate) struct Answered {
    pub(crate) channel: Channel,
    pub(crate) bytes: Vec<u8>,
}

/// What the keys are made of, until they are made.
pub(crate) enum Secrets {
    /// Our half of the key exchange, with what the peer sent.
    Owed(KeyAnswer),
    /// The keys.
    Made(Box<Channel>),
    /// The peer's public value is no good.
    Impossible,
}

/// The answer to IKE_AUTH waits for the datapath.
pub(crate) struct Answering {
    pub(crate) established: Established,
    /// IDr and AUTH.
    pub(crate) proof: Vec<Payload>,
    /// SA, TSi and TSr.
    pub(crate) agreed: Vec<Payload>,
}

/// An answer that ended the SA.
pub(crate) struct Refused {
    pub(crate) channel: Channel,
    pub(crate) answer: Vec<u8>,
    /// The exchange and the id of what was refused.
    pub(crate) request: (u8, u32),
}

/// Both sides are authenticated.
pub(crate) struct Established {
    pub(crate) channel: Channel,
    pub(crate) window: Window,
    pub(crate) suite: IkeSuite,
    pub(crate) nat: Nat,
    pub(crate) children: Children,
    /// The selector lines that have no child.
    pub(crate) lines: Lines,
    /// When it is closed if no child is made.
    pub(crate) childless_until: Option<Instant>,
    /// The SPIs that we receive on and are to delete.
    pub(crate) deletions: Vec<u32>,
    /// What our outstanding request asks for.
    pub(crate) asked: Option<Asked>,
    /// The answer that waits for the datapath.
    pub(crate) owed: Option<Owed>,
    /// What the peer asked for and has not done all key exchanges for.
    pub(crate) pending: Option<Box<Pending>>,
    pub(crate) lifetime: Lifetime,
    pub(crate) proofs: Proofs,
    /// When an authenticated, fresh message of the peer arrived last, or what came by a child showed that it is there.
    pub(crate) heard: Instant,
    /// The last IKE message of the peer came then.
    pub(crate) spoke: Instant,
    /// The datapath is asked what came; it has until then to answer.
    pub(crate) looking: Option<Instant>,
    /// It was asked since the last IKE message, so that what came since then is known.
    pub(crate) looked: bool,
    /// When it was established.
    pub(crate) since: Instant,
    /// How long the peer may be silent.
    pub(crate) dpd_timeout: Duration,
    /// Decides which of two SAs made at the same time stays.
    pub(crate) initiator_nonce: Box<[u8]>,
}

/// On the way out.
pub(crate) struct Closing {
    pub(crate) channel: Channel,
    pub(crate) window: Window,
    /// What the request says that closes the SA; taken when it is sent.
    pub(crate) farewell: Option<Vec<Payload>>,
    /// The IKE SA that we asked for before, which must be closed as well if the peer makes it.
    pub(crate) asked: Option<Asked>,
    /// Whether the answer to the peer's Delete is sent when the time is over.
    pub(crate) owes: bool,
}

impl Established {
    /// An IKE SA without a child.
    pub(crate) fn new(
        (channel, suite): (Channel, IkeSuite),
        window: Window,
        nat: Nat,
        (lifetime, dpd_timeout): (Lifetime, Duration),
        now: Instant,
    ) -> Self {
        Self {
            channel: channel.proved(),
            window,
            suite,
            nat,
            children: Children::default(),
            lines: Lines::default(),
            childless_until: None,
            deletions: Vec::new(),
            asked: None,
            owed: None,
            pending: None,
            lifetime,
            proofs: Proofs::given(now),
            heard: now,
            spoke: now,
            looking: None,
            looked: false,
            since: now,
            dpd_timeout,
            initiator_nonce: Box::default(),
        }
    }
}

impl Common {
    /// An IKE SA with our SPI and the peer's, as its responder knows it at first.
    pub(crate) fn new((spi, peer_spi): (u64, u64), path: Path, begun: Instant) -> Self {
        let (initiator, connection, timers) = (false, None, Timers::default());
        Self {
            spi,
            peer_spi,
            initiator,
            path,
            connection,
            proved: None,
            shown: Vec::new(),
            begun,
            timers,
            mobility: None,
            extensions: Extensions::default(),
        }
    }

    /// How long our messages may be where packets have at most so many octets; `None` if the peer does not understand
    /// fragments.
    pub(crate) fn longest_message(&self, packet: u16) -> Option<usize> {
        let longest = fragments::longest_message(packet, self.path.remote.is_ipv6());
        self.extensions.fragmentation.then_some(longest)
    }

    /// Both SPIs, the initiator's first.
    pub(crate) fn spis(&self) -> (u64, u64) {
        if self.initiator {
            (self.spi, self.peer_spi)
        } else {
            (self.peer_spi, self.spi)
        }
    }
}

impl IkeSa {
    /// Sets the timers that follow from the state; [`Timer::Expiry`] and the first [`Timer::Keepalive`] are set
    /// where a state is entered.
    pub(crate) fn set_timers(&mut self) {
        let (mut retransmission, mut liveness, mut lifetime) = (None, None, None);
        match &self.state {
            State::InitSent(state) => retransmission = Some(state.request.due()),
            State::IntermediateSent(state) => retransmission = Some(state.request.due()),
            State::AuthSent(state) => retransmission = Some(state.request.due()),
            State::Closing(state) => retransmission = state.window.due(),
            State::Established(state) => {
                lifetime = state.lifetime_due();
                retransmission = state.window.due();
                liveness = retransmission
                    .is_none()
                    .then(|| state.looking.unwrap_or(state.next_look()));
            }
            State::InitAnswered(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::Answering(_)
            | State::Refused(_) => {}
        }
        self.common.timers.set(Timer::Retransmission, retransmission);
        self.common.timers.set(Timer::Liveness, liveness);
        self.common.timers.set(Timer::Lifetime, lifetime);
    }

    /// The established part, if there is one, whatever the datapath has done so far.
    pub(crate) fn established(&self) -> Option<&Established> {
        match &self.state {
            State::Established(established) => Some(established),
            State::Answering(answering) => Some(&answering.established),
            State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::AuthSent(_)
            | State::Refused(_)
            | State::Closing(_) => None,
        }
    }

    /// The answer to IKE_SA_INIT, while it may be asked for again.
    pub(crate) fn init_answer(&self) -> Option<&Vec<u8>> {
        if let State::InitAnswered(state) = &self.state {
            state.answered.is_none().then_some(&state.answer)
        } else {
            None
        }
    }

    fn extensions(&self) -> Vec<Extension> {
        let mobility = self.common.mobility.as_ref().map(|_| Extension::Mobility);
        let announced = self.common.extensions.snapshot().into_iter();
        announced.chain(mobility).collect()
    }

    /// A view for status.
    pub(crate) fn snapshot(&self) -> IkeSnapshot {
        let (initiator_spi, responder_spi) = self.common.spis();
        let (suite, nat) = match &self.state {
            State::IntermediateSent(state) => (Some(state.agreement.suite), state.agreement.nat),
            State::AuthSigning(state) => (Some(state.agreement.suite), state.agreement.nat),
            State::AnswerSigning(state) => (Some(state.state.suite), state.state.nat),
            State::AuthSent(state) => (Some(state.agreement.suite), state.agreement.nat),
            State::Answering(state) => (Some(state.established.suite), state.established.nat),
            State::Established(state) => (Some(state.suite), state.nat),
            State::InitSent(_) | State::InitAnswered(_) | State::Refused(_) | State::Closing(_) => {
                (None, Nat::default())
            }
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
            extensions: self.extensions(),
            rekey: self.established().map(|state| state.lifetime.soft),
        }
    }
}

impl InitAnswered {
    /// The keys, calculated when they are needed first. `None` if the peer's public value is no good.
    pub(crate) fn channel(&mut self, common: &Common) -> Option<&mut Channel> {
        if let Secrets::Owed(_) = self.secrets
            && let Secrets::Owed(exchange) = std::mem::replace(&mut self.secrets, Secrets::Impossible)
        {
            let said = Said {
                initiator_nonce: &self.initiator_nonce,
                responder_nonce: &self.responder_nonce,
                initiator_spi: common.peer_spi,
                responder_spi: common.spi,
            };
            let shared = exchange.finish().ok();
            let channel = shared.and_then(|shared| Channel::new(self.suite, &said, &shared, false));
            let channel = channel.map(|channel| channel.with_fragments(self.longest));
            self.secrets = channel.map_or(Secrets::Impossible, |made| Secrets::Made(Box::new(made)));
        }
        match &mut self.secrets {
            Secrets::Made(channel) => Some(channel),
            Secrets::Owed(_) | Secrets::Impossible => None,
        }
    }

    /// The keys, for good.
    pub(crate) fn into_channel(self) -> Option<Channel> {
        match self.secrets {
            Secrets::Made(channel) => Some(*channel),
            Secrets::Owed(_) | Secrets::Impossible => None,
        }
    }
}
