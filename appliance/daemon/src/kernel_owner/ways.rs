use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use appliance_config::model::Name;
use ike::{ChildId, ConnectionName};

use crate::derive::NetworkSettings;

/// Which connection has the routes of a site to which several lead.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// The connections of each site that has several, most wanted first.
    contested: BTreeMap<Name, Vec<ConnectionName>>,
    /// The connections that lead to a BGP speaker.
    speaking: BTreeSet<ConnectionName>,
    /// The connection of each child that is carried.
    children: BTreeMap<ChildId, ConnectionName>,
    /// How many children are carried for each connection that has any.
    carried: BTreeMap<ConnectionName, usize>,
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
        let speaking = network
            .tunnels
            .iter()
            .filter(|(_, tunnel)| tunnel.speaker.is_some());
        self.speaking = speaking.map(|(name, _)| name.clone()).collect();
    }

    /// A child is carried.
    pub(super) fn opened(&mut self, child: ChildId, connection: ConnectionName) {
        self.closed(child);
        *self.carried.entry(connection.clone()).or_default() += 1;
        self.children.insert(child, connection);
    }

    /// A child is carried no longer.
    pub(super) fn closed(&mut self, child: ChildId) {
        let Some(connection) = self.children.remove(&child) else {
            return;
        };
        if let Entry::Occupied(mut carried) = self.carried.entry(connection) {
            *carried.get_mut() -= 1;
            if *carried.get() == 0 {
                carried.remove();
            }
        }
    }

    /// The connections to BGP speakers that a child is carried for. `adopted` carry too, as far as a daemon before this one
    /// knew.
    pub(super) fn to_speakers(&self, adopted: impl Fn(&ConnectionName) -> bool) -> BTreeSet<ConnectionName> {
        let carries = |name: &&ConnectionName| self.carried.contains_key(*name) || adopted(name);
        self.speaking.iter().filter(carries).cloned().collect()
    }

    /// The connection that a child is carried for.
    pub(super) fn connection_of(&self, child: ChildId) -> Option<&ConnectionName> {
        self.children.get(&child)
    }

    /// The connections that are to have no routes: another one to the same site is up, or would be wanted more.
    /// `adopted` are up too, as far as a daemon before this one knew.
    pub(super) fn idle(&self, adopted: impl Fn(&ConnectionName) -> bool) -> BTreeSet<ConnectionName> {
        let is_up = |name: &&ConnectionName| self.carried.contains_key(*name) || adopted(name);
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
    use crate::derive::{Numbering, Speaker, TunnelSettings};

    fn name(text: &str) -> ConnectionName {
        ConnectionName(text.into())
    }

    /// Connections with their site and priority.
    fn network(connections: &[(&str, &str, u16)]) -> NetworkSettings {
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
        NetworkSettings {
            tunnels: tunnels.collect(),
            ..NetworkSettings::default()
        }
    }

    fn ways(connections: &[(&str, &str, u16)]) -> Ways {
        let mut ways = Ways::default();
        ways.configure(&network(connections));
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

    /// BGP hears of those alone that it can have a session through: of a thousand others it is told nothing.
    #[test]
    fn connections_to_speakers_carry_while_one_of_their_children_does() {
        let mut network = network(&[("a", "s", 1), ("b", "t", 1), ("c", "u", 1)]);
        for to_speaker in ["a", "c"] {
            let tunnel = network.tunnels.get_mut(&name(to_speaker)).unwrap();
            let address = [169, 254, 21, 1].into();
            tunnel.speaker = Some(Speaker { address, rank: 0 });
        }
        let mut ways = Ways::default();
        ways.configure(&network);
        for (child, connection) in [(1, "a"), (2, "a"), (3, "b")] {
            ways.opened(ChildId(child), name(connection));
        }
        assert_eq!(ways.to_speakers(|_| false), [name("a")].into());
        assert_eq!(
            ways.to_speakers(|other| *other == name("c")),
            [name("a"), name("c")].into()
        );
        ways.closed(ChildId(1));
        ways.closed(ChildId(1));
        assert_eq!(ways.to_speakers(|_| false), [name("a")].into());
        ways.closed(ChildId(2));
        assert_eq!(ways.to_speakers(|_| false), [].into());
    }

    #[test]
    fn what_a_daemon_before_left_counts_until_it_is_let_go() {
        let ways = ways(&[("a", "s", 1), ("b", "s", 2)]);
        assert_eq!(ways.idle(|other| *other == name("b")), [name("a")].into());
        assert_eq!(ways.idle(|_| false), [name("b")].into());
    }
}
