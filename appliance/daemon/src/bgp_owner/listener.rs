use std::net::SocketAddr;
use std::task::{Context, Poll};

use bgp::SocketFault;
use nix::net::if_::if_nametoindex;
use tokio::net::{TcpListener, TcpStream};

use super::{options, signing};
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
    /// At our end of a session; nothing where its link is not there yet.
    pub(super) fn open(end: &SessionEnd) -> Result<Option<Self>, SocketFault> {
        let Ok(index) = if_nametoindex(end.link.as_str()) else {
            return Ok(None);
        };
        let place = SocketAddr::new(end.local, PORT);
        let refused = |words: &str| SocketFault::Refused(format!("nothing can be taken at {place}: {words}"));
        let socket = options::open(end, PORT).map_err(|fault| match fault {
            SocketFault::Refused(words) => refused(&words),
            SocketFault::Unauthenticated(words) => SocketFault::Unauthenticated(words),
        })?;
        let listener = socket
            .listen(WAITING)
            .and_then(|()| TcpListener::from_std(socket.into()))
            .map_err(|error| refused(&error.to_string()))?;
        Ok(Some(Self {
            listener,
            end: end.clone(),
            index,
        }))
    }

    /// Takes other keys of the same session; whether it could.
    pub(super) fn change_keys(&mut self, new: &SessionEnd) -> bool {
        let changed = signing::change_listening(&self.listener, [&self.end, new]);
        self.end = new.clone();
        changed.is_ok()
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
