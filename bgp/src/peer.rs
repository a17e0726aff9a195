//! One neighbour: its connections, when they are tried, and what keeps them down.

use std::net::SocketAddr;
use std::time::Instant;

use crate::collision::{Contender, Survivor, beside_established, settle};
use crate::connection::{Connection, Heard, State};
use crate::exchange::Complaints;
use crate::negotiation::{Agreed, our_open};
use crate::reason::{Ending, Reason};
use crate::restart::still_kept;
use crate::rib::PeerIndex;
use crate::timers::{Running, Timer, back_off, jittered};
use crate::turn::Turn;
use crate::wire::notification::Notification;
use crate::wire::registry::cease;
use crate::{Action, ConnectionId, Event, Families, LastError, Messages, Neighbour, NeighbourName, Side};

/// The port of BGP (RFC 4271 §4).
const PORT: u16 = 179;

/// One neighbour.
pub(crate) struct Peer {
    pub(crate) name: NeighbourName,
    pub(crate) index: PeerIndex,
    pub(crate) settings: Neighbour,
    pub(crate) rest: Rest,
    /// At most two: one that we opened and one that it opened, or an established one and one beside it.
    pub(crate) connections: Vec<Connection>,
    pub(crate) running: Running,
    pub(crate) tunnel_up: bool,
    /// Families whose routes are kept although the session that they came by is gone (RFC 4724 §4.2).
    pub(crate) kept: Families,
    pub(crate) since: Instant,
    pub(crate) last_error: Option<LastError>,
    pub(crate) established_count: u64,
    pub(crate) complaints: Complaints,
    /// Of connections that are gone.
    pub(crate) sent: Messages,
    pub(crate) received: Messages,
    pub(crate) failures: u32,
    /// Why nothing that it opens can be taken.
    pub(crate) deaf: Option<Ending>,
    /// When the speaker's agenda has it.
    pub(crate) scheduled: Option<Instant>,
}

/// Why nothing is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is tried.
    None,
    /// It broke the protocol and gets a pause; its connections are refused, too (RFC 4271 §8.1.1).
    Pause,
    /// It is held down until it is cleared or changed; its connections are refused, too.
    HeldDown,
}

impl Peer {
    /// One that was just configured.
    pub(crate) fn new(name: NeighbourName, settings: Neighbour, turn: &mut Turn) -> Self {
        let index = turn.rib.add_peer(&name);
        turn.rib.tunnel(index, false);
        let mut peer = Self {
            name,
            index,
            settings,
            rest: Rest::None,
            connections: Vec::new(),
            running: Running::default(),
            tunnel_up: false,
            kept: Families::NONE,
            since: turn.now,
            last_error: None,
            established_count: 0,
            complaints: Complaints::default(),
            sent: Messages::default(),
            received: Messages::default(),
            failures: 0,
            deaf: None,
            scheduled: None,
        };
        peer.waits_for_tunnel(turn.now);
        peer
    }

