use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::SelectorLine;

/// A range of addresses, ports and protocol (RFC 7296 §3.13.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrafficSelector {
    /// IP protocol; 0 is any.
    pub protocol: u8,
    /// First port; for ICMP, type and code.
    pub start_port: u16,
    /// Last port, inclusive.
    pub end_port: u16,
    /// First address.
    pub start: IpAddr,
    /// Last address, inclusive, of the same family.
    pub end: IpAddr,
}

/// The most selectors that one payload can carry (RFC 7296 §3.13).
const MOST: usize = 255;

impl TrafficSelector {
    /// Every IPv4 packet.
    pub fn any_ipv4() -> Self {
        Self::between(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into())
    }

    /// Every IPv6 packet.
    pub fn any_ipv6() -> Self {
        Self::between(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::from(u128::MAX).into())
    }

    /// Every packet from or to this network.
    pub fn network(network: IpNet) -> Self {
        Self::between(network.network(), network.broadcast())
    }

    fn between(start: IpAddr, end: IpAddr) -> Self {
        Self {
            protocol: 0,
            start_port: 0,
            end_port: u16::MAX,
            start,
            end,
        }
    }

    /// What both let through; `None` if nothing.
    fn intersection(&self, other: &Self) -> Option<Self> {
        let protocol = match (self.protocol, other.protocol) {
            (0, known) | (known, 0) => known,
            (ours, theirs) => (ours == theirs).then_some(ours)?,
        };
        let common = Self {
            protocol,
            start_port: self.start_port.max(other.start_port),
            end_port: self.end_port.min(other.end_port),
            start: self.start.max(other.start),
            end: self.end.min(other.end),
        };
        let same_family = self.start.is_ipv4() == other.start.is_ipv4();
        (same_family && common.start <= common.end && common.start_port <= common.end_port).then_some(common)
    }

    fn contains(&self, other: &Self) -> bool {
        self.intersection(other) == Some(*other)
    }
}

impl fmt::Display for TrafficSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix() {
            Some(network) => write!(f, "{network}")?,
            None => write!(f, "{}-{}", self.start, self.end)?,
        }
        if self.protocol != 0 {
            write!(f, "[{}]", self.protocol)?;
        }
        match (self.start_port, self.end_port) {
            (0, u16::MAX) => Ok(()),
            (start, end) if start == end => write!(f, ":{start}"),
            (start, end) => write!(f, ":{start}-{end}"),
        }
    }
}

impl TrafficSelector {
    /// The network, if the range is one.
    fn prefix(&self) -> Option<IpNet> {
        let same = match (self.start, self.end) {
            (IpAddr::V4(start), IpAddr::V4(end)) => (start.to_bits() ^ end.to_bits()).leading_zeros(),
            (IpAddr::V6(start), IpAddr::V6(end)) => (start.to_bits() ^ end.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        let network = IpNet::new(self.start, u8::try_from(same).ok()?).ok()?;
        ((network.network(), network.broadcast()) == (self.start, self.end)).then_some(network)
    }
}

/// What a Child SA lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selectors {
    /// Inner addresses on our side.
    pub(crate) local: Vec<TrafficSelector>,
    /// Inner addresses on the peer's side.
    pub(crate) remote: Vec<TrafficSelector>,
}

impl Selectors {
    /// Those of a line.
    pub(crate) fn of(line: &SelectorLine) -> Self {
        let (local, remote) = (line.local.clone(), line.remote.clone());
        Self { local, remote }
    }

    /// What of this offer `ours` lets through as well; `None` if nothing.
    pub(crate) fn narrowed(&self, ours: &Self) -> Option<Self> {
        let (local, remote) = (
            narrow(&self.local, &ours.local),
            narrow(&self.remote, &ours.remote),
        );
        (!local.is_empty() && !remote.is_empty()).then_some(Self { local, remote })
    }

    /// Whether this answer is a narrowing of what was offered, and lets something through.
    pub(crate) fn are_within(&self, offered: &Self) -> bool {
        is_within(&self.local, &offered.local) && is_within(&self.remote, &offered.remote)
    }

    /// Whether both let the same through, in whatever order.
    pub(crate) fn are_those_of(&self, other: &Self) -> bool {
        let same = |ours: &[TrafficSelector], theirs: &[TrafficSelector]| {
            ours.len() == theirs.len() && ours.iter().all(|selector| theirs.contains(selector))
        };
        same(&self.local, &other.local) && same(&self.remote, &other.remote)
    }

