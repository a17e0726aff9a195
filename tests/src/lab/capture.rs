//! What passes a link, counted by kind.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{LinkAddr, recvfrom, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::namespace::Namespace;

/// As much of a packet as is looked at.
const GLANCE: u32 = 128;
/// What may wait to be looked at, in bytes as the kernel counts them.
const BACKLOG: usize = 256 << 20;

/// What a packet on an outer link is, for the question whether something left in clear text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// ESP directly on IP (RFC 4303).
    Esp,
    /// ESP in UDP (RFC 3948).
    EspInUdp,
    /// IKE, on port 500 or behind the non-ESP marker on 4500.
    Ike,
    /// A NAT keepalive (RFC 3948 §2.3).
    Keepalive,
    /// ARP and the ICMPv6 of a link.
    Neighbour,
    /// A packet from or to an address behind a gateway: what must never be seen outside.
    Clear,
    /// Anything else between outer addresses.
    Other,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    counts: BTreeMap<Class, u64>,
    /// The first few packets that are neither ESP nor IKE, in words.
    pub unexpected: Vec<String>,
    /// The length of the longest IP packet with a part of IKE.
    pub longest_ike: usize,
    /// IKE messages that are one fragment of another (RFC 7383).
    pub ike_fragments: u64,
    /// Maximum segment sizes asked for in TCP SYNs, in the order seen.
    pub segment_sizes: Vec<u16>,
}

/// A capture in progress; it ends when dropped.
pub struct Capture {
    seen: Arc<Mutex<Seen>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    /// Begins to count what passes `link`, in both directions.
    ///
    /// # Errors
    /// When there is no such link, or without the privilege.
    pub fn start(namespace: &Namespace, link: &str) -> Result<Self> {
        let _inside = namespace.enter()?;
        let index = usize::try_from(if_nametoindex(link).with_context(|| format!("looking for {link}"))?)?;
        let everything = i32::from(0x0003_u16.to_be());
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(everything)))?;
        socket.attach_filter(&[SockFilter::new(0x06, 0, 0, GLANCE)])?;
        setsockopt(&socket, sockopt::RcvBufForce, &BACKLOG)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (seen, stop) = (
            Arc::new(Mutex::new(Seen::default())),
            Arc::new(AtomicBool::new(false)),
        );
        let (theirs, until) = (Arc::clone(&seen), Arc::clone(&stop));
        let reader = std::thread::spawn(move || read(&socket, index, &theirs, &until));
        Ok(Self {
            seen,
            stop,
            reader: Some(reader),
        })
    }

    /// What was seen up to now.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the capture; every packet that passed before is in the answer.
    pub fn finish(mut self) -> Seen {
        self.end();
        self.seen()
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _its_panic_was_printed = reader.join();
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.end();
    }
}

/// What passed before is long read after this.
const DRAIN: Duration = Duration::from_secs(1);

/// Reads until told to stop and nothing is left to read of what passed before; packets that go on passing end it too.
fn read(socket: &Socket, index: usize, seen: &Mutex<Seen>, stop: &AtomicBool) {
    let mut buffer = [0_u8; GLANCE as usize];
    let mut told = None;
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        if stopping && told.get_or_insert_with(Instant::now).elapsed() > DRAIN {
            return;
        }
        match recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer) {
            Ok((length, Some(from))) if from.ifindex() == index => {
                let packet = buffer.get(..length).unwrap_or_default();
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(u16::from_be(from.protocol()), packet);
            }
            Ok(_) => (),
            Err(_) if stopping => return,
            Err(_) => (),
        }
    }
}

impl Seen {
    /// How many packets of a kind passed.
    pub fn count(&self, class: Class) -> u64 {
        self.counts.get(&class).copied().unwrap_or_default()
    }

    /// ESP packets, in UDP or not.
    pub fn esp(&self) -> u64 {
        self.count(Class::Esp) + self.count(Class::EspInUdp)
    }

    /// Packets that a VPN has no reason to send.
    pub fn unexpected(&self) -> u64 {
        self.count(Class::Clear) + self.count(Class::Other)
    }

