//! Closing IKE SAs, and what becomes of their children (RFC 7296 §1.4.1).

use std::time::{Duration, Instant};

use super::child::{AgreedChild, Child};
use super::keys::ChildKeys;
use super::payloads;
use super::rekey::Asked;
use super::staging;
use super::state::{Answering, Closing, Common, Established, IkeSa, State};
use super::timers::{Timer, Timers};
use super::volume::volume;
use crate::engine::Engine;
use crate::wire::registry::{exchange, notify};
use crate::{Action, ChildId, Connection, Encapsulation, EspPair, Outage, Reason, Side, Stage};

/// How long a Delete may wait for its answer once we stop.
const FAREWELL: Duration = Duration::from_secs(2);

/// What both sides agreed on, the keys that follow, and how its packets travel.
type Made = (AgreedChild, ChildKeys, Encapsulation);

impl Established {
    /// What closes it.
    pub(crate) fn farewell(self) -> Closing {
        let farewell = Some(vec![payloads::delete_ike()]);
        Closing {
            channel: self.channel,
            window: self.window,
            farewell,
            asked: self.asked,
            owes: false,
        }
    }
}

impl Engine {
    /// Sends the Delete, at once or when our last request is answered.
    pub(crate) fn close(&mut self, mut common: Common, mut state: Closing, now: Instant) {
        common.timers = Timers::default();
        if self.stopping {
            common.timers.set(Timer::Expiry, Some(now + FAREWELL));
        }
        if let Some(id) = state.window.next_request()
            && let Some(payloads) = state.farewell.take()
        {
            let random = self.random.as_mut();
            let bytes = state
                .channel
                .request(exchange::INFORMATIONAL, id, &payloads, random);
            self.wrote(&common, (exchange::INFORMATIONAL, id, false), &payloads);
            self.send(common.path, bytes.clone());
            state.window.requested(bytes, now);
        }
        self.keep(common, State::Closing(Box::new(state)));
    }

    /// The peer closed it, while another IKE SA took over: what left by its children has time to arrive before the answer.
    pub(crate) fn answer_later(&mut self, mut common: Common, state: Established, now: Instant) {
        common.timers = Timers::default();
        common.timers.set(Timer::Expiry, Some(now + staging::ARRIVING));
        let closing = Closing {
            farewell: None,
            owes: true,
            ..state.farewell()
        };
        self.keep(common, State::Closing(Box::new(closing)));
    }

