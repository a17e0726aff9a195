//! Policies: which packets must be, or must have been, protected.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netlink_packet_core::{Emitable, NlasIterator};
use netlink_packet_xfrm::constants::{
    AF_INET, AF_INET6, IPPROTO_ESP, XFRM_MODE_TUNNEL, XFRM_POLICY_FWD, XFRM_POLICY_IN, XFRM_POLICY_OUT,
    XFRMA_IF_ID, XFRMA_TMPL,
};
use netlink_packet_xfrm::policy::{DelGetMessage, ModifyMessage};
use netlink_packet_xfrm::{
    Selector, UserAcquire, UserPolicyId, UserPolicyInfo, UserTemplate, XFRM_USER_ACQUIRE_LEN,
    XFRM_USER_TEMPLATE_LEN, XfrmAttrs, XfrmMessage,
};

use crate::mark;
use crate::xfrm_state::ip;

/// A policy of one connection.
///
/// What is received is checked by request id alone, so those policies stay the same over rekeys and restarts. What is
/// sent may be bound to one state by its SPI: of several states the kernel takes the newest, which the peer may not
/// know yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XfrmPolicy {
    /// Which way the packets go.
    pub direction: Direction,
    /// Interface id; in [`mark::INTERFACE_IDS`].
    pub interface_id: u32,
    /// Request id (`reqid`) of the states that it leads to.
    pub request_id: u32,
    /// SPI of the one state that it leads to; 0 for any with the request id.
    pub spi: u32,
    /// Which packets.
    pub selector: PolicySelector,
    /// Outer source of the tunnel.
    pub source: IpAddr,
    /// Outer destination of the tunnel.
    pub destination: IpAddr,
    /// Less is preferred.
    pub priority: u32,
}

/// Which way packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To ourselves.
    In,
    /// Sent or forwarded by us.
    Out,
    /// Received and forwarded.
    Forward,
}

/// Which packets a policy is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicySelector {
    /// Inner source.
    pub source: IpNet,
    /// Inner destination, of the same family.
    pub destination: IpNet,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// Source ports.
    pub source_port: PortMask,
    /// Destination ports.
    pub destination_port: PortMask,
}

/// The ports that equal `port` where `mask` has ones; all zero is any port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortMask {
    /// Value.
    pub port: u16,
    /// Bits that count.
    pub mask: u16,
}

/// Finds a policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyKey {
    /// Interface id.
    pub interface_id: u32,
    /// Which way the packets go.
    pub direction: Direction,
    /// Which packets.
    pub selector: PolicySelector,
}

impl PolicySelector {
    /// All packets of IPv4.
    pub fn any_ipv4() -> Self {
        PolicySelector::between(Ipv4Net::default().into(), Ipv4Net::default().into())
    }

    /// All packets of IPv6.
    pub fn any_ipv6() -> Self {
        PolicySelector::between(Ipv6Net::default().into(), Ipv6Net::default().into())
    }

    /// All packets from one prefix to another of the same family.
    pub fn between(source: IpNet, destination: IpNet) -> Self {
        let any = PortMask::default();
        PolicySelector {
            source,
            destination,
            protocol: 0,
            source_port: any,
            destination_port: any,
        }
    }
}

impl XfrmPolicy {
    /// The six policies of a route-based connection: everything that is routed to its link, in both families.
    pub fn any_to_any(interface_id: u32, local: IpAddr, remote: IpAddr) -> Vec<XfrmPolicy> {
        let mut policies = vec![];
        for direction in [Direction::In, Direction::Out, Direction::Forward] {
            let (source, destination) = match direction {
                Direction::Out => (local, remote),
                Direction::In | Direction::Forward => (remote, local),
            };
            policies.extend(
                [PolicySelector::any_ipv4(), PolicySelector::any_ipv6()].map(|selector| XfrmPolicy {
                    direction,
                    interface_id,
                    request_id: interface_id,
                    spi: 0,
                    selector,
                    source,
                    destination,
                    priority: 2048,
                }),
            );
        }
        policies
    }

    /// How it is found again.
    pub fn key(&self) -> PolicyKey {
        PolicyKey {
            interface_id: self.interface_id,
            direction: self.direction,
            selector: self.selector.clone(),
        }
    }

    /// Adds the policy.
    pub(crate) fn create(&self) -> XfrmMessage {
        XfrmMessage::AddPolicy(self.message())
    }

