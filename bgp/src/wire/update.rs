//! UPDATE (RFC 4271 §4.3, RFC 4760).

use std::sync::Arc;

use ipnet::IpNet;

use super::attribute::Attributes;
use super::error::Fault;
use crate::{Families, Family};

/// What of a session an UPDATE cannot be read without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// AS numbers have four octets (RFC 6793).
    pub four_octet_asn: bool,
    /// Families of the session.
    pub families: Families,
    /// Families whose prefixes have path identifiers as the peer sends them (RFC 7911).
    pub add_path: Families,
    /// IPv4 prefixes may have IPv6 next hops (RFC 8950).
    pub ipv6_next_hops: bool,
    /// The peer is in our own autonomous system.
    pub internal: bool,
}

/// A prefix with its path identifier, zero where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The prefix, host bits zero.
    pub prefix: IpNet,
    /// The path identifier.
    pub path: u32,
}

/// What an UPDATE says, once its faults are treated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Routes that are there no more; those that a fault makes us withdraw, too.
    pub withdrawn: Vec<Destination>,
    /// Routes that are there, each family with its attributes, since their next hops differ.
    pub announced: Vec<(Arc<Attributes>, Vec<Destination>)>,
    /// All routes of this family were sent (RFC 4724 §2).
    pub end_of_rib: Option<Family>,
    /// What was wrong with it. If one resets the session, nothing else of the message counts.
    pub faults: Vec<Fault>,
}
