//! The tables as the RFCs tell them, without a thought of speed: everything is worked out anew each time it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use crate::policy::Route;
use crate::rib::export::originated;
use crate::rib::sample;
use crate::wire::attribute::{Attributes, NextHop};
use crate::{Family, Neighbour, NeighbourName, Policy, Settings, Way};

pub(super) struct Model {
    pub(super) settings: Settings,
    /// By neighbour from 1 on, prefix, and path identifier; whether it is stale.
    pub(super) paths: BTreeMap<(u8, IpNet, u32), (Attributes, bool)>,
    pub(super) up: BTreeSet<u8>,
}

impl Model {
    fn neighbour(&self, number: u8) -> &Neighbour {
        &self.settings.neighbours[&sample::name(number)]
    }

    fn external(&self, number: u8) -> bool {
        self.neighbour(number).asn != self.settings.asn
    }

    fn is_inside_own(&self, prefix: IpNet) -> bool {
        self.settings.own.iter().any(|own| own.contains(&prefix))
    }

    /// What a policy makes of a route.
    fn pass(
        &self,
        policy: &Policy,
        prefix: IpNet,
        attributes: Attributes,
        (site, asn): (Option<&str>, u32),
    ) -> Option<Attributes> {
        let decision = policy.decide(&Route {
            prefix,
            attributes: &attributes,
            site,
        });
        let mut passed = attributes.clone();
        if let Some(term) = decision.term {
            policy.terms[term]
                .change
                .apply(&mut passed, asn, IpAddr::from([0, 0, 0, 0]));
        }
        decision.accepted.then_some(passed)
    }

    /// What is let in.
    pub(super) fn accepted(&self, number: u8, prefix: IpNet, attributes: &Attributes) -> Option<Attributes> {
        let neighbour = self.neighbour(number);
        let looped = attributes.as_path.contains(self.settings.asn);
        if self.is_inside_own(prefix) || looped || attributes.originator == Some(self.settings.router_id) {
            return None;
        }
        let by = (Some(&*neighbour.site), neighbour.asn);
        self.pass(&neighbour.import, prefix, attributes.clone(), by)
    }

    /// The number of the neighbour whose tunnel a path takes, if it leads anywhere.
    fn through(&self, number: u8, attributes: &Attributes) -> Option<u8> {
        let IpAddr::V4(next_hop) = attributes.next_hop.address().to_canonical() else {
            return Some(number);
        };
        match next_hop.octets() {
            [169, 254, 1, _] => None,
            [169, 254, 0, other] if !self.external(number) => Some(other),
            _ => Some(number),
        }
    }

    /// Those that are used for a prefix, best first.
    pub(super) fn used(&self, prefix: IpNet) -> Vec<(u8, u32, Attributes)> {
        let of_prefix = self.paths.iter().filter(|((_, to, _), _)| *to == prefix);
        let mut left: Vec<(u8, u32, Attributes)> = of_prefix
            .filter_map(|((number, _, id), (received, _))| {
                Some((*number, *id, self.accepted(*number, prefix, received)?))
            })
            .filter(|(number, _, attributes)| {
                self.through(*number, attributes)
                    .is_some_and(|through| self.up.contains(&through))
            })
            .collect();
        let preference = |path: &(u8, u32, Attributes)| {
            path.2
                .local_preference
                .unwrap_or(self.neighbour(path.0).local_preference)
        };
        let length = |path: &(u8, u32, Attributes)| path.2.as_path.length();
        keep_least(&mut left, |path| u32::MAX - preference(path));
        keep_least(&mut left, length);
        keep_least(&mut left, |path| path.2.origin);
        let all = left.clone();
        let med = |path: &(u8, u32, Attributes)| path.2.med.unwrap_or(0);
        let from =
            |path: &(u8, u32, Attributes)| path.2.as_path.first().unwrap_or(self.neighbour(path.0).asn);
        left.retain(|path| {
            !all.iter()
                .any(|other| from(other) == from(path) && med(other) < med(path))
        });
        keep_least(&mut left, |path| !self.external(path.0));
        keep_least(&mut left, |path| self.through(path.0, &path.2) != Some(path.0));
        keep_least(&mut left, |path| {
            self.neighbour(self.through(path.0, &path.2).unwrap()).priority
        });
        left.sort_by_key(|path| {
            let router = path.2.originator.unwrap_or(Ipv4Addr::new(10, 0, 1, path.0));
            (
                router,
                path.2.clusters.len(),
                self.neighbour(path.0).remote,
                path.1,
            )
        });
        let mut tunnels = BTreeSet::new();
        left.retain(|path| tunnels.insert(self.through(path.0, &path.2)));
        left.truncate(usize::from(self.settings.multipath));
        left
    }

    pub(super) fn ways(&self, prefix: IpNet) -> Vec<Way> {
        let way = |(number, _, attributes): (u8, u32, Attributes)| Way {
            neighbour: sample::name(self.through(number, &attributes).unwrap()),
            next_hop: attributes.next_hop.address(),
        };
        self.used(prefix).into_iter().map(way).collect()
    }

    /// What a neighbour should have.
    pub(super) fn sent(&self, to: u8, prefix: IpNet) -> Option<Attributes> {
        let neighbour = self.neighbour(to);
        let site = |tunnel: &NeighbourName| &*self.settings.neighbours[tunnel].site;
        let tunnels = self
            .settings
            .sites
            .iter()
            .filter(|(_, prefixes)| prefixes.contains(&prefix));
        let static_site = tunnels
            .map(|(tunnel, _)| site(tunnel))
            .find(|site| *site != &*neighbour.site);
        let own = self.settings.own.contains(&prefix);
        let (mut attributes, from) = match static_site {
            _ if own => (originated(), None),
            Some(site) => (originated(), Some(site)),
            None => {
                let (number, _, attributes) = self.used(prefix).into_iter().next()?;
                let source = self.neighbour(number);
                let internal = !self.external(number) && !self.external(to);
                let kept = attributes.communities.iter().any(|community| {
                    *community == 0xffff_ff02 || *community == 0xffff_ff01 && self.external(to)
                });
                if source.site == neighbour.site || internal || kept {
                    return None;
                }
                let preference = attributes.local_preference.or(Some(source.local_preference));
                (
                    Attributes {
                        local_preference: preference,
                        ..attributes
                    },
                    Some(&*source.site),
                )
            }
        };
        if !own && (prefix.prefix_len() == 0 || self.is_inside_own(prefix)) {
            return None;
        }
        if self.external(to) {
            (attributes.med, attributes.originator) = (None, None);
            attributes.clusters.clear();
        }
        let mut attributes = self.pass(&neighbour.export, prefix, attributes, (from, self.settings.asn))?;
        if self.external(to) {
            attributes.local_preference = None;
            attributes.as_path.prepend(self.settings.asn, 1);
        } else {
            attributes.local_preference = attributes.local_preference.or(Some(100));
        }
        attributes.next_hop = NextHop::Address(match (Family::of_prefix(&prefix), neighbour.local) {
            (Family::Ipv6, IpAddr::V4(local)) => IpAddr::V6(local.to_ipv6_mapped()),
            (_, local) => local,
        });
        Some(attributes)
    }
}

fn keep_least<T, K: Ord>(left: &mut Vec<T>, key: impl Fn(&T) -> K) {
    if let Some(least) = left.iter().map(&key).min() {
        left.retain(|path| key(path) == least);
    }
}