    /// Replaces the policy with the same key.
    pub(crate) fn replace(&self) -> XfrmMessage {
        XfrmMessage::UpdatePolicy(self.message())
    }

    fn message(&self) -> ModifyMessage {
        let info = UserPolicyInfo {
            selector: self.selector.to_kernel(),
            priority: self.priority,
            direction: self.direction.to_kernel(),
            ..UserPolicyInfo::default()
        };
        let mut template = UserTemplate::default();
        template.source(&self.source);
        template.destination(&self.destination);
        template.protocol(IPPROTO_ESP);
        template.mode(XFRM_MODE_TUNNEL);
        template.reqid(self.request_id);
        template.id.spi = self.spi;
        let nlas = vec![
            XfrmAttrs::Template(vec![template]),
            XfrmAttrs::IfId(self.interface_id),
        ];
        ModifyMessage {
            user_policy_info: info,
            nlas,
        }
    }

    /// Takes the policy with this key away.
    pub(crate) fn delete(key: &PolicyKey) -> XfrmMessage {
        let id = UserPolicyId {
            selector: key.selector.to_kernel(),
            index: 0,
            direction: key.direction.to_kernel(),
        };
        XfrmMessage::DeletePolicy(DelGetMessage {
            user_policy_id: id,
            nlas: vec![XfrmAttrs::IfId(key.interface_id)],
        })
    }

    /// Reads the body of a message about a policy that bears our mark.
    pub(crate) fn from_body(body: &[u8]) -> Option<XfrmPolicy> {
        let (head, tail) = body.split_at_checked(UserPolicyInfo::default().buffer_len())?;
        let info = UserPolicyInfo::parse(head).ok()?;
        let (mut interface_id, mut template) = (0, None);
        for attribute in NlasIterator::new(tail) {
            let attribute = attribute.ok()?;
            match attribute.kind() {
                XFRMA_IF_ID => interface_id = u32::from_ne_bytes(attribute.value().try_into().ok()?),
                XFRMA_TMPL => {
                    let first = attribute.value().get(..XFRM_USER_TEMPLATE_LEN)?;
                    template = UserTemplate::parse(first).ok();
                }
                _ => (),
            }
        }
        let template = template.filter(|_| mark::is_ours(interface_id))?;
        Some(XfrmPolicy {
            direction: Direction::from_kernel(info.direction)?,
            interface_id,
            request_id: template.reqid,
            spi: template.id.spi,
            selector: PolicySelector::from_kernel(&info.selector)?,
            source: ip(&template.saddr, template.family)?,
            destination: ip(&template.id.daddr, template.family)?,
            priority: info.priority,
        })
    }
}

impl XfrmPolicy {
    /// Reads which policy a message says is deleted.
    pub(crate) fn key_from_body(body: &[u8]) -> Option<PolicyKey> {
        let (head, tail) = body.split_at_checked(UserPolicyId::default().buffer_len())?;
        let id = UserPolicyId::parse(head).ok()?;
        let interface_id = interface_id(tail)?;
        let (direction, selector) = (
            Direction::from_kernel(id.direction)?,
            PolicySelector::from_kernel(&id.selector)?,
        );
        mark::is_ours(interface_id).then_some(PolicyKey {
            interface_id,
            direction,
            selector,
        })
    }

    /// Reads of which policy a message says that a packet found no state.
    pub(crate) fn wanted_from_body(body: &[u8]) -> Option<PolicyKey> {
        let (head, tail) = body.split_at_checked(XFRM_USER_ACQUIRE_LEN)?;
        let policy = UserAcquire::parse(head).ok()?.policy;
        let interface_id = interface_id(tail).filter(|id| mark::is_ours(*id))?;
        Some(PolicyKey {
            interface_id,
            direction: Direction::from_kernel(policy.direction)?,
            selector: PolicySelector::from_kernel(&policy.selector)?,
        })
    }
}

fn interface_id(attributes: &[u8]) -> Option<u32> {
    let found = NlasIterator::new(attributes)
        .flatten()
        .find(|one| one.kind() == XFRMA_IF_ID)?;
    found.value().try_into().ok().map(u32::from_ne_bytes)
}

impl Direction {
    fn to_kernel(self) -> u8 {
        match self {
            Direction::In => XFRM_POLICY_IN,
            Direction::Out => XFRM_POLICY_OUT,
            Direction::Forward => XFRM_POLICY_FWD,
        }
    }

