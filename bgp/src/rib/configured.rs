use std::sync::Arc;

use super::PeerIndex;
use super::peers::Peers;
use crate::next_hop::{NextHops, Session};
use crate::{Neighbour, NeighbourName, Settings};

/// The settings, and what follows from them for each neighbour.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) settings: Arc<Settings>,
    pub(super) next_hops: NextHops,
    /// By the numbers of the tables; a neighbour is here as long as it is there, with what was last configured for it.
    members: Vec<Option<(NeighbourName, Neighbour)>>,
}

/// One neighbour as it is configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'a NeighbourName,
    pub(super) neighbour: &'a Neighbour,
    /// It is in another autonomous system.
    pub(super) external: bool,
}

impl Configured {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            next_hops: NextHops::of(&settings),
            settings,
            members: Vec::new(),
        }
    }

    /// The same neighbours under new settings.
    pub(super) fn with(&self, settings: Arc<Settings>, peers: &Peers) -> Self {
        let mut configured = Self::new(settings);
        for (index, peer) in peers.iter() {
            if !configured.add(index, &peer.name)
                && let Some(known) = self.members.get(usize::from(index.0)).cloned()
            {
                configured.put(index, known);
            }
        }
        configured
    }

    /// A neighbour has this number from now on; whether it is configured.
    pub(super) fn add(&mut self, peer: PeerIndex, name: &NeighbourName) -> bool {
        let neighbour = self.settings.neighbours.get(name);
        let member = neighbour.map(|neighbour| (name.clone(), neighbour.clone()));
        let configured = member.is_some();
        if configured {
            self.put(peer, member);
        }
        configured
    }

    pub(super) fn remove(&mut self, peer: PeerIndex) {
        self.put(peer, None);
    }

    fn put(&mut self, peer: PeerIndex, member: Option<(NeighbourName, Neighbour)>) {
        let at = usize::from(peer.0);
        if at >= self.members.len() {
            self.members.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.members.get_mut(at) {
            *slot = member;
        }
    }

    pub(super) fn member(&self, peer: PeerIndex) -> Option<Member<'_>> {
        let (name, neighbour) = self.members.get(usize::from(peer.0))?.as_ref()?;
        Some(Member {
            name,
            neighbour,
            external: neighbour.asn != self.settings.asn,
        })
    }
}

impl Member<'_> {
    pub(super) fn session(&self) -> Session {
        Session {
            remote: self.neighbour.remote,
            external: self.external,
        }
    }
}
