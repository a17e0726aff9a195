//! Rules that concern more than one item. A path here needs no escaping: it is made of names and indices.

mod bgp;
pub(crate) mod interfaces;
mod nat;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Connection, Family, GatewayDraft, IpConfiguration, Limits, Name, NatMode, NatRule, Site};
use crate::reader::{Collection, Report};
use crate::spaces::Spaces;
use crate::{Reason, distinct};

/// Checks all that could be read.
pub(crate) fn check(
    gateway: &GatewayDraft,
    sites: &Collection<Site>,
    connections: &Collection<Connection>,
    rules: &Collection<NatRule>,
    report: &Report,
) {
    let space = InnerSpace {
        gateway,
        sites,
        connections,
        rules,
    };
    check_prefixes(&space, report);
    check_addresses(gateway, sites, connections, report);
    for (name, connection) in connections.iter() {
        check_families(name, connection, report);
    }
    distinct::check(connections, report);
    bgp::check(gateway, sites, connections, report);
    nat::check(gateway, rules, connections, report);
}

/// What has a say in which addresses are whose.
struct InnerSpace<'c> {
    gateway: &'c GatewayDraft,
    sites: &'c Collection<Site>,
    connections: &'c Collection<Connection>,
    rules: &'c Collection<NatRule>,
}

/// A prefix or an outer address, and whose it is.
struct Claim<'c> {
    net: IpNet,
    owner: Owner<'c>,
    path: String,
    /// The rule that it is of, if it is of one.
    rule: Option<&'c NatRule>,
}

impl<'c> Claim<'c> {
    fn of(owner: Owner<'c>, net: impl Into<IpNet>, path: String) -> Self {
        Self {
            net: net.into(),
            owner,
            path,
            rule: None,
        }
    }
}

/// Whose a prefix is; single addresses come last, so that a sweep meets them inside what contains them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner<'c> {
    Gateway,
    Site(&'c Name),
    /// What a rule of translation makes of other prefixes.
    Rule(&'c Name),
    /// An address where we speak BGP.
    Speaker,
    /// One where a site does.
    Peer(&'c Name),
    Outer,
}

/// No two owners share an inner address, and no outer address lies inside a site: no packet has two ways to go.
fn check_prefixes(space: &InnerSpace<'_>, report: &Report) {
    let mut claims = prefix_claims(space);
    claims.extend(address_claims(space));
    claims.sort_by_key(|claim| (claim.net.network(), claim.net.prefix_len(), claim.owner));
    let mut around: Vec<&Claim<'_>> = Vec::new();
    for claim in &claims {
        while around.last().is_some_and(|outer| !outer.net.contains(&claim.net)) {
            around.pop();
        }
        let conflict = around.iter().rev().find(|outer| conflicts(outer, claim));
        match (conflict, claim.owner) {
            (Some(outer), _) => {
                let (path, reason, detail) = clash(outer, claim);
                report.add(path, reason, detail);
            }
            (None, Owner::Outer) => {}
            (None, Owner::Gateway | Owner::Site(_) | Owner::Rule(_) | Owner::Speaker | Owner::Peer(_)) => {
                around.push(claim);
            }
        }
    }
}

/// What is wrong with one that lies inside another, and where.
fn clash<'c>(outer: &'c Claim<'_>, inner: &'c Claim<'_>) -> (&'c str, Reason, String) {
    let place = format!("{} of {}", outer.net, outer.path);
    let (reason, detail) = match (inner.owner, outer.owner) {
        (Owner::Outer, Owner::Speaker | Owner::Peer(_)) => {
            let detail = format!(
                "is also that of {}, which is for use inside the tunnel",
                outer.path
            );
            (Reason::DuplicateAddress, detail)
        }
        (Owner::Outer, Owner::Gateway | Owner::Site(_) | Owner::Rule(_) | Owner::Outer) => {
            let detail = format!("lies inside {place}: its packets would enter the tunnel");
            (Reason::EndpointInsideAddressSpace, detail)
        }
        (Owner::Rule(_), _) => {
            let detail = format!("{} overlaps {place}", inner.net);
            (Reason::NatMappingOverlap, detail)
        }
        (Owner::Gateway | Owner::Site(_), Owner::Rule(_)) => {
            let detail = format!("{} overlaps {} of {}", outer.net, inner.net, inner.path);
            return (&outer.path, Reason::NatMappingOverlap, detail);
        }
        (Owner::Gateway | Owner::Site(_), _) => {
            let detail = format!("{} overlaps {place}", inner.net);
            (Reason::AddressSpaceOverlap, detail)
        }
        (Owner::Speaker | Owner::Peer(_), Owner::Rule(_)) => {
            let detail = format!(
                "{} has {} in it, that of {}",
                outer.net,
                inner.net.addr(),
                inner.path
            );
            return (&outer.path, Reason::NatCoversBgpAddress, detail);
        }
        (Owner::Speaker | Owner::Peer(_), Owner::Speaker | Owner::Peer(_)) => {
            let detail = format!("{} is also that of {}", inner.net.addr(), outer.path);
            (Reason::DuplicateAddress, detail)
        }
        (Owner::Speaker | Owner::Peer(_), Owner::Gateway | Owner::Site(_) | Owner::Outer) => {
            let detail = format!("{} lies inside {place}; take one outside it", inner.net.addr());
            (Reason::BgpAddressInsideAddressSpace, detail)
        }
    };
    (&inner.path, reason, detail)
}

/// Prefixes as we see them: what is translated is somewhere else.
fn prefix_claims<'c>(space: &InnerSpace<'c>) -> Vec<Claim<'c>> {
    let ours = space.gateway.address_space.iter().flatten().enumerate();
    let ours =
        ours.map(|(index, net)| Claim::of(Owner::Gateway, *net, format!("/gateway/address_space/{index}")));
    let mut claims: Vec<Claim<'c>> = ours.collect();
    // With a connection or a rule that could not be read it is not known what is translated.
    let known = space.rules.is_empty() || (space.rules.is_complete() && space.connections.is_complete());
    let seen = Spaces::of(space.connections.iter().map(|(_, connection)| connection));
    for (name, site) in space.sites.iter().filter(|_| known) {
        let pieces = seen.untranslated(name, site).into_iter();
        claims.extend(pieces.map(|(index, net)| {
            Claim::of(
                Owner::Site(name),
                net,
                format!("/sites/{name}/address_space/{index}"),
            )
        }));
    }
    // More than that is refused for its number, and would be long to compare.
    let rules = space.rules.iter().take(usize::from(Limits::MOST_NAT_RULES));
    claims.extend(rules.map(|(name, rule)| Claim {
        rule: Some(rule),
        ..Claim::of(
            Owner::Rule(name),
            rule.external,
            format!("/nat_rules/{name}/external/prefix"),
        )
    }));
    claims
}

