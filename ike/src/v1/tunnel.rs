//! The Child SAs of a connection, whichever phase 1 SA made them: made, replaced, and taken away.

use std::time::{Duration, Instant};

use super::idle::Idle;
use super::phases::Session;
use super::proposal::{Phase2, shorter};
use super::quick_answer::AnswerStep;
use super::quick_mode::{Purpose, Step};
use super::state::Established;
use crate::engine::Engine;
use crate::selector::Selectors;
use crate::v2::child::{AgreedChild, Child};
use crate::v2::children::{Children, Departed};
use crate::v2::keys::ChildKeys;
use crate::v2::lines::{Lines, comes_with_tunnel};
use crate::v2::staging;
use crate::v2::state::Common;
use crate::v2::volume::volume;
use crate::v2::window::Retransmission;
use crate::{
    Action, ChildId, Connection, ConnectionName, EspPair, Event, Outage, Reason, Side, Spent, Stage, Volume,
};

/// How long a child receives after it was replaced or deleted: packets may be slower than messages about them.
const UNDER_WAY: Duration = Duration::from_secs(5);
/// How long a child that was replaced waits for the Delete of the side that replaced it, which some never send.
const LEAVING: Duration = Duration::from_secs(15);
/// How long the side that did not start the SA waits for the other one to bring up the lines.
const GRACE: Duration = Duration::from_secs(10);
/// Two quick modes that both sides start within this time were started at once.
pub(super) const AT_ONCE: Duration = Duration::from_secs(15);

/// The Child SAs of one connection.
#[derive(Default)]
pub(crate) struct Tunnel {
    pub(crate) children: Children,
    pub(crate) lines: Lines,
    /// There is no phase 1 SA: without another one they are no more then.
    pub(crate) orphaned: Option<Instant>,
    /// Whether it carries anything.
    pub(crate) idle: Option<Idle>,
    /// When it is on the agenda.
    pub(crate) due: Option<Instant>,
}

impl Tunnel {
    /// When something of it is due, in this phase 1 SA.
    pub(super) fn next(&self, state: Option<&Established>) -> Option<Instant> {
        let free = state.is_some_and(|state| state.asked.is_none());
        let softs = self.children.current().map(|child| child.lifetime.soft);
        let softs = softs.filter(|_| free);
        let ends = self.children.iter().map(|child| child.lifetime.end);
        let departed = self.children.departed.iter().map(|child| child.until);
        let lines = self.lines.due().filter(|_| free);
        let due = softs.chain(ends).chain(departed).chain(self.children.handover);
        let idle = self
            .idle
            .as_ref()
            .filter(|_| state.is_some())
            .map(|idle| idle.due);
        due.chain(lines).chain(self.orphaned).chain(idle).min()
    }
}

impl Engine {
    /// The lines that have no child get one. The side that started the SA makes them; the other one waits, so that both do not
    /// make the same.
    pub(super) fn begin_lines_v1(
        &mut self,
        common: &Common,
        tunnel: &mut Tunnel,
        settings: &Connection,
        now: Instant,
    ) {
        let at = if common.initiator { now } else { now + GRACE };
        for line in 0..settings.lines.len() {
            if comes_with_tunnel(settings, line) && !tunnel.children.serve(line) {
                tunnel.lines.want(line, at);
            }
        }
    }

    /// Does what is due for the Child SAs of a connection.
    pub(crate) fn attend(&mut self, name: &ConnectionName, now: Instant) {
        let Some(mut session) = self.take_session(name) else {
            return self.attend_orphans(name, now);
        };
        self.sweep_v1(&mut session.tunnel, now);
        let late = |child: &&Child| child.lifetime.end <= now;
        let ended: Vec<_> = session
            .tunnel
            .children
            .iter()
            .filter(late)
            .map(|child| child.id)
            .collect();
        for id in ended {
            self.end_child(&mut session, id, now);
        }
        if session.state.asked.is_none() && session.state.leaving.is_none() {
            let aged = |child: &&Child| child.lifetime.soft <= now;
            let old = session.tunnel.children.current().find(aged).map(|child| Purpose {
                line: child.agreed.line,
                selectors: child.agreed.selectors.clone(),
                replaces: Some(child.agreed.inbound),
            });
            if let Some(purpose) = old.or_else(|| self.next_line_v1(&mut session, now)) {
                self.ask_child_v1(&mut session, purpose, now);
            }
        }
        if session.tunnel.children.carry() {
            self.look_for_traffic(&mut session, now);
        }
        self.keep_session(session);
    }

