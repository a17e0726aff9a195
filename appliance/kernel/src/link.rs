//! Links: XFRM interfaces and VLANs of ours, and links that others make for us to use.

use std::collections::BTreeMap;
use std::fmt;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVlan, InfoXfrm, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::mark;

/// Name of a network link, as the kernel allows it: 1 to 15 octets, no slash, no white space.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkName(Box<str>);

/// A network link, found by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: LinkName,
    /// Who makes it.
    pub kind: LinkKind,
    /// Largest inner packet, in octets.
    pub mtu: u32,
    /// Whether it is up and bears our alias; wanted links say `true`.
    pub up: bool,
    /// What it is for, as the alias says it after our mark.
    pub purpose: String,
}

/// Who makes a link, and of what kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// An XFRM interface, made by us: what is routed to it meets the policies of the same interface id.
    Xfrm {
        /// Ties the link to states and policies.
        interface_id: u32,
        /// The outer link; `None` lets the outer route decide.
        underlying: Option<LinkName>,
    },
    /// A link for one VLAN of another link, made by us (IEEE 802.1Q).
    Vlan {
        /// The link that carries it.
        parent: LinkName,
        /// Which VLAN.
        id: u16,
    },
    /// Made by somebody else for us, such as a TUN: awaited, set up when it appears, never deleted.
    External,
    /// A device of the machine, of whatever kind: awaited, set up when it appears, never deleted.
    Device,
}

impl LinkKind {
    /// Whether the link is there because we made it.
    pub fn is_made_by_us(&self) -> bool {
        match self {
            LinkKind::Xfrm { .. } | LinkKind::Vlan { .. } => true,
            LinkKind::External | LinkKind::Device => false,
        }
    }

    /// Whether it belongs to the machine rather than to a tunnel: it stays when all of ours goes.
    pub fn is_of_machine(&self) -> bool {
        match self {
            LinkKind::Vlan { .. } | LinkKind::Device => true,
            LinkKind::Xfrm { .. } | LinkKind::External => false,
        }
    }

    fn alias(&self) -> &'static str {
        match self {
            LinkKind::Xfrm { .. } | LinkKind::External => mark::LINK_ALIAS,
            LinkKind::Vlan { .. } => mark::VLAN_ALIAS,
            LinkKind::Device => mark::DEVICE_ALIAS,
        }
    }
}

/// What the kernel says of any link, ours or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Device {
    /// Its number, which another link may have later.
    pub index: u32,
    /// Its Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Whether it is set up.
    pub up: bool,
    /// Whether there is somebody at the other end of its cable.
    pub carrier: bool,
    /// Largest packet, in octets.
    pub mtu: u32,
    /// Whether it is a VLAN, and so has the Ethernet address of another link.
    pub is_vlan: bool,
}

impl Device {
    /// Reads what the kernel says of a link.
    pub(crate) fn from_message(message: &LinkMessage) -> Device {
        let flags = message.header.flags;
        let mut device = Device {
            index: message.header.index,
            up: flags.contains(LinkFlags::Up),
            carrier: flags.contains(LinkFlags::LowerUp),
            ..Device::default()
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Address(octets) => device.mac = octets.as_slice().try_into().ok(),
                LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
                LinkAttribute::LinkInfo(info) => {
                    device.is_vlan = info
                        .iter()
                        .any(|one| matches!(one, LinkInfo::Kind(InfoKind::Vlan)));
                }
                _ => (),
            }
        }
        device
    }
}

/// A text that cannot name a link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a link: 1 to 15 octets, no slash, no white space")]
pub struct InvalidLinkName(pub String);

/// Which index bears which name, at the time of a dump.
pub(crate) type LinkNames = BTreeMap<u32, LinkName>;

