use std::io::{self, IoSliceMut};
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Longer than any datagram that is looked at.
const LONGEST: usize = 256;

/// What came in one datagram.
pub(super) struct Datagram {
    pub(super) octets: Vec<u8>,
    pub(super) from: IpAddr,
    /// The TTL that it arrived with.
    pub(super) ttl: u8,
}

/// The next datagram; `None` if it cannot be told where it comes from.
pub(super) fn receive(socket: &UdpSocket, context: &mut Context<'_>) -> Poll<io::Result<Option<Datagram>>> {
    loop {
        ready!(socket.poll_recv_ready(context))?;
        match socket.try_io(Interest::READABLE, || read(socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            read => return Poll::Ready(read),
        }
    }
}

fn read(socket: &UdpSocket) -> io::Result<Option<Datagram>> {
    let mut octets = [0; LONGEST];
    let mut slices = [IoSliceMut::new(&mut octets)];
    let mut control = nix::cmsg_space!(libc::c_int, libc::c_int);
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let ttl = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4Ttl(ttl) | ControlMessageOwned::Ipv6HopLimit(ttl) => u8::try_from(ttl).ok(),
        _ => None,
    });
    let (length, from) = (message.bytes, message.address.and_then(|address| ip(&address)));
    Ok(from.zip(ttl).map(|(from, ttl)| Datagram {
        octets: octets.get(..length).unwrap_or_default().to_vec(),
        from,
        ttl,
    }))
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let four = address.as_sockaddr_in().map(|four| IpAddr::from(four.ip()));
    four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::from(six.ip())))
}
