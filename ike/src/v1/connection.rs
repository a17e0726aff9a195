//! What the engine does with a connection of IKEv1 that it does otherwise with one of IKEv2.

use std::time::{Duration, Instant};

use super::state::Phase;
use crate::engine::Engine;
use crate::standing::Standing;
use crate::v2::child::Child;
use crate::weak;
use crate::{
    ChildId, ConnectionName, ConnectionSnapshot, LineSnapshot, LineStanding, ReauthenticationSnapshot,
    Version,
};

impl Engine {
    /// Whether a connection speaks IKEv1.
    pub(crate) fn is_v1(&self, name: &ConnectionName) -> bool {
        let standing = self.connections.get(name);
        standing.is_some_and(|standing| standing.settings.version == Version::V1)
    }

    /// Whether a child is one of such a connection.
    pub(crate) fn is_child_v1(&self, child: ChildId) -> bool {
        self.v1.owners.contains_key(&child)
    }

    /// Closes all that a connection has, whichever version it speaks; `sa` is the IKE SA that it ran on.
    pub(crate) fn close_connection(&mut self, name: &ConnectionName, sa: Option<u64>, now: Instant) {
        self.dismantle(name);
        self.retire(sa, false, now);
    }

    /// A peer of this connection may be silent for so long from now on.
    pub(crate) fn adapt_v1(&mut self, name: &ConnectionName, dpd_timeout: Duration) {
        if let Some(mut session) = self.take_session(name) {
            session.state.dpd_timeout = dpd_timeout;
            self.keep_session(session);
        }
    }

    /// A packet of this line finds no child.
    pub(crate) fn wanted_v1(&mut self, name: &ConnectionName, line: usize, now: Instant) {
        let settings = self.settings_of(name);
        let known = settings.is_some_and(|settings| settings.lines.len() > line);
        let rests = self
            .connections
            .get(name)
            .is_some_and(|standing| standing.watch.rests());
        if rests && known {
            return self.connect(name, now);
        }
        if let Some(mut session) = self.take_session(name).filter(|_| known) {
            if !session.tunnel.children.serve(line) {
                session.tunnel.lines.want(line, now);
            }
            self.keep_session(session);
            self.attend(name, now);
        }
    }

    /// Somebody wants an SA replaced before its time.
    pub(crate) fn rekey_v1(&mut self, name: &ConnectionName, phase: bool, now: Instant) {
        if phase {
            return self.reauthenticate(name, now);
        }
        let mut tunnel = self.take_tunnel(name);
        let children = tunnel.children.current_mut();
        children.for_each(|child| child.lifetime.soft = now);
        self.keep_tunnel(name, tunnel);
        self.attend(name, now);
    }

    /// What came by the children of a connection until now.
    pub(crate) fn received_v1_by(&mut self, child: ChildId, counts: &[(ChildId, u64)], now: Instant) {
        if let Some(mut session) = self.session_of_child(child) {
            self.traffic_v1(&mut session, counts, now);
            self.keep_session(session);
        }
    }

    /// One connection, for status.
    pub(crate) fn view_v1(&self, name: &ConnectionName, standing: &Standing) -> ConnectionSnapshot {
        let phase = standing.sa.and_then(|spi| self.v1.sas.get(&spi));
        let established = phase.and_then(Phase::established);
        let tunnel = self.v1.tunnels.get(name);
        let carried = || tunnel.into_iter().flat_map(|tunnel| tunnel.children.iter());
        let suites = carried().map(|child| child.agreed.suite);
        let amiss = tunnel.and_then(|tunnel| tunnel.lines.first_outage());
        let absent = |line| LineSnapshot::new(line, LineStanding::Pending);
        let lines = match tunnel {
            Some(tunnel) => tunnel.lines.snapshots(&tunnel.children, &standing.settings),
            None => standing.settings.lines.iter().map(absent).collect(),
        };
        let aggressive = established.is_some_and(|state| state.aggressive);
        let suite = (established.map(|state| state.suite), aggressive);
        ConnectionSnapshot {
            weak: weak::of(&standing.settings, suite, suites),
            state: standing.state,
            since: standing.since,
            outage: standing.outage.clone().or_else(|| amiss.cloned()),
            ike: phase.map(Phase::snapshot),
            reauthentication: ReauthenticationSnapshot::default(),
            version_2: standing.trial.clone(),
            children: carried().filter_map(Child::snapshot).collect(),
            lines,
        }
    }
}
