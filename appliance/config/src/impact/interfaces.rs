use std::collections::BTreeSet;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Serialize;

use crate::ValidConfig;
use crate::model::{Addressing, Device, Interface, Name};

/// What a new document does to interfaces, each by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InterfaceImpact {
    /// They lose an address or get another, or are another device.
    pub readdressed: Vec<String>,
    /// They are new.
    pub added: Vec<String>,
    /// They are gone, with their addresses.
    pub removed: Vec<String>,
}

pub(super) fn interfaces(old: &ValidConfig, new: &ValidConfig) -> InterfaceImpact {
    let names = |one: &ValidConfig, keep: &dyn Fn(&Name, &Interface) -> bool| {
        let kept = one
            .interfaces
            .iter()
            .filter(|(name, interface)| keep(name, interface));
        kept.map(|(name, _)| name.to_string()).collect()
    };
    let readdressed = |name: &Name, interface: &Interface| {
        let before = old.interfaces.get(name);
        before.is_some_and(|before| {
            addressing(before) != addressing(interface) || device(old, name) != device(new, name)
        })
    };
    InterfaceImpact {
        readdressed: names(new, &readdressed),
        added: names(new, &|name, _| !old.interfaces.contains_key(name)),
        removed: names(old, &|name, _| !new.interfaces.contains_key(name)),
    }
}

/// Which device an interface is, and a VLAN's parent; nothing where there is no such interface.
pub(super) fn device<'c>(config: &'c ValidConfig, name: &Name) -> Option<(&'c Device, Option<&'c Device>)> {
    let device = &config.interfaces.get(name)?.device;
    let parent = match device {
        Device::Vlan { parent, .. } => config.interfaces.get(parent).map(|parent| &parent.device),
        Device::SameName | Device::Named(_) | Device::Mac(_) => None,
    };
    Some((device, parent))
}

/// Its addresses, in whatever order, and whether it gets some from elsewhere.
fn addressing(interface: &Interface) -> [(BTreeSet<IpNet>, bool); 2] {
    [&interface.ipv4, &interface.ipv6].map(|addressing| {
        let addresses = addressing.addresses().iter().copied().collect();
        (addresses, *addressing == Addressing::Automatic)
    })
}
