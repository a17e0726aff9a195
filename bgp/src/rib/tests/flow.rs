//! How routes come and go: limits, restarts, deferral, packing, and what is seen of them.

use std::sync::Arc;

use super::replay::Receiver;
use crate::best_path::Step;
use crate::rib::sample::{self, announce, attributes, prefix, withdraw};
use crate::rib::{LimitExceeded, PrefixFilter, RouteChange, RouteQuery, RouteRow, RouteView, Standing};
use crate::wire::update::{Destination, Update};
use crate::{Change, Condition, Families, Family, NeighbourName, Policy, Settings, Term, Verdict, Way};

const TO: &str = "192.0.2.0/24";

fn numbered(count: u32) -> Vec<String> {
    (0..count)
        .map(|number| format!("10.{}.{}.0/24", number / 256, number % 256))
        .collect()
}

fn limited(prefixes: u32) -> Settings {
    let mut settings = sample::settings(2);
    settings
        .neighbours
        .values_mut()
        .for_each(|neighbour| neighbour.limits.prefixes = prefixes);
    settings
}

/// Prefixes count once, however often they come; the first one above the limit is not taken, nor what follows it.
#[test]
fn the_first_prefix_above_the_limit() {
    let (mut rib, peers) = sample::rib(&limited(3));
    let from = |path: &[u32], prefixes: &[&str]| announce(attributes(1, path), prefixes);
    rib.receive(
        peers[0],
        from(&[65_001], &["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"]),
    )
    .unwrap();
    rib.receive(
        peers[0],
        from(&[65_001, 2], &["10.3.0.0/16", "10.2.0.0/16", "2001:db8::/32"]),
    )
    .unwrap();
    rib.receive(peers[0], withdraw(&["10.1.0.0/16"])).unwrap();
    rib.receive(peers[0], from(&[65_001], &["10.4.0.0/16"])).unwrap();
    let more = from(&[65_001, 3], &["10.3.0.0/16", "10.5.0.0/16", "10.2.0.0/16"]);
    let exceeded = LimitExceeded {
        family: Family::Ipv4,
        received: 4,
    };
    assert_eq!(rib.receive(peers[0], more), Err(exceeded));
    let counts = rib.counts(peers[0], Family::Ipv4);
    assert_eq!((counts.received, counts.accepted, counts.limit), (3, 3, 3));
    let rows = rib.routes(&query(RouteView::Received)).routes;
    let lengths: Vec<_> = rows
        .iter()
        .map(|row| (row.prefix, row.attributes.as_path.length()))
        .collect();
    let expected = [("10.2.0.0/16", 2), ("10.3.0.0/16", 2), ("10.4.0.0/16", 1)];
    assert_eq!(lengths, expected.map(|(to, length)| (prefix(to), length)));
}

/// Refused routes count as received, too.
#[test]
fn refused_routes_count() {
    let (mut rib, peers) = sample::rib(&limited(1));
    rib.receive(peers[0], announce(attributes(1, &[65_000]), &[TO]))
        .unwrap();
    assert!(
        rib.receive(peers[0], announce(attributes(1, &[65_001]), &["10.0.0.0/8"]))
            .is_err()
    );
    assert_eq!(rib.counts(peers[0], Family::Ipv4).accepted, 0);
}

/// Several paths to a prefix are one prefix (RFC 7911), and no more of them are kept than are of use.
#[test]
fn paths_with_identifiers() {
    let (mut rib, peers) = sample::rib(&limited(1));
    for path in 1..=40 {
        let length = usize::try_from(41 - path).unwrap();
        let to = Destination {
            prefix: prefix(TO),
            path,
        };
        let update = Update {
            announced: vec![(Arc::new(attributes(1, &vec![65_001; length])), vec![to])],
            ..Update::default()
        };
        rib.receive(peers[0], update).unwrap();
    }
    let rows = rib.routes(&query(RouteView::Received)).routes;
    assert_eq!((rows.len(), rib.counts(peers[0], Family::Ipv4).received), (32, 1));
    let best = rib.routes(&query(RouteView::Best)).routes;
    assert_eq!((best.len(), best[0].path), (1, 32));
    let gone = Update {
        withdrawn: vec![Destination {
            prefix: prefix(TO),
            path: 32,
        }],
        ..Update::default()
    };
    rib.receive(peers[0], gone).unwrap();
    assert_eq!(rib.routes(&query(RouteView::Best)).routes[0].path, 31);
}