impl LinkName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for LinkName {
    type Error = InvalidLinkName;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(forbidden) {
            return Err(InvalidLinkName(name.to_owned()));
        }
        Ok(LinkName(name.into()))
    }
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Link {
    /// Makes an XFRM interface, down and without our alias (the kernel takes an alias only afterwards).
    pub(crate) fn create(&self, interface_id: u32, underlying: Option<u32>) -> RouteNetlinkMessage {
        let mut data = vec![InfoXfrm::IfId(interface_id)];
        data.extend(underlying.map(InfoXfrm::Link));
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(self.name.to_string()),
            LinkAttribute::Mtu(self.mtu),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Xfrm),
                LinkInfo::Data(InfoData::Xfrm(data)),
            ]),
        ];
        RouteNetlinkMessage::NewLink(message)
    }

    /// Makes a VLAN link on the link with this index, down and without our alias.
    pub(crate) fn create_vlan(&self, id: u16, parent: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(self.name.to_string()),
            LinkAttribute::Mtu(self.mtu),
            LinkAttribute::Link(parent),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::Data(InfoData::Vlan(vec![InfoVlan::Id(id)])),
            ]),
        ];
        RouteNetlinkMessage::NewLink(message)
    }

    /// Gives the link its MTU and our alias, and sets it up.
    pub(crate) fn set(&self, index: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![LinkAttribute::Mtu(self.mtu), LinkAttribute::IfAlias(self.alias())];
        if self.up {
            message.header.flags = LinkFlags::Up;
            message.header.change_mask = LinkFlags::Up;
        }
        RouteNetlinkMessage::SetLink(message)
    }

    fn alias(&self) -> String {
        format!("{} {}", self.kind.alias(), self.purpose)
            .trim_end()
            .to_owned()
    }

    /// Takes the link away.
    pub(crate) fn delete(index: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        RouteNetlinkMessage::DelLink(message)
    }

    /// Puts the link into the group of those that are deleted together.
    pub(crate) fn doom(index: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![LinkAttribute::Group(mark::DOOMED_GROUP)];
        RouteNetlinkMessage::SetLink(message)
    }

    /// Takes all links away that were put into that group.
    pub(crate) fn delete_doomed() -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::Group(mark::DOOMED_GROUP)];
        RouteNetlinkMessage::DelLink(message)
    }

    /// Takes our alias off a link that others made.
    pub(crate) fn disown(index: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = vec![LinkAttribute::IfAlias(String::new())];
        RouteNetlinkMessage::SetLink(message)
    }

    /// Reads what the kernel says of any link; `None` when it has no usable name.
    pub(crate) fn from_message(message: &LinkMessage, names: &LinkNames) -> Option<Found> {
        let name = name_of(message)?;
        let mut link = Link {
            name,
            kind: LinkKind::External,
            mtu: 0,
            up: false,
            purpose: String::new(),
        };
        let (mut alias, mut parent) = ("", None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::IfAlias(text) => alias = text,
                LinkAttribute::Link(index) => parent = names.get(index),
                _ => (),
            }
        }
        let info = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::LinkInfo(info) => Some(info),
            _ => None,
        });
        let (mark, purpose) = alias.split_once(' ').unwrap_or((alias, ""));
        let of_machine = mark == mark::DEVICE_ALIAS || mark == mark::VLAN_ALIAS;
        let aliased = of_machine || mark == mark::LINK_ALIAS;
        if aliased {
            purpose.clone_into(&mut link.purpose);
        }
        let info = info.map(Vec::as_slice).unwrap_or_default();
        if let Some(kind) = xfrm_kind(info, names) {
            link.kind = kind;
        } else if mark == mark::DEVICE_ALIAS {
            link.kind = LinkKind::Device;
        } else if let Some(kind) = vlan_kind(info, parent) {
            link.kind = kind;
        }
        link.up = aliased && message.header.flags.contains(LinkFlags::Up);
        let ours = match link.kind {
            LinkKind::Xfrm { interface_id, .. } => mark::is_ours(interface_id),
            LinkKind::Vlan { .. } | LinkKind::Device => of_machine,
            LinkKind::External => aliased,
        };
        Some(Found { link, ours, aliased })
    }
}

/// A link found in the kernel.
pub(crate) struct Found {
    pub(crate) link: Link,
    pub(crate) ours: bool,
    pub(crate) aliased: bool,
}

/// The name that a link message bears.
pub(crate) fn name_of(message: &LinkMessage) -> Option<LinkName> {
    message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => LinkName::try_from(name.as_str()).ok(),
        _ => None,
    })
}

fn xfrm_kind(info: &[LinkInfo], names: &LinkNames) -> Option<LinkKind> {
    let data = info.iter().find_map(|one| match one {
        LinkInfo::Data(InfoData::Xfrm(data)) => Some(data),
        _ => None,
    })?;
    let mut found = (None, None);
    for one in data {
        match one {
            InfoXfrm::IfId(id) => found.0 = Some(*id),
            InfoXfrm::Link(index) => found.1 = names.get(index).cloned(),
            _ => (),
        }
    }
    Some(LinkKind::Xfrm {
        interface_id: found.0?,
        underlying: found.1,
    })
}

