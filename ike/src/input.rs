use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use crate::crypto::RevocationList;
use crate::{ChildId, ConnectionName, SaId, Settings, SignerFault};

/// All that the engine can be told. Inputs are facts.
#[derive(Debug)]
pub enum Input {
    /// What to run from now on. Connections that did not change are not touched.
    Settings(Box<Settings>),
    /// An IKE message arrived. On port 4500 the owner has taken the non-ESP marker off (RFC 3948 §2.2).
    Datagram {
        /// Where it arrived; port 500 or 4500 as configured.
        local: SocketAddr,
        /// Where it came from.
        remote: SocketAddr,
        /// The IKE message, header first.
        bytes: Vec<u8>,
    },
    /// The datapath carries this child: the answer that was owed may go out.
    ChildInstalled(ChildId),
    /// The datapath refused this child, or lost it later, and holds nothing of it; the text names the object, the attribute and the reason.
    ChildRefused(ChildId, String),
    /// What [`crate::Action::Sign`] asked for: a signature of each message, in their order.
    Signed(SaId, Result<Vec<Vec<u8>>, SignerFault>),
    /// What UNIX time it is, in seconds, or that nobody knows. To be told at the start, when the wall clock was set, and now
    /// and then, so that it does not drift.
    Clock(Option<u64>),
    /// All lists of revoked certificates that are there from now on.
    RevocationLists(Vec<RevocationList>),
    /// How many packets these children have received since they were installed: what came by them shows that the peer is
    /// there.
    Received(Vec<(ChildId, u64)>),
    /// How many packets these children have carried since they were installed, both directions together.
    Carried(Vec<(ChildId, u64)>),
    /// A direction of this child has carried what it may.
    ChildSpent(ChildId, Spent),
    /// The datapath still receives by a Child SA of an engine before this one; told again while that is so.
    Orphaned {
        /// The connection that it was of.
        connection: ConnectionName,
        /// Our address and the port by which IKE reaches the peer.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
        /// The SPI that we receive by.
        spi: u32,
    },
    /// A packet of this watched line finds no child; told again at most once a second.
    Wanted(ConnectionName, usize),
    /// The addresses of the host name that was asked for, most wanted first, or why there are none.
    Resolved(ConnectionName, String, Result<Vec<IpAddr>, String>),
    /// Start this connection now, whatever its back-off says; a peer's name is asked for anew.
    Connect(ConnectionName),
    /// Close this connection; neither side starts it until [`Input::Connect`], [`Input::Reset`] or other settings of it.
    Disconnect(ConnectionName),
    /// Close this connection and start it anew.
    Reset(ConnectionName),
    /// Replace the Child SA of this connection now, as at the end of its lifetime.
    RekeyChild(ConnectionName),
    /// Replace the IKE SA of this connection now, as at the end of its lifetime.
    RekeyIke(ConnectionName),
    /// Make a new IKE SA in the place of the one that this connection runs on, in which both sides prove anew who they are, with
    /// children of its own; the old one goes when they carry its traffic (RFC 7296 §2.8.3).
    Reauthenticate(ConnectionName),
    /// Find out whether the peer of this connection of IKEv1 answers IKEv2: one IKE_SA_INIT, which makes no SA. What comes of it is
    /// [`crate::Event::Version2Tried`].
    TryVersion2(ConnectionName),
    /// Close every SA with a Delete and start none.
    Shutdown,
    /// The deadline passed.
    Tick,
}

/// How much of its volume a Child SA has carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// It is time to replace it.
    Soft,
    /// It carries nothing any more.
    Hard,
}

/// When the next [`Input::Tick`] is due, and which timer asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// When the tick is due.
    pub at: Instant,
    /// The name of the timer, for the log.
    pub timer: &'static str,
}
