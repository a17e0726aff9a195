//! Path attributes (RFC 4271 §4.3, §5).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thin_vec::ThinVec;

use super::as_path::AsPath;

/// Where a route comes from (RFC 4271 §5.1.1); less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// Inside its autonomous system.
    Igp,
    /// The protocol EGP.
    Egp,
    /// Elsewhere.
    Incomplete,
}

/// What all prefixes of one announcement share. Lists are as they came, without what was discarded; thin ones, for most are
/// empty, and of these sets there are hundreds of thousands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attributes {
    /// ORIGIN.
    pub origin: Origin,
    /// AS_PATH, with four-octet numbers: AS4_PATH is merged in already (RFC 6793 §4.2.3).
    pub as_path: AsPath,
    /// NEXT_HOP, or the one in MP_REACH_NLRI.
    pub next_hop: NextHop,
    /// MULTI_EXIT_DISC.
    pub med: Option<u32>,
    /// LOCAL_PREF; only inside an autonomous system.
    pub local_preference: Option<u32>,
    /// ATOMIC_AGGREGATE.
    pub atomic_aggregate: bool,
    /// AGGREGATOR, with AS4_AGGREGATOR merged in.
    pub aggregator: Option<(u32, Ipv4Addr)>,
    /// COMMUNITIES (RFC 1997).
    pub communities: ThinVec<u32>,
    /// EXTENDED COMMUNITIES (RFC 4360).
    pub extended_communities: ThinVec<[u8; 8]>,
    /// LARGE_COMMUNITY (RFC 8092).
    pub large_communities: ThinVec<(u32, u32, u32)>,
    /// ORIGINATOR_ID (RFC 4456).
    pub originator: Option<Ipv4Addr>,
    /// CLUSTER_LIST (RFC 4456).
    pub clusters: ThinVec<Ipv4Addr>,
    /// ONLY_TO_CUSTOMER (RFC 9234 §5).
    pub only_to_customer: Option<u32>,
    /// Optional transitive attributes that we do not know, by code, passed on as partial (RFC 4271 §5).
    pub unknown: ThinVec<UnknownAttribute>,
}

/// Where packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// To one address, global where it is IPv6.
    Address(IpAddr),
    /// To this one, which also has a link-local address (RFC 2545 §3).
    WithLinkLocal(Ipv6Addr, Ipv6Addr),
}

/// An attribute that is only passed on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnknownAttribute {
    /// Its type code.
    pub code: u8,
    /// Its value.
    pub value: Vec<u8>,
}

impl Attributes {
    /// Those that every route has (RFC 4271 §5), and no others.
    pub fn mandatory(origin: Origin, as_path: AsPath, next_hop: NextHop) -> Self {
        Self {
            origin,
            as_path,
            next_hop,
            med: None,
            local_preference: None,
            atomic_aggregate: false,
            aggregator: None,
            communities: ThinVec::new(),
            extended_communities: ThinVec::new(),
            large_communities: ThinVec::new(),
            originator: None,
            clusters: ThinVec::new(),
            only_to_customer: None,
            unknown: ThinVec::new(),
        }
    }
}

impl NextHop {
    /// The address, not the link-local one.
    pub fn address(self) -> IpAddr {
        match self {
            Self::Address(address) => address,
            Self::WithLinkLocal(global, _) => IpAddr::V6(global),
        }
    }
}
