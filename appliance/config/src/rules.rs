//! Rules that concern more than one item. A path here needs no escaping: it is made of names and indices.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::Reason;
use crate::model::{Authentication, Connection, GatewayDraft, Name, Site};
use crate::reader::{Collection, Report};

/// Checks all that could be read.
pub(crate) fn check(
    gateway: &GatewayDraft,
    sites: &Collection<Site>,
    connections: &Collection<Connection>,
    report: &Report,
) {
    check_prefixes(gateway, sites, report);
    check_addresses(gateway, sites, connections, report);
    for (name, connection) in connections.iter() {
        check_families(name, connection, report);
    }
    check_distinct(connections, report);
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
fn check_prefixes(gateway: &GatewayDraft, sites: &Collection<Site>, report: &Report) {
    let mut claims = claims(gateway, sites);
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
            .map(|(name, address)| outer(*address, own_address(name))),
    );
    claims.extend(
        sites
            .iter()
            .map(|(name, site)| outer(site.endpoint, format!("/sites/{name}/endpoint"))),
    );
    claims
}

fn own_address(name: &Name) -> String {
    format!("/gateway/ip_configurations/{name}/address")
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
        .map(|(name, address)| (*address, own_address(name)));
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
    for (name, site) in sites.iter() {
        if let Some(first) = ours.get(&site.endpoint) {
            let detail = format!("{} is our own address, that of {first}", site.endpoint);
            report.add(
                &format!("/sites/{name}/endpoint"),
                Reason::DuplicateAddress,
                detail,
            );
        }
    }
}

/// Both ends of a tunnel speak one IP version, and IPv6 inside has the room that it needs.
fn check_families(name: &Name, connection: &Connection, report: &Report) {
    /// The smallest MTU that IPv6 takes (RFC 8200 §5).
    const IPV6_MTU: u16 = 1280;
    let (local, remote) = (connection.local_address, connection.site.endpoint);
    if local.is_ipv4() != remote.is_ipv4() {
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

/// Both addresses, and both identities as `Identity::folded` gives them.
type Ends = (IpAddr, IpAddr, (u8, String), (u8, String));

/// No two enabled connections have the same ends and identities, or lead to the same site.
fn check_distinct(connections: &Collection<Connection>, report: &Report) {
    let mut by_ends: BTreeMap<Ends, &Name> = BTreeMap::new();
    let mut by_site: BTreeMap<&Name, &Name> = BTreeMap::new();
    for (name, connection) in connections.iter().filter(|(_, connection)| connection.enabled) {
        let path = format!("/connections/{name}");
        let Authentication::PreSharedKey {
            local_identity,
            remote_identity,
            ..
        } = &connection.authentication;
        let ends = (
            connection.local_address,
            connection.site.endpoint,
            local_identity.folded(),
            remote_identity.folded(),
        );
        if let Some(first) = by_ends.insert(ends, name) {
            let detail = format!("the same addresses and identities as {first}: one of its ids must differ");
            report.add(&path, Reason::AmbiguousConnection, detail);
        }
        if let Some(first) = by_site.insert(&connection.site_name, name) {
            let detail = format!(
                "{first} leads to site {} already; disable one",
                connection.site_name
            );
            report.add(&path, Reason::SiteInUse, detail);
        }
    }
}
