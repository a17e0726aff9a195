use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet;
use crate::{Pair, Selector};

/// The traffic selectors of a pair, with the route-based case, any to any, known beforehand.
#[derive(Debug)]
pub(crate) struct Selectors {
    local: Vec<Selector>,
    remote: Vec<Selector>,
    any_v4: bool,
    any_v6: bool,
}

impl Selectors {
    pub(crate) fn new(pair: &Pair) -> Selectors {
        let (local, remote) = (pair.local_selectors.clone(), pair.remote_selectors.clone());
        let (v4, v6) = (
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        );
        let (last_v4, last_v6) = (
            IpAddr::V4(Ipv4Addr::BROADCAST),
            IpAddr::V6(Ipv6Addr::from([0xff; 16])),
        );
        let any = |first, last| is_any(&local, first, last) && is_any(&remote, first, last);
        Selectors {
            any_v4: any(v4, last_v4),
            any_v6: any(v6, last_v6),
            local,
            remote,
        }
    }

    /// Whether a packet from our side to the peer's may pass (RFC 4301 §4.4.1).
    pub(crate) fn admit_outbound(&self, packet: &[u8]) -> bool {
        self.admit(packet, &self.local, &self.remote)
    }

    /// Whether a packet from the peer's side to ours may pass (RFC 4301 §5.2).
    pub(crate) fn admit_inbound(&self, packet: &[u8]) -> bool {
        self.admit(packet, &self.remote, &self.local)
    }

    fn admit(&self, packet: &[u8], sources: &[Selector], destinations: &[Selector]) -> bool {
        match packet.first().map(|octet| octet >> 4) {
            Some(4) if self.any_v4 => return true,
            Some(6) if self.any_v6 => return true,
            _ => {}
        }
        let Some(packet) = packet::describe(packet) else {
            return false;
        };
        let (source, destination) = (
            packet.ports.map(|ports| ports.0),
            packet.ports.map(|ports| ports.1),
        );
        sources
            .iter()
            .any(|selector| selector.covers(packet.source, packet.protocol, source))
            && destinations
                .iter()
                .any(|selector| selector.covers(packet.destination, packet.protocol, destination))
    }
}

impl Selector {
    fn covers(&self, address: IpAddr, protocol: u8, port: Option<u16>) -> bool {
        let any_port = self.start_port == 0 && self.end_port == u16::MAX;
        (self.start..=self.end).contains(&address)
            && self.start.is_ipv4() == address.is_ipv4()
            && (self.protocol == 0 || self.protocol == protocol)
            && (any_port || port.is_some_and(|port| (self.start_port..=self.end_port).contains(&port)))
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

    fn selectors(local: &[Selector], remote: &[Selector]) -> Selectors {
        let any = |selectors: &[Selector], start: IpAddr, end: IpAddr| is_any(selectors, start, end);
        let (v4, last_v4) = (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::BROADCAST));
        Selectors {
            any_v4: any(local, v4, last_v4) && any(remote, v4, last_v4),
            any_v6: false,
            local: local.to_vec(),
            remote: remote.to_vec(),
        }
    }

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
        let sites = selectors(
            &[network([10, 1, 0, 0], [10, 1, 0, 255], 0, ALL_PORTS)],
            &[network([10, 2, 0, 0], [10, 2, 0, 255], 0, ALL_PORTS)],
        );
        let there = packet([10, 1, 0, 9], [10, 2, 0, 9], 17, [0; 4]);
        let back = packet([10, 2, 0, 9], [10, 1, 0, 9], 17, [0; 4]);
        let elsewhere = packet([10, 1, 0, 9], [10, 3, 0, 9], 17, [0; 4]);
        assert!(sites.admit_outbound(&there) && !sites.admit_inbound(&there));
        assert!(sites.admit_inbound(&back) && !sites.admit_outbound(&back));
        assert!(!sites.admit_outbound(&elsewhere) && !sites.admit_inbound(&elsewhere));
        assert!(!sites.admit_outbound(&[]) && !sites.admit_outbound(&[0x60; 60]));
    }

    #[test]
    fn ports_count_where_they_can_be_seen() {
        let web = selectors(
            &[network([10, 1, 0, 0], [10, 1, 0, 255], 6, ALL_PORTS)],
            &[network([10, 2, 0, 0], [10, 2, 0, 255], 6, (80, 80))],
        );
        let to = |protocol, port| packet([10, 1, 0, 9], [10, 2, 0, 9], protocol, [200, 0, 0, port]);
        assert!(web.admit_outbound(&to(6, 80)));
        assert!(!web.admit_outbound(&to(6, 81)));
        assert!(!web.admit_outbound(&to(17, 80)));
        let mut fragment = to(6, 80);
        fragment[7] = 100;
        assert!(
            !web.admit_outbound(&fragment),
            "a later fragment shows no port (RFC 4301 §4.4.1.1)"
        );
    }

    #[test]
    fn any_to_any_needs_both_sides() {
        let any = network([0; 4], [255; 4], 0, ALL_PORTS);
        let far = packet([198, 51, 100, 1], [203, 0, 113, 1], 1, [0; 4]);
        assert!(selectors(&[any], &[any]).admit_outbound(&far));
        assert!(
            !selectors(&[any], &[network([10, 0, 0, 0], [10, 0, 0, 9], 0, ALL_PORTS)]).admit_outbound(&far)
        );
    }
}
