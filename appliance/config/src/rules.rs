//! Rules that concern more than one item. A path here needs no escaping: it is made of names and indices.

pub(crate) mod interfaces;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::model::{Connection, Family, GatewayDraft, IpConfiguration, Name, Site};
use crate::reader::{Collection, Report};
use crate::{Reason, distinct};

/// Checks all that could be read.
pub(crate) fn check(
    gateway: &GatewayDraft,
    sites: &Collection<Site>,
    connections: &Collection<Connection>,
    report: &Report,
) {
    check_prefixes(gateway, sites, connections, report);
    check_addresses(gateway, sites, connections, report);
    for (name, connection) in connections.iter() {
        check_families(name, connection, report);
    }
    distinct::check(connections, report);
}

/// A prefix or an outer address, and whose it is.
struct Claim<'c> {
    net: IpNet,
    owner: Owner<'c>,
    path: String,
}

/// Whose a prefix is; outer addresses come last, so that a sweep meets them inside what contains them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Owner<'c> {
    Gateway,
    Site(&'c Name),
    Outer,
}

/// No two owners share an inner address, and no outer address lies inside a site: no packet has two ways to go.
fn check_prefixes(
    gateway: &GatewayDraft,
    sites: &Collection<Site>,
    connections: &Collection<Connection>,
    report: &Report,
) {
    let mut claims = claims(gateway, sites);
    claims.extend(
        endpoints(sites, connections)
            .into_iter()
            .map(|(address, path)| Claim {
                net: address.into(),
                owner: Owner::Outer,
                path,
            }),
    );
    claims.sort_by_key(|claim| (claim.net.network(), claim.net.prefix_len(), claim.owner));
    let mut around: Vec<&Claim<'_>> = Vec::new();
    for claim in &claims {
        while around.last().is_some_and(|outer| !outer.net.contains(&claim.net)) {
            around.pop();
        }
        let conflict = around.iter().rev().find(|outer| conflicts(outer, claim));
        match (conflict, claim.owner) {
            (Some(outer), Owner::Outer) => {
                let detail = format!(
                    "lies inside {} of {}: its packets would enter the tunnel",
                    outer.net, outer.path
                );
                report.add(&claim.path, Reason::EndpointInsideAddressSpace, detail);
            }
            (Some(outer), Owner::Gateway | Owner::Site(_)) => {
                let detail = format!("{} overlaps {} of {}", claim.net, outer.net, outer.path);
                report.add(&claim.path, Reason::AddressSpaceOverlap, detail);
            }
            (None, Owner::Outer) => {}
            (None, Owner::Gateway | Owner::Site(_)) => around.push(claim),
        }
    }
}

fn claims<'c>(gateway: &GatewayDraft, sites: &'c Collection<Site>) -> Vec<Claim<'c>> {
    let mut claims = Vec::new();
    let mut space = |prefixes: &[IpNet], owner: Owner<'c>, path: &str| {
        claims.extend(prefixes.iter().enumerate().map(|(index, net)| Claim {
            net: *net,
            owner,
            path: format!("{path}/address_space/{index}"),
        }));
    };
    space(
        gateway.address_space.as_deref().unwrap_or_default(),
        Owner::Gateway,
        "/gateway",
    );
    for (name, site) in sites.iter() {
        space(&site.address_space, Owner::Site(name), &format!("/sites/{name}"));
    }
    let outer = |address: IpAddr, path| Claim {
        net: address.into(),
        owner: Owner::Outer,
        path,
    };
    claims.extend(
        gateway
            .ip_configurations
            .iter()
            .flat_map(|(name, configuration)| outer_addresses(name, configuration))
            .map(|(address, path)| outer(address, path)),
    );
    claims
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
/// itself; our own prefixes may hold outer addresses.
fn conflicts(outer: &Claim<'_>, inner: &Claim<'_>) -> bool {
    match inner.owner {
        Owner::Outer => outer.owner != Owner::Gateway,
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
