//! Holds every IKE SA and routes each input to the one it concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::beliefs::Beliefs;
use crate::half_open::HalfOpen;
use crate::rejection::{Rejection, error};
use crate::standing::Connections;
use crate::v1::phases::Phases;
use crate::v2::nat::Path;
use crate::v2::payloads::Datagram;
use crate::v2::state::{Common, IkeSa, State};
use crate::v2::trial::Trial;
use crate::wire::registry::{exchange, notify};
use crate::wire::{Header, Message, Payload};
use crate::{Action, ChildId, ConnectionName, Deadline, DropCause, Event, Input, Limits, Random, Snapshot};

/// Between two unprotected answers to messages of no IKE SA at least this long passes (RFC 7296 §2.21.4).
const ANSWERS_TO_STRANGERS: Duration = Duration::from_millis(100);
/// The first 255 SPIs are reserved (RFC 4303 §2.1).
const RESERVED_SPIS: u32 = 255;
const KEEPALIVE: &[u8] = &[0xff];

/// Both IKE versions: holds every IKE SA and routes each input to the one it concerns.
pub struct Engine {
    pub(crate) random: Box<dyn Random>,
    pub(crate) out: Vec<Action>,
    pub(crate) connections: Connections,
    pub(crate) limits: Limits,
    /// What lies behind peers.
    pub(crate) inside: Vec<IpNet>,
    /// Whether the datapath carries on while nobody runs the engine.
    pub(crate) carries_on: bool,
    pub(crate) half_open: HalfOpen,
    /// What time it is, and which certificates are revoked.
    pub(crate) beliefs: Beliefs,
    /// By our SPI.
    pub(crate) sas: BTreeMap<u64, IkeSa>,
    /// Peers of IKEv1 that were asked whether they answer IKEv2, by our SPI.
    pub(crate) trials: BTreeMap<u64, Trial>,
    /// All that there is of IKEv1.
    pub(crate) v1: Phases,
    /// What is to be done when, in order.
    pub(crate) agenda: BTreeSet<(Instant, Task)>,
    pub(crate) stopping: bool,
    /// The IKE SA of each child.
    children: BTreeMap<ChildId, u64>,
    /// The SPIs that we receive on.
    child_spis: BTreeSet<u32>,
    last_child: u64,
    drops: BTreeMap<DropCause, u64>,
    answered_stranger: Option<Instant>,
}

/// What waits for its time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    /// The next timer of the IKE SA with this SPI of ours.
    Sa(u64),
    /// What is due for the phase 1 SA with this cookie of ours.
    Phase(u64),
    /// The next request of the trial with this SPI of ours.
    Trial(u64),
    /// What is due for the Child SAs of a connection of IKEv1.
    Tunnel(ConnectionName),
    /// The next attempt of a connection.
    Retry(ConnectionName),
}

impl Engine {
    /// An engine without connections, which draws all randomness from `random`.
    pub fn new(random: Box<dyn Random>) -> Self {
        Self {
            random,
            out: Vec::new(),
            connections: Connections::default(),
            limits: Limits::default(),
            inside: Vec::new(),
            carries_on: false,
            half_open: HalfOpen::default(),
            beliefs: Beliefs::default(),
            sas: BTreeMap::new(),
            trials: BTreeMap::new(),
            v1: Phases::default(),
            agenda: BTreeSet::new(),
            stopping: false,
            children: BTreeMap::new(),
            child_spis: BTreeSet::new(),
            last_child: 0,
            drops: BTreeMap::new(),
            answered_stranger: None,
        }
    }

