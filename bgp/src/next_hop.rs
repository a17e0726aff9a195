//! Where the packets of a path go: to which tunnel its next hop leads (RFC 4271 §5.1.3, §9.1.2.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use crate::{NeighbourName, Settings};

/// The addresses that decide, out of the settings.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct NextHops {
    ours: BTreeSet<IpAddr>,
    neighbours: BTreeMap<IpAddr, NeighbourName>,
    /// Longest first.
    sites: Vec<(IpNet, NeighbourName)>,
}

/// Where a next hop leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolution<'a> {
    /// To the tunnel of the neighbour that named it.
    Direct,
    /// To another one.
    Through(&'a NeighbourName),
    /// Nowhere: it is an address of ours, or no host's.
    Unusable,
}

impl NextHops {
    pub(crate) fn of(settings: &Settings) -> Self {
        let neighbours = || settings.neighbours.iter();
        let mut sites: Vec<(IpNet, NeighbourName)> = settings
            .sites
            .iter()
            .flat_map(|(tunnel, prefixes)| prefixes.iter().map(|prefix| (prefix.trunc(), tunnel.clone())))
            .collect();
        sites.sort_by(|a, b| b.0.prefix_len().cmp(&a.0.prefix_len()).then_with(|| a.cmp(b)));
        Self {
            ours: neighbours()
                .map(|(_, neighbour)| neighbour.local.to_canonical())
                .collect(),
            neighbours: neighbours()
                .rev()
                .map(|(name, neighbour)| (neighbour.remote.to_canonical(), name.clone()))
                .collect(),
            sites,
        }
    }

    /// Where the next hop of a path leads that came by this session. Tunnels lead from point to point, so that what an
    /// external neighbour names is behind its own; an internal one may name what is behind another.
    pub(crate) fn resolve(&self, next_hop: IpAddr, from: &NeighbourName, session: Session) -> Resolution<'_> {
        let next_hop = next_hop.to_canonical();
        if self.ours.contains(&next_hop) || !is_host(next_hop) {
            return Resolution::Unusable;
        }
        if session.external || next_hop == session.remote.to_canonical() {
            return Resolution::Direct;
        }
        let behind = self.sites.iter().find(|(prefix, _)| prefix.contains(&next_hop));
        let tunnel = self
            .neighbours
            .get(&next_hop)
            .or(behind.map(|(_, tunnel)| tunnel));
        match tunnel {
            Some(tunnel) if tunnel != from => Resolution::Through(tunnel),
            Some(_) | None => Resolution::Direct,
        }
    }
}

/// What of a session decides how next hops are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Session {
    /// The far end.
    pub(crate) remote: IpAddr,
    /// With another autonomous system.
    pub(crate) external: bool,
}

fn is_host(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rib::sample;

    fn resolve(next_hop: &str, external: bool) -> Option<String> {
        let mut settings = sample::settings(2);
        settings
            .sites
            .insert(sample::name(7), vec![sample::prefix("10.7.0.0/16")]);
        settings
            .sites
            .insert(sample::name(8), vec![sample::prefix("10.7.8.0/24")]);
        let next_hops = NextHops::of(&settings);
        let session = Session {
            remote: "169.254.0.1".parse().unwrap(),
            external,
        };
        match next_hops.resolve(next_hop.parse().unwrap(), &sample::name(1), session) {
            Resolution::Direct => Some("n1".to_owned()),
            Resolution::Through(tunnel) => Some(tunnel.to_string()),
            Resolution::Unusable => None,
        }
    }

    /// An address of ours is no next hop (RFC 4271 §5.1.3), mapped into IPv6 or not, and neither is what no host has.
    #[test]
    fn addresses_that_lead_nowhere() {
        for next_hop in [
            "169.254.1.2",
            "::ffff:169.254.1.2",
            "0.0.0.0",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
        ] {
            assert_eq!(resolve(next_hop, true), None, "{next_hop}");
            assert_eq!(resolve(next_hop, false), None, "{next_hop}");
        }
    }

    /// Whatever an external neighbour names is behind its tunnel.
    #[test]
    fn external_next_hops_are_behind_the_tunnel() {
        for next_hop in ["169.254.0.1", "169.254.0.2", "10.7.8.1", "203.0.113.1"] {
            assert_eq!(resolve(next_hop, true).as_deref(), Some("n1"), "{next_hop}");
        }
    }

    /// An internal one may name another neighbour, or a host of a site: the longest prefix says whose.
    #[test]
    fn internal_next_hops_are_looked_up() {
        for (next_hop, tunnel) in [
            ("169.254.0.1", "n1"),
            ("169.254.0.2", "n2"),
            ("10.7.8.1", "n8"),
            ("10.7.9.1", "n7"),
            ("203.0.113.1", "n1"),
        ] {
            assert_eq!(resolve(next_hop, false).as_deref(), Some(tunnel), "{next_hop}");
        }
    }
}
