use std::io::IoSliceMut;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

use crate::Drops;
use crate::coalesce::{Coalescer, Place};
use crate::early::Early;
use crate::ike_queue::IkeInbox;
use crate::packet::{self, Ecn};
use crate::sa::{OpenError, Opener};
use crate::table::{Child, Direction, Table};
use crate::udp::NON_ESP_MARKER;

/// Datagrams, or runs of coalesced ones, that are taken before any is passed on.
const BUFFERS: usize = 8;
/// The keepalive of a peer behind a NAT (RFC 3948 §2.3).
const KEEPALIVE: [u8; 1] = [0xff];

/// The receive buffers of a worker and what is known of the datagrams in them.
#[derive(Debug)]
pub(crate) struct Reception {
    pub(crate) buffers: Vec<Box<[u8]>>,
    received: [Received; BUFFERS],
    control: Vec<u8>,
    pub(crate) coalescer: Coalescer,
}

/// A run of datagrams from one sender: all of one length but for the last, which may be shorter.
#[derive(Debug, Clone, Copy)]
struct Received {
    len: usize,
    segment: usize,
    class: u8,
    remote: Option<SocketAddr>,
}

/// What arrives at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// UDP payload: ESP, IKE behind a marker, or a keepalive.
    Datagram {
        /// Where it arrived.
        local: SocketAddr,
    },
    /// ESP behind an IPv4 header.
    Ipv4,
    /// ESP alone.
    Ipv6,
}

/// Opens packets, one SA held at a time.
pub(crate) struct Opening<'a> {
    table: &'a Table,
    ike: &'a IkeInbox,
    early: &'a Mutex<Early>,
    current: Option<(&'a Child, MutexGuard<'a, Direction<Opener>>)>,
    now: Instant,
    /// What was dropped without an SA to count it on.
    pub(crate) drops: Drops,
}

impl Reception {
    pub(crate) fn new() -> Reception {
        let nothing = Received {
            len: 0,
            segment: 0,
            class: 0,
            remote: None,
        };
        Reception {
            buffers: (0..BUFFERS)
                .map(|_| vec![0; usize::from(u16::MAX)].into_boxed_slice())
                .collect(),
            received: [nothing; BUFFERS],
            control: nix::cmsg_space!(i32, i32, [i32; 4]),
            coalescer: Coalescer::default(),
        }
    }

    /// Takes what waits at a socket, as far as there are buffers, opens it and puts it to the coalescer. Returns
    /// whether more may wait.
    pub(crate) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        arrival: Arrival,
        opening: &mut Opening<'_>,
    ) -> bool {
        let count = self.fill(socket);
        for index in 0..count {
            let Some(&received) = self.received.get(index) else {
                break;
            };
            let mut start = 0;
            while start < received.len {
                let len = received.segment.min(received.len - start);
                let place = Place {
                    buffer: index,
                    start,
                    len,
                };
                self.take(place, received, arrival, opening);
                start += len;
            }
        }
        opening.current = None;
        count == BUFFERS
    }

    fn fill(&mut self, socket: BorrowedFd<'_>) -> usize {
        let mut count = 0;
        for (buffer, received) in self.buffers.iter_mut().zip(&mut self.received) {
            let mut vector = [IoSliceMut::new(buffer)];
            let message = loop {
                match recvmsg::<SockaddrStorage>(
                    socket.as_raw_fd(),
                    &mut vector,
                    Some(&mut self.control),
                    MsgFlags::MSG_DONTWAIT,
                ) {
                    Err(Errno::EINTR) => {}
                    other => break other,
                }
            };
            // An error that an earlier datagram left behind is reported once and hides nothing.
            let Ok(message) = message else { break };
            *received = Received {
                len: message.bytes,
                segment: message.bytes,
                class: 0,
                remote: None,
            };
            received.remote = message.address.as_ref().and_then(address);
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::UdpGroSegments(len) => {
                        received.segment = usize::try_from(len).unwrap_or_default().max(1);
                    }
                    ControlMessageOwned::Ipv4Tos(class) => received.class = class,
                    ControlMessageOwned::Ipv6TClass(class) => {
                        received.class = u8::try_from(class).unwrap_or_default();
                    }
                    _ => {}
                }
            }
            count += 1;
        }
        count
    }

    fn take(&mut self, place: Place, received: Received, arrival: Arrival, opening: &mut Opening<'_>) {
        let Some(buffer) = self.buffers.get_mut(place.buffer) else {
            return;
        };
        let Some(bytes) = buffer.get_mut(place.start..place.start + place.len) else {
            return;
        };
        let skip = match (arrival, &*bytes) {
            (Arrival::Datagram { local }, [a, b, c, d, message @ ..])
                if [*a, *b, *c, *d] == NON_ESP_MARKER =>
            {
                if let Some(remote) = received.remote {
                    opening.ike.put(local, remote, message);
                }
                return;
            }
            (Arrival::Datagram { .. }, bytes) if bytes == KEEPALIVE => return,
            (Arrival::Datagram { .. } | Arrival::Ipv6, _) => 0,
            (Arrival::Ipv4, [first, ..]) => usize::from(first & 0xf) * 4,
            (Arrival::Ipv4, []) => return,
        };
        let Some(esp) = bytes.get_mut(skip..) else { return };
        let Some((interface, inner)) = opening.open(esp, Ecn::of(received.class)) else {
            return;
        };
        let inner = Place {
            start: place.start + skip + inner.start,
            len: inner.len(),
            ..place
        };
        self.coalescer.push(interface, inner, &self.buffers);
    }
}

