//! What the sockets of a session are like: bound to their tunnel, signed, and how far their segments go.

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::sys::socket::{SetSockOpt, setsockopt, sockopt};
use secrecy::{ExposeSecret, SecretSlice};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use zeroize::Zeroize;

use crate::derive::{Distance, SessionEnd};

/// Network control (RFC 4594 §3.2): where traffic is dropped, sessions go last.
const CLASS: u8 = 0xc0;
/// What TCP_MD5SIG takes of a key.
const LONGEST_KEY: usize = 80;
/// The families of socket addresses, as the option has them (`AF_INET`, `AF_INET6`).
const FAMILIES: (u16, u16) = (2, 10);

// None of these has a wrapper in nix or socket2; nix offers the macro for such options.
nix::setsockopt_impl!(
    TcpMd5,
    libc::IPPROTO_TCP,
    libc::TCP_MD5SIG,
    Md5Key,
    nix::sys::socket::sockopt::SetStruct<'_, Md5Key>
);
#[derive(Clone)]
struct TcpMd5;

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

/// `struct tcp_md5sig` of `linux/tcp.h`: whose segments, and the key.
#[repr(C)]
struct Md5Key {
    /// A `sockaddr_storage`, of which the port does not count.
    family: u16,
    port: u16,
    address: [u8; 124],
    flags: u8,
    prefix_length: u8,
    key_length: u16,
    interface: u32,
    key: [u8; LONGEST_KEY],
}

impl Drop for Md5Key {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Md5Key {
    fn new(peer: IpAddr, secret: &SecretSlice<u8>) -> io::Result<Self> {
        let secret = secret.expose_secret();
        let too_long = || {
            let words = format!("the key has more than {LONGEST_KEY} octets, which TCP-MD5 does not take");
            io::Error::new(io::ErrorKind::InvalidInput, words)
        };
        let mut key = [0; LONGEST_KEY];
        let length = secret.len();
        key.get_mut(..length)
            .ok_or_else(too_long)?
            .copy_from_slice(secret);
        let mut address = [0; 124];
        let (family, octets, start) = match peer {
            IpAddr::V4(four) => (FAMILIES.0, four.octets().to_vec(), 0),
            // After the flow information.
            IpAddr::V6(six) => (FAMILIES.1, six.octets().to_vec(), 4),
        };
        for (place, octet) in address.iter_mut().skip(start).zip(octets) {
            *place = octet;
        }
        Ok(Self {
            family,
            port: 0,
            address,
            flags: 0,
            prefix_length: 0,
            key_length: u16::try_from(length).map_err(|_| too_long())?,
            interface: 0,
            key,
        })
    }
}

/// A socket for sessions with a neighbour that has no address yet.
pub(super) fn open(end: &SessionEnd) -> io::Result<Socket> {
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
    if let Some(secret) = &end.md5 {
        TcpMd5.set(&socket, &Md5Key::new(end.remote, secret)?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel reads it octet by octet.
    #[test]
    fn a_key_has_the_form_that_linux_has() {
        assert_eq!(std::mem::size_of::<Md5Key>(), 216);
        let secret: SecretSlice<u8> = b"geheim".to_vec().into();
        let four = Md5Key::new("169.254.21.1".parse().unwrap(), &secret).unwrap();
        assert_eq!((four.family, four.key_length), (2, 6));
        assert_eq!(four.address[..5], [169, 254, 21, 1, 0]);
        let six = Md5Key::new("fd00::1".parse().unwrap(), &secret).unwrap();
        assert_eq!((six.family, six.address[4], six.address[19]), (10, 0xfd, 1));
        let long: SecretSlice<u8> = vec![b'a'; 81].into();
        assert!(Md5Key::new("fd00::1".parse().unwrap(), &long).is_err());
    }
}
