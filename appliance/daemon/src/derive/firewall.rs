use std::collections::BTreeSet;
use std::net::IpAddr;

use appliance_config::ValidConfig;
use appliance_config::model::{Host, KeyProvider};
use ipnet::IpNet;

/// Where a machine in a cloud asks for tokens (IMDS).
const METADATA: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(169, 254, 169, 254));

/// What the document opens on the machine's own interfaces, apart from what tunnels need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FirewallSettings {
    /// TCP ports of API and console.
    pub(crate) api: BTreeSet<u16>,
    /// From where they may be reached; without any, from interfaces of role lan and management.
    pub(crate) api_sources: Vec<IpNet>,
    /// Servers that the machine itself asks.
    pub(crate) asked: BTreeSet<IpAddr>,
}

/// What a document opens.
pub(super) fn firewall(config: &ValidConfig) -> FirewallSettings {
    let management = &config.system.management;
    let outward = management.listen.iter().filter(|one| !one.ip().is_loopback());
    let clocks = config.system.time.ntp.iter().filter_map(|server| match server {
        Host::Address(address) => Some(*address),
        Host::Name(_) => None,
    });
    let mut providers = config.key_providers.values();
    let in_cloud = providers.any(|provider| match provider {
        KeyProvider::KeyVault { .. } => true,
        KeyProvider::Pkcs11 { .. } | KeyProvider::File => false,
    });
    FirewallSettings {
        api: outward.map(std::net::SocketAddr::port).collect(),
        api_sources: management.allow_from.clone(),
        asked: config
            .system
            .dns
            .iter()
            .copied()
            .chain(clocks)
            .chain(in_cloud.then_some(METADATA))
            .collect(),
    }
}
