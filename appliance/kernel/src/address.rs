//! Addresses on links.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::link::{LinkName, LinkNames};
use crate::mark;

/// One address on one link; it has nothing but its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The link that bears it.
    pub link: LinkName,
    /// Address and prefix length, host bits kept.
    pub network: IpNet,
}

/// A network that an address, ours or not, connects to a link: what is sent there needs no gateway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connected {
    /// The link.
    pub link: LinkName,
    /// Its own address.
    pub address: IpAddr,
    /// What is there.
    pub network: IpNet,
}

impl Connected {
    /// Reads an address, ours or not; none that may turn out to be somebody else's (RFC 4862 §5.4): nobody can use it yet.
    pub(crate) fn from_message(message: &AddressMessage, names: &LinkNames) -> Option<Connected> {
        let link = names.get(&message.header.index)?.clone();
        let said = Said::of(message);
        if said
            .flags
            .intersects(AddressFlags::Tentative | AddressFlags::Dadfailed)
        {
            return None;
        }
        // On a link between two the other end's address is said, and the prefix length is that of it.
        let network = IpNet::new(said.address.or(said.local)?, message.header.prefix_len).ok()?;
        let address = said.local.or(said.address)?;
        Some(Connected {
            link,
            address,
            network: network.trunc(),
        })
    }

    /// The address, if it is that of a host on a network of many.
    pub fn as_address(&self) -> Option<Address> {
        let network = IpNet::new(self.address, self.network.prefix_len()).ok()?;
        (network.trunc() == self.network).then(|| Address {
            link: self.link.clone(),
            network,
        })
    }
}

/// What the attributes of an address say.
struct Said {
    address: Option<IpAddr>,
    local: Option<IpAddr>,
    flags: AddressFlags,
    ours: bool,
}

impl Said {
    fn of(message: &AddressMessage) -> Said {
        let mut said = Said {
            address: None,
            local: None,
            flags: AddressFlags::empty(),
            ours: false,
        };
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(ip) => said.address = Some(*ip),
                AddressAttribute::Local(ip) => said.local = Some(*ip),
                AddressAttribute::Flags(flags) => said.flags = *flags,
                AddressAttribute::Protocol(protocol) => said.ours = u8::from(*protocol) == mark::PROTOCOL,
                _ => (),
            }
        }
        said
    }
}

impl From<&Address> for Connected {
    fn from(address: &Address) -> Self {
        Connected {
            link: address.link.clone(),
            address: address.network.addr(),
            network: address.network.trunc(),
        }
    }
}

impl Address {
    /// Puts the address on the link with this index.
    pub(crate) fn create(&self, index: u32) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewAddress(self.message(index))
    }

    /// Takes the address from the link with this index.
    pub(crate) fn delete(&self, index: u32) -> RouteNetlinkMessage {
        RouteNetlinkMessage::DelAddress(self.message(index))
    }

    fn message(&self, index: u32) -> AddressMessage {
        let mut message = AddressMessage::default();
        message.header.family = family(&self.network);
        message.header.prefix_len = self.network.prefix_len();
        message.header.index = index;
        message.header.scope = AddressScope::Universe;
        message.attributes = vec![
            AddressAttribute::Local(self.network.addr()),
            AddressAttribute::Address(self.network.addr()),
            AddressAttribute::Protocol(AddressProtocol::from(mark::PROTOCOL)),
        ];
        if self.network.addr().is_ipv6() {
            // Nobody at the other end of a tunnel could answer duplicate address detection.
            message
                .attributes
                .push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
        message
    }

    /// Reads an address that bears our mark.
    pub(crate) fn from_message(message: &AddressMessage, names: &LinkNames) -> Option<Address> {
        let link = names.get(&message.header.index)?.clone();
        let said = Said::of(message);
        let network = IpNet::new(said.local.or(said.address)?, message.header.prefix_len).ok()?;
        said.ours.then_some(Address { link, network })
    }
}

pub(crate) fn family(network: &IpNet) -> AddressFamily {
    match network {
        IpNet::V4(_) => AddressFamily::Inet,
        IpNet::V6(_) => AddressFamily::Inet6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What we write is what we find, in both families; without our protocol number it is not ours.
    #[test]
    fn addresses_are_read_back() {
        let link = LinkName::try_from("cw-a").unwrap();
        let names = LinkNames::from([(4, link.clone())]);
        for network in ["169.254.21.2/30", "fd00::2/64"] {
            let address = Address {
                link: link.clone(),
                network: network.parse().unwrap(),
            };
            let mut message = address.message(4);
            assert_eq!(Address::from_message(&message, &names), Some(address));
            message
                .attributes
                .retain(|one| !matches!(one, AddressAttribute::Protocol(_)));
            assert_eq!(Address::from_message(&message, &names), None);
        }
    }

    /// An address that is still being tried connects nothing.
    #[test]
    fn a_tentative_address_is_not_there_yet() {
        let link = LinkName::try_from("wan0").unwrap();
        let names = LinkNames::from([(4, link.clone())]);
        let network = "2001:db8::7/64".parse().unwrap();
        let mut message = Address { link, network }.message(4);
        assert!(Connected::from_message(&message, &names).is_some());
        message
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Tentative));
        assert_eq!(Connected::from_message(&message, &names), None);
    }

    /// A host on a network of many is told from the one at the other end of a link between two.
    #[test]
    fn what_others_connect_is_known() {
        let lan = LinkName::try_from("lan").unwrap();
        let names = LinkNames::from([(4, lan.clone())]);
        for (address, other_end, expected) in [
            ("10.5.0.1/16", "10.5.0.1", "10.5.0.0/16"),
            ("10.5.0.1/32", "10.9.0.7", "10.9.0.7/32"),
        ] {
            let address = Address {
                link: lan.clone(),
                network: address.parse().unwrap(),
            };
            let mut message = address.message(4);
            let own = Connected::from_message(&message, &names).unwrap();
            assert_eq!(own, Connected::from(&address));
            assert_eq!(own.as_address().unwrap(), address);
            message.attributes = vec![
                AddressAttribute::Address(other_end.parse().unwrap()),
                AddressAttribute::Local(address.network.addr()),
            ];
            let connected = Connected {
                link: lan.clone(),
                address: address.network.addr(),
                network: expected.parse().unwrap(),
            };
            assert_eq!(Connected::from_message(&message, &names), Some(connected));
        }
    }
}
