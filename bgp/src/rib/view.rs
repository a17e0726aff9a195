use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;

use super::PeerIndex;
use super::export::{Export, From};
use super::import::{Import, Refusal};
use super::local::candidate;
use super::table::{Leads, Net, NetId, Path};
use super::tables::Rib;
use super::translate::{Boundary, RouteTranslation};
use crate::best_path::{Candidate, Step, lost_by};
use crate::wire::attribute::Attributes;
use crate::{Family, NeighbourName};

/// Which routes are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteQuery {
    /// At which point of their way.
    pub view: RouteView,
    /// Of which family.
    pub family: Family,
    /// Those of this neighbour only; the advertised ones are those that it was sent.
    pub neighbour: Option<NeighbourName>,
    /// Those to these prefixes only.
    pub filter: Option<PrefixFilter>,
    /// Those after this prefix.
    pub after: Option<IpNet>,
    /// A page ends with the prefix that makes it so long.
    pub limit: usize,
}

/// A point on the way of routes through a speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteView {
    /// As they came, let in or not.
    Received,
    /// As the policies let them in.
    Accepted,
    /// Those that are used, and our own.
    Best,
    /// As neighbours were sent them.
    Advertised,
}

/// Prefixes by how they lie to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrefixFilter {
    /// It alone.
    Exact(IpNet),
    /// It and all in it.
    Inside(IpNet),
    /// It and all that it is in.
    Containing(IpNet),
}

/// Routes in the order of their prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutePage {
    /// At most as many as were asked for, but for the last prefix, of which all are here.
    pub routes: Vec<RouteRow>,
    /// What to go on after, if there is more.
    pub next: Option<IpNet>,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteRow {
    /// Where it leads.
    pub prefix: IpNet,
    /// Who sent it, or through whose tunnel a static one leads; nobody for prefixes of ours.
    pub from: Option<NeighbourName>,
    /// Who was sent it, in the view of these.
    pub to: Option<NeighbourName>,
    /// Its path identifier (RFC 7911).
    pub path: u32,
    /// What it bears, at this point of its way.
    pub attributes: Arc<Attributes>,
    /// It is from before a restart of its neighbour.
    pub stale: bool,
    /// What became of it.
    pub standing: Standing,
    /// What NAT has to do with it.
    pub translation: Option<RouteTranslation>,
}

/// What became of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is a prefix of ours.
    Own,
    /// It is in the static address space of a site.
    Static,
    /// It is the best.
    Best,
    /// It is as good, and used along with the best.
    Multipath,
    /// Another is better by this step.
    Lost(Step),
    /// It was not let in.
    Refused(Refusal),
    /// Its next hop leads nowhere.
    NextHopUnusable,
    /// The tunnel that it leads through does not carry.
    TunnelDown,
}

impl RouteQuery {
    fn is_for(&self, prefix: IpNet) -> bool {
        match self.filter {
            Some(PrefixFilter::Exact(exact)) => exact.trunc() == prefix,
            Some(PrefixFilter::Inside(outer)) => outer.contains(&prefix),
            Some(PrefixFilter::Containing(inner)) => prefix.contains(&inner),
            None => true,
        }
    }
}

impl Rib {
    /// One page of routes. The prefixes are not kept in order: the first of them are picked out of all.
    pub(crate) fn routes(&self, query: &RouteQuery) -> RoutePage {
        let mut found: BTreeMap<IpNet, Vec<RouteRow>> = BTreeMap::new();
        let table = self.tables.of(query.family);
        for id in self.ids(query) {
            let (Some(prefix), Some(net)) = (table.index.prefix(id), table.net(id)) else {
                continue;
            };
            let full = found.len() > query.limit;
            let late = full && found.last_key_value().is_some_and(|(last, _)| *last < prefix);
            if late || query.after.is_some_and(|after| prefix <= after) || !query.is_for(prefix) {
                continue;
            }
            let rows = match query.view {
                RouteView::Received | RouteView::Accepted => self.learnt(prefix, net, query),
                RouteView::Best => self.used(prefix, net, query),
                RouteView::Advertised => self.advertised(prefix, (id, net), query),
            };
            if !rows.is_empty() {
                found.insert(prefix, rows);
                if full {
                    found.pop_last();
                }
            }
        }
        let mut page = RoutePage::default();
        let mut last = None;
        for (prefix, rows) in found {
            if page.routes.len() >= query.limit {
                page.next = last;
                break;
            }
            page.routes.extend(rows);
            last = Some(prefix);
        }
        page
    }

