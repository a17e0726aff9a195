use std::net::SocketAddr;

use crate::{ChildId, ConnectionName, DropCause, EspPair, Outage};

/// All that the engine can ask for. What can fail or take time returns as an [`crate::Input`].
#[derive(Debug)]
pub enum Action {
    /// Send this IKE message. From port 4500 the owner puts the non-ESP marker before it (RFC 3948 §2.2).
    Send {
        /// The socket to send from.
        local: SocketAddr,
        /// The peer.
        remote: SocketAddr,
        /// The IKE message, header first.
        bytes: Vec<u8>,
    },
    /// Program both directions of a Child SA, then answer with `ChildInstalled` or `ChildRefused`.
    InstallChild(ChildId, Box<EspPair>),
    /// Take both directions of a Child SA away. Needs no answer.
    RemoveChild(ChildId),
    /// The outer addresses of an installed, encapsulated Child SA changed (RFC 7296 §2.23). Needs no answer.
    MoveChild {
        /// The child.
        child: ChildId,
        /// Our outer address and port from now on.
        local: SocketAddr,
        /// The peer's outer address and port from now on.
        remote: SocketAddr,
    },
    /// Send the single octet 0xFF, without a non-ESP marker, to keep a NAT mapping alive (RFC 3948 §2.3).
    Keepalive {
        /// The socket to send from.
        local: SocketAddr,
        /// The peer.
        remote: SocketAddr,
    },
    /// Something an operator or a user would want to know.
    Report(Event),
}

/// What happened, for journal and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection has a working Child SA.
    Up(ConnectionName),
    /// A connection lost its last Child SA, or an attempt to bring it up failed.
    Down(ConnectionName, Outage),
    /// A message was dropped; counted in the snapshot, logged at debug.
    Dropped(std::net::SocketAddr, DropCause),
}
