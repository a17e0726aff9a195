//! What another policy would make of routes, beside what becomes of them.

use std::sync::Arc;

use crate::rib::sample::{self, announce, attributes, prefix};
use crate::rib::{Comparison, ComparisonQuery, Direction, Fate, PeerIndex, Refusal, Rib, Withheld};
use crate::wire::attribute::Attributes;
use crate::{
    Change, Community, Condition, Families, Mapping, MappingKind, Policy, PrefixRange, Settings, Term,
    Translation, Verdict,
};

/// Neighbour 1 sends, neighbour 2 is sent.
fn tables(change: impl Fn(&mut Settings)) -> (Rib, Vec<PeerIndex>) {
    let mut settings = sample::settings(2);
    change(&mut settings);
    sample::rib(&settings)
}

fn inside(outer: &str) -> Condition {
    let outer = prefix(outer);
    Condition {
        prefixes: Some(vec![PrefixRange {
            prefix: outer,
            lengths: outer.prefix_len()..=32,
        }]),
        ..Condition::default()
    }
}

/// What fits is accepted with a local preference, two more systems before its path and a community.
fn preferred(condition: Condition) -> Policy {
    let change = Change {
        local_preference: Some(200),
        prepend: 2,
        add_communities: vec![Community::Standard(7)],
        ..Change::default()
    };
    Policy {
        terms: vec![Term {
            condition,
            change,
            verdict: Verdict::Accept,
        }],
        default: Verdict::Reject,
    }
}

fn query(number: u8, direction: Direction, policy: Policy) -> ComparisonQuery {
    ComparisonQuery {
        neighbour: sample::name(number),
        resting: None,
        direction,
        policy,
        prefix: None,
    }
}

fn listed(comparison: &Comparison) -> Vec<String> {
    let prefixes = comparison
        .listed
        .iter()
        .map(|compared| compared.prefix.to_string());
    prefixes.collect()
}

fn taken(fate: &Fate) -> (Option<usize>, Arc<Attributes>) {
    match fate {
        Fate::Taken(term, attributes) => (*term, attributes.clone()),
        Fate::Refused(_) | Fate::Withheld(_) => panic!("{fate:?}"),
    }
}

fn send(rib: &mut Rib, peer: PeerIndex, path: &[u32], to: &[&str]) {
    rib.receive(peer, announce(attributes(1, path), to)).unwrap();
}

#[test]
fn what_comes_is_compared() {
    let (mut rib, peers) = tables(|settings| settings.own = vec![prefix("10.200.0.0/16")]);
    let all = ["10.3.0.0/16", "10.1.0.0/16", "192.0.2.0/24", "10.200.1.0/24"];
    send(&mut rib, peers[0], &[65_001, 9], &all);
    let found = rib
        .compare(&query(1, Direction::Import, preferred(inside("10.0.0.0/8"))))
        .unwrap();
    assert_eq!((found.routes, found.changed, found.more), (4, 3, false));
    // A rule that no policy can change leaves its route out of the list.
    assert_eq!(listed(&found), ["10.1.0.0/16", "10.3.0.0/16", "192.0.2.0/24"]);
    let (first, last) = (&found.listed[0], &found.listed[2]);
    let (term, was) = taken(&first.before);
    assert_eq!(
        (term, was.local_preference, was.as_path.to_string()),
        (None, None, "65001 9".to_owned())
    );
    let (term, is) = taken(&first.after);
    assert_eq!((term, is.local_preference), (Some(0), Some(200)));
    assert_eq!(
        (is.as_path.to_string(), &is.communities[..]),
        ("65001 65001 65001 9".to_owned(), &[7][..])
    );
    assert_eq!(taken(&last.before).0, None);
    assert_eq!(last.after, Fate::Refused(Refusal::Policy(None)));
}

/// By the same policy nothing changes; a term more that decides the same is no change either.
#[test]
fn what_becomes_the_same_is_not_listed_unless_it_is_asked_for() {
    let (mut rib, peers) = tables(|_| {});
    send(
        &mut rib,
        peers[0],
        &[65_001],
        &["10.1.0.0/16", "10.1.2.0/24", "10.2.0.0/16"],
    );
    let same = Policy {
        terms: vec![Term {
            condition: inside("10.1.0.0/16"),
            change: Change::default(),
            verdict: Verdict::Accept,
        }],
        default: Verdict::Accept,
    };
    let mut asked = query(1, Direction::Import, same);
    let found = rib.compare(&asked).unwrap();
    assert_eq!((found.routes, found.changed, found.listed.len()), (3, 0, 0));
    asked.prefix = Some(prefix("10.1.0.0/16"));
    let found = rib.compare(&asked).unwrap();
    assert_eq!((found.routes, found.changed), (2, 0));
    assert_eq!(listed(&found), ["10.1.0.0/16", "10.1.2.0/24"]);
    assert_eq!(
        (taken(&found.listed[0].before).0, taken(&found.listed[0].after).0),
        (None, Some(0))
    );
}

