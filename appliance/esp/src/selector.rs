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