/// Outer addresses, and those where BGP is spoken.
fn address_claims<'c>(space: &InnerSpace<'c>) -> Vec<Claim<'c>> {
    let gateway = space.gateway;
    let own = gateway
        .ip_configurations
        .iter()
        .flat_map(|(name, configuration)| outer_addresses(name, configuration));
    let outer = own.chain(endpoints(space.sites, space.connections));
    let outer = outer.map(|(address, path)| Claim::of(Owner::Outer, address, path));
    let ours = gateway
        .bgp
        .iter()
        .flatten()
        .flat_map(|bgp| bgp.addresses.iter().enumerate());
    let ours = ours.map(|(index, address)| Claim::of(Owner::Speaker, *address, speaker_address(index)));
    let peers = bgp::speakers(space.sites).map(|(name, speaker)| {
        let path = format!("/sites/{name}/bgp/address");
        Claim::of(Owner::Peer(name), speaker.address, path)
    });
    outer.chain(ours).chain(peers).collect()
}

fn speaker_address(index: usize) -> String {
    format!("/gateway/bgp/addresses/{index}")
}

/// The address of every peer that has one, and where it stands.
fn endpoints(sites: &Collection<Site>, connections: &Collection<Connection>) -> Vec<(IpAddr, String)> {
    let of_sites = sites
        .iter()
        .map(|(name, site)| (&site.endpoint, format!("/sites/{name}/endpoint")));
    let own = connections
        .iter()
        .filter(|(_, connection)| connection.endpoint != connection.site.endpoint);
    let own = own.map(|(name, connection)| (&connection.endpoint, format!("/connections/{name}/endpoint")));
    of_sites
        .chain(own)
        .filter_map(|(endpoint, path)| Some((endpoint.address()?, path)))
        .collect()
}