/// Routes of before a restart are used until End-of-RIB; then what did not come again is gone (RFC 4724 §4.2).
#[test]
fn stale_routes_are_swept() {
    let (mut rib, peers) = sample::rib(&sample::settings(2));
    rib.receive(
        peers[0],
        announce(attributes(1, &[65_001]), &["10.1.0.0/16", "10.2.0.0/16"]),
    )
    .unwrap();
    rib.close(peers[0]);
    rib.mark_stale(peers[0], Families::ALL);
    assert_eq!(rib.changes().len(), 2);
    assert!(
        rib.routes(&query(RouteView::Best))
            .routes
            .iter()
            .all(|row| row.stale)
    );
    rib.open(peers[0], sample::outlet(1));
    rib.receive(peers[0], announce(attributes(1, &[65_001]), &["10.2.0.0/16"]))
        .unwrap();
    assert_eq!(rib.changes(), [], "nothing moved");
    rib.sweep_stale(peers[0], Families::ALL);
    assert_eq!(rib.changes(), [RouteChange::Remove(prefix("10.1.0.0/16"))]);
}

/// While others have not told what they know, nobody is told anything; then everybody is, and that it was all.
#[test]
fn deferral_holds_everything_back() {
    let (mut rib, peers) = sample::rib(&sample::settings(2));
    rib.defer(true);
    rib.receive(peers[0], announce(attributes(1, &[65_001]), &[TO]))
        .unwrap();
    assert_eq!((rib.changes(), rib.write(peers[1], 1000)), (vec![], vec![]));
    rib.defer(false);
    assert_eq!(rib.changes().len(), 1);
    let mut receiver = Receiver::new(false);
    receiver.take(&rib.write(peers[1], 1000));
    assert_eq!(
        (receiver.routes.len(), receiver.ends.as_slice()),
        (1, &Family::ALL[..])
    );
}

/// Prefixes with the same attributes share messages, however they came; End-of-RIB comes once, after all.
#[test]
fn prefixes_that_share_attributes_share_messages() {
    let (mut rib, peers) = sample::rib(&sample::settings(2));
    let prefixes = numbered(2000);
    for (number, to) in prefixes.iter().enumerate() {
        let origin = u32::try_from(number % 2 + 1).unwrap();
        rib.receive(peers[0], announce(attributes(1, &[65_001, origin]), &[to]))
            .unwrap();
    }
    let mut receiver = Receiver::new(false);
    receiver.take(&rib.write(peers[1], 100_000));
    assert_eq!((receiver.routes.len(), receiver.ends.len()), (2000, 2));
    // Two sets of 1,000 prefixes of four octets, in messages of 4,096; two ends.
    assert_eq!(receiver.messages, 2 + 2);
    rib.refresh(peers[1], Family::Ipv4);
    receiver.take(&rib.write(peers[1], 100_000));
    assert_eq!(
        (receiver.routes.len(), receiver.ends.len(), receiver.messages),
        (2000, 2, 4 + 2)
    );
}

/// A budget is kept, about, and what changes all the time does not keep back the rest.
#[test]
fn budgets_and_fairness() {
    let (mut rib, peers) = sample::rib(&sample::settings(2));
    let prefixes = numbered(1000);
    let all: Vec<&str> = prefixes.iter().map(String::as_str).collect();
    rib.receive(peers[0], announce(attributes(1, &[65_001, 1]), &all))
        .unwrap();
    let mut receiver = Receiver::new(false);
    for turn in 2..40 {
        rib.receive(peers[0], announce(attributes(1, &[65_001, turn]), &all[..100]))
            .unwrap();
        let octets = rib.write(peers[1], 400);
        assert!((300..600).contains(&octets.len()), "{}", octets.len());
        receiver.take(&octets);
    }
    assert_eq!(receiver.routes.len(), 1000);
}

