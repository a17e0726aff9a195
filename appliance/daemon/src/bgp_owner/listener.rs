use std::io;
use std::task::{Context, Poll};

use nix::net::if_::if_nametoindex;
use tokio::net::{TcpListener, TcpStream};

use super::options;
use crate::derive::SessionEnd;

/// The port of BGP (RFC 4271 §8).
pub(super) const PORT: u16 = 179;
/// Connections that wait to be taken.
const WAITING: i32 = 16;

/// Where a neighbour opens its connections to.
pub(super) struct Listener {
    listener: TcpListener,
    end: SessionEnd,
    /// Of the link: one that is made anew has another.
    index: u32,
}

impl Listener {
    /// At our end of a session. The link has to be there.
    pub(super) fn open(end: &SessionEnd) -> io::Result<Self> {
        let index = if_nametoindex(end.link.as_str())?;
        let socket = options::open(end)?;
        socket.set_reuse_address(true)?;
        options::bind(&socket, end, PORT)?;
        socket.listen(WAITING)?;
        Ok(Self {
            listener: TcpListener::from_std(socket.into())?,
            end: end.clone(),
            index,
        })
    }

    /// Whether it is still where its link is.
    pub(super) fn is_in_place(&self) -> bool {
        if_nametoindex(self.end.link.as_str()) == Ok(self.index)
    }

    /// The next connection of the neighbour. Others that come this way find nobody.
    pub(super) fn accept(&self, context: &mut Context<'_>) -> Option<TcpStream> {
        match self.listener.poll_accept(context) {
            Poll::Ready(Ok((stream, remote))) => {
                // There may be more, once others have had their turn.
                context.waker().wake_by_ref();
                (remote.ip() == self.end.remote).then_some(stream)
            }
            // Of one that is gone before it is taken the kernel tells here; the next is waited for.
            Poll::Ready(Err(_)) => {
                context.waker().wake_by_ref();
                None
            }
            Poll::Pending => None,
        }
    }
}
