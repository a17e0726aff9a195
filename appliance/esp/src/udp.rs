use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::BindError;

/// Room for bursts, in octets.
const SOCKET_BUFFER: usize = 4 << 20;
/// Four zero octets where an SPI would be (RFC 3948 §2.2).
pub(crate) const NON_ESP_MARKER: [u8; 4] = [0; 4];
/// What keeps a NAT mapping alive (RFC 3948 §2.3).
const NAT_KEEPALIVE: [u8; 1] = [0xff];
/// IP protocol of ESP.
const ESP: i32 = 50;

/// The sockets of one of our addresses.
#[derive(Debug)]
pub(crate) struct LocalSockets {
    /// The address and the encapsulation port.
    pub(crate) address: SocketAddr,
    /// One per worker, all bound to the encapsulation port.
    pub(crate) udp: Vec<UdpSocket>,
    /// Plain ESP, read by the first worker.
    pub(crate) raw: Socket,
}

impl LocalSockets {
    pub(crate) fn bind(address: SocketAddr, workers: usize) -> Result<LocalSockets, BindError> {
        let udp = bind_udp(address, workers).map_err(|source| BindError::Udp { address, source })?;
        let raw = bind_raw(address.ip()).map_err(|source| BindError::Raw {
            address: address.ip(),
            source,
        })?;
        Ok(LocalSockets { address, udp, raw })
    }

    pub(crate) fn send_ike(&self, remote: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        let parts = [IoSlice::new(&NON_ESP_MARKER), IoSlice::new(bytes)];
        socket2::SockRef::from(self.any()?)
            .send_to_vectored(&parts, &SockAddr::from(remote))
            .map(|_| ())
    }

    pub(crate) fn send_keepalive(&self, remote: SocketAddr) -> io::Result<()> {
        self.any()?.send_to(&NAT_KEEPALIVE, remote).map(|_| ())
    }

    fn any(&self) -> io::Result<&UdpSocket> {
        let first = self.udp.first();
        first.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }
}

/// One socket per worker on the same port; the system spreads senders over them.
fn bind_udp(address: SocketAddr, workers: usize) -> io::Result<Vec<UdpSocket>> {
    // Sockets that share a port also share it with another daemon of the same user, so one that does not share
    // must have had it first.
    drop(UdpSocket::bind(address)?);
    let mut sockets = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_port(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        prepare(&socket, address.is_ipv6())?;
        socket.bind(&SockAddr::from(address))?;
        // Without it datagrams arrive one by one: slower, otherwise the same.
        if let Err(error) = setsockopt(&socket, sockopt::UdpGroSegment, &true) {
            tracing::info!(%error, "the system does not coalesce received datagrams");
        }
        sockets.push(socket.into());
    }
    Ok(sockets)
}

fn bind_raw(address: IpAddr) -> io::Result<Socket> {
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(address), Type::RAW, Some(Protocol::from(ESP)))?;
    prepare(&socket, address.is_ipv6())?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

fn prepare(socket: &Socket, v6: bool) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    if v6 {
        socket.set_recv_tclass_v6(true)?;
    } else {
        socket.set_recv_tos_v4(true)?;
    }
    // Beyond the system's limit only with CAP_NET_ADMIN; without it, as much as there is.
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    }
    if setsockopt(socket, sockopt::SndBufForce, &SOCKET_BUFFER).is_err() {
        socket.set_send_buffer_size(SOCKET_BUFFER)?;
    }
    Ok(())
}
