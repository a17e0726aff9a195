use std::net::SocketAddr;

use crate::crypto::WantedList;
use crate::{
    ChildId, ConnectionName, DropCause, Encapsulation, EspPair, LogLine, Outage, SaId, ToBeSigned,
    Version2Trial, Watched,
};

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
    /// Have this signed by whoever has the key, then answer with [`crate::Input::Signed`]. Without an answer within twenty seconds
    /// the attempt has failed.
    Sign(SaId, ToBeSigned),
    /// From now on packets leave by this installed child, which only received so far, and no longer by the one before
    /// it. Needs no answer; a refusal is [`crate::Input::ChildRefused`].
    SendBy(ChildId),
    /// Tell with [`crate::Input::Wanted`] when a packet of one of these lines finds no child. Replaces what was watched for this
    /// connection before; empty for nothing. Needs no answer.
    Watch(ConnectionName, Vec<Watched>),
    /// Tell with [`crate::Input::Received`] how many packets each of these children has received. Without an answer within
    /// a second the peer is asked whether it is there.
    AskTraffic(Vec<ChildId>),
    /// Tell with [`crate::Input::Carried`] how many packets each of these children has carried. Without an answer it is asked again.
    AskCarried(Vec<ChildId>),
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
        /// How its packets travel from now on.
        encapsulation: Encapsulation,
    },
    /// Send the single octet 0xFF, without a non-ESP marker, to keep a NAT mapping alive (RFC 3948 §2.3).
    Keepalive {
        /// The socket to send from.
        local: SocketAddr,
        /// The peer.
        remote: SocketAddr,
    },
    /// Find out the addresses of this host name and answer with [`crate::Input::Resolved`].
    Resolve(ConnectionName, String),
    /// Fetch these lists of revoked certificates, and tell of them with [`crate::Input::RevocationLists`]. Each address is told
    /// once. Needs no answer.
    FetchLists(Vec<WantedList>),
    /// Write this message into the log of the connection. Needs no answer.
    Log(ConnectionName, LogLine),
    /// Something an operator or a user would want to know.
    Report(Event),
}

/// What happened, for journal and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A connection has a working Child SA.
    Up(ConnectionName),
    /// A connection lost its last Child SA.
    Down(ConnectionName, Outage),
    /// An attempt to bring a connection up failed, or we refused somebody who may have been its peer.
    AttemptFailed(ConnectionName, Outage),
    /// A connection is up, but not all of it works or will go on working.
    Degraded(ConnectionName, Outage),
    /// A Child SA was replaced before its lifetime ended.
    ChildRekeyed(ConnectionName),
    /// The IKE SA was replaced before its lifetime ended.
    IkeRekeyed(ConnectionName),
    /// Both sides proved anew who they are: a new IKE SA with children of its own took the place of the old one.
    Reauthenticated(ConnectionName),
    /// The peer started anew: its new IKE SA takes the place of the one that the connection was up with.
    Replaced(ConnectionName),
    /// Authenticated messages of the peer come from this address now.
    PeerMoved(ConnectionName, SocketAddr),
    /// It was found out whether the peer of a connection of IKEv1 answers IKEv2.
    Version2Tried(ConnectionName, Version2Trial),
    /// A message was dropped; counted in the snapshot, logged at debug.
    Dropped(SocketAddr, DropCause),
}

impl Event {
    /// What happened in one stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::Down(..) => "down",
            Self::AttemptFailed(..) => "attempt-failed",
            Self::Degraded(..) => "degraded",
            Self::ChildRekeyed(_) => "child-rekeyed",
            Self::IkeRekeyed(_) => "ike-rekeyed",
            Self::Reauthenticated(_) => "reauthenticated",
            Self::Replaced(_) => "replaced",
            Self::PeerMoved(..) => "peer-moved",
            Self::Version2Tried(..) => "ikev2-tried",
            Self::Dropped(..) => "dropped",
        }
    }
}
