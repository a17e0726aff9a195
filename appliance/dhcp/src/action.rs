//! All that a client can ask for.

use std::net::Ipv4Addr;

use crate::lease::{Lease, Loss};

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send this from nobody to everybody on the link.
    Broadcast(Vec<u8>),
    /// Send this from our address to a server's port.
    Send {
        /// Our address.
        from: Ipv4Addr,
        /// The server.
        to: Ipv4Addr,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// This holds from now on, in place of what held before.
    Use(Lease),
    /// What held does no longer.
    Lose(Loss),
}
