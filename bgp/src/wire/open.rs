//! OPEN (RFC 4271 §4.2).

use std::net::Ipv4Addr;

use super::capability::Capabilities;

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The autonomous system: that of the capability, or of the fixed field without it.
    pub asn: u32,
    /// Proposed hold time in seconds.
    pub hold_time: u16,
    /// The BGP identifier.
    pub identifier: Ipv4Addr,
    /// What it can do.
    pub capabilities: Capabilities,
}
