use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::configured::Configured;
use super::peers::Peers;
use super::table::{Leads, Net, NetId, Path};
use super::tables::Rib;
use crate::best_path::{Candidate, choose, neighbour_asn};
use crate::next_hop::Resolution;
use crate::{Family, NeighbourName, Way};

/// One change of what is best, for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteChange {
    /// The route is now by these, best first.
    Set(IpNet, Arc<[Way]>),
    /// There is none any more.
    Remove(IpNet),
}

impl Rib {
    /// What changed for the kernel since the last call; nothing while we wait for our neighbours.
    pub(crate) fn changes(&mut self) -> Vec<RouteChange> {
        let mut changes = Vec::new();
        if self.deferred {
            return changes;
        }
        for family in Family::ALL {
            let table = self.tables.of_mut(family);
            let changed = std::mem::take(&mut table.changed);
            for id in changed.iter() {
                let used = table.net(id).map_or(&[][..], Net::used);
                let ways = handed_out(&mut self.last_ways, &ways(used, &self.configured));
                match (table.index.prefix(id), ways) {
                    (Some(prefix), Some(ways)) => {
                        changes.push(RouteChange::Set(prefix, ways));
                        if table.installed.insert(id) {
                            table.hold(id);
                        }
                    }
                    (Some(prefix), None) if table.installed.remove(id) => {
                        changes.push(RouteChange::Remove(prefix));
                        table.release(id);
                    }
                    (Some(_) | None, _) => {}
                }
                table.release(id);
            }
        }
        changes
    }

    /// Changes what is known of a prefix, chooses its best paths anew, and notes who is to be told.
    pub(super) fn edit(&mut self, family: Family, id: NetId, edit: impl FnOnce(&mut Net)) {
        let table = self.tables.of_mut(family);
        let Some(net) = table.net_mut(id) else {
            return;
        };
        let before: SmallVec<[Path; 1]> = net.used().into();
        let had_best = net.has_best();
        edit(net);
        select(net, &self.configured, &self.peers);
        let has_best = net.has_best();
        let same = |a: Option<&Path>, b: Option<&Path>| match (a, b) {
            (Some(a), Some(b)) => a.is_same(b),
            (None, None) => true,
            (None, Some(_)) | (Some(_), None) => false,
        };
        let best_stays = same(before.first(), net.best());
        let routed = (before.is_empty(), net.used().is_empty());
        let kernel = match routed {
            (true, true) => false,
            (true, false) | (false, true) => true,
            (false, false) => moves(&before, net.used(), &self.configured),
        };
        table.best = table.best + u32::from(has_best) - u32::from(had_best);
        if kernel && table.changed.insert(id) {
            table.hold(id);
        }
        if !best_stays {
            self.queue(family, id);
        }
        self.tables.of_mut(family).remove_if_idle(id);
    }

    /// A prefix is to be looked at for all neighbours that are sent any of its family.
    pub(super) fn queue(&mut self, family: Family, id: NetId) {
        let table = self.tables.of_mut(family);
        let Some(net) = table.net(id) else {
            return;
        };
        let (is_there, ours) = (net.has_best(), net.ours);
        let learnt_from = net.best().map(|path| path.peer);
        for (index, peer) in self.peers.iter_mut() {
            let Some(flow) = peer.outlet_of(family) else {
                continue;
            };
            // What it told us itself it is never sent, and what it does not have it need not hear to be gone.
            let concerns = is_there && (ours || learnt_from != Some(index)) || flow.sent.contains(id);
            if concerns && flow.pending.insert(id) {
                table.hold(id);
            }
        }
    }
}