    fn next_line_v1(&self, session: &mut Session, now: Instant) -> Option<Purpose> {
        let settings = self.settings_of(&session.name)?;
        loop {
            let line = session.tunnel.lines.next(now)?;
            if session.tunnel.children.serve(line) {
                continue;
            }
            let selectors = settings.lines.get(line).map(Selectors::of)?;
            return Some(Purpose {
                line: Some(line),
                selectors,
                replaces: None,
            });
        }
    }

    /// Without a phase 1 SA nothing can be made or replaced; what has had its time goes.
    fn attend_orphans(&mut self, name: &ConnectionName, now: Instant) {
        let mut tunnel = self.take_tunnel(name);
        self.sweep_v1(&mut tunnel, now);
        let over = tunnel.orphaned.is_some_and(|until| until <= now);
        let late = |child: &Child| over || child.lifetime.end <= now;
        let carried = tunnel.children.carry();
        while let Some(child) = tunnel.children.take(late) {
            self.take_away(&child);
        }
        if tunnel.children.carry() {
            return self.keep_tunnel(name, tunnel);
        }
        self.discard(&mut tunnel);
        if carried {
            let outage = self.lifetime_ended_v1(name);
            self.lost(name, Some(outage), now);
        }
    }

    /// Asks the datapath to carry a child of this session; `initiator`: we started the exchange that made it, and so send by it at
    /// once where nothing else carries the same.
    pub(super) fn carry_v1(
        &mut self,
        session: &Session,
        (agreed, keys, chosen): (AgreedChild, ChildKeys, Phase2),
        initiator: bool,
        now: Instant,
    ) -> Child {
        let settings = self.settings_of(&session.name);
        let settings = settings.as_deref();
        let length = settings.map_or(Connection::CHILD_LIFETIME, |settings| settings.child_lifetime);
        let volume = lesser(volume(&agreed, settings), chosen.octets);
        let child = Child {
            id: self.fresh_child(session.common.spi),
            encapsulation: session.state.nat.encapsulation(),
            begun: now,
            installed: None,
            lifetime: self.lifetime(shorter(length, chosen.seconds), now),
            replaces: None,
            sends: initiator && !session.tunnel.children.send(&agreed.selectors),
            agreed,
            received: 0,
            created: initiator,
        };
        self.v1.owners.insert(child.id, session.name.clone());
        let (name, path) = (session.name.clone(), session.common.path);
        let pair = EspPair {
            volume,
            ..child.pair(name, path, keys, initiator)
        };
        self.out.push(Action::InstallChild(child.id, Box::new(pair)));
        child
    }

    /// Both sides have a child: it carries the traffic from now on. `ours`: we asked for it, and so delete what it replaces.
    pub(super) fn in_use(
        &mut self,
        session: &mut Session,
        (child, replaces, ours): (Child, Option<u32>, bool),
        now: Instant,
    ) {
        let tunnel = &mut session.tunnel;
        let line = child.agreed.line;
        let twin = tunnel.children.twin(&child.agreed.selectors);
        let old = replaces.or(twin.map(|twin| twin.agreed.inbound));
        let old = old.filter(|old| tunnel.children.current_by_spi(*old).is_some());
        let end = now + if ours { UNDER_WAY } else { LEAVING };
        let mended = line.is_some_and(|line| tunnel.lines.carried(line));
        let rival = tunnel
            .children
            .current()
            .find(|rival| !ours && yields(&child, rival));
        if let Some(rival) = rival.map(|rival| rival.agreed.inbound) {
            let mut child = child;
            child.lifetime.end = end.min(child.lifetime.end);
            return tunnel.children.join(Some(rival), child);
        }
        match old {
            // Message 3 is on its way: the peer has the child only once it has read that.
            Some(_) if ours && !child.sends => tunnel.children.handover = Some(now + staging::ARRIVING),
            Some(old) => tunnel.children.stop_sending(old),
            None => {}
        }
        tunnel.children.succeed((old, end), child);
        self.send_by_newest(tunnel, false);
        if mended {
            self.mended(&session.common);
        }
        if old.is_some() {
            self.rekeyed(&session.common, Event::ChildRekeyed);
        }
        let name = session.name.clone();
        self.up(&name, now);
    }

    /// The datapath carries a child.
    pub(crate) fn installed_v1(&mut self, id: ChildId, now: Instant) {
        let Some(mut session) = self.session_of_child(id) else {
            return;
        };
        let installing = |asked: &mut Box<super::quick_mode::QuickMode>| matches!(&asked.step, Step::Installing(made) if made.child.id == id);
        let waiting = session.state.answering.iter();
        let place = waiting.enumerate().find_map(|(place, answer)| {
            let waits = matches!(answer.step, AnswerStep::Installing(..)) && answer.child.id == id;
            waits.then_some(place)
        });
        if let Some(asked) = session.state.asked.take_if(installing) {
            self.quick_installed(&mut session, *asked, now);
        } else if let Some(place) = place {
            self.answer_quick(&mut session, place, now);
        }
        let name = session.name.clone();
        self.keep_session(session);
        self.attend(&name, now);
    }

