use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use appliance_kernel::{Key, LinkName, Object, Refusal, Request, Route, Rule, Version};
use ike::ConnectionName;
use ipnet::IpNet;

use crate::datapath::{LearntRoute, Refused};
use crate::derive::NetworkSettings;

/// The routes that BGP learnt, and what keeps the tunnels' own packets out of them: a learnt route that leads to the outer
/// address of a peer, a default route above all, stands in a table beside the main one, and packets from our outer addresses
/// do not ask there.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    routes: BTreeMap<IpNet, Vec<ConnectionName>>,
    /// Those that stand beside the main table.
    beside: BTreeSet<IpNet>,
    rules: BTreeSet<Rule>,
    /// Where the peers are that tunnels lead to, as their children say.
    peers: BTreeMap<ConnectionName, IpAddr>,
    around: Surroundings,
    /// Those of which there was a route.
    versions: BTreeSet<Version>,
}

/// What routes depend on besides what BGP says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Surroundings {
    links: BTreeMap<ConnectionName, LinkName>,
    /// Our outer addresses.
    ours: BTreeSet<IpAddr>,
    /// Those of peers, as far as they are known.
    theirs: BTreeSet<IpAddr>,
}

impl Learnt {
    /// What follows from other routes.
    pub(super) fn change(&mut self, changes: Vec<LearntRoute>) -> Vec<Request> {
        let mut requests = Vec::with_capacity(changes.len());
        for change in changes {
            match change {
                LearntRoute::Set(prefix, ways) => {
                    let known = self.routes.insert(prefix, ways).is_some();
                    self.settle(prefix, known, &mut requests);
                }
                LearntRoute::Remove(prefix) => {
                    let known = self.routes.remove(&prefix).is_some();
                    self.settle(prefix, known, &mut requests);
                }
            }
        }
        self.rule(&mut requests);
        requests
    }

    /// The prefixes that are the first of their version: this host is a gateway for it from now on.
    pub(super) fn first_of_their_version(&mut self, changes: &[LearntRoute]) -> Vec<IpNet> {
        let prefixes = changes.iter().filter_map(|change| match change {
            LearntRoute::Set(prefix, _) => Some(*prefix),
            LearntRoute::Remove(_) => None,
        });
        prefixes
            .filter(|prefix| self.versions.insert(Version::of(prefix.addr())))
            .collect()
    }

    /// A tunnel leads to a peer that is here now. What follows, with this network.
    pub(super) fn met(
        &mut self,
        connection: &ConnectionName,
        peer: IpAddr,
        network: &NetworkSettings,
    ) -> Vec<Request> {
        match self.peers.insert(connection.clone(), peer) {
            Some(before) if before == peer => Vec::new(),
            // Others may still be where it was.
            Some(_) => self.look(network),
            None if self.around.theirs.insert(peer) => self.settle_all(|prefix| prefix.contains(&peer)),
            None => Vec::new(),
        }
    }

    /// What follows from another network.
    pub(super) fn look(&mut self, network: &NetworkSettings) -> Vec<Request> {
        self.peers.retain(|name, _| network.tunnels.contains_key(name));
        let tunnels = network.tunnels.iter();
        let link = |name: &str| LinkName::try_from(name).ok();
        let configured = network.tunnels.values().filter_map(|tunnel| tunnel.remote);
        let around = Surroundings {
            links: tunnels
                .filter_map(|(name, tunnel)| Some((name.clone(), link(&tunnel.numbering.link)?)))
                .collect(),
            ours: network.outer_addresses.clone(),
            theirs: configured.chain(self.peers.values().copied()).collect(),
        };
        if around == self.around {
            return Vec::new();
        }
        self.around = around;
        self.settle_all(|_| true)
    }

    /// What follows for those routes of which something else is known now.
    fn settle_all(&mut self, concerned: impl Fn(&IpNet) -> bool) -> Vec<Request> {
        let prefixes: Vec<IpNet> = self
            .routes
            .keys()
            .copied()
            .filter(|prefix| concerned(prefix))
            .collect();
        let mut requests = Vec::new();
        for prefix in prefixes {
            self.settle(prefix, true, &mut requests);
        }
        self.rule(&mut requests);
        requests
    }

