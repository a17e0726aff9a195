use std::io::{self, IoSliceMut};
use std::net;
use std::os::fd::AsRawFd;
use std::time::{Duration, SystemTime};

use nix::cmsg_space;
use nix::net::if_::if_indextoname;
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::file::{File, LONGEST, Packet};

/// What waits for us in the kernel, in octets: a burst of some thousand packets.
const SOCKET_BUFFER: usize = 4 << 20;
/// So many packets are taken before another link has its turn.
const TURN: usize = 32;
/// All protocols (`ETH_P_ALL`): no other socket sees what leaves.
const EVERY_PROTOCOL: u16 = 3;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// `PACKET_OUTGOING` (`packet(7)`).
const OUTGOING: u8 = 4;

/// Hears packets as they pass links, without what links put before them.
#[derive(Debug)]
pub(super) struct Ear {
    /// For tokio it is one like any other.
    socket: UdpSocket,
    buffer: Vec<u8>,
    missed: u32,
}

impl Ear {
    /// One that hears what a filter lets through from now on; needs `CAP_NET_RAW`.
    pub(super) fn open(filter: &[SockFilter]) -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(protocol))?;
        socket.attach_filter(filter)?;
        // Beyond the system's limit only with CAP_NET_ADMIN; without it, as much as there is.
        if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
            socket.set_recv_buffer_size(SOCKET_BUFFER)?;
        }
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        let mut buffer = vec![0; LONGEST];
        // Before the filter was there anything may have come.
        while receive(&socket, &mut buffer).is_ok() {}
        Ok(Self {
            socket: UdpSocket::from_std(net::UdpSocket::from(socket))?,
            buffer,
            missed: 0,
        })
    }

    /// Waits until there is something to take.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Writes down what is there, and no more than a turn's worth of it; false once the file is full.
    pub(super) fn take_into(&mut self, file: &mut File) -> io::Result<bool> {
        for _ in 0..TURN {
            match self.read(file) {
                Ok(true) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                ended => return ended,
            }
        }
        Ok(true)
    }

    fn read(&mut self, file: &mut File) -> io::Result<bool> {
        let Self {
            socket,
            buffer,
            missed,
        } = self;
        let received = socket.try_io(Interest::READABLE, || receive(socket, buffer));
        let (link, seen) = received?;
        let before = std::mem::replace(missed, seen.missed);
        let version = buffer.first().map(|octet| octet >> 4);
        // Links carry more than IP, and an old kernel may hand it over whatever the filter says.
        if !matches!(
            (u16::from_be(link.protocol()), version),
            (IPV4, Some(4)) | (IPV6, Some(6))
        ) {
            return Ok(true);
        }
        let packet = Packet {
            link: u32::try_from(link.ifindex()).unwrap_or_default(),
            at: seen.at,
            outbound: link.pkttype() == OUTGOING,
            octets: buffer.get(..seen.length).unwrap_or(buffer),
            length: seen.length,
            missed: seen.missed.wrapping_sub(before),
        };
        Ok(file.add(&packet, name))
    }
}

/// What the kernel says of a packet.
struct Seen {
    at: Duration,
    length: usize,
    missed: u32,
}

fn receive(socket: &impl AsRawFd, buffer: &mut [u8]) -> io::Result<(LinkAddr, Seen)> {
    let mut slices = [IoSliceMut::new(buffer)];
    let mut control = cmsg_space!(TimeSpec, u32);
    // Tells how long a packet is that is longer than what is kept.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let message = recvmsg::<LinkAddr>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let (mut at, mut missed) = (None, 0);
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::ScmTimestampns(time) => at = Some(Duration::from(time)),
            ControlMessageOwned::RxqOvfl(count) => missed = count,
            _ => {}
        }
    }
    let now = || {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
    };
    let link = message.address.ok_or(io::ErrorKind::InvalidData)?;
    let seen = Seen {
        at: at.unwrap_or_else(now),
        length: message.bytes,
        missed,
    };
    Ok((link, seen))
}

/// What a link is called now; it may be gone.
fn name(index: u32) -> String {
    let name = if_indextoname(index);
    name.map_or_else(
        |_| format!("link {index}"),
        |name| name.to_string_lossy().into_owned(),
    )
}
