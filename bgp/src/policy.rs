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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use thin_vec::{ThinVec, thin_vec};

    use super::*;
    use crate::rib::sample::{attributes, prefix};

    fn path(segments: &[Segment]) -> AsPath {
        AsPath(segments.to_vec())
    }

    fn sequence(systems: &[u32]) -> Segment {
        Segment::Sequence(systems.to_vec())
    }

    /// A pattern is about the whole path; a set is one place that any of its members fits.
    #[test]
    fn patterns_fit_whole_paths() {
        use PathToken::{Any, AnyNumber, System};
        let one = |asn| System(asn..=asn);
        let long = path(&[sequence(&[1, 2]), sequence(&[3])]);
        let set = path(&[sequence(&[1]), Segment::Set(vec![5, 6])]);
        let empty = path(&[]);
        let cases = [
            (vec![one(1), one(2), one(3)], &long, true),
            (vec![one(1), one(2)], &long, false),
            (vec![one(1), Any, one(3)], &long, true),
            (vec![AnyNumber, one(3)], &long, true),
            (vec![AnyNumber, one(2)], &long, false),
            (vec![one(1), AnyNumber], &long, true),
            (
                vec![one(1), AnyNumber, one(2), AnyNumber, one(3), AnyNumber],
                &long,
                true,
            ),
            (vec![System(1..=3), System(1..=3), System(1..=3)], &long, true),
            (vec![one(1), one(6)], &set, true),
            (vec![one(1), one(5), one(6)], &set, false),
            (vec![], &empty, true),
            (vec![AnyNumber], &empty, true),
            (vec![Any], &empty, false),
            (vec![], &long, false),
        ];
        for (pattern, path, fits) in cases {
            assert_eq!(matches(&pattern, path), fits, "{pattern:?} {path:?}");
        }
    }

    /// Patterns as they are told, without a thought of speed.
    fn naive(pattern: &[PathToken], systems: &[u32]) -> bool {
        match (pattern.split_first(), systems.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((PathToken::AnyNumber, after)), rest) => {
                naive(after, systems) || rest.is_some_and(|(_, rest)| naive(pattern, rest))
            }
            (Some((token, after)), Some((system, rest))) => token.fits(&[*system]) && naive(after, rest),
            (Some(_), None) => false,
        }
    }

    fn token() -> impl Strategy<Value = PathToken> {
        prop_oneof![
            (1u32..4, 0u32..2).prop_map(|(from, more)| PathToken::System(from..=from + more)),
            Just(PathToken::Any),
            Just(PathToken::AnyNumber),
        ]
    }

    proptest! {
        /// Looking back no farther than to the last "any number" loses nothing.
        #[test]
        fn patterns_mean_what_they_say(
            pattern in prop::collection::vec(token(), 0..6),
            systems in prop::collection::vec(1u32..5, 0..8),
        ) {
            prop_assert_eq!(matches(&pattern, &path(&[sequence(&systems)])), naive(&pattern, &systems));
        }
    }

    fn policy(terms: Vec<(Condition, Verdict)>, default: Verdict) -> Policy {
        let term = |(condition, verdict)| Term {
            condition,
            change: Change::default(),
            verdict,
        };
        Policy {
            terms: terms.into_iter().map(term).collect(),
            default,
        }
    }

    fn decide(policy: &Policy, to: &str, attributes: &Attributes) -> (Option<usize>, bool) {
        let route = Route {
            prefix: prefix(to),
            attributes,
            site: Some("depot"),
        };
        let decision = policy.decide(&route);
        (decision.term, decision.accepted)
    }

    /// The first term that fits decides, and the default where none does; prefixes fit by place and length.
    #[test]
    fn the_first_term_that_fits_decides() {
        let inside = |outer, lengths| Condition {
            prefixes: Some(vec![PrefixRange {
                prefix: prefix(outer),
                lengths,
            }]),
            ..Condition::default()
        };
        let policy = policy(
            vec![
                (inside("10.0.0.0/8", 24..=32), Verdict::Reject),
                (inside("10.0.0.0/8", 8..=32), Verdict::Accept),
                (inside("2001:db8::/32", 48..=48), Verdict::Accept),
            ],
            Verdict::Reject,
        );
        let usual = attributes(1, &[1]);
        assert_eq!(decide(&policy, "10.1.1.0/24", &usual), (Some(0), false));
        assert_eq!(decide(&policy, "10.1.0.0/23", &usual), (Some(1), true));
        assert_eq!(decide(&policy, "10.0.0.0/8", &usual), (Some(1), true));
        assert_eq!(decide(&policy, "8.0.0.0/6", &usual), (None, false));
        assert_eq!(decide(&policy, "2001:db8:7::/48", &usual), (Some(2), true));
        assert_eq!(decide(&policy, "2001:db8:7::/49", &usual), (None, false));
        assert_eq!(decide(&Policy::ALL, "10.1.1.0/24", &usual), (None, true));
    }

    /// A term fits only what meets each of its conditions.
    #[test]
    fn every_condition_must_be_met() {
        let standard = Community::Standard(7);
        let large = Community::Large(1, 2, 3);
        let extended = Community::Extended([0, 2, 0, 0, 0, 0, 0, 9]);
        let mut route = attributes(1, &[1, 2]);
        standard.add(&mut route);
        large.add(&mut route);
        let fits = |condition: Condition| {
            decide(
                &policy(vec![(condition, Verdict::Accept)], Verdict::Reject),
                "10.0.0.0/8",
                &route,
            )
            .1
        };
        let with = |communities: &[Community]| Condition {
            communities: communities.to_vec(),
            ..Condition::default()
        };
        assert!(fits(Condition::default()));
        assert!(fits(with(&[standard, large])));
        assert!(!fits(with(&[standard, extended])));
        for (length, yes) in [(2..=2, true), (0..=1, false), (3..=9, false)] {
            assert_eq!(
                fits(Condition {
                    as_path_length: Some(length),
                    ..Condition::default()
                }),
                yes
            );
        }
        assert!(fits(Condition {
            origin: Some(Origin::Igp),
            ..Condition::default()
        }));
        assert!(!fits(Condition {
            origin: Some(Origin::Egp),
            ..Condition::default()
        }));
        assert!(fits(Condition {
            site: Some("depot".into()),
            ..Condition::default()
        }));
        assert!(!fits(Condition {
            site: Some("other".into()),
            ..Condition::default()
        }));
    }

    /// Changes: communities go off and on in this order, and only what is said is touched.
    #[test]
    fn changes_touch_what_they_say() {
        let ours = IpAddr::from([10, 0, 0, 1]);
        let mut route = attributes(1, &[1, 2]);
        route.med = Some(5);
        let before = route.clone();
        Change::default().apply(&mut route, 9, ours);
        assert_eq!(route, before);
        let (old, kept, new) = (
            Community::Standard(1),
            Community::Standard(2),
            Community::Large(1, 2, 3),
        );
        old.add(&mut route);
        kept.add(&mut route);
        let change = Change {
            local_preference: Some(200),
            med: Some(0),
            clear_communities: false,
            remove_communities: vec![old, Community::Standard(77)],
            add_communities: vec![new, kept],
            prepend: 2,
            next_hop: Some(NextHopChange::Ours),
        };
        change.apply(&mut route, 9, ours);
        assert_eq!((route.local_preference, route.med), (Some(200), Some(0)));
        assert_eq!(
            (&route.communities, &route.large_communities),
            (&thin_vec![2], &thin_vec![(1, 2, 3)])
        );
        assert_eq!(route.as_path, path(&[sequence(&[9, 9, 1, 2])]));
        assert_eq!(route.next_hop.address(), ours);
        let clear = Change {
            clear_communities: true,
            add_communities: vec![old],
            ..Change::default()
        };
        clear.apply(&mut route, 9, ours);
        assert_eq!(
            (route.communities, route.large_communities),
            (thin_vec![1], ThinVec::new())
        );
    }
}
