use std::collections::{BTreeMap, BTreeSet};

use appliance_config::model::Name;
use ike::{ChildId, ConnectionName};

use crate::derive::NetworkSettings;

/// Which connection has the routes of a site to which several lead.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// The connections of each site that has several, most wanted first.
    contested: BTreeMap<Name, Vec<ConnectionName>>,
    /// The connection of each child that is carried.
    carried: BTreeMap<ChildId, ConnectionName>,
}

impl Ways {
    /// The connections are these from now on.
    pub(super) fn configure(&mut self, network: &NetworkSettings) {
        let mut sites: BTreeMap<Name, Vec<(u16, ConnectionName)>> = BTreeMap::new();
        for (name, tunnel) in &network.tunnels {
            let connections = sites.entry(tunnel.site.clone()).or_default();
            connections.push((tunnel.priority, name.clone()));
        }
        sites.retain(|_, connections| connections.len() > 1);
        let in_order = |mut connections: Vec<(u16, ConnectionName)>| {
            connections.sort_unstable();
            connections.into_iter().map(|(_, name)| name).collect()
        };
        self.contested = sites
            .into_iter()
            .map(|(site, connections)| (site, in_order(connections)))
            .collect();
    }

    /// A child is carried.
    pub(super) fn opened(&mut self, child: ChildId, connection: ConnectionName) {
        self.carried.insert(child, connection);
    }

    /// A child is carried no longer.
    pub(super) fn closed(&mut self, child: ChildId) {
        self.carried.remove(&child);
    }

    /// The connections that a child is carried for.
    pub(super) fn carried(&self) -> BTreeSet<&ConnectionName> {
        self.carried.values().collect()
    }

    /// The connection that a child is carried for.
    pub(super) fn connection_of(&self, child: ChildId) -> Option<&ConnectionName> {
        self.carried.get(&child)
    }

    /// The connections that are to have no routes: another one to the same site is up, or would be wanted more.
    /// `adopted` are up too, as far as a daemon before this one knew.
    pub(super) fn idle(&self, adopted: impl Fn(&ConnectionName) -> bool) -> BTreeSet<ConnectionName> {
        if self.contested.is_empty() {
            return BTreeSet::new();
        }
        let carried: BTreeSet<&ConnectionName> = self.carried.values().collect();
        let is_up = |name: &&ConnectionName| carried.contains(name) || adopted(name);
        let idle = self.contested.values().flat_map(|connections| {
            let chosen = connections.iter().find(is_up).or(connections.first());
            connections.iter().filter(move |name| Some(*name) != chosen)
        });
        idle.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Numbering, TunnelSettings};

    fn name(text: &str) -> ConnectionName {
        ConnectionName(text.into())
    }

    /// Connections with their site and priority.
    fn ways(connections: &[(&str, &str, u16)]) -> Ways {
        let tunnel = |site: &str, priority| TunnelSettings {
            numbering: Numbering {
                interface_id: 1,
                link: String::new(),
            },
            site: site.parse().unwrap(),
            priority,
            local: [192, 0, 2, 1].into(),
            remote: None,
            mtu: 1400,
            tcp_mss: 1350,
            addresses: Vec::new(),
            prefixes: Vec::new(),
            speaker: None,
        };
        let tunnels = connections
            .iter()
            .map(|(connection, site, priority)| (name(connection), tunnel(site, *priority)));
        let mut ways = Ways::default();
        ways.configure(&NetworkSettings {
            tunnels: tunnels.collect(),
            ..NetworkSettings::default()
        });
        ways
    }

    fn idle(ways: &Ways) -> Vec<String> {
        let idle = ways.idle(|_| false);
        idle.iter().map(|name| name.0.to_string()).collect()
    }

    #[test]
    fn the_first_that_is_up_has_the_routes() {
        let mut ways = ways(&[("a", "s", 100), ("b", "s", 50), ("c", "s", 100), ("x", "t", 1)]);
        assert_eq!(idle(&ways), ["a", "c"], "none is up: the smallest number");
        ways.opened(ChildId(1), name("c"));
        assert_eq!(idle(&ways), ["a", "b"]);
        ways.opened(ChildId(2), name("a"));
        assert_eq!(idle(&ways), ["b", "c"], "of equal numbers the first name");
        ways.opened(ChildId(3), name("b"));
        assert_eq!(idle(&ways), ["a", "c"]);
        ways.closed(ChildId(3));
        assert_eq!(idle(&ways), ["b", "c"]);
        ways.closed(ChildId(2));
        ways.closed(ChildId(1));
        assert_eq!(idle(&ways), ["a", "c"]);
    }

    #[test]
    fn a_connection_is_up_while_one_of_its_children_is() {
        let mut ways = ways(&[("a", "s", 1), ("b", "s", 2)]);
        ways.opened(ChildId(1), name("a"));
        ways.opened(ChildId(2), name("a"));
        ways.opened(ChildId(3), name("b"));
        ways.closed(ChildId(1));
        assert_eq!(idle(&ways), ["b"]);
        ways.closed(ChildId(2));
        assert_eq!(idle(&ways), ["a"]);
    }

    #[test]
    fn what_a_daemon_before_left_counts_until_it_is_let_go() {
        let ways = ways(&[("a", "s", 1), ("b", "s", 2)]);
        assert_eq!(ways.idle(|other| *other == name("b")), [name("a")].into());
        assert_eq!(ways.idle(|_| false), [name("b")].into());
    }
}