/// The outer addresses that are known beforehand, and where each stands.
fn outer_addresses(name: &Name, configuration: &IpConfiguration) -> impl Iterator<Item = (IpAddr, String)> {
    let path = format!("/gateway/ip_configurations/{name}");
    let path = match configuration {
        IpConfiguration::Address(_) => format!("{path}/address"),
        IpConfiguration::Interface { .. } => format!("{path}/interface"),
    };
    configuration.known().map(move |address| (address, path.clone()))
}

/// Whether the inner claim may not lie inside the outer one. A prefix may hold another of the same owner, but not
/// itself; our own prefixes may hold outer addresses and our BGP speaker, a site's its own, and rules others that
/// go with them.
fn conflicts(outer: &Claim<'_>, inner: &Claim<'_>) -> bool {
    match inner.owner {
        // What we are shown as to sites is no way into a tunnel.
        Owner::Outer if outer.rule.is_some_and(|rule| rule.mode == NatMode::EgressSnat) => false,
        Owner::Outer | Owner::Speaker => outer.owner != Owner::Gateway,
        Owner::Peer(name) => outer.owner != Owner::Site(name),
        Owner::Rule(_) => !outer
            .rule
            .zip(inner.rule)
            .is_some_and(|(one, other)| one.goes_with(other)),
        Owner::Gateway | Owner::Site(_) => outer.owner != inner.owner || outer.net == inner.net,
    }
}

/// Each of our own addresses is there once, and no peer has it.
fn check_addresses(
    gateway: &GatewayDraft,
    sites: &Collection<Site>,
    connections: &Collection<Connection>,
    report: &Report,
) {
    let mut ours: BTreeMap<IpAddr, String> = BTreeMap::new();
    let outer = gateway
        .ip_configurations
        .iter()
        .flat_map(|(name, configuration)| outer_addresses(name, configuration));
    let inner = connections.iter().flat_map(|(name, connection)| {
        let addresses = connection.addresses.iter().enumerate();
        addresses.map(move |(index, net)| (net.addr(), format!("/connections/{name}/addresses/{index}")))
    });
    let inner: Vec<(IpAddr, String)> = inner.collect();
    check_links(&inner, sites, report);
    for (address, path) in outer.chain(inner) {
        match ours.get(&address) {
            Some(first) => {
                report.add(
                    &path,
                    Reason::DuplicateAddress,
                    format!("{address} is also that of {first}"),
                );
            }
            None => {
                ours.insert(address, path);
            }
        }
    }
    for (address, path) in endpoints(sites, connections) {
        if let Some(first) = ours.get(&address) {
            let detail = format!("{address} is our own address, that of {first}");
            report.add(&path, Reason::DuplicateAddress, detail);
        }
    }
}

/// No address on a link of a tunnel is that of a peer's BGP speaker.
fn check_links(inner: &[(IpAddr, String)], sites: &Collection<Site>, report: &Report) {
    let peers: BTreeMap<IpAddr, &Name> = bgp::speakers(sites)
        .map(|(name, speaker)| (speaker.address, name))
        .collect();
    for (address, path) in inner {
        if let Some(peer) = peers.get(address) {
            let detail = format!("{address} is also that of /sites/{peer}/bgp/address");
            report.add(path, Reason::DuplicateAddress, detail);
        }
    }
}

/// Both ends of a tunnel speak one IP version, and IPv6 inside has the room that it needs.
fn check_families(name: &Name, connection: &Connection, report: &Report) {
    /// The smallest MTU that IPv6 takes (RFC 8200 §5).
    const IPV6_MTU: u16 = 1280;
    let local = &connection.local_address;
    if let Some(remote) = connection.endpoint.address()
        && local.family() != Family::of(remote)
    {
        let detail = format!("our address {local} and the endpoint {remote} are of different IP versions");
        report.add(
            &format!("/connections/{name}"),
            Reason::AddressFamilyMismatch,
            detail,
        );
    }
    let mut inner = connection.addresses.iter().chain(&connection.site.address_space);
    if connection.mtu < IPV6_MTU && inner.any(|net| net.addr().is_ipv6()) {
        let detail = format!("{}; IPv6 in the tunnel needs at least {IPV6_MTU}", connection.mtu);
        report.add(&format!("/connections/{name}/mtu"), Reason::OutOfRange, detail);
    }
}