    /// The prefixes that may have such routes.
    fn ids(&self, query: &RouteQuery) -> Box<dyn Iterator<Item = NetId> + '_> {
        let index = &self.tables.of(query.family).index;
        match query.filter {
            Some(PrefixFilter::Exact(prefix)) => return Box::new(index.find(prefix.trunc()).into_iter()),
            Some(PrefixFilter::Containing(prefix)) => {
                let lengths = 0..=prefix.prefix_len();
                let holders = lengths.filter_map(move |length| IpNet::new(prefix.addr(), length).ok());
                return Box::new(holders.filter_map(move |holder| index.find(holder.trunc())));
            }
            Some(PrefixFilter::Inside(_)) | None => {}
        }
        let Some(name) = &query.neighbour else {
            return index.ids();
        };
        let flow = self.peers.named(name).and_then(|peer| self.peers.get(peer));
        let Some(flow) = flow.map(|slot| slot.flows.of(query.family)) else {
            return index.ids();
        };
        match query.view {
            RouteView::Received => Box::new(flow.received.iter()),
            RouteView::Accepted => Box::new(flow.accepted.iter()),
            RouteView::Advertised => Box::new(flow.sent.iter()),
            RouteView::Best => index.ids(),
        }
    }

    /// What neighbours sent.
    fn learnt(&self, prefix: IpNet, net: &Net, query: &RouteQuery) -> Vec<RouteRow> {
        let rows = self.rows(prefix, net, query.neighbour.as_ref());
        match query.view {
            RouteView::Received => rows
                .filter(|(path, _)| !path.is_translated())
                .map(|(_, row)| row)
                .collect(),
            RouteView::Accepted | RouteView::Best | RouteView::Advertised => rows
                .filter_map(|(path, row)| {
                    Some(RouteRow {
                        attributes: path.accepted.clone()?,
                        ..row
                    })
                })
                .collect(),
        }
    }

    /// What is used, and what is ours.
    fn used(&self, prefix: IpNet, net: &Net, query: &RouteQuery) -> Vec<RouteRow> {
        let statics = &self.configured.statics;
        let row = |from, standing| RouteRow {
            prefix,
            from,
            to: None,
            path: 0,
            attributes: Arc::new(super::export::originated()),
            stale: false,
            standing,
            translation: None,
        };
        let mut rows = Vec::new();
        if net.ours {
            if statics.is_own(prefix) && query.neighbour.is_none() {
                rows.push(row(None, Standing::Own));
            }
            let asked = |tunnel: &&NeighbourName| query.neighbour.as_ref().is_none_or(|name| name == *tunnel);
            let tunnels = statics.sites(prefix).iter().filter(asked);
            rows.extend(tunnels.map(|tunnel| row(Some(tunnel.clone()), Standing::Static)));
        }
        let learnt = self.learnt(
            prefix,
            net,
            &RouteQuery {
                view: RouteView::Accepted,
                ..query.clone()
            },
        );
        let used = |row: &RouteRow| matches!(row.standing, Standing::Best | Standing::Multipath);
        rows.extend(learnt.into_iter().filter(used));
        rows
    }

    /// What neighbours were sent.
    fn advertised(&self, prefix: IpNet, (id, net): (NetId, &Net), query: &RouteQuery) -> Vec<RouteRow> {
        let asked = |name: &NeighbourName| query.neighbour.as_ref().is_none_or(|asked| asked == name);
        let had = self
            .peers
            .iter()
            .filter(|(_, slot)| asked(&slot.name) && slot.flows.of(query.family).sent.contains(id));
        let row = |(index, slot): (PeerIndex, &super::peers::Peer)| {
            let ipv6_next_hops = slot.outlet.as_ref()?.ipv6_next_hops;
            let export = Export::new(&self.configured, index, ipv6_next_hops)?;
            let source = export.source(prefix, net)?;
            let decision = export.judge(prefix, source).ok()?;
            let attributes = Arc::new(export.rewrite(query.family, source, decision).ok()?);
            let (from, standing) = match source.from {
                From::Us => (None, Standing::Own),
                From::Site(tunnel) => (Some(tunnel.clone()), Standing::Static),
                From::Neighbour(peer) => (self.peers.get(peer).map(|slot| slot.name.clone()), Standing::Best),
            };
            Some(RouteRow {
                prefix,
                from,
                to: Some(slot.name.clone()),
                path: 0,
                attributes,
                stale: false,
                standing,
                translation: (source.from == From::Us)
                    .then(|| self.translation_of_ours(index, prefix))
                    .flatten(),
            })
        };
        had.filter_map(row).collect()
    }

    /// The paths of one neighbour, or of all, with what became of them.
    fn rows<'a>(
        &'a self,
        prefix: IpNet,
        net: &'a Net,
        neighbour: Option<&NeighbourName>,
    ) -> impl Iterator<Item = (&'a Path, RouteRow)> {
        let standings = self.standings(prefix, net);
        let asked = neighbour.cloned();
        net.paths
            .iter()
            .zip(standings)
            .filter_map(move |(path, standing)| {
                let name = &self.peers.get(path.peer)?.name;
                let row = || RouteRow {
                    prefix,
                    from: Some(name.clone()),
                    to: None,
                    path: path.id,
                    attributes: path.received.clone(),
                    stale: path.marks.is_stale(),
                    standing,
                    translation: if path.is_translated() {
                        self.made_of(path.peer, prefix)
                    } else {
                        self.translation(path.peer, prefix)
                    },
                };
                asked
                    .as_ref()
                    .is_none_or(|asked| asked == name)
                    .then(|| (path, row()))
            })
    }

    /// What became of each path to a prefix, in their order.
    fn standings(&self, prefix: IpNet, net: &Net) -> Vec<Standing> {
        let chosen = self.chosen(net).into_iter().zip(&net.paths);
        chosen
            .map(|(standing, path)| standing.unwrap_or_else(|| self.ineligible(prefix, path)))
            .collect()
    }

    /// What the choice made of each path, if it could be chosen.
    fn chosen(&self, net: &Net) -> Vec<Option<Standing>> {
        let candidates: Vec<Option<Candidate<'_>>> = net
            .paths
            .iter()
            .map(|path| candidate(path, &self.configured, &self.peers))
            .collect();
        let eligible: Vec<Candidate<'_>> = candidates.iter().flatten().copied().collect();
        let mut lost = lost_by(&eligible).into_iter();
        let used = usize::from(net.used);
        let standing = |(at, candidate): (usize, Option<Candidate<'_>>)| {
            candidate.map(|_| match lost.next().flatten() {
                None => Standing::Best,
                Some(_) if at < used => Standing::Multipath,
                Some(step) => Standing::Lost(step),
            })
        };
        candidates.into_iter().enumerate().map(standing).collect()
    }

    /// Why a path cannot be chosen; of one that NAT makes into another, what became of that.
    fn ineligible(&self, prefix: IpNet, path: &Path) -> Standing {
        if path.is_translated() {
            return self.left_out(prefix, path);
        }
        let external = match self.boundary(path.peer, prefix) {
            Boundary::Passes => return self.left_out(prefix, path),
            Boundary::Stays(_, refusal) => return Standing::Refused(refusal),
            Boundary::Becomes(mapping) => mapping.external,
        };
        let table = self.tables.of(Family::of_prefix(&external));
        let Some(net) = table.index.find(external).and_then(|id| table.net(id)) else {
            return self.left_out(external, path);
        };
        let made =
            |(_, other): &(_, &Path)| other.is_translated() && other.peer == path.peer && other.id == path.id;
        let chosen = self.chosen(net).into_iter().zip(&net.paths).find(made);
        match chosen {
            Some((Some(standing), _)) => standing,
            Some((None, made)) => self.left_out(external, made),
            None => self.left_out(external, path),
        }
    }

    /// Why a path to a prefix, as NAT makes it, is not chosen from.
    fn left_out(&self, prefix: IpNet, path: &Path) -> Standing {
        let import = Import::new(&self.configured, path.peer);
        let judged = import.map(|import| import.judge(prefix, &path.received));
        match (judged, path.leads) {
            (Some(Err(refusal)), _) => Standing::Refused(refusal),
            (Some(Ok(_)), Leads::Direct | Leads::Elsewhere) => Standing::TunnelDown,
            (Some(Ok(_)), Leads::Nowhere) | (None, _) => Standing::NextHopUnusable,
        }
    }
}
