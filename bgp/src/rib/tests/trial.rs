//! What would become of routes, without a session.

use std::sync::Arc;

use thin_vec::thin_vec;

use crate::rib::sample::{self, announce, attributes, prefix, withdraw};
use crate::rib::{LimitTried, Refusal};
use crate::wire::attribute::Attributes;
use crate::wire::update::{Destination, Update};
use crate::{Community, Condition, Family, Outcome, Policy, PrefixRange, Settings, Term, Trial, Verdict};

/// The term that lets a route in, or why it is not.
type Judged = Result<Option<usize>, Refusal>;

fn term(condition: Condition, verdict: Verdict) -> Term {
    Term {
        condition,
        change: crate::Change::default(),
        verdict,
    }
}

/// The first term refuses by a community, the second takes what is inside 10.0.0.0/8, nothing else fits.
fn settings(limit: u32) -> Settings {
    let mut settings = sample::settings(2);
    settings.own = vec![prefix("10.200.0.0/16")];
    let neighbour = settings.neighbours.get_mut(&sample::name(1)).unwrap();
    neighbour.limits.prefixes = limit;
    let marked = Condition {
        communities: vec![Community::Standard(7)],
        ..Condition::default()
    };
    let inside = Condition {
        prefixes: Some(vec![PrefixRange {
            prefix: prefix("10.0.0.0/8"),
            lengths: 8..=32,
        }]),
        ..Condition::default()
    };
    neighbour.import = Policy {
        terms: vec![term(marked, Verdict::Reject), term(inside, Verdict::Accept)],
        default: Verdict::Reject,
    };
    settings
}

fn trial(limit: u32) -> Trial {
    Trial::new(&settings(limit), &sample::name(1)).unwrap()
}

fn usual() -> Attributes {
    attributes(1, &[65_001, 7])
}

fn marked() -> Attributes {
    Attributes {
        communities: thin_vec![7],
        ..usual()
    }
}

fn decided(outcome: &Outcome, by: Judged) -> (u64, Vec<String>) {
    let decided = outcome.decisions.get(&by).cloned().unwrap_or_default();
    (
        decided.routes,
        decided.examples.iter().map(ToString::to_string).collect(),
    )
}

fn limit(outcome: &Outcome) -> LimitTried {
    outcome.limits[&Family::Ipv4]
}

/// Each route counts once, for the term that decided, for the default, or for the rule that no policy can change.
#[test]
fn routes_are_counted_by_what_decided() {
    let mut trial = trial(4000);
    for update in [
        announce(usual(), &["10.1.0.0/16", "10.2.0.0/16"]),
        announce(marked(), &["10.3.0.0/16", "192.0.2.0/24"]),
        announce(usual(), &["198.51.100.0/24", "2001:db8::/32"]),
        announce(usual(), &["10.200.7.0/24"]),
        announce(attributes(1, &[65_001, 65_000]), &["10.4.0.0/16"]),
    ] {
        trial.take(update).unwrap();
    }
    let outcome = trial.outcome();
    let expected: [(Judged, &[&str]); 5] = [
        (Ok(Some(1)), &["10.1.0.0/16", "10.2.0.0/16"]),
        (Err(Refusal::Policy(Some(0))), &["10.3.0.0/16", "192.0.2.0/24"]),
        (Err(Refusal::Policy(None)), &["198.51.100.0/24", "2001:db8::/32"]),
        (Err(Refusal::OwnPrefix), &["10.200.7.0/24"]),
        (Err(Refusal::OurAutonomousSystem), &["10.4.0.0/16"]),
    ];
    assert_eq!(outcome.decisions.len(), expected.len(), "{outcome:?}");
    for (by, prefixes) in expected {
        let (routes, mut examples) = decided(&outcome, by);
        examples.sort();
        assert_eq!(examples, prefixes);
        assert_eq!(usize::try_from(routes).unwrap(), prefixes.len());
    }
    assert_eq!(limit(&outcome).received, 7);
}

/// A prefix that comes again takes the place of itself, and what is withdrawn does not count.
#[test]
fn only_what_is_there_at_the_end_counts() {
    let mut trial = trial(4000);
    for update in [
        announce(marked(), &["10.1.0.0/16", "10.2.0.0/16"]),
        announce(usual(), &["10.1.0.0/16"]),
        withdraw(&["10.2.0.0/16", "10.9.0.0/16"]),
    ] {
        trial.take(update).unwrap();
    }
    let outcome = trial.outcome();
    assert_eq!(
        decided(&outcome, Ok(Some(1))),
        (1, vec!["10.1.0.0/16".to_owned()])
    );
    assert_eq!(outcome.decisions.len(), 1, "{outcome:?}");
    assert_eq!(limit(&outcome).received, 1);
}

/// The limit (RFC 4271 §6.7) counts prefixes that are refused too, and the first one that a session would have ended at is
/// told, even where withdrawals make room again.
#[test]
fn the_prefix_that_would_end_the_session_is_named() {
    let mut trial = trial(2);
    trial
        .take(announce(marked(), &["10.1.0.0/16", "10.2.0.0/16"]))
        .unwrap();
    assert_eq!(limit(&trial.outcome()).exceeded_at, None, "as many as may be");
    trial.take(announce(usual(), &["10.2.0.0/16"])).unwrap();
    assert_eq!(limit(&trial.outcome()).exceeded_at, None, "the same again");
    trial
        .take(announce(usual(), &["10.3.0.0/16", "10.4.0.0/16"]))
        .unwrap();
    trial
        .take(withdraw(&["10.1.0.0/16", "10.3.0.0/16", "10.4.0.0/16"]))
        .unwrap();
    let outcome = trial.outcome();
    let expected = LimitTried {
        received: 1,
        limit: 2,
        exceeded_at: Some(prefix("10.3.0.0/16")),
    };
    assert_eq!(limit(&outcome), expected);
    assert_eq!(outcome.limits[&Family::Ipv6].exceeded_at, None, "by family");
}

/// What one message withdraws makes room for what it announces.
#[test]
fn withdrawals_of_a_message_come_before_its_routes() {
    let mut trial = trial(1);
    trial.take(announce(usual(), &["10.1.0.0/16"])).unwrap();
    let moved = Update {
        withdrawn: withdraw(&["10.1.0.0/16"]).withdrawn,
        ..announce(usual(), &["10.2.0.0/16"])
    };
    trial.take(moved).unwrap();
    let outcome = trial.outcome();
    assert_eq!(limit(&outcome).exceeded_at, None);
    assert_eq!(decided(&outcome, Ok(Some(1))).1, ["10.2.0.0/16"]);
}

/// Several paths to one prefix (RFC 7911) are judged one by one.
#[test]
fn paths_to_one_prefix_are_judged_each() {
    let mut trial = trial(1);
    let path = |attributes, path| Update {
        announced: vec![(
            Arc::new(attributes),
            vec![Destination {
                prefix: prefix("10.1.0.0/16"),
                path,
            }],
        )],
        ..Update::default()
    };
    trial.take(path(usual(), 7)).unwrap();
    trial.take(path(marked(), 8)).unwrap();
    let outcome = trial.outcome();
    assert_eq!(decided(&outcome, Ok(Some(1))).0, 1);
    assert_eq!(decided(&outcome, Err(Refusal::Policy(Some(0)))).0, 1);
}
