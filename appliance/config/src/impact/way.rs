use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::caller::{Approach, Case};
use super::interfaces::device;
use crate::model::{Addressing, Connection, Family, Name};
use crate::{Change, ValidConfig, changes, held};

/// What a caller comes through.
pub(super) enum Way<'c> {
    /// The tunnel of this connection.
    Tunnel(&'c Name),
    /// This interface of the document.
    Interface(&'c Name),
    /// Something that is not in the document, known by our address.
    Unknown(String),
}

impl fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tunnel(name) | Self::Interface(name) => name.fmt(f),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

impl<'c> Way<'c> {
    /// A prefix of a site leads into its tunnel, unless an interface has a longer one. Then it is the interface that is
    /// known, the one with the network of the caller, or the one that has our address.
    pub(super) fn of(config: &'c ValidConfig, approach: &'c Approach) -> Self {
        let (remote, local) = (approach.remote.to_canonical(), approach.local.ip().to_canonical());
        let neighbour = neighbour(config, remote);
        let behind = behind_a_site(config, remote).filter(|(_, prefix)| {
            neighbour.is_none_or(|(_, network)| network.prefix_len() <= prefix.prefix_len())
        });
        if let Some((connection, _)) = behind.and_then(|(site, _)| carrier(config, site)) {
            return Self::Tunnel(connection);
        }
        let known = approach.interface.as_deref();
        let known = known.and_then(|name| config.interfaces.get_key_value(name));
        let interface = known
            .map(|(name, _)| name)
            .or(neighbour.map(|(name, _)| name))
            .or_else(|| owner(config, local));
        interface.map_or_else(
            || Self::Unknown(approach.interface.clone().unwrap_or_else(|| local.to_string())),
            Self::Interface,
        )
    }
}

/// Packets still find the way from the caller to us and back.
pub(super) fn check_way(case: &Case<'_>) -> Option<String> {
    if case.remote.is_loopback() {
        return None;
    }
    let here = match &case.way {
        Way::Tunnel(name) => check_tunnel(case, name),
        Way::Interface(name) => check_device(case, name).or_else(|| check_route(case)),
        Way::Unknown(_) => check_route(case),
    };
    check_local(case).or(here)
}

/// Our address stays where it is. One that an interface gets from elsewhere stays as long as it gets one.
fn check_local(case: &Case<'_>) -> Option<String> {
    let local = case.local;
    if let Some(name) = owner(case.old, local) {
        if owner(case.new, local) != Some(name) {
            return Some(format!("the address {local} goes away from {name}"));
        }
        return check_device(case, name);
    }
    if let Some((name, _)) = case.old.connections.iter().find(|(_, one)| has(one, local)) {
        let kept = case.new.connections.get(name).is_some_and(|one| has(one, local));
        return (!kept).then(|| format!("the address {local} goes away from the tunnel {name}"));
    }
    check_automatic(case)
}

/// The same of an address that no document gave to the interface: it got it from elsewhere, or the host manages it.
fn check_automatic(case: &Case<'_>) -> Option<String> {
    let local = case.local;
    let (name, managed) = match &case.way {
        Way::Interface(name) => (name.as_str(), true),
        Way::Unknown(_) => (case.approach.interface.as_deref()?, false),
        Way::Tunnel(_) => return None,
    };
    let automatic = |config: &ValidConfig| {
        let interface = config.interfaces.get(name);
        interface.is_some_and(|interface| *interface.addressing(Family::of(local)) == Addressing::Automatic)
    };
    let given = owner(case.new, local).is_some_and(|owner| owner.as_str() == name);
    let had = if managed {
        automatic(case.old)
    } else {
        case.new.interfaces.contains_key(name)
    };
    (had && !automatic(case.new) && !given).then(|| format!("{name} no longer gets the address {local}"))
}

/// The interface is there, and the same device.
fn check_device(case: &Case<'_>, name: &Name) -> Option<String> {
    match device(case.new, name) {
        None => Some(format!("the interface {name} is removed")),
        now if now != device(case.old, name) => Some(format!("the interface {name} becomes another device")),
        Some(_) => None,
    }
}

/// The tunnel stays up, and still leads to the caller.
fn check_tunnel(case: &Case<'_>, name: &Name) -> Option<String> {
    let now = case.new.connections.get(name);
    let Some(now) = now.filter(|connection| is_negotiated(connection)) else {
        return Some(format!("the tunnel {name}, through which you come, is closed"));
    };
    let leads = now.reached().iter().any(|prefix| prefix.contains(&case.remote));
    if !leads {
        return Some(format!("the tunnel {name} no longer leads to {}", case.remote));
    }
    match changes(case.old, case.new).get(name) {
        Some(Change::Reset | Change::Removed) => Some(format!(
            "the tunnel {name}, through which you come, is closed and negotiated anew"
        )),
        Some(Change::Unchanged | Change::InPlace | Change::Added) | None => None,
    }
}

/// Answers take the same way as before: not into a tunnel, to a neighbour directly, to others by the same gateway.
fn check_route(case: &Case<'_>) -> Option<String> {
    let remote = case.remote;
    let (was, is) = (neighbour(case.old, remote), neighbour(case.new, remote));
    if let Some((site, prefix)) = behind_a_site(case.new, remote)
        && behind_a_site(case.old, remote).map(|(_, prefix)| prefix) != Some(prefix)
        && is.is_none_or(|(_, network)| network.prefix_len() <= prefix.prefix_len())
    {
        return Some(format!(
            "answers to {remote} would go to the site {site}, which has {prefix}"
        ));
    }
    match (was, is) {
        (Some((before, _)), Some((now, _))) if before == now => None,
        (Some((name, _)), _) => Some(format!("{remote} is no longer in a network of {name}")),
        (None, Some((name, _))) if describes(case, name) => None,
        (None, Some((name, network))) => Some(format!(
            "answers to {remote} would go to {name}, which gets the network {network}"
        )),
        (None, None) => check_gateway(case),
    }
}

/// The default route, by which answers go that no network and no tunnel takes, stays.
fn check_gateway(case: &Case<'_>) -> Option<String> {
    let family = Family::of(case.remote);
    let (was, is) = (gateway(case.old, family), gateway(case.new, family));
    let remote = case.remote;
    match (was, is) {
        (Some((name, address)), None) => Some(format!(
            "the way to {remote} leads by the gateway {address} of {name}, which goes away"
        )),
        (None, Some((name, _))) if describes(case, name) => None,
        (was, Some((name, address))) if was != Some((name, address)) => Some(format!(
            "the way to {remote} would lead by the gateway {address} of {name}"
        )),
        (Some((name, _)), Some(_)) => check_device(case, name),
        (None, None | Some(_)) => None,
    }
}

/// The document begins to say of this interface what the host did so far: it has the address that the caller reached.
fn describes(case: &Case<'_>, name: &Name) -> bool {
    !case.old.interfaces.contains_key(name) && owner(case.new, case.local) == Some(name)
}

/// The interface to which this address is given.
fn owner(config: &ValidConfig, address: IpAddr) -> Option<&Name> {
    let has = |net: &IpNet| net.addr() == address;
    let mut networks = networks(config);
    networks.find(|(_, net)| has(net)).map(|(name, _)| name)
}

/// The interface in one of whose networks this address is, with the longest such prefix.
fn neighbour(config: &ValidConfig, address: IpAddr) -> Option<(&Name, IpNet)> {
    let near = networks(config).filter(|(_, net)| net.contains(&address));
    let longest = near.max_by_key(|(_, net)| net.prefix_len());
    longest.map(|(name, net)| (name, net.trunc()))
}

fn networks(config: &ValidConfig) -> impl Iterator<Item = (&Name, IpNet)> {
    let interfaces = config.interfaces.iter();
    interfaces.flat_map(|(name, interface)| {
        let addresses = interface
            .ipv4
            .addresses()
            .iter()
            .chain(interface.ipv6.addresses());
        addresses.map(move |net| (name, *net))
    })
}

/// The default route that is configured for an IP version.
fn gateway(config: &ValidConfig, family: Family) -> Option<(&Name, IpAddr)> {
    let mut interfaces = config.interfaces.iter();
    interfaces.find_map(|(name, interface)| Some((name, interface.addressing(family).gateway()?)))
}

/// The site behind which this address is, with the longest such prefix.
fn behind_a_site(config: &ValidConfig, address: IpAddr) -> Option<(&Name, IpNet)> {
    let spaces = config.spaces().into_iter();
    let prefixes = spaces.flat_map(|(name, space)| space.into_iter().map(move |prefix| (name, prefix)));
    let around = prefixes.filter(|(_, prefix)| prefix.contains(&address));
    around.max_by_key(|(_, prefix)| prefix.prefix_len())
}

/// The connection that is wanted most of those that lead to a site.
fn carrier<'c>(config: &'c ValidConfig, site: &Name) -> Option<(&'c Name, &'c Connection)> {
    let connections = config.connections.iter();
    let leading = connections.filter(|(_, one)| one.site_name == *site && is_negotiated(one));
    leading.min_by_key(|(name, one)| (one.priority, *name))
}

fn is_negotiated(connection: &Connection) -> bool {
    connection.enabled && held(connection).is_none()
}

fn has(connection: &Connection, address: IpAddr) -> bool {
    connection.addresses.iter().any(|net| net.addr() == address)
}
