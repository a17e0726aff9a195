//! What an established session exchanges besides keepalives: routes, and requests for them.

use crate::negotiation::Agreed;
use crate::rib::{Outlet, PeerIndex};
use crate::turn::Turn;
use crate::wire::refresh::{Refresh, RefreshKind};
use crate::wire::update::{Decoder, Update};
use crate::{Families, Family};

/// Below this room no routes are asked for: short messages would cost more than the wait.
const ENOUGH_ROOM: usize = 96 * 1024;
/// The longest message (RFC 8654), by which the tables may go over what they are granted.
const LONGEST_MESSAGE: usize = 65_535;

/// An established session.
pub(crate) struct Session {
    pub(crate) agreed: Agreed,
    decoder: Decoder,
    /// Families that RFC 7606 has us leave alone from now on.
    ignored: Families,
    /// Families that we are to ask for again.
    asked: Families,
    /// Families that it wants again, and whose answer has not begun.
    wanted: Families,
    /// Families whose answer is under way.
    answering: Families,
    /// The first full table went out, its End-of-RIB with it.
    told_all: bool,
    /// Families whose End-of-RIB has come.
    pub(crate) heard_all: Families,
    /// Families that it is sending again (RFC 7313).
    refreshing: Families,
}

impl Session {
    pub(crate) fn new(agreed: Agreed) -> Self {
        Self {
            decoder: Decoder::new(agreed.context),
            agreed,
            ignored: Families::NONE,
            asked: Families::NONE,
            wanted: Families::NONE,
            answering: Families::NONE,
            told_all: false,
            heard_all: Families::NONE,
            refreshing: Families::NONE,
        }
    }

    /// How the tables are to write for it.
    pub(crate) fn outlet(&self) -> Outlet {
        let negotiated = &self.agreed.negotiated;
        Outlet {
            families: negotiated.families,
            router_id: negotiated.router_id,
            four_octet_asn: negotiated.advanced.four_octet_asn,
            extended_messages: negotiated.advanced.extended_messages,
            ipv6_next_hops: negotiated.advanced.ipv6_next_hops,
        }
    }

    /// What an UPDATE says, without the families that are left alone.
    pub(crate) fn decode(&mut self, body: &[u8]) -> Update {
        let mut update = self.decoder.decode(body);
        if !self.ignored.is_empty() {
            leave_out(&mut update, self.ignored);
        }
        update
    }

    /// From now on this family is left alone (RFC 7606 §2, "AFI/SAFI disable").
    pub(crate) fn ignore(&mut self, family: Family) {
        self.ignored = self.ignored.with(family);
    }

    /// We want all of its routes again, and it gets ours.
    pub(crate) fn renew(&mut self) {
        let families = self.agreed.negotiated.families;
        if self.agreed.negotiated.advanced.route_refresh {
            self.asked = families;
        }
        self.wanted = families;
    }

    /// It wants a family again, or sends one again (RFC 2918, RFC 7313 §4).
    pub(crate) fn refresh(&mut self, refresh: Refresh, peer: PeerIndex, turn: &mut Turn) {
        let family = refresh.family;
        let negotiated = &self.agreed.negotiated;
        if !negotiated.families.contains(family) || self.ignored.contains(family) {
            return;
        }
        let set = Families::NONE.with(family);
        let enhanced = negotiated.advanced.enhanced_refresh;
        // RFC 7313 §4: before its End-of-RIB a beginning means nothing.
        let complete = self.agreed.restart.is_none() || self.heard_all.contains(family);
        match refresh.kind {
            RefreshKind::Request => self.wanted = self.wanted.with(family),
            RefreshKind::Begin if enhanced && complete => {
                self.refreshing = self.refreshing.with(family);
                turn.rib.mark_stale(peer, set);
            }
            RefreshKind::End if self.refreshing.contains(family) => {
                self.refreshing = self.refreshing.without(family);
                turn.rib.sweep_stale(peer, set);
            }
            RefreshKind::Begin | RefreshKind::End => {}
        }
    }

    /// What is to be sent next, if it fits into this room.
    pub(crate) fn write(&mut self, peer: PeerIndex, room: usize, turn: &mut Turn) -> Vec<u8> {
        let mut octets = Vec::new();
        if room < ENOUGH_ROOM {
            return octets;
        }
        let say = |octets: &mut Vec<u8>, families: Families, kind| {
            for family in families.iter() {
                octets.extend(Refresh { family, kind }.encode());
            }
        };
        say(&mut octets, std::mem::take(&mut self.asked), RefreshKind::Request);
        let enhanced = self.agreed.negotiated.advanced.enhanced_refresh;
        // RFC 7313 §4: not before the first End-of-RIB. One answer at a time; what is asked meanwhile comes after it.
        if self.told_all && self.answering.is_empty() && !self.wanted.is_empty() {
            self.answering = std::mem::take(&mut self.wanted);
            if enhanced {
                say(&mut octets, self.answering, RefreshKind::Begin);
            }
            for family in self.answering.iter() {
                turn.rib.refresh(peer, family);
            }
        }
        let routes = turn.rib.write(peer, room - LONGEST_MESSAGE - octets.len());
        if routes.is_empty() {
            self.told_all = !turn.deferral.is_waiting();
            let answered = std::mem::take(&mut self.answering);
            if enhanced {
                say(&mut octets, answered, RefreshKind::End);
            }
            if octets.is_empty() && self.told_all && !self.wanted.is_empty() {
                return self.write(peer, room, turn);
            }
        } else {
            octets.extend(routes);
        }
        octets
    }
}

fn leave_out(update: &mut Update, families: Families) {
    let kept = |destination: &crate::wire::update::Destination| {
        !families.contains(Family::of_prefix(&destination.prefix))
    };
    update.withdrawn.retain(kept);
    for (_, destinations) in &mut update.announced {
        destinations.retain(kept);
    }
    update
        .announced
        .retain(|(_, destinations)| !destinations.is_empty());
    update.end_of_rib = update.end_of_rib.filter(|family| !families.contains(*family));
}