    fn add(&mut self, protocol: u16, packet: &[u8]) {
        let class = classify(protocol, packet);
        *self.counts.entry(class).or_default() += 1;
        if matches!(class, Class::Clear | Class::Other) && self.unexpected.len() < 10 {
            self.unexpected.push(describe(protocol, packet));
        }
        if let Some(ip) = Ip::parse(protocol, packet) {
            self.segment_sizes.extend(segment_size(&ip));
            if class == Class::Ike {
                self.longest_ike = self.longest_ike.max(ip.length);
                self.ike_fragments += u64::from(ip.is_ike_fragment());
            }
        }
    }
}

fn classify(protocol: u16, packet: &[u8]) -> Class {
    if protocol == 0x0806 {
        return Class::Neighbour;
    }
    let Some(ip) = Ip::parse(protocol, packet) else {
        return Class::Other;
    };
    if [ip.source, ip.destination].iter().any(is_inner) {
        return Class::Clear;
    }
    match (ip.protocol, ip.port(0), ip.port(2)) {
        (50, _, _) => Class::Esp,
        (17, Some(500), _) | (17, _, Some(500)) => Class::Ike,
        (17, Some(4500), _) | (17, _, Some(4500)) => match ip.payload.get(8..12) {
            Some([0, 0, 0, 0]) => Class::Ike,
            Some(_) => Class::EspInUdp,
            None => Class::Keepalive,
        },
        _ if ip.is_neighbour() => Class::Neighbour,
        _ => Class::Other,
    }
}

/// Addresses that the lab uses behind gateways and on tunnel links only.
fn is_inner(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            // 100.64.0.0/10 are names that sites have for each other.
            first == 10 || (first == 100 && second & 0xc0 == 64) || address.is_link_local()
        }
        IpAddr::V6(address) => address.is_unique_local(),
    }
}

/// The parts of an IP packet that are looked at.
struct Ip<'a> {
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
    /// Of the packet with all headers.
    length: usize,
    payload: &'a [u8],
}

/// Some octets of a packet.
fn octets<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at + N)?.try_into().ok()
}

impl<'a> Ip<'a> {
    fn parse(protocol: u16, packet: &'a [u8]) -> Option<Self> {
        let length = |at| octets(packet, at).map(|octets| usize::from(u16::from_be_bytes(octets)));
        match protocol {
            0x0800 => {
                let header = usize::from(packet.first()? & 15) * 4;
                Some(Self {
                    protocol: *packet.get(9)?,
                    source: Ipv4Addr::from(octets::<4>(packet, 12)?).into(),
                    destination: Ipv4Addr::from(octets::<4>(packet, 16)?).into(),
                    length: length(2)?,
                    payload: packet.get(header..)?,
                })
            }
            0x86dd => Some(Self {
                protocol: *packet.get(6)?,
                source: Ipv6Addr::from(octets::<16>(packet, 8)?).into(),
                destination: Ipv6Addr::from(octets::<16>(packet, 24)?).into(),
                length: 40 + length(4)?,
                payload: packet.get(40..)?,
            }),
            _ => None,
        }
    }

    fn port(&self, at: usize) -> Option<u16> {
        octets(self.payload, at).map(u16::from_be_bytes)
    }

    /// Neighbour discovery (RFC 4861) and multicast listeners (RFC 3810), which come behind a hop-by-hop header.
    fn is_neighbour(&self) -> bool {
        let kind = self.payload.first().copied().unwrap_or_default();
        self.source.is_ipv6() && (self.protocol == 0 || (self.protocol == 58 && (133..=137).contains(&kind)))
    }

    /// The first payload of the IKE message is an Encrypted Fragment.
    fn is_ike_fragment(&self) -> bool {
        let marker = if self.port(0) == Some(500) || self.port(2) == Some(500) {
            0
        } else {
            4
        };
        self.payload.get(8 + marker + 16) == Some(&53)
    }
}

/// The option of a TCP SYN (RFC 9293 §3.7.1), when it is the first option, where Linux puts it.
fn segment_size(ip: &Ip<'_>) -> Option<u16> {
    let syn = ip.protocol == 6 && ip.payload.get(13)? & 2 != 0;
    let is_first = ip.payload.get(20..22)? == [2, 4];
    if syn && is_first { ip.port(22) } else { None }
}

