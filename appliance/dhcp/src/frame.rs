//! IPv4 and UDP headers around a message: before it has an address, a client has no socket that could do it
//! (RFC 2131 §4.1).

use std::net::Ipv4Addr;

/// The port of servers.
pub const SERVER_PORT: u16 = 67;
/// The port of clients.
pub const CLIENT_PORT: u16 = 68;

const IPV4: usize = 20;
const UDP: usize = 8;
const UDP_PROTOCOL: u8 = 17;
/// More fragments follow, or this is not the first.
const FRAGMENT: u16 = 0x3fff;

/// An IPv4 packet from nobody to everybody with this payload, from the client's port to the servers'.
pub fn broadcast_packet(payload: &[u8]) -> Vec<u8> {
    let length = |headers: usize| u16::try_from(headers + payload.len()).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(IPV4 + UDP + payload.len());
    packet.extend_from_slice(&[0x45, 0x10]);
    packet.extend_from_slice(&length(IPV4 + UDP).to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 0, 64, UDP_PROTOCOL, 0, 0]);
    packet.extend_from_slice(&Ipv4Addr::UNSPECIFIED.octets());
    packet.extend_from_slice(&Ipv4Addr::BROADCAST.octets());
    let header = checksum(&packet);
    if let Some(place) = packet.get_mut(10..12) {
        place.copy_from_slice(&header.to_be_bytes());
    }
    packet.extend_from_slice(&CLIENT_PORT.to_be_bytes());
    packet.extend_from_slice(&SERVER_PORT.to_be_bytes());
    packet.extend_from_slice(&length(UDP).to_be_bytes());
    // None (RFC 768), which IPv4 allows.
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    packet
}

/// The payload of an IPv4 packet from a server's port to the client's; `None` if it is anything else. The checksum of UDP
/// is not looked at: what comes from the same machine has none yet.
pub fn payload(packet: &[u8]) -> Option<&[u8]> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let two = |start: usize| {
        let octets = packet.get(start..)?.get(..2)?;
        Some(u16::from_be_bytes(octets.try_into().ok()?))
    };
    let is_datagram = packet.first()? >> 4 == 4
        && header >= IPV4
        && packet.get(9) == Some(&UDP_PROTOCOL)
        && two(6)? & FRAGMENT == 0
        && checksum(packet.get(..header)?) == 0;
    let between = two(header)? == SERVER_PORT && two(header + 2)? == CLIENT_PORT;
    let length = usize::from(two(header + 4)?);
    let datagram = packet.get(header..)?.get(..length)?;
    datagram.get(UDP..).filter(|_| is_datagram && between)
}

/// The checksum of an IPv4 header (RFC 1071); zero over one that has it.
fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).filter_map(|pair| pair.try_into().ok());
    let sum: u32 = words.map(|pair| u32::from(u16::from_be_bytes(pair))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded & 0xffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from_server(payload: &[u8]) -> Vec<u8> {
        let mut packet = broadcast_packet(payload);
        packet.swap(IPV4 + 1, IPV4 + 3);
        packet
    }

    proptest! {
        #[test]
        fn a_payload_is_read_back(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
            let (from, to) = (from_server(&octets), broadcast_packet(&octets));
            prop_assert_eq!(payload(&from), Some(octets.as_slice()));
            prop_assert_eq!(payload(&to), None, "to the server");
        }

        #[test]
        fn no_packet_panics(octets in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = payload(&octets);
        }
    }

    /// A header that was damaged, a fragment and a packet that ends too early are nothing.
    #[test]
    fn what_is_no_datagram_is_nothing() {
        let whole = from_server(&[7; 300]);
        let mut damaged = whole.clone();
        damaged[16] = 1;
        assert_eq!(payload(&damaged), None);
        let mut fragment = whole.clone();
        fragment[6] = 0x20;
        fragment[10] = fragment[10].wrapping_sub(0x20);
        assert_eq!(payload(&fragment), None);
        assert_eq!(payload(&whole[..200]), None);
    }
}
