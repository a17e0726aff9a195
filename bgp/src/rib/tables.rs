use std::sync::Arc;

use super::attributes::SharedAttributes;
use super::configured::Configured;
use super::peers::{Outlet, PeerIndex, Peers, PerFamily};
use super::table::{NetId, Table};
use crate::{Families, Family, FamilyCounts, NeighbourName, Settings, Way};

/// All routes of a speaker. What a neighbour is sent is not kept but worked out when there is room for it; all that is
/// kept of that is which prefixes it has and which are to be looked at.
#[derive(Debug)]
pub(crate) struct Rib {
    pub(super) configured: Configured,
    pub(super) peers: Peers,
    pub(super) tables: PerFamily<Table>,
    pub(super) shared: SharedAttributes,
    /// Neighbours have not told all they know since we started (RFC 4724 §4.1).
    pub(super) deferred: bool,
    /// The last ways that the kernel was told: mostly those of the next route, too.
    pub(super) last_ways: Option<Arc<[Way]>>,
}

impl Rib {
    pub(crate) fn new() -> Self {
        Self {
            configured: Configured::new(Arc::new(Settings::none())),
            peers: Peers::default(),
            tables: PerFamily::new(Table::new),
            shared: SharedAttributes::default(),
            deferred: false,
            last_ways: None,
        }
    }

    /// A neighbour has a place in the tables; its tunnel counts as down until [`Rib::tunnel`] says otherwise.
    pub(crate) fn add_peer(&mut self, name: &NeighbourName) -> PeerIndex {
        let peer = self.peers.add(name);
        self.configured.add(peer, name);
        self.select_again(peer);
        peer
    }

    /// Nothing of this neighbour is left.
    pub(crate) fn remove_peer(&mut self, peer: PeerIndex) {
        self.close(peer);
        self.forget(peer, Families::ALL);
        self.peers.remove(peer);
        self.configured.remove(peer);
        self.select_again(peer);
    }

    /// A session is established: its neighbour is queued the whole table, End-of-RIB per family after it.
    pub(crate) fn open(&mut self, peer: PeerIndex, outlet: Outlet) {
        self.close(peer);
        let families = outlet.families;
        let Some(slot) = self.peers.get_mut(peer) else {
            return;
        };
        let moved = slot.router_id != outlet.router_id;
        slot.router_id = outlet.router_id;
        slot.outlet = Some(outlet);
        for family in families.iter() {
            self.refresh(peer, family);
            if let Some(flow) = self.peers.get_mut(peer).and_then(|slot| slot.outlet_of(family)) {
                flow.end_of_rib = true;
            }
        }
        if moved {
            self.select_again(peer);
        }
    }

    /// The session is gone: nothing is queued for it any more. Its own routes stay until [`Rib::forget`].
    pub(crate) fn close(&mut self, peer: PeerIndex) {
        for family in Family::ALL {
            let table = self.tables.of_mut(family);
            let Some(flow) = self.peers.get_mut(peer).map(|slot| slot.flows.of_mut(family)) else {
                return;
            };
            for set in [std::mem::take(&mut flow.sent), std::mem::take(&mut flow.pending)] {
                set.iter().for_each(|id| table.release(id));
            }
            flow.end_of_rib = false;
            flow.next = NetId::default();
        }
        if let Some(slot) = self.peers.get_mut(peer) {
            slot.outlet = None;
        }
    }

    /// Queues everything for this neighbour again (RFC 2918).
    pub(crate) fn refresh(&mut self, peer: PeerIndex, family: Family) {
        let table = self.tables.of_mut(family);
        let Some(flow) = self.peers.get_mut(peer).and_then(|slot| slot.outlet_of(family)) else {
            return;
        };
        for id in table.ids() {
            if table.net(id).is_some_and(|net| net.has_best()) && flow.pending.insert(id) {
                table.hold(id);
            }
        }
    }

    /// The tunnel of a neighbour carries, or no longer does: its paths are eligible, or not.
    pub(crate) fn tunnel(&mut self, peer: PeerIndex, up: bool) {
        let Some(slot) = self.peers.get_mut(peer).filter(|slot| slot.tunnel_up != up) else {
            return;
        };
        slot.tunnel_up = up;
        self.select_again(peer);
    }

    /// While we wait for our neighbours' End-of-RIB after a start, nothing is told to the kernel or to neighbours.
    pub(crate) fn defer(&mut self, waiting: bool) {
        self.deferred = waiting;
    }

    pub(crate) fn counts(&self, peer: PeerIndex, family: Family) -> FamilyCounts {
        let flow = self.peers.get(peer).map(|slot| slot.flows.of(family));
        let limit = self
            .configured
            .member(peer)
            .map(|member| member.neighbour.limits.prefixes);
        flow.map_or_else(FamilyCounts::default, |flow| FamilyCounts {
            received: flow.received.len(),
            accepted: flow.accepted.len(),
            advertised: flow.sent.len(),
            limit: limit.unwrap_or(0),
        })
    }

    /// How many prefixes have a best path.
    pub(crate) fn best(&self, family: Family) -> u32 {
        self.tables.of(family).best
    }

    /// Chooses anew for every prefix that has a path through the tunnel of this neighbour.
    fn select_again(&mut self, peer: PeerIndex) {
        for family in Family::ALL {
            for id in self.leading_through(peer, family) {
                self.edit(family, id, |_| {});
            }
        }
    }

    /// The prefixes with paths of this neighbour, and with paths of internal ones that lead elsewhere than to their own
    /// tunnel.
    fn leading_through(&self, peer: PeerIndex, family: Family) -> Vec<NetId> {
        let through = |(index, _): &(PeerIndex, _)| {
            *index == peer
                || self
                    .configured
                    .member(*index)
                    .is_some_and(|member| !member.external)
        };
        let peers = self.peers.iter().filter(through);
        peers
            .flat_map(|(index, slot)| {
                let received = slot.flows.of(family).received.iter();
                received.chain(self.translated(index, family))
            })
            .collect()
    }
}

#[cfg(test)]
impl Rib {
    /// How many prefixes anything is known of.
    pub(super) fn prefixes_known(&self) -> usize {
        Family::ALL
            .into_iter()
            .map(|family| self.tables.of(family).ids().len())
            .sum()
    }

    /// How many sets of attributes are in use.
    pub(super) fn attributes_known(&mut self) -> usize {
        self.shared.drop_unused();
        self.shared.len()
    }
}
