//! IKE messages on their way to the engine. Those of exchanges under way come before those of newcomers, of which
//! anyone can send any number (RFC 7296 §2.6).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::select;
use tokio::sync::mpsc;

/// Messages of each kind that wait; more are dropped, as a network would.
const BACKLOG: usize = 256;
/// No first message is longer: 17 key exchanges with ML-KEM-1024 would fit.
const LONGEST_START: usize = 32 << 10;

/// An IKE message that arrived, its non-ESP marker taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeMessage {
    /// Our address and port.
    pub local: SocketAddr,
    /// The sender's address and port.
    pub remote: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Where sockets leave IKE messages. Clones lead to the same queue.
#[derive(Debug, Clone)]
pub struct IkeInbox {
    known: mpsc::Sender<IkeMessage>,
    newcomers: mpsc::Sender<IkeMessage>,
    unread: Arc<AtomicU64>,
}

/// Where IKE messages come out.
#[derive(Debug)]
pub struct IkeMessages {
    known: mpsc::Receiver<IkeMessage>,
    newcomers: mpsc::Receiver<IkeMessage>,
}

/// Both ends of a queue of IKE messages.
pub fn ike_messages() -> (IkeInbox, IkeMessages) {
    let (to_known, known) = mpsc::channel(BACKLOG);
    let (to_newcomers, newcomers) = mpsc::channel(BACKLOG);
    let inbox = IkeInbox {
        known: to_known,
        newcomers: to_newcomers,
        unread: Arc::default(),
    };
    (inbox, IkeMessages { known, newcomers })
}

impl IkeInbox {
    /// Leaves a message, or drops it where there is no room: IKE repeats itself.
    pub fn put(&self, local: SocketAddr, remote: SocketAddr, message: &[u8]) {
        let start = starts(message);
        let queue = if start { &self.newcomers } else { &self.known };
        match queue.try_reserve() {
            Ok(room) if !start || message.len() <= LONGEST_START => room.send(IkeMessage {
                local,
                remote,
                bytes: message.to_vec(),
            }),
            Ok(_) | Err(_) => {
                self.unread.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many messages were dropped because they came faster than they were taken.
    pub fn unread(&self) -> u64 {
        self.unread.load(Ordering::Relaxed)
    }
}

impl IkeMessages {
    /// Waits for the next message; `None` once nobody can leave one. Loses nothing when cancelled.
    pub async fn receive(&mut self) -> Option<IkeMessage> {
        select! {
            biased;
            Some(message) = self.known.recv() => Some(message),
            Some(message) = self.newcomers.recv() => Some(message),
            else => None,
        }
    }

    /// The next message if one waits.
    pub fn try_receive(&mut self) -> Option<IkeMessage> {
        let known = self.known.try_recv();
        known.or_else(|_| self.newcomers.try_recv()).ok()
    }
}

/// Whether no SPI of a responder is in its header: so are first messages, and no others (RFC 7296 §3.1).
fn starts(message: &[u8]) -> bool {
    message.get(8..16).is_none_or(|spi| spi == [0; 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(initiator: u8, responder: u8) -> Vec<u8> {
        [[initiator; 8], [responder; 8]].concat()
    }

    /// However many newcomers there are, who is known gets in, and is heard first.
    #[test]
    fn newcomers_do_not_crowd_out_who_is_known() {
        let (inbox, mut messages) = ike_messages();
        let (local, remote) = ("192.0.2.1:500".parse().unwrap(), "192.0.2.2:500".parse().unwrap());
        for _ in 0..BACKLOG + 10 {
            inbox.put(local, remote, &message(1, 0));
        }
        inbox.put(local, remote, &message(2, 9));
        inbox.put(local, remote, b"short");
        assert_eq!(inbox.unread(), 11);
        assert_eq!(messages.try_receive().unwrap().bytes, message(2, 9));
        let rest = std::iter::from_fn(|| messages.try_receive());
        assert!(rest.take(BACKLOG).all(|next| next.bytes == message(1, 0)));
        assert_eq!(messages.try_receive(), None);
        inbox.put(local, remote, &vec![0; LONGEST_START + 1]);
        assert_eq!((messages.try_receive(), inbox.unread()), (None, 12));
    }
}