/// A withdrawal and an announcement that come between two writes cost nothing.
#[test]
fn what_came_and_went_unseen_is_not_told() {
    let (mut rib, peers) = sample::rib(&sample::settings(2));
    let _ends = rib.write(peers[1], 1000);
    rib.receive(peers[0], announce(attributes(1, &[65_001]), &[TO]))
        .unwrap();
    rib.receive(peers[0], withdraw(&[TO])).unwrap();
    assert_eq!((rib.changes(), rib.write(peers[1], 1000)), (vec![], vec![]));
    assert_eq!(rib.prefixes_known(), 0);
}

/// A policy that changes only what it says moves only that (the rest is not sent again).
#[test]
fn new_settings_move_only_what_they_change() {
    let mut settings = sample::settings(2);
    let (mut rib, peers) = sample::rib(&settings);
    rib.receive(
        peers[0],
        announce(attributes(1, &[65_001]), &["10.1.0.0/16", "10.2.0.0/16"]),
    )
    .unwrap();
    let mut receiver = Receiver::new(false);
    receiver.take(&rib.write(peers[1], 1000));
    let _set = rib.changes();
    let range = crate::PrefixRange {
        prefix: prefix("10.1.0.0/16"),
        lengths: 16..=16,
    };
    let condition = Condition {
        prefixes: Some(vec![range]),
        ..Condition::default()
    };
    let term = Term {
        condition,
        change: Change {
            med: Some(9),
            ..Change::default()
        },
        verdict: Verdict::Accept,
    };
    let policy = Policy {
        terms: vec![term],
        default: Verdict::Accept,
    };
    settings.neighbours.get_mut(&sample::name(2)).unwrap().export = policy;
    rib.configure(Arc::new(settings.clone()));
    let before = receiver.messages;
    receiver.take(&rib.write(peers[1], 1000));
    assert_eq!(receiver.messages, before + 1);
    assert_eq!(receiver.routes[&prefix("10.1.0.0/16")].med, Some(9));
    assert_eq!(rib.changes(), []);
    settings.restart_time = std::time::Duration::from_secs(1);
    rib.configure(Arc::new(settings));
    assert_eq!((rib.changes(), rib.write(peers[1], 1000)), (vec![], vec![]));
}

/// Equally good paths are used at once; a tunnel that goes down takes its own away and no other.
#[test]
fn equal_paths_and_tunnels() {
    let settings = Settings {
        multipath: 4,
        ..sample::settings(3)
    };
    let (mut rib, peers) = sample::rib(&settings);
    for (number, peer) in (1u8..).zip(&peers) {
        rib.receive(*peer, announce(attributes(number, &[65_009]), &[TO]))
            .unwrap();
    }
    let ways = |numbers: &[u8]| -> Vec<RouteChange> {
        let way = |number: &u8| Way {
            neighbour: sample::name(*number),
            next_hop: [169, 254, 0, *number].into(),
        };
        vec![RouteChange::Set(prefix(TO), numbers.iter().map(way).collect())]
    };
    assert_eq!(rib.changes(), ways(&[1, 2, 3]));
    rib.tunnel(peers[0], false);
    assert_eq!(rib.changes(), ways(&[2, 3]));
    rib.tunnel(peers[0], true);
    assert_eq!(rib.changes(), ways(&[1, 2, 3]));
    peers.iter().for_each(|peer| rib.tunnel(*peer, false));
    assert_eq!(rib.changes(), [RouteChange::Remove(prefix(TO))]);
    let standings: Vec<Standing> = rib
        .routes(&query(RouteView::Received))
        .routes
        .iter()
        .map(|row| row.standing)
        .collect();
    assert_eq!(standings, [Standing::TunnelDown; 3]);
}

fn query(view: RouteView) -> RouteQuery {
    RouteQuery {
        view,
        family: Family::Ipv4,
        neighbour: None,
        filter: None,
        after: None,
        limit: 100,
    }
}

