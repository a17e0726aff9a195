//! Every phase 1 SA by our cookie, and every connection's Child SAs by its name; routes each message to those it concerns.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::fragments::Assemblies;
use super::proposal::Transport;
use super::state::{Established, Phase, State};
use super::tunnel::Tunnel;
use crate::engine::{Engine, Task};
use crate::v2::payloads::Datagram;
use crate::v2::state::Common;
use crate::wire::v1::Message;
use crate::wire::v1::registry::{exchange, payload};
use crate::{ChildId, Connection, ConnectionName, DropCause, Side};

/// All that there is of IKEv1. Child SAs outlive the phase 1 SA that they were made in (RFC 2408 §2.1), so they are the
/// connection's.
#[derive(Default)]
pub(crate) struct Phases {
    /// By our cookie.
    pub(crate) sas: BTreeMap<u64, Phase>,
    pub(crate) tunnels: BTreeMap<ConnectionName, Tunnel>,
    /// The connection of each child.
    pub(crate) owners: BTreeMap<ChildId, ConnectionName>,
    /// What has arrived of messages that are not whole yet.
    pub(super) fragments: Assemblies,
}

/// An established phase 1 SA, and the Child SAs of its connection.
pub(crate) struct Session {
    pub(crate) name: ConnectionName,
    pub(crate) common: Common,
    pub(crate) state: Box<Established>,
    pub(crate) tunnel: Tunnel,
}

impl Session {
    /// What a line of the log needs to know of it.
    pub(crate) fn speaks(&self) -> (&Common, Transport) {
        (&self.common, self.state.transport())
    }
}

impl Engine {
    /// A message of version 1.
    pub(crate) fn received_v1(&mut self, datagram: &Datagram, now: Instant) {
        let header = &datagram.header;
        let (initiator, responder) = (header.initiator_spi, header.responder_spi);
        if header.flags & Message::COMMIT != 0 {
            self.dropped(datagram.remote, Some(DropCause::CommitBit));
        }
        let ours = |phase: &Phase| {
            let Common {
                initiator: first,
                peer_spi,
                ..
            } = phase.common;
            first && (peer_spi == responder || peer_spi == 0)
        };
        let theirs = |phase: &Phase| !phase.common.initiator && phase.common.peer_spi == initiator;
        let known = if self.v1.sas.get(&initiator).is_some_and(ours) {
            Some(initiator)
        } else {
            Some(responder).filter(|spi| self.v1.sas.get(spi).is_some_and(theirs))
        };
        if let (Some(spi), payload::FRAGMENT) = (known, header.next_payload) {
            if let Some(whole) = self.assembled(spi, datagram) {
                self.received_v1(&whole, now);
            }
            return;
        }
        match known.and_then(|spi| self.take_phase(spi)) {
            Some(phase) => self.arrived_v1(phase, datagram, now),
            None if responder == 0 && header.exchange_type == exchange::MAIN_MODE => {
                self.newcomer_v1(datagram, now);
            }
            None if responder == 0 && header.exchange_type == exchange::AGGRESSIVE => {
                self.newcomer_aggressive(datagram, now);
            }
            None => {
                let cause = if !self.is_version_1(datagram.path()) {
                    DropCause::UnsupportedVersion
                } else if responder == 0 {
                    DropCause::UnexpectedExchange
                } else {
                    DropCause::UnknownSpi
                };
                self.dropped(datagram.remote, Some(cause));
            }
        }
    }

    /// A message under the cookies of a phase 1 SA, which anyone may have sent.
    fn arrived_v1(&mut self, phase: Phase, datagram: &Datagram, now: Instant) {
        let Phase { common, state, .. } = phase;
        let (kind, encrypted) = (
            datagram.header.exchange_type,
            Message::is_encrypted(&datagram.header),
        );
        let (main, aggressive) = (kind == exchange::MAIN_MODE, kind == exchange::AGGRESSIVE);
        let state = match state {
            State::ProposalSent(state) if main && !encrypted => {
                return self.proposal_answered(common, state, datagram, now);
            }
            State::ExchangeSent(state) if main && !encrypted => {
                return self.exchange_answered(common, state, datagram, now);
            }
            State::ProofSent(state) if main && encrypted => {
                return self.proof_answered(common, state, datagram, now);
            }
            State::ProposalAnswered(state) if main && !encrypted => {
                return self.answer_exchange(common, state, datagram);
            }
            State::ExchangeAnswered(state) if main => return self.answer_proof(common, state, datagram, now),
            State::AggressiveSent(state) if aggressive && !encrypted => {
                return self.aggressive_answered(common, state, datagram, now);
            }
            State::AggressiveAnswered(state) if aggressive => {
                return self.answered_last(common, state, datagram, now);
            }
            // It comes again while the answer is owed.
            State::Signing(state) if main || aggressive => {
                return self.keep_phase(common, State::Signing(state));
            }
            State::Established(state) if encrypted || main || aggressive => {
                return self.genuine_or_not(common, state, datagram, now);
            }
            other => other,
        };
        if kind == exchange::INFORMATIONAL {
            return self.hint_v1(common, state, datagram);
        }
        self.dropped(datagram.remote, Some(DropCause::UnexpectedExchange));
        self.keep_phase(common, state);
    }

