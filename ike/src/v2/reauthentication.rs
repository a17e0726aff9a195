//! Both sides prove anew who they are: a new IKE SA with children of its own takes the place of another one, make before
//! break (RFC 7296 §2.8.3, RFC 4478).

use std::time::{Duration, Instant};

use super::child::Child;
use super::staging;
use super::state::{Common, Established, IkeSa, State};
use crate::connection::wait;
use crate::engine::Engine;
use crate::selector::Selectors;
use crate::{Action, ConnectionName, ConnectionState, Event, Outage, Reason};

/// How long the side that began waits until all is carried anew; then what is carried has to do.
const ALL_CARRIED: Duration = Duration::from_secs(30);
/// How long the other side waits for it to close the old IKE SA; then it asks whether the new one is there at both ends, and
/// after as long again closes the old one itself.
pub(super) const LEFT_OPEN: Duration = Duration::from_secs(30);
/// How long the children of an old IKE SA receive that we close: until the peer has heard of it, and what is under way
/// is here.
pub(super) const UNTIL_HEARD: Duration = Duration::from_secs(30);
/// How long they receive where the peer closed it.
const UNDER_WAY: Duration = Duration::from_secs(5);

/// What a connection has besides the IKE SA that it runs on.
#[derive(Default)]
pub(crate) struct Renewal {
    /// The IKE SA that is to replace it, or tries to.
    pub(crate) sa: Option<u64>,
    failures: u32,
    /// Why the last attempt came to nothing.
    pub(crate) outage: Option<Outage>,
}

/// Whether packets that leave by `old` could leave by a child of this one as well.
fn carries_too(new: &Established, old: &Child) -> bool {
    let alike = |child: &&Child| {
        let twin = child.agreed.selectors.are_those_of(&old.agreed.selectors);
        twin || (old.agreed.line.is_some() && child.agreed.line == old.agreed.line)
    };
    new.children
        .current()
        .find(alike)
        .is_some_and(|child| child.installed.is_some())
}

impl Engine {
    /// Makes a new IKE SA in the place of the one that a connection runs on. An attempt that has not come far begins again.
    pub(crate) fn prove_anew(&mut self, name: &ConnectionName, now: Instant) {
        if self.is_v1(name) {
            return self.rekey_v1(name, true, now);
        }
        let current = self.current_sa(name).and_then(|spi| self.sas.get(&spi));
        let carrying = current.filter(|sa| !matches!(sa.state, State::Answering(_)));
        let carrying = carrying.filter(|sa| sa.established().is_some_and(|state| state.children.carry()));
        let Some(path) = carrying.map(|sa| sa.common.path).filter(|_| !self.stopping) else {
            return;
        };
        let renewal = self.renewing(name);
        let far = |sa: &IkeSa| sa.established().is_some() || !sa.common.initiator;
        if renewal.and_then(|spi| self.sas.get(&spi)).is_some_and(far) {
            return;
        }
        self.retire(renewal, false, now);
        self.postpone_proofs(name, None);
        self.initiate(name, path, true, now);
    }

    /// The IKE SA that is to replace the one that a connection runs on.
    pub(crate) fn renewing(&self, name: &ConnectionName) -> Option<u64> {
        self.connections.get(name)?.renewal.sa
    }

    /// Whether this IKE SA is to replace another one that is there.
    pub(crate) fn renews(&self, common: &Common) -> bool {
        let name = common.connection.as_ref();
        name.and_then(|name| self.renewing(name)) == Some(common.spi)
    }

    /// The IKE SA that is to replace this one, if there is one.
    pub(super) fn heir(&self, common: &Common) -> Option<u64> {
        let standing = self.connections.get(common.connection.as_ref()?)?;
        (standing.sa == Some(common.spi)).then_some(standing.renewal.sa)?
    }

    /// The IKE SA that this one is to replace.
    pub(super) fn old(&self, common: &Common) -> Option<&Established> {
        let standing = self.connections.get(common.connection.as_ref()?)?;
        let old = standing.sa.filter(|_| standing.renewal.sa == Some(common.spi));
        self.sas.get(&old?)?.established()
    }