    /// The datapath does not carry a child, or no longer: it holds nothing of it.
    pub(crate) fn refused_v1(&mut self, id: ChildId, why: String, now: Instant) {
        let outage = Outage {
            offered: why,
            ..Outage::plain(Reason::DatapathRefused, Side::We, Stage::Datapath)
        };
        let Some(mut session) = self.session_of_child(id) else {
            return;
        };
        let installing = |asked: &mut Box<super::quick_mode::QuickMode>| matches!(&asked.step, Step::Installing(made) if made.child.id == id);
        let place = session
            .state
            .answering
            .iter()
            .position(|answer| answer.child.id == id);
        if let Some(asked) = session.state.asked.take_if(installing) {
            if let Step::Installing(made) = &asked.step {
                self.renounce(&session, &made.child);
            }
            self.refused_line(&mut session, (asked.purpose, outage), now);
        } else if let Some(place) = place {
            let answer = session.state.answering.remove(place);
            self.renounce(&session, &answer.child);
            self.unfulfilled(&session, &outage, now);
        } else if let Some(child) = session.tunnel.children.take(|child| child.id == id) {
            self.renounce(&session, &child);
            self.missing(&mut session, (&child, &outage), now);
        } else if let Some(place) = session
            .tunnel
            .children
            .departed
            .iter()
            .position(|gone| gone.id == id)
        {
            let gone = session.tunnel.children.departed.remove(place);
            self.v1.owners.remove(&id);
            self.forget_child(id, gone.inbound);
        }
        let name = session.name.clone();
        self.keep_session(session);
        self.attend(&name, now);
    }

    /// Tells the peer that a child is no more which the datapath does not have.
    fn renounce(&mut self, session: &Session, child: &Child) {
        self.delete_children(&session.common, &session.state, &[child.agreed.inbound]);
        self.v1.owners.remove(&child.id);
        self.forget_child(child.id, child.agreed.inbound);
    }

    /// What the peer asked for did not come about.
    fn unfulfilled(&mut self, session: &Session, outage: &Outage, now: Instant) {
        if session.tunnel.children.carry() {
            self.degraded(&session.common, outage);
        } else {
            self.without_child(&session.common, outage, now);
        }
    }

    /// No child of a line could be made: it is asked for again after a while.
    pub(super) fn refused_line(
        &mut self,
        session: &mut Session,
        (purpose, outage): (Purpose, Outage),
        now: Instant,
    ) {
        if let Some(old) = purpose.replaces {
            let again = self.later(now);
            if let Some(child) = session.tunnel.children.current_by_spi_mut(old) {
                child.lifetime.soft = again;
            }
        }
        if let Some(line) = purpose.line.filter(|line| !session.tunnel.children.serve(*line)) {
            self.line_is_down(session, (line, &outage), now);
        }
        self.unfulfilled(session, &outage, now);
    }

    fn line_is_down(&mut self, session: &mut Session, (line, outage): (usize, &Outage), now: Instant) {
        let settings = self.settings_of(&session.name);
        let always = settings.is_some_and(|settings| comes_with_tunnel(&settings, line));
        let drawn = self.drawn(1).first().copied().unwrap_or_default();
        let failure = (Some(outage.clone()), always);
        session.tunnel.lines.failed(line, failure, now, drawn);
    }

    /// A child is no more; if nothing carries its line's traffic, that is asked for again.
    fn missing(&mut self, session: &mut Session, (child, outage): (&Child, &Outage), now: Instant) {
        let Some(line) = child
            .agreed
            .line
            .filter(|line| !session.tunnel.children.serve(*line))
        else {
            if !session.tunnel.children.carry() {
                self.without_child(&session.common, outage, now);
            }
            return;
        };
        self.line_is_down(session, (line, outage), now);
        self.unfulfilled(session, outage, now);
    }

