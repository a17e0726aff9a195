use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::peers::Peers;
use crate::next_hop::{NextHops, Session};
use crate::translation::Translator;
use crate::{Neighbour, NeighbourName, Settings};

/// The settings, and what follows from them for each neighbour.
#[derive(Debug)]
pub(super) struct Configured {
    pub(super) settings: Arc<Settings>,
    pub(super) next_hops: NextHops,
    pub(super) statics: Statics,
    /// By the numbers of the tables; a neighbour is here as long as it is there, with what was last configured for it.
    members: Vec<Option<Known>>,
}

/// What is known of a neighbour.
#[derive(Debug, Clone)]
struct Known {
    name: NeighbourName,
    neighbour: Neighbour,
    translator: Translator,
}

/// Our own prefixes and those of sites, to be found by prefix.
#[derive(Debug)]
pub(super) struct Statics {
    own: BTreeSet<IpNet>,
    /// How long our own ones are.
    lengths: BTreeSet<u8>,
    sites: BTreeMap<IpNet, Vec<NeighbourName>>,
    /// As which neighbours behind NAT are told of our own ones.
    stand_ins: BTreeSet<IpNet>,
}

/// One neighbour as it is configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member<'a> {
    pub(super) name: &'a NeighbourName,
    pub(super) neighbour: &'a Neighbour,
    /// What NAT on its tunnel makes of prefixes.
    pub(super) translator: &'a Translator,
    /// It is in another autonomous system.
    pub(super) external: bool,
}

impl Statics {
    fn of(settings: &Settings) -> Self {
        let mut sites: BTreeMap<IpNet, Vec<NeighbourName>> = BTreeMap::new();
        for (tunnel, prefixes) in &settings.sites {
            for prefix in prefixes {
                sites.entry(prefix.trunc()).or_default().push(tunnel.clone());
            }
        }
        let own: BTreeSet<IpNet> = settings.own.iter().map(IpNet::trunc).collect();
        let translators = settings.neighbours.values();
        let translators = translators.map(|neighbour| Translator::new(&neighbour.translation));
        let stand_ins = translators.flat_map(|translator| stand_ins(&translator, &own));
        Self {
            stand_ins: stand_ins.collect(),
            lengths: own.iter().map(IpNet::prefix_len).collect(),
            own,
            sites,
        }
    }

    /// Whether it is one of ours.
    pub(super) fn is_own(&self, prefix: IpNet) -> bool {
        self.own.contains(&prefix)
    }

    /// Whether it is one of ours, or inside one.
    pub(super) fn is_inside_own(&self, prefix: IpNet) -> bool {
        let lengths = self.lengths.range(..=prefix.prefix_len());
        let mut holders = lengths.filter_map(|length| IpNet::new(prefix.addr(), *length).ok());
        holders.any(|holder| self.own.contains(&holder.trunc()))
    }

    /// Our own ones.
    pub(super) fn own(&self) -> impl Iterator<Item = IpNet> {
        self.own.iter().copied()
    }

    /// Whether there are any of ours.
    pub(super) fn has_own(&self) -> bool {
        !self.own.is_empty()
    }

    /// The tunnels that lead to it, if it is in the static address space of a site.
    pub(super) fn sites(&self, prefix: IpNet) -> &[NeighbourName] {
        self.sites.get(&prefix).map_or(&[], Vec::as_slice)
    }

    /// All of them.
    pub(super) fn all(&self) -> BTreeSet<IpNet> {
        let all = self.own.iter().chain(self.sites.keys()).chain(&self.stand_ins);
        all.copied().collect()
    }
}

impl Configured {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            next_hops: NextHops::of(&settings),
            statics: Statics::of(&settings),
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
        let member = neighbour.map(|neighbour| Known {
            name: name.clone(),
            translator: Translator::new(&neighbour.translation),
            neighbour: neighbour.clone(),
        });
        let configured = member.is_some();
        if configured {
            self.put(peer, member);
        }
        configured
    }

    pub(super) fn remove(&mut self, peer: PeerIndex) {
        self.put(peer, None);
    }

    fn put(&mut self, peer: PeerIndex, member: Option<Known>) {
        let at = usize::from(peer.0);
        if at >= self.members.len() {
            self.members.resize_with(at + 1, || None);
        }
        if let Some(slot) = self.members.get_mut(at) {
            *slot = member;
        }
    }

    pub(super) fn member(&self, peer: PeerIndex) -> Option<Member<'_>> {
        let Known {
            name,
            neighbour,
            translator,
        } = self.members.get(usize::from(peer.0))?.as_ref()?;
        Some(Member {
            name,
            neighbour,
            translator,
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

/// The external prefixes of those of our own that a neighbour behind NAT is told of.
fn stand_ins(translator: &Translator, own: &BTreeSet<IpNet>) -> Vec<IpNet> {
    let is_ours = |external: &IpNet| {
        let mapping = translator.egress.behind(*external);
        mapping.is_some_and(|mapping| own.contains(&mapping.internal))
    };
    translator.egress.externals().filter(is_ours).collect()
}
