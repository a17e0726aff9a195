use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::configured::Configured;
use super::export::{Export, Withheld};
use super::table::{Net, NetId};
use super::tables::Rib;
use crate::wire::attribute::Attributes;
use crate::{Family, Neighbour, Settings};

/// What a neighbour is sent of a prefix.
type Sent = Result<Attributes, Withheld>;

impl Rib {
    /// Takes new settings: what they change is worked out again, and nothing else.
    pub(crate) fn configure(&mut self, settings: Arc<Settings>) {
        let new = self.configured.with(settings, &self.peers);
        let old = std::mem::replace(&mut self.configured, new);
        self.mark_ours(&old);
        let peers: Vec<PeerIndex> = self.peers.iter().map(|(index, _)| index).collect();
        for peer in &peers {
            if judges_otherwise(&old, &self.configured, *peer) {
                self.judge_again(*peer);
                self.translate_otherwise(&old, *peer);
            }
        }
        if old.settings.multipath != self.configured.settings.multipath {
            for family in Family::ALL {
                for id in self.tables.of(family).ids() {
                    self.edit(family, id, |_| {});
                }
            }
        }
        let all = sends_otherwise(&old, &self.configured, &peers);
        for peer in peers {
            if all || differs(&old, &self.configured, peer, Neighbour::decides_sent) {
                self.queue_differences(&old, peer);
            }
        }
    }

    /// Notes which prefixes are ours or a site's.
    fn mark_ours(&mut self, old: &Configured) {
        let (before, after) = (old.statics.all(), self.configured.statics.all());
        for prefix in before.symmetric_difference(&after) {
            let family = Family::of_prefix(prefix);
            let table = self.tables.of_mut(family);
            let Some(id) = table.find_or_insert(*prefix) else {
                continue;
            };
            if let Some(net) = table.net_mut(id) {
                let had_best = net.has_best();
                net.ours = after.contains(prefix);
                let has_best = net.has_best();
                table.best = table.best + u32::from(has_best) - u32::from(had_best);
            }
            self.queue(family, id);
            self.tables.of_mut(family).remove_if_idle(id);
        }
    }

    /// Queues what this neighbour is sent otherwise than before.
    fn queue_differences(&mut self, old: &Configured, peer: PeerIndex) {
        let Some(outlet) = self.peers.get(peer).and_then(|slot| slot.outlet.clone()) else {
            return;
        };
        for family in outlet.families.iter() {
            let before = Export::new(old, peer, outlet.ipv6_next_hops);
            let after = Export::new(&self.configured, peer, outlet.ipv6_next_hops);
            let table = self.tables.of(family);
            let mut last = None;
            let mut queued: Vec<NetId> = Vec::new();
            for id in table.index.ids() {
                let net = table.net(id).filter(|net| net.has_best());
                let (Some(prefix), Some(net)) = (table.index.prefix(id), net) else {
                    continue;
                };
                let alike = alike(net, prefix);
                let known = last
                    .as_ref()
                    .filter(|(known, _)| alike.is_some() && *known == alike);
                let differs = known.map_or_else(
                    || {
                        sent(before.as_ref(), family, prefix, net)
                            != sent(after.as_ref(), family, prefix, net)
                    },
                    |(_, differs)| *differs,
                );
                let looks = [&before, &after]
                    .into_iter()
                    .flatten()
                    .any(Export::looks_at_prefixes);
                last = (!looks).then_some((alike, differs));
                if differs {
                    queued.push(id);
                }
            }
            let table = self.tables.of_mut(family);
            let Some(flow) = self.peers.get_mut(peer).and_then(|slot| slot.outlet_of(family)) else {
                return;
            };
            queued
                .into_iter()
                .filter(|id| flow.pending.insert(*id))
                .for_each(|id| table.hold(id));
        }
    }
}

impl Neighbour {
    /// What decides what becomes of its routes here.
    fn decides_accepted(&self, other: &Self) -> bool {
        let theirs = |neighbour: &Self| {
            (
                neighbour.local,
                neighbour.remote,
                neighbour.asn,
                neighbour.role,
                neighbour.local_preference,
                neighbour.priority,
            )
        };
        theirs(self) == theirs(other)
            && self.site == other.site
            && self.import == other.import
            && self.translation == other.translation
    }

    /// What decides what it is sent.
    fn decides_sent(&self, other: &Self) -> bool {
        let theirs = |neighbour: &Self| (neighbour.local, neighbour.remote, neighbour.asn, neighbour.role);
        theirs(self) == theirs(other)
            && self.site == other.site
            && self.export == other.export
            && self.translation.egress == other.translation.egress
    }

    /// What decides what others are sent of it.
    fn decides_passed_on(&self, other: &Self) -> bool {
        let theirs = |neighbour: &Self| (neighbour.asn, neighbour.local_preference);
        theirs(self) == theirs(other) && self.site == other.site
    }
}

fn differs(
    old: &Configured,
    new: &Configured,
    peer: PeerIndex,
    same: impl Fn(&Neighbour, &Neighbour) -> bool,
) -> bool {
    match (old.member(peer), new.member(peer)) {
        (Some(old), Some(new)) => !same(old.neighbour, new.neighbour),
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
    }
}

/// Whether what this neighbour sent may fare otherwise than before.
fn judges_otherwise(old: &Configured, new: &Configured, peer: PeerIndex) -> bool {
    let ours = |settings: &Settings| (settings.asn, settings.router_id);
    ours(&old.settings) != ours(&new.settings)
        || old.settings.own != new.settings.own
        || old.next_hops != new.next_hops
        || differs(old, new, peer, Neighbour::decides_accepted)
}

/// Whether all neighbours may be sent something else than before.
fn sends_otherwise(old: &Configured, new: &Configured, peers: &[PeerIndex]) -> bool {
    old.settings.asn != new.settings.asn
        || old.settings.own != new.settings.own
        || old.settings.sites != new.settings.sites
        || peers
            .iter()
            .any(|peer| differs(old, new, *peer, Neighbour::decides_passed_on))
}

/// What prefixes have in common that fare alike.
fn alike(net: &Net, prefix: IpNet) -> Option<(PeerIndex, *const Attributes)> {
    let best = net.best().filter(|_| !net.ours && prefix.prefix_len() > 0)?;
    Some((best.peer, Arc::as_ptr(best.accepted.as_ref()?)))
}

fn sent(export: Option<&Export<'_>>, family: Family, prefix: IpNet, net: &Net) -> Sent {
    let export = export.ok_or(Withheld::NoRoute)?;
    let source = export.source(prefix, net).ok_or(Withheld::NoRoute)?;
    let decision = export.judge(prefix, source)?;
    export.rewrite(family, source, decision)
}