    /// The peer deleted the child that we send by under this SPI.
    pub(super) fn child_deleted(&mut self, session: &mut Session, outbound: u32, now: Instant) {
        let named = |child: &Child| child.agreed.outbound == outbound;
        let answering = session.state.answering.iter();
        let place = answering.enumerate().find(|(_, answer)| named(&answer.child));
        if let Some((place, _)) = place {
            let answer = session.state.answering.remove(place);
            return self.take_away(&answer.child);
        }
        let Some(child) = session.tunnel.children.take(named) else {
            return;
        };
        let twin = session.tunnel.children.twin(&child.agreed.selectors).is_some();
        self.send_by_newest(&mut session.tunnel, true);
        if twin {
            let (id, inbound, until) = (child.id, child.agreed.inbound, now + UNDER_WAY);
            session
                .tunnel
                .children
                .departed
                .push(Departed { id, inbound, until });
        } else {
            self.take_away(&child);
        }
        let outage = Outage::plain(Reason::DeletedByPeer, Side::Peer, Stage::Established);
        self.missing(session, (&child, &outage), now);
    }

    /// A child has had its time: the peer is told.
    fn end_child(&mut self, session: &mut Session, id: ChildId, now: Instant) {
        let Some(child) = session.tunnel.children.take(|child| child.id == id) else {
            return;
        };
        self.delete_children(&session.common, &session.state, &[child.agreed.inbound]);
        self.take_away(&child);
        let outage = self.lifetime_ended_v1(&session.name);
        self.missing(session, (&child, &outage), now);
    }

    /// Takes a child out of the datapath.
    pub(super) fn take_away(&mut self, child: &Child) {
        self.v1.owners.remove(&child.id);
        self.remove_child(child);
    }

    /// Takes all children of a connection out of the datapath.
    pub(super) fn discard(&mut self, tunnel: &mut Tunnel) {
        while let Some(child) = tunnel.children.take(|_| true) {
            self.take_away(&child);
        }
        let departed = std::mem::take(&mut tunnel.children.departed);
        self.remove_departed_v1(departed);
        tunnel.lines = Lines::default();
    }

    /// Quick modes that are under way come to nothing.
    pub(super) fn forget_quick_modes(&mut self, state: &mut Established) {
        if let Some(asked) = state.asked.take() {
            match &asked.step {
                Step::Sent(sent) => self.forget_child_spi(sent.inbound),
                Step::Installing(installing) => self.take_away(&installing.child),
            }
        }
        for answer in std::mem::take(&mut state.answering) {
            self.take_away(&answer.child);
        }
    }

    /// The session in which a child is, or is being made.
    pub(super) fn session_of_child(&mut self, id: ChildId) -> Option<Session> {
        let name = self.v1.owners.get(&id)?.clone();
        let makes = |state: &Established| {
            let asked = state.asked.as_ref().is_some_and(|asked| match &asked.step {
                Step::Sent(_) => false,
                Step::Installing(installing) => installing.child.id == id,
            });
            asked || state.answering.iter().any(|answer| answer.child.id == id)
        };
        let mut all = self.v1.sas.iter();
        let found = all.find(|(_, phase)| phase.established().is_some_and(makes));
        match found.map(|(spi, _)| *spi) {
            Some(spi) => self.session_at(spi),
            None => self.take_session(&name),
        }
    }

    /// A child has carried what it may.
    pub(crate) fn spent_v1(&mut self, id: ChildId, spent: Spent, now: Instant) {
        let Some(name) = self.v1.owners.get(&id).cloned() else {
            return;
        };
        let mut tunnel = self.take_tunnel(&name);
        if let Some(child) = tunnel.children.get_mut(id) {
            child.lifetime.soft = now.min(child.lifetime.soft);
            if spent == Spent::Hard {
                child.lifetime.end = child.lifetime.end.min(now + Retransmission::longest());
            }
        }
        self.keep_tunnel(&name, tunnel);
        self.attend(&name, now);
    }
}

/// Whether a child of the peer gives way to one of ours for the same selectors that was made while the peer's was: then both
/// sides started at once, and ours was found to stay.
fn yields(child: &Child, rival: &Child) -> bool {
    let same = rival.agreed.selectors.are_those_of(&child.agreed.selectors);
    same && rival.created && !child.created && rival.begun > child.begun
}

/// Both SPIs, the larger one first.
pub(super) fn spis(agreed: &AgreedChild) -> (u32, u32) {
    let (inbound, outbound) = (agreed.inbound, agreed.outbound);
    (inbound.max(outbound), inbound.min(outbound))
}

/// The lesser of a volume and what the peer allows.
fn lesser(volume: Volume, octets: Option<u64>) -> Volume {
    match octets.filter(|octets| *octets > 0 && *octets < volume.hard_octets) {
        Some(hard_octets) => Volume {
            hard_octets,
            soft_octets: volume.soft_octets.min(hard_octets / 10 * 8),
            ..volume
        },
        None => volume,
    }
}
