//! Packets as bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use appliance_nat::End;

/// What a packet is within its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    First,
    Answer,
}

/// A packet as it is seen on a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) protocol: u8,
    pub(crate) source: End,
    pub(crate) destination: End,
    /// Of an ICMP echo.
    pub(crate) id: Option<u16>,
    /// What follows the IP header.
    pub(crate) body: Vec<u8>,
    pub(crate) intact: bool,
}

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// The first packet of a flow, or an answer; the bytes are carried along. Ends without ports get `id`.
pub(crate) fn build(turn: Turn, protocol: u8, ends: (End, End), id: u16, carried: &[u8]) -> Vec<u8> {
    let (source, destination) = ends;
    let (from, to) = (source.port.unwrap_or(id), destination.port.unwrap_or(id));
    let mut body = Vec::new();
    match (protocol, turn) {
        (UDP, _) => {
            body.extend(from.to_be_bytes());
            body.extend(to.to_be_bytes());
            body.extend(u16::try_from(8 + carried.len()).unwrap().to_be_bytes());
            body.extend([0, 0]);
        }
        (TCP, turn) => {
            body.extend(from.to_be_bytes());
            body.extend(to.to_be_bytes());
            body.extend(1000_u32.to_be_bytes());
            body.extend(if turn == Turn::First { 0_u32 } else { 1001 }.to_be_bytes());
            body.extend([0x50, if turn == Turn::First { 0x02 } else { 0x12 }]);
            body.extend([0x20, 0, 0, 0, 0, 0]);
        }
        (ICMP, Turn::First) => body.extend([8, 0, 0, 0]),
        (ICMP, Turn::Answer) => body.extend([0, 0, 0, 0]),
        (_, Turn::First) => body.extend([128, 0, 0, 0]),
        (_, Turn::Answer) => body.extend([129, 0, 0, 0]),
    }
    if [ICMP, ICMP6].contains(&protocol) {
        body.extend(id.to_be_bytes());
        body.extend([0, 1]);
    }
    // A SYN carries nothing.
    if protocol != TCP {
        body.extend(carried);
    }
    seal(protocol, source.address, destination.address, &mut body);
    wrap(protocol, source.address, destination.address, &body)
}

/// An ICMP error about a packet: destination unreachable (port), or too big with an MTU.
pub(crate) fn error(from: IpAddr, to: IpAddr, about: &[u8], mtu: Option<u16>) -> Vec<u8> {
    let v4 = from.is_ipv4();
    let mut body = match (v4, mtu) {
        (true, None) => vec![3, 3, 0, 0, 0, 0, 0, 0],
        (true, Some(mtu)) => [[3, 4, 0, 0, 0, 0].as_slice(), &mtu.to_be_bytes()].concat(),
        (false, None) => vec![1, 4, 0, 0, 0, 0, 0, 0],
        (false, Some(mtu)) => [[2, 0, 0, 0, 0, 0].as_slice(), &mtu.to_be_bytes()].concat(),
    };
    body.extend(about);
    let protocol = if v4 { ICMP } else { ICMP6 };
    seal(protocol, from, to, &mut body);
    wrap(protocol, from, to, &body)
}

/// An IP header before a body.
pub(crate) fn wrap(protocol: u8, source: IpAddr, destination: IpAddr, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            bytes.extend([0x45, 0]);
            bytes.extend(u16::try_from(20 + body.len()).unwrap().to_be_bytes());
            bytes.extend([0x12, 0x34, 0, 0, 64, protocol, 0, 0]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
            let sum = !fold(&[&bytes]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            bytes.extend([0x60, 0, 0, 0]);
            bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            bytes.extend([protocol, 64]);
            bytes.extend(source.octets());
            bytes.extend(destination.octets());
        }
        _ => panic!("one version"),
    }
    bytes.extend(body);
    bytes
}

