//! What the sockets of a session are like: bound to their tunnel, and how far their segments go.

use std::io;
use std::net::SocketAddr;

use bgp::SocketFault;
use nix::sys::socket::{SetSockOpt, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::signing;
use crate::derive::{Distance, SessionEnd};

/// Network control (RFC 4594 §3.2): where traffic is dropped, sessions go last.
const CLASS: u8 = 0xc0;

// Neither has a wrapper in nix or socket2; nix offers the macro for such options.
nix::setsockopt_impl!(
    SmallestTtl,
    libc::IPPROTO_IP,
    libc::IP_MINTTL,
    libc::c_int,
    nix::sys::socket::sockopt::SetStruct<'_, libc::c_int>
);
#[derive(Clone)]
struct SmallestTtl;

nix::setsockopt_impl!(
    SmallestHopCount,
    libc::IPPROTO_IPV6,
    libc::IPV6_MINHOPCOUNT,
    libc::c_int,
    nix::sys::socket::sockopt::SetStruct<'_, libc::c_int>
);
#[derive(Clone)]
struct SmallestHopCount;

/// A socket for sessions with a neighbour, signed as they are, that has this port at our end.
pub(super) fn open(end: &SessionEnd, port: u16) -> Result<Socket, SocketFault> {
    let refused = |error: io::Error| SocketFault::Refused(error.to_string());
    let socket = unsigned(end).map_err(refused)?;
    signing::sign(&socket, end)?;
    // A listener is not kept from its port by connections of an earlier one.
    socket.set_reuse_address(port != 0).map_err(refused)?;
    bind(&socket, end, port).map_err(refused)?;
    Ok(socket)
}

fn unsigned(end: &SessionEnd) -> io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(end.local, 0));
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), Some(Protocol::TCP))?;
    socket.bind_device(Some(end.link.as_bytes()))?;
    socket.set_tcp_nodelay(true)?;
    let (ttl, smallest) = match end.distance {
        Distance::AtMost(routers) => (routers, None),
        Distance::Checked(smallest) => (u8::MAX, Some(libc::c_int::from(smallest))),
    };
    if end.local.is_ipv4() {
        socket.set_ttl_v4(ttl.into())?;
        socket.set_tos_v4(CLASS.into())?;
        if let Some(smallest) = smallest {
            SmallestTtl.set(&socket, &smallest)?;
        }
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(ttl.into())?;
        socket.set_tclass_v6(CLASS.into())?;
        if let Some(smallest) = smallest {
            SmallestHopCount.set(&socket, &smallest)?;
        }
    }
    Ok(socket)
}

/// A socket for the datagrams of a session, which start with the highest TTL and tell with which they arrived.
pub(super) fn datagrams(end: &SessionEnd) -> io::Result<Socket> {
    let domain = Domain::for_address(SocketAddr::new(end.local, 0));
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    socket.bind_device(Some(end.link.as_bytes()))?;
    if end.local.is_ipv4() {
        socket.set_ttl_v4(u8::MAX.into())?;
        socket.set_tos_v4(CLASS.into())?;
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
    } else {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(u8::MAX.into())?;
        socket.set_tclass_v6(CLASS.into())?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
    }
    Ok(socket)
}

/// Gives a socket our end of a session as its address.
pub(super) fn bind(socket: &Socket, end: &SessionEnd, port: u16) -> io::Result<()> {
    // The address may come after the link; what is sent before waits for it.
    if end.local.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_freebind_v6(true)?;
    }
    socket.bind(&SockAddr::from(SocketAddr::new(end.local, port)))
}
