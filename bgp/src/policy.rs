//! What becomes of routes: filters as the document has them.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use crate::wire::as_path::{AsPath, Segment};
use crate::wire::attribute::{Attributes, NextHop, Origin};

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

/// A route as a policy looks at it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    pub(crate) prefix: IpNet,
    pub(crate) attributes: &'a Attributes,
    /// The site that it comes from, if it comes from one.
    pub(crate) site: Option<&'a str>,
}

/// What a policy says of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decision {
    /// The term that decided, by its position; the default if none did.
    pub(crate) term: Option<usize>,
    pub(crate) accepted: bool,
}

impl Policy {
    /// The first term that fits decides.
    pub(crate) fn decide(&self, route: &Route<'_>) -> Decision {
        let fits = |term: &Term| term.condition.fits(route);
        let term = self.terms.iter().position(fits);
        let verdict = term
            .and_then(|at| self.terms.get(at))
            .map_or(self.default, |term| term.verdict);
        Decision {
            term,
            accepted: verdict == Verdict::Accept,
        }
    }

    /// What the term that decided changes.
    pub(crate) fn change(&self, decision: Decision) -> Option<&Change> {
        let term = decision.term.and_then(|at| self.terms.get(at))?;
        Some(&term.change)
    }

    /// Whether routes with the same attributes may fare differently, by their prefixes.
    pub(crate) fn looks_at_prefixes(&self) -> bool {
        self.terms.iter().any(|term| term.condition.prefixes.is_some())
    }
}

impl Condition {
    fn fits(&self, route: &Route<'_>) -> bool {
        let attributes = route.attributes;
        let inside = |ranges: &Vec<PrefixRange>| ranges.iter().any(|range| range.contains(route.prefix));
        let path = &attributes.as_path;
        let path_length = u16::try_from(path.length()).unwrap_or(u16::MAX);
        self.prefixes.as_ref().is_none_or(inside)
            && self
                .as_path_length
                .as_ref()
                .is_none_or(|lengths| lengths.contains(&path_length))
            && self.as_path.as_ref().is_none_or(|pattern| matches(pattern, path))
            && self
                .communities
                .iter()
                .all(|community| community.is_on(attributes))
            && self.origin.is_none_or(|origin| origin == attributes.origin)
            && self.site.as_ref().is_none_or(|site| route.site == Some(site))
    }
}

impl PrefixRange {
    fn contains(&self, prefix: IpNet) -> bool {
        self.prefix.contains(&prefix) && self.lengths.contains(&prefix.prefix_len())
    }
}

/// One place of a path: an autonomous system, or those of a set, any of which may fit.
type Place<'a> = &'a [u32];

/// Whether a whole path looks as the pattern says. Looks back to the last "any number" only, so that no pattern takes
/// longer than its length times that of the path.
fn matches(pattern: &[PathToken], path: &AsPath) -> bool {
    let places: Vec<Place<'_>> = path
        .0
        .iter()
        .flat_map(|segment| match segment {
            Segment::Sequence(systems) => systems.chunks(1),
            Segment::Set(systems) => systems.chunks(systems.len().max(1)),
        })
        .collect();
    let (mut token, mut place) = (0, 0);
    let mut resume: Option<(usize, usize)> = None;
    while place < places.len() {
        match pattern.get(token) {
            Some(PathToken::AnyNumber) => {
                resume = Some((token + 1, place));
                token += 1;
            }
            Some(single) if places.get(place).is_some_and(|systems| single.fits(systems)) => {
                token += 1;
                place += 1;
            }
            Some(_) | None => {
                let Some((after, from)) = resume else {
                    return false;
                };
                resume = Some((after, from + 1));
                (token, place) = (after, from + 1);
            }
        }
    }
    pattern
        .get(token..)
        .is_none_or(|rest| rest.iter().all(|token| *token == PathToken::AnyNumber))
}

impl PathToken {
    fn fits(&self, systems: Place<'_>) -> bool {
        match self {
            Self::System(range) => systems.iter().any(|system| range.contains(system)),
            Self::Any | Self::AnyNumber => true,
        }
    }
}

impl Community {
    fn is_on(&self, attributes: &Attributes) -> bool {
        match self {
            Self::Standard(community) => attributes.communities.contains(community),
            Self::Extended(community) => attributes.extended_communities.contains(community),
            Self::Large(a, b, c) => attributes.large_communities.contains(&(*a, *b, *c)),
        }
    }

    fn add(&self, attributes: &mut Attributes) {
        if self.is_on(attributes) {
            return;
        }
        match self {
            Self::Standard(community) => attributes.communities.push(*community),
            Self::Extended(community) => attributes.extended_communities.push(*community),
            Self::Large(a, b, c) => attributes.large_communities.push((*a, *b, *c)),
        }
    }

    fn remove(&self, attributes: &mut Attributes) {
        match self {
            Self::Standard(community) => attributes.communities.retain(|other| other != community),
            Self::Extended(community) => attributes.extended_communities.retain(|other| other != community),
            Self::Large(a, b, c) => attributes
                .large_communities
                .retain(|other| *other != (*a, *b, *c)),
        }
    }
}

impl Change {
    /// Changes what is to be changed; `asn` is what is put before the path, `ours` our end of the session.
    pub(crate) fn apply(&self, attributes: &mut Attributes, asn: u32, ours: IpAddr) {
        attributes.local_preference = self.local_preference.or(attributes.local_preference);
        attributes.med = self.med.or(attributes.med);
        if self.clear_communities {
            attributes.communities.clear();
            attributes.extended_communities.clear();
            attributes.large_communities.clear();
        }
        for community in &self.remove_communities {
            community.remove(attributes);
        }
        for community in &self.add_communities {
            community.add(attributes);
        }
        attributes.as_path.prepend(asn, usize::from(self.prepend));
        match self.next_hop {
            Some(NextHopChange::Ours) => attributes.next_hop = NextHop::Address(ours),
            Some(NextHopChange::Address(address)) => attributes.next_hop = NextHop::Address(address),
            None => {}
        }
    }
}
