//! Addresses on links.

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
        let (mut address, mut local, mut ours) = (None, None, false);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(ip) => address = Some(*ip),
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Protocol(protocol) => ours = u8::from(*protocol) == mark::PROTOCOL,
                _ => (),
            }
        }
        let network = IpNet::new(local.or(address)?, message.header.prefix_len).ok()?;
        ours.then_some(Address { link, network })
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
}
