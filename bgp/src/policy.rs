//! What becomes of routes: filters as the document has them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use crate::wire::attribute::Origin;

/// The first term that fits decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// In their order.
    pub terms: Vec<Term>,
    /// What becomes of a route that no term fits.
    pub default: Verdict,
}

/// One step of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Which routes it fits: those that meet every condition.
    pub condition: Condition,
    /// What is changed in those that it accepts.
    pub change: Change,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// Whether a route is used, or passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Accept,
    /// It is not.
    Reject,
}

/// Which routes a term fits; what is left out fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// The route is to one of these.
    pub prefixes: Option<Vec<PrefixRange>>,
    /// Its AS path has this length (RFC 4271 §9.1.2.2 a: a set counts as one).
    pub as_path_length: Option<RangeInclusive<u16>>,
    /// Its whole AS path looks so.
    pub as_path: Option<Vec<PathToken>>,
    /// It bears all of these.
    pub communities: Vec<Community>,
    /// Where it comes from.
    pub origin: Option<Origin>,
    /// On import the site that it comes from, on export the one that it was learnt from.
    pub site: Option<Arc<str>>,
}

/// Prefixes inside another, by their length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixRange {
    /// The prefix that they are inside.
    pub prefix: IpNet,
    /// How long they are.
    pub lengths: RangeInclusive<u8>,
}

/// A part of a pattern of AS paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathToken {
    /// One autonomous system of these.
    System(RangeInclusive<u32>),
    /// Any one.
    Any,
    /// Any number of any, none too.
    AnyNumber,
}

/// A mark on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// RFC 1997; the well-known ones too.
    Standard(u32),
    /// RFC 4360, the eight octets as they are on the wire.
    Extended([u8; 8]),
    /// RFC 8092.
    Large(u32, u32, u32),
}

/// What is changed in a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// LOCAL_PREF becomes this.
    pub local_preference: Option<u32>,
    /// MULTI_EXIT_DISC becomes this.
    pub med: Option<u32>,
    /// All communities are taken off first.
    pub clear_communities: bool,
    /// Then these are.
    pub remove_communities: Vec<Community>,
    /// Then these are put on.
    pub add_communities: Vec<Community>,
    /// So often an autonomous system is put before the AS path: on export ours, on import the neighbour's.
    pub prepend: u8,
    /// NEXT_HOP becomes this.
    pub next_hop: Option<NextHopChange>,
}

/// Where packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextHopChange {
    /// To our end of the session.
    Ours,
    /// To this address.
    Address(IpAddr),
}

impl Policy {
    /// Everything passes unchanged.
    pub const ALL: Self = Self {
        terms: Vec::new(),
        default: Verdict::Accept,
    };
}
