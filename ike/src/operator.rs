//! What an operator does to a connection by hand.

use std::time::Instant;

use crate::engine::Engine;
use crate::{ConnectionName, Outage, Reason, Side, Stage};

impl Engine {
    /// Closes a connection; neither side starts it until it is connected again, or its settings change.
    pub(crate) fn disconnect(&mut self, name: &ConnectionName, now: Instant) {
        let Some(mut standing) = self.connections.remove(name) else {
            return;
        };
        let already = std::mem::replace(&mut standing.disconnected, true);
        self.connections.insert(name.clone(), standing);
        self.connections.settle();
        if !already {
            self.close_by_hand(name, Reason::DisconnectedByAdmin, now);
        }
    }

    /// Closes a connection and starts it anew, or lets the peer do so.
    pub(crate) fn reset(&mut self, name: &ConnectionName, now: Instant) {
        if self.current_sa(name).is_some() {
            self.close_by_hand(name, Reason::ResetByAdmin, now);
        }
        self.connect_again(name, now);
    }

    /// Starts a connection now, also one that was taken down.
    pub(crate) fn connect_again(&mut self, name: &ConnectionName, now: Instant) {
        if let Some(mut standing) = self.connections.remove(name) {
            standing.revive();
            self.connections.insert(name.clone(), standing);
        }
        self.connect_anew(name, now);
    }

    fn close_by_hand(&mut self, name: &ConnectionName, reason: Reason, now: Instant) {
        let outage = Outage::plain(reason, Side::We, Stage::Established);
        self.close_with(name, outage, now);
        self.unschedule(name);
    }

    /// Closes a connection for this reason, and tries it again as after any other.
    pub(crate) fn close_with(&mut self, name: &ConnectionName, outage: Outage, now: Instant) {
        let Some(standing) = self.connections.standings.get_mut(name) else {
            return;
        };
        let (sa, renewing) = (standing.sa.take(), std::mem::take(&mut standing.renewal).sa);
        self.lost(name, Some(outage), now);
        self.close_connection(name, sa, now);
        self.retire(renewing, false, now);
    }
}
