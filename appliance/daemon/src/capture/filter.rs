//! Which packets the kernel hands over: classic BPF over an IP packet without anything before it (`packet(7)`); pure.

use std::net::IpAddr;

use socket2::SockFilter;

const ESP: u32 = 50;
const UDP: u32 = 17;
const FRAGMENT: u32 = 44;
/// IKE, and IKE and ESP through NATs (RFC 7296 §2, RFC 3948 §2.1): ours are always these.
const PORTS: [u32; 2] = [500, 4500];

const WORD: u16 = 0x20;
const HALF: u16 = 0x28;
const OCTET: u16 = 0x30;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const ANY_BIT: u16 = 0x45;
const HEADER_LENGTH: u16 = 0xb1;
const HALF_BEHIND_HEADER: u16 = 0x48;
const RETURN: u16 = 0x06;

const NOTHING: SockFilter = SockFilter::new(RETURN, 0, 0, 0);
const ALL: SockFilter = SockFilter::new(RETURN, 0, 0, u32::MAX);

/// Where a step leads.
#[derive(Debug, Clone, Copy)]
enum To {
    /// So many further on than the next.
    Ahead(u8),
    /// The packet is taken.
    Taken,
    /// It is not for this peer.
    Past,
}

type Step = (u16, u32, To, To);

/// Lets through IKE and ESP from and to one of these.
pub(super) fn of_peers(peers: &[IpAddr]) -> Vec<SockFilter> {
    let mut program: Vec<_> = peers.iter().flat_map(|peer| placed(&steps(*peer))).collect();
    program.push(NOTHING);
    program
}

/// Lets through what passes one link, by the kernel's index.
pub(super) fn of_link(index: u32) -> Vec<SockFilter> {
    /// `SKF_AD_OFF + SKF_AD_IFINDEX` (`linux/filter.h`).
    const LINK_INDEX: u32 = 0xffff_f008;
    let step = SockFilter::new;
    vec![
        step(WORD, 0, 0, LINK_INDEX),
        step(EQUAL, 0, 1, index),
        ALL,
        NOTHING,
    ]
}

fn steps(peer: IpAddr) -> Vec<Step> {
    match peer {
        IpAddr::V4(peer) => {
            let mut steps = version(0x40);
            steps.extend([
                load(WORD, 12),
                (EQUAL, peer.to_bits(), To::Ahead(2), To::Ahead(0)),
                load(WORD, 16),
                (EQUAL, peer.to_bits(), To::Ahead(0), To::Past),
                load(OCTET, 9),
                (EQUAL, ESP, To::Taken, To::Ahead(0)),
                (EQUAL, UDP, To::Ahead(0), To::Past),
                load(HALF, 6),
                // All but the first fragment has no ports to go by.
                (ANY_BIT, 0x1fff, To::Taken, To::Ahead(0)),
                load(HEADER_LENGTH, 0),
            ]);
            steps.extend(ports(HALF_BEHIND_HEADER, 0));
            steps
        }
        IpAddr::V6(peer) => {
            let octets = peer.octets();
            let (words, _) = octets.as_chunks::<4>();
            let words = || words.iter().map(|word| u32::from_be_bytes(*word));
            let mut steps = version(0x60);
            // From it, or else to it: behind the last word of the one all of the other is skipped.
            for ((at, left), word) in [(8, 6), (12, 4), (16, 2), (20, 0)].into_iter().zip(words()) {
                let found = if left == 0 { To::Ahead(8) } else { To::Ahead(0) };
                steps.extend([load(WORD, at), (EQUAL, word, found, To::Ahead(left))]);
            }
            for (at, word) in [24, 28, 32, 36].into_iter().zip(words()) {
                steps.extend([load(WORD, at), (EQUAL, word, To::Ahead(0), To::Past)]);
            }
            steps.extend([
                load(OCTET, 6),
                (EQUAL, ESP, To::Taken, To::Ahead(0)),
                (EQUAL, FRAGMENT, To::Taken, To::Ahead(0)),
                (EQUAL, UDP, To::Ahead(0), To::Past),
            ]);
            steps.extend(ports(HALF, 40));
            steps
        }
    }
}

fn load(how: u16, at: u32) -> Step {
    (how, at, To::Ahead(0), To::Ahead(0))
}

