//! The meaning of rules, read off directly.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use appliance_nat::{End, Kind, Packet, Rule, Tunnel};
use ipnet::IpNet;

use crate::world::{World, matches};

/// What a packet becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    Passed {
        link: Option<String>,
        source: Choice,
        destination: End,
    },
    Refused,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    This(End),
    Among(IpNet, Vec<RangeInclusive<u16>>),
}

/// Of the rules that match: those for a port first, then the longest prefix.
fn best<'r>(
    rules: impl Iterator<Item = &'r Rule>,
    packet: &Packet,
    end: End,
    internal: bool,
) -> Option<&'r Rule> {
    let net = |rule: &Rule| if internal { rule.internal } else { rule.external };
    rules
        .filter(|rule| matches(rule, net(rule), packet, end, internal))
        .max_by_key(|rule| {
            (
                matches!(rule.kind, Kind::Static { ports: Some(_) }),
                net(rule).prefix_len(),
            )
        })
}

/// The same host of another prefix.
fn moved(address: IpAddr, from: IpNet, to: IpNet) -> IpAddr {
    match (address, from, to) {
        (IpAddr::V4(address), IpNet::V4(from), IpNet::V4(to)) => {
            IpAddr::V4((u32::from(address) - u32::from(from.network()) + u32::from(to.network())).into())
        }
        (IpAddr::V6(address), IpNet::V6(from), IpNet::V6(to)) => {
            IpAddr::V6((u128::from(address) - u128::from(from.network()) + u128::from(to.network())).into())
        }
        _ => panic!("one version"),
    }
}

fn reversed(rule: &Rule, end: End) -> Option<End> {
    let ports = match rule.kind {
        Kind::Dynamic { .. } => return None,
        Kind::Static { ports } => ports,
    };
    Some(End {
        address: moved(end.address, rule.external, rule.internal),
        port: ports.map_or(end.port, |(inside, _)| Some(inside)),
    })
}

fn translated(rule: &Rule, end: End) -> Choice {
    match &rule.kind {
        Kind::Dynamic { ports } => Choice::Among(rule.external, ports.clone()),
        Kind::Static { ports } => Choice::This(End {
            address: moved(end.address, rule.internal, rule.external),
            port: ports.map_or(end.port, |(_, outside)| Some(outside)),
        }),
    }
}

/// What rules say of the first packet of a flow.
pub(crate) fn expected(world: &World, packet: &Packet) -> Expected {
    let by = |link: Option<&str>| -> Option<&Tunnel> {
        world
            .rules
            .tunnels
            .values()
            .find(|tunnel| Some(&*tunnel.link) == link)
    };
    let arrived = by(packet.link.as_deref());
    let mut destination = packet.destination;
    let mut link = world.route(destination.address);
    let leaves = by(link.as_deref());
    // Destination, at most one: an external address of ours, or of the site that the route leads to.
    let ours = arrived.and_then(|tunnel| best(tunnel.egress.values(), packet, destination, false));
    let theirs = || leaves.and_then(|tunnel| best(tunnel.ingress.values(), packet, destination, false));
    if let Some(rule) = ours {
        let Some(end) = reversed(rule, destination) else {
            return Expected::Refused;
        };
        destination = end;
        link = world.route(destination.address);
    } else if let Some(rule) = theirs() {
        let Some(end) = reversed(rule, destination) else {
            return Expected::Refused;
        };
        destination = end;
    }
    // Source, at most one: an internal address of the site, or else of ours towards the other site.
    let source = arrived
        .and_then(|tunnel| best(tunnel.ingress.values(), packet, packet.source, true))
        .or_else(|| {
            by(link.as_deref()).and_then(|tunnel| best(tunnel.egress.values(), packet, packet.source, true))
        });
    Expected::Passed {
        link,
        source: source.map_or(Choice::This(packet.source), |rule| {
            translated(rule, packet.source)
        }),
        destination,
    }
}
