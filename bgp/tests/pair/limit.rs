//! The prefix limit (RFC 4486 §4).

use std::time::Duration;

use bgp::wire::notification::Notification;
use bgp::{ConnectionId, Event, Family, Input, PeerState};

use crate::lone::{Said, announcement, open, prefixes, withdrawal};
use crate::{Lone, name};

const SECOND: Duration = Duration::from_secs(1);

/// A session whose neighbour may send 100 prefixes.
fn limited(restart_after: Option<Duration>) -> (Lone, ConnectionId) {
    let mut lone = Lone::with(|neighbour| {
        neighbour.passive = true;
        neighbour.limits.prefixes = 100;
        neighbour.limits.restart_after = restart_after;
    });
    let connection = lone.establish_with(&open());
    (lone, connection)
}

fn near(lone: &Lone) -> usize {
    lone.site.count(|event| {
        matches!(
            event,
            Event::PrefixesNearLimit {
                received: 75,
                limit: 100,
                ..
            }
        )
    })
}

#[test]
fn three_quarters_are_told_once() {
    let (mut lone, connection) = limited(None);
    lone.hears(connection, announcement(&prefixes(74)));
    assert_eq!(near(&lone), 0);
    lone.hears(connection, announcement(&prefixes(75)));
    lone.hears(connection, announcement(&prefixes(80)));
    assert_eq!(near(&lone), 1);
    lone.hears(connection, withdrawal(&prefixes(40)));
    lone.hears(connection, announcement(&prefixes(75)));
    assert_eq!(near(&lone), 2 - 1, "40 of 100 were left: 79 of them are no news");
}

/// At the limit all is well; one prefix more ends the session, and it stays down until it is cleared.
#[test]
fn the_first_prefix_above_the_limit_ends_the_session() {
    let (mut lone, connection) = limited(None);
    lone.hears(connection, announcement(&prefixes(100)));
    assert!(lone.site.is_established("peer"));
    lone.hears(connection, announcement(&prefixes(101)));
    let Some(Said::Notification(told)) = lone.said(connection).pop() else {
        panic!("it is told why")
    };
    assert_eq!(told, Notification::too_many_prefixes(Family::Ipv4, 100));
    assert_eq!(
        told.data,
        [0, 1, 1, 0, 0, 0, 100],
        "RFC 4486 §4: family and limit"
    );
    assert!(lone.site.kernel.is_empty(), "its routes are gone");
    let error = lone.last_error();
    assert_eq!(
        (error.reason, error.words.as_str()),
        ("prefix-limit", "it sent 101 ipv4 prefixes; 100 are allowed")
    );

    lone.run_for(SECOND * 86_400);
    let peer = lone.peer();
    assert_eq!(
        (peer.state, peer.held_down, peer.next_attempt),
        (PeerState::Idle, true, None)
    );
    let refused = lone.accept();
    assert_eq!(lone.refusal(refused), (6, 5));
    assert_eq!(lone.last_error().reason, "prefix-limit", "the reason stays");

    lone.tell(Input::Clear(name("peer")));
    assert!(!lone.peer().held_down);
    lone.establish_with(&open());
}

/// Prefixes are counted, not messages: what is told again is no more than before.
#[test]
fn the_same_prefixes_again_are_not_more() {
    let (mut lone, connection) = limited(None);
    for _ in 0..10 {
        lone.hears(connection, announcement(&prefixes(100)));
    }
    assert!(lone.site.is_established("peer"));
}

/// Prefixes that a policy does not let in count as well.
#[test]
fn refused_prefixes_count() {
    let mut lone = Lone::with(|neighbour| {
        neighbour.passive = true;
        neighbour.limits.prefixes = 100;
        neighbour.import.default = bgp::Verdict::Reject;
    });
    let connection = lone.establish_with(&open());
    lone.hears(connection, announcement(&prefixes(101)));
    assert_eq!(lone.refusal(connection), (6, 1));
}

#[test]
fn other_settings_lift_it() {
    let (mut lone, connection) = limited(None);
    lone.hears(connection, announcement(&prefixes(101)));
    assert!(lone.peer().held_down);
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    assert!(lone.peer().held_down, "the same settings change nothing");
    lone.site
        .settings
        .neighbours
        .get_mut(&name("peer"))
        .unwrap()
        .limits
        .prefixes = 200;
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    let connection = lone.establish_with(&open());
    lone.hears(connection, announcement(&prefixes(101)));
    assert!(lone.site.is_established("peer"));
}

/// A limit below what is there already counts at once.
#[test]
fn a_lower_limit_counts_at_once() {
    let (mut lone, connection) = limited(None);
    lone.hears(connection, announcement(&prefixes(50)));
    lone.site
        .settings
        .neighbours
        .get_mut(&name("peer"))
        .unwrap()
        .limits
        .prefixes = 49;
    lone.tell(Input::Settings(Box::new(lone.site.settings.clone())));
    assert_eq!(lone.refusal(connection), (6, 1));
    assert!(lone.peer().held_down);
}

#[test]
fn a_timed_restart_is_a_choice() {
    let (mut lone, connection) = limited(Some(300 * SECOND));
    lone.hears(connection, announcement(&prefixes(101)));
    assert_eq!(lone.peer().next_attempt, Some(lone.now + 300 * SECOND));
    lone.run_for(301 * SECOND);
    assert!(!lone.peer().held_down);
    lone.establish_with(&open());
}