fn version(nibble: u32) -> Vec<Step> {
    vec![
        load(OCTET, 0),
        (AND, 0xf0, To::Ahead(0), To::Ahead(0)),
        (EQUAL, nibble, To::Ahead(0), To::Past),
    ]
}

/// One of both ports of a datagram that begins there is ours.
fn ports(how: u16, at: u32) -> Vec<Step> {
    let [ike, traversal] = PORTS;
    let either = |last| {
        [
            (EQUAL, ike, To::Taken, To::Ahead(0)),
            (EQUAL, traversal, To::Taken, last),
        ]
    };
    let mut steps = vec![load(how, at)];
    steps.extend(either(To::Ahead(0)));
    steps.push(load(how, at + 2));
    steps.extend(either(To::Past));
    steps
}

/// The steps with where they lead told as the kernel has it, and behind them the one that takes a packet.
fn placed(steps: &[Step]) -> Vec<SockFilter> {
    let count = steps.len();
    let far = |from: usize, to: To| match to {
        To::Ahead(steps) => steps,
        // A peer takes no more than thirty steps.
        To::Taken => u8::try_from(count - from - 1).unwrap_or(u8::MAX),
        To::Past => u8::try_from(count - from).unwrap_or(u8::MAX),
    };
    let placed = steps.iter().enumerate();
    let placed = placed
        .map(|(at, (code, value, yes, no))| SockFilter::new(*code, far(at, *yes), far(at, *no), *value));
    placed.chain([ALL]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::mem::MaybeUninit;

    use socket2::{Domain, Socket, Type};

    use super::*;

    /// Whether the kernel lets a packet through.
    fn passes(program: &[SockFilter], packet: &[u8]) -> bool {
        let (near, far) = Socket::pair(Domain::UNIX, Type::DGRAM, None).unwrap();
        far.attach_filter(program).unwrap();
        far.set_nonblocking(true).unwrap();
        near.send(packet).unwrap();
        match far.recv(&mut [MaybeUninit::uninit(); 128]) {
            Ok(length) => length == packet.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn four(from: [u8; 4], to: [u8; 4], protocol: u8, behind: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x46, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([from, to, [1; 4]].concat());
        packet.extend(behind);
        packet
    }

    fn six(from: u8, to: u8, protocol: u8, behind: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        for last in [from, to] {
            packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
        packet.extend(behind);
        packet
    }

    fn udp(from: u16, to: u16) -> Vec<u8> {
        let ports = [from.to_be_bytes(), to.to_be_bytes()].concat();
        [&ports[..], &[0; 4]].concat()
    }

    #[test]
    fn of_a_peer_ike_and_esp_pass_both_ways_and_nothing_else() {
        let peers = ["192.0.2.2", "2001:db8::2"].map(|peer| peer.parse().unwrap());
        let program = of_peers(&peers);
        let (peer, we, other) = ([192, 0, 2, 2], [192, 0, 2, 1], [192, 0, 2, 3]);
        let mut taken = Vec::new();
        let mut left = vec![four(we, other, 50, &[0; 8]), six(1, 3, 50, &[0; 8])];
        for (from, to) in [(we, peer), (peer, we)] {
            taken.extend([four(from, to, 50, &[0; 8]), four(from, to, 17, &udp(500, 500))]);
            taken.extend([
                four(from, to, 17, &udp(4500, 31_000)),
                four(from, to, 17, &udp(9, 4500)),
            ]);
            left.extend([
                four(from, to, 17, &udp(53, 53)),
                four(from, to, 6, &udp(500, 500)),
            ]);
        }
        for (from, to) in [(1, 2), (2, 1)] {
            taken.extend([six(from, to, 50, &[0; 8]), six(from, to, 17, &udp(500, 500))]);
            taken.extend([six(from, to, 44, &[0; 8]), six(from, to, 17, &udp(31_000, 4500))]);
            left.extend([six(from, to, 17, &udp(53, 53)), six(from, to, 58, &udp(500, 500))]);
        }
        let mut fragment = four(peer, we, 17, &udp(9, 9));
        fragment[7] = 100;
        taken.push(fragment);
        left.push(vec![0; 60]);
        left.push(Vec::new());
        for packet in taken {
            assert!(passes(&program, &packet), "{packet:x?}");
        }
        for packet in left {
            assert!(!passes(&program, &packet), "{packet:x?}");
        }
    }
}
