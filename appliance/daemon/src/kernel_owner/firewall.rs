use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use appliance_config::model::{InterfaceRole, Name};
use appliance_kernel::{Connected, Firewall, Key, LinkName, Object, Openings};
use ipnet::IpNet;
use tracing::debug;

use super::local::is_plain;
use super::machine::Machine;
use super::owner::KernelOwner;
use crate::datapath::FirewallSnapshot;
use crate::derive::NetworkSettings;

impl Machine<'_> {
    /// The table that closes this machine. Without interfaces in the document there is none: they are not ours to close.
    pub(super) fn firewall(
        &self,
        network: &NetworkSettings,
        connected: &BTreeSet<Connected>,
    ) -> Option<Firewall> {
        (!self.interfaces.is_empty()).then(|| Firewall::with(self.openings(network, connected)))
    }

    fn openings(&self, network: &NetworkSettings, connected: &BTreeSet<Connected>) -> Openings {
        let settings = &network.firewall;
        let outside = self.named(InterfaceRole::Wan);
        let inside = self.named(InterfaceRole::Lan);
        let management = self.named(InterfaceRole::Management);
        let mut near = self.networks(&outside, connected);
        near.extend(self.beyond(&outside));
        let peers = network.tunnels.values().filter_map(|tunnel| tunnel.remote);
        let asked = settings.asked.iter().copied();
        near.extend(peers.chain(asked).map(IpNet::from).filter(Openings::is_private));
        let of_ours = inside.iter().chain(&management);
        let own = self.networks(
            &of_ours.map(|(name, link)| (*name, link.clone())).collect(),
            connected,
        );
        let speakers = network.tunnels.values().filter_map(|tunnel| tunnel.speaker);
        Openings {
            outside: outside.into_values().collect(),
            inside: inside.into_values().collect(),
            management: management.into_values().collect(),
            api: settings.api.clone(),
            api_sources: settings.api_sources.clone(),
            speakers: speakers.map(|speaker| speaker.address).collect(),
            near: near.into_iter().collect(),
            own: own.into_iter().collect(),
        }
    }

    /// The interfaces of a role, with their links.
    fn named(&self, role: InterfaceRole) -> BTreeMap<&Name, LinkName> {
        let of_role = self.interfaces.iter().filter(|(_, one)| one.role == role);
        let linked = of_role.filter_map(|(name, _)| Some((name, self.link(name)?)));
        linked.filter(|(_, link)| is_plain(link)).collect()
    }

    /// What is right there: the networks of the addresses that these interfaces have or are to have. Those of one link alone say
    /// nothing about where an address is.
    fn networks(
        &self,
        interfaces: &BTreeMap<&Name, LinkName>,
        connected: &BTreeSet<Connected>,
    ) -> BTreeSet<IpNet> {
        let wanted = interfaces.keys().flat_map(|name| self.wanted(name));
        let links: BTreeSet<&LinkName> = interfaces.values().collect();
        let there = connected.iter().filter(|one| links.contains(&one.link));
        let all = wanted.map(|one| one.trunc()).chain(there.map(|one| one.network));
        all.filter(|one| !of_one_link(one.addr())).collect()
    }

    /// What these interfaces need beyond their networks: routers, and the servers that a lease names.
    fn beyond(&self, interfaces: &BTreeMap<&Name, LinkName>) -> Vec<IpNet> {
        let routers = interfaces.keys().flat_map(|name| self.gateways(name));
        let leases = interfaces.keys().filter_map(|name| self.leases.get(*name));
        let servers = leases.flat_map(|lease| {
            let named = lease.name_servers.iter().chain(&lease.ntp_servers);
            named.chain([&lease.server])
        });
        let all = routers.chain(servers.map(|server| IpAddr::V4(*server)));
        all.map(IpNet::from).filter(Openings::is_private).collect()
    }
}

fn of_one_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

impl KernelOwner {
    /// The table that is to be there.
    pub(super) fn firewall(&self, network: &NetworkSettings) -> Option<(Key, Object)> {
        let machine = self.interfaces.machine(&network.interfaces, &self.kernel);
        let object = Object::from(machine.firewall(network, self.kernel.connected())?);
        Some((object.key(), object))
    }

    /// What is closed and dropped; `None` without interfaces in the document.
    pub(super) async fn firewall_snapshot(&mut self) -> Option<FirewallSnapshot> {
        let (_, wanted) = self.firewall(&self.network)?;
        let Object::Firewall(wanted) = wanted else {
            return None;
        };
        let dropped = self.kernel.dropped().await.unwrap_or_else(|refusal| {
            debug!(%refusal, "counters of the firewall");
            BTreeMap::new()
        });
        Some(FirewallSnapshot {
            in_place: self.kernel.firewall() == Some(&wanted),
            dropped,
        })
    }
}

#[cfg(test)]
mod tests;
