//! Rules of routing: which table is asked for which packets.

use std::fmt;
use std::net::IpAddr;

use netlink_packet_route::route::{RouteHeader, RouteProtocol};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::mark;

/// One rule: of those for packets that are translated, or of the four that keep the tunnels' own packets out of learnt
/// routes. They come in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Packets that bear this mark take the table of that number and, since that leads somewhere or nowhere, no other.
    Marked(Version, u32),
    /// Packets from this outer address of ours take the main table.
    Outer(IpAddr),
    /// And no other, if there is no way in it.
    OuterOnly(IpAddr),
    /// All others take the main table, but for its default routes.
    Main(Version),
    /// Then that of learnt routes. What finds none there goes on to the default routes of the main table.
    Beside(Version),
}

/// Of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

/// Before the rule for the main table, 32766; nobody else's are near.
const FIRST_PRIORITY: u32 = 18_600;
/// What is marked is decided before everything else.
const MARKED_PRIORITY: u32 = 18_590;

impl Version {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Four,
            IpAddr::V6(_) => Self::Six,
        }
    }
}

impl Rule {
    /// All that are needed for routes beside the main table, with these outer addresses of ours.
    pub fn beside(version: Version, outer: impl IntoIterator<Item = IpAddr>) -> Vec<Self> {
        let outer = outer
            .into_iter()
            .filter(|address| Version::of(*address) == version);
        let outer = outer.flat_map(|address| [Self::Outer(address), Self::OuterOnly(address)]);
        let others = [Self::Main(version), Self::Beside(version)];
        outer.chain(others).collect()
    }

    /// Whether it is for packets that are translated.
    pub fn is_marked(&self) -> bool {
        matches!(self, Self::Marked(..))
    }

    fn version(&self) -> Version {
        match self {
            Self::Outer(address) | Self::OuterOnly(address) => Version::of(*address),
            Self::Main(version) | Self::Beside(version) | Self::Marked(version, _) => *version,
        }
    }

    fn priority(&self) -> u32 {
        match self {
            Self::Marked(..) => MARKED_PRIORITY,
            Self::Outer(_) => FIRST_PRIORITY,
            Self::OuterOnly(_) => FIRST_PRIORITY + 1,
            Self::Main(_) => FIRST_PRIORITY + 2,
            Self::Beside(_) => FIRST_PRIORITY + 3,
        }
    }

    /// Adds it.
    pub(crate) fn create(&self) -> RouteNetlinkMessage {
        RouteNetlinkMessage::NewRule(self.message())
    }

    /// Takes it away.
    pub(crate) fn delete(&self) -> RouteNetlinkMessage {
        RouteNetlinkMessage::DelRule(self.message())
    }

    fn message(&self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = match self.version() {
            Version::Four => AddressFamily::Inet,
            Version::Six => AddressFamily::Inet6,
        };
        message.header.action = RuleAction::ToTable;
        message.attributes = vec![
            RuleAttribute::Priority(self.priority()),
            RuleAttribute::Protocol(RouteProtocol::from(mark::PROTOCOL)),
        ];
        if let Self::Outer(address) | Self::OuterOnly(address) = self {
            message.header.src_len = if address.is_ipv4() { 32 } else { 128 };
            message.attributes.push(RuleAttribute::Source(*address));
        }
        match self {
            Self::Marked(_, mark) => message.attributes.extend([
                RuleAttribute::FwMark(*mark),
                RuleAttribute::FwMask(u32::MAX),
                RuleAttribute::Table(*mark),
            ]),
            Self::Outer(_) => message.header.table = RouteHeader::RT_TABLE_MAIN,
            Self::OuterOnly(_) => message.header.action = RuleAction::Unreachable,
            Self::Main(_) => {
                message.header.table = RouteHeader::RT_TABLE_MAIN;
                message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
            }
            Self::Beside(_) => message.attributes.push(RuleAttribute::Table(mark::BESIDE_TABLE)),
        }
        message
    }

    /// Reads a rule that bears our mark.
    pub(crate) fn from_message(message: &RuleMessage) -> Option<Self> {
        let version = match message.header.family {
            AddressFamily::Inet => Version::Four,
            AddressFamily::Inet6 => Version::Six,
            _ => return None,
        };
        let (mut priority, mut source, mut marked, mut ours) = (None, None, None, false);
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Priority(number) => priority = Some(*number),
                RuleAttribute::FwMark(number) => marked = Some(*number),
                RuleAttribute::Source(address) => source = Some(*address),
                RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == mark::PROTOCOL,
                _ => (),
            }
        }
        if priority == Some(MARKED_PRIORITY) {
            let rule = marked.filter(|mark| mark::is_ours(*mark));
            return rule.filter(|_| ours).map(|mark| Self::Marked(version, mark));
        }
        let rule = match (priority?.checked_sub(FIRST_PRIORITY)?, source) {
            (0, Some(address)) => Self::Outer(address),
            (1, Some(address)) => Self::OuterOnly(address),
            (2, None) => Self::Main(version),
            (3, None) => Self::Beside(version),
            _ => return None,
        };
        ours.then_some(rule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = match self.version() {
            Version::Four => "IPv4",
            Version::Six => "IPv6",
        };
        match self {
            Self::Marked(_, mark) => write!(f, "{version} rule fwmark {mark:#x} lookup {mark}"),
            Self::Outer(address) => write!(f, "rule from {address} lookup main"),
            Self::OuterOnly(address) => write!(f, "rule from {address} unreachable"),
            Self::Main(_) => write!(f, "{version} rule lookup main but default routes"),
            Self::Beside(_) => write!(f, "{version} rule lookup {}", mark::BESIDE_TABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What we write is what we find, and nobody else's is taken for ours.
    #[test]
    fn rules_are_read_back() {
        let outer: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for version in [Version::Four, Version::Six] {
            let rules = Rule::beside(version, outer);
            assert_eq!(rules.len(), 4, "addresses of the other version need none");
            for rule in rules.into_iter().chain([Rule::Marked(version, 0x4357_0001)]) {
                let mut message = rule.message();
                assert_eq!(Rule::from_message(&message), Some(rule));
                message
                    .attributes
                    .retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
                assert_eq!(Rule::from_message(&message), None);
            }
        }
    }

    /// A mark outside our range is that of somebody else.
    #[test]
    fn foreign_marks_are_left_alone() {
        let message = Rule::Marked(Version::Four, 7).message();
        assert_eq!(Rule::from_message(&message), None);
    }
}
