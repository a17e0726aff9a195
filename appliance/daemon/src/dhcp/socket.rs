use std::io;
use std::net::{self, Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use appliance_dhcp::{CLIENT_PORT, SERVER_PORT, broadcast_packet, payload};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, MsgFlags, recvfrom, sendto};
use socket2::{Domain, Protocol, SockAddr, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// The longest packet that is looked at; Ethernet carries no longer one as a rule.
const LONGEST: usize = 2048;
const BROADCAST: [u8; 6] = [0xff; 6];
const IPV4: u16 = 0x0800;

/// How a client reaches the servers of one link.
#[derive(Debug)]
pub(super) struct LinkSocket {
    /// What servers send: a packet socket, since no other sees what comes to an address that is not ours yet. It is that
    /// of another type, for tokio has none for packets.
    arriving: UdpSocket,
    /// What we send before we have an address.
    leaving: Socket,
    /// The link, as a packet socket names it.
    link: LinkAddr,
    device: String,
}

impl LinkSocket {
    /// Opens the sockets of a link.
    pub(super) fn open(index: u32, device: &str) -> io::Result<Self> {
        let is_link = |address: &LinkAddr| u32::try_from(address.ifindex()) == Ok(index);
        let link = getifaddrs()?
            .filter(|one| one.interface_name == device)
            .find_map(|one| one.address?.as_link_addr().copied().filter(is_link))
            .ok_or(io::ErrorKind::NotFound)?;
        let arriving = Socket::new(
            Domain::PACKET,
            Type::DGRAM.nonblocking(),
            Some(Protocol::from(i32::from(IPV4.to_be()))),
        )?;
        arriving.attach_filter(&filter(index))?;
        Ok(Self {
            arriving: UdpSocket::from_std(arriving.into())?,
            leaving: Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?,
            link,
            device: device.to_owned(),
        })
    }

    /// The payload of the next datagram from a server; cancelling loses none.
    pub(super) async fn receive(&self) -> io::Result<Vec<u8>> {
        loop {
            self.arriving.readable().await?;
            let mut buffer = [0; LONGEST];
            let received = self.arriving.try_io(Interest::READABLE, || {
                recvfrom::<LinkAddr>(self.arriving.as_raw_fd(), &mut buffer).map_err(io::Error::from)
            });
            let received = match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                received => received,
            };
            let (length, from) = received?;
            // Before the filter was there anything may have come.
            let here = from.is_some_and(|from| from.ifindex() == self.link.ifindex());
            if let Some(payload) = buffer.get(..length).and_then(payload).filter(|_| here) {
                return Ok(payload.to_vec());
            }
        }
    }

    /// Sends from nobody to everybody.
    pub(super) fn broadcast(&self, payload: &[u8]) -> io::Result<()> {
        let source = self.link.addr().unwrap_or_default();
        let header = [&BROADCAST[..], &source, &IPV4.to_be_bytes()];
        let frame = [header.concat(), broadcast_packet(payload)].concat();
        sendto(self.leaving.as_raw_fd(), &frame, &self.link, MsgFlags::empty())?;
        Ok(())
    }

    /// Sends from our address to a server; the answer arrives as all do.
    pub(super) fn send(&self, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.bind_device(Some(self.device.as_bytes()))?;
        socket.bind(&SockAddr::from(SocketAddrV4::new(from, CLIENT_PORT)))?;
        net::UdpSocket::from(socket).send_to(payload, SocketAddrV4::new(to, SERVER_PORT))?;
        Ok(())
    }
}

/// Lets through only datagrams of this link from a server's port to the client's, so that nothing else of what a gateway
/// carries wakes us: classic BPF over the packet without its Ethernet header (`packet(7)`).
fn filter(index: u32) -> [SockFilter; 13] {
    /// `SKF_AD_OFF + SKF_AD_IFINDEX` (`linux/filter.h`).
    const LINK_INDEX: u32 = 0xffff_f008;
    const FIRST_FRAGMENT: u32 = 0x1fff;
    let step = SockFilter::new;
    [
        step(0x20, 0, 0, LINK_INDEX),
        step(0x15, 0, 9, index),
        step(0x30, 0, 0, 9),
        step(0x15, 0, 7, 17),
        step(0x28, 0, 0, 6),
        step(0x45, 5, 0, FIRST_FRAGMENT),
        step(0xb1, 0, 0, 0),
        step(0x48, 0, 0, 0),
        step(0x15, 0, 2, SERVER_PORT.into()),
        step(0x48, 0, 0, 2),
        step(0x15, 1, 0, CLIENT_PORT.into()),
        step(0x06, 0, 0, 0),
        step(0x06, 0, 0, u32::MAX),
    ]
}
