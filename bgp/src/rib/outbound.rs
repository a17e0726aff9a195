use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::export::{Export, From, Source, Withheld};
use super::table::{NetId, Table};
use super::tables::Rib;
use crate::Family;
use crate::policy::Decision;
use crate::wire::attribute::Attributes;
use crate::wire::update::{self, WriteContext};

/// How many octets of a message attributes take, and a prefix, about.
const OCTETS_OF_ATTRIBUTES: usize = 72;
const OCTETS_OF_PREFIX: usize = 4;

/// What decides about the attributes that a route is sent with. By address: equal sets are shared.
type Kind<'a> = (From<'a>, Option<*const Attributes>, Decision);

/// Some of the prefixes that are queued for a neighbour, put together by the attributes that they are sent with.
struct Batch<'a> {
    export: &'a Export<'a>,
    family: Family,
    kinds: BTreeMap<Kind<'a>, Result<usize, Withheld>>,
    /// In the order in which they were met, so that the same inputs always give the same octets.
    attributes: Vec<Attributes>,
    /// With the position of their attributes.
    announced: Vec<(usize, NetId, IpNet)>,
    withheld: Vec<(NetId, IpNet)>,
}

/// What has been written.
struct Written {
    announced: Vec<NetId>,
    withheld: Vec<NetId>,
    next: NetId,
    context: WriteContext,
}

impl Rib {
    /// Whole messages for this neighbour, about as many octets as the budget says; none when nothing is queued.
    pub(crate) fn write(&mut self, peer: PeerIndex, budget: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for family in Family::ALL {
            while !self.deferred && out.len() < budget {
                let Some(written) = self.write_some(peer, family, budget, &mut out) else {
                    break;
                };
                self.settle(peer, family, &written, &mut out);
            }
        }
        out
    }

    /// Writes some of what is queued, if anything is.
    fn write_some(
        &self,
        peer: PeerIndex,
        family: Family,
        budget: usize,
        out: &mut Vec<u8>,
    ) -> Option<Written> {
        let slot = self.peers.get(peer)?;
        let outlet = slot
            .outlet
            .as_ref()
            .filter(|outlet| outlet.families.contains(family))?;
        let flow = slot.flows.of(family);
        if flow.pending.is_empty() && !flow.end_of_rib {
            return None;
        }
        let export = Export::new(&self.configured, peer, outlet.ipv6_next_hops)?;
        let mut batch = Batch::new(&export, family);
        // From where the last ended on, so that what changes all the time does not keep back the rest.
        let ids = flow
            .pending
            .from(flow.next)
            .chain(flow.pending.iter().take_while(|id| *id < flow.next));
        let next = batch.fill(self.tables.of(family), ids, budget.saturating_sub(out.len()));
        let context = WriteContext {
            four_octet_asn: outlet.four_octet_asn,
            extended_messages: outlet.extended_messages,
        };
        let mut announced = Vec::with_capacity(batch.announced.len());
        batch.announced.sort_unstable_by_key(|(kind, id, _)| (*kind, *id));
        for alike in batch.announced.chunk_by(|a, b| a.0 == b.0) {
            let attributes = alike.first().and_then(|(kind, ..)| batch.attributes.get(*kind));
            let prefixes = alike.iter().map(|(_, id, prefix)| (*id, *prefix));
            // Attributes that leave no room for a prefix keep their routes here (RFC 4271 §9.2).
            match attributes.map(|attributes| {
                update::announce(
                    attributes,
                    &context,
                    prefixes.clone().map(|(_, prefix)| prefix),
                    out,
                )
            }) {
                Some(Ok(())) => announced.extend(prefixes.map(|(id, _)| id)),
                Some(Err(update::TooLong)) | None => batch.withheld.extend(prefixes),
            }
        }
        let gone = batch
            .withheld
            .iter()
            .filter(|(id, _)| flow.sent.contains(*id))
            .map(|(_, prefix)| *prefix);
        update::withdraw(&context, gone, out);
        Some(Written {
            announced,
            withheld: batch.withheld.into_iter().map(|(id, _)| id).collect(),
            next,
            context,
        })
    }

