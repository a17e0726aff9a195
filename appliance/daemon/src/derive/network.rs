use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use appliance_config::ValidConfig;
use appliance_config::model::{Addressing, Connection, Endpoint, Interface, Name};
use ike::ConnectionName;
use ipnet::IpNet;

use super::firewall::{FirewallSettings, firewall};
use super::numbering::number;
use super::translation::translation;
use super::{Addresses, InUse, Numbering, negotiated};

/// What the network stack is to look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkSettings {
    /// Our outer addresses that connections use.
    pub(crate) outer_addresses: BTreeSet<IpAddr>,
    /// Prefixes that no packet may be sent to in clear text: those of every site, connected or not.
    pub(crate) closed: BTreeSet<IpNet>,
    /// The same of prefixes that only rules of translation know, where we have no network of our own.
    pub(crate) hidden: BTreeSet<IpNet>,
    /// What is translated in the tunnels.
    pub(crate) translation: appliance_nat::Rules,
    /// The tunnels of connections that are negotiated.
    pub(crate) tunnels: BTreeMap<ConnectionName, TunnelSettings>,
    /// The interfaces of this machine that we set.
    pub(crate) interfaces: BTreeMap<Name, Interface>,
    /// What is open on them.
    pub(crate) firewall: FirewallSettings,
    /// What this machine calls itself where it asks for addresses.
    pub(crate) host_name: Option<String>,
}

impl NetworkSettings {
    /// What its connections run under.
    pub(crate) fn numbers(&self) -> InUse {
        let tunnels = self.tunnels.iter();
        tunnels
            .map(|(name, tunnel)| (name.clone(), tunnel.numbering.clone()))
            .collect()
    }
}

/// One tunnel link and what leads into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TunnelSettings {
    /// What the kernel knows it by.
    pub(crate) numbering: Numbering,
    /// The site that lies behind it.
    pub(crate) site: Name,
    /// Among several tunnels to one site the smallest is preferred.
    pub(crate) priority: u16,
    /// Our outer address.
    pub(crate) local: IpAddr,
    /// The peer's, where it is configured.
    pub(crate) remote: Option<IpAddr>,
    /// MTU of the link, in bytes.
    pub(crate) mtu: u16,
    /// Upper bound for the TCP MSS of what passes it, in bytes.
    pub(crate) tcp_mss: u16,
    /// Addresses on the link, with prefix lengths.
    pub(crate) addresses: Vec<IpNet>,
    /// What lies behind it, as we see it, whatever BGP brings.
    pub(crate) prefixes: Vec<IpNet>,
    /// The BGP speaker at its far end.
    pub(crate) speaker: Option<Speaker>,
}

/// A BGP speaker that a tunnel leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Speaker {
    /// Its address.
    pub(crate) address: IpAddr,
    /// Among the tunnels that lead to it; each has a route of its own, for its sessions are bound to it.
    pub(crate) rank: u32,
}

/// What follows for the network, whichever datapath carries the tunnels.
pub(crate) fn network(config: &ValidConfig, in_use: &InUse, addresses: &Addresses) -> NetworkSettings {
    // Disabled connections have a number too, so that switching one off moves no other.
    let numbers = number(config.connections.keys(), in_use);
    let mut tunnels: BTreeMap<ConnectionName, TunnelSettings> = negotiated(config, addresses)
        .filter_map(|(name, connection)| {
            let numbering = numbers.get(name)?.clone();
            let prefixes = config.static_space(connection);
            let tunnel = tunnel(numbering, connection, prefixes, addresses)?;
            Some((ConnectionName(Arc::from(name.as_str())), tunnel))
        })
        .collect();
    lead_to_speakers(config, addresses, &mut tunnels);
    NetworkSettings {
        outer_addresses: negotiated(config, addresses)
            .flat_map(|(_, connection)| {
                std::iter::once(&connection.local_address).chain(connection.mobike.iter().flatten())
            })
            .filter_map(|address| addresses.of(address))
            .collect(),
        closed: config.spaces().into_values().flatten().collect(),
        hidden: config.hidden(),
        translation: translation(config, &tunnels),
        tunnels,
        interfaces: config.interfaces.clone(),
        firewall: firewall(config),
        host_name: config.system.hostname.clone(),
    }
}

/// `None` without our address, without which the connection is held.
fn tunnel(
    numbering: Numbering,
    connection: &Connection,
    prefixes: Vec<IpNet>,
    addresses: &Addresses,
) -> Option<TunnelSettings> {
    Some(TunnelSettings {
        numbering,
        site: connection.site_name.clone(),
        priority: connection.priority,
        local: addresses.of(&connection.local_address)?,
        remote: match connection.endpoint {
            Endpoint::Address(address) => Some(address),
            Endpoint::Name(_) | Endpoint::Any => None,
        },
        mtu: connection.mtu,
        tcp_mss: connection.tcp_mss,
        addresses: connection.addresses.clone(),
        prefixes,
        speaker: None,
    })
}

/// Our end of each session is an address of its tunnel link, unless the machine has it anyway; and the far end lies behind
/// the tunnel.
fn lead_to_speakers(
    config: &ValidConfig,
    addresses: &Addresses,
    tunnels: &mut BTreeMap<ConnectionName, TunnelSettings>,
) {
    let mut sessions: Vec<_> = negotiated(config, addresses)
        .filter_map(|(name, connection)| {
            let ends = (
                connection.bgp.as_ref()?.local_address,
                connection.site.bgp.as_ref()?.address,
            );
            Some((connection.priority, name, ends))
        })
        .collect();
    sessions.sort_unstable();
    let mut ranks: BTreeMap<IpAddr, u32> = BTreeMap::new();
    for (_, name, (local, address)) in sessions {
        let Some(tunnel) = tunnels.get_mut(&ConnectionName(Arc::from(name.as_str()))) else {
            continue;
        };
        let rank = ranks.entry(address).or_default();
        tunnel.speaker = Some(Speaker { address, rank: *rank });
        *rank += 1;
        let there = tunnel.addresses.iter().any(|network| network.addr() == local);
        if !there && !is_given(config, local) {
            tunnel.addresses.push(IpNet::from(local));
        }
    }
}

/// Whether an interface of the document is to have an address.
fn is_given(config: &ValidConfig, address: IpAddr) -> bool {
    let mut addressings = config
        .interfaces
        .values()
        .flat_map(|interface| [&interface.ipv4, &interface.ipv6]);
    addressings.any(|addressing| match addressing {
        Addressing::Static { addresses, .. } => addresses.iter().any(|network| network.addr() == address),
        Addressing::None | Addressing::Automatic => false,
    })
}
