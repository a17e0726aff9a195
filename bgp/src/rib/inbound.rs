use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::import::Import;
use super::table::{Leads, Marks, NetId, Path};
use super::tables::Rib;
use super::translate::Boundary;
use crate::policy::Decision;
use crate::wire::attribute::Attributes;
use crate::wire::update::{Destination, Update};
use crate::{Families, Family};

/// So many paths to one prefix are kept of one neighbour (RFC 7911); what is more is not looked at.
const PATHS_PER_PREFIX: usize = 32;

/// A neighbour sent more prefixes of a family than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitExceeded {
    pub(crate) family: Family,
    /// With the one too many.
    pub(crate) received: u32,
}

/// What became of the attributes of a message for the last of its prefixes.
pub(super) type Last = Option<(Option<Decision>, Judged)>;

/// What becomes of a route that came in.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) accepted: Option<Arc<Attributes>>,
    pub(super) leads: Leads,
}

impl Judged {
    /// It is not let in.
    const OUT: Self = Self {
        accepted: None,
        leads: Leads::Nowhere,
    };
}

impl Rib {
    /// Takes what an UPDATE says. At the first prefix above the limit nothing more of it is taken.
    pub(crate) fn receive(&mut self, peer: PeerIndex, update: Update) -> Result<(), LimitExceeded> {
        for destination in &update.withdrawn {
            let family = Family::of_prefix(&destination.prefix);
            if let Some(id) = self.tables.of(family).index.find(destination.prefix) {
                self.drop_paths(peer, family, &[id], |path| path.id == destination.path);
            }
        }
        for (attributes, destinations) in &update.announced {
            let received = self.shared.share(attributes);
            let mut last = None;
            for destination in destinations {
                self.announce(peer, &received, *destination, &mut last)?;
            }
        }
        Ok(())
    }

    /// All that it sent of these families is gone.
    pub(crate) fn forget(&mut self, peer: PeerIndex, families: Families) {
        self.drop_all(peer, families, |_| true);
    }

    /// What it sent of these families is to come again (RFC 4724 §4.2, RFC 7313 §4).
    pub(crate) fn mark_stale(&mut self, peer: PeerIndex, families: Families) {
        for family in families.iter() {
            let table = self.tables.of_mut(family);
            let Some(slot) = self.peers.get(peer) else {
                return;
            };
            for id in slot.flows.of(family).received.iter() {
                let paths = table.net_mut(id).into_iter().flat_map(|net| &mut net.paths);
                paths
                    .filter(|path| path.came_from(peer))
                    .for_each(|path| path.marks.set_stale(true));
            }
        }
        self.translate_all(peer, families);
    }

    /// What did not come again is gone.
    pub(crate) fn sweep_stale(&mut self, peer: PeerIndex, families: Families) {
        self.drop_all(peer, families, |path| path.marks.is_stale());
    }

    /// Judges again all that a neighbour sent.
    pub(super) fn judge_again(&mut self, peer: PeerIndex) {
        for family in Family::ALL {
            for id in self.received(peer, family) {
                let paths = self
                    .tables
                    .of(family)
                    .net(id)
                    .into_iter()
                    .flat_map(|net| net.paths.clone());
                let paths: Vec<Path> = paths.filter(|path| path.came_from(peer)).collect();
                let Some(prefix) = self.tables.of(family).index.prefix(id) else {
                    continue;
                };
                for path in paths {
                    let judged = self.judge(peer, prefix, &path.received, &mut None);
                    let path = Path {
                        accepted: judged.accepted,
                        leads: judged.leads,
                        ..path
                    };
                    self.edit(family, id, |net| {
                        let known = net
                            .paths
                            .iter_mut()
                            .find(|known| known.came_from(peer) && known.id == path.id);
                        if let Some(known) = known {
                            *known = path;
                        }
                    });
                }
                self.count(peer, family, id);
                self.note_partly(peer, prefix, id);
            }
        }
        self.translate_all(peer, Families::ALL);
    }

    fn announce(
        &mut self,
        peer: PeerIndex,
        received: &Arc<Attributes>,
        destination: Destination,
        last: &mut Last,
    ) -> Result<(), LimitExceeded> {
        let prefix = destination.prefix;
        let family = Family::of_prefix(&prefix);
        let Some(member) = self.configured.member(peer) else {
            return Ok(());
        };
        let (limit, translates) = (member.neighbour.limits.prefixes, !member.translator.is_empty());
        let table = self.tables.of_mut(family);
        let Some(flow) = self.peers.get(peer).map(|slot| slot.flows.of(family)) else {
            return Ok(());
        };
        if flow.received.len() >= limit
            && !table
                .index
                .find(prefix)
                .is_some_and(|id| flow.received.contains(id))
        {
            return Err(LimitExceeded {
                family,
                received: flow.received.len().saturating_add(1),
            });
        }
        let Some(id) = table.find_or_insert(prefix) else {
            return Ok(());
        };
        let judged = self.judge(peer, prefix, received, last);
        let path = Path {
            received: received.clone(),
            accepted: judged.accepted,
            id: destination.path,
            peer,
            leads: judged.leads,
            marks: Marks::default(),
        };
        self.put(family, id, path);
        self.count(peer, family, id);
        if translates {
            self.follow(peer, prefix, id);
        }
        Ok(())
    }

