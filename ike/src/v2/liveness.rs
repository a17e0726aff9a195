//! What an IKE SA does when one of its timers is due: retransmission, dead-peer checks, keepalives.

use std::time::{Duration, Instant};

use super::nat;
use super::state::{Common, Established, IkeSa, State};
use super::timers::Timer;
use super::window::{Overdue, Retransmission};
use crate::engine::Engine;
use crate::wire::registry::exchange;
use crate::{Action, ChildId, Outage, Reason, Side, Stage};

/// How long the datapath may take to tell what came.
const LOOK: Duration = Duration::from_secs(1);

impl Established {
    /// How long the peer may be silent before it must show that it is there: so late that the check, with all its
    /// retransmissions, ends when the silence has lasted for the configured time (RFC 7296 §2.4).
    pub(crate) fn probe_after(&self) -> Duration {
        self.dpd_timeout
            .saturating_sub(Retransmission::longest())
            .max(self.dpd_timeout / 3)
    }

    /// When the datapath is asked next. For the first time early: what comes right after an IKE message would else pass for
    /// later than it was.
    pub(crate) fn next_look(&self) -> Instant {
        if self.looked {
            self.heard + self.probe_after()
        } else {
            self.heard + self.probe_after() / 2
        }
    }

    /// Whether it was silent for so long that it is asked.
    fn is_silent(&self, now: Instant) -> bool {
        self.heard + self.probe_after() <= now
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
            (Timer::Liveness, State::Established(state)) => self.look(common, state, now),
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
        let (overdue, tries) = match &mut state {
            State::InitSent(state) => (state.request.tick(now), state.request.tries()),
            State::IntermediateSent(state) => (state.request.tick(now), state.request.tries()),
            State::AuthSent(state) => (state.request.tick(now), state.request.tries()),
            State::Established(state) => (state.window.tick(now), state.window.tries()),
            State::Closing(state) => (state.window.tick(now), state.window.tries()),
            State::InitAnswered(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::Answering(_)
            | State::Refused(_) => (Overdue::Wait, 0),
        };
        match overdue {
            Overdue::Wait => self.keep(common, state),
            Overdue::Again(bytes) => {
                self.repeated(&common, Side::We, &bytes, tries.saturating_sub(1));
                if matches!(state, State::Established(_)) {
                    self.send_around(&common, &bytes, tries);
                }
                self.send(common.path, bytes);
                self.keep(common, state);
            }
            Overdue::GiveUp => self.given_up(&common, state, now),
        }
    }

    /// The peer does not answer.
    pub(crate) fn given_up(&mut self, common: &Common, state: State, now: Instant) {
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
                self.forget_offer(&state);
                self.ended(common, Some(gone(Reason::PeerSilent, Stage::IkeAuth)), now);
            }
            State::Established(mut state) => {
                self.pass_on(common, &mut state, now);
                self.remove_children(&mut state, now);
                self.ended(common, Some(gone(Reason::PeerSilent, Stage::Established)), now);
            }
            State::Closing(_)
            | State::InitAnswered(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::Answering(_)
            | State::Refused(_) => {}
        }
    }

    /// The SA has had its time in this state.
    fn expired(&mut self, common: Common, state: State, now: Instant) {
        match state {
            State::InitAnswered(_) | State::Refused(_) => {
                self.half_open.remove(common.spi);
            }
            State::AuthSigning(_) => self.never_signed(&common, now),
            State::AnswerSigning(state) => {
                self.half_open.remove(common.spi);
                self.unsigned(&state.peer.name, now);
            }
            State::Established(mut state) if !state.children.carry() => {
                self.remove_children(&mut state, now);
                self.ended(&common, None, now);
                self.close(common, state.farewell(), now);
            }
            state @ State::Established(_) => self.given_up(&common, state, now),
            State::Closing(state) => {
                if let Some(answer) = state.window.remembered().filter(|_| state.owes) {
                    self.send(common.path, answer.clone());
                }
            }
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

    /// The peer has been silent for long. What came by its children shows as well that it is there, so the datapath is
    /// asked first.
    fn look(&mut self, common: Common, mut state: Box<Established>, now: Instant) {
        let asked = state.looking.take().is_some();
        let carried = state.children.iter().filter(|child| child.installed.is_some());
        let children: Vec<ChildId> = carried.map(|child| child.id).collect();
        if asked || children.is_empty() {
            state.looked = true;
            return if state.is_silent(now) {
                self.probe(common, state, now)
            } else {
                self.keep(common, State::Established(state))
            };
        }
        self.out.push(Action::AskTraffic(children));
        state.looking = Some(now + LOOK);
        self.keep(common, State::Established(state));
    }

    /// What came by the children of an IKE SA until now.
    pub(crate) fn received_by(&mut self, counts: &[(ChildId, u64)], now: Instant) {
        if let Some((id, _)) = counts.first().filter(|(id, _)| self.is_child_v1(*id)) {
            return self.received_v1_by(*id, counts, now);
        }
        let known = counts.iter().find_map(|(id, _)| self.take_child(*id));
        let Some(IkeSa { common, mut state }) = known else {
            return;
        };
        let State::Established(established) = &mut state else {
            return self.keep(common, state);
        };
        let mut moved = false;
        for (id, packets) in counts {
            if let Some(child) = established.children.get_mut(*id) {
                moved |= *packets > child.received;
                child.received = *packets;
            }
        }
        if moved {
            // The peer may have gone right after the last look: half as long until the next one, so that the last of its
            // packets is not long past when its silence is noticed.
            let about = now.checked_sub(established.probe_after() / 2).unwrap_or(now);
            established.heard = about.max(established.heard);
        }
        let looking = established.looking.take().is_some();
        established.looked |= looking;
        match state {
            State::Established(state) if looking && !moved && state.is_silent(now) => {
                self.probe(common, state, now)
            }
            state => self.keep(common, state),
        }
    }

    /// Asks the peer whether it is there, with an empty INFORMATIONAL request.
    pub(crate) fn probe(&mut self, mut common: Common, mut state: Box<Established>, now: Instant) {
        state.channel.forget_fragments();
        if let Some(id) = state.window.next_request() {
            let (kind, payloads) = (exchange::INFORMATIONAL, common.probes(state.nat));
            let bytes = state.channel.request(kind, id, &payloads, self.random.as_mut());
            self.wrote(&common, (kind, id, false), &payloads);
            self.send(common.path, bytes.clone());
            state.window.requested(bytes, now);
            common
                .timers
                .set(Timer::Expiry, Some(state.heard + state.dpd_timeout));
        }
        self.keep(common, State::Established(state));
    }
}