#[test]
fn what_is_sent_is_compared_as_it_would_be_told() {
    let (mut rib, peers) = tables(|settings| settings.own = vec![prefix("10.9.0.0/16")]);
    send(&mut rib, peers[0], &[65_001], &["10.1.0.0/16", "0.0.0.0/0"]);
    let found = rib
        .compare(&query(2, Direction::Export, preferred(inside("10.9.0.0/16"))))
        .unwrap();
    assert_eq!((found.routes, found.changed), (3, 2));
    assert_eq!(listed(&found), ["10.1.0.0/16", "10.9.0.0/16"]);
    assert_eq!(
        taken(&found.listed[0].before).1.as_path.to_string(),
        "65000 65001"
    );
    assert_eq!(found.listed[0].after, Fate::Withheld(Withheld::Policy(None)));
    assert_eq!(taken(&found.listed[1].before).1.as_path.to_string(), "65000");
    // What does not leave an autonomous system does not, whatever a policy says.
    let (_, is) = taken(&found.listed[1].after);
    assert_eq!(
        (is.as_path.to_string(), is.local_preference),
        ("65000 65000 65000".to_owned(), None)
    );
    let all = ComparisonQuery {
        prefix: Some(prefix("0.0.0.0/0")),
        ..query(2, Direction::Export, Policy::ALL)
    };
    let found = rib.compare(&all).unwrap();
    assert_eq!(found.listed[0].after, Fate::Withheld(Withheld::DefaultRoute));
}

/// Policies know a route by the prefix that NAT makes of it.
#[test]
fn a_translated_route_is_compared_as_policies_see_it() {
    let (mut rib, peers) = tables(|settings| {
        let neighbour = settings.neighbours.get_mut(&sample::name(1)).unwrap();
        neighbour.translation = Translation {
            ingress: vec![Mapping {
                rule: "in".into(),
                kind: MappingKind::Static,
                internal: prefix("10.1.0.0/24"),
                external: prefix("100.64.1.0/24"),
            }],
            egress: Vec::new(),
        };
    });
    send(&mut rib, peers[0], &[65_001], &["10.1.0.0/24"]);
    let by = |condition| {
        rib.compare(&query(1, Direction::Import, preferred(condition)))
            .unwrap()
    };
    let found = by(inside("100.64.0.0/10"));
    assert_eq!(
        (found.routes, listed(&found)),
        (1, vec!["10.1.0.0/24".to_owned()])
    );
    assert_eq!(taken(&found.listed[0].after).0, Some(0));
    assert_eq!(
        by(inside("10.0.0.0/8")).listed[0].after,
        Fate::Refused(Refusal::Policy(None))
    );
}

/// Of many, the first are listed and all are counted; of too many, some are looked at.
#[test]
fn many_routes_are_counted() {
    let (mut rib, peers) = tables(|settings| {
        for neighbour in settings.neighbours.values_mut() {
            neighbour.limits.prefixes = 100_000;
        }
    });
    let to = |count: u32| -> Vec<String> {
        (0..count)
            .map(|number| format!("10.{}.{}.0/24", number / 256, number % 256))
            .collect()
    };
    let some = to(300);
    send(
        &mut rib,
        peers[0],
        &[65_001],
        &some.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let reject = Policy {
        terms: Vec::new(),
        default: Verdict::Reject,
    };
    let found = rib.compare(&query(1, Direction::Import, reject.clone())).unwrap();
    assert_eq!((found.routes, found.changed, found.more), (300, 300, false));
    assert_eq!(
        (found.listed.len(), found.listed[99].prefix),
        (100, prefix("10.0.99.0/24"))
    );
    let many = to(50_001);
    send(
        &mut rib,
        peers[0],
        &[65_001],
        &many.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let found = rib.compare(&query(1, Direction::Import, reject)).unwrap();
    assert_eq!((found.routes, found.changed, found.more), (50_000, 50_000, true));
}

#[test]
fn families_that_no_session_has_are_not_told_of() {
    let (mut rib, peers) =
        tables(|settings| settings.own = vec![prefix("10.9.0.0/16"), prefix("2001:db8::/32")]);
    let reject = Policy {
        terms: Vec::new(),
        default: Verdict::Reject,
    };
    let asked = query(2, Direction::Export, reject);
    assert_eq!(rib.compare(&asked).unwrap().changed, 2);
    let outlet = crate::rib::Outlet {
        families: Families::NONE.with(crate::Family::Ipv4),
        ..sample::outlet(2)
    };
    rib.open(peers[1], outlet);
    assert_eq!(rib.compare(&asked).unwrap().changed, 1);
    let stranger = query(9, Direction::Import, Policy::ALL);
    assert_eq!(rib.compare(&stranger), None);
}