    /// A message for an established SA.
    fn genuine_or_not(&mut self, common: Common, state: Box<Established>, datagram: &Datagram, now: Instant) {
        if let Some(done) = state.done.iter().find(|done| done.answers(&datagram.bytes)) {
            let (answer, kind) = (done.answer.clone(), datagram.header.exchange_type);
            self.spoke_again(&common, (Side::Peer, kind, None), 1);
            self.send(datagram.path(), answer);
            return self.keep_phase(common, State::Established(state));
        }
        let kind = datagram.header.exchange_type;
        let fresh = datagram.header.message_id != 0;
        let Some(name) = common.connection.clone() else {
            return self.keep_phase(common, State::Established(state));
        };
        let session = self.session(name, common, state);
        match kind {
            exchange::QUICK_MODE if fresh => self.quick_arrived(session, datagram, now),
            exchange::INFORMATIONAL if fresh => self.informational_arrived(session, datagram, now),
            _ => {
                self.dropped(datagram.remote, Some(DropCause::UnexpectedExchange));
                self.keep_session(session);
            }
        }
    }

    /// An established SA with the Child SAs of its connection.
    fn session(&mut self, name: ConnectionName, common: Common, state: Box<Established>) -> Session {
        let tunnel = self.take_tunnel(&name);
        Session {
            name,
            common,
            state,
            tunnel,
        }
    }

    /// The session of a connection that has an established SA.
    pub(crate) fn take_session(&mut self, name: &ConnectionName) -> Option<Session> {
        let spi = self.current_sa(name)?;
        self.session_at(spi)
    }

    /// The session of the established SA with this cookie of ours.
    pub(crate) fn session_at(&mut self, spi: u64) -> Option<Session> {
        let phase = self.v1.sas.get(&spi)?;
        phase.established()?;
        let name = phase.common.connection.clone()?;
        let Phase { common, state, .. } = self.take_phase(spi)?;
        match state {
            State::Established(state) => Some(self.session(name, common, state)),
            other @ (State::ProposalSent(_)
            | State::ExchangeSent(_)
            | State::ProofSent(_)
            | State::ProposalAnswered(_)
            | State::ExchangeAnswered(_)
            | State::AggressiveSent(_)
            | State::AggressiveAnswered(_)
            | State::Signing(_)) => {
                self.keep_phase(common, other);
                None
            }
        }
    }

    /// Puts both back, the SA first: what is due for the Child SAs depends on it.
    pub(crate) fn keep_session(&mut self, session: Session) {
        let Session {
            name,
            common,
            state,
            tunnel,
        } = session;
        self.keep_phase(common, State::Established(state));
        self.keep_tunnel(&name, tunnel);
    }

    /// Puts a phase 1 SA back, with its place on the agenda.
    pub(crate) fn keep_phase(&mut self, common: Common, state: State) {
        if matches!(state, State::Established(_)) {
            self.watch(&common);
        }
        let spi = common.spi;
        let mut phase = Phase {
            common,
            state,
            due: None,
        };
        let current = phase.common.connection.as_ref();
        let current = current.and_then(|name| self.current_sa(name)) == Some(spi);
        phase.due = self.phase_due(&phase, current);
        if let Some(at) = phase.due {
            self.agenda.insert((at, Task::Phase(spi)));
        }
        self.v1.sas.insert(spi, phase);
    }

    /// Takes a phase 1 SA out, with its place on the agenda.
    pub(crate) fn take_phase(&mut self, spi: u64) -> Option<Phase> {
        let phase = self.v1.sas.remove(&spi)?;
        if let Some(at) = phase.due {
            self.agenda.remove(&(at, Task::Phase(spi)));
        }
        Some(phase)
    }

    /// Takes the Child SAs of a connection out, if there are any.
    pub(crate) fn take_tunnel(&mut self, name: &ConnectionName) -> Tunnel {
        let tunnel = self.v1.tunnels.remove(name).unwrap_or_default();
        if let Some(at) = tunnel.due {
            self.agenda.remove(&(at, Task::Tunnel(name.clone())));
        }
        tunnel
    }

    /// Puts the Child SAs of a connection back, with their place on the agenda.
    pub(crate) fn keep_tunnel(&mut self, name: &ConnectionName, mut tunnel: Tunnel) {
        let current = self.current_sa(name).and_then(|spi| self.v1.sas.get(&spi));
        tunnel.due = tunnel.next(current.and_then(Phase::established));
        if let Some(at) = tunnel.due {
            self.agenda.insert((at, Task::Tunnel(name.clone())));
        }
        self.v1.tunnels.insert(name.clone(), tunnel);
    }

    /// The settings of the connection of a phase 1 SA.
    pub(super) fn settings_of_phase(&self, common: &Common) -> Option<Arc<Connection>> {
        common.connection.as_ref().and_then(|name| self.settings_of(name))
    }

    /// An id for a message of ours.
    pub(super) fn drawn_id(&mut self) -> u32 {
        loop {
            let mut octets = [0; 4];
            self.random.fill(&mut octets);
            let id = u32::from_be_bytes(octets);
            if id != 0 {
                return id;
            }
        }
    }
}