    fn from_kernel(value: u8) -> Option<Self> {
        [Direction::In, Direction::Out, Direction::Forward]
            .into_iter()
            .find(|one| one.to_kernel() == value)
    }
}

impl PolicySelector {
    fn to_kernel(&self) -> Selector {
        let mut selector = Selector {
            sport: self.source_port.port,
            sport_mask: self.source_port.mask,
            dport: self.destination_port.port,
            dport_mask: self.destination_port.mask,
            proto: self.protocol,
            ..Selector::default()
        };
        selector.source_prefix(&self.source.trunc().addr(), self.source.prefix_len());
        selector.destination_prefix(&self.destination.trunc().addr(), self.destination.prefix_len());
        selector.family = if self.source.addr().is_ipv4() {
            AF_INET
        } else {
            AF_INET6
        };
        selector
    }

    fn from_kernel(selector: &Selector) -> Option<Self> {
        let network = |address, length| IpNet::new(ip(address, selector.family)?, length).ok();
        Some(PolicySelector {
            source: network(&selector.saddr, selector.prefixlen_s)?,
            destination: network(&selector.daddr, selector.prefixlen_d)?,
            protocol: selector.proto,
            source_port: PortMask {
                port: selector.sport,
                mask: selector.sport_mask,
            },
            destination_port: PortMask {
                port: selector.dport,
                mask: selector.dport_mask,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What we send is what a dump would say, with any selector.
    #[test]
    fn policies_are_read_back() {
        let mut policies = XfrmPolicy::any_to_any(
            0x4357_0001,
            "192.0.2.1".parse().unwrap(),
            "192.0.2.2".parse().unwrap(),
        );
        let mut narrow = policies[0].clone();
        narrow.selector =
            PolicySelector::between("10.1.0.0/24".parse().unwrap(), "10.2.0.0/16".parse().unwrap());
        narrow.selector.protocol = 6;
        narrow.selector.destination_port = PortMask {
            port: 443,
            mask: 0xffff,
        };
        narrow.source = "2001:db8::1".parse().unwrap();
        narrow.destination = "2001:db8::2".parse().unwrap();
        (narrow.request_id, narrow.spi) = (0x1234_5678, 0xc0ff_ee01);
        policies.push(narrow);
        for policy in policies {
            let message = policy.message();
            let mut body = vec![0; message.buffer_len()];
            message.emit(&mut body);
            assert_eq!(XfrmPolicy::from_body(&body), Some(policy));
        }
    }

    /// What the kernel says when a packet finds no state names the policy that it met.
    #[test]
    fn the_policy_of_a_packet_without_a_state_is_named() {
        let policy = &XfrmPolicy::any_to_any(
            0x4357_0001,
            "192.0.2.1".parse().unwrap(),
            "192.0.2.2".parse().unwrap(),
        )[2];
        let info = policy.message().user_policy_info;
        let mut body = vec![0; XFRM_USER_ACQUIRE_LEN];
        let head = 24 + 16 + 56;
        info.emit(&mut body[head..head + info.buffer_len()]);
        for (id, found) in [(0x4357_0001_u32, Some(policy.key())), (9, None)] {
            let attribute = [8_u16.to_ne_bytes(), XFRMA_IF_ID.to_ne_bytes()].concat();
            let whole = [&body[..], &attribute, &id.to_ne_bytes()].concat();
            assert_eq!(XfrmPolicy::wanted_from_body(&whole), found);
            assert_eq!(XfrmPolicy::wanted_from_body(&whole[..whole.len() - 4]), None);
        }
    }

    /// Received packets are matched as the peer sent them, for ourselves and for hosts behind us.
    #[test]
    fn any_to_any_covers_both_ways_and_families() {
        let policies = XfrmPolicy::any_to_any(
            0x4357_0001,
            "192.0.2.1".parse().unwrap(),
            "192.0.2.2".parse().unwrap(),
        );
        let keys: std::collections::BTreeSet<_> = policies.iter().map(XfrmPolicy::key).collect();
        assert_eq!(keys.len(), 6);
        for policy in policies {
            let outward = policy.direction == Direction::Out;
            assert_eq!(policy.source.to_string() == "192.0.2.1", outward, "{policy:?}");
        }
    }
}
