use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::MutexGuard;

use nix::errno::Errno;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

use crate::Encapsulation;
use crate::packet;
use crate::sa::{SealError, Sealer};
use crate::table::{Child, Direction};
use crate::udp::LocalSockets;

/// Packets that one system call hands to UDP; the system takes no more.
const SEGMENTS: usize = 64;
/// Octets that one system call hands to UDP: the largest datagram over IPv6 with room to spare.
const OCTETS: usize = 65_000;

/// ESP packets of one SA that leave together: all of one length but for the last, which may be shorter.
#[derive(Debug)]
pub(crate) struct Batch {
    octets: Box<[u8]>,
    used: usize,
    segment: usize,
    count: usize,
    /// Traffic class of the outer packets.
    class: u8,
    closed: bool,
}

/// Seals packets of one SA and sends them; holds the SA until all of them have left.
pub(crate) struct Transmission<'a> {
    pub(crate) child: &'a Child,
    remote: SocketAddr,
    outbound: MutexGuard<'a, Direction<Sealer>>,
    batch: &'a mut Batch,
    sockets: &'a LocalSockets,
    worker: usize,
}

impl Batch {
    pub(crate) fn new() -> Batch {
        let octets = vec![0; OCTETS + usize::from(u16::MAX)].into_boxed_slice();
        Batch {
            octets,
            used: 0,
            segment: 0,
            count: 0,
            class: 0,
            closed: false,
        }
    }

    fn takes(&self, len: usize, class: u8) -> bool {
        let room = !self.closed && self.count < SEGMENTS && self.used + len <= OCTETS;
        self.count == 0 || (room && len <= self.segment && class == self.class)
    }

    fn append(&mut self, len: usize, class: u8) {
        if self.count == 0 {
            (self.segment, self.class, self.closed) = (len, class, false);
        }
        self.closed = len < self.segment;
        self.used += len;
        self.count += 1;
    }
}

impl<'a> Transmission<'a> {
    pub(crate) fn new(
        child: &'a Child,
        remote: SocketAddr,
        batch: &'a mut Batch,
        sockets: &'a LocalSockets,
        worker: usize,
    ) -> Transmission<'a> {
        Transmission {
            child,
            remote,
            outbound: child.outbound(),
            batch,
            sockets,
            worker,
        }
    }

    /// Seals one inner packet; it leaves with others like it, at the latest on [`Transmission::flush`].
    pub(crate) fn push(&mut self, inner: &[u8]) {
        if self.outbound.meter.is_used_up() {
            self.outbound.drops.no_sa += 1;
            return;
        }
        // DSCP and ECN are copied to the outer header (RFC 4301 §5.1.2.1, RFC 6040 §4.1).
        let class = packet::traffic_class(inner);
        let len = self.outbound.sa.sealed_len(inner.len());
        if !self.batch.takes(len, class) {
            self.flush();
        }
        let Some(room) = self.batch.octets.get_mut(self.batch.used..) else {
            return;
        };
        match self.outbound.sa.seal(inner, room) {
            Ok(len) => {
                self.batch.append(len, class);
                self.child.count(&mut self.outbound, inner.len());
            }
            Err(SealError::Exhausted) => self.outbound.drops.no_sa += 1,
            Err(SealError::Length) => self.outbound.drops.malformed += 1,
        }
    }

    /// Sends all that is sealed.
    pub(crate) fn flush(&mut self) {
        let (used, segment, count) = (self.batch.used, self.batch.segment, self.batch.count);
        (self.batch.used, self.batch.count) = (0, 0);
        let octets = self.batch.octets.get(..used).unwrap_or_default();
        let sent = match self.child.encapsulation {
            _ if count == 0 => return,
            Encapsulation::Udp if count > 1 => match self.send(octets, Some(segment)) {
                // The way out cannot segment: a route with a smaller MTU, or a device that computes no checksums.
                Err(Errno::EINVAL | Errno::EMSGSIZE | Errno::EIO) => self.send_each(octets, segment),
                sent => sent,
            },
            Encapsulation::Udp => self.send(octets, None),
            Encapsulation::None => self.send_each(octets, segment),
        };
        if let Err(error) = sent {
            self.outbound.drops.output += u64::try_from(count).unwrap_or_default();
            tracing::trace!(%error, remote = %self.remote, "not sent");
        }
    }

    /// Sends the rest, lets go of the SA and gives the batch back.
    pub(crate) fn finish(mut self) -> &'a mut Batch {
        self.flush();
        self.batch
    }

    fn send_each(&self, octets: &[u8], segment: usize) -> Result<(), Errno> {
        octets
            .chunks(segment.max(1))
            .try_for_each(|packet| self.send(packet, None))
    }

    fn send(&self, octets: &[u8], segment: Option<usize>) -> Result<(), Errno> {
        let (socket, remote) = match self.child.encapsulation {
            Encapsulation::Udp => {
                let socket = self.sockets.udp.get(self.worker).ok_or(Errno::EBADF)?;
                (socket.as_raw_fd(), self.remote)
            }
            Encapsulation::None => {
                let mut remote = self.remote;
                remote.set_port(0);
                (self.sockets.raw.as_raw_fd(), remote)
            }
        };
        let segment = u16::try_from(segment.unwrap_or_default()).map_err(|_| Errno::EINVAL)?;
        let class = i32::from(self.batch.class);
        let class = if remote.is_ipv4() {
            ControlMessage::Ipv4Tos(&self.batch.class)
        } else {
            ControlMessage::Ipv6TClass(&class)
        };
        let both = [ControlMessage::UdpGsoSegments(&segment), class];
        let control = match (segment, self.batch.class) {
            (0, 0) => &both[..0],
            (0, _) => &both[1..],
            (_, 0) => &both[..1],
            (_, _) => &both[..],
        };
        let remote = SockaddrStorage::from(remote);
        sendmsg(
            socket,
            &[io::IoSlice::new(octets)],
            control,
            MsgFlags::empty(),
            Some(&remote),
        )
        .map(|_| ())
    }
}
