use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use appliance_config::model::{Addressing, Device as Match, Family, Interface, InterfaceRole, Name};
use appliance_dhcp::Lease;
use appliance_kernel::sysctl::LinkSetting;
use appliance_kernel::{Address, Connected, Device, Link, LinkKind, LinkName, Object, Route, Target};
use ipnet::{IpNet, Ipv4Net};

use crate::derive::Addresses;

/// Metrics of default routes: those that are configured before those that a server gave, and of each the first interface
/// by name. None is that of another network manager.
const CONFIGURED_METRIC: u32 = 400;
const LEASED_METRIC: u32 = 500;
/// So many interfaces have a metric of their own.
const METRICS: u32 = 99;

/// The interfaces of the document, and what is known of them.
#[derive(Clone, Copy)]
pub(crate) struct Machine<'a> {
    /// As they are configured.
    pub(crate) interfaces: &'a BTreeMap<Name, Interface>,
    /// All links that there are.
    pub(crate) devices: &'a BTreeMap<LinkName, Device>,
    /// What servers granted.
    pub(crate) leases: &'a BTreeMap<Name, Lease>,
}

impl<'a> Machine<'a> {
    /// The link that an interface is; it need not be there yet, and for one that is known by its hardware address there may
    /// be none.
    pub(crate) fn link(&self, name: &Name) -> Option<LinkName> {
        match &self.interfaces.get(name)?.device {
            Match::SameName | Match::Vlan { .. } => LinkName::try_from(name.as_str()).ok(),
            Match::Named(link) => LinkName::try_from(link.as_str()).ok(),
            Match::Mac(mac) => {
                // A VLAN has the address of its parent.
                let mut devices = self.devices.iter();
                let found = devices.find(|(_, device)| device.mac == Some(mac.0) && !device.is_vlan);
                found.map(|(link, _)| link.clone())
            }
        }
    }

    /// The link that an interface is, if it is there.
    pub(crate) fn device(&self, name: &Name) -> Option<(LinkName, &'a Device)> {
        let link = self.link(name)?;
        let device = self.devices.get(&link)?;
        Some((link, device))
    }

    /// All that follows for the kernel.
    pub(super) fn objects(&self) -> Vec<Object> {
        let mut objects = Vec::new();
        for (place, (name, interface)) in (0..).zip(self.interfaces) {
            let Some((link, kind)) = self.link(name).zip(self.kind(interface)) else {
                continue;
            };
            let addresses = self.wanted(name);
            objects.push(Object::from(Link {
                name: link.clone(),
                kind,
                mtu: self.mtu(name, interface),
                up: true,
                purpose: name.to_string(),
            }));
            objects.extend(addresses.iter().map(|network| {
                Object::from(Address {
                    link: link.clone(),
                    network: *network,
                })
            }));
            objects.extend(self.default_routes(name, &link, u32::min(place, METRICS)));
        }
        objects
    }

    fn kind(&self, interface: &Interface) -> Option<LinkKind> {
        match &interface.device {
            Match::SameName | Match::Named(_) | Match::Mac(_) => Some(LinkKind::Device),
            Match::Vlan { parent, id } => Some(LinkKind::Vlan {
                parent: self.link(parent)?,
                id: *id,
            }),
        }
    }

    /// The smaller of what is configured and what a server says of its network.
    pub(crate) fn mtu(&self, name: &Name, interface: &Interface) -> u32 {
        let granted = self.leases.get(name).and_then(|lease| lease.mtu);
        granted.map_or(interface.mtu, |mtu| mtu.min(interface.mtu)).into()
    }

    /// The addresses that an interface is to have, configured or granted.
    pub(crate) fn wanted(&self, name: &Name) -> Vec<IpNet> {
        let Some(interface) = self.interfaces.get(name) else {
            return Vec::new();
        };
        let configured = interface
            .ipv4
            .addresses()
            .iter()
            .chain(interface.ipv6.addresses());
        let granted = self.lease(name, interface).and_then(network_of);
        granted.into_iter().chain(configured.copied()).collect()
    }

