use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use crate::connection::Connection;
use crate::mrt::{Dialect, LogSession, TableNeighbour};
use crate::peer::{Peer, Rest};
use crate::rib::Rib;
use crate::timers::Timer;
use crate::{
    ConnectionId, Family, FamilyCounts, Messages, NeighbourName, PeerSnapshot, PeerState, Snapshot, Speaker,
};

impl Speaker {
    /// A read-only view for status.
    pub fn snapshot(&self) -> Snapshot {
        let peers = self.peers.iter();
        Snapshot {
            peers: peers
                .map(|(name, peer)| (name.clone(), peer.snapshot(&self.rib)))
                .collect(),
            best: Family::ALL.map(|family| (family, self.rib.best(family))).into(),
            converging: self.deferral.is_waiting(),
            refused: self.refused.clone(),
        }
    }
}

impl Speaker {
    /// We ourselves and then every neighbour, as the first record of a table has them; `seconds` tells how long after 1970 a
    /// moment is.
    pub fn table_neighbours(&self, seconds: impl Fn(Instant) -> u32) -> Vec<TableNeighbour> {
        let ours = TableNeighbour {
            name: None,
            identifier: self.settings.router_id,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            asn: self.settings.asn,
            since: 0,
        };
        let theirs = self.peers.iter().map(|(name, peer)| TableNeighbour {
            name: Some(name.clone()),
            identifier: self.rib.identifier(name),
            address: peer.settings.remote,
            asn: peer.settings.asn,
            since: seconds(peer.since),
        });
        std::iter::once(ours).chain(theirs).collect()
    }
}

/// What whoever writes messages down has to know.
impl Speaker {
    /// Both ends of the session with a neighbour.
    pub fn ends(&self, name: &NeighbourName) -> Option<LogSession> {
        let neighbour = &self.peers.get(name)?.settings;
        Some(LogSession {
            ours: (self.settings.asn, neighbour.local),
            theirs: (neighbour.asn, neighbour.remote),
        })
    }

    /// All neighbours.
    pub fn names(&self) -> impl Iterator<Item = &NeighbourName> {
        self.peers.keys()
    }

    /// Where the session with a neighbour stands.
    pub fn state(&self, name: &NeighbourName) -> Option<PeerState> {
        self.peers.get(name).map(Peer::state)
    }

    /// Whose a connection is, and how its messages are read.
    pub fn dialect(&self, id: ConnectionId) -> Option<(&NeighbourName, Dialect)> {
        let (name, connection) = self.connection(id)?;
        Some((name, connection.dialect()))
    }

    /// The beginning of a message whose rest has not come by a connection.
    pub fn unfinished(&self, id: ConnectionId) -> &[u8] {
        self.connection(id)
            .map_or(&[], |(_, connection)| connection.unfinished())
    }

    fn connection(&self, id: ConnectionId) -> Option<(&NeighbourName, &Connection)> {
        let name = self.owners.get(&id)?;
        let connections = &self.peers.get(name)?.connections;
        let connection = connections.iter().find(|connection| connection.id == id)?;
        Some((name, connection))
    }
}

impl Peer {
    fn snapshot(&self, rib: &Rib) -> PeerSnapshot {
        let total = |before: Messages, of: fn(&crate::connection::Connection) -> &Messages| {
            self.connections.iter().fold(before, |mut sum, connection| {
                sum.add(of(connection));
                sum
            })
        };
        let waits = [Timer::ConnectRetry, Timer::IdleHold, Timer::PrefixRestart];
        let negotiated = self
            .connections
            .iter()
            .find_map(|connection| connection.negotiated());
        let (partly_translated, partly_translated_count) = rib.partly(self.index);
        PeerSnapshot {
            state: self.state(),
            since: self.since,
            last_error: self.last_error.clone(),
            held_down: self.rest == Rest::HeldDown,
            next_attempt: waits
                .into_iter()
                .filter_map(|timer| self.running.due(timer))
                .min(),
            tunnel_up: self.tunnel_up,
            restarting: self.running.due(Timer::RestartTime).is_some(),
            negotiated: negotiated.cloned(),
            sent: total(self.sent, |connection| &connection.sent),
            received: total(self.received, |connection| &connection.received),
            families: self.counts(rib),
            established_count: self.established_count,
            partly_translated,
            partly_translated_count,
        }
    }

    fn counts(&self, rib: &Rib) -> BTreeMap<Family, FamilyCounts> {
        let families = self.settings.families.iter();
        families
            .map(|family| (family, rib.counts(self.index, family)))
            .collect()
    }

    fn state(&self) -> PeerState {
        let farthest = self
            .connections
            .iter()
            .map(|connection| connection.standing())
            .max();
        farthest.unwrap_or(match self.rest {
            Rest::None if self.tunnel_up => PeerState::Active,
            Rest::None | Rest::Pause | Rest::HeldDown => PeerState::Idle,
        })
    }
}