    /// Another SA took the place of this one, or its connection is no more. `silently`: the peer has forgotten it
    /// already (INITIAL_CONTACT, §2.4).
    pub(crate) fn retire(&mut self, spi: Option<u64>, silently: bool, now: Instant) {
        let Some(IkeSa { mut common, state }) = spi.and_then(|spi| self.take(spi)) else {
            return;
        };
        match state {
            State::Established(mut state) => {
                self.remove_children(&mut state, now);
                if !silently {
                    self.close(common, state.farewell(), now);
                }
            }
            State::Answering(mut state) => self.remove_children(&mut state.established, now),
            State::AuthSent(state) => self.forget_offer(&state),
            State::Closing(state) => {
                if self.stopping {
                    common.timers.set(Timer::Expiry, Some(now + FAREWELL));
                }
                self.keep(common, State::Closing(state));
            }
            State::InitSent(_)
            | State::IntermediateSent(_)
            | State::InitAnswered(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::Refused(_) => {}
        }
    }

    /// Forgets every SA that has not authenticated.
    pub(crate) fn drop_half_open(&mut self) {
        let half_open = |sa: &IkeSa| {
            let state = &sa.state;
            matches!(
                state,
                State::InitAnswered(_) | State::AnswerSigning(_) | State::Refused(_)
            )
        };
        let spis: Vec<_> = self
            .sas
            .iter()
            .filter(|(_, sa)| half_open(sa))
            .map(|(spi, _)| *spi)
            .collect();
        for spi in spis {
            self.take(spi);
            self.half_open.remove(spi);
        }
    }

    /// Asks the datapath to carry a child of this SA; `initiator` says whether we started the exchange that made it.
    pub(crate) fn install(&mut self, common: &Common, made: Made, initiator: bool, now: Instant) -> Child {
        self.carry(common, made, (initiator, true), now)
    }

    /// The same for a child that we asked for, and by which nothing leaves while it leaves by one of another IKE SA.
    pub(crate) fn install_behind(&mut self, common: &Common, made: Made, now: Instant) -> Child {
        self.carry(common, made, (true, false), now)
    }

    /// Asks the datapath to receive by a child that the peer wants in the place of another: what we send goes the old
    /// way until the peer deletes that, or had time to put it into use.
    pub(crate) fn stage(&mut self, common: &Common, made: Made, now: Instant) -> Child {
        self.carry(common, made, (false, false), now)
    }

    fn carry(
        &mut self,
        common: &Common,
        (mut agreed, keys, encapsulation): Made,
        (initiator, sends): (bool, bool),
        now: Instant,
    ) -> Child {
        let settings = common.connection.as_ref().and_then(|name| self.settings_of(name));
        let settings = settings.as_deref();
        let length = settings.map_or(Connection::CHILD_LIFETIME, |settings| settings.child_lifetime);
        let volume = volume(&agreed, settings);
        agreed.selectors.local.shrink_to_fit();
        agreed.selectors.remote.shrink_to_fit();
        let child = Child {
            id: self.fresh_child(common.spi),
            agreed,
            encapsulation,
            begun: now,
            installed: None,
            lifetime: self.lifetime(length, now),
            replaces: None,
            sends,
            received: 0,
            created: false,
        };
        if let Some(name) = common.connection.clone() {
            let pair = EspPair {
                volume,
                ..child.pair(name, common.path, keys, initiator)
            };
            self.out.push(Action::InstallChild(child.id, Box::new(pair)));
        }
        child
    }

    /// Takes one child of an SA away.
    pub(crate) fn remove_child(&mut self, child: &Child) {
        self.forget_child(child.id, child.agreed.inbound);
        self.out.push(Action::RemoveChild(child.id));
    }

    /// Takes all children of an SA away, and what was to replace them or it.
    pub(crate) fn remove_children(&mut self, state: &mut Established, now: Instant) {
        for child in state.children.drain() {
            self.remove_child(&child);
        }
        let departed = std::mem::take(&mut state.children.departed);
        self.remove_departed(departed);
        for spi in state.deletions.drain(..) {
            self.forget_child_spi(spi);
        }
        state.owed = None;
        self.drop_pending(state);
        match state.asked.take() {
            Some(Asked::Child(rekey)) => self.forget_child_spi(rekey.inbound()),
            Some(Asked::Deletion(spi)) => self.forget_child_spi(spi),
            Some(Asked::Ike(rekey)) => {
                self.retire(rekey.rival(), false, now);
                state.asked = Some(Asked::Ike(rekey));
            }
            Some(Asked::Update | Asked::Routability(_)) | None => {}
        }
    }

    /// The datapath carries the child: as responder, the answer that was owed goes out.
    pub(crate) fn installed(&mut self, child: ChildId, now: Instant) {
        let Some(IkeSa { mut common, state }) = self.take_child(child) else {
            return;
        };
        let name = common.connection.clone();
        match state {
            State::Answering(state) => {
                let Answering {
                    mut established,
                    mut proof,
                    agreed,
                } = *state;
                if let Some(child) = established.children.get_mut(child) {
                    child.installed = Some(now);
                }
                match &mut established.children.handover {
                    Some(at) => *at = staging::handover(now),
                    // What it was to yield to may have ended meanwhile.
                    None => self.send_by_current(&mut established),
                }
                proof.extend(agreed);
                common.timers.set(Timer::Expiry, None);
                self.answer_auth(common, established, &proof, now);
            }
            State::Established(state) => self.child_carried(common, state, child, now),
            other @ (State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::AuthSent(_)
            | State::Refused(_)
            | State::Closing(_)) => return self.keep(common, other),
        }
        if let Some(name) = name {
            self.up(&name, now);
            self.review(&name, now);
        }
    }

    /// The datapath does not carry the child: as responder we answer with an error for it, as initiator we delete it.
    pub(crate) fn refused(&mut self, child: ChildId, why: String, now: Instant) {
        let Some(IkeSa { common, state }) = self.take_child(child) else {
            return;
        };
        let outage = Outage {
            offered: why,
            ..Outage::plain(Reason::DatapathRefused, Side::We, Stage::Datapath)
        };
        match state {
            State::Answering(state) => {
                let Answering {
                    mut established,
                    proof,
                    agreed: _,
                } = *state;
                self.drop_child(&mut established);
                self.lost_child(&common, outage, now);
                self.answer_childless(common, (established, proof), notify::TEMPORARY_FAILURE, now);
            }
            State::Established(state) => {
                self.child_refused(common, state, (child, &outage), now);
            }
            other @ (State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::AuthSent(_)
            | State::Refused(_)
            | State::Closing(_)) => self.keep(common, other),
        }
    }

    /// The datapath does not say whether it carries this child.
    pub(crate) fn not_carried(&mut self, child: ChildId, now: Instant) {
        self.out.push(Action::RemoveChild(child));
        self.refused(child, "no answer within ten seconds".to_owned(), now);
    }

    fn drop_child(&mut self, state: &mut Established) {
        for child in state.children.drain() {
            self.forget_child(child.id, child.agreed.inbound);
        }
    }
}