fn vlan_kind(info: &[LinkInfo], parent: Option<&LinkName>) -> Option<LinkKind> {
    let data = info.iter().find_map(|one| match one {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
        _ => None,
    })?;
    let id = data.iter().find_map(|one| match one {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })?;
    let parent = parent?.clone();
    Some(LinkKind::Vlan { parent, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            name: LinkName::try_from("cw-a").unwrap(),
            kind: LinkKind::Xfrm {
                interface_id: 0x4357_0001,
                underlying: Some(LinkName::try_from("eth0").unwrap()),
            },
            mtu: 1400,
            up: true,
            purpose: "to-b".to_owned(),
        }
    }

    /// A link that was made but not yet marked when we died is known by its interface id, and counts as down
    /// so that it is set up again.
    #[test]
    fn half_made_links_are_ours() {
        let RouteNetlinkMessage::NewLink(message) = link().create(0x4357_0001, Some(7)) else {
            panic!()
        };
        let names = LinkNames::from([(7, LinkName::try_from("eth0").unwrap())]);
        let found = Link::from_message(&message, &names).unwrap();
        assert!(found.ours);
        let unmarked = Link {
            up: false,
            purpose: String::new(),
            ..link()
        };
        assert_eq!(found.link, unmarked);
    }

    /// What a link is for is found again, and the alias of a version that did not say it is still ours.
    #[test]
    fn the_alias_says_what_a_link_is_for() {
        let RouteNetlinkMessage::SetLink(mut message) = link().set(7) else {
            panic!()
        };
        message.attributes.push(LinkAttribute::IfName("cw-a".to_owned()));
        let found = |message: &LinkMessage| Link::from_message(message, &LinkNames::new()).unwrap();
        assert_eq!(found(&message).link.purpose, "to-b");
        message
            .attributes
            .push(LinkAttribute::IfAlias("causeway".to_owned()));
        assert_eq!(
            (found(&message).ours, found(&message).link.purpose),
            (true, String::new())
        );
    }

    /// A VLAN of ours is one by its alias, and a VLAN of others stays a device of the machine.
    #[test]
    fn vlans_are_told_by_their_alias() {
        let parent = LinkName::try_from("lan0").unwrap();
        let names = LinkNames::from([(3, parent.clone())]);
        let mut vlan = Link {
            name: LinkName::try_from("lan0.20").unwrap(),
            kind: LinkKind::Vlan { parent, id: 20 },
            mtu: 1500,
            up: true,
            purpose: "lan0.20".to_owned(),
        };
        let RouteNetlinkMessage::NewLink(made) = vlan.create_vlan(20, 3) else {
            panic!()
        };
        assert!(!Link::from_message(&made, &names).unwrap().ours);
        let read = |link: &Link| {
            let RouteNetlinkMessage::SetLink(set) = link.set(4) else {
                panic!()
            };
            let mut message = made.clone();
            message.header.flags = LinkFlags::Up;
            message.attributes.extend(set.attributes);
            Link::from_message(&message, &names).unwrap()
        };
        let found = read(&vlan);
        assert_eq!((found.ours, &found.link), (true, &vlan));
        vlan.kind = LinkKind::Device;
        let found = read(&vlan);
        assert_eq!((found.ours, &found.link), (true, &vlan));
    }

    /// Interface ids outside our range belong to others.
    #[test]
    fn foreign_xfrm_links_are_left_alone() {
        let RouteNetlinkMessage::NewLink(message) = link().create(9, None) else {
            panic!()
        };
        assert!(!Link::from_message(&message, &LinkNames::new()).unwrap().ours);
    }

    /// Names that the kernel or a path under /proc/sys would not take are refused.
    #[test]
    fn names_are_checked() {
        for wrong in ["", ".", "..", "a/b", "a b", "a:1", "sixteen-octets-x", "a\n"] {
            assert!(LinkName::try_from(wrong).is_err(), "{wrong:?}");
        }
        assert!(LinkName::try_from("cw-fifteen-octe").is_ok());
    }
}