    /// Whether packets leave by a child of an IKE SA that this one is to replace: only the side that began knows when it is
    /// time to send otherwise.
    pub(crate) fn sent_before(&self, common: &Common, selectors: &Selectors) -> bool {
        let old = self.old(common).filter(|_| !common.initiator);
        old.is_some_and(|old| old.children.send(selectors))
    }

    /// Whether packets leave by a child of an IKE SA that is to replace this one, or soon will.
    pub(crate) fn sent_after(&self, common: &Common, selectors: &Selectors) -> bool {
        let heir = self.heir(common).and_then(|heir| self.sas.get(&heir));
        let heir = heir.and_then(IkeSa::established);
        heir.and_then(|heir| heir.children.twin(selectors))
            .is_some_and(|twin| twin.sends)
    }

    /// Both IKE SAs are there from now on. A responder asks at once whether the peer still has the old one.
    pub(crate) fn beside(&self, common: &Common, state: &mut Established, now: Instant) {
        if self.old(common).is_some() {
            let patience = if common.initiator { ALL_CARRIED } else { LEFT_OPEN };
            state.proofs.both_until = Some(now + patience);
        }
    }

    /// The datapath carries another child: perhaps the last one that was missing in a new IKE SA.
    pub(crate) fn review(&mut self, name: &ConnectionName, now: Instant) {
        let (Some(old), Some(new)) = (self.current_sa(name), self.renewing(name)) else {
            return;
        };
        let Some(IkeSa { common, state }) = self.take(new) else {
            return;
        };
        let State::Established(mut heir) = state else {
            return self.keep(common, state);
        };
        let mut missing = false;
        if let Some(IkeSa { state, .. }) = self.sas.get_mut(&old).filter(|_| common.initiator)
            && let State::Established(old) = state
        {
            let carried = old.children.current().filter(|child| carries_too(&heir, child));
            let carried: Vec<_> = carried.map(|child| child.agreed.inbound).collect();
            for child in old.children.current() {
                if !carried.contains(&child.agreed.inbound) {
                    missing = true;
                    child
                        .agreed
                        .line
                        .into_iter()
                        .for_each(|line| heir.lines.want(line, now));
                }
            }
            let children = &mut old.children;
            carried.into_iter().for_each(|spi| children.yield_to_another(spi));
        } else {
            missing = true;
        }
        if !missing {
            self.take_over(&mut heir, now);
        }
        self.proceed(common, heir, now);
    }

    /// All is carried anew: packets leave by the children of the new IKE SA, and what left before is given the time to arrive.
    fn take_over(&mut self, heir: &mut Established, now: Instant) {
        heir.children.yield_no_longer();
        self.send_by_current(heir);
        let arrived = now + staging::ARRIVING;
        let until = heir.proofs.both_until;
        heir.proofs.both_until = Some(until.map_or(arrived, |until| until.min(arrived)));
    }

    /// The time in which both IKE SAs are there is over.
    pub(crate) fn both_no_longer(&mut self, common: Common, mut state: Box<Established>, now: Instant) {
        state.proofs.both_until = None;
        let name = common.connection.clone().filter(|_| self.renews(&common));
        let carries = state.children.current().any(|child| child.installed.is_some());
        if name.is_some() && carries && !common.initiator && state.spoke <= state.since {
            state.proofs.both_until = Some(now + LEFT_OPEN);
            return self.probe(common, state, now);
        }
        match name {
            Some(name) if carries => {
                self.keep(common, State::Established(state));
                self.conclude(&name, now);
            }
            Some(_) => {
                let outage = state.lines.first_outage().cloned();
                self.remove_children(&mut state, now);
                self.ended(&common, outage, now);
                self.close(common, state.farewell(), now);
            }
            None => self.keep(common, State::Established(state)),
        }
    }