    /// One route as it is to be, and none where it stood before.
    fn settle(&mut self, prefix: IpNet, known: bool, requests: &mut Vec<Request>) {
        let beside = self.leads_to_a_peer(&prefix);
        let key = |beside| Key::Route(Route::learnt(prefix, [], beside).key());
        let ways = self.routes.get(&prefix).into_iter().flatten();
        let links: Vec<LinkName> = ways
            .filter_map(|way| self.around.links.get(way).cloned())
            .collect();
        let stood_beside = self.beside.remove(&prefix);
        if links.is_empty() {
            if known {
                requests.push(Request::Unwant(key(stood_beside)));
            }
            return;
        }
        let route = Route::learnt(prefix, links, beside);
        requests.push(Request::Want(route.into()));
        if beside {
            self.beside.insert(prefix);
        }
        if known && stood_beside != beside {
            requests.push(Request::Unwant(key(stood_beside)));
        }
    }

    fn leads_to_a_peer(&self, prefix: &IpNet) -> bool {
        prefix.prefix_len() == 0 || self.around.theirs.iter().any(|peer| prefix.contains(peer))
    }

    /// The rules are there while a route stands beside.
    fn rule(&mut self, requests: &mut Vec<Request>) {
        let versions: BTreeSet<Version> = self
            .beside
            .iter()
            .map(|prefix| Version::of(prefix.addr()))
            .collect();
        let rules: BTreeSet<Rule> = versions
            .into_iter()
            .flat_map(|version| Rule::beside(version, self.around.ours.iter().copied()))
            .collect();
        let gone = self.rules.difference(&rules).cloned().map(Key::Rule);
        requests.extend(gone.map(Request::Unwant));
        let new = rules.difference(&self.rules).cloned().map(Object::Rule);
        requests.extend(new.map(Request::Want));
        self.rules = rules;
    }
}

/// Those of the routes that BGP learnt, why, in words.
pub(super) fn refused(refusals: &BTreeMap<Key, Refusal>) -> BTreeMap<IpNet, String> {
    let learnt = refusals.iter().filter_map(|(key, refusal)| match key {
        Key::Route(route) if route.is_learnt() => Some((route.prefix, refusal.to_string())),
        Key::Route(_)
        | Key::Rule(_)
        | Key::Link(_)
        | Key::Address(_)
        | Key::State(_)
        | Key::Policy(_)
        | Key::Ruleset
        | Key::Translation
        | Key::Firewall => None,
    });
    learnt.collect()
}

/// What an object is called where there may be thousands alike.
pub(super) fn shown(key: &Key) -> String {
    match key {
        Key::Route(route) if route.is_learnt() => "routes learnt by BGP".to_owned(),
        Key::Route(_)
        | Key::Rule(_)
        | Key::Link(_)
        | Key::Address(_)
        | Key::State(_)
        | Key::Policy(_)
        | Key::Ruleset
        | Key::Translation
        | Key::Firewall => key.to_string(),
    }
}

