use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::IpNet;

use super::table::Path;
use super::tables::Rib;
use crate::wire::attribute::Attributes;
use crate::{Family, NeighbourName};

/// Which part of the tables is to be written to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableQuery {
    /// At which point of their way.
    pub view: TableView,
    /// Of which family.
    pub family: Family,
    /// Those after this prefix.
    pub after: Option<IpNet>,
    /// So many prefixes are looked at.
    pub prefixes: usize,
}

/// A point on the way of routes that a file can have them at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableView {
    /// As they came, let in or not.
    Received,
    /// Those that are used, as the policies let them in, and our own.
    Best,
}

/// A part of the tables, by prefix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TablePart {
    /// The routes; those to one prefix stand together.
    pub rows: Vec<TableRow>,
    /// What to go on after, if there is more.
    pub next: Option<IpNet>,
}

/// A route as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// Where it leads.
    pub prefix: IpNet,
    /// Who sent it; nobody for what we bring into BGP.
    pub from: Option<NeighbourName>,
    /// Its path identifier (RFC 7911), zero where there are none.
    pub path: u32,
    /// What it bears.
    pub attributes: Arc<Attributes>,
}

impl Rib {
    /// One part of the tables. It costs what it holds, wherever in the tables it lies.
    pub(crate) fn part(&self, query: &TableQuery) -> TablePart {
        let table = self.tables.of(query.family);
        let mut part = TablePart::default();
        let ours = Arc::new(super::export::originated());
        let mut last = None;
        for (seen, id) in table.index.ids_after(query.after).enumerate() {
            if seen == query.prefixes {
                part.next = last;
                break;
            }
            let (Some(prefix), Some(net)) = (table.index.prefix(id), table.net(id)) else {
                continue;
            };
            last = Some(prefix);
            match query.view {
                TableView::Received => {
                    let row = |path: &Path| self.row(prefix, path, &path.received);
                    let came = net.paths.iter().filter(|path| !path.is_translated());
                    part.rows.extend(came.filter_map(row));
                }
                TableView::Best => {
                    part.rows
                        .extend(net.ours.then(|| self.own(prefix, &ours)).flatten());
                    let row = |path: &Path| self.row(prefix, path, path.accepted.as_ref()?);
                    part.rows.extend(net.used().iter().filter_map(row));
                }
            }
        }
        part
    }

    /// The BGP identifier of a neighbour in its last session; zero if it had none.
    pub(crate) fn identifier(&self, name: &NeighbourName) -> Ipv4Addr {
        let slot = self.peers.named(name).and_then(|peer| self.peers.get(peer));
        slot.map_or(Ipv4Addr::UNSPECIFIED, |slot| slot.router_id)
    }

    /// The route that we bring into BGP, if we do; what only stands for ours behind NAT is not in BGP here.
    fn own(&self, prefix: IpNet, originated: &Arc<Attributes>) -> Option<TableRow> {
        let statics = &self.configured.statics;
        let is_there = statics.is_own(prefix) || !statics.sites(prefix).is_empty();
        let attributes = match prefix {
            IpNet::V4(_) => originated.clone(),
            IpNet::V6(_) => Arc::new(Attributes {
                next_hop: crate::wire::attribute::NextHop::Address(IpAddr::from([0_u16; 8])),
                ..Attributes::clone(originated)
            }),
        };
        is_there.then_some(TableRow {
            prefix,
            from: None,
            path: 0,
            attributes,
        })
    }

    fn row(&self, prefix: IpNet, path: &Path, attributes: &Arc<Attributes>) -> Option<TableRow> {
        Some(TableRow {
            prefix,
            from: Some(self.peers.get(path.peer)?.name.clone()),
            path: path.id,
            attributes: attributes.clone(),
        })
    }
}
