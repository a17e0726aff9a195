//! Which of several paths to one prefix is best (RFC 4271 §9.1.2).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use smallvec::SmallVec;

use crate::NeighbourName;
use crate::wire::attribute::Attributes;

/// A step of the choice; a path that is worse than another by one of them is out, and later ones do not count for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// The higher degree of preference is better (RFC 4271 §9.1.1, §9.1.2).
    LocalPreference,
    /// The shorter AS path is (§9.1.2.2 a).
    AsPathLength,
    /// The lower origin is (§9.1.2.2 b).
    Origin,
    /// The lower MULTI_EXIT_DISC is, among paths through one neighbouring autonomous system (§9.1.2.2 c).
    MultiExitDiscriminator,
    /// A path from another autonomous system is better than one from ours (§9.1.2.2 d).
    External,
    /// The nearer next hop is better (§9.1.2.2 e): behind the tunnel itself, or found by other routes.
    InteriorCost,
    /// The tunnel with the smaller number of the settings is better. What is equal so far may be used at once.
    Priority,
    /// The lower BGP identifier is better, that of the originator if it is said (§9.1.2.2 f, RFC 4456 §9).
    RouterId,
    /// The shorter cluster list is (RFC 4456 §9).
    ClusterLength,
    /// The lower address of the neighbour is (§9.1.2.2 g).
    PeerAddress,
    /// The lower path identifier is, of two paths from one neighbour (RFC 7911).
    PathIdentifier,
}

/// A path that may be used, with all that the choice looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    pub(crate) attributes: &'a Attributes,
    /// LOCAL_PREF, or what stands for it.
    pub(crate) local_preference: u32,
    /// The autonomous system that it was learnt from, by whichever of our routers.
    pub(crate) neighbour_asn: u32,
    /// It comes from another autonomous system.
    pub(crate) external: bool,
    /// How far its next hop is.
    pub(crate) interior_cost: u8,
    /// Of its tunnel.
    pub(crate) priority: u16,
    /// Of the neighbour.
    pub(crate) router_id: Ipv4Addr,
    /// Of the neighbour.
    pub(crate) address: IpAddr,
    pub(crate) path: u32,
    /// The tunnel that its packets take.
    pub(crate) tunnel: &'a NeighbourName,
}

/// Positions of candidates.
pub(crate) type Positions = SmallVec<[usize; 8]>;

