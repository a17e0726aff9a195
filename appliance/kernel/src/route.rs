//! Routes of the main table, of the one beside it, and of those that marked packets take.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol,
    RouteScope, RouteType,
};

use crate::address::family;
use crate::link::{LinkName, LinkNames};
use crate::mark;
use crate::rule::Version;

/// Somebody at the far end of a tunnel.
const FAR_END: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const MAIN_TABLE: u32 = RouteHeader::RT_TABLE_MAIN as u32;

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
    /// Into these tunnels, learnt by BGP: in order and each once. Packets of one flow take one of them.
    Learnt(Vec<LinkName>),
    /// Nowhere: the sender is told that the destination is unreachable.
    Unreachable,
    /// Out of a link if there is one, else nowhere, for packets that bear a mark ([`crate::Rule::Marked`]).
    Marked(u32, Option<LinkName>),
}

/// Finds a route: the kernel keeps one of ours for each prefix and metric of a table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouteKey {
    /// The prefix.
    pub prefix: IpNet,
    /// The metric.
    pub metric: u32,
    /// The mark of the packets that it is for; `None` for all others.
    pub mark: Option<u32>,
}

impl RouteKey {
    /// Whether BGP learnt the route.
    pub fn is_learnt(&self) -> bool {
        matches!(self.metric, mark::BGP_METRIC | mark::BESIDE_METRIC)
    }
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

    /// A route that BGP learnt. One that the tunnels' own packets must not take goes into the table beside the main one,
    /// which rules lead to ([`crate::Rule`]).
    pub fn learnt(prefix: IpNet, links: impl IntoIterator<Item = LinkName>, beside: bool) -> Self {
        let links: BTreeSet<LinkName> = links.into_iter().collect();
        Route {
            prefix: prefix.trunc(),
            metric: if beside {
                mark::BESIDE_METRIC
            } else {
                mark::BGP_METRIC
            },
            target: Target::Learnt(links.into_iter().collect()),
        }
    }

    /// The two routes of the table for packets with this mark: out of the link, wherever they are going, and nowhere while
    /// it is gone.
    pub fn marked(version: Version, mark: u32, link: &LinkName) -> [Self; 2] {
        let everywhere = match version {
            Version::Four => IpNet::V4(Ipv4Net::default()),
            Version::Six => IpNet::V6(Ipv6Net::default()),
        };
        [
            (mark::MARKED_METRIC, Some(link.clone())),
            (mark::LAST_RESORT_METRIC, None),
        ]
        .map(|(metric, link)| Route {
            prefix: everywhere,
            metric,
            target: Target::Marked(mark, link),
        })
    }

    /// Whether BGP learnt it.
    pub fn is_learnt(&self) -> bool {
        matches!(self.target, Target::Learnt(_))
    }

    /// How it is found again.
    pub fn key(&self) -> RouteKey {
        RouteKey {
            prefix: self.prefix.trunc(),
            metric: effective_metric(&self.prefix, self.metric),
            mark: match self.target {
                Target::Marked(mark, _) => Some(mark),
                Target::Link { .. } | Target::Gateway { .. } | Target::Learnt(_) | Target::Unreachable => {
                    None
                }
            },
        }
    }

    /// The links that it needs.
    pub fn links(&self) -> &[LinkName] {
        match &self.target {
            Target::Link { link, .. } | Target::Gateway { link, .. } => std::slice::from_ref(link),
            Target::Learnt(links) => links,
            Target::Marked(_, link) => link.as_slice(),
            Target::Unreachable => &[],
        }
    }

