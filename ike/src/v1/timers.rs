//! What a phase 1 SA does when its time has come: retransmission, questions, closing.

use std::time::Instant;

use super::phases::Session;
use super::quick_answer::AnswerStep;
use super::quick_mode::Step;
use super::state::{Established, Phase, State};
use crate::engine::Engine;
use crate::v2::nat;
use crate::v2::state::Common;
use crate::v2::timers::Timer;
use crate::v2::window::{Overdue, Retransmission};
use crate::wire::v1::registry::exchange;
use crate::{Action, ChildId, Outage, Reason, Side, Stage};

impl Established {
    /// When its quick modes are due.
    fn quick_due(&self) -> Option<Instant> {
        let asked = self.asked.as_ref().and_then(|asked| match &asked.step {
            Step::Sent(sent) => Some(sent.request.due()),
            Step::Installing(installing) => installing.child.patience(),
        });
        let answering = self.answering.iter().filter_map(|answer| match &answer.step {
            AnswerStep::Sent(request, _) => Some(request.due()),
            AnswerStep::Installing(..) => answer.child.patience(),
        });
        answering.chain(asked).min()
    }

    /// The children that a datapath was to carry by now.
    fn late(&self, now: Instant) -> Option<ChildId> {
        let asked = self.asked.iter().filter_map(|asked| match &asked.step {
            Step::Sent(_) => None,
            Step::Installing(installing) => Some(&installing.child),
        });
        let mut all = asked.chain(self.answering.iter().map(|answer| &answer.child));
        let late = all.find(|child| child.patience().is_some_and(|patience| patience <= now));
        late.map(|child| child.id)
    }
}

impl Engine {
    /// When something of an SA is due; `current`: its connection runs on it.
    pub(super) fn phase_due(&self, phase: &Phase, current: bool) -> Option<Instant> {
        match &phase.state {
            State::ProposalSent(state) => Some(state.request.due()),
            State::ExchangeSent(state) => Some(state.request.due()),
            State::ProofSent(state) => Some(state.request.due()),
            State::AggressiveSent(state) => Some(state.request.due()),
            State::AggressiveAnswered(state) => {
                let expiry = phase.common.timers.due(Timer::Expiry);
                expiry.into_iter().chain([state.answer.due()]).min()
            }
            State::Signing(_) | State::ProposalAnswered(_) | State::ExchangeAnswered(_) => {
                phase.common.timers.due(Timer::Expiry)
            }
            State::Established(state) => {
                let soft = (current && state.leaving.is_none()).then_some(state.lifetime.soft);
                let look = state.next_look().filter(|_| current);
                let due = [
                    soft,
                    look,
                    Some(state.lifetime.end),
                    state.keepalive,
                    state.leaving,
                ];
                due.into_iter().flatten().chain(state.quick_due()).min()
            }
        }
    }

    /// The time of an SA has come.
    pub(crate) fn phase_is_due(&mut self, spi: u64, now: Instant) {
        let Some(Phase {
            mut common,
            mut state,
            ..
        }) = self.take_phase(spi)
        else {
            return;
        };
        let waiting = state.awaited();
        let overdue = match &mut state {
            State::ProposalSent(state) => state.request.tick(now),
            State::ExchangeSent(state) => state.request.tick(now),
            State::ProofSent(state) => state.request.tick(now),
            State::AggressiveSent(state) => state.request.tick(now),
            State::AggressiveAnswered(state) => {
                let expired = common.timers.due(Timer::Expiry).is_some_and(|due| due <= now);
                match state.answer.tick(now) {
                    Overdue::GiveUp => return self.expired_v1(&mut common),
                    Overdue::Wait | Overdue::Again(_) if expired => return self.expired_v1(&mut common),
                    waits @ (Overdue::Wait | Overdue::Again(_)) => waits,
                }
            }
            State::Signing(signing) => return self.never_signed_v1(&common, signing, now),
            State::ProposalAnswered(_) | State::ExchangeAnswered(_) => {
                return self.expired_v1(&mut common);
            }
            State::Established(_) => return self.established_due(common, state, now),
        };
        match overdue {
            Overdue::Wait => self.keep_phase(common, state),
            Overdue::Again(bytes) => {
                if let Some((exchange, number, tries)) = waiting {
                    self.spoke_again(&common, (Side::We, exchange, Some(number)), tries);
                }
                self.send(common.path, bytes);
                self.keep_phase(common, state);
            }
            Overdue::GiveUp => {
                let outage = silence(&common, state);
                self.attempt_ended(&common, Some(outage), now);
            }
        }
    }