/// The fragments of an IPv4 packet, each with at most `size` octets of its body.
pub(crate) fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (header, body) = packet.split_at(20);
    let pieces: Vec<&[u8]> = body.chunks(size / 8 * 8).collect();
    let mut found = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let mut bytes = header.to_vec();
        let offset = u16::try_from(index * (size / 8)).unwrap();
        let more = if index + 1 < pieces.len() { 0x2000 } else { 0 };
        bytes[2..4].copy_from_slice(&u16::try_from(20 + piece.len()).unwrap().to_be_bytes());
        bytes[6..8].copy_from_slice(&(offset | more).to_be_bytes());
        bytes[10..12].copy_from_slice(&[0, 0]);
        let sum = !fold(&[&bytes]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(*piece);
        found.push(bytes);
    }
    found
}

/// Reads a packet; `None` if it is of another kind, as what links say by themselves.
pub(crate) fn read(bytes: &[u8]) -> Option<Seen> {
    let version = bytes.first()? >> 4;
    let (protocol, source, destination, body, intact): (u8, IpAddr, IpAddr, &[u8], bool) = if version == 4 {
        let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap()).into();
        let header = fold(&[&bytes[..20]]) == 0xffff;
        (bytes[9], address(12), address(16), &bytes[20..length], header)
    } else {
        let length = usize::from(u16::from_be_bytes([bytes[4], bytes[5]]));
        let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap()).into();
        (bytes[6], address(8), address(24), &bytes[40..40 + length], true)
    };
    let echo = match protocol {
        ICMP => [0, 8].contains(body.first()?),
        ICMP6 => [128, 129].contains(body.first()?),
        _ => false,
    };
    let error = match protocol {
        ICMP => body[0] == 3,
        ICMP6 => [1, 2].contains(&body[0]),
        _ => false,
    };
    if !echo && !error && ![TCP, UDP].contains(&protocol) {
        return None;
    }
    let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let ported = [TCP, UDP].contains(&protocol);
    Some(Seen {
        protocol,
        source: End {
            address: source,
            port: ported.then(|| number(0)),
        },
        destination: End {
            address: destination,
            port: ported.then(|| number(2)),
        },
        id: echo.then(|| number(4)),
        intact: intact && check(protocol, source, destination, body) == 0xffff,
        body: body.to_vec(),
    })
}

/// Writes the checksum.
fn seal(protocol: u8, source: IpAddr, destination: IpAddr, body: &mut [u8]) {
    let at = match protocol {
        TCP => 16,
        UDP => 6,
        _ => 2,
    };
    let mut sum = !check(protocol, source, destination, body);
    if protocol == UDP && sum == 0 {
        // Zero means that there is none (RFC 768).
        sum = 0xffff;
    }
    body[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn check(protocol: u8, source: IpAddr, destination: IpAddr, body: &[u8]) -> u16 {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let kind = [0, protocol];
    match (source, destination) {
        (IpAddr::V4(_), IpAddr::V4(_)) if protocol == ICMP => fold(&[body]),
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            fold(&[&source.octets(), &destination.octets(), &kind, &length, body])
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            fold(&[&source.octets(), &destination.octets(), &kind, &length, body])
        }
        _ => panic!("one version"),
    }
}

/// The one's complement sum (RFC 1071) of parts that have even lengths but for the last.
fn fold(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// Sets "don't fragment" (RFC 791).
pub(crate) fn forbid_fragments(packet: &mut [u8]) {
    packet[6] |= 0x40;
    packet[10..12].copy_from_slice(&[0, 0]);
    let sum = !fold(&[&packet[..20]]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The ends of a packet of which only the beginning is there.
pub(crate) fn read_part(bytes: &[u8]) -> (End, End) {
    let v4 = bytes[0] >> 4 == 4;
    let header = if v4 { 20 } else { 40 };
    let address = |at: usize| -> IpAddr {
        if v4 {
            <[u8; 4]>::try_from(&bytes[at..at + 4]).unwrap().into()
        } else {
            <[u8; 16]>::try_from(&bytes[at..at + 16]).unwrap().into()
        }
    };
    let port = |at: usize| Some(u16::from_be_bytes([bytes[header + at], bytes[header + at + 1]]));
    let (source, destination) = if v4 { (12, 16) } else { (8, 24) };
    (
        End {
            address: address(source),
            port: port(0),
        },
        End {
            address: address(destination),
            port: port(2),
        },
    )
}