    /// Keeps a path in place of the one that it replaces, if there is one.
    fn put(&mut self, family: Family, id: NetId, path: Path) {
        let is_it = |known: &&mut Path| known.came_from(path.peer) && known.id == path.id;
        let net = self.tables.of_mut(family).net_mut(id);
        if let Some(known) = net.and_then(|net| net.paths.iter_mut().find(is_it))
            && Arc::ptr_eq(&known.received, &path.received)
        {
            known.marks.set_stale(false);
            return;
        }
        self.edit(family, id, |net| {
            if let Some(known) = net
                .paths
                .iter_mut()
                .find(|known| known.came_from(path.peer) && known.id == path.id)
            {
                *known = path;
            } else if path.id == 0
                || net
                    .paths
                    .iter()
                    .filter(|known| known.came_from(path.peer))
                    .count()
                    < PATHS_PER_PREFIX
            {
                net.paths.push(path);
            }
        });
    }

    /// What becomes of a path that came to this prefix.
    pub(super) fn judge(
        &mut self,
        peer: PeerIndex,
        prefix: IpNet,
        received: &Arc<Attributes>,
        last: &mut Last,
    ) -> Judged {
        let passes = self
            .configured
            .member(peer)
            .is_none_or(|member| member.translator.is_empty())
            || matches!(self.boundary(peer, prefix), Boundary::Passes);
        if passes {
            self.judge_translated(peer, prefix, received, last)
        } else {
            Judged::OUT
        }
    }

    /// What becomes of a path to this prefix, once NAT has done its part.
    pub(super) fn judge_translated(
        &mut self,
        peer: PeerIndex,
        prefix: IpNet,
        received: &Arc<Attributes>,
        last: &mut Last,
    ) -> Judged {
        let Some(import) = Import::new(&self.configured, peer) else {
            return Judged::OUT;
        };
        if let Some((_, judged)) = last.as_ref().filter(|_| !import.looks_at_prefixes()) {
            return judged.clone();
        }
        let decision = import.judge(prefix, received).ok();
        if let Some((_, judged)) = last.as_ref().filter(|(before, _)| *before == decision) {
            return judged.clone();
        }
        let accepted = decision.map(|decision| import.rewrite(received, decision));
        let leads = accepted
            .as_ref()
            .map_or(Leads::Nowhere, |attributes| import.leads(attributes));
        let accepted = accepted.map(|accepted| {
            if Arc::ptr_eq(&accepted, received) {
                accepted
            } else {
                self.shared.share(&accepted)
            }
        });
        let judged = Judged { accepted, leads };
        *last = Some((decision, judged.clone()));
        judged
    }

    /// Notes whether a neighbour sent a prefix, and whether it was let in.
    pub(super) fn count(&mut self, peer: PeerIndex, family: Family, id: NetId) {
        let paths = self.tables.of(family).net(id).map_or(&[][..], |net| &net.paths);
        let (mut received, mut accepted) = (false, false);
        for path in paths.iter().filter(|path| path.peer == peer) {
            received |= !path.is_translated();
            accepted |= path.accepted.is_some();
        }
        let Some(slot) = self.peers.get_mut(peer) else {
            return;
        };
        let flow = slot.flows.of_mut(family);
        let put = |set: &mut super::net_set::NetSet, there: bool| {
            if there { set.insert(id) } else { set.remove(id) }
        };
        put(&mut flow.received, received);
        put(&mut flow.accepted, accepted);
    }

    fn drop_all(&mut self, peer: PeerIndex, families: Families, which: impl Fn(&Path) -> bool) {
        for family in families.iter() {
            let ids = self.received(peer, family);
            self.drop_paths(peer, family, &ids, &which);
        }
        self.shared.drop_unused();
    }

    fn drop_paths(&mut self, peer: PeerIndex, family: Family, ids: &[NetId], which: impl Fn(&Path) -> bool) {
        let translates = self.translates(peer);
        for id in ids {
            let dropped = |path: &Path| path.came_from(peer) && which(path);
            let net = self.tables.of(family).net(*id);
            if net.is_some_and(|net| net.paths.iter().any(dropped)) {
                let prefix = self.tables.of(family).index.prefix(*id).filter(|_| translates);
                self.edit(family, *id, |net| net.paths.retain(|path| !dropped(path)));
                self.count(peer, family, *id);
                if let Some(prefix) = prefix {
                    self.follow(peer, prefix, *id);
                }
            }
        }
    }

    fn received(&self, peer: PeerIndex, family: Family) -> Vec<NetId> {
        self.peers
            .get(peer)
            .map(|slot| slot.flows.of(family).received.iter().collect())
            .unwrap_or_default()
    }
}
