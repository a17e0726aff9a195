//! Routes of the main table.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use crate::address::family;
use crate::link::{LinkName, LinkNames};
use crate::mark;

/// A route to a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Where the packets go; host bits are zero.
    pub prefix: IpNet,
    /// Less is preferred; IPv6 turns 0 into 1024.
    pub metric: u32,
    /// How they get there.
    pub target: Target,
}

/// Where a route leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Out of a link.
    Link {
        /// Which one.
        link: LinkName,
        /// The address that our own packets take; `None` lets the kernel choose.
        source: Option<IpAddr>,
    },
    /// To a router on a link.
    Gateway {
        /// Which one.
        link: LinkName,
        /// The address of the router.
        gateway: IpAddr,
        /// It is there though no address of ours says so.
        on_link: bool,
    },
    /// Nowhere: the sender is told that the destination is unreachable.
    Unreachable,
}

/// Finds a route: the kernel keeps one of ours for each prefix and metric.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// The prefix.
    pub prefix: IpNet,
    /// The metric.
    pub metric: u32,
}

impl Route {
    /// The route of last resort for a prefix: what no better route takes is refused, not sent in clear text.
    pub fn last_resort(prefix: IpNet) -> Self {
        Route {
            prefix: prefix.trunc(),
            metric: mark::LAST_RESORT_METRIC,
            target: Target::Unreachable,
        }
    }

    /// How it is found again.
    pub fn key(&self) -> RouteKey {
        RouteKey {
            prefix: self.prefix.trunc(),
            metric: effective_metric(&self.prefix, self.metric),
        }
    }

    /// The link that it needs, if any.
    pub fn link(&self) -> Option<&LinkName> {
        match &self.target {
            Target::Link { link, .. } | Target::Gateway { link, .. } => Some(link),
            Target::Unreachable => None,
        }
    }

    /// Adds or replaces the route; the index is that of its link.
    pub(crate) fn create(&self, index: Option<u32>) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewRoute(self.message(index))
    }

    /// Takes the route away; the index is that of its link.
    pub(crate) fn delete(&self, index: Option<u32>) -> RouteNetlinkMessage {
        RouteNetlinkMessage::DelRoute(self.message(index))
    }

    fn message(&self, index: Option<u32>) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family(&self.prefix);
        message.header.destination_prefix_length = self.prefix.prefix_len();
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::from(mark::PROTOCOL);
        message.attributes = vec![RouteAttribute::Destination(RouteAddress::from(
            self.prefix.trunc().addr(),
        ))];
        message
            .attributes
            .push(RouteAttribute::Priority(self.key().metric));
        message.attributes.extend(index.map(RouteAttribute::Oif));
        match &self.target {
            Target::Link { source, .. } => {
                message.header.kind = RouteType::Unicast;
                message.header.scope = if self.prefix.addr().is_ipv4() {
                    RouteScope::Link
                } else {
                    RouteScope::Universe
                };
                message
                    .attributes
                    .extend(source.map(|ip| RouteAttribute::PrefSource(RouteAddress::from(ip))));
            }
            Target::Gateway { gateway, on_link, .. } => {
                message.header.kind = RouteType::Unicast;
                message.header.scope = RouteScope::Universe;
                if *on_link {
                    message.header.flags = RouteFlags::Onlink;
                }
                message
                    .attributes
                    .push(RouteAttribute::Gateway(RouteAddress::from(*gateway)));
            }
            Target::Unreachable => {
                message.header.kind = RouteType::Unreachable;
                message.header.scope = RouteScope::Universe;
            }
        }
        message
    }

    /// Reads a route that bears our mark.
    pub(crate) fn from_message(message: &RouteMessage, names: &LinkNames) -> Option<Route> {
        let header = &message.header;
        if u8::from(header.protocol) != mark::PROTOCOL || header.table != RouteHeader::RT_TABLE_MAIN {
            return None;
        }
        let unspecified: IpAddr = match header.address_family {
            netlink_packet_route::AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
            netlink_packet_route::AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let (mut destination, mut metric, mut link) = (unspecified, 0, None);
        let (mut source, mut gateway) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => destination = ip(address)?,
                RouteAttribute::Priority(priority) => metric = *priority,
                RouteAttribute::Oif(index) => link = names.get(index).cloned(),
                RouteAttribute::PrefSource(address) => source = ip(address),
                RouteAttribute::Gateway(address) => gateway = ip(address),
                _ => (),
            }
        }
        let target = match header.kind {
            RouteType::Unreachable => Target::Unreachable,
            RouteType::Unicast => match gateway {
                Some(gateway) => Target::Gateway {
                    link: link?,
                    gateway,
                    on_link: header.flags.contains(RouteFlags::Onlink),
                },
                None => Target::Link { link: link?, source },
            },
            _ => return None,
        };
        let prefix = IpNet::new(destination, header.destination_prefix_length).ok()?;
        Some(Route {
            prefix,
            metric,
            target,
        })
    }
}

fn effective_metric(prefix: &IpNet, metric: u32) -> u32 {
    if metric == 0 && prefix.addr().is_ipv6() {
        1024
    } else {
        metric
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(ip) => Some((*ip).into()),
        RouteAddress::Inet6(ip) => Some((*ip).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What we write is what we find, for every kind of route in both families.
    #[test]
    fn routes_are_read_back() {
        let link = LinkName::try_from("cw-a").unwrap();
        let names = LinkNames::from([(4, link.clone())]);
        for (prefix, source) in [
            ("10.2.0.0/24", "10.1.0.1"),
            ("0.0.0.0/0", "10.1.0.1"),
            ("fd02::/64", "fd01::1"),
        ] {
            let prefix: IpNet = prefix.parse().unwrap();
            let target = Target::Link {
                link: link.clone(),
                source: Some(source.parse().unwrap()),
            };
            let route = Route {
                prefix,
                metric: 7,
                target,
            };
            assert_eq!(Route::from_message(&route.message(Some(4)), &names), Some(route));
            for on_link in [false, true] {
                let target = Target::Gateway {
                    link: link.clone(),
                    gateway: source.parse().unwrap(),
                    on_link,
                };
                let route = Route {
                    prefix,
                    metric: 400,
                    target,
                };
                assert_eq!(Route::from_message(&route.message(Some(4)), &names), Some(route));
            }
            let last = Route::last_resort(prefix);
            assert_eq!(Route::from_message(&last.message(None), &names), Some(last));
        }
    }

    /// Routes of other protocols are never taken for ours.
    #[test]
    fn foreign_routes_are_left_alone() {
        let mut message = Route::last_resort("10.2.0.0/24".parse().unwrap()).message(None);
        message.header.protocol = RouteProtocol::Static;
        assert_eq!(Route::from_message(&message, &LinkNames::new()), None);
    }

    /// The key is what the kernel will say, not what was asked for.
    #[test]
    fn ipv6_metric_zero_is_1024() {
        let prefix: IpNet = "fd02::1/64".parse().unwrap();
        let route = Route {
            prefix,
            metric: 0,
            target: Target::Unreachable,
        };
        assert_eq!(
            route.key(),
            RouteKey {
                prefix: "fd02::/64".parse().unwrap(),
                metric: 1024
            }
        );
    }
}
