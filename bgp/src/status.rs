use std::collections::BTreeMap;

use crate::peer::{Peer, Rest};
use crate::rib::Rib;
use crate::timers::Timer;
use crate::{Family, FamilyCounts, Messages, PeerSnapshot, PeerState, Snapshot, Speaker};

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
