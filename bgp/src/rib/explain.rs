use ipnet::IpNet;

use super::PeerIndex;
use super::export::{Export, Withheld};
use super::import::{Import, Refusal};
use super::tables::Rib;
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
    /// Of the route that it could be sent.
    Export(Result<Option<usize>, Withheld>),
}

/// A path by its identifier, and whether it is let in.
pub type PathJudged = (u32, Result<Option<usize>, Refusal>);

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
            Direction::Export => Some(Explanation::Export(self.explain_export(peer, prefix)?)),
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
        Some(
            paths
                .map(|path| (path.id, import.judge(prefix, &path.received).map(term)))
                .collect(),
        )
    }

    fn explain_export(&self, peer: PeerIndex, prefix: IpNet) -> Option<Result<Option<usize>, Withheld>> {
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

fn term(decision: Decision) -> Option<usize> {
    decision.term
}
