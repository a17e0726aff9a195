//! What a gateway lets in and passes on, rule by rule.

use std::net::Ipv4Addr;
use std::sync::Arc;

use thin_vec::thin_vec;

use super::replay::Receiver;
use crate::rib::sample::{self, announce, attributes, prefix};
use crate::rib::{Direction, Explanation, PeerIndex, Refusal, Rib, Withheld};
use crate::wire::as_path::Segment;
use crate::wire::attribute::{Attributes, NextHop, Origin, UnknownAttribute};
use crate::wire::update::Update;
use crate::{
    Change, Condition, Families, Family, Neighbour, NextHopChange, Policy, Role, Settings, Term, Verdict,
};

const TO: &str = "192.0.2.0/24";

/// Neighbour 1 sends, neighbour 2 is sent.
struct Pair {
    rib: Rib,
    peers: Vec<PeerIndex>,
}

impl Pair {
    fn new(settings: &Settings) -> Self {
        let (rib, peers) = sample::rib(settings);
        Self { rib, peers }
    }

    /// With what one neighbour differs.
    fn with(number: u8, change: impl Fn(&mut Neighbour)) -> Self {
        let mut settings = sample::settings(2);
        change(settings.neighbours.get_mut(&sample::name(number)).unwrap());
        Self::new(&settings)
    }

    fn send(&mut self, attributes: Attributes, to: &str) -> &mut Self {
        self.rib
            .receive(self.peers[0], announce(attributes, &[to]))
            .unwrap();
        self
    }

    /// What neighbour 2 has of a prefix, if nothing was sent before.
    fn has(&mut self, to: &str) -> Option<Attributes> {
        let mut receiver = Receiver::new(false);
        receiver.take(&self.rib.write(self.peers[1], 100_000));
        receiver.routes.remove(&prefix(to))
    }

    fn import(&self, to: &str) -> Result<Option<usize>, Refusal> {
        match self.rib.explain(&sample::name(1), Direction::Import, prefix(to)) {
            Some(Explanation::Import(paths)) => paths[0].decision,
            other => panic!("{other:?}"),
        }
    }

    fn export(&self, to: &str) -> Result<Option<usize>, Withheld> {
        match self.rib.explain(&sample::name(2), Direction::Export, prefix(to)) {
            Some(Explanation::Export(route, _)) => route,
            other => panic!("{other:?}"),
        }
    }
}

fn usual() -> Attributes {
    attributes(1, &[65_001, 7])
}

/// What passes to another autonomous system: our number before the path, our address as next hop, and nothing that is
/// only for the inside (RFC 4271 §5.1; RFC 4360 §2).
#[test]
fn a_route_that_is_passed_on() {
    let (transitive, local) = ([0, 2, 1, 1, 1, 1, 1, 1], [0x40, 2, 1, 1, 1, 1, 1, 1]);
    let unknown = UnknownAttribute {
        code: 77,
        value: vec![1, 2, 3],
    };
    let route = Attributes {
        origin: Origin::Egp,
        med: Some(5),
        atomic_aggregate: true,
        aggregator: Some((7, Ipv4Addr::new(7, 7, 7, 7))),
        communities: thin_vec![7],
        extended_communities: thin_vec![transitive, local],
        large_communities: thin_vec![(1, 2, 3)],
        unknown: thin_vec![unknown],
        ..usual()
    };
    let mut pair = Pair::new(&sample::settings(2));
    let expected = Attributes {
        as_path: crate::wire::as_path::AsPath(vec![Segment::Sequence(vec![65_000, 65_001, 7])]),
        next_hop: NextHop::Address([169, 254, 1, 2].into()),
        med: None,
        extended_communities: thin_vec![transitive],
        ..route.clone()
    };
    assert_eq!(pair.send(route, TO).has(TO), Some(expected));
    let mut sender = Receiver::new(false);
    sender.take(&pair.rib.write(pair.peers[0], 100_000));
    assert_eq!(sender.routes.len(), 0, "nothing goes back");
}

/// To our own autonomous system it goes with its preference and its MULTI_EXIT_DISC, and is not prepended.
#[test]
fn a_route_that_is_passed_inside() {
    let mut settings = sample::settings(2);
    settings.neighbours.get_mut(&sample::name(2)).unwrap().asn = 65_000;
    settings
        .neighbours
        .get_mut(&sample::name(1))
        .unwrap()
        .local_preference = 150;
    let (mut rib, peers) = sample::rib(&settings);
    rib.receive(
        peers[0],
        announce(
            Attributes {
                med: Some(5),
                ..usual()
            },
            &[TO],
        ),
    )
    .unwrap();
    let mut receiver = Receiver::new(true);
    receiver.take(&rib.write(peers[1], 100_000));
    let next_hop = NextHop::Address([169, 254, 1, 2].into());
    let expected = Attributes {
        med: Some(5),
        local_preference: Some(150),
        next_hop,
        ..usual()
    };
    assert_eq!(receiver.routes[&prefix(TO)], expected);
}

