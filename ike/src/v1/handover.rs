//! Packets leave by a new Child SA, and the old one receives what is under way.

use std::time::Instant;

use super::tunnel::Tunnel;
use crate::Action;
use crate::engine::Engine;
use crate::v2::children::Departed;

impl Engine {
    /// Packets leave by the current children of which nothing else sends; `alone`: and by no others.
    pub(super) fn send_by_newest(&mut self, tunnel: &mut Tunnel, alone: bool) {
        if alone {
            tunnel.children.handover = None;
            tunnel.children.leave_to_current();
        }
        for sender in tunnel.children.senders() {
            self.out.push(Action::SendBy(sender));
        }
    }

    /// What has received long enough is taken away; what waited for the peer to receive sends.
    pub(super) fn sweep_v1(&mut self, tunnel: &mut Tunnel, now: Instant) {
        if tunnel.children.handover.is_some_and(|at| at <= now) {
            self.send_by_newest(tunnel, true);
        }
        let departed = std::mem::take(&mut tunnel.children.departed);
        let (over, left) = departed.into_iter().partition(|child| child.until <= now);
        tunnel.children.departed = left;
        self.remove_departed_v1(over);
    }

    pub(super) fn remove_departed_v1(&mut self, departed: Vec<Departed>) {
        for child in &departed {
            self.v1.owners.remove(&child.id);
        }
        self.remove_departed(departed);
    }
}