    /// How well `ours` fits this offer. The first selector of each side is what the initiator wants most, perhaps the
    /// very packet that it waits with (RFC 7296 §2.9).
    fn fit(&self, ours: &Self) -> (u8, bool, bool) {
        let first = |offered: &[TrafficSelector], ours: &[TrafficSelector]| {
            let first = offered.first();
            first.is_some_and(|first| ours.iter().any(|ours| ours.contains(first)))
        };
        (
            u8::from(first(&self.local, &ours.local)) + u8::from(first(&self.remote, &ours.remote)),
            self.are_those_of(ours),
            self.are_within(ours),
        )
    }

    /// The line that fits this offer best, and what it leaves of it. Of two that fit equally well it is the one that is
    /// not `served` yet, or the earlier one.
    pub(crate) fn best(
        &self,
        lines: &[SelectorLine],
        served: impl Fn(usize) -> bool,
    ) -> Option<(usize, Self)> {
        let fitting = lines.iter().enumerate().filter_map(|(place, line)| {
            let ours = Self::of(line);
            let fit = (self.fit(&ours), !served(place));
            Some((fit, place, self.narrowed(&ours)?))
        });
        let best = fitting.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map(|(_, place, narrowed)| (place, narrowed))
    }
}

impl fmt::Display for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", words(&self.local), words(&self.remote))
    }
}

/// The responder's narrowing: what is both offered and configured, in the order offered, without what another
/// of them holds already (RFC 7296 §2.9).
fn narrow(offered: &[TrafficSelector], configured: &[TrafficSelector]) -> Vec<TrafficSelector> {
    let mut common: Vec<TrafficSelector> = Vec::new();
    let pairs = offered
        .iter()
        .flat_map(|theirs| configured.iter().filter_map(|ours| theirs.intersection(ours)));
    for selector in pairs {
        if !common.iter().any(|held| held.contains(&selector)) {
            common.retain(|held| !selector.contains(held));
            common.push(selector);
        }
        if common.len() == MOST {
            break;
        }
    }
    common
}

/// Whether an answer is a narrowing of what we offered, and not empty.
fn is_within(answer: &[TrafficSelector], offered: &[TrafficSelector]) -> bool {
    let held = |selector: &TrafficSelector| offered.iter().any(|ours| ours.contains(selector));
    !answer.is_empty() && answer.iter().all(held)
}