/// Those that are used, best first: the best, and up to `most` that are as good and lead through other tunnels.
pub(crate) fn choose(candidates: &[Candidate<'_>], most: u8) -> Positions {
    let ranked = rank(candidates, |_, _| {});
    let mut chosen = Positions::new();
    for position in ranked {
        let tunnel = candidates.get(position).map(|candidate| candidate.tunnel);
        let used = |at: &usize| candidates.get(*at).map(|candidate| candidate.tunnel) == tunnel;
        if chosen.is_empty() || chosen.len() < usize::from(most) && !chosen.iter().any(used) {
            chosen.push(position);
        }
    }
    chosen
}

/// The step that each lost by, in their order; nothing for the best.
pub(crate) fn lost_by(candidates: &[Candidate<'_>]) -> Vec<Option<Step>> {
    let mut steps = vec![None; candidates.len()];
    let mut note = |position: usize, step| {
        if let Some(lost) = steps.get_mut(position) {
            *lost = Some(step);
        }
    };
    let ranked = rank(candidates, &mut note);
    let best = ranked.first().and_then(|best| candidates.get(*best));
    for position in ranked.iter().skip(1) {
        if let (Some(best), Some(other)) = (best, candidates.get(*position)) {
            let step = TIES.into_iter().find(|step| compare(*step, best, other).is_ne());
            note(*position, step.unwrap_or(Step::PathIdentifier));
        }
    }
    steps
}

/// What decides between paths that differ in how good they are.
const DIFFERENCES: [Step; 7] = [
    Step::LocalPreference,
    Step::AsPathLength,
    Step::Origin,
    Step::MultiExitDiscriminator,
    Step::External,
    Step::InteriorCost,
    Step::Priority,
];

/// What only makes the choice certain.
const TIES: [Step; 4] = [
    Step::RouterId,
    Step::ClusterLength,
    Step::PeerAddress,
    Step::PathIdentifier,
];

/// Those that no step but the ties puts out, best first; the others are told with their step.
fn rank(candidates: &[Candidate<'_>], mut lost: impl FnMut(usize, Step)) -> Positions {
    let mut left: Positions = (0..candidates.len()).collect();
    for step in DIFFERENCES {
        if left.len() < 2 {
            break;
        }
        let best = Best::of(step, candidates, &left);
        left.retain(|position| {
            let candidate = candidates.get(*position);
            let beaten = candidate.is_none_or(|candidate| best.beats(candidate));
            if beaten {
                lost(*position, step);
            }
            !beaten
        });
    }
    left.sort_by(|a, b| match (candidates.get(*a), candidates.get(*b)) {
        (Some(a), Some(b)) => TIES
            .into_iter()
            .map(|step| compare(step, a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal),
        (None | Some(_), None) | (None, Some(_)) => Ordering::Equal,
    });
    left
}

/// The best by one step alone.
enum Best<'a> {
    /// Of all.
    One(Step, Option<&'a Candidate<'a>>),
    /// The lowest MULTI_EXIT_DISC of each neighbouring autonomous system, if they differ at all.
    OfEach(BTreeMap<u32, u32>),
}

impl<'a> Best<'a> {
    fn of(step: Step, candidates: &'a [Candidate<'a>], among: &[usize]) -> Self {
        let among = among.iter().filter_map(|at| candidates.get(*at));
        if step != Step::MultiExitDiscriminator {
            let better = |best, other| {
                if compare(step, other, best).is_lt() {
                    other
                } else {
                    best
                }
            };
            return Self::One(step, among.reduce(better));
        }
        let mut lowest = BTreeMap::new();
        let first = among.clone().next().map(med);
        if among.clone().any(|candidate| Some(med(candidate)) != first) {
            among.for_each(|candidate| {
                let lowest = lowest.entry(candidate.neighbour_asn).or_insert(u32::MAX);
                *lowest = med(candidate).min(*lowest);
            });
        }
        Self::OfEach(lowest)
    }

    fn beats(&self, candidate: &Candidate<'_>) -> bool {
        match self {
            Self::One(step, best) => best.is_some_and(|best| compare(*step, best, candidate).is_lt()),
            Self::OfEach(lowest) => {
                let lowest = lowest.get(&candidate.neighbour_asn);
                lowest.is_some_and(|lowest| *lowest < med(candidate))
            }
        }
    }
}

/// MULTI_EXIT_DISC; a path without one has the lowest (RFC 4271 §9.1.2.2 c).
fn med(candidate: &Candidate<'_>) -> u32 {
    candidate.attributes.med.unwrap_or(0)
}

/// Which of two is better by one step: the lesser.
fn compare(step: Step, a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    match step {
        Step::LocalPreference => b.local_preference.cmp(&a.local_preference),
        Step::AsPathLength => a.attributes.as_path.length().cmp(&b.attributes.as_path.length()),
        Step::Origin => a.attributes.origin.cmp(&b.attributes.origin),
        Step::MultiExitDiscriminator if a.neighbour_asn != b.neighbour_asn => Ordering::Equal,
        Step::MultiExitDiscriminator => med(a).cmp(&med(b)),
        Step::External => b.external.cmp(&a.external),
        Step::InteriorCost => a.interior_cost.cmp(&b.interior_cost),
        Step::Priority => a.priority.cmp(&b.priority),
        Step::RouterId => identifier(a).cmp(&identifier(b)),
        Step::ClusterLength => a.attributes.clusters.len().cmp(&b.attributes.clusters.len()),
        Step::PeerAddress => a.address.cmp(&b.address),
        Step::PathIdentifier => (a.tunnel, a.path).cmp(&(b.tunnel, b.path)),
    }
}

fn identifier(candidate: &Candidate<'_>) -> Ipv4Addr {
    candidate.attributes.originator.unwrap_or(candidate.router_id)
}

/// The autonomous system next to ours on a path (§9.1.2.2 c): the first; without one, where it begins with a set, that
/// of the neighbour.
pub(crate) fn neighbour_asn(attributes: &Attributes, neighbour: u32) -> u32 {
    attributes.as_path.first().unwrap_or(neighbour)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rib::sample;
    use crate::wire::attribute::Origin;

    /// What one path differs from the usual in.
    type Difference = fn(&mut Attributes, &mut Candidate<'_>);

    /// Which of two paths is best by which step, whichever comes first.
    fn duel(first: Difference, second: Difference) -> (usize, Option<Step>) {
        let names = [sample::name(1), sample::name(2)];
        let sets = [first, second].map(|difference| {
            let mut attributes = sample::attributes(1, &[65_001, 7]);
            difference(
                &mut attributes,
                &mut candidate(&sample::attributes(1, &[]), &names[0]),
            );
            attributes
        });
        let mut candidates: Vec<Candidate<'_>> = sets
            .iter()
            .zip(&names)
            .map(|(attributes, name)| candidate(attributes, name))
            .collect();
        for (difference, candidate) in [first, second].iter().zip(&mut candidates) {
            difference(&mut sample::attributes(1, &[]), candidate);
        }
        let best = choose(&candidates, 1)[0];
        let step = lost_by(&candidates)[1 - best];
        candidates.reverse();
        assert_eq!(choose(&candidates, 1)[0], 1 - best, "the order does not matter");
        assert_eq!(lost_by(&candidates)[best], step);
        (best, step)
    }

    fn candidate<'a>(attributes: &'a Attributes, tunnel: &'a NeighbourName) -> Candidate<'a> {
        Candidate {
            attributes,
            local_preference: 100,
            neighbour_asn: 65_001,
            external: true,
            interior_cost: 0,
            priority: 0,
            router_id: Ipv4Addr::new(10, 0, 0, 1),
            address: IpAddr::from([169, 254, 0, 1]),
            path: 0,
            tunnel,
        }
    }

    /// For each step what makes a path worse by it, in the order of the steps.
    const WORSE: [(Step, Difference); 10] = [
        (Step::LocalPreference, |_, candidate| {
            candidate.local_preference = 99
        }),
        (Step::AsPathLength, |attributes, _| {
            attributes.as_path.prepend(7, 1)
        }),
        (Step::Origin, |attributes, _| attributes.origin = Origin::Egp),
        (Step::MultiExitDiscriminator, |attributes, _| {
            attributes.med = Some(1)
        }),
        (Step::External, |_, candidate| candidate.external = false),
        (Step::InteriorCost, |_, candidate| candidate.interior_cost = 1),
        (Step::Priority, |_, candidate| candidate.priority = 1),
        (Step::RouterId, |_, candidate| {
            candidate.router_id = Ipv4Addr::new(10, 0, 0, 2)
        }),
        (Step::ClusterLength, |attributes, _| {
            attributes.clusters.push(Ipv4Addr::LOCALHOST)
        }),
        (Step::PeerAddress, |_, candidate| {
            candidate.address = IpAddr::from([169, 254, 0, 2])
        }),
    ];

    /// Each step decides where all before it do not, and none after it is asked (RFC 4271 §9.1.2.2, RFC 4456 §9).
    #[test]
    fn steps_decide_in_their_order() {
        for (at, (step, worse)) in WORSE.into_iter().enumerate() {
            assert_eq!(duel(worse, |_, _| {}), (1, Some(step)));
            for (_, later) in &WORSE[at + 1..] {
                assert_eq!(duel(worse, *later), (1, Some(step)));
            }
        }
    }

    /// Two paths of one neighbour differ in nothing but their identifiers.
    #[test]
    fn the_lower_path_identifier_is_last() {
        let (attributes, name) = (sample::attributes(1, &[65_001]), sample::name(1));
        let second = Candidate {
            path: 2,
            ..candidate(&attributes, &name)
        };
        let first = Candidate { path: 1, ..second };
        assert_eq!(lost_by(&[second, first]), [Some(Step::PathIdentifier), None]);
    }

    /// MULTI_EXIT_DISC only counts among paths through one neighbouring autonomous system; none is zero (§9.1.2.2 c).
    #[test]
    fn med_is_compared_inside_one_neighbouring_system() {
        let (_, step) = duel(
            |attributes, _| attributes.med = Some(9),
            |_, candidate| {
                candidate.neighbour_asn = 65_002;
                candidate.router_id = Ipv4Addr::new(10, 0, 0, 2);
            },
        );
        assert_eq!(step, Some(Step::RouterId));
        let zero: Difference = |attributes, _| attributes.med = Some(0);
        assert_eq!(duel(zero, |_, _| {}).1, Some(Step::PathIdentifier));
    }

    /// The classical knot: the path that would win by its router is out by MULTI_EXIT_DISC first, whatever the order.
    #[test]
    fn med_is_applied_before_anything_later_whatever_the_order() {
        let name = sample::name(1);
        let high = Attributes {
            med: Some(10),
            ..sample::attributes(1, &[65_001])
        };
        let low = Attributes {
            med: Some(5),
            ..sample::attributes(1, &[65_001])
        };
        let router = |last| Ipv4Addr::new(10, 0, 0, last);
        let a = Candidate {
            router_id: router(1),
            ..candidate(&high, &name)
        };
        let b = Candidate {
            router_id: router(3),
            ..candidate(&low, &name)
        };
        let c = Candidate {
            router_id: router(2),
            neighbour_asn: 65_002,
            ..candidate(&high, &name)
        };
        for order in [[a, b, c], [c, b, a], [b, c, a], [a, c, b]] {
            assert_eq!(order[choose(&order, 1)[0]].router_id, router(2));
        }
    }

    /// The originator stands for the router where it is said (RFC 4456 §9).
    #[test]
    fn the_originator_stands_for_the_router() {
        let (best, step) = duel(
            |_, _| {},
            |attributes, candidate| {
                attributes.originator = Some(Ipv4Addr::new(1, 1, 1, 1));
                candidate.router_id = Ipv4Addr::new(10, 0, 0, 2);
            },
        );
        assert_eq!((best, step), (1, Some(Step::RouterId)));
    }

    /// Paths that are equal but for ties are used at once, each tunnel once, and no more than are wanted.
    #[test]
    fn equal_paths_of_different_tunnels_are_used_at_once() {
        let attributes = sample::attributes(1, &[65_001]);
        let names: Vec<_> = (1..=3).map(sample::name).collect();
        let mut paths: Vec<Candidate<'_>> = names.iter().map(|name| candidate(&attributes, name)).collect();
        paths.push(Candidate { path: 1, ..paths[0] });
        assert_eq!(choose(&paths, 8).as_slice(), [0, 1, 2]);
        assert_eq!(choose(&paths, 2).as_slice(), [0, 1]);
        assert_eq!(choose(&paths, 0).as_slice(), [0]);
        paths[1].priority = 1;
        assert_eq!(
            choose(&paths, 8).as_slice(),
            [0, 2],
            "two tunnels of different priority are not equal"
        );
        assert_eq!(choose(&[], 8).as_slice(), [0; 0]);
    }
}
