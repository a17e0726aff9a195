use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::ValidConfig;
use crate::model::nat::{overlap, without};
use crate::model::{Connection, Name, Site, Translation};
use crate::prefixes::Prefixes;

/// What leads to each site as we see it, when rules of translation are in force.
pub(crate) struct Spaces<'c> {
    /// How many connections lead to a site.
    connections: BTreeMap<&'c Name, usize>,
    /// On how many of them a rule translates all of an internal prefix.
    translated: BTreeMap<(&'c Name, IpNet), usize>,
}

impl<'c> Spaces<'c> {
    pub(crate) fn of(connections: impl Iterator<Item = &'c Connection>) -> Self {
        let mut spaces = Self {
            connections: BTreeMap::new(),
            translated: BTreeMap::new(),
        };
        for connection in connections {
            let site = &connection.site_name;
            *spaces.connections.entry(site).or_default() += 1;
            for rule in connection.nat.ingress.values().filter(|rule| rule.is_whole()) {
                *spaces.translated.entry((site, rule.internal)).or_default() += 1;
            }
        }
        spaces
    }

    /// What of the site's prefixes is not translated on every connection that leads there, each with its index.
    pub(crate) fn untranslated(&self, name: &Name, site: &Site) -> Vec<(usize, IpNet)> {
        let lowest = (name, IpNet::default());
        let all = self.connections.get(name);
        let nets: Vec<IpNet> = self
            .translated
            .range(lowest..)
            .take_while(|((site, _), _)| *site == name)
            .filter(|(_, count)| Some(*count) == all)
            .map(|((_, net), _)| *net)
            .collect();
        let whole = site.address_space.iter().copied().enumerate();
        if nets.is_empty() {
            return whole.collect();
        }
        let nets = Prefixes::of(&nets);
        // Two prefixes, one inside the other, may have the same pieces.
        let mut pieces = BTreeMap::new();
        for (index, net) in whole {
            for piece in without(net, &nets) {
                pieces.entry(piece).or_insert(index);
            }
        }
        pieces.into_iter().map(|(piece, index)| (index, piece)).collect()
    }
}

impl Connection {
    /// The prefixes by which this connection leads to its site: those that no rule of its own translates, and the external
    /// ones of its rules.
    pub fn reached(&self) -> Vec<IpNet> {
        let ingress = self.nat.ingress.values();
        let whole: Vec<IpNet> = ingress
            .clone()
            .filter(|rule| rule.is_whole())
            .map(|rule| rule.internal)
            .collect();
        if self.nat.ingress.is_empty() {
            return self.site.address_space.clone();
        }
        let whole = Prefixes::of(&whole);
        let space = self.site.address_space.iter();
        let mut reached: Vec<IpNet> = space.flat_map(|net| without(*net, &whole)).collect();
        reached.extend(ingress.map(|rule| rule.external));
        reached.sort_unstable();
        reached.dedup();
        reached
    }
}

impl ValidConfig {
    /// Those of them that are there whatever the peer says: where BGP follows the rules, what stands for prefixes that are
    /// not in the address space of the site comes and goes with these.
    pub fn static_space(&self, connection: &Connection) -> Vec<IpNet> {
        let mut space = connection.reached();
        let has_session = connection.bgp.is_some() && connection.site.bgp.is_some();
        if self.gateway.nat_route_translation && has_session {
            let written = &connection.site.address_space;
            let learnt = connection.nat.ingress.values().filter(|rule| {
                let is_static = matches!(rule.translation, Translation::Static { ports: None });
                is_static && !written.iter().any(|net| overlap(net, &rule.internal))
            });
            let learnt: BTreeSet<IpNet> = learnt.map(|rule| rule.external).collect();
            space.retain(|net| !learnt.contains(net));
        }
        space
    }

    /// The prefixes by which we reach every site, connected or not: those that no rule translates, and the external ones of
    /// the rules on its connections. No two sites have an address in common here.
    pub fn spaces(&self) -> BTreeMap<&Name, Vec<IpNet>> {
        let spaces = Spaces::of(self.connections.values());
        let mut found: BTreeMap<&Name, Vec<IpNet>> = BTreeMap::new();
        for (name, site) in &self.sites {
            let pieces = spaces.untranslated(name, site).into_iter();
            found.insert(name, pieces.map(|(_, net)| net).collect());
        }
        for connection in self.connections.values() {
            let external = connection.nat.ingress.values().map(|rule| rule.external);
            if let Some(space) = found.get_mut(&connection.site_name) {
                space.extend(external);
            }
        }
        for space in found.values_mut() {
            space.sort_unstable();
            space.dedup();
        }
        found
    }

    /// The prefixes that only rules of translation know: what sites call themselves, and what we are to sites. But for those
    /// that are ours as well, nobody here has such an address, and nothing is sent there as it is.
    pub fn hidden(&self) -> BTreeSet<IpNet> {
        let connections = self.connections.values();
        let rules = connections.flat_map(|connection| {
            let ingress = connection.nat.ingress.values();
            let theirs = ingress.filter(|rule| rule.is_whole()).map(|rule| rule.internal);
            let egress = connection.nat.egress.values();
            theirs.chain(egress.map(|rule| rule.external))
        });
        let ours = Prefixes::of(&self.gateway.address_space);
        rules.flat_map(|net| without(net, &ours)).collect()
    }
}
