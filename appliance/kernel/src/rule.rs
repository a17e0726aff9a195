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
    /// Packets to addresses of ours are for us. This one stands in for the kernel's own, which comes before all others and so
    /// before [`Rule::Marked`] too: it goes when this one is there, and is there again before this one goes.
    Local(Version),
    /// Packets that bear this mark take the table of that number and, since that leads somewhere or nowhere, no other: a host
    /// behind a tunnel may have an address that is ours, too.
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
/// What is marked is decided before everything else, even before what is for us.
const MARKED_PRIORITY: u32 = 0;
/// Of the kernel: which addresses are ours (`RT_TABLE_LOCAL`).
const LOCAL_TABLE: u8 = 255;
/// Before everything that others have beside the kernel's own rules.
const LOCAL_PRIORITY: u32 = 1;

impl Version {
    /// That of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::Four,
            IpAddr::V6(_) => Self::Six,
        }
    }

    fn of_family(family: AddressFamily) -> Option<Self> {
        match family {
            AddressFamily::Inet => Some(Self::Four),
            AddressFamily::Inet6 => Some(Self::Six),
            _ => None,
        }
    }

    fn family(self) -> AddressFamily {
        match self {
            Self::Four => AddressFamily::Inet,
            Self::Six => AddressFamily::Inet6,
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
        matches!(self, Self::Local(_) | Self::Marked(..))
    }

    fn version(&self) -> Version {
        match self {
            Self::Outer(address) | Self::OuterOnly(address) => Version::of(*address),
            Self::Main(version) | Self::Beside(version) | Self::Local(version) | Self::Marked(version, _) => {
                *version
            }
        }
    }

    fn priority(&self) -> u32 {
        match self {
            Self::Marked(..) => MARKED_PRIORITY,
            Self::Local(_) => LOCAL_PRIORITY,
            Self::Outer(_) => FIRST_PRIORITY,
            Self::OuterOnly(_) => FIRST_PRIORITY + 1,
            Self::Main(_) => FIRST_PRIORITY + 2,
            Self::Beside(_) => FIRST_PRIORITY + 3,
        }
    }

    /// The kernel's own rule in whose place this one is, if there is such; whoever it is from.
    pub(crate) fn replaced(&self) -> Option<RuleMessage> {
        let Self::Local(version) = self else {
            return None;
        };
        let mut message = RuleMessage::default();
        message.header.family = version.family();
        message.header.action = RuleAction::ToTable;
        message.header.table = LOCAL_TABLE;
        message.attributes = vec![RuleAttribute::Priority(0)];
        Some(message)
    }

    /// The same as the kernel makes it.
    pub(crate) fn original(&self) -> Option<RuleMessage> {
        let mut message = self.replaced()?;
        let kernel = RuleAttribute::Protocol(RouteProtocol::Kernel);
        message.attributes.push(kernel);
        Some(message)
    }

    /// Whether a message is about the kernel's own rule for what is for us; of which version.
    pub(crate) fn own_of_kernel(message: &RuleMessage) -> Option<Version> {
        let first = message.attributes.iter().all(|attribute| match attribute {
            RuleAttribute::Priority(number) => *number == 0,
            RuleAttribute::FwMark(_) | RuleAttribute::Source(_) => false,
            _ => true,
        });
        let local = message.header.table == LOCAL_TABLE;
        (first && local).then(|| Version::of_family(message.header.family))?
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
        message.header.family = self.version().family();
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
            Self::Local(_) => message.header.table = LOCAL_TABLE,
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
        let version = Version::of_family(message.header.family)?;
        // The kernel does not say a priority of zero.
        let (mut priority, mut source, mut marked, mut ours) = (0, None, None, false);
        for attribute in &message.attributes {
            match attribute {
                RuleAttribute::Priority(number) => priority = *number,
                RuleAttribute::FwMark(number) => marked = Some(*number),
                RuleAttribute::Source(address) => source = Some(*address),
                RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == mark::PROTOCOL,
                _ => (),
            }
        }
        if priority == MARKED_PRIORITY {
            let rule = marked.filter(|mark| mark::is_ours(*mark));
            return rule.filter(|_| ours).map(|mark| Self::Marked(version, mark));
        }
        if priority == LOCAL_PRIORITY && message.header.table == LOCAL_TABLE {
            return ours.then_some(Self::Local(version));
        }
        let rule = match (priority.checked_sub(FIRST_PRIORITY)?, source) {
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
            Self::Local(_) => write!(f, "{version} rule lookup local"),
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
            let first = [Rule::Local(version), Rule::Marked(version, 0x4357_0001)];
            for rule in rules.into_iter().chain(first) {
                let mut message = rule.message();
                assert_eq!(Rule::from_message(&message), Some(rule));
                message
                    .attributes
                    .retain(|attribute| !matches!(attribute, RuleAttribute::Protocol(_)));
                assert_eq!(Rule::from_message(&message), None);
            }
        }
    }

    /// The kernel's own is not taken for that in its place, nor one of ours for the kernel's.
    #[test]
    fn the_rule_of_the_kernel_is_known() {
        for version in [Version::Four, Version::Six] {
            let local = Rule::Local(version);
            let own = local.replaced().unwrap();
            assert_eq!(
                (Rule::own_of_kernel(&own), Rule::from_message(&own)),
                (Some(version), None)
            );
            for ours in [local, Rule::Marked(version, 0x4357_00ff)] {
                assert_eq!(Rule::own_of_kernel(&ours.message()), None, "{ours}");
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
