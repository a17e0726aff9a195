use std::net::IpAddr;

use ipnet::IpNet;

use super::Family;
use super::address::{address, link_address};
use crate::Reason;
use crate::reader::{Object, Value};

/// How an interface comes to addresses of one IP version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// Not at all.
    None,
    /// These are given to it.
    Static {
        /// At least one, each with the length of its prefix.
        addresses: Vec<IpNet>,
        /// The neighbour that the default route leads to.
        gateway: Option<IpAddr>,
    },
    /// By DHCP (RFC 2131) or, with IPv6, from what routers advertise (RFC 4862).
    Automatic,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    None,
    Static,
    Automatic,
}

pub(crate) const IPV4_METHOD: &[(&str, Method)] = &[
    ("static", Method::Static),
    ("dhcp", Method::Automatic),
    ("none", Method::None),
];
pub(crate) const IPV6_METHOD: &[(&str, Method)] = &[
    ("static", Method::Static),
    ("auto", Method::Automatic),
    ("none", Method::None),
];

impl Addressing {
    /// The addresses that are given to the interface.
    pub fn addresses(&self) -> &[IpNet] {
        match self {
            Self::Static { addresses, .. } => addresses,
            Self::None | Self::Automatic => &[],
        }
    }

    /// The neighbour that the default route leads to, where it is configured.
    pub fn gateway(&self) -> Option<IpAddr> {
        match self {
            Self::Static { gateway, .. } => *gateway,
            Self::None | Self::Automatic => None,
        }
    }
}

pub(super) fn ipv4(value: &Value<'_>) -> Option<Addressing> {
    read(value, IPV4_METHOD, Family::V4)
}

pub(super) fn ipv6(value: &Value<'_>) -> Option<Addressing> {
    read(value, IPV6_METHOD, Family::V6)
}

fn read(value: &Value<'_>, methods: &[(&'static str, Method)], family: Family) -> Option<Addressing> {
    let mut object = value.object()?;
    let method = object.required("method", |value| value.word(methods, &[]));
    match method {
        Some(Method::None) => Some(Addressing::None),
        Some(Method::Automatic) => Some(Addressing::Automatic),
        Some(Method::Static) => configured(&mut object, family),
        None => {
            object.ignore(&["addresses", "gateway"]);
            None
        }
    }
}

fn configured(object: &mut Object<'_>, family: Family) -> Option<Addressing> {
    let addresses = object.required("addresses", |value| {
        let addresses = value.list(|value| interface_address(value, family))?;
        if addresses.is_empty() {
            value.problem(Reason::OutOfRange, "is empty; at least one address is needed");
        }
        Some(addresses).filter(|addresses| !addresses.is_empty())
    });
    let gateway = object.optional("gateway", None, |value| {
        let gateway = of_family(value, address(value)?, family)?;
        check_gateway(value, gateway, addresses.as_deref()?).map(Some)
    });
    Some(Addressing::Static {
        addresses: addresses?,
        gateway: gateway?,
    })
}

/// An address of one host, and not that of its whole network or of all hosts in it.
fn interface_address(value: &Value<'_>, family: Family) -> Option<IpNet> {
    let address = link_address(value)?;
    of_family(value, address.addr(), family)?;
    let whole = match address {
        // A link between two has neither (RFC 3021).
        IpNet::V4(net) if net.prefix_len() < 31 => [net.network(), net.broadcast()].contains(&net.addr()),
        IpNet::V4(_) | IpNet::V6(_) => false,
    };
    if whole {
        value.problem(
            Reason::InvalidAddress,
            format!("{address} stands for its whole network, not for one host"),
        );
        return None;
    }
    Some(address)
}

fn of_family(value: &Value<'_>, address: IpAddr, family: Family) -> Option<IpAddr> {
    if Family::of(address) == family {
        return Some(address);
    }
    value.problem(
        Reason::AddressFamilyMismatch,
        format!("{address} is not an {family} address"),
    );
    None
}

/// A neighbour, but not the interface itself.
fn check_gateway(value: &Value<'_>, gateway: IpAddr, addresses: &[IpNet]) -> Option<IpAddr> {
    let link_local = matches!(gateway, IpAddr::V6(gateway) if gateway.is_unicast_link_local());
    if addresses.iter().any(|address| address.addr() == gateway) {
        let detail = format!("{gateway} is the interface's own address");
        value.problem(Reason::DuplicateAddress, detail);
    } else if !link_local && !addresses.iter().any(|address| address.contains(&gateway)) {
        let detail = format!("{gateway} is in no network of the interface");
        value.problem(Reason::GatewayOffLink, detail);
    } else {
        return Some(gateway);
    }
    None
}