    /// Takes one input and returns all that follows from it, in order.
    pub fn handle(&mut self, input: Input, now: Instant) -> Vec<Action> {
        match input {
            Input::Settings(settings) => self.configure(*settings, now),
            Input::Datagram { local, remote, bytes } => self.received(local, remote, bytes, now),
            Input::ChildInstalled(child) if self.is_child_v1(child) => self.installed_v1(child, now),
            Input::ChildRefused(child, why) if self.is_child_v1(child) => self.refused_v1(child, why, now),
            Input::ChildSpent(child, spent) if self.is_child_v1(child) => self.spent_v1(child, spent, now),
            Input::Wanted(name, line) if self.is_v1(&name) => self.wanted_v1(&name, line, now),
            Input::RekeyChild(name) if self.is_v1(&name) => self.rekey_v1(&name, false, now),
            Input::RekeyIke(name) | Input::Reauthenticate(name) if self.is_v1(&name) => {
                self.rekey_v1(&name, true, now)
            }
            Input::Orphaned { connection, .. } if self.is_v1(&connection) => {}
            Input::ChildInstalled(child) => self.installed(child, now),
            Input::ChildRefused(child, why) => self.refused(child, why, now),
            Input::ChildSpent(child, spent) => self.spent(child, spent, now),
            Input::Received(children) => self.received_by(&children, now),
            Input::Carried(children) => self.carried_v1(&children, now),
            Input::Orphaned {
                connection,
                local,
                remote,
                spi,
            } => self.disown(&connection, Path { local, remote }, spi),
            Input::Signed(id, signed) if self.v1.sas.contains_key(&id.0) => self.signed_v1(id, signed, now),
            Input::Signed(id, signed) => self.signed(id, signed, now),
            Input::Clock(unix_s) => self.clock(unix_s, now),
            Input::RevocationLists(lists) => self.revocation_lists(lists, now),
            Input::Wanted(name, line) => self.wanted(&name, line, now),
            Input::Resolved(name, host, found) => self.resolved(&name, &host, found, now),
            Input::Connect(name) => self.connect_again(&name, now),
            Input::Disconnect(name) => self.disconnect(&name, now),
            Input::Reset(name) => self.reset(&name, now),
            Input::RekeyChild(name) => self.rekey_now(&name, false, now),
            Input::RekeyIke(name) => self.rekey_now(&name, true, now),
            Input::Reauthenticate(name) => self.prove_anew(&name, now),
            Input::TryVersion2(name) => self.try_version_2(&name, now),
            Input::Shutdown => self.stop(now),
            Input::Tick => self.tick(now),
        }
        std::mem::take(&mut self.out)
    }

    /// When the next [`Input::Tick`] is due, and which timer asks for it.
    pub fn deadline(&self) -> Option<Deadline> {
        let (at, task) = self.agenda.first()?;
        let timer = match task {
            Task::Retry(_) => "retry",
            Task::Phase(_) => "phase-1",
            Task::Trial(_) => "ikev2-trial",
            Task::Tunnel(_) => "child-sas",
            Task::Sa(spi) => self.sas.get(spi)?.common.timers.next()?.1.word(),
        };
        Some(Deadline { at: *at, timer })
    }

    /// A read-only view for status.
    pub fn snapshot(&self) -> Snapshot {
        let (connections, drops) = (self.standings(), self.drops.clone());
        Snapshot {
            connections,
            drops,
            half_open: self.half_open.len(),
        }
    }

    /// Whether nothing is left to close after [`Input::Shutdown`].
    pub fn is_idle(&self) -> bool {
        self.stopping && self.sas.is_empty() && self.v1.sas.is_empty()
    }

    fn received(&mut self, local: SocketAddr, remote: SocketAddr, bytes: Vec<u8>, now: Instant) {
        if bytes == KEEPALIVE {
            return;
        }
        let Ok(header) = Header::decode(&bytes) else {
            return self.dropped(remote, Some(DropCause::Malformed));
        };
        let datagram = Datagram {
            local,
            remote,
            header,
            bytes,
        };
        let before = self.out.len();
        self.routed(&datagram, now);
        self.log_dropped(&datagram, before, now);
    }

    /// To the SA that a message concerns, if there is one.
    fn routed(&mut self, datagram: &Datagram, now: Instant) {
        let header = &datagram.header;
        if self.is_trial(datagram, now) {
            return;
        }
        if header.major_version() == 1 {
            return self.received_v1(datagram, now);
        }
        if header.major_version() != 2 {
            return self.foreign_version(datagram, now);
        }
        let first = header.exchange_type == exchange::IKE_SA_INIT && !header.is_response();
        if first && header.is_initiator() && header.responder_spi == 0 {
            return self.newcomer(datagram, now);
        }
        let (ours, theirs) = if header.is_initiator() {
            (header.responder_spi, header.initiator_spi)
        } else {
            (header.initiator_spi, header.responder_spi)
        };
        let fits = |sa: &IkeSa| {
            let known = sa.common.peer_spi == theirs || matches!(sa.state, State::InitSent(_));
            known && sa.common.initiator != header.is_initiator()
        };
        if self.sas.get(&ours).is_some_and(fits) {
            if let Some(IkeSa { common, state }) = self.take(ours) {
                self.arrived(common, state, datagram, now);
            }
        } else {
            self.stranger(datagram, now);
        }
    }

