//! The UDP sockets of IKE: one per local address and port.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;

use appliance_esp::IkeInbox;
use nix::sys::socket::{SetSockOpt, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The port of IKE (RFC 7296 §2).
pub(crate) const IKE_PORT: u16 = 500;
/// The port of IKE and ESP in UDP (RFC 3948).
pub(crate) const ENCAPSULATION_PORT: u16 = 4500;

/// The four zero octets before an IKE message on the port of encapsulation (RFC 3948 §2.2).
pub(crate) const NON_ESP_MARKER: [u8; 4] = [0; 4];

const NAT_KEEPALIVE: [u8; 1] = [0xff];

/// Room for bursts, in octets.
const SOCKET_BUFFER: usize = 4 << 20;

/// Datagrams that are read before others have their turn.
const BURST: usize = 1024;

/// The largest datagram that UDP can carry.
const MAX_DATAGRAM: usize = 65_535;

// UDP_ENCAP has no wrapper in nix or socket2; nix offers the macro for such options.
nix::setsockopt_impl!(
    EspInUdp,
    libc::IPPROTO_UDP,
    libc::UDP_ENCAP,
    libc::c_int,
    nix::sys::socket::sockopt::SetStruct<'_, libc::c_int>
);
#[derive(Clone)]
struct EspInUdp;

/// Encapsulation as RFC 3948 has it (`linux/udp.h`), which libc does not name.
const UDP_ENCAP_ESPINUDP: libc::c_int = 2;

/// A socket that could not be had.
#[derive(Debug)]
pub(crate) struct BindError {
    /// The address wanted.
    pub(crate) address: SocketAddr,
    /// The kernel's answer.
    pub(crate) error: io::Error,
}

/// One bound port.
#[derive(Debug, Clone)]
pub(crate) struct Port {
    /// Where it is bound.
    pub(crate) local: SocketAddr,
    socket: Arc<UdpSocket>,
}

impl Port {
    /// Binds `address`; on port 4500 the kernel is told to take ESP packets out (RFC 3948, `udp(7)`).
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let refused = |error| BindError { address, error };
        let socket = open(address).map_err(refused)?;
        if address.port() == ENCAPSULATION_PORT
            && let Err(error) = EspInUdp.set(&socket, &UDP_ENCAP_ESPINUDP)
        {
            tracing::info!(%address, %error, "this kernel takes no ESP out of UDP");
        }
        let socket = UdpSocket::from_std(socket.into()).map_err(refused)?;
        Ok(Self {
            local: address,
            socket: Arc::new(socket),
        })
    }

    /// Sends one IKE message. A message that cannot be sent is lost like one on the way: it is sent again.
    pub(crate) fn send(&self, remote: SocketAddr, message: &[u8]) -> io::Result<()> {
        let marked = [IoSlice::new(&NON_ESP_MARKER), IoSlice::new(message)];
        match self.local.port() {
            ENCAPSULATION_PORT => self.send_now(remote, &marked),
            _ => self.send_now(remote, &[IoSlice::new(message)]),
        }
    }

    /// Sends the octet that keeps a NAT mapping alive (RFC 3948 §2.3).
    pub(crate) fn keep_alive(&self, remote: SocketAddr) -> io::Result<()> {
        self.send_now(remote, &[IoSlice::new(&NAT_KEEPALIVE)])
    }

    /// Past tokio, which takes a new socket for full until it has waited for it once.
    fn send_now(&self, remote: SocketAddr, parts: &[IoSlice<'_>]) -> io::Result<()> {
        SockRef::from(&*self.socket)
            .send_to_vectored(parts, &remote.into())
            .map(drop)
    }

    /// Leaves the IKE messages that wait in the inbox, a burst of them at most; keepalives and ESP packets are skipped.
    fn read(&self, buffer: &mut [u8], inbox: &IkeInbox) -> io::Result<()> {
        for _ in 0..BURST {
            let (length, remote) = self.socket.try_recv_from(buffer)?;
            let datagram = buffer.get(..length).unwrap_or_default();
            if let Some(message) = ike_message(self.local.port(), datagram) {
                inbox.put(self.local, remote, message);
            }
        }
        Ok(())
    }
}

/// Every bound port, each with a task that passes on what arrives.
#[derive(Debug, Default)]
pub(crate) struct Ports(BTreeMap<SocketAddr, (Port, Option<AbortOnDrop>)>);

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Ports {
    /// Binds a port that is not bound yet.
    pub(crate) fn bind(&mut self, address: SocketAddr) -> Result<(), BindError> {
        if let Entry::Vacant(missing) = self.0.entry(address) {
            missing.insert((Port::bind(address)?, None));
        }
        Ok(())
    }

    /// Lets go of all others.
    pub(crate) fn retain(&mut self, stays: impl Fn(&SocketAddr) -> bool) {
        self.0.retain(|address, _| stays(address));
    }

    /// Starts to pass on what arrives at ports that nobody listens to yet.
    pub(crate) fn listen(&mut self, inbox: &IkeInbox) {
        for (port, reader) in self.0.values_mut() {
            if reader.is_none() {
                *reader = Some(AbortOnDrop(tokio::spawn(read(port.clone(), inbox.clone()))));
            }
        }
    }

    /// The port bound to this address.
    pub(crate) fn at(&self, local: SocketAddr) -> Option<&Port> {
        self.0.get(&local).map(|(port, _)| port)
    }
}

/// Reads faster than the engine answers, so that a flood of newcomers ends here and not in the socket's buffer, where
/// those who are known would be lost with them.
async fn read(port: Port, inbox: IkeInbox) {
    let mut buffer = vec![0; MAX_DATAGRAM];
    while port.socket.readable().await.is_ok() {
        match port.read(&mut buffer, &inbox) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            // An ICMP error for what we sent; the engine's own timers notice a peer that is gone.
            Err(error) => tracing::debug!(local = %port.local, %error, "not received"),
            Ok(()) => tokio::task::yield_now().await,
        }
    }
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let domain = if address.is_ipv4() {
        Domain::IPV4
    } else {
        Domain::IPV6
    };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // Beyond the system's limit only with CAP_NET_ADMIN; without it, as much as there is.
    if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn ike_message(port: u16, datagram: &[u8]) -> Option<&[u8]> {
    if port == ENCAPSULATION_PORT {
        datagram.strip_prefix(&NON_ESP_MARKER)
    } else {
        Some(datagram)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_marked_datagrams_are_ike_on_the_port_of_encapsulation() {
        assert_eq!(
            ike_message(ENCAPSULATION_PORT, &[0, 0, 0, 0, 7, 8]),
            Some(&[7, 8][..])
        );
        assert_eq!(
            ike_message(ENCAPSULATION_PORT, &[0xff]),
            None,
            "a keepalive (RFC 3948 §2.3)"
        );
        assert_eq!(
            ike_message(ENCAPSULATION_PORT, &[1, 2, 3, 4, 5]),
            None,
            "an ESP packet"
        );
        assert_eq!(
            ike_message(IKE_PORT, &[0, 0, 0, 0, 7, 8]),
            Some(&[0, 0, 0, 0, 7, 8][..])
        );
    }
}