    fn established_due(&mut self, common: Common, state: State, now: Instant) {
        let State::Established(mut state) = state else {
            return;
        };
        let ended = state.lifetime.end <= now;
        if ended || state.leaving.is_some_and(|leaving| leaving <= now) {
            self.forget_quick_modes(&mut state);
            let iv = state.last_block.clone();
            self.delete_phase(&common, (&state.keys, &iv));
            if let Some(name) = &common.connection {
                let outage = self.lifetime_ended_v1(name);
                self.phase_gone(&common, outage, now);
            }
            return;
        }
        if state.keepalive.is_some_and(|due| due <= now) {
            let (local, remote) = (common.path.local, common.path.remote);
            self.out.push(Action::Keepalive { local, remote });
            state.keepalive = Some(now + nat::KEEPALIVE);
        }
        let late = state.late(now);
        let Some(name) = common.connection.clone() else {
            return;
        };
        let current = self.current_sa(&name) == Some(common.spi);
        let soft = current && state.leaving.is_none() && state.lifetime.soft <= now;
        if soft {
            state.lifetime.soft = self.later(now);
        }
        let tunnel = self.take_tunnel(&name);
        let mut session = Session {
            name: name.clone(),
            common,
            state,
            tunnel,
        };
        let answers = self.retransmit(&mut session, now);
        let look = session.state.next_look().filter(|due| current && *due <= now);
        let there = answers && (look.is_none() || self.look_v1(&mut session, now));
        let outage = self.silence(&session);
        self.keep_session(session);
        if !there {
            return self.abandon(&name, outage, now);
        }
        if let Some(child) = late {
            self.out.push(Action::RemoveChild(child));
            self.refused_v1(child, "no answer within ten seconds".to_owned(), now);
        }
        if soft {
            self.reauthenticate(&name, now);
        }
        self.attend(&name, now);
    }

    /// Sends messages of quick modes again that were not answered; whether the peer may still be there.
    fn retransmit(&mut self, session: &mut Session, now: Instant) -> bool {
        let path = session.common.path;
        if let Some(asked) = &mut session.state.asked
            && let Step::Sent(sent) = &mut asked.step
        {
            match sent.request.tick(now) {
                Overdue::Wait => {}
                Overdue::Again(bytes) => {
                    let repeat = sent.request.tries().saturating_sub(1);
                    let first = (Side::We, exchange::QUICK_MODE, Some(1));
                    self.spoke_again(&session.common, first, repeat);
                    self.send(path, bytes);
                }
                Overdue::GiveUp => {
                    let inbound = sent.inbound;
                    self.forget_child_spi(inbound);
                    let asked = session.state.asked.take();
                    if session.state.heard + Retransmission::longest() <= now {
                        return false;
                    }
                    if let Some(asked) = asked {
                        let outage = Outage::plain(Reason::PeerSilent, Side::We, Stage::QuickMode);
                        self.refused_line(session, (asked.purpose, outage), now);
                    }
                }
            }
        }
        let mut given_up = Vec::new();
        for answer in &mut session.state.answering {
            if let AnswerStep::Sent(request, _) = &mut answer.step {
                match request.tick(now) {
                    Overdue::Wait => {}
                    Overdue::Again(bytes) => {
                        let repeat = request.tries().saturating_sub(1);
                        let second = (Side::We, exchange::QUICK_MODE, Some(2));
                        self.spoke_again(&session.common, second, repeat);
                        self.send(path, bytes);
                    }
                    Overdue::GiveUp => given_up.push(answer.id),
                }
            }
        }
        for id in given_up {
            let place = session.state.answering.iter().position(|answer| answer.id == id);
            if let Some(place) = place {
                let answer = session.state.answering.remove(place);
                self.take_away(&answer.child);
            }
        }
        true
    }
}

/// Why an attempt of ours came to nothing that nobody answered.
fn silence(common: &Common, state: State) -> Outage {
    let gone = |reason, expected: &str| Outage {
        offered: format!("requests to {}", common.path.remote),
        expected: expected.to_owned(),
        ..Outage::plain(reason, Side::We, Stage::MainMode)
    };
    match state {
        State::ProposalSent(state) => state
            .refused
            .unwrap_or_else(|| gone(Reason::PeerUnreachable, "an answer")),
        State::ExchangeSent(state) => state
            .refused
            .unwrap_or_else(|| gone(Reason::PeerSilent, "an answer")),
        State::ProofSent(state) => state.refused.unwrap_or_else(|| {
            let expected = "an answer to our proof; a peer with another secret may say nothing";
            gone(Reason::PeerSilent, expected)
        }),
        State::AggressiveSent(state) => state.refused.unwrap_or_else(|| Outage {
            stage: Stage::AggressiveMode,
            ..gone(Reason::PeerUnreachable, "an answer")
        }),
        State::Signing(_)
        | State::ProposalAnswered(_)
        | State::ExchangeAnswered(_)
        | State::AggressiveAnswered(_)
        | State::Established(_) => gone(Reason::PeerSilent, "an answer"),
    }
}