    /// Notes what the neighbour has now; when that is all, it is told.
    fn settle(&mut self, peer: PeerIndex, family: Family, written: &Written, out: &mut Vec<u8>) {
        let table = self.tables.of_mut(family);
        let Some(flow) = self.peers.get_mut(peer).map(|slot| slot.flows.of_mut(family)) else {
            return;
        };
        for id in &written.announced {
            if flow.sent.insert(*id) {
                table.hold(*id);
            }
        }
        for id in &written.withheld {
            if flow.sent.remove(*id) {
                table.release(*id);
            }
        }
        for id in written.withheld.iter().chain(&written.announced) {
            if flow.pending.remove(*id) {
                table.release(*id);
            }
        }
        flow.next = written.next;
        if flow.pending.is_empty() && std::mem::take(&mut flow.end_of_rib) {
            update::end_of_rib(family, &written.context, out);
        }
    }
}

impl<'a> Batch<'a> {
    fn new(export: &'a Export<'a>, family: Family) -> Self {
        Self {
            export,
            family,
            kinds: BTreeMap::new(),
            attributes: Vec::new(),
            announced: Vec::new(),
            withheld: Vec::new(),
        }
    }

    /// Takes prefixes until they fill about so many octets; which comes next.
    fn fill(&mut self, table: &'a Table, ids: impl Iterator<Item = NetId>, room: usize) -> NetId {
        let mut last = None;
        let mut next = NetId::default();
        for id in ids {
            next = NetId(id.0.saturating_add(1));
            let (Some(prefix), Some(net)) = (table.index.prefix(id), table.net(id)) else {
                continue;
            };
            let source = self.export.source(prefix, net).ok_or(Withheld::NoRoute);
            match source.and_then(|source| self.kind(prefix, source, &mut last)) {
                Ok(kind) => self.announced.push((kind, id, prefix)),
                Err(_) => self.withheld.push((id, prefix)),
            }
            let prefixes = self.announced.len() + self.withheld.len();
            if prefixes * OCTETS_OF_PREFIX + self.attributes.len() * OCTETS_OF_ATTRIBUTES >= room {
                break;
            }
        }
        next
    }

    /// The position of the attributes that a route is sent with, if it is.
    fn kind(
        &mut self,
        prefix: IpNet,
        source: Source<'a>,
        last: &mut Option<Last<'a>>,
    ) -> Result<usize, Withheld> {
        let address = source.attributes.map(Arc::as_ptr);
        let alike =
            |last: &&Last<'a>| last.address == address && last.from == source.from && last.is_general(prefix);
        if let Some(last) = last
            .as_ref()
            .filter(alike)
            .filter(|_| !self.export.looks_at_prefixes())
        {
            return last.kind;
        }
        let decision = self.export.judge(prefix, source);
        let kind = decision.and_then(|decision| {
            *self
                .kinds
                .entry((source.from, address, decision))
                .or_insert_with(|| {
                    let attributes = self.export.rewrite(self.family, source, decision)?;
                    self.attributes.push(attributes);
                    Ok(self.attributes.len() - 1)
                })
        });
        *last = Some(Last {
            from: source.from,
            address,
            prefix,
            kind,
        });
        kind
    }
}

/// What became of the route before, which mostly is like the next.
struct Last<'a> {
    from: From<'a>,
    address: Option<*const Attributes>,
    prefix: IpNet,
    kind: Result<usize, Withheld>,
}

impl Last<'_> {
    /// Whether neither prefix is one that a gateway treats in a way of its own.
    fn is_general(&self, prefix: IpNet) -> bool {
        matches!(self.from, From::Neighbour(_)) && self.prefix.prefix_len() > 0 && prefix.prefix_len() > 0
    }
}