    /// Adds or replaces the route; the indices are those of its links.
    pub(crate) fn create(&self, indices: &[u32]) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewRoute(self.message(indices))
    }

    /// Takes the route away; the indices are those of its links.
    pub(crate) fn delete(&self, indices: &[u32]) -> RouteNetlinkMessage {
        let mut message = self.message(indices);
        if self.is_learnt() {
            // Whatever became of its links meanwhile.
            message.header.scope = RouteScope::NoWhere;
            message.attributes.retain(|attribute| {
                !matches!(attribute, RouteAttribute::Oif(_) | RouteAttribute::MultiPath(_))
            });
        }
        RouteNetlinkMessage::DelRoute(message)
    }

    fn message(&self, indices: &[u32]) -> RouteMessage {
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
        match &self.target {
            Target::Link { source, .. } => {
                self.lead_into(indices, &mut message);
                message
                    .attributes
                    .extend(source.map(|ip| RouteAttribute::PrefSource(RouteAddress::from(ip))));
            }
            Target::Gateway { gateway, on_link, .. } => {
                message.header.kind = RouteType::Unicast;
                message.header.scope = RouteScope::Universe;
                message
                    .attributes
                    .extend(indices.first().map(|index| RouteAttribute::Oif(*index)));
                if *on_link {
                    message.header.flags = RouteFlags::Onlink;
                }
                message
                    .attributes
                    .push(RouteAttribute::Gateway(RouteAddress::from(*gateway)));
            }
            Target::Learnt(_) => {
                message.header.protocol = RouteProtocol::from(mark::BGP_PROTOCOL);
                if self.metric == mark::BESIDE_METRIC {
                    message.header.table = RouteHeader::RT_TABLE_UNSPEC;
                    message.attributes.push(RouteAttribute::Table(mark::BESIDE_TABLE));
                }
                self.lead_into(indices, &mut message);
            }
            Target::Marked(mark, link) => {
                message.header.table = RouteHeader::RT_TABLE_UNSPEC;
                message.attributes.push(RouteAttribute::Table(*mark));
                match link {
                    Some(_) => self.lead_into(indices, &mut message),
                    None => lead_nowhere(&mut message),
                }
            }
            Target::Unreachable => lead_nowhere(&mut message),
        }
        message
    }

    /// Out of one link, or several. Of several, IPv6 asks for a gateway each, which nobody looks for in a tunnel.
    fn lead_into(&self, indices: &[u32], message: &mut RouteMessage) {
        let four = self.prefix.addr().is_ipv4();
        message.header.kind = RouteType::Unicast;
        message.header.scope = if four {
            RouteScope::Link
        } else {
            RouteScope::Universe
        };
        if let [index] = indices {
            message.attributes.push(RouteAttribute::Oif(*index));
            return;
        }
        let hops = indices.iter().map(|index| {
            let mut hop = RouteNextHop::default();
            hop.interface_index = *index;
            if !four {
                hop.attributes = vec![RouteAttribute::Gateway(RouteAddress::Inet6(FAR_END))];
            }
            hop
        });
        message.attributes.push(RouteAttribute::MultiPath(hops.collect()));
    }

    /// Reads a route that bears our mark.
    pub(crate) fn from_message(message: &RouteMessage, names: &LinkNames) -> Option<Route> {
        let header = &message.header;
        let unspecified: IpAddr = match header.address_family {
            netlink_packet_route::AddressFamily::Inet => std::net::Ipv4Addr::UNSPECIFIED.into(),
            netlink_packet_route::AddressFamily::Inet6 => std::net::Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let (mut destination, mut metric, mut links) = (unspecified, 0, Vec::new());
        let (mut source, mut gateway, mut table) = (None, None, u32::from(header.table));
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Destination(address) => destination = ip(address)?,
                RouteAttribute::Priority(priority) => metric = *priority,
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Oif(index) => links.push(names.get(index)?.clone()),
                RouteAttribute::MultiPath(hops) => {
                    for hop in hops {
                        links.push(names.get(&hop.interface_index)?.clone());
                    }
                }
                RouteAttribute::PrefSource(address) => source = ip(address),
                RouteAttribute::Gateway(address) => gateway = ip(address),
                _ => (),
            }
        }
        let prefix = IpNet::new(destination, header.destination_prefix_length).ok()?;
        match (u8::from(header.protocol), table) {
            (mark::PROTOCOL, MAIN_TABLE) => (),
            (mark::BGP_PROTOCOL, MAIN_TABLE) if metric == mark::BGP_METRIC => {
                return Route::found_learnt(prefix, links, false);
            }
            (mark::BGP_PROTOCOL, mark::BESIDE_TABLE) if metric == mark::BESIDE_METRIC => {
                return Route::found_learnt(prefix, links, true);
            }
            (mark::PROTOCOL, table) if mark::is_ours(table) => {
                let link = match header.kind {
                    RouteType::Unreachable => None,
                    _ => Some(links.pop()?),
                };
                let target = Target::Marked(table, link);
                return Some(Route {
                    prefix,
                    metric,
                    target,
                });
            }
            _ => return None,
        }
        let target = target(header, links.pop(), (gateway, source))?;
        Some(Route {
            prefix,
            metric,
            target,
        })
    }

    /// Another speaker's routes lead elsewhere.
    fn found_learnt(prefix: IpNet, links: Vec<LinkName>, beside: bool) -> Option<Route> {
        let is_ours = |link: &LinkName| link.as_str().starts_with(mark::TUNNEL_PREFIX);
        (!links.is_empty() && links.iter().all(is_ours)).then(|| Route::learnt(prefix, links, beside))
    }
}

fn target(
    header: &RouteHeader,
    link: Option<LinkName>,
    (gateway, source): (Option<IpAddr>, Option<IpAddr>),
) -> Option<Target> {
    let link = match header.kind {
        RouteType::Unreachable => return Some(Target::Unreachable),
        RouteType::Unicast => link?,
        _ => return None,
    };
    Some(match gateway {
        Some(gateway) => Target::Gateway {
            link,
            gateway,
            on_link: header.flags.contains(RouteFlags::Onlink),
        },
        None => Target::Link { link, source },
    })
}

fn lead_nowhere(message: &mut RouteMessage) {
    message.header.kind = RouteType::Unreachable;
    message.header.scope = RouteScope::Universe;
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
            assert_eq!(Route::from_message(&route.message(&[4]), &names), Some(route));
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
                assert_eq!(Route::from_message(&route.message(&[4]), &names), Some(route));
            }
            let last = Route::last_resort(prefix);
            assert_eq!(Route::from_message(&last.message(&[]), &names), Some(last));
        }
        for version in [Version::Four, Version::Six] {
            for route in Route::marked(version, 0x4357_0001, &link) {
                let indices = if route.links().is_empty() { vec![] } else { vec![4] };
                assert_eq!(Route::from_message(&route.message(&indices), &names), Some(route));
            }
        }
    }

    /// Routes of other protocols are never taken for ours.
    #[test]
    fn foreign_routes_are_left_alone() {
        let mut message = Route::last_resort("10.2.0.0/24".parse().unwrap()).message(&[]);
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
                metric: 1024,
                mark: None,
            }
        );
    }
}
