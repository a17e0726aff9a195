//! All routes: what each neighbour sent, what is best, what each neighbour is sent.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use crate::wire::update::Update;
use crate::{Families, Family, FamilyCounts, Settings, Way};

/// A neighbour in the tables; the speaker gives it out, and again once [`Rib::remove_peer`] was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PeerIndex(pub(crate) u16);

/// What of a session decides what its neighbour is sent, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outlet {
    /// The families of the session.
    pub(crate) families: Families,
    /// The neighbour's BGP identifier, which breaks ties (RFC 4271 §9.1.2.2 f).
    pub(crate) router_id: std::net::Ipv4Addr,
    /// AS numbers have four octets (RFC 6793).
    pub(crate) four_octet_asn: bool,
    /// A message may have 65,535 octets instead of 4,096 (RFC 8654).
    pub(crate) extended_messages: bool,
    /// IPv4 routes may have IPv6 next hops (RFC 8950).
    pub(crate) ipv6_next_hops: bool,
    /// The prefixes that it has from us before (it kept them over our restart) are swept by End-of-RIB.
    pub(crate) hold_until_converged: bool,
}

/// One change of what is best, for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RouteChange {
    /// The route is now by these, best first.
    Set(IpNet, Arc<[Way]>),
    /// There is none any more.
    Remove(IpNet),
}

/// A neighbour sent more prefixes of a family than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitExceeded {
    pub(crate) family: Family,
    /// With the one too many.
    pub(crate) received: u32,
}