/// Puts the paths that are used first, best first.
fn select(net: &mut Net, configured: &Configured, peers: &Peers) {
    if let [path] = net.paths.as_slice() {
        net.used = u8::from(is_eligible(path, configured, peers));
        return;
    }
    let mut positions: SmallVec<[usize; 8]> = SmallVec::new();
    let mut candidates: SmallVec<[Candidate<'_>; 8]> = SmallVec::new();
    for (position, path) in net.paths.iter().enumerate() {
        if let Some(candidate) = candidate(path, configured, peers) {
            positions.push(position);
            candidates.push(candidate);
        }
    }
    let chosen = choose(&candidates, configured.settings.multipath);
    let mut chosen: SmallVec<[usize; 8]> = chosen
        .into_iter()
        .filter_map(|at| positions.get(at).copied())
        .collect();
    drop(candidates);
    net.used = u8::try_from(chosen.len()).unwrap_or(u8::MAX);
    for target in 0..chosen.len() {
        let Some(source) = chosen.get(target).copied() else {
            continue;
        };
        net.paths.swap(target, source);
        for later in chosen
            .iter_mut()
            .skip(target + 1)
            .filter(|later| **later == target)
        {
            *later = source;
        }
    }
}

/// Whether a path may be used: it is let in, and its next hop leads to a tunnel that is up.
fn is_eligible(path: &Path, configured: &Configured, peers: &Peers) -> bool {
    let up = |peer| peers.get(peer).is_some_and(|peer| peer.tunnel_up);
    match path.leads {
        Leads::Direct => path.accepted.is_some() && up(path.peer),
        Leads::Elsewhere => way(path, configured).is_some_and(|(tunnel, _)| {
            // Without a neighbour behind it, only the kernel knows.
            peers.named(tunnel).is_none_or(up)
        }),
        Leads::Nowhere => false,
    }
}

/// A path as the choice looks at it, if it is eligible.
pub(super) fn candidate<'a>(
    path: &'a Path,
    configured: &'a Configured,
    peers: &Peers,
) -> Option<Candidate<'a>> {
    let attributes = path
        .accepted
        .as_ref()
        .filter(|_| is_eligible(path, configured, peers))?;
    let member = configured.member(path.peer)?;
    let neighbour = member.neighbour;
    let (tunnel, through) = match path.leads {
        Leads::Direct | Leads::Nowhere => (member.name, neighbour),
        Leads::Elsewhere => {
            let (tunnel, _) = way(path, configured)?;
            let known = configured.settings.neighbours.get(tunnel);
            (tunnel, known.unwrap_or(neighbour))
        }
    };
    Some(Candidate {
        attributes,
        local_preference: attributes.local_preference.unwrap_or(neighbour.local_preference),
        neighbour_asn: neighbour_asn(attributes, neighbour.asn),
        external: member.external,
        interior_cost: u8::from(path.leads == Leads::Elsewhere),
        priority: through.priority,
        router_id: peers.get(path.peer)?.router_id,
        address: neighbour.remote,
        path: path.id,
        tunnel,
    })
}

/// Whether packets may take other ways by these paths than by those before.
fn moves(before: &[Path], after: &[Path], configured: &Configured) -> bool {
    let elsewhere = |path: &Path| path.leads == Leads::Elsewhere;
    before.iter().any(elsewhere) || ways(before, configured) != ways(after, configured)
}

/// The tunnel and the next hop of a path.
fn way<'a>(path: &'a Path, configured: &'a Configured) -> Option<(&'a NeighbourName, IpAddr)> {
    let next_hop = path.accepted.as_ref()?.next_hop.address();
    let member = configured.member(path.peer)?;
    match path.leads {
        Leads::Direct => Some((member.name, next_hop)),
        Leads::Elsewhere => match configured
            .next_hops
            .resolve(next_hop, member.name, member.session())
        {
            Resolution::Through(tunnel) => Some((tunnel, next_hop)),
            Resolution::Direct => Some((member.name, next_hop)),
            Resolution::Unusable => None,
        },
        Leads::Nowhere => None,
    }
}

fn ways<'a>(paths: &'a [Path], configured: &'a Configured) -> SmallVec<[(&'a NeighbourName, IpAddr); 4]> {
    paths.iter().filter_map(|path| way(path, configured)).collect()
}

/// These ways as they are handed out, if there are any: those of the last time if they are the same.
fn handed_out(last: &mut Option<Arc<[Way]>>, ways: &[(&NeighbourName, IpAddr)]) -> Option<Arc<[Way]>> {
    let is_same = |known: &&Arc<[Way]>| {
        let known = known.iter().map(|way| (&way.neighbour, way.next_hop));
        known.eq(ways.iter().copied())
    };
    if ways.is_empty() {
        return None;
    }
    if let Some(known) = last.as_ref().filter(is_same) {
        return Some(known.clone());
    }
    let new = ways.iter().map(|(tunnel, next_hop)| Way {
        neighbour: (*tunnel).clone(),
        next_hop: *next_hop,
    });
    Some(last.insert(new.collect()).clone())
}
