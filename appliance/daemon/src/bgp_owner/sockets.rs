use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::task::{Context, Poll};
use std::time::Instant;

use bgp::{ConnectionId, Input, NeighbourName};
use tracing::debug;

use super::connection::Connection;
use super::listener::Listener;
use crate::derive::SessionEnd;

/// A neighbour needs one, and one more while both sides open theirs (RFC 4271 §6.8); what it opens besides is not taken.
const CONNECTIONS: usize = 4;

/// All sockets of all sessions. Each has its turn, and none more than one before all others had theirs.
#[derive(Default)]
pub(super) struct Sockets {
    ends: BTreeMap<NeighbourName, SessionEnd>,
    listeners: BTreeMap<NeighbourName, Listener>,
    connections: BTreeMap<ConnectionId, Connection>,
    accepted: u64,
    /// Who had its turn first; the next one is the first this time.
    first: Option<ConnectionId>,
}

impl Sockets {
    /// The sessions have these ends from now on.
    pub(super) fn configure(&mut self, ends: BTreeMap<NeighbourName, SessionEnd>) {
        self.listeners.retain(|name, _| {
            let (old, new) = (self.ends.get(name), ends.get(name));
            old.zip(new).is_some_and(|(old, new)| old.is_same(new))
        });
        self.ends = ends;
        self.look();
    }

    /// The ends as they are.
    pub(super) fn ends(&self) -> &BTreeMap<NeighbourName, SessionEnd> {
        &self.ends
    }

    /// Listens where a link came, or was made anew.
    pub(super) fn look(&mut self) {
        self.listeners.retain(|_, listener| listener.is_in_place());
        for (name, end) in &self.ends {
            if self.listeners.contains_key(name) {
                continue;
            }
            match Listener::open(end) {
                Ok(listener) => drop(self.listeners.insert(name.clone(), listener)),
                Err(error) => debug!(neighbour = %name, %error, "cannot be listened for"),
            }
        }
    }

    /// Opens a connection; why it cannot be tried comes back.
    pub(super) fn connect(
        &mut self,
        id: ConnectionId,
        name: &NeighbourName,
        remote: SocketAddr,
    ) -> Option<Input> {
        let Some(end) = self.ends.get(name) else {
            return Some(Input::NotConnected(
                id,
                "the session is not configured".to_owned(),
            ));
        };
        match Connection::open(name.clone(), end, remote) {
            Ok(connection) => {
                self.connections.insert(id, connection);
                None
            }
            Err(error) => Some(Input::NotConnected(id, error.to_string())),
        }
    }

    /// Sends; tells what of it has gone.
    pub(super) fn send(&mut self, id: ConnectionId, octets: Vec<u8>) -> Option<Input> {
        let sent = self.connections.get_mut(&id)?.send(octets);
        (sent > 0).then_some(Input::Sent(id, sent))
    }

    /// Ends a connection once what was to be sent is gone.
    pub(super) fn close(&mut self, id: ConnectionId, now: Instant) {
        let ended = self
            .connections
            .get_mut(&id)
            .is_some_and(|connection| connection.close(now));
        if ended {
            self.connections.remove(&id);
        }
    }

    /// Whether all are closed.
    pub(super) fn are_closed(&self) -> bool {
        self.connections.is_empty()
    }

    /// When the next one that closes is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let closing = self.connections.values().filter_map(Connection::deadline);
        closing.min()
    }

    /// Those are over that had time to close.
    pub(super) fn expire(&mut self, now: Instant) {
        self.connections
            .retain(|_, connection| connection.deadline().is_none_or(|deadline| deadline > now));
    }

    /// What came, of every socket at most one turn.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Vec<Input>> {
        let mut inputs = Vec::new();
        self.accept(context, &mut inputs);
        let order = self.order();
        self.first = order.first().copied();
        for id in order {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            if connection.turn(id, context, &mut inputs) {
                self.connections.remove(&id);
            }
        }
        if inputs.is_empty() {
            Poll::Pending
        } else {
            Poll::Ready(inputs)
        }
    }

    /// All connections, from the one after that which was first last time.
    fn order(&self) -> Vec<ConnectionId> {
        let after = self.first.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.connections.range((after, Bound::Unbounded));
        let through = self.first.map_or(Bound::Unbounded, Bound::Included);
        let earlier = self.connections.range((Bound::Unbounded, through));
        let earlier = earlier.take_while(|_| self.first.is_some());
        later.chain(earlier).map(|(id, _)| *id).collect()
    }

    fn accept(&mut self, context: &mut Context<'_>, inputs: &mut Vec<Input>) {
        for (name, listener) in &self.listeners {
            let Some(stream) = listener.accept(context) else {
                continue;
            };
            let others = self.connections.values().filter(|other| other.neighbour == *name);
            let (Ok(remote), true) = (stream.peer_addr(), others.count() < CONNECTIONS) else {
                continue;
            };
            self.accepted += 1;
            let connection = ConnectionId::Incoming(self.accepted);
            let neighbour = name.clone();
            self.connections
                .insert(connection, Connection::accepted(neighbour.clone(), stream));
            inputs.push(Input::Accepted {
                connection,
                neighbour,
                remote,
            });
        }
    }
}