    /// The new IKE SA of a connection takes over, and we close the old one.
    pub(super) fn conclude(&mut self, name: &ConnectionName, now: Instant) {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return;
        };
        let Some(new) = standing.renewal.sa.take() else {
            return;
        };
        let old = standing.sa.replace(new);
        self.proved_anew(name);
        if let Some(old) = old {
            self.alter(old, |engine, _, state| {
                engine.bequeath(state, (new, now + UNTIL_HEARD));
            });
        }
        self.retire(old, false, now);
        self.alone(new);
    }

    /// The old IKE SA of a connection is no more; what is to replace it does.
    pub(crate) fn succeeded_by(
        &mut self,
        name: &ConnectionName,
        new: u64,
        outage: Option<Outage>,
        now: Instant,
    ) {
        let sa = self.sas.get(&new);
        let carries = |state: &Established| state.children.iter().any(|child| child.installed.is_some());
        let carries = sa.and_then(IkeSa::established).is_some_and(carries);
        if !carries {
            self.lost(name, outage, now);
            self.unschedule(name);
        }
        if let Some(standing) = self.connections.standings.get_mut(name) {
            standing.sa = Some(new);
            standing.renewal = Renewal::default();
            if !carries {
                standing.enter(ConnectionState::Connecting, now);
            }
        }
        if carries {
            self.proved_anew(name);
        }
        self.alone(new);
    }

    fn proved_anew(&mut self, name: &ConnectionName) {
        if let Some(standing) = self.connections.standings.get_mut(name) {
            standing.renewal = Renewal::default();
            standing.outage = None;
            self.out
                .push(Action::Report(Event::Reauthenticated(name.clone())));
        }
    }

    /// There is no other IKE SA beside this one any more: packets leave by its children.
    fn alone(&mut self, spi: u64) {
        self.alter(spi, |engine, _, state| {
            state.proofs.both_until = None;
            state.children.yield_no_longer();
            engine.send_by_current(state);
        });
    }

    /// Does something to the established part of an IKE SA, if there is one.
    pub(super) fn alter(&mut self, spi: u64, change: impl FnOnce(&mut Self, &Common, &mut Established)) {
        let Some(IkeSa { common, mut state }) = self.take(spi) else {
            return;
        };
        match &mut state {
            State::Established(state) => change(self, &common, state),
            State::Answering(state) => change(self, &common, &mut state.established),
            State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::AuthSent(_)
            | State::Refused(_)
            | State::Closing(_) => {}
        }
        self.keep(common, state);
    }

    /// An IKE SA is about to end: where another one is to replace it, its children receive a while longer.
    pub(crate) fn pass_on(&mut self, common: &Common, state: &mut Established, now: Instant) {
        if let Some(heir) = self.heir(common) {
            self.bequeath(state, (heir, now + UNDER_WAY));
        }
    }

    /// What the children of an old IKE SA still receive, they receive for another one until then. Packets leave by the
    /// children of that one before.
    fn bequeath(&mut self, old: &mut Established, (heir, until): (u64, Instant)) {
        self.alter(heir, |engine, _, state| {
            state.children.yield_no_longer();
            engine.send_by_current(state);
            let departed = engine.depart(old, (heir, until));
            state.children.departed.extend(departed);
        });
    }

    /// An IKE SA that was to replace another one is no more: the other one goes on, and what we began is tried again.
    pub(crate) fn not_renewed(
        &mut self,
        (name, initiator): (&ConnectionName, bool),
        outage: Option<Outage>,
        now: Instant,
    ) {
        if let Some(old) = self.current_sa(name) {
            self.alone(old);
        }
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return;
        };
        let renewal = &mut standing.renewal;
        // The peer began at the same time, and its attempt goes on (`Engine::rival_wins`).
        let outage = outage.filter(|outage| initiator && outage.reason != Reason::Replaced);
        if let Some(outage) = outage.as_ref().map(Outage::abridged) {
            renewal.failures = renewal.failures.saturating_add(1);
            if renewal.outage.as_ref() != Some(&outage) {
                renewal.outage = Some(outage.clone());
                standing.outage = Some(outage.clone());
                let event = Event::Degraded(name.clone(), outage);
                self.out.push(Action::Report(event));
            }
        }
        let failures = renewal.failures;
        let drawn = self.drawn(1).first().copied().unwrap_or_default();
        self.postpone_proofs(name, Some(now + wait(failures, drawn)));
    }
}
