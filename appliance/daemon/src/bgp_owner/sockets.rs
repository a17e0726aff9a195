use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::task::{Context, Poll};
use std::time::Instant;

use bgp::{ConnectionId, Input, NeighbourName, SocketFault};
use tracing::{info, warn};

use super::connection::Connection;
use super::listener::Listener;
use super::routes::connection;
use crate::derive::{Following, SessionEnd};
use crate::journal;

/// A neighbour needs one, and one more while both sides open theirs (RFC 4271 §6.8); what it opens besides is not taken.
const CONNECTIONS: usize = 4;

/// All sockets of all sessions. Each has its turn, and none more than one before all others had theirs.
#[derive(Default)]
pub(super) struct Sockets {
    ends: BTreeMap<NeighbourName, SessionEnd>,
    listeners: BTreeMap<NeighbourName, Listener>,
    /// Why there is none, where the link is there.
    deaf: BTreeMap<NeighbourName, SocketFault>,
    connections: BTreeMap<ConnectionId, Connection>,
    accepted: u64,
    /// Who had its turn first; the next one is the first this time.
    first: Option<ConnectionId>,
}

impl Sockets {
    /// The sessions have these ends from now on; what the speaker is to know of it, once it has their settings.
    pub(super) fn configure(&mut self, ends: BTreeMap<NeighbourName, SessionEnd>) -> Vec<Input> {
        let before = std::mem::replace(&mut self.ends, ends);
        let mut inputs = Vec::new();
        for (name, old) in &before {
            let new = self.ends.get(name).cloned();
            let goes_on = new.as_ref().is_some_and(|new| match new.follows(old) {
                Following::Same => true,
                Following::OtherKeys => self.change_keys(name, [old, new]),
                Following::Anew => false,
            });
            if !goes_on {
                self.listeners.remove(name);
                self.deaf.remove(name);
                inputs.extend(new.map(|_| Input::Moved(name.clone())));
            }
        }
        inputs.extend(self.look());
        inputs
    }

    /// Whether all sockets of a session took other keys.
    fn change_keys(&mut self, name: &NeighbourName, ends: [&SessionEnd; 2]) -> bool {
        let [_, new] = ends;
        let listener = self.listeners.get_mut(name);
        let mut connections = self.connections.values().filter(|other| other.neighbour == *name);
        listener.is_none_or(|listener| listener.change_keys(new))
            && connections.all(|connection| connection.change_keys(ends))
    }

    /// The ends as they are.
    pub(super) fn ends(&self) -> &BTreeMap<NeighbourName, SessionEnd> {
        &self.ends
    }

    /// Listens where a link came, was made anew, or another program had the port; what the speaker is to know of it.
    pub(super) fn look(&mut self) -> Vec<Input> {
        self.listeners.retain(|_, listener| listener.is_in_place());
        let mut inputs = Vec::new();
        for (name, end) in &self.ends {
            if self.listeners.contains_key(name) {
                continue;
            }
            match Listener::open(end) {
                Ok(None) => (),
                Ok(Some(listener)) => {
                    self.listeners.insert(name.clone(), listener);
                    if self.deaf.remove(name).is_some() {
                        journal::span(&connection(name))
                            .in_scope(|| info!("BGP connections are taken again"));
                    }
                    inputs.push(Input::Listening(name.clone(), Ok(())));
                }
                Err(fault) => {
                    if self.deaf.get(name) != Some(&fault) {
                        let (SocketFault::Refused(words) | SocketFault::Unauthenticated(words)) = &fault;
                        journal::span(&connection(name))
                            .in_scope(|| warn!("BGP connections of the neighbour cannot be taken: {words}"));
                        self.deaf.insert(name.clone(), fault.clone());
                        inputs.push(Input::Listening(name.clone(), Err(fault)));
                    }
                }
            }
        }
        inputs
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
                SocketFault::Refused("the session is not configured".to_owned()),
            ));
        };
        match Connection::open(name.clone(), end, remote) {
            Ok(connection) => {
                self.connections.insert(id, connection);
                None
            }
            Err(fault) => Some(Input::NotConnected(id, fault)),
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
            let id = ConnectionId::Incoming(self.accepted);
            let neighbour = name.clone();
            self.connections
                .insert(id, Connection::accepted(neighbour.clone(), stream));
            inputs.push(Input::Accepted {
                connection: id,
                neighbour,
                remote,
            });
        }
    }
}
