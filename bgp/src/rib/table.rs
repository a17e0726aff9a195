use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::PeerIndex;
use super::index::Index;
use super::net_set::NetSet;
use crate::Family;
use crate::wire::attribute::Attributes;

/// The number of a prefix in its table, as long as something is to be known of it; then it is given out again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NetId(pub(super) u32);

/// All prefixes of one family.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) index: Index,
    nets: Vec<Net>,
    free: Vec<NetId>,
    /// Those whose route the kernel is to be told anew.
    pub(super) changed: NetSet,
    /// Those that the kernel was told of.
    pub(super) installed: NetSet,
    /// How many have a best path, or are ours or a site's, or stand for ours behind NAT.
    pub(super) best: u32,
}

/// All that is known of one prefix.
#[derive(Debug, Default)]
pub(super) struct Net {
    /// Those that are used come first, best first.
    pub(super) paths: SmallVec<[Path; 1]>,
    /// In how many sets of changes or of advertised prefixes it is: until it is in none, its number is not free.
    pub(super) holds: u32,
    /// How many paths are used.
    pub(super) used: u8,
    /// It is a prefix of ours, or stands for one behind NAT, or is in the static address space of a site.
    pub(super) ours: bool,
}

/// One path to a prefix, as a neighbour sent it. A million of these are kept: every octet counts.
#[derive(Debug, Clone)]
pub(super) struct Path {
    /// What it came with.
    pub(super) received: Arc<Attributes>,
    /// What the policy made of that, if it was let in.
    pub(super) accepted: Option<Arc<Attributes>>,
    /// Its identifier (RFC 7911).
    pub(super) id: u32,
    /// Who sent it.
    pub(super) peer: PeerIndex,
    /// Where its next hop leads.
    pub(super) leads: Leads,
    pub(super) marks: Marks,
}

/// What else is to be known of a path, in one octet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

/// Where the next hop of a path leads, as [`crate::next_hop::Resolution`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leads {
    Direct,
    /// Through the tunnel of another neighbour; looked up again when it is asked for.
    Elsewhere,
    Nowhere,
}

impl Marks {
    const STALE: u8 = 1;
    const TRANSLATED: u8 = 2;

    /// It is from before a restart or a refresh, and has not come again.
    pub(super) fn is_stale(self) -> bool {
        self.0 & Self::STALE != 0
    }

    pub(super) fn set_stale(&mut self, stale: bool) {
        self.0 = self.0 & !Self::STALE | if stale { Self::STALE } else { 0 };
    }

    /// The same of what NAT makes of it.
    pub(super) fn translated(self) -> Self {
        Self(self.0 | Self::TRANSLATED)
    }
}

impl Path {
    /// Whether it did not come so, but is what NAT makes of a path of that neighbour to another prefix.
    pub(super) fn is_translated(&self) -> bool {
        self.marks.0 & Marks::TRANSLATED != 0
    }

    /// Whether this neighbour sent it so.
    pub(super) fn came_from(&self, peer: PeerIndex) -> bool {
        self.peer == peer && !self.is_translated()
    }

    /// Whether it is that path, with the same attributes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let accepted = match (&self.accepted, &other.accepted) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        self.peer == other.peer && self.id == other.id && accepted
    }
}

impl Net {
    /// The paths that are used, best first.
    pub(super) fn used(&self) -> &[Path] {
        self.paths.get(..usize::from(self.used)).unwrap_or_default()
    }

    /// The best path.
    pub(super) fn best(&self) -> Option<&Path> {
        self.used().first()
    }

    pub(super) fn has_best(&self) -> bool {
        self.used > 0 || self.ours
    }
}

impl Table {
    pub(super) fn new(family: Family) -> Self {
        Self {
            index: Index::new(family),
            nets: Vec::new(),
            free: Vec::new(),
            changed: NetSet::default(),
            installed: NetSet::default(),
            best: 0,
        }
    }

    pub(super) fn net(&self, id: NetId) -> Option<&Net> {
        self.nets.get(id.0 as usize)
    }

    pub(super) fn net_mut(&mut self, id: NetId) -> Option<&mut Net> {
        self.nets.get_mut(id.0 as usize)
    }

    pub(super) fn find_or_insert(&mut self, prefix: IpNet) -> Option<NetId> {
        let next = || u32::try_from(self.nets.len()).ok().map(NetId);
        let new = self.free.last().copied().or_else(next)?;
        let id = self.index.find_or_insert(prefix, new)?;
        if id == new && self.free.pop().is_none() {
            self.nets.push(Net::default());
        }
        Some(id)
    }

    /// Forgets a prefix that nothing is to be known of any more.
    pub(super) fn remove_if_idle(&mut self, id: NetId) {
        let idle = |net: &Net| net.paths.is_empty() && net.holds == 0 && !net.ours;
        if self.net(id).is_some_and(idle) && self.index.remove(id) {
            self.free.push(id);
        }
    }

    /// It is in one more set.
    pub(super) fn hold(&mut self, id: NetId) {
        if let Some(net) = self.net_mut(id) {
            net.holds += 1;
        }
    }

    /// It is in one less.
    pub(super) fn release(&mut self, id: NetId) {
        if let Some(net) = self.net_mut(id) {
            net.holds = net.holds.saturating_sub(1);
        }
        self.remove_if_idle(id);
    }

    /// The numbers of all prefixes, in the order of the prefixes.
    pub(super) fn ids(&self) -> Vec<NetId> {
        self.index.ids().collect()
    }
}