/// The selectors in words.
fn words(selectors: &[TrafficSelector]) -> String {
    selectors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> TrafficSelector {
        TrafficSelector::network(text.parse().unwrap())
    }

    #[test]
    fn narrowing_takes_what_both_hold() {
        let any = TrafficSelector::any_ipv4();
        assert_eq!(narrow(&[any], &[any]), [any]);
        assert_eq!(
            narrow(&[any], &[network("10.1.0.0/16")]),
            [network("10.1.0.0/16")]
        );
        let offered = [
            network("10.1.2.3/32"),
            network("10.1.0.0/16"),
            network("2001:db8::/32"),
        ];
        assert_eq!(
            narrow(&offered, &[network("10.1.0.0/20"), network("10.9.0.0/16")]),
            [network("10.1.0.0/20")]
        );
        assert_eq!(narrow(&offered, &[network("10.2.0.0/16")]), []);
        assert_eq!(narrow(&[TrafficSelector::any_ipv6()], &[any]), []);
    }

    #[test]
    fn protocol_and_ports_narrow_too() {
        let tcp = TrafficSelector {
            protocol: 6,
            start_port: 80,
            end_port: 443,
            ..network("10.0.0.0/8")
        };
        let https = TrafficSelector {
            start_port: 443,
            end_port: 500,
            ..network("10.1.0.0/16")
        };
        let both = TrafficSelector {
            protocol: 6,
            start_port: 443,
            end_port: 443,
            ..network("10.1.0.0/16")
        };
        assert_eq!(narrow(&[tcp], &[https]), [both]);
        assert_eq!(
            narrow(
                &[tcp],
                &[TrafficSelector {
                    protocol: 17,
                    ..https
                }]
            ),
            []
        );
        assert_eq!(both.to_string(), "10.1.0.0/16[6]:443");
    }

    /// An initiator takes no answer that is wider than its offer.
    #[test]
    fn an_answer_must_be_within_the_offer() {
        assert!(is_within(&[network("10.1.0.0/16")], &[network("10.0.0.0/8")]));
        assert!(!is_within(&[network("10.0.0.0/8")], &[network("10.1.0.0/16")]));
        assert!(!is_within(&[], &[network("10.1.0.0/16")]));
    }

    #[test]
    fn words_are_prefixes_where_they_can_be() {
        let mut odd = network("10.1.0.0/24");
        odd.end = "10.1.0.5".parse().unwrap();
        assert_eq!(
            words(&[network("10.1.0.0/24"), odd]),
            "10.1.0.0/24, 10.1.0.0-10.1.0.5"
        );
        assert_eq!(
            words(&[TrafficSelector::any_ipv4(), TrafficSelector::any_ipv6()]),
            "0.0.0.0/0, ::/0"
        );
    }

    fn both(local: &[&str], remote: &[&str]) -> Selectors {
        let (local, remote) = (
            local.iter().map(|text| network(text)).collect(),
            remote.iter().map(|text| network(text)).collect(),
        );
        Selectors { local, remote }
    }

    fn line(local: &[&str], remote: &[&str]) -> SelectorLine {
        let Selectors { local, remote } = both(local, remote);
        SelectorLine::with_tunnel(local, remote)
    }

    /// RFC 7296 §2.9: the responder's subset includes the initiator's first choices if its policy lets it.
    #[test]
    fn the_line_that_holds_the_first_selectors_is_chosen() {
        let lines = [
            line(&["10.1.0.0/24"], &["10.2.0.0/16"]),
            line(&["10.1.1.0/24"], &["10.2.0.0/16"]),
            line(&["10.1.0.0/16"], &["10.2.0.0/16"]),
        ];
        let chosen = |offered: &Selectors| offered.best(&lines, |place| place == 0);
        let packet = both(&["10.1.1.7/32", "10.1.0.0/16"], &["10.2.3.4/32", "10.2.0.0/16"]);
        assert_eq!(
            chosen(&packet),
            Some((2, both(&["10.1.0.0/16"], &["10.2.0.0/16"]))),
            "a line that takes the whole offer is better than an earlier one that takes a part"
        );
        let narrower = both(&["10.1.1.7/32", "10.0.0.0/8"], &["10.2.3.4/32", "10.0.0.0/8"]);
        assert_eq!(
            chosen(&narrower),
            Some((1, both(&["10.1.1.0/24"], &["10.2.0.0/16"]))),
            "nobody takes all: the first that holds the packet"
        );
        let same = both(&["10.1.1.0/24"], &["10.2.0.0/16"]);
        assert_eq!(chosen(&same), Some((1, same.clone())));
        assert_eq!(
            chosen(&both(&["0.0.0.0/0"], &["0.0.0.0/0"])),
            Some((1, both(&["10.1.1.0/24"], &["10.2.0.0/16"]))),
            "the first that is not there yet"
        );
        assert_eq!(chosen(&both(&["10.9.0.0/16"], &["10.2.0.0/16"])), None);
    }

    #[test]
    fn the_order_of_selectors_does_not_tell_them_apart() {
        let some = both(&["10.1.0.0/24", "2001:db8::/64"], &["10.2.0.0/24"]);
        assert!(some.are_those_of(&both(&["2001:db8::/64", "10.1.0.0/24"], &["10.2.0.0/24"])));
        assert!(!some.are_those_of(&both(&["10.1.0.0/24"], &["10.2.0.0/24"])));
        assert!(!some.are_those_of(&both(&["10.1.0.0/24", "2001:db8::/65"], &["10.2.0.0/24"])));
    }

    /// Both families in one Child SA; what only one side has of a family is left out.
    #[test]
    fn families_are_narrowed_side_by_side() {
        let offered = both(
            &["10.1.0.0/16", "2001:db8:1::/48"],
            &["10.2.0.0/16", "2001:db8:2::/48"],
        );
        let ours = both(&["2001:db8:1::/48", "10.1.2.0/24"], &["0.0.0.0/0", "::/0"]);
        assert_eq!(
            offered.narrowed(&ours),
            Some(both(
                &["10.1.2.0/24", "2001:db8:1::/48"],
                &["10.2.0.0/16", "2001:db8:2::/48"]
            ))
        );
        let ipv4_only = both(&["10.1.0.0/16"], &["10.2.0.0/16"]);
        assert_eq!(offered.narrowed(&ipv4_only), Some(ipv4_only));
        assert_eq!(
            offered.narrowed(&both(&["10.1.0.0/16"], &["2001:db8:3::/48"])),
            None
        );
    }
}
