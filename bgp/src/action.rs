use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::{ConnectionId, Family, LastError, NeighbourName};

/// All that the speaker can ask for. What can fail or take time returns as an [`crate::Input`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Open a TCP connection, then answer with `Connected` or `NotConnected`. The owner knows the tunnel, the TTL and the
    /// key of the neighbour.
    Connect {
        /// Its number.
        connection: ConnectionId,
        /// Whose tunnel it passes.
        neighbour: NeighbourName,
        /// Our end.
        local: IpAddr,
        /// The far end, port 179.
        remote: SocketAddr,
    },
    /// Send these octets, then tell with `Sent` when they are gone. At most `Speaker::WINDOW` octets of one
    /// connection are on their way.
    Send(ConnectionId, Vec<u8>),
    /// End a connection once what was to be sent is gone, or a second has passed. Needs no answer.
    Close(ConnectionId),
    /// The route to this prefix is now by all of these at once; never empty, best first.
    SetRoute(IpNet, Arc<[Way]>),
    /// There is no route to this prefix any more.
    RemoveRoute(IpNet),
    /// Every route that an earlier run left and that was not set anew by now may go (RFC 4724 §4.1).
    ReleaseRoutes,
    /// Something an operator or a user would want to know.
    Report(Event),
}

/// Where the packets of a route go.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Way {
    /// Through the tunnel of this neighbour.
    pub neighbour: NeighbourName,
    /// The next hop there; tunnels lead from point to point and do not need it.
    pub next_hop: IpAddr,
}

/// What happened, for journal and log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A session is established.
    Established(NeighbourName),
    /// A session ended, or an attempt failed.
    Down(NeighbourName, LastError),
    /// Three quarters of the prefixes that a neighbour may send are there.
    PrefixesNearLimit {
        /// Who.
        neighbour: NeighbourName,
        /// Of which family.
        family: Family,
        /// How many it sent.
        received: u32,
        /// How many it may send.
        limit: u32,
    },
    /// A neighbour's routes are kept while it starts again (RFC 4724).
    Restarting(NeighbourName),
    /// It did not come back in time, and they are gone.
    RestartOver(NeighbourName),
    /// A malformed update was survived (RFC 7606): what was wrong and what was done, in words.
    Malformed(NeighbourName, String),
    /// Prefixes came up that rules of NAT have to do with and do not translate, or not all of: which, and what was done.
    PartlyTranslated(NeighbourName, String),
    /// All neighbours have told all they know after our start, or the time for that is over.
    Converged,
}
