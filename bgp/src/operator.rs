//! What operators, settings and the world around do to one neighbour.

use std::net::IpAddr;
use std::time::Instant;

use crate::connection::Connection;
use crate::peer::{Peer, Rest, waiting};
use crate::reason::{Ending, Reason};
use crate::turn::Turn;
use crate::wire::notification::Notification;
use crate::wire::registry::cease;
use crate::{ConnectionId, Families, Neighbour, Role, SocketFault};

impl Peer {
    /// Other settings. What decides who talks to whom, and about what, resets the session; policies, limits and
    /// preferences change in place; timers count from the next session on. Whatever changed, a neighbour that was held
    /// down is tried again.
    pub(crate) fn configure(&mut self, new: &Neighbour, same_speaker: bool, turn: &mut Turn) {
        let old = std::mem::replace(&mut self.settings, new.clone());
        let resets = !same_speaker || agreed_on(&old) != agreed_on(new);
        self.tell_partly(turn);
        if old == *new && !resets {
            return;
        }
        if resets {
            self.end_all(&changed(), turn);
            self.forget_kept(turn);
        } else {
            self.waits_for_neighbour(turn);
        }
        self.try_now(turn);
        let established = self
            .connections
            .iter()
            .find(|connection| connection.is_established());
        if let Some(id) = established.map(|connection| connection.id)
            && let Err(ending) = self.keeps_to_limit(turn)
        {
            self.end(id, &ending, turn);
        }
    }

    /// It is no longer configured.
    pub(crate) fn remove(&mut self, turn: &mut Turn) {
        let notification = Notification::cease(cease::DECONFIGURED);
        self.end_all(
            &Ending::refusing(notification, "the neighbour is no longer configured"),
            turn,
        );
        turn.rib.forget(self.index, Families::ALL);
    }

    /// An operator wants its session to begin anew, whatever kept it down.
    pub(crate) fn clear(&mut self, turn: &mut Turn) {
        let words = "an operator had the session started anew";
        self.end_all(
            &Ending::refusing(Notification::administrative_reset(words), words),
            turn,
        );
        self.try_now(turn);
    }

    /// What carries its session is another.
    pub(crate) fn moved(&mut self, turn: &mut Turn) {
        self.end_all(&changed(), turn);
        self.forget_kept(turn);
        self.try_now(turn);
    }

    /// What it opens is taken, or cannot be.
    pub(crate) fn listening(&mut self, taken: Result<(), SocketFault>, turn: &mut Turn) {
        let deaf = taken
            .err()
            .map(|fault| Ending::without_socket(fault, Reason::NotListening));
        if self.deaf != deaf {
            self.deaf = deaf;
            self.waits_for_neighbour(turn);
        }
    }

    /// Where only the neighbour opens sessions, nothing can be done but to take what it opens.
    pub(crate) fn waits_for_neighbour(&mut self, turn: &mut Turn) {
        if !self.connections.is_empty()
            || self.rest != Rest::None
            || !self.settings.passive
            || !self.tunnel_up
        {
            return;
        }
        match self.deaf.clone() {
            Some(ending) => self.tell_attempt(&ending, turn),
            None => self.last_error = Some(waiting().told_at(turn.now)),
        }
    }

    /// It is to send its routes again, and gets ours.
    pub(crate) fn renew(&mut self) {
        for session in self.connections.iter_mut().filter_map(Connection::session) {
            session.renew();
        }
    }

    /// BFD lost the path to this address (RFC 5882 §3.2): nothing else is waited for.
    pub(crate) fn path_lost(&mut self, address: IpAddr, turn: &mut Turn) {
        if address != self.settings.remote {
            return;
        }
        // RFC 9384.
        let notification = Notification::cease(cease::BFD_DOWN);
        let ending = Ending::refusing(notification, format!("BFD lost the path to {address}"));
        let ids: Vec<_> = self.connections.iter().map(|connection| connection.id).collect();
        for id in ids {
            self.end(id, &ending, turn);
        }
        // RFC 5882 §4.3: what was kept for a restart cannot be reached either.
        self.forget_kept(turn);
    }

    /// We end, for good or to be back at once: then the connections just end, and the neighbour keeps our routes
    /// (RFC 4724 §4).
    pub(crate) fn shut_down(&mut self, restarting: bool, turn: &mut Turn) {
        if !restarting {
            let words = "the speaker was shut down";
            return self.end_all(&Ending::refusing(Notification::shutdown(words), words), turn);
        }
        let ending = Ending::ours(Reason::Shutdown, "the speaker starts again");
        if self.connections.iter().any(Connection::is_established) {
            self.tell(&ending, turn);
        }
        for connection in std::mem::take(&mut self.connections) {
            connection.close(&ending, turn);
        }
    }

    /// So many octets of a connection have gone.
    pub(crate) fn went(&mut self, id: ConnectionId, octets: usize, now: Instant) {
        if let Some(connection) = self.connections.iter_mut().find(|connection| connection.id == id) {
            connection.went(octets, now);
        }
    }
}

fn changed() -> Ending {
    let notification = Notification::cease(cease::CONFIGURATION);
    Ending::refusing(notification, "the configuration of the session changed")
}

/// What of the settings the OPENs, and who sends them, depend on.
fn agreed_on(settings: &Neighbour) -> (IpAddr, IpAddr, u32, Families, Option<Role>, bool) {
    (
        settings.local,
        settings.remote,
        settings.asn,
        settings.families,
        settings.role,
        settings.add_path,
    )
}