/// Between internal neighbours nothing is passed on (RFC 4271 §9.2).
#[test]
fn internal_routes_stay_with_who_has_them() {
    let mut settings = sample::settings(2);
    settings
        .neighbours
        .values_mut()
        .for_each(|neighbour| neighbour.asn = 65_000);
    let mut pair = Pair::new(&settings);
    assert_eq!(pair.send(attributes(1, &[7]), TO).has(TO), None);
    assert_eq!(pair.export(TO), Err(Withheld::Internal));
}

/// A default route comes in and is not passed on; prefixes of ours and what is inside neither come in nor go out as
/// somebody else's; what they are inside of does.
#[test]
fn default_routes_and_our_own_prefixes() {
    let mut settings = sample::settings(2);
    settings.own = vec![prefix("10.1.0.0/16")];
    let mut pair = Pair::new(&settings);
    for to in [
        "0.0.0.0/0",
        "10.1.0.0/16",
        "10.1.7.0/24",
        "10.0.0.0/8",
        "10.2.0.0/16",
    ] {
        pair.send(usual(), to);
    }
    assert_eq!(pair.import("0.0.0.0/0"), Ok(None));
    assert_eq!(pair.export("0.0.0.0/0"), Err(Withheld::DefaultRoute));
    assert_eq!(pair.import("10.1.0.0/16"), Err(Refusal::OwnPrefix));
    assert_eq!(pair.import("10.1.7.0/24"), Err(Refusal::OwnPrefix));
    assert_eq!(pair.export("10.1.7.0/24"), Err(Withheld::NoRoute));
    assert_eq!(
        (pair.import("10.0.0.0/8"), pair.export("10.0.0.0/8")),
        (Ok(None), Ok(None))
    );
    let counts = pair.rib.counts(pair.peers[0], Family::Ipv4);
    assert_eq!((counts.received, counts.accepted), (5, 3));
    let own = pair.has("10.1.0.0/16").unwrap();
    assert_eq!(
        (own.origin, own.as_path.systems().collect::<Vec<_>>()),
        (Origin::Igp, vec![65_000])
    );
    assert_eq!(pair.rib.counts(pair.peers[1], Family::Ipv4).advertised, 3);
}

/// What has passed us before is a loop, by number or by identifier (RFC 4271 §9.1.2, RFC 4456 §8).
#[test]
fn loops_are_not_let_in() {
    let mut pair = Pair::new(&sample::settings(2));
    pair.send(attributes(1, &[65_001, 65_000, 7]), TO);
    assert_eq!(pair.import(TO), Err(Refusal::OurAutonomousSystem));
    pair.send(
        Attributes {
            originator: Some(Ipv4Addr::new(10, 0, 0, 1)),
            ..usual()
        },
        TO,
    );
    assert_eq!(pair.import(TO), Err(Refusal::OurRouterId));
    assert_eq!(pair.has(TO), None);
}

