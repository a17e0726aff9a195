use std::fmt;
use std::net::IpAddr;

use super::address::address;
use super::addressing::Addressing;
use super::{Endpoint, Family, Interface, Name};
use crate::Reason;
use crate::reader::{Collection, Value};

/// Our outer address, or the interface whose address it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IpConfiguration {
    /// This one.
    Address(IpAddr),
    /// The first one that this interface has of an IP version.
    Interface {
        /// The interface.
        name: Name,
        /// Its IPv4 address, or its IPv6 address if it has no other.
        first: LocalAddress,
        /// Its IPv6 address if it has both.
        second: Option<LocalAddress>,
    },
}

/// Our outer address of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LocalAddress {
    /// This one.
    Known(IpAddr),
    /// The one that this interface has; it is told from elsewhere, so it is known at run time only.
    OfInterface(Name, Family),
}

impl IpConfiguration {
    /// An interface that could not be read is none that is missing.
    pub(super) fn read(value: &Value<'_>, interfaces: &Collection<Interface>) -> Option<Self> {
        let mut object = value.object()?;
        match (object.take("address"), object.take("interface")) {
            (Some(written), None) => address(&written).map(Self::Address),
            (None, Some(reference)) => {
                let (name, interface) = interfaces.follow(&reference, "interface")?;
                let mut addresses = Family::BOTH
                    .into_iter()
                    .filter_map(|family| first(&name, &interface, family));
                let Some(first) = addresses.next() else {
                    let detail = format!("{name} has no address: give it one under \"ipv4\" or \"ipv6\"");
                    reference.problem(Reason::AddressNotOnInterface, detail);
                    return None;
                };
                let second = addresses.next();
                Some(Self::Interface { name, first, second })
            }
            (Some(_), Some(reference)) => {
                let detail = "\"address\" says already which address it is";
                reference.problem(Reason::ConflictingKeys, detail);
                None
            }
            (None, None) => {
                object.lacks("address", "\"address\" or \"interface\" must be given");
                None
            }
        }
    }

    /// The addresses of ours that are known beforehand.
    pub fn known(&self) -> impl Iterator<Item = IpAddr> {
        let (one, other) = match self {
            Self::Address(address) => (Some(*address), None),
            Self::Interface { first, second, .. } => {
                (first.known(), second.as_ref().and_then(LocalAddress::known))
            }
        };
        one.into_iter().chain(other)
    }

    /// The address from which a peer is reached: of the IP version of its address, or else an IPv4 one if there is one.
    pub(super) fn towards(&self, endpoint: Option<&Endpoint>) -> LocalAddress {
        match self {
            Self::Address(address) => LocalAddress::Known(*address),
            Self::Interface { first, second, .. } => {
                let second = second.as_ref().filter(|_| endpoint.is_some_and(is_ipv6));
                second.unwrap_or(first).clone()
            }
        }
    }
}

impl LocalAddress {
    /// The address, if it is known beforehand.
    pub fn known(&self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(*address),
            Self::OfInterface(..) => None,
        }
    }

    /// The IP version.
    pub fn family(&self) -> Family {
        match self {
            Self::Known(address) => Family::of(*address),
            Self::OfInterface(_, family) => *family,
        }
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => address.fmt(f),
            Self::OfInterface(name, family) => write!(f, "the {family} address of interface {name}"),
        }
    }
}

fn is_ipv6(endpoint: &Endpoint) -> bool {
    endpoint.address().is_some_and(|address| address.is_ipv6())
}

fn first(name: &Name, interface: &Interface, family: Family) -> Option<LocalAddress> {
    match interface.addressing(family) {
        Addressing::None => None,
        Addressing::Static { addresses, .. } => addresses.first().map(|net| LocalAddress::Known(net.addr())),
        Addressing::Automatic => Some(LocalAddress::OfInterface(name.clone(), family)),
    }
}
