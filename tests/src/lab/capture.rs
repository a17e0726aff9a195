//! What passes a link, counted by kind.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
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
        self.segment_sizes.extend(segment_size(packet));
    }
}

fn classify(protocol: u16, packet: &[u8]) -> Class {
    match protocol {
        0x0806 => Class::Neighbour,
        0x86dd if packet.get(6) == Some(&58) || packet.get(6) == Some(&0) => Class::Neighbour,
        0x0800 => classify_v4(packet),
        _ => Class::Other,
    }
}

fn classify_v4(packet: &[u8]) -> Class {
    let Some(ip) = Ipv4::parse(packet) else {
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
        _ => Class::Other,
    }
}

/// Addresses that the lab uses behind gateways and on tunnel links only.
fn is_inner(address: &Ipv4Addr) -> bool {
    address.octets()[0] == 10 || address.is_link_local()
}

/// The parts of an IPv4 packet that are looked at.
struct Ipv4<'a> {
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: &'a [u8],
}

impl<'a> Ipv4<'a> {
    fn parse(packet: &'a [u8]) -> Option<Self> {
        let address = |at: usize| -> Option<Ipv4Addr> {
            let octets: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets))
        };
        let header = usize::from(packet.first()? & 15) * 4;
        Some(Self {
            protocol: *packet.get(9)?,
            source: address(12)?,
            destination: address(16)?,
            payload: packet.get(header..)?,
        })
    }

    fn port(&self, at: usize) -> Option<u16> {
        let port: [u8; 2] = self.payload.get(at..at + 2)?.try_into().ok()?;
        Some(u16::from_be_bytes(port))
    }
}

/// The option of a TCP SYN (RFC 9293 §3.7.1), when it is the first option, where Linux puts it.
fn segment_size(packet: &[u8]) -> Option<u16> {
    let ip = Ipv4::parse(packet)?;
    let syn = ip.protocol == 6 && ip.payload.get(13)? & 2 != 0;
    let is_first = ip.payload.get(20..22)? == [2, 4];
    if syn && is_first { ip.port(22) } else { None }
}

fn describe(protocol: u16, packet: &[u8]) -> String {
    match Ipv4::parse(packet) {
        Some(ip) if protocol == 0x0800 => {
            format!("{} to {}, protocol {}", ip.source, ip.destination, ip.protocol)
        }
        _ => format!("ethernet protocol {protocol:#06x}"),
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
        assert_eq!(class(1, outer, &[8, 0]), Class::Other);
        assert_eq!(classify(0x0806, &[]), Class::Neighbour);
        assert_eq!(classify(0x0800, &[0x45]), Class::Other);
    }

    #[test]
    fn segment_size_of_a_syn_is_read() {
        let mut tcp = [0_u8; 24];
        tcp[13] = 2;
        tcp[20..24].copy_from_slice(&[2, 4, 0x05, 0x46]);
        assert_eq!(segment_size(&packet(6, [10, 1, 0, 10], &tcp)), Some(1350));
        tcp[13] = 16;
        assert_eq!(segment_size(&packet(6, [10, 1, 0, 10], &tcp)), None);
    }
}
