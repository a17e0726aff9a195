//! A peer proves anew who it is: what becomes of the IKE SA that is there, and what if the peer has lost it.

use std::time::Instant;

use super::reauthentication::{LEFT_OPEN, UNTIL_HEARD};
use super::state::{Common, Established, IkeSa, State};
use super::timers::Timer;
use super::window::{Retransmission, TRIES};
use crate::ConnectionName;
use crate::engine::Engine;

/// What a new IKE SA of the peer does away with.
pub(crate) struct Displaced {
    by: u64,
    /// What the connection ran on.
    pub(crate) replaced: Option<u64>,
    /// What the peer made before to replace it, and what was to.
    overtaken: Option<u64>,
}

impl Engine {
    /// The peer has proved who it is in a new IKE SA: that replaces what the connection runs on, make before break unless the peer
    /// began anew.
    pub(crate) fn displace(
        &mut self,
        common: &Common,
        state: &mut Established,
        initial_contact: bool,
        now: Instant,
    ) -> Displaced {
        let mut displaced = Displaced {
            by: common.spi,
            replaced: None,
            overtaken: None,
        };
        let Some(name) = common.connection.as_ref() else {
            return displaced;
        };
        let renewed = (!initial_contact).then(|| self.renewed_by_peer(name, common, now));
        match renewed.flatten() {
            Some(overtaken) => {
                displaced.overtaken = overtaken;
                self.beside(common, state, now);
                self.ask_about_old(name, now);
            }
            None => displaced.replaced = self.replace(name, common.spi, now),
        }
        if let Some(settings) = self.settings_of(name) {
            self.prove_by(common, &mut state.proofs, &settings);
            self.connections.contacts.made(&settings);
        }
        displaced
    }

    /// The new IKE SA has what it needs: what is not needed any more goes.
    pub(crate) fn dispose(&mut self, displaced: Displaced, silently: bool, now: Instant) {
        self.overtaken(displaced.overtaken, displaced.by, now);
        self.retire(displaced.replaced, silently, now);
    }

    /// An authenticated peer that did not begin anew wants another IKE SA for a connection. `None` if there is none beside
    /// which that could be; else the one that it made before for the same purpose, if any. A peer that comes from elsewhere has
    /// left the place to which the old one leads, and may have had no time to close it.
    fn renewed_by_peer(
        &mut self,
        name: &ConnectionName,
        newer: &Common,
        now: Instant,
    ) -> Option<Option<u64>> {
        let before = self.renewing(name).and_then(|spi| self.sas.get(&spi));
        let before = before.filter(|sa| sa.established().is_some());
        let earlier = before.filter(|sa| !sa.common.initiator).map(|sa| sa.common.spi);
        if before.is_some() && earlier.is_none() {
            self.conclude(name, now);
        }
        let current = self.current_sa(name).and_then(|spi| self.sas.get(&spi));
        let sound = |sa: &IkeSa| match &sa.state {
            State::Established(state) => state.children.carry() && state.window.tries() < TRIES,
            State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::AuthSent(_)
            | State::Answering(_)
            | State::Refused(_)
            | State::Closing(_) => false,
        };
        let at_home = |sa: &IkeSa| sa.common.path.remote.ip() == newer.path.remote.ip();
        current.filter(|sa| sound(sa) && at_home(sa))?;
        let standing = self.connections.standings.get_mut(name)?;
        let given_up = standing.renewal.sa.replace(newer.spi);
        self.retire(given_up.filter(|_| earlier.is_none()), false, now);
        self.postpone_proofs(name, None);
        Some(earlier)
    }

    /// The peer made this IKE SA before `heir`, and may not know it: what is sent by its children still arrives.
    fn overtaken(&mut self, earlier: Option<u64>, heir: u64, now: Instant) {
        let Some(earlier) = earlier else { return };
        self.alter(earlier, |engine, _, state| {
            let departed = engine.depart(state, (heir, now + UNTIL_HEARD));
            engine.alter(heir, |_, _, heir| heir.children.departed.extend(departed));
        });
        if let Some(IkeSa { mut common, state }) = self.take(earlier) {
            common.timers.set(Timer::Expiry, Some(now + LEFT_OPEN));
            self.keep(common, state);
        }
    }

    /// A peer that has forgotten the old IKE SA of a connection neither closes it nor takes what we send by it.
    fn ask_about_old(&mut self, name: &ConnectionName, now: Instant) {
        let Some(IkeSa { common, state }) = self.current_sa(name).and_then(|spi| self.take(spi)) else {
            return;
        };
        let spi = common.spi;
        match state {
            State::Established(state) if state.window.next_request().is_some() => {
                self.probe(common, state, now);
                if let Some(IkeSa { mut common, state }) = self.take(spi) {
                    let until = now + Retransmission::longest();
                    common.timers.set(Timer::Expiry, Some(until));
                    self.keep(common, state);
                }
            }
            other => self.keep(common, other),
        }
    }

    /// Somebody says that the peer does not know an IKE SA any more, and the peer has proved anew who it is in another one.
    pub(crate) fn is_forgotten(&self, common: &Common) -> bool {
        let heir = self.heir(common).and_then(|heir| self.sas.get(&heir));
        heir.is_some_and(|heir| heir.established().is_some() && !heir.common.initiator)
    }
}
