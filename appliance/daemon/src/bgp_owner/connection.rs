use std::future::Future;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bgp::{ConnectionId, Input, NeighbourName, SocketFault};
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};

use super::{options, signing};
use crate::derive::SessionEnd;

/// So many octets of one connection are read in its turn.
pub(super) const TURN: usize = 64 * 1024;
/// How long what was said last may take to go out, and the peer to take note.
const LINGER: Duration = Duration::from_secs(1);

/// One TCP connection of a session.
pub(super) struct Connection {
    /// Whose.
    pub(super) neighbour: NeighbourName,
    stage: Stage,
    /// What is to be sent.
    outgoing: Vec<u8>,
    /// So much of it has gone.
    gone: usize,
    /// It is to end, at the latest then.
    closing: Option<Instant>,
}

enum Stage {
    Connecting(Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>),
    Open(TcpStream),
    /// Ours was closed: what the peer still sends is not read any more, so that it reads what we said last.
    Closed(TcpStream),
}

impl Connection {
    /// To the far end of a session.
    pub(super) fn open(
        neighbour: NeighbourName,
        end: &SessionEnd,
        remote: SocketAddr,
    ) -> Result<Self, SocketFault> {
        let socket = options::open(end, 0)?;
        signing::prefer(&socket, end)?;
        let socket = TcpSocket::from_std_stream(socket.into());
        Ok(Self::new(
            neighbour,
            Stage::Connecting(Box::pin(socket.connect(remote))),
        ))
    }

    /// One that the peer opened.
    pub(super) fn accepted(neighbour: NeighbourName, stream: TcpStream) -> Self {
        Self::new(neighbour, Stage::Open(stream))
    }

    fn new(neighbour: NeighbourName, stage: Stage) -> Self {
        Self {
            neighbour,
            stage,
            outgoing: Vec::new(),
            gone: 0,
            closing: None,
        }
    }

    /// Takes other keys of the same session; whether it could.
    pub(super) fn change_keys(&self, ends: [&SessionEnd; 2]) -> bool {
        match &self.stage {
            Stage::Connecting(_) => false,
            Stage::Open(stream) | Stage::Closed(stream) => signing::change_living(stream, ends).is_ok(),
        }
    }

    /// Sends, or keeps what the kernel does not take now. Returns how much it took.
    pub(super) fn send(&mut self, octets: Vec<u8>) -> usize {
        if self.outgoing.is_empty() {
            self.outgoing = octets;
        } else {
            self.outgoing.extend_from_slice(&octets);
        }
        // What is wrong with the connection is told when it is read.
        self.write().unwrap_or_default()
    }

    /// Hands the kernel what it takes.
    fn write(&mut self) -> io::Result<usize> {
        let Stage::Open(stream) = &self.stage else {
            return Ok(0);
        };
        let before = self.gone;
        while let Some(rest) = self.outgoing.get(self.gone..).filter(|rest| !rest.is_empty()) {
            match stream.try_write(rest) {
                Ok(octets) => self.gone += octets,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        let sent = self.gone - before;
        if self.gone == self.outgoing.len() {
            self.outgoing.clear();
            self.gone = 0;
        }
        Ok(sent)
    }

    /// It is to end once all is sent. Whether it has ended already.
    pub(super) fn close(&mut self, now: Instant) -> bool {
        if matches!(self.stage, Stage::Connecting(_)) {
            return true;
        }
        self.closing.get_or_insert(now + LINGER);
        self.close_ours();
        false
    }

    /// When it ends at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.closing
    }

    fn close_ours(&mut self) {
        if self.closing.is_none() || !self.outgoing.is_empty() {
            return;
        }
        if let Stage::Open(stream) = &self.stage {
            let _gone_already = SockRef::from(stream).shutdown(Shutdown::Write);
        }
        let stage = std::mem::replace(
            &mut self.stage,
            Stage::Connecting(Box::pin(std::future::pending())),
        );
        self.stage = match stage {
            Stage::Open(stream) => Stage::Closed(stream),
            Stage::Connecting(_) | Stage::Closed(_) => stage,
        };
    }

    /// Its turn: what came of it, and whether it is over. Wakes `context` when there is more.
    pub(super) fn turn(
        &mut self,
        id: ConnectionId,
        context: &mut Context<'_>,
        inputs: &mut Vec<Input>,
    ) -> bool {
        if let Stage::Connecting(connecting) = &mut self.stage {
            match connecting.as_mut().poll(context) {
                Poll::Pending => return false,
                Poll::Ready(Err(error)) => {
                    inputs.push(Input::NotConnected(id, SocketFault::Refused(error.to_string())));
                    return true;
                }
                Poll::Ready(Ok(stream)) => {
                    let remote = stream.peer_addr();
                    self.stage = Stage::Open(stream);
                    match remote {
                        Ok(remote) => inputs.push(Input::Connected(id, remote)),
                        Err(error) => {
                            inputs.push(Input::NotConnected(id, SocketFault::Refused(error.to_string())));
                            return true;
                        }
                    }
                }
            }
        }
        self.exchange(id, context, inputs)
    }

    fn exchange(&mut self, id: ConnectionId, context: &mut Context<'_>, inputs: &mut Vec<Input>) -> bool {
        while !self.outgoing.is_empty() {
            let Stage::Open(stream) = &self.stage else { break };
            if stream.poll_write_ready(context).is_pending() {
                break;
            }
            match self.write() {
                Ok(0) => (),
                Ok(sent) => inputs.push(Input::Sent(id, sent)),
                Err(_) => break,
            }
        }
        self.close_ours();
        let (stream, read) = match &self.stage {
            Stage::Open(stream) => (stream, self.closing.is_none()),
            Stage::Closed(stream) => (stream, false),
            Stage::Connecting(_) => return false,
        };
        match receive(stream, context) {
            Poll::Pending => false,
            Poll::Ready(Ok(octets)) if octets.is_empty() => {
                inputs.push(Input::Closed(id, None));
                true
            }
            Poll::Ready(Ok(octets)) => {
                if read {
                    inputs.push(Input::Received(id, octets));
                }
                // There may be more, once others have had their turn.
                context.waker().wake_by_ref();
                false
            }
            Poll::Ready(Err(error)) => {
                inputs.push(Input::Closed(id, Some(error.to_string())));
                true
            }
        }
    }
}

/// What has come; nothing at the end.
fn receive(stream: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
    loop {
        std::task::ready!(stream.poll_read_ready(context))?;
        let mut octets = Vec::with_capacity(TURN);
        match stream.try_read_buf(&mut octets) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            read => return Poll::Ready(read.map(|_| octets)),
        }
    }
}
