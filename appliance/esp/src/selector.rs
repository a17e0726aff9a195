use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Selector;
use crate::packet;

/// The traffic selectors of a pair, with the route-based case, any to any, known beforehand.
#[derive(Debug)]
pub(crate) struct Selectors {
    local: Vec<Selector>,
    remote: Vec<Selector>,
    any_v4: bool,
    any_v6: bool,
}

impl Selectors {
    pub(crate) fn new(local: &[Selector], remote: &[Selector]) -> Selectors {
        let (v4, v6) = (
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        );
        let (last_v4, last_v6) = (
            IpAddr::V4(Ipv4Addr::BROADCAST),
            IpAddr::V6(Ipv6Addr::from([0xff; 16])),
        );
        let any = |first, last| is_any(local, first, last) && is_any(remote, first, last);
        Selectors {
            any_v4: any(v4, last_v4),
            any_v6: any(v6, last_v6),
            local: local.to_vec(),
            remote: remote.to_vec(),
        }
    }

    /// Whether a packet from our side to the peer's may pass (RFC 4301 §4.4.1), and how narrow the selectors are that
    /// let it: of several pairs the narrowest takes it.
    pub(crate) fn outbound(&self, packet: &[u8]) -> Option<u32> {
        self.admit(packet, &self.local, &self.remote)
    }

    /// Whether a packet from the peer's side to ours may pass (RFC 4301 §5.2).
    pub(crate) fn admit_inbound(&self, packet: &[u8]) -> bool {
        self.admit(packet, &self.remote, &self.local).is_some()
    }

    fn admit(&self, packet: &[u8], sources: &[Selector], destinations: &[Selector]) -> Option<u32> {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) if self.any_v4 => return Some(0),
            Some(6) if self.any_v6 => return Some(0),
            _ => {}
        }
        let packet = packet::describe(packet)?;
        let (source, destination) = (
            packet.ports.map(|ports| ports.0),
            packet.ports.map(|ports| ports.1),
        );
        let from = narrowest(sources, |selector| {
            selector.covers(packet.source, packet.protocol, source)
        });
        let to = narrowest(destinations, |selector| {
            selector.covers(packet.destination, packet.protocol, destination)
        });
        Some(from? + to?)
    }
}

fn narrowest(selectors: &[Selector], covers: impl Fn(&Selector) -> bool) -> Option<u32> {
    let fits = selectors.iter().filter(|selector| covers(selector));
    fits.map(Selector::narrowness).max()
}

impl Selector {
    fn covers(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        (self.start..=self.end).contains(&address)
            && self.start.is_ipv4() == address.is_ipv4()
            && (self.protocol == 0 || self.protocol == protocol)
            && (self.is_any_port()
                || port.is_some_and(|port| (self.start_port..=self.end_port).contains(&port)))
    }

    fn is_any_port(&self) -> bool {
        (self.start_port, self.end_port) == (0, u16::MAX)
    }

    /// Less for more addresses; of equals, one with a protocol or ports is the narrower.
    fn narrowness(&self) -> u32 {
        let fixed = match (self.start, self.end) {
            (IpAddr::V4(start), IpAddr::V4(end)) => {
                end.to_bits().saturating_sub(start.to_bits()).leading_zeros()
            }
            (IpAddr::V6(start), IpAddr::V6(end)) => {
                end.to_bits().saturating_sub(start.to_bits()).leading_zeros()
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
        };
        fixed * 4 + u32::from(self.protocol != 0) + u32::from(!self.is_any_port())
    }
}

fn is_any(selectors: &[Selector], start: IpAddr, end: IpAddr) -> bool {
    selectors.contains(&Selector {
        protocol: 0,
        start_port: 0,
        end_port: u16::MAX,
        start,
        end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(start: [u8; 4], end: [u8; 4], protocol: u8, ports: (u16, u16)) -> Selector {
        Selector {
            protocol,
            start_port: ports.0,
            end_port: ports.1,
            start: start.into(),
            end: end.into(),
        }
    }

    const ALL_PORTS: (u16, u16) = (0, u16::MAX);

    /// An IPv4 packet with ports at the place of TCP and UDP.
    fn packet(source: [u8; 4], destination: [u8; 4], protocol: u8, ports: [u8; 4]) -> Vec<u8> {
        let header = [0x45, 0, 0, 24, 0, 0, 0, 0, 64, protocol, 0, 0];
        [header.as_slice(), &source, &destination, &ports].concat()
    }

    #[test]
    fn directions_mirror_each_other() {
        let sites = Selectors::new(
            &[network([10, 1, 0, 0], [10, 1, 0, 255], 0, ALL_PORTS)],
            &[network([10, 2, 0, 0], [10, 2, 0, 255], 0, ALL_PORTS)],
        );
        let there = packet([10, 1, 0, 9], [10, 2, 0, 9], 17, [0; 4]);
        let back = packet([10, 2, 0, 9], [10, 1, 0, 9], 17, [0; 4]);
        let elsewhere = packet([10, 1, 0, 9], [10, 3, 0, 9], 17, [0; 4]);
        assert!(sites.outbound(&there).is_some() && !sites.admit_inbound(&there));
        assert!(sites.admit_inbound(&back) && sites.outbound(&back).is_none());
        assert!(sites.outbound(&elsewhere).is_none() && !sites.admit_inbound(&elsewhere));
        assert!(sites.outbound(&[]).is_none() && sites.outbound(&[0x60; 60]).is_none());
    }

    #[test]
    fn ports_count_where_they_can_be_seen() {
        let web = Selectors::new(
            &[network([10, 1, 0, 0], [10, 1, 0, 255], 6, ALL_PORTS)],
            &[network([10, 2, 0, 0], [10, 2, 0, 255], 6, (80, 80))],
        );
        let to = |protocol, port| packet([10, 1, 0, 9], [10, 2, 0, 9], protocol, [200, 0, 0, port]);
        assert!(web.outbound(&to(6, 80)).is_some());
        assert!(web.outbound(&to(6, 81)).is_none());
        assert!(web.outbound(&to(17, 80)).is_none());
        let mut fragment = to(6, 80);
        fragment[7] = 100;
        assert!(
            web.outbound(&fragment).is_none(),
            "a later fragment shows no port (RFC 4301 §4.4.1.1)"
        );
    }

    #[test]
    fn any_to_any_needs_both_sides() {
        let any = network([0; 4], [255; 4], 0, ALL_PORTS);
        let far = packet([198, 51, 100, 1], [203, 0, 113, 1], 1, [0; 4]);
        assert!(Selectors::new(&[any], &[any]).outbound(&far).is_some());
        assert!(
            Selectors::new(&[any], &[network([10, 0, 0, 0], [10, 0, 0, 9], 0, ALL_PORTS)])
                .outbound(&far)
                .is_none()
        );
    }
}
