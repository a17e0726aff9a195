use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::addressing::{Addressing, ipv4, ipv6};
use super::device::{Device, MacAddress, device_name};
use super::{Family, Name};
use crate::Reason;
use crate::reader::{Collection, Object, Value};

/// A network interface. Its name in the document is also that of its device, unless [`Device`] says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// What lies behind it.
    pub role: InterfaceRole,
    /// Which device it is.
    pub device: Device,
    /// The longest packet, in bytes.
    pub mtu: u16,
    /// How it comes to IPv4 addresses.
    pub ipv4: Addressing,
    /// How it comes to IPv6 addresses.
    pub ipv6: Addressing,
}

/// What lies behind an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceRole {
    /// The way to the peers.
    Wan,
    /// Networks of ours.
    Lan,
    /// Those who manage this machine.
    Management,
}

pub(crate) const ROLE: &[(&str, InterfaceRole)] = &[
    ("wan", InterfaceRole::Wan),
    ("lan", InterfaceRole::Lan),
    ("management", InterfaceRole::Management),
];
pub(crate) const MTU: u16 = 1500;
pub(crate) const MTUS: RangeInclusive<u64> = 576..=9216;
pub(crate) const VLAN_IDS: RangeInclusive<u64> = 1..=4094;

/// An interface as far as it can be read by itself.
struct Written {
    interface: Interface,
    mtu: Option<u16>,
}

impl Interface {
    /// The interfaces of a document.
    pub(crate) fn read_all(document: &mut Object<'_>) -> Collection<Self> {
        let written = document.collection("interfaces", Written::read);
        let mtus: BTreeMap<Name, u16> = written
            .iter()
            .map(|(name, written)| (name.clone(), written.interface.mtu))
            .collect();
        written.map(|written| written.complete(&mtus))
    }

    /// How it comes to addresses of one IP version.
    pub fn addressing(&self, family: Family) -> &Addressing {
        match family {
            Family::V4 => &self.ipv4,
            Family::V6 => &self.ipv6,
        }
    }
}

impl Written {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut object = value.object()?;
        let role = object.required("role", |value| value.word(ROLE, &[]));
        let device = device(&mut object);
        let mtu = object.optional("mtu", None, |value| value.whole(MTUS).map(Some));
        let ipv4 = object.optional("ipv4", Addressing::None, ipv4);
        let ipv6 = object.optional("ipv6", Addressing::None, ipv6);
        let mtu = mtu?;
        Some(Self {
            interface: Interface {
                role: role?,
                device: device?,
                mtu: mtu.unwrap_or(MTU),
                ipv4: ipv4?,
                ipv6: ipv6?,
            },
            mtu,
        })
    }

    /// A VLAN has the MTU of its parent, unless another is given.
    fn complete(self, mtus: &BTreeMap<Name, u16>) -> Interface {
        let parent = match &self.interface.device {
            Device::Vlan { parent, .. } => mtus.get(parent),
            Device::SameName | Device::Named(_) | Device::Mac(_) => None,
        };
        let mtu = self.mtu.or(parent.copied()).unwrap_or(MTU);
        Interface {
            mtu,
            ..self.interface
        }
    }
}

/// What `match` or `vlan` says, of which there can be one.
fn device(object: &mut Object<'_>) -> Option<Device> {
    let (matched, vlan) = (object.take("match"), object.take("vlan"));
    match (matched, vlan) {
        (None, None) => Some(Device::SameName),
        (Some(matched), None) => found(&matched),
        (None, Some(vlan)) => self::vlan(&vlan),
        (Some(matched), Some(_)) => {
            let detail = "a VLAN is made, not found: leave out \"match\" or \"vlan\"";
            matched.problem(Reason::ConflictingKeys, detail);
            None
        }
    }
}

fn found(value: &Value<'_>) -> Option<Device> {
    let mut object = value.object()?;
    match (object.take("mac"), object.take("name")) {
        (Some(mac), None) => MacAddress::read(&mac).map(Device::Mac),
        (None, Some(name)) => device_name(&name).map(Device::Named),
        (Some(_), Some(name)) => {
            name.problem(Reason::ConflictingKeys, "\"mac\" says already which device it is");
            None
        }
        (None, None) => {
            object.lacks("mac", "\"mac\" or \"name\" must be given");
            None
        }
    }
}

fn vlan(value: &Value<'_>) -> Option<Device> {
    let mut object = value.object()?;
    let parent = object.required("parent", Value::name);
    let id = object.required("id", |value| value.whole(VLAN_IDS));
    Some(Device::Vlan {
        parent: parent?,
        id: id?,
    })
}