    /// The timer that is due first, of the neighbour or of one of its connections.
    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        let of_connections = self
            .connections
            .iter()
            .filter_map(|connection| connection.running.next());
        of_connections.chain(self.running.next()).min()
    }

    /// Timers are due.
    pub(crate) fn tick(&mut self, turn: &mut Turn) {
        while let Some(timer) = self.running.take(turn.now) {
            self.due(timer, turn);
        }
        let ids: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            while let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id)
                && let Some(timer) = connection.running.take(turn.now)
            {
                if let Err(ending) = connection.due(timer, turn) {
                    self.end(id, &ending, turn);
                }
            }
        }
    }

    fn due(&mut self, timer: Timer, turn: &mut Turn) {
        match timer {
            Timer::ConnectRetry => self.connect(turn),
            Timer::IdleHold | Timer::PrefixRestart => self.begin_anew(turn),
            Timer::RestartTime => {
                self.forget_kept(turn);
                turn.out
                    .push(Action::Report(Event::RestartOver(self.name.clone())));
            }
            Timer::StaleTime => self.forget_stale(turn),
            Timer::Settling => turn.deferral.heard_all(&self.name, Families::ALL),
            Timer::Hold | Timer::Keepalive | Timer::SendHold | Timer::Deferral => {}
        }
    }

    /// Opens a connection, if it is ours to do so now.
    pub(crate) fn connect(&mut self, turn: &mut Turn) {
        let ours = |connection: &Connection| match connection.id {
            ConnectionId::Outgoing(_) => true,
            ConnectionId::Incoming(_) => connection.is_established(),
        };
        let busy = self.rest != Rest::None || self.connections.iter().any(ours) || self.connections.len() > 1;
        if busy || self.settings.passive || !self.tunnel_up {
            return;
        }
        self.running.stop(Timer::ConnectRetry);
        let id = turn.fresh_connection();
        turn.owners.insert(id, self.name.clone());
        self.connections
            .push(Connection::connecting(id, &self.settings, turn));
        turn.out.push(Action::Connect {
            connection: id,
            neighbour: self.name.clone(),
            local: self.settings.local,
            remote: SocketAddr::new(self.settings.remote, PORT),
        });
    }

    /// A connection that we asked for is there.
    pub(crate) fn connected(&mut self, id: ConnectionId, turn: &mut Turn) {
        let ours = our_open(
            turn.settings,
            &self.settings,
            turn.standing(self.established_count > 0),
        );
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id)
            && let State::Connect = connection.state
        {
            connection.open(ours, turn);
        }
    }

    /// The neighbour opened a connection. One that it opened before and that came to nothing makes room for it, so
    /// there are never more than two.
    pub(crate) fn accept(&mut self, id: ConnectionId, turn: &mut Turn) {
        if self.rest != Rest::None {
            let refusal = Notification::cease(cease::REJECTED);
            turn.out.push(Action::Send(id, refusal.encode()));
            turn.out.push(Action::Close(id));
            return;
        }
        let given_up = self.connections.iter().find(|connection| match connection.id {
            ConnectionId::Outgoing(_) => false,
            ConnectionId::Incoming(_) => !connection.is_established(),
        });
        if let Some(given_up) = given_up.map(|connection| connection.id) {
            self.drop_connection(given_up, &one_too_many(), turn);
        }
        let ours = our_open(
            turn.settings,
            &self.settings,
            turn.standing(self.established_count > 0),
        );
        turn.owners.insert(id, self.name.clone());
        self.connections.push(Connection::accepted(id, ours, turn));
    }

    /// Octets came by one of its connections.
    pub(crate) fn received(&mut self, id: ConnectionId, octets: &[u8], turn: &mut Turn) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            connection.received(octets);
        }
        while let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            let heard = match connection.hear(&self.settings, turn.now) {
                Ok(Some(Heard::Open(agreed))) => self.opened(id, agreed, turn),
                Ok(Some(Heard::Established)) => self.established(id, turn),
                Ok(Some(Heard::Keepalive)) => Ok(()),
                Ok(Some(Heard::Update(update))) => self.update(id, update, turn),
                Ok(Some(Heard::Refresh(refresh))) => {
                    let index = self.index;
                    if let Some(session) = connection.session() {
                        session.refresh(refresh, index, turn);
                    }
                    Ok(())
                }
                Ok(None) => return,
                Err(ending) => Err(ending),
            };
            if let Err(ending) = heard {
                self.end(id, &ending, turn);
            }
        }
    }

    /// An OPEN was good: if there is another connection, one of the two goes (RFC 4271 §6.8).
    fn opened(&mut self, id: ConnectionId, agreed: Box<Agreed>, turn: &mut Turn) -> Result<(), Ending> {
        let negotiated = &agreed.negotiated;
        let ours = Contender {
            identifier: turn.settings.router_id,
            asn: turn.settings.asn,
        };
        let theirs = Contender {
            identifier: negotiated.router_id,
            asn: negotiated.asn,
        };
        let age = turn.now.saturating_duration_since(self.since);
        let other = self.connections.iter().find(|connection| connection.id != id);
        let verdict = other.map(|other| match &other.state {
            // It may yet fail to come about; it goes when this one is established.
            State::Connect => None,
            State::OpenSent(_) | State::OpenConfirm(_) => Some((other.id, settle(ours, theirs, id))),
            State::Established(session) => Some((
                other.id,
                beside_established(session.agreed.restart.is_some(), age),
            )),
        });
        match verdict.flatten() {
            Some((_, Survivor::Older)) => return Err(one_too_many()),
            Some((other, Survivor::Newer)) => {
                let lost = Ending::broke(Some("the neighbour opened another connection".to_owned()));
                let established =
                    |connection: &Connection| connection.id == other && connection.is_established();
                if self.connections.iter().any(established) {
                    self.end(other, &lost, turn);
                } else {
                    self.drop_connection(other, &one_too_many(), turn);
                }
            }
            None => {}
        }
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            connection.confirm(agreed, turn);
        }
        Ok(())
    }

    /// The session is there.
    fn established(&mut self, id: ConnectionId, turn: &mut Turn) -> Result<(), Ending> {
        let others = self.connections.iter().filter(|connection| connection.id != id);
        let others: Vec<_> = others.map(|connection| connection.id).collect();
        for other in others {
            self.drop_connection(other, &one_too_many(), turn);
        }
        self.running.stop(Timer::ConnectRetry);
        self.since = turn.now;
        self.established_count += 1;
        self.complaints = Complaints::default();
        let deferring = turn.deferral.is_waiting();
        let connection = self.connections.iter_mut().find(|connection| connection.id == id);
        let Some(session) = connection.and_then(Connection::session) else {
            return Ok(());
        };
        let agreed = session.agreed.clone();
        turn.rib.open(self.index, session.outlet());
        turn.out
            .push(Action::Report(Event::Established(self.name.clone())));
        turn.deferral.established(&self.name, &agreed);
        if deferring && !agreed.says_when_it_is_done() {
            self.settles_later(turn.now);
        }
        self.came_back(&agreed, turn);
        Ok(())
    }

    /// Routes that were kept are gone, unless its forwarding went on (RFC 4724 §4.2).
    fn came_back(&mut self, agreed: &Agreed, turn: &mut Turn) {
        self.running.stop(Timer::RestartTime);
        if self.kept.is_empty() {
            return;
        }
        let kept = still_kept(self.kept, agreed.restart.as_ref()).common(agreed.negotiated.families);
        let gone = kept.iter().fold(self.kept, Families::without);
        if !gone.is_empty() {
            turn.rib.forget(self.index, gone);
        }
        self.kept = kept;
        if !kept.is_empty() {
            self.running
                .start(Timer::StaleTime, turn.now + crate::restart::STALE_TIME);
        }
    }

    /// One of its connections ends, for this reason.
    pub(crate) fn end(&mut self, id: ConnectionId, ending: &Ending, turn: &mut Turn) {
        let Some(place) = self.connections.iter().position(|connection| connection.id == id) else {
            return;
        };
        let mut connection = self.connections.swap_remove(place);
        let session = connection.session().map(|session| session.agreed.clone());
        self.put_away(connection, ending, turn);
        match session {
            Some(agreed) => {
                self.session_lost(&agreed, ending, turn);
                self.tell(ending, turn);
                self.rest_after(ending, turn);
            }
            // Of two attempts one may fail: the other goes on.
            None if self.connections.is_empty() => {
                self.tell_attempt(ending, turn);
                self.rest_after(ending, turn);
            }
            None => {}
        }
    }

    /// A connection goes without being missed.
    fn drop_connection(&mut self, id: ConnectionId, ending: &Ending, turn: &mut Turn) {
        if let Some(place) = self.connections.iter().position(|connection| connection.id == id) {
            let connection = self.connections.swap_remove(place);
            self.put_away(connection, ending, turn);
        }
    }

    fn put_away(&mut self, connection: Connection, ending: &Ending, turn: &mut Turn) {
        turn.owners.remove(&connection.id);
        self.sent.add(&connection.sent);
        self.received.add(&connection.received);
        connection.close(ending, turn);
    }

    /// When it is tried again after this end, if by itself.
    fn rest_after(&mut self, ending: &Ending, turn: &mut Turn) {
        if ending.reason == Reason::PrefixLimit && ending.side == Side::We {
            return self.hold_down(turn);
        }
        let wait = back_off(self.failures, self.settings.timers.connect_retry);
        self.failures = self.failures.saturating_add(1);
        let due = turn.now + jittered(wait, turn.random);
        if ending.reason.calls_for_pause() {
            self.rest = Rest::Pause;
            self.end_all(&rejected(), turn);
            self.running.stop(Timer::ConnectRetry);
            self.running.start(Timer::IdleHold, due);
        } else if self.tunnel_up && !self.settings.passive {
            self.running.start(Timer::ConnectRetry, due);
        }
    }

    pub(crate) fn tell(&mut self, ending: &Ending, turn: &mut Turn) {
        let error = ending.told_at(turn.now);
        turn.out
            .push(Action::Report(Event::Down(self.name.clone(), error.clone())));
        self.last_error = Some(error);
    }

    /// The same failure again and again is told once.
    pub(crate) fn tell_attempt(&mut self, ending: &Ending, turn: &mut Turn) {
        let error = ending.told_at(turn.now);
        let same = |last: &LastError| (last.reason, &last.words) == (error.reason, &error.words);
        if self.last_error.as_ref().is_some_and(same) {
            self.last_error = Some(error);
        } else {
            self.tell(ending, turn);
        }
    }

    fn hold_down(&mut self, turn: &mut Turn) {
        self.rest = Rest::HeldDown;
        self.running.stop(Timer::ConnectRetry);
        self.end_all(&rejected(), turn);
        turn.deferral.leave_out(&self.name);
        if let Some(after) = self.settings.limits.restart_after {
            self.running.start(Timer::PrefixRestart, turn.now + after);
        }
    }

    /// Whatever kept it down is over.
    pub(crate) fn begin_anew(&mut self, turn: &mut Turn) {
        self.running.stop(Timer::IdleHold);
        self.running.stop(Timer::PrefixRestart);
        self.rest = Rest::None;
        self.connect(turn);
    }

    /// An operator, or a change, wants it tried now.
    pub(crate) fn try_now(&mut self, turn: &mut Turn) {
        self.failures = 0;
        self.begin_anew(turn);
    }

    /// All of its connections end, for this reason, which is told.
    pub(crate) fn end_all(&mut self, ending: &Ending, turn: &mut Turn) {
        while let Some(connection) = self.connections.first() {
            let id = connection.id;
            if connection.is_established() {
                let mut connection = self.connections.swap_remove(0);
                let agreed = connection.session().map(|session| session.agreed.clone());
                self.put_away(connection, ending, turn);
                if let Some(agreed) = agreed {
                    self.session_lost(&agreed, ending, turn);
                    self.tell(ending, turn);
                }
            } else {
                self.drop_connection(id, ending, turn);
            }
        }
    }

    /// Its tunnel carries, or no longer does.
    pub(crate) fn tunnel(&mut self, up: bool, turn: &mut Turn) {
        if self.tunnel_up == up {
            return;
        }
        self.tunnel_up = up;
        turn.rib.tunnel(self.index, up);
        if up {
            // What was tried before cannot come about any more.
            let tried = self
                .connections
                .iter()
                .find(|connection| matches!(connection.state, State::Connect));
            if let Some(id) = tried.map(|connection| connection.id) {
                self.drop_connection(id, &one_too_many(), turn);
            }
            self.waits_for_neighbour(turn);
            self.failures = 0;
            self.connect(turn);
        } else {
            self.running.stop(Timer::ConnectRetry);
            if !self.connections.iter().any(Connection::is_established) && self.rest == Rest::None {
                self.waits_for_tunnel(turn.now);
            }
        }
    }

    fn waits_for_tunnel(&mut self, now: Instant) {
        let ending = Ending::ours(Reason::TunnelDown, "the tunnel to the neighbour does not carry");
        self.last_error = Some(ending.told_at(now));
    }
}

pub(crate) fn waiting() -> Ending {
    Ending::ours(Reason::WaitingForPeer, "the neighbour is to open the session")
}

fn rejected() -> Ending {
    Ending::refusing(Notification::cease(cease::REJECTED), "the neighbour is held down")
}

fn one_too_many() -> Ending {
    Ending::refusing(
        Notification::cease(cease::COLLISION),
        "there is another connection",
    )
}