/// Each path says what became of it, and by which step it lost.
#[test]
fn a_route_says_why_it_lost() {
    let (mut rib, peers) = sample::rib(&sample::settings(4));
    rib.receive(peers[0], announce(attributes(1, &[65_001, 7]), &[TO]))
        .unwrap();
    rib.receive(peers[1], announce(attributes(2, &[65_002]), &[TO]))
        .unwrap();
    rib.receive(peers[2], announce(attributes(3, &[65_003, 65_000]), &[TO]))
        .unwrap();
    let ours = crate::wire::attribute::NextHop::Address([169, 254, 1, 1].into());
    let unusable = crate::wire::attribute::Attributes {
        next_hop: ours,
        ..attributes(4, &[65_004])
    };
    rib.receive(peers[3], announce(unusable, &[TO])).unwrap();
    let rows = rib.routes(&query(RouteView::Received)).routes;
    let standing = |number| {
        rows.iter()
            .find(|row| row.from == Some(sample::name(number)))
            .unwrap()
            .standing
    };
    assert_eq!(standing(1), Standing::Lost(Step::AsPathLength));
    assert_eq!(standing(2), Standing::Best);
    assert_eq!(
        standing(3),
        Standing::Refused(crate::Refusal::OurAutonomousSystem)
    );
    assert_eq!(standing(4), Standing::NextHopUnusable);
}

/// Routes of two neighbours, a prefix of ours and one of a site.
fn with_routes() -> crate::rib::Rib {
    let mut settings = sample::settings(2);
    settings.own = vec![prefix("172.16.0.0/12")];
    settings
        .sites
        .insert(sample::name(2), vec![prefix("192.168.0.0/24")]);
    let (mut rib, peers) = sample::rib(&settings);
    rib.receive(peers[0], announce(attributes(1, &[65_001]), &PREFIXES))
        .unwrap();
    rib.receive(peers[1], announce(attributes(2, &[65_002, 7]), &PREFIXES[1..2]))
        .unwrap();
    rib
}

const PREFIXES: [&str; 5] = [
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.2.0.0/16",
    "11.0.0.0/8",
];

fn to(rows: &[RouteRow]) -> Vec<String> {
    rows.iter().map(|row| row.prefix.to_string()).collect()
}

/// Views are filtered by neighbour and by how prefixes lie to one.
#[test]
fn views_are_filtered() {
    let rib = with_routes();
    let with = |filter| {
        to(&rib
            .routes(&RouteQuery {
                filter: Some(filter),
                ..query(RouteView::Accepted)
            })
            .routes)
    };
    assert_eq!(with(PrefixFilter::Exact(prefix("10.2.0.0/16"))), ["10.2.0.0/16"]);
    assert_eq!(
        with(PrefixFilter::Inside(prefix("10.1.0.0/16"))),
        ["10.1.0.0/16", "10.1.0.0/16", "10.1.2.0/24"]
    );
    assert_eq!(
        with(PrefixFilter::Containing(prefix("10.1.2.0/24"))),
        ["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", "10.1.2.0/24"]
    );
    let of = |view, number| {
        to(&rib
            .routes(&RouteQuery {
                neighbour: Some(sample::name(number)),
                ..query(view)
            })
            .routes)
    };
    assert_eq!(of(RouteView::Received, 2), ["10.1.0.0/16"]);
    assert_eq!(of(RouteView::Best, 2), ["192.168.0.0/24"]);
}

/// Pages follow each other without gap, in the order of the prefixes.
#[test]
fn pages_follow_each_other() {
    let rib = with_routes();
    let mut pages = Vec::new();
    let mut after = None;
    loop {
        let page = rib.routes(&RouteQuery {
            after,
            limit: 2,
            ..query(RouteView::Best)
        });
        assert!(page.routes.len() <= 2);
        pages.extend(page.routes);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let from: Vec<Option<NeighbourName>> = pages.iter().map(|row| row.from.clone()).collect();
    assert_eq!(
        to(&pages),
        [&PREFIXES[..], &["172.16.0.0/12", "192.168.0.0/24"]].concat()
    );
    assert_eq!(
        (&from[0], &from[5], &from[6]),
        (&Some(sample::name(1)), &None, &Some(sample::name(2)))
    );
    assert_eq!(rib.best(Family::Ipv4), 7);
}
