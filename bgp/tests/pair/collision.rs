//! Both sides connect at once (RFC 4271 §6.8).

use std::time::Duration;

use bgp::wire::framing::keepalive;
use bgp::{ConnectionId, Input};

use crate::lone::{Said, graceful, open};
use crate::{Lone, Network};

/// Whatever the delay, one connection stays, and no failure is told.
#[test]
fn of_two_connections_one_stays() {
    for millis in [0, 1, 10, 500, 3000] {
        for piece in [1, usize::MAX] {
            let mut network = Network::idle(&[("east", 65_001), ("west", 65_002)], &[("east", "west")]);
            network.delay = Duration::from_millis(millis);
            network.piece = piece;
            network.start();
            network.run_for(Duration::from_secs(60));
            assert_eq!(
                network.connections("east", "west"),
                1,
                "{millis} ms, pieces of {piece}"
            );
            assert!(network["east"].is_established("west") && network["west"].is_established("east"));
            for site in &network.sites {
                assert!(site.downs().is_empty(), "{:?}", site.downs());
            }
        }
    }
}

/// RFC 6286 §2.3: equal identifiers in different systems.
#[test]
fn equal_identifiers_are_told_apart_by_the_system() {
    let mut network = Network::idle(&[("east", 65_001), ("west", 65_002)], &[("east", "west")]);
    network.sites[0].settings.router_id = network.sites[1].settings.router_id;
    network.start();
    network.run_for(Duration::from_secs(5));
    assert_eq!(network.connections("east", "west"), 1);
    assert!(network["east"].is_established("west"));
}

/// Our identifier is the smaller one: the connection that the neighbour opened survives.
#[test]
fn the_connection_of_the_smaller_identifier_goes() {
    let mut lone = Lone::with(|_| {});
    let ours = lone.asked[0];
    lone.tell(Input::Connected(ours, "169.254.0.2:179".parse().unwrap()));
    let theirs = lone.accept();
    lone.hears(ours, open().encode());
    assert_eq!(lone.refusal(ours), (6, 7));
    lone.hears(theirs, open().encode());
    lone.hears(theirs, keepalive());
    assert!(lone.site.is_established("peer"));
}

/// An established session stays when its neighbour opens another connection; the neighbour has lost it only if it can
/// restart gracefully (RFC 4724 §4.2).
#[test]
fn an_established_session_yields_to_a_graceful_restart_alone() {
    let (mut lone, first) = Lone::established();
    let second = lone.accept();
    lone.hears(second, open().encode());
    assert_eq!(lone.refusal(second), (6, 7));
    assert!(!lone.closed.contains(&first));

    let mut lone = Lone::new();
    let first = lone.establish_with(&graceful(true, false));
    lone.run_for(Duration::from_secs(20));
    let second = lone.accept();
    lone.hears(second, graceful(true, false).encode());
    assert!(lone.closed.contains(&first) && !lone.closed.contains(&second));
    let said = lone.said(first);
    assert!(
        !said.iter().any(|said| matches!(said, Said::Notification(_))),
        "RFC 4724 §4.2: {said:?}"
    );
    lone.hears(second, keepalive());
    assert_eq!(lone.peer().established_count, 2);
}

/// A thousand connections: never more than two are kept.
#[test]
fn of_a_thousand_connections_two_are_kept() {
    let (mut lone, first) = Lone::established();
    let opened: Vec<ConnectionId> = (0..1000).map(|_| lone.accept()).collect();
    let open = opened
        .iter()
        .filter(|connection| !lone.closed.contains(connection))
        .count();
    assert_eq!(open, 1);
    assert!(lone.site.is_established("peer") && !lone.closed.contains(&first));
}
