use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use appliance_config::model::{Addressing, Interface, InterfaceRole, Name};
use appliance_dhcp::Lease;
use appliance_kernel::sysctl::LinkSetting;
use appliance_kernel::{Connected, Device, Kernel, Key, LinkName, Object, Request};
use ipnet::IpNet;
use tokio::sync::watch;
use tracing::{debug, info};

use super::machine::Machine;
use super::owner::KernelOwner;
use crate::datapath::{InterfaceSnapshot, Refused};
use crate::derive::{Addresses, NetworkSettings};
use crate::dhcp::{DhcpLink, Links};

/// What is known of the interfaces of the document, and who is told of it.
#[derive(Debug)]
pub(crate) struct Interfaces {
    leases: BTreeMap<Name, Lease>,
    /// The links as they were when the objects were last worked out.
    devices: BTreeMap<LinkName, Device>,
    switched: BTreeSet<(u32, LinkName, LinkSetting, u32)>,
    links: watch::Sender<Links>,
    addresses: watch::Sender<Arc<Addresses>>,
}

impl Interfaces {
    /// With leases of before, as far as their addresses are still in the kernel; the others are asked for first.
    pub(crate) fn new(
        remembered: BTreeMap<Name, Lease>,
        kernel: &Kernel,
        links: watch::Sender<Links>,
        addresses: watch::Sender<Arc<Addresses>>,
    ) -> Self {
        let is_there = |lease: &Lease| {
            kernel
                .present()
                .any(|object| matches!(object, Object::Address(one) if one.network.addr() == lease.address))
        };
        let leases = remembered.into_iter().filter(|(_, lease)| is_there(lease));
        Self {
            leases: leases.collect(),
            devices: BTreeMap::new(),
            switched: BTreeSet::new(),
            links,
            addresses,
        }
    }

    /// These interfaces, with what is known of them.
    pub(crate) fn machine<'a>(
        &'a self,
        interfaces: &'a BTreeMap<Name, Interface>,
        kernel: &'a Kernel,
    ) -> Machine<'a> {
        Machine {
            interfaces,
            devices: kernel.devices(),
            leases: &self.leases,
        }
    }

    /// The links that are to get their addresses by DHCP. A lease goes with its link, and with that wish.
    fn ask(&mut self, network: &NetworkSettings, kernel: &Kernel) {
        let mut links = Links::new();
        for (name, interface) in &network.interfaces {
            let found = self.machine(&network.interfaces, kernel).device(name);
            let Some((link, device)) = found.filter(|_| interface.ipv4 == Addressing::Automatic) else {
                continue;
            };
            let Some(mac) = device.mac else { continue };
            let link = DhcpLink {
                device: link.to_string(),
                index: device.index,
                mac,
                up: device.up && device.carrier,
                host_name: network.host_name.clone(),
            };
            links.insert(name.clone(), link);
        }
        self.leases.retain(|name, _| links.contains_key(name));
        self.links.send_if_modified(|known| {
            let changed = *known != links;
            *known = links;
            changed
        });
    }

    /// Sets the switches of links that are new or to be otherwise.
    fn switch(&mut self, network: &NetworkSettings, kernel: &Kernel) {
        let switches = self.machine(&network.interfaces, kernel).switches();
        for (_, link, setting, value) in switches.difference(&self.switched) {
            if let Err(refusal) = setting.write(link, *value) {
                debug!(%refusal, "link setting");
            }
        }
        self.switched = switches;
    }
}

impl KernelOwner {
    /// A server granted an address, or it is ours no longer.
    pub(super) async fn leased(&mut self, name: Name, lease: Option<Lease>) {
        match lease {
            Some(lease) => self.interfaces.leases.insert(name, lease),
            None => self.interfaces.leases.remove(&name),
        };
        self.reapply().await;
    }

    /// Whether links came, went or changed since the objects were worked out.
    pub(super) fn devices_changed(&self) -> bool {
        !self.network.interfaces.is_empty() && self.interfaces.devices != *self.kernel.devices()
    }

    /// All that follows for this machine from the configuration and from what is known of it.
    pub(super) fn objects(&mut self, network: &NetworkSettings) -> BTreeMap<Key, Object> {
        self.interfaces.ask(network, &self.kernel);
        self.interfaces.switch(network, &self.kernel);
        self.interfaces.devices.clone_from(self.kernel.devices());
        let machine = self.interfaces.machine(&network.interfaces, &self.kernel);
        let objects = machine.objects().into_iter();
        let objects = objects.map(|object| (object.key(), object));
        objects.chain(self.firewall(network)).collect()
    }

    /// What could be a network of our own.
    pub(super) fn inner(&self, network: &NetworkSettings) -> BTreeSet<Connected> {
        let machine = self.interfaces.machine(&network.interfaces, &self.kernel);
        machine.inner(self.kernel.connected())
    }

    /// Once our addresses are there, those of others go that do not belong on our interfaces; and others are told which
    /// addresses there are.
    pub(super) async fn settle(&mut self) {
        let machine = self.interfaces.machine(&self.network.interfaces, &self.kernel);
        let strange = machine.strange(self.kernel.foreign_addresses(), self.kernel.connected());
        if !strange.is_empty() {
            for address in &strange {
                info!(link = %address.link, address = %address.network, "not of the configuration: taken away");
            }
            let claims = strange.into_iter().map(|address| Request::Claim(address.into()));
            let _shown = self.kernel.apply(claims).await;
        }
        let machine = self.interfaces.machine(&self.network.interfaces, &self.kernel);
        let addresses = machine.addresses(self.kernel.connected());
        self.interfaces.addresses.send_if_modified(|known| {
            let changed = **known != addresses;
            if changed {
                *known = Arc::new(addresses);
            }
            changed
        });
    }

    /// Each interface of the document, as status tells it.
    pub(super) fn interface_snapshots(&self) -> BTreeMap<Name, InterfaceSnapshot> {
        let machine = self.interfaces.machine(&self.network.interfaces, &self.kernel);
        let snapshot = |(name, interface): (&Name, &Interface)| {
            let link = machine.link(name);
            let device = machine.device(name).map(|(_, device)| device.clone());
            let is_here = |key: &Key| match key {
                Key::Link(one) => Some(one) == link.as_ref(),
                Key::Address(address) => Some(&address.link) == link.as_ref(),
                Key::Route(_)
                | Key::Rule(_)
                | Key::State(_)
                | Key::Policy(_)
                | Key::Ruleset
                | Key::Translation
                | Key::Firewall => false,
            };
            let gone = || {
                self.kernel
                    .connected()
                    .iter()
                    .filter(|one| Some(&one.link) == link.as_ref())
            };
            let refusals = self.kernel.refusals().iter().filter(|(key, _)| is_here(key));
            let snapshot = InterfaceSnapshot {
                role: role(interface.role),
                addresses: gone()
                    .filter_map(|one| IpNet::new(one.address, one.network.prefix_len()).ok())
                    .collect(),
                wanted: machine.wanted(name),
                gateways: machine.gateways(name),
                by_dhcp: interface.ipv4 == Addressing::Automatic,
                mtu: machine.mtu(name, interface),
                link: link.as_ref().map(ToString::to_string),
                refused: refusals.map(|(_, refusal)| Refused::from(refusal)).collect(),
                device,
            };
            (name.clone(), snapshot)
        };
        self.network.interfaces.iter().map(snapshot).collect()
    }
}

fn role(role: InterfaceRole) -> &'static str {
    match role {
        InterfaceRole::Wan => "wan",
        InterfaceRole::Lan => "lan",
        InterfaceRole::Management => "management",
    }
}
