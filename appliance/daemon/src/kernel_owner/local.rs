use std::collections::BTreeSet;
use std::net::IpAddr;

use appliance_kernel::{Connected, LinkName};
use ipnet::IpNet;

use crate::derive::NetworkSettings;

/// What is closed: the prefixes of sites, and what of the hidden ones is no network of our own. Rules of translation are
/// there for networks that have the addresses of others, so that here ours goes before.
pub(super) fn closed(network: &NetworkSettings, connected: &BTreeSet<Connected>) -> BTreeSet<IpNet> {
    let own: BTreeSet<IpNet> = own(network, connected).map(|one| one.network).collect();
    let hidden = network.hidden.iter();
    let hidden = hidden.filter(|prefix| !own.iter().any(|own| own.contains(*prefix)));
    let hidden = hidden.flat_map(|prefix| without(*prefix, &own));
    network.closed.iter().copied().chain(hidden).collect()
}

/// What of the closed prefixes is right there, behind a link of this machine: a network of our own that lies inside the
/// prefix of a site. The longest prefix decides, and of equals that of the site. A link to the outside, which has one of
/// our outer addresses, leads nowhere: who answers for addresses there may be anybody.
pub(super) fn local(
    network: &NetworkSettings,
    connected: &BTreeSet<Connected>,
) -> BTreeSet<(LinkName, IpNet)> {
    let inside = own(network, connected)
        .filter(|one| network.closed.iter().any(|closed| closed.contains(&one.network)));
    let opened = inside.flat_map(|one| {
        let prefixes = without(one.network, &network.closed);
        prefixes.into_iter().map(|prefix| (one.link.clone(), prefix))
    });
    opened.collect()
}

/// Networks of our own: what neither a tunnel nor a link to the outside connects.
fn own<'c>(
    network: &'c NetworkSettings,
    connected: &'c BTreeSet<Connected>,
) -> impl Iterator<Item = &'c Connected> {
    let is_outer = |link: &LinkName| {
        let outer = |address: &IpAddr| network.outer_addresses.contains(address);
        connected
            .iter()
            .any(|one| one.link == *link && outer(&one.address))
    };
    let is_tunnel = |link: &LinkName| {
        let mut tunnels = network.tunnels.values();
        tunnels.any(|tunnel| tunnel.numbering.link == link.as_str())
    };
    connected
        .iter()
        .filter(move |one| is_plain(&one.link) && !is_outer(&one.link) && !is_tunnel(&one.link))
}

/// A name that means itself in a script of nftables.
pub(super) fn is_plain(link: &LinkName) -> bool {
    let mut letters = link.as_str().chars();
    letters.all(|letter| letter.is_ascii_alphanumeric() || ".-_".contains(letter))
}

/// What is left of a prefix without those inside it.
fn without(prefix: IpNet, holes: &BTreeSet<IpNet>) -> Vec<IpNet> {
    if holes.contains(&prefix) {
        return Vec::new();
    }
    if !holes.iter().any(|hole| prefix.contains(hole)) {
        return vec![prefix];
    }
    let halves = prefix.subnets(prefix.prefix_len() + 1).into_iter().flatten();
    halves.flat_map(|half| without(half, holes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is local, with these sites, of what these links connect; `wan` has our outer address.
    fn opened(sites: &[&str], links: &[(&str, &str)]) -> Vec<String> {
        let network = NetworkSettings {
            outer_addresses: ["192.0.2.1".parse().unwrap()].into(),
            closed: sites.iter().map(|site| site.parse().unwrap()).collect(),
            ..NetworkSettings::default()
        };
        let connected = links.iter().map(|(link, address)| {
            let address: IpNet = address.parse().unwrap();
            Connected {
                link: (*link).try_into().unwrap(),
                address: address.addr(),
                network: address.trunc(),
            }
        });
        let local = local(&network, &connected.collect());
        local
            .iter()
            .map(|(link, prefix)| format!("{link} {prefix}"))
            .collect()
    }

    #[test]
    fn a_network_of_our_own_inside_that_of_a_site_is_local() {
        assert_eq!(
            opened(&["10.0.0.0/8"], &[("lan", "10.5.0.1/16")]),
            ["lan 10.5.0.0/16"]
        );
        assert_eq!(opened(&["fd00::/8"], &[("lan", "fd05::1/64")]), ["lan fd05::/64"]);
        assert_eq!(
            opened(&["10.2.0.0/24"], &[("lan", "10.1.0.1/24")]),
            [""; 0],
            "not closed anyway"
        );
    }

    /// A site that has our addresses is known by others here, so ours stay where they are; what else it calls itself is
    /// nowhere.
    #[test]
    fn what_only_rules_of_translation_know_is_closed_where_it_is_not_ours() {
        let closed = |hidden: &str, link: &str, address: &str| -> Vec<String> {
            let network = NetworkSettings {
                outer_addresses: ["192.0.2.1".parse().unwrap()].into(),
                hidden: [hidden.parse().unwrap()].into(),
                ..NetworkSettings::default()
            };
            let connected = |link: &str, address: &str| {
                let address: IpNet = address.parse().unwrap();
                Connected {
                    link: link.try_into().unwrap(),
                    address: address.addr(),
                    network: address.trunc(),
                }
            };
            let connected = [connected(link, address), connected("wan", "192.0.2.1/24")];
            let closed = closed(&network, &connected.into());
            closed.iter().map(ToString::to_string).collect()
        };
        assert_eq!(closed("10.0.0.0/24", "lan", "10.1.0.1/24"), ["10.0.0.0/24"]);
        assert_eq!(closed("10.0.0.0/24", "lan", "10.0.0.1/24"), [""; 0]);
        assert_eq!(closed("10.0.0.0/24", "lan", "10.0.0.1/16"), [""; 0]);
        assert_eq!(closed("10.0.0.0/24", "lan", "10.0.0.1/25"), ["10.0.0.128/25"]);
        assert_eq!(closed("10.0.0.0/24", "wan", "10.0.0.1/24"), ["10.0.0.0/24"]);
    }

    #[test]
    fn what_a_site_names_as_exactly_or_more_so_stays_closed() {
        assert_eq!(opened(&["10.5.0.0/16"], &[("lan", "10.5.0.1/16")]), [""; 0]);
        assert_eq!(opened(&["10.5.0.0/16"], &[("lan", "10.0.0.1/8")]), [""; 0]);
        let sites = ["10.0.0.0/8", "10.5.64.0/18"];
        let expected = ["lan 10.5.0.0/18", "lan 10.5.128.0/17"];
        assert_eq!(opened(&sites, &[("lan", "10.5.0.1/16")]), expected);
        assert_eq!(
            opened(&["10.0.0.0/8", "10.5.0.0/16"], &[("lan", "10.5.0.1/16")]),
            [""; 0]
        );
    }

    /// Who gives addresses on the outer link, or names to links, opens nothing.
    #[test]
    fn nothing_outside_is_local() {
        let outside = [
            ("wan", "192.0.2.1/24"),
            ("wan", "10.5.0.1/16"),
            ("lan*", "10.6.0.1/16"),
        ];
        assert_eq!(opened(&["10.0.0.0/8"], &outside), [""; 0]);
    }
}