/// All refusals; of those of learnt routes the first, which stands for all.
pub(super) fn shown_refusals(refusals: &BTreeMap<Key, Refusal>) -> Vec<Refused> {
    let (learnt, mut shown): (Vec<_>, Vec<_>) = refusals
        .iter()
        .partition(|(key, _)| matches!(key, Key::Route(route) if route.is_learnt()));
    shown.extend(learnt.first());
    shown
        .into_iter()
        .map(|(_, refusal)| Refused::from(refusal))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::derive::{Numbering, TunnelSettings};

    fn name(text: &str) -> ConnectionName {
        ConnectionName(text.into())
    }

    fn network(tunnels: &[(&str, Option<&str>)]) -> NetworkSettings {
        let tunnel = |(connection, remote): &(&str, Option<&str>)| {
            let settings = TunnelSettings {
                numbering: Numbering {
                    interface_id: 1,
                    link: format!("cw-{connection}"),
                },
                site: "s".parse().unwrap(),
                priority: 1,
                local: [192, 0, 2, 1].into(),
                remote: remote.map(|remote| remote.parse().unwrap()),
                mtu: 1400,
                tcp_mss: 1350,
                addresses: Vec::new(),
                prefixes: Vec::new(),
                speaker: None,
            };
            (name(connection), settings)
        };
        NetworkSettings {
            outer_addresses: ["192.0.2.1".parse().unwrap()].into(),
            tunnels: tunnels.iter().map(tunnel).collect(),
            ..NetworkSettings::default()
        }
    }

    fn set(prefix: &str, ways: &[&str]) -> Vec<LearntRoute> {
        let ways = ways.iter().map(|way| name(way)).collect();
        vec![LearntRoute::Set(prefix.parse().unwrap(), ways)]
    }

    /// What is asked for, in words.
    fn words(requests: &[Request]) -> Vec<String> {
        let word = |request: &Request| match request {
            Request::Want(Object::Route(route)) => {
                let links: Vec<&str> = route.links().iter().map(LinkName::as_str).collect();
                format!("{} {} {}", route.prefix, route.metric, links.join("+"))
            }
            Request::Want(object) => object.key().to_string(),
            Request::Unwant(key) => format!("no {key}"),
            other => format!("{other:?}"),
        };
        requests.iter().map(word).collect()
    }

    #[test]
    fn the_first_route_of_a_version_makes_a_gateway() {
        let mut learnt = Learnt::default();
        let four = set("10.9.0.0/16", &["a"]);
        assert_eq!(
            learnt.first_of_their_version(&four),
            ["10.9.0.0/16".parse().unwrap()]
        );
        assert_eq!(learnt.first_of_their_version(&four), []);
        let six = set("fd09::/32", &["a"]);
        assert_eq!(learnt.first_of_their_version(&six).len(), 1);
    }

    #[test]
    fn a_route_leads_into_the_links_of_its_connections() {
        let mut learnt = Learnt::default();
        learnt.look(&network(&[("a", None), ("b", None)]));
        let both = learnt.change(set("10.9.0.0/16", &["b", "a"]));
        assert_eq!(words(&both), ["10.9.0.0/16 186 cw-a+cw-b"]);
        let less = learnt.look(&network(&[("b", None)]));
        assert_eq!(words(&less), ["10.9.0.0/16 186 cw-b"]);
        let none = learnt.look(&network(&[]));
        assert_eq!(words(&none), ["no route 10.9.0.0/16 metric 186"]);
    }

    /// Else its own packets, and those of all other tunnels, would be sent into it.
    #[test]
    fn what_leads_to_a_peer_stands_beside_the_main_table() {
        let mut learnt = Learnt::default();
        let around = network(&[("a", Some("203.0.113.10"))]);
        learnt.look(&around);
        let default = learnt.change(set("0.0.0.0/0", &["a"]));
        let rules = [
            "rule from 192.0.2.1 lookup main",
            "rule from 192.0.2.1 unreachable",
            "IPv4 rule lookup main but default routes",
            "IPv4 rule lookup 17239",
        ];
        assert_eq!(words(&default)[0], "0.0.0.0/0 187 cw-a");
        assert_eq!(words(&default)[1..], rules);
        assert_eq!(
            words(&learnt.change(set("203.0.113.0/24", &["a"]))),
            ["203.0.113.0/24 187 cw-a"]
        );
        assert_eq!(
            words(&learnt.change(set("10.0.0.0/8", &["a"]))),
            ["10.0.0.0/8 186 cw-a"]
        );
        // A peer with a name turns out to be inside, and moves out again.
        let met = learnt.met(&name("a"), "10.1.1.1".parse().unwrap(), &around);
        assert!(words(&met).contains(&"10.0.0.0/8 187 cw-a".to_owned()));
        assert!(words(&met).contains(&"no route 10.0.0.0/8 metric 186".to_owned()));
        let elsewhere = |word: &String| word.starts_with("203.");
        assert!(!words(&met).iter().any(elsewhere), "nothing new follows for it");
        assert!(learnt.look(&around).is_empty());
        let moved = learnt.met(&name("a"), "198.51.100.1".parse().unwrap(), &around);
        assert!(words(&moved).contains(&"10.0.0.0/8 186 cw-a".to_owned()));
        for prefix in ["203.0.113.0/24", "0.0.0.0/0"] {
            let gone = learnt.change(vec![LearntRoute::Remove(prefix.parse().unwrap())]);
            assert_eq!(words(&gone)[0], format!("no route {prefix} metric 187"));
            assert_eq!(words(&gone).len(), if prefix == "0.0.0.0/0" { 5 } else { 1 });
        }
    }
}
