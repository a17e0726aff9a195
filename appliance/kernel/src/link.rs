//! Links: XFRM interfaces of ours, and links that others make for us to use.

use std::collections::BTreeMap;
use std::fmt;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoXfrm, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
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
    /// Made by somebody else, such as a TUN: awaited, set up when it appears, never deleted.
    External,
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
    /// Makes the link, down and without our alias (the kernel takes an alias only afterwards).
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
        format!("{} {}", mark::LINK_ALIAS, self.purpose)
            .trim_end()
            .to_owned()
    }

    /// Takes the link away.
    pub(crate) fn delete(index: u32) -> RouteNetlinkMessage {
        let mut message = LinkMessage::default();
        message.header.index = index;
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
        let mut aliased = false;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::IfAlias(alias) => {
                    let purpose = alias.strip_prefix(mark::LINK_ALIAS);
                    aliased = purpose.is_some();
                    link.purpose = purpose.unwrap_or_default().trim_start().to_owned();
                }
                LinkAttribute::LinkInfo(info) => {
                    if let Some(kind) = xfrm_kind(info, names) {
                        link.kind = kind;
                    }
                }
                _ => (),
            }
        }
        link.up = aliased && message.header.flags.contains(LinkFlags::Up);
        let ours = match link.kind {
            LinkKind::Xfrm { interface_id, .. } => mark::is_ours(interface_id),
            LinkKind::External => aliased,
        };
        Some(Found { link, ours })
    }
}

/// A link found in the kernel.
pub(crate) struct Found {
    pub(crate) link: Link,
    pub(crate) ours: bool,
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