fn describe(protocol: u16, packet: &[u8]) -> String {
    match Ip::parse(protocol, packet) {
        Some(ip) => format!("{} to {}, protocol {}", ip.source, ip.destination, ip.protocol),
        None => format!("ethernet protocol {protocol:#06x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: u8, from: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend(from);
        packet.extend([192, 0, 2, 2]);
        packet.extend(payload);
        packet
    }

    #[test]
    fn packets_are_told_apart() {
        let outer = [192, 0, 2, 1];
        let class = |protocol, from, payload: &[u8]| classify(0x0800, &packet(protocol, from, payload));
        assert_eq!(class(50, outer, &[0; 16]), Class::Esp);
        assert_eq!(
            class(17, outer, &[1, 0xf4, 1, 0xf4, 0, 0, 0, 0, 1, 1, 1, 1]),
            Class::Ike
        );
        assert_eq!(
            class(17, outer, &[0x11, 0x94, 0x11, 0x94, 0, 0, 0, 0, 0, 0, 0, 0]),
            Class::Ike
        );
        assert_eq!(
            class(17, outer, &[0x11, 0x94, 0x11, 0x94, 0, 0, 0, 0, 0, 0, 0, 1]),
            Class::EspInUdp
        );
        assert_eq!(
            class(17, outer, &[0x11, 0x94, 0x11, 0x94, 0, 9, 0, 0, 0xff]),
            Class::Keepalive
        );
        assert_eq!(class(1, [10, 1, 0, 10], &[8, 0]), Class::Clear);
        assert_eq!(class(1, [100, 64, 1, 10], &[8, 0]), Class::Clear);
        assert_eq!(class(1, [100, 128, 1, 10], &[8, 0]), Class::Other);
        assert_eq!(class(1, outer, &[8, 0]), Class::Other);
        assert_eq!(classify(0x0806, &[]), Class::Neighbour);
        assert_eq!(classify(0x0800, &[0x45]), Class::Other);
    }

    #[test]
    fn packets_of_ipv6_are_told_apart() {
        let class = |protocol, from: &str, payload: &[u8]| {
            let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
            packet.extend(from.parse::<Ipv6Addr>().unwrap().octets());
            packet.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
            packet.extend(payload);
            classify(0x86dd, &packet)
        };
        let outer = "2001:db8::1";
        assert_eq!(class(50, outer, &[0; 16]), Class::Esp);
        assert_eq!(class(58, outer, &[135, 0]), Class::Neighbour);
        assert_eq!(class(0, "fe80::1", &[58, 0]), Class::Neighbour);
        assert_eq!(class(58, outer, &[128, 0]), Class::Other);
        assert_eq!(class(58, "fd00:1::10", &[128, 0]), Class::Clear);
    }

    #[test]
    fn fragments_and_lengths_of_ike_are_seen() {
        let mut seen = Seen::default();
        for (port, next) in [([1, 0xf4], 33), ([0x11, 0x94], 53)] {
            let marker = if port == [1, 0xf4] { 0 } else { 4 };
            let mut udp = vec![0_u8; 8 + marker + 28];
            udp[..4].copy_from_slice(&[port, port].concat());
            udp[8 + marker + 16] = next;
            let mut packet = packet(17, [192, 0, 2, 1], &udp);
            packet[2..4].copy_from_slice(&[2, marker.try_into().unwrap()]);
            seen.add(0x0800, &packet);
        }
        assert_eq!((seen.longest_ike, seen.ike_fragments), (516, 1));
    }

    #[test]
    fn segment_size_of_a_syn_is_read() {
        let mut tcp = [0_u8; 24];
        tcp[13] = 2;
        tcp[20..24].copy_from_slice(&[2, 4, 0x05, 0x46]);
        let size = |tcp: &[u8]| segment_size(&Ip::parse(0x0800, &packet(6, [10, 1, 0, 10], tcp)).unwrap());
        assert_eq!(size(&tcp), Some(1350));
        tcp[13] = 16;
        assert_eq!(size(&tcp), None);
    }
}