/// The static address space of a site is told to the neighbours of other sites, not to its own, nor to a second tunnel
/// there.
#[test]
fn static_address_space_goes_to_other_sites() {
    let mut settings = sample::settings(3);
    settings.neighbours.get_mut(&sample::name(3)).unwrap().site = "site1".into();
    settings
        .sites
        .insert(sample::name(1), vec![prefix("10.9.0.0/16"), prefix("0.0.0.0/0")]);
    let (mut rib, peers) = sample::rib(&settings);
    let mut had = |peer: usize| {
        let mut receiver = Receiver::new(false);
        receiver.take(&rib.write(peers[peer], 100_000));
        receiver.routes.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(
        (had(0), had(1), had(2)),
        (vec![], vec![prefix("10.9.0.0/16")], vec![])
    );
}

/// The same prefix learnt through the same tunnel does no harm: others still have it from us.
#[test]
fn a_static_prefix_that_is_learnt_too() {
    let mut settings = sample::settings(2);
    settings.sites.insert(sample::name(1), vec![prefix(TO)]);
    let mut pair = Pair::new(&settings);
    let sent = pair.send(usual(), TO).has(TO).unwrap();
    assert_eq!(sent.as_path.systems().collect::<Vec<_>>(), [65_000]);
    assert_eq!(
        pair.rib.changes().len(),
        1,
        "the kernel has both, and prefers by their metrics"
    );
    pair.rib.forget(pair.peers[0], Families::ALL);
    assert_eq!(pair.rib.best(Family::Ipv4), 1);
    assert_eq!(pair.has(TO), Some(sent));
}

/// What came from a site goes to no tunnel to it; what another has better does.
#[test]
fn nothing_goes_back_to_its_site() {
    let mut settings = sample::settings(3);
    settings.neighbours.get_mut(&sample::name(2)).unwrap().site = "site1".into();
    let mut pair = Pair::new(&settings);
    assert_eq!(pair.send(usual(), TO).has(TO), None);
    assert_eq!(pair.export(TO), Err(Withheld::LeadsThere));
    pair.rib
        .receive(pair.peers[2], announce(attributes(3, &[65_003]), &[TO]))
        .unwrap();
    assert!(pair.has(TO).is_some());
}

/// NO_ADVERTISE stays here, NO_EXPORT and NO_EXPORT_SUBCONFED stay in our autonomous system (RFC 1997).
#[test]
fn well_known_communities() {
    for (community, inside) in [(0xffff_ff01, true), (0xffff_ff02, false), (0xffff_ff03, true)] {
        for internal in [false, true] {
            let mut pair = Pair::with(2, |neighbour| {
                neighbour.asn = if internal { 65_000 } else { 65_002 };
            });
            pair.send(
                Attributes {
                    communities: thin_vec![7, community],
                    ..usual()
                },
                TO,
            );
            let expected = if internal && inside {
                Ok(None)
            } else {
                Err(Withheld::Community(community))
            };
            assert_eq!(pair.export(TO), expected, "{community:x}");
        }
    }
}

/// What may only go down is not let in from below, nor from beside if another marked it (RFC 9234 §5).
#[test]
fn leaks_are_not_let_in() {
    let marked = |mark| Attributes {
        only_to_customer: mark,
        ..usual()
    };
    let leaks = [
        (Role::Provider, Some(1), true),
        (Role::RouteServer, Some(1), true),
        (Role::Peer, Some(1), true),
        (Role::Peer, Some(65_001), false),
        (Role::Customer, Some(1), false),
        (Role::RouteServerClient, Some(1), false),
        (Role::Provider, None, false),
    ];
    for (role, mark, leak) in leaks {
        let mut pair = Pair::with(1, |neighbour| neighbour.role = Some(role));
        pair.send(marked(mark), TO);
        assert_eq!(
            pair.import(TO) == Err(Refusal::RouteLeak),
            leak,
            "{role:?} {mark:?}"
        );
    }
}

/// Routes from above or beside only go down, and bear the mark of that (RFC 9234 §5).
#[test]
fn only_to_customer() {
    let marked = |mark| Attributes {
        only_to_customer: mark,
        ..usual()
    };
    for (role, mark) in [
        (Role::Customer, 65_001),
        (Role::Peer, 65_001),
        (Role::RouteServerClient, 65_001),
    ] {
        let mut pair = Pair::with(1, |neighbour| neighbour.role = Some(role));
        assert_eq!(
            pair.send(usual(), TO).has(TO).unwrap().only_to_customer,
            Some(mark),
            "{role:?}"
        );
    }
    for (role, told) in [
        (Role::Customer, None),
        (Role::Peer, None),
        (Role::RouteServerClient, None),
        (Role::Provider, Some(9)),
        (Role::RouteServer, Some(9)),
    ] {
        let mut pair = Pair::with(2, |neighbour| neighbour.role = Some(role));
        let sent = pair
            .send(marked(Some(9)), TO)
            .has(TO)
            .map(|route| route.only_to_customer);
        assert_eq!(sent, told.map(Some), "{role:?}");
    }
    for (role, mark) in [
        (Role::Provider, Some(65_000)),
        (Role::Peer, Some(65_000)),
        (Role::Customer, None),
    ] {
        let mut pair = Pair::with(2, |neighbour| neighbour.role = Some(role));
        assert_eq!(
            pair.send(usual(), TO).has(TO).unwrap().only_to_customer,
            mark,
            "{role:?}"
        );
    }
}

/// IPv6 prefixes over a session between IPv4 addresses have ours mapped; IPv4 prefixes over one between IPv6 addresses
/// are sent only where the neighbour takes them so (RFC 8950), and nobody is told its own address.
#[test]
fn next_hops_of_the_other_family() {
    let mut pair = Pair::new(&sample::settings(2));
    let mapped = NextHop::Address("::ffff:169.254.1.2".parse().unwrap());
    let route = Attributes {
        next_hop: NextHop::Address("2001:db8::1".parse().unwrap()),
        ..usual()
    };
    assert_eq!(
        pair.send(route, "2001:db8:7::/48")
            .has("2001:db8:7::/48")
            .unwrap()
            .next_hop,
        mapped
    );
    let ours = "fe80::2".parse().unwrap();
    for agreed in [false, true] {
        let mut pair = Pair::with(2, |neighbour| neighbour.local = ours);
        pair.rib.open(
            pair.peers[1],
            crate::rib::Outlet {
                ipv6_next_hops: agreed,
                ..sample::outlet(2)
            },
        );
        let next_hop = pair.send(usual(), TO).has(TO).map(|route| route.next_hop);
        assert_eq!(next_hop, agreed.then_some(NextHop::Address(ours)));
    }
    let own = Change {
        next_hop: Some(NextHopChange::Address([169, 254, 0, 2].into())),
        ..Change::default()
    };
    let mut pair = Pair::with(2, |neighbour| neighbour.export = always(own.clone()));
    assert_eq!(pair.send(usual(), TO).export(TO), Err(Withheld::NextHop));
    assert_eq!(pair.has(TO), None);
}

fn always(change: Change) -> Policy {
    let term = Term {
        condition: Condition::default(),
        change,
        verdict: Verdict::Accept,
    };
    Policy {
        terms: vec![term],
        default: Verdict::Reject,
    }
}

/// On import the neighbour's number is prepended, on export ours, besides the one that is always there.
#[test]
fn prepending() {
    let twice = always(Change {
        prepend: 2,
        ..Change::default()
    });
    let mut pair = Pair::with(1, |neighbour| neighbour.import = twice.clone());
    let path = |route: Option<Attributes>| route.unwrap().as_path.systems().collect::<Vec<_>>();
    assert_eq!(
        path(pair.send(usual(), TO).has(TO)),
        [65_000, 65_001, 65_001, 65_001, 7]
    );
    assert_eq!((pair.import(TO), pair.export(TO)), (Ok(Some(0)), Ok(None)));
    let mut pair = Pair::with(2, |neighbour| neighbour.export = twice.clone());
    assert_eq!(
        path(pair.send(usual(), TO).has(TO)),
        [65_000, 65_000, 65_000, 65_001, 7]
    );
    assert_eq!((pair.import(TO), pair.export(TO)), (Ok(None), Ok(Some(0))));
}

/// What a policy rejects is neither used nor sent, and it is said which term did it.
#[test]
fn rejection_names_its_term() {
    let origin = Condition {
        origin: Some(Origin::Igp),
        ..Condition::default()
    };
    let reject = Term {
        condition: origin,
        change: Change::default(),
        verdict: Verdict::Reject,
    };
    let policy = Policy {
        terms: vec![reject],
        default: Verdict::Accept,
    };
    let mut pair = Pair::with(1, |neighbour| neighbour.import = policy.clone());
    assert_eq!(pair.send(usual(), TO).import(TO), Err(Refusal::Policy(Some(0))));
    assert_eq!(pair.rib.changes(), []);
    let mut pair = Pair::with(2, |neighbour| neighbour.export = policy.clone());
    assert_eq!(pair.send(usual(), TO).export(TO), Err(Withheld::Policy(Some(0))));
    assert_eq!(pair.has(TO), None);
    assert_eq!(
        pair.send(
            Attributes {
                origin: Origin::Egp,
                ..usual()
            },
            TO
        )
        .export(TO),
        Ok(None)
    );
    assert_eq!(
        pair.rib.explain(&sample::name(9), Direction::Export, prefix(TO)),
        None
    );
}

/// Attributes that grew too long to fit a message with ours are not sent, and what went before is withdrawn.
#[test]
fn attributes_that_do_not_fit() {
    let mut pair = Pair::new(&sample::settings(2));
    let mut receiver = Receiver::new(false);
    pair.send(usual(), TO);
    receiver.take(&pair.rib.write(pair.peers[1], 100_000));
    assert_eq!(receiver.routes.len(), 1);
    let long = Attributes {
        communities: (0..1012).collect(),
        ..usual()
    };
    let update = Update {
        announced: vec![(Arc::new(long), vec![sample::destination(TO)])],
        ..Update::default()
    };
    pair.rib.receive(pair.peers[0], update).unwrap();
    receiver.take(&pair.rib.write(pair.peers[1], 100_000));
    assert_eq!(receiver.routes.len(), 0);
    assert_eq!(pair.rib.counts(pair.peers[1], Family::Ipv4).advertised, 0);
}
