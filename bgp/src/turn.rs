use std::collections::BTreeMap;
use std::time::Instant;

use crate::negotiation::Standing;
use crate::restart::Deferral;
use crate::rib::Rib;
use crate::{Action, ConnectionId, NeighbourName, Random, Settings};

/// What a neighbour works with while the speaker takes one input.
pub(crate) struct Turn<'a> {
    pub(crate) now: Instant,
    pub(crate) random: &'a mut dyn Random,
    pub(crate) out: &'a mut Vec<Action>,
    pub(crate) rib: &'a mut Rib,
    pub(crate) settings: &'a Settings,
    pub(crate) deferral: &'a mut Deferral,
    /// Whose each connection is.
    pub(crate) owners: &'a mut BTreeMap<ConnectionId, NeighbourName>,
    pub(crate) last_connection: &'a mut u64,
    /// The kernel kept routes of a run before this one.
    pub(crate) preserved: bool,
}

impl Turn<'_> {
    /// A number for a connection that we ask for.
    pub(crate) fn fresh_connection(&mut self) -> ConnectionId {
        *self.last_connection += 1;
        ConnectionId::Outgoing(*self.last_connection)
    }

    /// What an OPEN is to say of our own restart, to a neighbour that had a session with us in this run, or had not.
    pub(crate) fn standing(&self, knows_us: bool) -> Standing {
        Standing {
            restarted: self.preserved && self.deferral.is_waiting(),
            forwarding: self.preserved || knows_us,
        }
    }
}
