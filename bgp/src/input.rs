use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use ipnet::IpNet;

use crate::{NeighbourName, Settings};

/// A TCP connection. Who makes it numbers it, so both count for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConnectionId {
    /// The speaker asked for it with [`crate::Action::Connect`].
    Outgoing(u64),
    /// The owner took it and told of it with [`Input::Accepted`].
    Incoming(u64),
}

/// Why a socket of a session cannot be had, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketFault {
    /// The network, or another program.
    Refused(String),
    /// This machine cannot authenticate segments as the session wants them (RFC 5925).
    Unauthenticated(String),
}

/// All that can be told to the speaker.
#[derive(Debug)]
pub enum Input {
    /// What it is to run. Sessions whose neighbour did not change are not touched; a change of policies alone does not
    /// end a session.
    Settings(Box<Settings>),
    /// The kernel holds no route of a run before this one. Told before the first settings: there is nothing to keep while
    /// neighbours tell their routes again, so routes are chosen as they come (RFC 4724 §4.1).
    NothingPreserved,
    /// A connection that it asked for is there.
    Connected(ConnectionId, SocketAddr),
    /// A connection that it asked for did not come about.
    NotConnected(ConnectionId, SocketFault),
    /// What a neighbour opens is taken from now on, or cannot be.
    Listening(NeighbourName, Result<(), SocketFault>),
    /// What carries a neighbour's session is another from now on, such as other keys: a session begins anew.
    Moved(NeighbourName),
    /// A neighbour opened a connection to us.
    Accepted {
        /// Its number.
        connection: ConnectionId,
        /// Who, by the address and the tunnel that it came through.
        neighbour: NeighbourName,
        /// The far end.
        remote: SocketAddr,
    },
    /// Octets from a connection, as they come.
    Received(ConnectionId, Vec<u8>),
    /// So many octets of those that were handed out with [`crate::Action::Send`] have gone to the kernel.
    Sent(ConnectionId, usize),
    /// A connection ended; why, in words, if not by an orderly end.
    Closed(ConnectionId, Option<String>),
    /// The tunnel to a neighbour carries, or no longer does; until told, it does not. Paths through one that does not are
    /// not eligible, and no connection is tried there.
    Tunnel(NeighbourName, bool),
    /// The kernel refused a route; why, in words.
    RouteRefused(IpNet, String),
    /// The kernel took a route that it had refused.
    RouteTaken(IpNet),
    /// The session is to begin anew, whatever kept it down (`:clear`).
    Clear(NeighbourName),
    /// The neighbour is to send its routes again (RFC 2918), and is sent ours again.
    Refresh(NeighbourName),
    /// BFD says that the neighbour at this address is gone (RFC 5882).
    PathLost(NeighbourName, IpAddr),
    /// A deadline has come.
    Tick,
    /// Everything is to end: sessions are closed, with graceful restart if the daemon is to come back at once.
    Shutdown {
        /// Neighbours are to keep our routes (RFC 4724): the connections just end.
        restarting: bool,
    },
}

/// When the next [`Input::Tick`] is due, and which timer asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the tick is due.
    pub at: Instant,
    /// The name of the timer, for the log.
    pub timer: &'static str,
}