impl<'a> Opening<'a> {
    pub(crate) fn new(table: &'a Table, ike: &'a IkeInbox, early: &'a Mutex<Early>) -> Opening<'a> {
        Opening {
            table,
            ike,
            early,
            current: None,
            now: Instant::now(),
            drops: Drops::default(),
        }
    }

    /// What waits for its SA.
    pub(crate) fn early(&self) -> MutexGuard<'a, Early> {
        self.early.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens one ESP packet: on which interface its inner packet goes, and where that lies. One without an SA waits a while.
    pub(crate) fn open(&mut self, esp: &mut [u8], ecn: Ecn) -> Option<(u64, std::ops::Range<usize>)> {
        let Some(spi) = esp.first_chunk::<4>().map(|spi| u32::from_be_bytes(*spi)) else {
            self.drops.malformed += 1;
            return None;
        };
        if self
            .current
            .as_ref()
            .is_none_or(|(child, _)| child.inbound_spi != spi)
        {
            self.current = None;
            let Some(child) = self.table.by_spi.get(&spi) else {
                let lost = self.early().keep(spi, esp, ecn, self.now);
                self.drops.unknown_spi += lost;
                return None;
            };
            self.current = Some((child, child.inbound()));
        }
        let (child, inbound) = self.current.as_mut()?;
        if inbound.meter.is_used_up() {
            inbound.drops.no_sa += 1;
            return None;
        }
        match inbound.sa.open(esp) {
            Ok(range) => {
                inbound.last = Some(self.now);
                let range = range?;
                let inner = esp.get_mut(range.clone())?;
                if !child.selectors.admit_inbound(inner) {
                    inbound.drops.selector += 1;
                    return None;
                }
                // One who cannot be told of congestion on the way of the tunnel loses the packet (RFC 6040 §4.2).
                if !packet::carry_ecn(inner, ecn) {
                    inbound.drops.congestion += 1;
                    return None;
                }
                child.count(inbound, range.len());
                Some((child.interface, range))
            }
            Err(OpenError::Replay) => {
                inbound.drops.replay += 1;
                None
            }
            Err(OpenError::Integrity) => {
                inbound.drops.integrity += 1;
                None
            }
            Err(OpenError::Malformed) => {
                inbound.drops.malformed += 1;
                None
            }
        }
    }
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage
        .as_sockaddr_in()
        .map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| {
        storage
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::from((v6.ip(), v6.port())))
    })
}

#[cfg(test)]
mod tests;