    /// A message under the SPIs of an IKE SA, which anyone may have sent.
    fn arrived(&mut self, common: Common, state: State, datagram: &Datagram, now: Instant) {
        let header = &datagram.header;
        let answers =
            |kind, id| (header.exchange_type, header.message_id) == (kind, id) && header.is_response();
        let unexpected = match state {
            State::InitSent(state) if answers(exchange::IKE_SA_INIT, 0) => {
                return self.init_answer(common, state, datagram, now);
            }
            State::IntermediateSent(state) if answers(exchange::IKE_INTERMEDIATE, state.agreement.next) => {
                return self.intermediate_answer(common, state, datagram, now);
            }
            State::AuthSent(state) if answers(exchange::IKE_AUTH, state.agreement.next) => {
                return self.auth_answer(common, state, datagram, now);
            }
            State::InitAnswered(state) => return self.half_open_arrived(common, state, datagram, now),
            State::Refused(state) => return self.refused_again(common, state, datagram),
            State::Established(state) => return self.exchange(common, state, datagram, now),
            State::Closing(state) => return self.closing(common, state, datagram, now),
            // The request comes again while its answer is owed; nothing else can (window of one).
            State::Answering(state) => return self.keep(common, State::Answering(state)),
            State::AnswerSigning(state) => return self.keep(common, State::AnswerSigning(state)),
            unexpected @ (State::InitSent(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AuthSent(_)) => unexpected,
        };
        self.dropped(datagram.remote, Some(DropCause::UnexpectedExchange));
        self.keep(common, unexpected);
    }

    /// A message of no IKE SA: if it is a request, its sender may learn that (RFC 7296 §2.21.4).
    fn stranger(&mut self, datagram: &Datagram, now: Instant) {
        self.hint_of_stranger(datagram, now);
        let answer = (!datagram.header.is_response()).then(|| error(notify::INVALID_IKE_SPI, Vec::new()));
        let cause = Some(DropCause::UnknownSpi);
        self.reject(
            datagram,
            Rejection {
                cause,
                answer,
                outage: None,
            },
            now,
        );
    }

    /// A higher major version is told which one we speak (RFC 7296 §2.5).
    fn foreign_version(&mut self, datagram: &Datagram, now: Instant) {
        let higher = datagram.header.major_version() > 2 && !datagram.header.is_response();
        let answer = higher.then(|| error(notify::INVALID_MAJOR_VERSION, Vec::new()));
        let cause = Some(DropCause::UnsupportedVersion);
        self.reject(
            datagram,
            Rejection {
                cause,
                answer,
                outage: None,
            },
            now,
        );
    }

    /// Refuses a message of no IKE SA, with an unprotected answer if there is to be one.
    pub(crate) fn reject(&mut self, datagram: &Datagram, rejection: Rejection, now: Instant) {
        self.dropped(datagram.remote, rejection.cause);
        if let Some(outage) = &rejection.outage {
            for name in self.suspects(datagram.path()) {
                self.told_first(&name, datagram, now);
                self.noted(&name, outage, now);
            }
        }
        let Some(answer) = rejection.answer else { return };
        let asked = &datagram.header;
        let is_init = asked.exchange_type == exchange::IKE_SA_INIT
            && asked.major_version() == 2
            && asked.responder_spi == 0
            && asked.is_initiator();
        if !is_init && !self.may_answer_stranger(now) {
            return;
        }
        // RFC 7296 §1.5: SPIs, message id and exchange are copied from the request.
        let ours = if asked.is_initiator() {
            0
        } else {
            Header::INITIATOR
        };
        let header = Header {
            flags: Header::RESPONSE | ours,
            version: Header::VERSION,
            ..*asked
        };
        let bytes = Message {
            header,
            payloads: vec![Payload::Notify(answer)],
        }
        .encode();
        self.send(datagram.path(), bytes);
    }

    /// Whether it is time again for an unprotected answer.
    pub(crate) fn may_answer_stranger(&mut self, now: Instant) -> bool {
        let recent = |last: Instant| now.saturating_duration_since(last) < ANSWERS_TO_STRANGERS;
        if self.answered_stranger.is_some_and(recent) {
            return false;
        }
        self.answered_stranger = Some(now);
        true
    }

    fn tick(&mut self, now: Instant) {
        while let Some((at, _)) = self.agenda.first()
            && *at <= now
            && let Some((_, task)) = self.agenda.pop_first()
        {
            match task {
                Task::Retry(name) => self.connect(&name, now),
                Task::Phase(spi) => self.phase_is_due(spi, now),
                Task::Trial(spi) => self.trial_is_due(spi, now),
                Task::Tunnel(name) => self.attend(&name, now),
                Task::Sa(spi) => {
                    if let Some(IkeSa { mut common, state }) = self.take(spi) {
                        match common.timers.take(now) {
                            Some(timer) => self.due(common, state, timer, now),
                            None => self.keep(common, state),
                        }
                    }
                }
            }
        }
    }

    /// Puts an IKE SA back, with the timers that follow from its state.
    pub(crate) fn keep(&mut self, common: Common, state: State) {
        if matches!(state, State::Established(_)) {
            self.watch(&common);
        }
        let mut sa = IkeSa { common, state };
        sa.set_timers();
        let spi = sa.common.spi;
        if let Some((at, _)) = sa.common.timers.next() {
            self.agenda.insert((at, Task::Sa(spi)));
        }
        self.sas.insert(spi, sa);
    }

    /// Takes an IKE SA out, with its place on the agenda.
    pub(crate) fn take(&mut self, spi: u64) -> Option<IkeSa> {
        let sa = self.sas.remove(&spi)?;
        if let Some((at, _)) = sa.common.timers.next() {
            self.agenda.remove(&(at, Task::Sa(spi)));
        }
        Some(sa)
    }

    /// The SA that has this child.
    pub(crate) fn take_child(&mut self, child: ChildId) -> Option<IkeSa> {
        let spi = self.children.get(&child).copied()?;
        self.take(spi)
    }

    /// An id for a new child of this IKE SA.
    pub(crate) fn fresh_child(&mut self, spi: u64) -> ChildId {
        self.last_child += 1;
        let id = ChildId(self.last_child);
        self.children.insert(id, spi);
        id
    }

    /// The child belongs to this IKE SA from now on.
    pub(crate) fn move_child(&mut self, id: ChildId, spi: u64) {
        self.children.insert(id, spi);
    }

    /// The child is no more.
    pub(crate) fn forget_child(&mut self, id: ChildId, inbound: u32) {
        self.children.remove(&id);
        self.forget_child_spi(inbound);
    }

    /// An SPI of ours for an IKE SA.
    pub(crate) fn fresh_spi(&mut self) -> u64 {
        loop {
            let mut octets = [0; 8];
            self.random.fill(&mut octets);
            let spi = u64::from_be_bytes(octets);
            let known = self.sas.contains_key(&spi) || self.v1.sas.contains_key(&spi);
            if spi != 0 && !known && !self.trials.contains_key(&spi) {
                return spi;
            }
        }
    }

    /// An SPI of ours for a Child SA.
    pub(crate) fn fresh_child_spi(&mut self) -> u32 {
        loop {
            let mut octets = [0; 4];
            self.random.fill(&mut octets);
            let spi = u32::from_be_bytes(octets);
            if spi > RESERVED_SPIS && self.child_spis.insert(spi) {
                return spi;
            }
        }
    }

    /// The SPI may be drawn again.
    pub(crate) fn forget_child_spi(&mut self, spi: u32) {
        self.child_spis.remove(&spi);
    }

    /// Random octets.
    pub(crate) fn drawn(&mut self, count: usize) -> Vec<u8> {
        let mut octets = vec![0; count];
        self.random.fill(&mut octets);
        octets
    }

    /// Sends a message, or its fragments, which stand one behind another; one that could not be sealed is as good as
    /// lost.
    pub(crate) fn send(&mut self, path: Path, bytes: Vec<u8>) {
        let mut messages = bytes.as_slice();
        while !messages.is_empty() {
            let (first, rest) = Header::split_first(messages);
            self.out.push(Action::Send {
                local: path.local,
                remote: path.remote,
                bytes: first.to_vec(),
            });
            messages = rest;
        }
    }

    /// Counts a message that changed nothing.
    pub(crate) fn dropped(&mut self, remote: SocketAddr, cause: Option<DropCause>) {
        if let Some(cause) = cause {
            *self.drops.entry(cause).or_default() += 1;
            self.out.push(Action::Report(Event::Dropped(remote, cause)));
        }
    }
}
