use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use appliance_config::ValidConfig;
use appliance_config::model::{Connection, Endpoint, Interface, Name};
use ike::ConnectionName;
use ipnet::IpNet;

use super::numbering::number;
use super::{Addresses, InUse, Numbering, negotiated};

/// What the network stack is to look like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkSettings {
    /// Our outer addresses that connections use.
    pub(crate) outer_addresses: BTreeSet<IpAddr>,
    /// Prefixes that no packet may be sent to in clear text: those of every site, connected or not.
    pub(crate) closed: BTreeSet<IpNet>,
    /// The tunnels of connections that are negotiated.
    pub(crate) tunnels: BTreeMap<ConnectionName, TunnelSettings>,
    /// The interfaces of this machine that we set.
    pub(crate) interfaces: BTreeMap<Name, Interface>,
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
    /// What lies behind it.
    pub(crate) prefixes: Vec<IpNet>,
}

/// What follows for the network, whichever datapath carries the tunnels.
pub(crate) fn network(config: &ValidConfig, in_use: &InUse, addresses: &Addresses) -> NetworkSettings {
    // Disabled connections have a number too, so that switching one off moves no other.
    let numbers = number(config.connections.keys(), in_use);
    NetworkSettings {
        outer_addresses: negotiated(config, addresses)
            .flat_map(|(_, connection)| {
                std::iter::once(&connection.local_address).chain(connection.mobike.iter().flatten())
            })
            .filter_map(|address| addresses.of(address))
            .collect(),
        closed: config.spaces().into_values().flatten().collect(),
        tunnels: negotiated(config, addresses)
            .filter_map(|(name, connection)| {
                let numbering = numbers.get(name)?.clone();
                let tunnel = tunnel(numbering, connection, addresses)?;
                Some((ConnectionName(Arc::from(name.as_str())), tunnel))
            })
            .collect(),
        interfaces: config.interfaces.clone(),
        host_name: config.system.hostname.clone(),
    }
}

/// `None` without our address, without which the connection is held.
fn tunnel(numbering: Numbering, connection: &Connection, addresses: &Addresses) -> Option<TunnelSettings> {
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
        prefixes: connection.site.address_space.clone(),
    })
}
