use ipnet::IpNet;

use super::PeerIndex;
use super::export::{Export, Withheld};
use super::import::{Import, Refusal};
use super::table::Path;
use super::tables::Rib;
use super::translate::{Boundary, RouteTranslation, Translated};
use crate::policy::Decision;
use crate::{Family, NeighbourName};

/// Which way a route goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the neighbour to us.
    Import,
    /// From us to it.
    Export,
}

/// Why a route is let in or sent, or is not. Where a policy lets it through, the term that decided goes with it by its
/// position, or none for the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// Of each path that the neighbour sent, by its identifier.
    Import(Vec<PathJudged>),
    /// Of the route that it could be sent; what NAT has to do with it.
    Export(Result<Option<usize>, Withheld>, Option<RouteTranslation>),
}

/// Whether a path is let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathJudged {
    /// Its identifier.
    pub path: u32,
    /// What decided.
    pub decision: Result<Option<usize>, Refusal>,
    /// What NAT has to do with it.
    pub translation: Option<RouteTranslation>,
}

impl Rib {
    /// What decided about the routes to a prefix from or to a neighbour; nothing if there is no such neighbour.
    pub(crate) fn explain(
        &self,
        neighbour: &NeighbourName,
        direction: Direction,
        prefix: IpNet,
    ) -> Option<Explanation> {
        let peer = self.peers.named(neighbour)?;
        let prefix = prefix.trunc();
        match direction {
            Direction::Import => Some(Explanation::Import(self.explain_import(peer, prefix)?)),
            Direction::Export => {
                let translation = self.translation_of_ours(peer, prefix);
                Some(Explanation::Export(
                    self.explain_export(peer, prefix)?,
                    translation,
                ))
            }
        }
    }

    fn explain_import(&self, peer: PeerIndex, prefix: IpNet) -> Option<Vec<PathJudged>> {
        let import = Import::new(&self.configured, peer)?;
        let table = self.tables.of(Family::of_prefix(&prefix));
        let net = table.index.find(prefix).and_then(|id| table.net(id));
        let paths = net
            .into_iter()
            .flat_map(|net| &net.paths)
            .filter(|path| path.peer == peer);
        let judged = paths.map(|path| {
            let translation = if path.is_translated() {
                self.made_of(peer, prefix)
            } else {
                self.translation(peer, prefix)
            };
            PathJudged {
                path: path.id,
                decision: self.decide(&import, prefix, path).map(term),
                translation,
            }
        });
        Some(judged.collect())
    }

    fn explain_export(&self, peer: PeerIndex, prefix: IpNet) -> Option<Result<Option<usize>, Withheld>> {
        let translation = self.translation_of_ours(peer, prefix);
        let prefix = match translation.map(|translation| translation.what) {
            Some(Translated::To(external)) => external,
            Some(Translated::From(_) | Translated::Not(_)) | None => prefix,
        };
        let family = Family::of_prefix(&prefix);
        let outlet = self.peers.get(peer)?.outlet.as_ref();
        let export = Export::new(
            &self.configured,
            peer,
            outlet.is_some_and(|outlet| outlet.ipv6_next_hops),
        )?;
        let table = self.tables.of(family);
        let net = table.index.find(prefix).and_then(|id| table.net(id));
        let Some(source) = net.and_then(|net| export.source(prefix, net)) else {
            return Some(Err(Withheld::NoRoute));
        };
        let decision = export.judge(prefix, source);
        let told = decision.and_then(|decision| export.rewrite(family, source, decision).map(|_| decision));
        Some(told.map(term))
    }
}

impl Rib {
    /// What decides about a path to a prefix, after what NAT has to do with it.
    pub(super) fn decide(
        &self,
        import: &Import<'_>,
        prefix: IpNet,
        path: &Path,
    ) -> Result<Decision, Refusal> {
        if path.is_translated() {
            return import.judge(prefix, &path.received);
        }
        match self.boundary(path.peer, prefix) {
            Boundary::Passes => import.judge(prefix, &path.received),
            Boundary::Becomes(mapping) => import.judge(mapping.external, &path.received),
            Boundary::Stays(_, refusal) => Err(refusal),
        }
    }
}

fn term(decision: Decision) -> Option<usize> {
    decision.term
}
