//! Rules of interfaces: each is a device of its own, and no packet has two ways to go.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::Reason;
use crate::model::device::check_device_name;
use crate::model::{
    Addressing, Device, Family, GatewayDraft, Interface, InterfaceRole, IpConfiguration, Name,
};
use crate::reader::{Collection, Report};

/// The smallest MTU that IPv6 takes (RFC 8200 §5).
const IPV6_MTU: u16 = 1280;

/// Checks all that could be read.
pub(crate) fn check(interfaces: &Collection<Interface>, gateway: &GatewayDraft, report: &Report) {
    check_devices(interfaces, report);
    for (name, interface) in interfaces.iter() {
        check_vlan(name, interface, interfaces, report);
        check_mtu(name, interface, report);
    }
    check_addresses(interfaces, report);
    check_networks(interfaces, report);
    check_gateways(interfaces, report);
    check_ip_configurations(interfaces, gateway, report);
}

/// Every device has a name that it can have, and belongs to one interface.
fn check_devices(interfaces: &Collection<Interface>, report: &Report) {
    let mut known: BTreeMap<Device, &Name> = BTreeMap::new();
    for (name, interface) in interfaces.iter() {
        let path = format!("/interfaces/{name}");
        let own_name = match &interface.device {
            Device::SameName | Device::Vlan { .. } => Some(Device::Named(name.to_string())),
            Device::Named(_) | Device::Mac(_) => None,
        };
        if let Some(Err(fault)) = own_name.as_ref().map(|_| check_device_name(name.as_str())) {
            report.add(&path, Reason::InvalidDeviceName, format!("\"{name}\": {fault}"));
        }
        let own = match &interface.device {
            Device::SameName => None,
            device @ (Device::Named(_) | Device::Mac(_) | Device::Vlan { .. }) => Some(device.clone()),
        };
        for device in own_name.into_iter().chain(own) {
            match known.get(&device) {
                Some(other) => {
                    let detail = format!("is the same device as /interfaces/{other}");
                    report.add(&path, Reason::DuplicateDevice, detail);
                }
                None => drop(known.insert(device, name)),
            }
        }
    }
}

/// A VLAN stands on a device that is there and is none itself, and its frames fit.
fn check_vlan(name: &Name, interface: &Interface, interfaces: &Collection<Interface>, report: &Report) {
    let Device::Vlan { parent, .. } = &interface.device else {
        return;
    };
    let path = format!("/interfaces/{name}/vlan/parent");
    let Some(standing_on) = interfaces.find(parent) else {
        if interfaces.lacks(parent) {
            let detail = format!("there is no interface \"{parent}\"");
            report.add(&path, Reason::DanglingReference, detail);
        }
        return;
    };
    if matches!(standing_on.device, Device::Vlan { .. }) {
        let detail = format!("{parent} is a VLAN itself: name the interface below it");
        report.add(&path, Reason::VlanInsideVlan, detail);
    } else if interface.mtu > standing_on.mtu {
        let (mtu, most) = (interface.mtu, standing_on.mtu);
        let detail = format!("{mtu}; {parent}, on which the VLAN stands, has {most}");
        report.add(&format!("/interfaces/{name}/mtu"), Reason::OutOfRange, detail);
    }
}

fn check_mtu(name: &Name, interface: &Interface, report: &Report) {
    if interface.mtu < IPV6_MTU && interface.ipv6 != Addressing::None {
        let detail = format!("{}; IPv6 needs at least {IPV6_MTU}", interface.mtu);
        report.add(&format!("/interfaces/{name}/mtu"), Reason::OutOfRange, detail);
    }
}

/// Every configured address of an interface, and where it stands.
fn addresses(interfaces: &Collection<Interface>) -> impl Iterator<Item = (&Name, IpNet, String)> {
    let both = |(name, interface)| Family::BOTH.map(|family| (name, interface, family));
    let lists = interfaces.iter().flat_map(both);
    lists.flat_map(|(name, interface, family): (&Name, &Interface, Family)| {
        let written = interface.addressing(family).addresses().iter().enumerate();
        let path = format!("/interfaces/{name}/{}/addresses", family.key());
        written.map(move |(index, net)| (name, *net, format!("{path}/{index}")))
    })
}

/// No address is there twice, but for those that count on one link only.
fn check_addresses(interfaces: &Collection<Interface>, report: &Report) {
    let mut known: BTreeMap<(IpAddr, Option<&Name>), String> = BTreeMap::new();
    for (name, net, path) in addresses(interfaces) {
        let link = is_link_local(net.addr()).then_some(name);
        match known.get(&(net.addr(), link)) {
            Some(other) => {
                let detail = format!("{} is also that of {other}", net.addr());
                report.add(&path, Reason::DuplicateAddress, detail);
            }
            None => drop(known.insert((net.addr(), link), path)),
        }
    }
}

/// No two interfaces lead to the same network.
fn check_networks(interfaces: &Collection<Interface>, report: &Report) {
    let mut networks: Vec<_> = addresses(interfaces)
        .filter(|(_, net, _)| !is_link_local(net.addr()))
        .collect();
    networks.sort_by_key(|(_, net, _)| (net.network(), net.prefix_len()));
    let mut around: Vec<&(&Name, IpNet, String)> = Vec::new();
    for inner in &networks {
        while around
            .last()
            .is_some_and(|outer| !outer.1.contains(&inner.1.trunc()))
        {
            around.pop();
        }
        let (name, net, path) = inner;
        // Those with the same address are told of already.
        let other = around
            .iter()
            .find(|(other, outer, _)| other != name && outer.addr() != net.addr());
        if let Some((_, outer, other)) = other {
            let detail = format!("{} overlaps {} of {other}", net.trunc(), outer.trunc());
            report.add(path, Reason::AddressSpaceOverlap, detail);
        }
        around.push(inner);
    }
}

/// One default route of each IP version.
fn check_gateways(interfaces: &Collection<Interface>, report: &Report) {
    for family in Family::BOTH {
        let gateways = interfaces
            .iter()
            .filter(|(_, interface)| interface.addressing(family).gateway().is_some());
        let mut paths = gateways.map(|(name, _)| format!("/interfaces/{name}/{}/gateway", family.key()));
        let Some(first) = paths.next() else { continue };
        for path in paths {
            let detail = format!("the {family} default route leads to {first} already; there can be one");
            report.add(&path, Reason::DuplicateGateway, detail);
        }
    }
}

/// An outer address is that of an interface, where the document says what all of them are: it has one that leads to the
/// peers, and no address comes from elsewhere.
fn check_ip_configurations(interfaces: &Collection<Interface>, gateway: &GatewayDraft, report: &Report) {
    if !interfaces.is_complete() || !interfaces.iter().any(|(_, one)| one.role == InterfaceRole::Wan) {
        return;
    }
    for (name, configuration) in gateway.ip_configurations.iter() {
        let IpConfiguration::Address(address) = configuration else {
            continue;
        };
        let family = Family::of(*address);
        let automatic =
            |(_, interface): (&Name, &Interface)| *interface.addressing(family) == Addressing::Automatic;
        let given = addresses(interfaces).any(|(_, net, _)| net.addr() == *address);
        if !given && !interfaces.iter().any(automatic) {
            let path = format!("/gateway/ip_configurations/{name}/address");
            let detail = format!("no interface has {address}");
            report.add(&path, Reason::AddressNotOnInterface, detail);
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}