    /// A lease of an interface that is configured otherwise meanwhile is none.
    fn lease(&self, name: &Name, interface: &Interface) -> Option<&'a Lease> {
        self.leases
            .get(name)
            .filter(|_| interface.ipv4 == Addressing::Automatic)
    }

    /// The routers that an interface has default routes to.
    pub(crate) fn gateways(&self, name: &Name) -> Vec<IpAddr> {
        let all = self.routers(name).into_iter();
        all.map(|(gateway, ..)| gateway).collect()
    }

    /// The same with the metric of each, and whether it is outside of every network of the interface.
    fn routers(&self, name: &Name) -> Vec<(IpAddr, u32, bool)> {
        let Some(interface) = self.interfaces.get(name) else {
            return Vec::new();
        };
        let configured = [&interface.ipv4, &interface.ipv6].map(Addressing::gateway);
        let configured = configured.into_iter().flatten();
        let mut gateways: Vec<(IpAddr, u32, bool)> = configured
            .map(|gateway| (gateway, CONFIGURED_METRIC, false))
            .collect();
        let lease = self.lease(name, interface);
        if let Some((lease, router)) = lease.and_then(|lease| Some((lease, lease.router?))) {
            let near = network_of(lease).is_some_and(|network| network.contains(&IpAddr::V4(router)));
            gateways.push((router.into(), LEASED_METRIC, !near));
        }
        gateways
    }

    fn default_routes(&self, name: &Name, link: &LinkName, place: u32) -> Vec<Object> {
        let routes = self.routers(name).into_iter().map(|(gateway, metric, on_link)| {
            Object::from(Route {
                prefix: everywhere(gateway),
                metric: metric + place,
                target: Target::Gateway {
                    link: link.clone(),
                    gateway,
                    on_link,
                },
            })
        });
        routes.collect()
    }

    /// The addresses that each interface has, those that it is to have first. Of what routers advertise all of global
    /// scope count.
    pub(crate) fn addresses(&self, connected: &BTreeSet<Connected>) -> Addresses {
        let mut all = Addresses::default();
        for (name, interface) in self.interfaces {
            let Some((link, _)) = self.device(name) else {
                continue;
            };
            let there = || {
                connected
                    .iter()
                    .filter(|one| one.link == link)
                    .map(|one| one.address)
            };
            let wanted = self.wanted(name);
            let mut found: Vec<IpAddr> = wanted
                .iter()
                .map(IpNet::addr)
                .filter(|address| there().any(|one| one == *address))
                .collect();
            if advertised(interface) {
                found.extend(there().filter(|address| matches!(address, IpAddr::V6(six) if is_global(six))));
            }
            all.found(name.clone(), found);
        }
        all
    }

    /// Without what is on interfaces of role wan: whoever gives addresses there may be anybody, and nothing there is a
    /// network of our own.
    pub(super) fn inner(&self, connected: &BTreeSet<Connected>) -> BTreeSet<Connected> {
        let outside = self
            .interfaces
            .iter()
            .filter(|(_, interface)| interface.role == InterfaceRole::Wan);
        let outside: BTreeSet<LinkName> = outside.filter_map(|(name, _)| self.link(name)).collect();
        let inner = connected.iter().filter(|one| !outside.contains(&one.link));
        inner.cloned().collect()
    }

    /// Addresses of somebody else that do not belong on an interface, since the document, or a server that it leaves that
    /// to, says which addresses that has. They go once those are there.
    pub(super) fn strange(
        &self,
        foreign: impl Iterator<Item = Address>,
        connected: &BTreeSet<Connected>,
    ) -> Vec<Address> {
        let mut settled: BTreeSet<(LinkName, Family)> = BTreeSet::new();
        let present = |link: &LinkName, network: &IpNet| {
            connected
                .iter()
                .any(|one| one.link == *link && one.address == network.addr())
        };
        for (name, interface) in self.interfaces {
            let Some(link) = self.link(name) else { continue };
            let wanted = self.wanted(name);
            for family in Family::BOTH {
                let mut of_family = wanted
                    .iter()
                    .filter(|network| Family::of(network.addr()) == family)
                    .peekable();
                let automatic = family == Family::V6 && interface.ipv6 == Addressing::Automatic;
                if !automatic
                    && of_family.peek().is_some()
                    && of_family.all(|network| present(&link, network))
                {
                    settled.insert((link.clone(), family));
                }
            }
        }
        let strange = foreign.filter(|address| {
            let of_kernel = matches!(address.network.addr(), IpAddr::V6(six) if !is_global(&six));
            let family = Family::of(address.network.addr());
            !of_kernel && settled.contains(&(address.link.clone(), family))
        });
        strange.collect()
    }

    /// The switches of each device that is there.
    pub(super) fn switches(&self) -> BTreeSet<(u32, LinkName, LinkSetting, u32)> {
        let mut switches = BTreeSet::new();
        for (name, interface) in self.interfaces {
            let Some((link, device)) = self.device(name) else {
                continue;
            };
            let (accept, make_up) = if advertised(interface) { (2, 1) } else { (0, 0) };
            for (setting, value) in [
                (LinkSetting::PromoteSecondaries, 1),
                (LinkSetting::AcceptRouterAdvertisements, accept),
                (LinkSetting::Autoconfiguration, make_up),
            ] {
                switches.insert((device.index, link.clone(), setting, value));
            }
        }
        switches
    }
}

/// Whether an interface takes what routers advertise: who is on a network of our own need not be believed.
fn advertised(interface: &Interface) -> bool {
    interface.ipv6 == Addressing::Automatic && interface.role == InterfaceRole::Wan
}

fn network_of(lease: &Lease) -> Option<IpNet> {
    let network = Ipv4Net::new(lease.address, lease.prefix_length).ok()?;
    Some(network.into())
}

fn everywhere(gateway: IpAddr) -> IpNet {
    match gateway {
        IpAddr::V4(_) => IpNet::new_assert(Ipv4Addr::UNSPECIFIED.into(), 0),
        IpAddr::V6(_) => IpNet::new_assert(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
}

fn is_global(address: &Ipv6Addr) -> bool {
    !address.is_unicast_link_local() && !address.is_loopback() && !address.is_multicast()
}

#[cfg(test)]
mod tests;
