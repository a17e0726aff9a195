//! Make before break: a Child SA is put into use, and taken out of it, so that no packet under way is lost
//! (RFC 7296 §2.8).

use std::time::{Duration, Instant};

use super::child::Child;
use super::children::Departed;
use super::state::{Established, IkeSa, State};
use crate::engine::Engine;
use crate::{Action, ChildId};

/// How long a Child SA receives after both sides agreed to delete it: packets may be slower than the messages about
/// them.
const UNDER_WAY: Duration = Duration::from_secs(5);
/// How long packets that left by the children of an IKE SA have to arrive before the peer may take those away: it may do so as
/// soon as it reads our Delete, or our answer to its own.
pub(crate) const ARRIVING: Duration = Duration::from_millis(100);
/// How long a peer that began anew has to put the Child SA into use that it asked for, before we send by it.
const HANDOVER: Duration = Duration::from_millis(500);
/// How long a Child SA that was replaced, or turned out to be one too many, waits for the Delete of the side that
/// has to send it.
const LEAVING: Duration = Duration::from_secs(60);

/// When a Child SA that is to go is deleted by us although the peer has to do so.
pub(crate) fn overdue(now: Instant) -> Instant {
    now + LEAVING
}

/// When packets leave by a child that is carried and that the peer is about to hear of.
pub(crate) fn handover(now: Instant) -> Instant {
    now + HANDOVER
}

/// A child that was deleted.
pub(crate) struct Gone {
    /// The SPI that we receive on.
    pub(crate) inbound: u32,
    /// The selector line that it was for.
    pub(crate) line: Option<usize>,
    /// Since when the datapath carried it.
    pub(crate) since: Option<Instant>,
}

impl Engine {
    /// Packets leave by the current child of every line of which nothing else sends.
    pub(crate) fn send_by_current(&mut self, state: &mut Established) {
        for child in state.children.senders() {
            self.out.push(Action::SendBy(child));
        }
    }

    /// The Child SA is about to be deleted: packets leave by the one that replaced it, if there is one.
    pub(crate) fn leave(&mut self, state: &mut Established, inbound: u32) {
        if state.children.current_by_spi(inbound).is_none() {
            state.children.stop_sending(inbound);
            self.send_by_current(state);
        }
    }

    /// A child was deleted: if another one carries its traffic, it still receives for a while.
    pub(crate) fn deleted(
        &mut self,
        state: &mut Established,
        is_it: impl Fn(&Child) -> bool,
        now: Instant,
    ) -> Option<Gone> {
        let inbound = state.children.iter().find(|child| is_it(child))?.agreed.inbound;
        let another = |child: &Child| child.agreed.inbound != inbound && child.installed.is_some();
        let succeeded = state.children.slot_of(inbound)?.iter().any(another);
        let child = state.children.take(is_it)?;
        let (line, since) = (child.agreed.line, child.installed);
        state.promote();
        self.send_by_current(state);
        if succeeded && child.installed.is_some() {
            let (id, until) = (child.id, now + UNDER_WAY);
            state.children.departed.push(Departed { id, inbound, until });
        } else {
            self.remove_child(&child);
        }
        Some(Gone { inbound, line, since })
    }

    /// Our Delete of the child that we receive on under this SPI was answered. It may never have been installed, or have
    /// been deleted by the peer before.
    pub(crate) fn deletion_answered(&mut self, state: &mut Established, inbound: u32, now: Instant) {
        let deleted = self.deleted(state, |child| child.agreed.inbound == inbound, now);
        let mut departed = state.children.departed.iter();
        if deleted.is_none() && departed.all(|child| child.inbound != inbound) {
            self.forget_child_spi(inbound);
        }
    }

    /// The peer began anew and says that it forgot the IKE SA with this SPI of ours (RFC 7296 §2.4), while its
    /// datapath carries on: the children go on in the IKE SA with the SPI `heir`, until that one's own are in use at both ends.
    /// Nothing of one by which no packets leave, or that is not yet what it is to be.
    pub(crate) fn inherit(&mut self, forgotten: Option<u64>, heir: u64, now: Instant) -> Vec<Departed> {
        let Some(IkeSa { common, state }) = forgotten.and_then(|spi| self.take(spi)) else {
            return Vec::new();
        };
        let mut state = match state {
            State::Established(state) if state.children.iter().any(Child::carries) => state,
            other @ (State::InitSent(_)
            | State::InitAnswered(_)
            | State::IntermediateSent(_)
            | State::AuthSigning(_)
            | State::AnswerSigning(_)
            | State::AuthSent(_)
            | State::Answering(_)
            | State::Established(_)
            | State::Refused(_)
            | State::Closing(_)) => {
                self.keep(common, other);
                return Vec::new();
            }
        };
        let inherited = self.depart(&mut state, (heir, now + UNDER_WAY));
        self.remove_children(&mut state, now);
        inherited
    }

    /// What the children of an IKE SA still receive, they receive for the one with the SPI `heir`, until then.
    pub(crate) fn depart(&mut self, state: &mut Established, (heir, until): (u64, Instant)) -> Vec<Departed> {
        let carried = || state.children.take(|child| child.installed.is_some());
        let going_on: Vec<_> = std::iter::from_fn(carried).collect();
        let mut departed = std::mem::take(&mut state.children.departed);
        departed.extend(going_on.into_iter().map(|Child { id, agreed, .. }| {
            let inbound = agreed.inbound;
            Departed { id, inbound, until }
        }));
        departed.iter().for_each(|child| self.move_child(child.id, heir));
        departed
    }

    /// What has received long enough is taken away; what waited for the peer to receive sends.
    pub(crate) fn sweep(&mut self, state: &mut Established, now: Instant) {
        if state.children.handover.take_if(|at| *at <= now).is_some() {
            self.send_by_current(state);
        }
        let departed = std::mem::take(&mut state.children.departed);
        let (over, left) = departed.into_iter().partition(|child| child.until <= now);
        state.children.departed = left;
        self.remove_departed(over);
    }

    /// The datapath holds nothing any more of a child that was only to receive what is under way.
    pub(crate) fn departed_early(&mut self, state: &mut Established, id: ChildId) {
        let departed = &mut state.children.departed;
        if let Some(place) = departed.iter().position(|child| child.id == id) {
            let inbound = departed.remove(place).inbound;
            self.forget_child(id, inbound);
        }
    }

    /// Takes these out of the datapath.
    pub(crate) fn remove_departed(&mut self, departed: Vec<Departed>) {
        for Departed { id, inbound, .. } in departed {
            self.forget_child(id, inbound);
            self.out.push(Action::RemoveChild(id));
        }
    }
}
