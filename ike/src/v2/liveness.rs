//! What an IKE SA does when one of its timers is due: retransmission, dead-peer checks, keepalives.

use std::time::{Duration, Instant};

use super::nat;
use super::state::{Common, Established, State};
use super::timers::Timer;
use super::window::{Overdue, Retransmission};
use crate::engine::Engine;
use crate::wire::registry::exchange;
use crate::{Action, Outage, Reason, Side, Stage};

impl Established {
    /// How long the peer may be silent before it must show that it is there: so late that the check, with all its
    /// retransmissions, ends when the silence has lasted for the configured time (RFC 7296 §2.4).
    pub(crate) fn probe_after(&self) -> Duration {
        self.dpd_timeout
            .saturating_sub(Retransmission::longest())
            .max(self.dpd_timeout / 3)
    }

    /// When the first keepalive is due.
    pub(crate) fn first_keepalive(&self, now: Instant) -> Option<Instant> {
        self.nat.local.then(|| now + nat::KEEPALIVE)
    }
}

impl Engine {
    /// A timer of an IKE SA is due.
    pub(crate) fn due(&mut self, mut common: Common, state: State, timer: Timer, now: Instant) {
        match (timer, state) {
            (Timer::Retransmission, state) => self.overdue(common, state, now),
            (Timer::Lifetime, State::Established(state)) => self.aged(common, state, now),
            (Timer::Liveness, State::Established(state)) => self.probe(common, state, now),
            (Timer::Keepalive, State::Established(state)) => {
                let (local, remote) = (common.path.local, common.path.remote);
                self.out.push(Action::Keepalive { local, remote });
                common.timers.set(Timer::Keepalive, state.first_keepalive(now));
                self.keep(common, State::Established(state));
            }
            (Timer::Expiry, state) => self.expired(common, state, now),
            (Timer::Liveness | Timer::Keepalive | Timer::Lifetime, state) => self.keep(common, state),
        }
    }

    /// An answer is overdue.
    fn overdue(&mut self, common: Common, mut state: State, now: Instant) {
        let overdue = match &mut state {
            State::InitSent(state) => state.request.tick(now),
            State::IntermediateSent(state) => state.request.tick(now),
            State::AuthSent(state) => state.request.tick(now),
            State::Established(state) => state.window.tick(now),
            State::Closing(state) => state.window.tick(now),
            State::InitAnswered(_) | State::Answering(_) | State::Refused(_) => Overdue::Wait,
        };
        match overdue {
            Overdue::Wait => self.keep(common, state),
            Overdue::Again(bytes) => {
                self.send(common.path, bytes);
                self.keep(common, state);
            }
            Overdue::GiveUp => self.given_up(&common, state, now),
        }
    }

    /// The peer does not answer.
    fn given_up(&mut self, common: &Common, state: State, now: Instant) {
        let remote = common.path.remote;
        let gone = |reason, stage| Outage {
            offered: format!("requests to {remote}"),
            expected: "an answer".to_owned(),
            ..Outage::plain(reason, Side::We, stage)
        };
        match state {
            State::InitSent(state) => {
                let silent = gone(Reason::PeerUnreachable, Stage::IkeSaInit);
                self.ended(common, Some(state.refused.unwrap_or(silent)), now);
            }
            State::IntermediateSent(_) => {
                self.ended(
                    common,
                    Some(gone(Reason::PeerSilent, Stage::IkeIntermediate)),
                    now,
                );
            }
            State::AuthSent(state) => {
                self.forget_child_spi(state.inbound);
                self.ended(common, Some(gone(Reason::PeerSilent, Stage::IkeAuth)), now);
            }
            State::Established(mut state) => {
                self.remove_children(&mut state, now);
                self.ended(common, Some(gone(Reason::PeerSilent, Stage::Established)), now);
            }
            State::Closing(_) | State::InitAnswered(_) | State::Answering(_) | State::Refused(_) => {}
        }
    }

    /// The SA has had its time in this state.
    fn expired(&mut self, common: Common, state: State, now: Instant) {
        match state {
            State::InitAnswered(_) | State::Refused(_) => {
                self.half_open.remove(common.spi);
            }
            State::Established(state) if !state.children.carry() => {
                self.ended(&common, None, now);
                self.close(common, state.farewell(), now);
            }
            state @ State::Established(_) => self.given_up(&common, state, now),
            State::Closing(_) => {}
            State::Answering(state) => {
                let child = state.established.children.iter().next().map(|child| child.id);
                self.keep(common, State::Answering(state));
                if let Some(child) = child {
                    self.not_carried(child, now);
                }
            }
            state @ (State::InitSent(_) | State::IntermediateSent(_) | State::AuthSent(_)) => {
                self.keep(common, state)
            }
        }
    }

    /// Asks the peer whether it is there, with an empty INFORMATIONAL request.
    fn probe(&mut self, mut common: Common, mut state: Box<Established>, now: Instant) {
        state.channel.forget_fragments();
        if let Some(id) = state.window.next_request() {
            let random = self.random.as_mut();
            let bytes = state.channel.request(exchange::INFORMATIONAL, id, &[], random);
            self.send(common.path, bytes.clone());
            state.window.requested(bytes, now);
            common
                .timers
                .set(Timer::Expiry, Some(state.heard + state.dpd_timeout));
        }
        self.keep(common, State::Established(state));
    }
}
