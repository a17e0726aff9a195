use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::net_set::NetSet;
use super::table::NetId;
use super::translate::News;
use crate::{Families, Family, NeighbourName};

/// A neighbour in the tables; given out again once [`super::Rib::remove_peer`] was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerIndex(pub(crate) u16);

/// What of a session decides what its neighbour is sent, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outlet {
    /// The families of the session.
    pub(crate) families: Families,
    /// The neighbour's BGP identifier, which breaks ties (RFC 4271 §9.1.2.2 f).
    pub(crate) router_id: Ipv4Addr,
    /// AS numbers have four octets (RFC 6793).
    pub(crate) four_octet_asn: bool,
    /// A message may have 65,535 octets instead of 4,096 (RFC 8654).
    pub(crate) extended_messages: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub(crate) ipv6_next_hops: bool,
}

/// All neighbours.
#[derive(Debug, Default)]
pub(super) struct Peers {
    slots: Vec<Option<Peer>>,
    names: BTreeMap<NeighbourName, PeerIndex>,
}

/// Where the routes of one neighbour stand.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: NeighbourName,
    pub(super) tunnel_up: bool,
    /// That of its last session: routes outlive it (RFC 4724).
    pub(super) router_id: Ipv4Addr,
    /// While a session is established.
    pub(super) outlet: Option<Outlet>,
    pub(super) flows: PerFamily<Flow>,
    /// What is to be told of its prefixes that only NAT in part has to do with.
    pub(super) news: News,
}

/// The prefixes of one family, in from a neighbour and out to it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Those that it sent.
    pub(super) received: NetSet,
    /// Those of them that are let in.
    pub(super) accepted: NetSet,
    /// Those that it sent and that rules of NAT do not translate as a whole.
    pub(super) partly: NetSet,
    /// Those that it was sent, and not withdrawn from.
    pub(super) sent: NetSet,
    /// Those that it is to be sent, or to have withdrawn, if what it has is not right.
    pub(super) pending: NetSet,
    /// Where in `pending` to go on, so that what changes often does not keep back the rest.
    pub(super) next: NetId,
    /// After what is pending it is to be told that this was all (RFC 4724 §2).
    pub(super) end_of_rib: bool,
}

/// One for each family.
#[derive(Debug, Default)]
pub(super) struct PerFamily<T> {
    ipv4: T,
    ipv6: T,
}

impl<T> PerFamily<T> {
    pub(super) fn new(of: impl Fn(Family) -> T) -> Self {
        Self {
            ipv4: of(Family::Ipv4),
            ipv6: of(Family::Ipv6),
        }
    }

    pub(super) fn of(&self, family: Family) -> &T {
        match family {
            Family::Ipv4 => &self.ipv4,
            Family::Ipv6 => &self.ipv6,
        }
    }

    pub(super) fn of_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::Ipv4 => &mut self.ipv4,
            Family::Ipv6 => &mut self.ipv6,
        }
    }
}

impl Peer {
    /// The flow of a family that its session has; nothing without a session.
    pub(super) fn outlet_of(&mut self, family: Family) -> Option<&mut Flow> {
        let open = self
            .outlet
            .as_ref()
            .is_some_and(|outlet| outlet.families.contains(family));
        open.then(|| self.flows.of_mut(family))
    }
}

impl Peers {
    pub(super) fn get(&self, peer: PeerIndex) -> Option<&Peer> {
        self.slots.get(usize::from(peer.0)).and_then(Option::as_ref)
    }

    pub(super) fn get_mut(&mut self, peer: PeerIndex) -> Option<&mut Peer> {
        self.slots.get_mut(usize::from(peer.0)).and_then(Option::as_mut)
    }

    pub(super) fn named(&self, name: &NeighbourName) -> Option<PeerIndex> {
        self.names.get(name).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (PeerIndex, &Peer)> {
        let numbered = (0..).map(PeerIndex).zip(&self.slots);
        numbered.filter_map(|(index, peer)| Some((index, peer.as_ref()?)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (PeerIndex, &mut Peer)> {
        let numbered = (0..).map(PeerIndex).zip(&mut self.slots);
        numbered.filter_map(|(index, peer)| Some((index, peer.as_mut()?)))
    }

    /// One more, with the lowest number that is free; the one that has this name, if there is one.
    pub(super) fn add(&mut self, name: &NeighbourName) -> PeerIndex {
        if let Some(known) = self.named(name) {
            return known;
        }
        let peer = Peer {
            name: name.clone(),
            tunnel_up: false,
            router_id: Ipv4Addr::UNSPECIFIED,
            outlet: None,
            flows: PerFamily::default(),
            news: News::default(),
        };
        let at = self
            .slots
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.slots.len());
        let index = PeerIndex(u16::try_from(at).unwrap_or(u16::MAX));
        match self.slots.get_mut(at) {
            Some(slot) => *slot = Some(peer),
            None => self.slots.push(Some(peer)),
        }
        self.names.insert(name.clone(), index);
        index
    }

    pub(super) fn remove(&mut self, peer: PeerIndex) {
        let slot = self.slots.get_mut(usize::from(peer.0));
        if let Some(peer) = slot.and_then(Option::take) {
            self.names.remove(&peer.name);
        }
    }
}
