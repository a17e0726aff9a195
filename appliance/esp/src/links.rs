//! Network links over rtnetlink: what TUN's own requests cannot do.

use std::io;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::net::if_::if_nametoindex;

/// The link group that links are put into to be deleted together; nobody else's.
const DOOMED: u32 = 0x4357_0000;
/// Room for an acknowledgement.
const ANSWER: usize = 4096;

/// A socket to the links of this network namespace.
#[derive(Debug)]
pub(crate) struct Links {
    socket: Socket,
    sequence: u32,
}

impl Links {
    pub(crate) fn open() -> io::Result<Links> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        Ok(Links { socket, sequence: 0 })
    }

    /// Gives the link its MTU and brings it up.
    pub(crate) fn raise(&mut self, name: &str, mtu: u16) -> io::Result<()> {
        let index = if_nametoindex(name)?;
        // A TUN has queues of its own. Else the system makes 256 more for each link with several, of 3 MiB in all.
        if let Err(error) = self.request(without_queue(index), NLM_F_CREATE | NLM_F_EXCL) {
            tracing::debug!(%error, name, "the link keeps queues that it does not need");
        }
        let mut link = LinkMessage::default();
        link.header.index = index;
        (link.header.flags, link.header.change_mask) = (LinkFlags::Up, LinkFlags::Up);
        link.attributes = vec![LinkAttribute::Mtu(u32::from(mtu))];
        self.request(RouteNetlinkMessage::SetLink(link), 0)
    }

    /// Deletes links together: one by one, the system waits 15 ms for each.
    pub(crate) fn delete<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> io::Result<()> {
        let mut doomed = LinkMessage::default();
        doomed.attributes = vec![LinkAttribute::Group(DOOMED)];
        for name in names {
            let mut link = doomed.clone();
            link.header.index = if_nametoindex(name)?;
            self.request(RouteNetlinkMessage::SetLink(link), 0)?;
        }
        self.request(RouteNetlinkMessage::DelLink(doomed), 0)
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        message.header.sequence_number = self.sequence;
        message.header.flags = flags | NLM_F_REQUEST | NLM_F_ACK;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        loop {
            let mut answer = Vec::with_capacity(ANSWER);
            self.socket.recv(&mut answer, 0)?;
            let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer);
            let answer = answer.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if answer.header.sequence_number == self.sequence
                && let NetlinkPayload::Error(acknowledgement) = answer.payload
            {
                let refused = acknowledgement.code.is_some();
                return if refused {
                    Err(acknowledgement.to_io())
                } else {
                    Ok(())
                };
            }
        }
    }
}

fn without_queue(index: u32) -> RouteNetlinkMessage {
    let mut discipline = TcMessage::with_index(i32::try_from(index).unwrap_or_default());
    discipline.header.parent = TcHandle::ROOT;
    discipline.attributes = vec![TcAttribute::Kind("noqueue".to_owned())];
    RouteNetlinkMessage::NewQueueDiscipline(discipline)
}
