//! A session from the first connection to its end.

use std::time::Duration;

use bgp::wire::framing::keepalive;
use bgp::wire::notification::Notification;
use bgp::{Event, Families, Family, Input, PeerState, Side, SocketFault};

use crate::lone::{Said, announcement, message, open, prefixes};
use crate::{Lone, Network, name};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_speakers_come_together_and_exchange_their_own_prefixes() {
    let network = Network::established();
    let peer = network["east"].peer("west");
    let negotiated = peer.negotiated.expect("it is established");
    assert_eq!((negotiated.asn, negotiated.hold_time), (65_002, 180 * SECOND));
    assert_eq!(negotiated.families, Families::NONE.with(Family::Ipv4));
    assert!(negotiated.advanced.enhanced_refresh && negotiated.advanced.graceful_notification);
    assert_eq!(network["east"].way("10.2.0.0/16").as_deref(), Some("west"));
    assert_eq!(network["west"].way("10.1.0.0/16").as_deref(), Some("east"));
    assert_eq!(network.connections("east", "west"), 1);
    assert_eq!(
        network["east"].count(|event| matches!(event, Event::Converged)),
        1
    );
}

/// Octets may come one at a time.
#[test]
fn pieces_do_not_matter() {
    let mut network = Network::idle(&[("east", 65_001), ("west", 65_002)], &[("east", "west")]);
    network.piece = 1;
    network.start();
    network.run_for(5 * SECOND);
    assert_eq!(network["east"].way("10.2.0.0/16").as_deref(), Some("west"));
}

/// RFC 4271 §4.2: the smaller hold time counts, and a third of it passes between keepalives at most.
#[test]
fn the_smaller_hold_time_counts() {
    let mut network = Network::with(|east, _| east.timers.hold_time = 30 * SECOND);
    network.run_for(5 * SECOND);
    let negotiated = network["west"]
        .peer("east")
        .negotiated
        .expect("it is established");
    assert_eq!(
        (negotiated.hold_time, negotiated.keepalive),
        (30 * SECOND, 10 * SECOND)
    );
    network.run_for(600 * SECOND);
    assert!(network["west"].is_established("east"));
    assert_eq!(network["west"].peer("east").established_count, 1);
    let sent = network["west"].peer("east").sent.keepalives;
    assert!((60..=85).contains(&sent), "{sent} keepalives in ten minutes");
}

/// RFC 4271 §4.2: with a hold time of zero nobody has to say anything.
#[test]
fn a_hold_time_of_zero_asks_for_no_keepalives() {
    let mut network = Network::with(|east, _| east.timers.hold_time = Duration::ZERO);
    network.run_for(3600 * SECOND);
    assert!(network["west"].is_established("east"));
    assert_eq!(
        network["east"].peer("west").sent.keepalives,
        1,
        "the one that answers the OPEN"
    );
}

/// One side waits and the other one connects; both ways round.
#[test]
fn a_passive_neighbour_is_waited_for() {
    let mut network = Network::with(|east, _| east.passive = true);
    network.run_for(5 * SECOND);
    assert!(network["east"].is_established("west"));
    let mut network = Network::with(|east, west| (east.passive, west.passive) = (true, true));
    network.run_for(600 * SECOND);
    let peer = network["east"].peer("west");
    assert_eq!(
        (peer.state, peer.last_error.unwrap().reason),
        (PeerState::Active, "waiting-for-peer")
    );
}

/// Where another program has the port, a session that only the neighbour opens says so, once; when it is free, it waits
/// again. One that we open does without.
#[test]
fn a_port_that_is_taken_keeps_a_passive_session_down() {
    let taken = || Err(SocketFault::Refused("Address already in use".to_owned()));
    let mut lone = Lone::new();
    assert_eq!(lone.last_error().reason, "waiting-for-peer");
    for _ in 0..3 {
        lone.tell(Input::Listening(name("peer"), taken()));
    }
    let error = lone.last_error();
    assert_eq!((error.reason, error.side), ("not-listening", Side::We));
    assert_eq!(lone.site.downs().len(), 1, "{:?}", lone.site.downs());
    lone.tell(Input::Tunnel(name("peer"), false));
    assert_eq!(lone.last_error().reason, "tunnel-down");
    lone.tell(Input::Tunnel(name("peer"), true));
    assert_eq!(lone.last_error().reason, "not-listening");
    lone.tell(Input::Listening(name("peer"), Ok(())));
    assert_eq!(lone.last_error().reason, "waiting-for-peer");
    let mut active = Lone::with(|_| {});
    active.tell(Input::Listening(name("peer"), taken()));
    assert_eq!((active.site.downs().len(), active.asked.len()), (0, 1));
}

/// Other keys are another session: the old one says goodbye, and a new one is opened.
#[test]
fn what_carries_a_session_is_changed_with_it() {
    let (mut lone, _) = Lone::established();
    lone.tell(Input::Moved(name("peer")));
    let error = lone.last_error();
    assert_eq!(
        (error.reason, error.notification),
        ("configuration-changed", Some((6, 6)))
    );
    assert!(!lone.site.is_established("peer"));
}

/// A neighbour that is silent is given up after the hold time, and its routes with it.
#[test]
fn silence_ends_the_session() {
    let mut network = Network::established();
    network.cut("east", "west");
    network.run_for(200 * SECOND);
    let east = &network["east"];
    assert_eq!(east.downs()[0].reason, "hold-timer-expired");
    assert_eq!(
        (east.downs()[0].side, east.downs()[0].notification),
        (Side::We, Some((4, 0)))
    );
    network.run_for(200 * SECOND);
    assert_eq!(
        network["east"].way("10.2.0.0/16"),
        None,
        "not kept for longer than the restart time"
    );
    network.mend();
    network.run_for(130 * SECOND);
    assert!(network["east"].is_established("west"));
    assert_eq!(network["east"].way("10.2.0.0/16").as_deref(), Some("west"));
}

#[test]
fn a_lost_connection_is_made_anew_at_once() {
    let mut network = Network::established();
    network.break_connections("east", "west");
    assert!(!network["east"].is_established("west"));
    network.run_for(3 * SECOND);
    assert!(network["east"].is_established("west") && network["west"].is_established("east"));
    assert_eq!(network["east"].downs()[0].reason, "connection-lost");
}

/// Attempts become rarer, the same failure is told once, and a tunnel that comes back is used at once.
#[test]
fn failing_attempts_become_rarer() {
    let mut lone = Lone::with(|_| {});
    for _ in 0..40 {
        let last = *lone.asked.last().unwrap();
        lone.tell(Input::NotConnected(
            last,
            SocketFault::Refused("connection refused".to_owned()),
        ));
        let next = lone.peer().next_attempt.expect("it is tried again");
        assert!(next <= lone.now + 120 * SECOND);
        lone.run_for(next - lone.now);
    }
    assert_eq!(lone.asked.len(), 41);
    assert_eq!(lone.site.downs().len(), 1, "one event");
    let last = *lone.asked.last().unwrap();
    lone.tell(Input::NotConnected(
        last,
        SocketFault::Refused("connection refused".to_owned()),
    ));
    lone.tell(Input::Tunnel(name("peer"), false));
    lone.run_for(3600 * SECOND);
    assert_eq!((lone.asked.len(), lone.last_error().reason), (41, "tunnel-down"));
    lone.tell(Input::Tunnel(name("peer"), true));
    assert_eq!(lone.asked.len(), 42);
}

/// Paths through a tunnel that does not carry are not used; the session itself may survive a short outage.
#[test]
fn a_tunnel_takes_its_paths_along_and_not_its_session() {
    let mut network = Network::established();
    network.input("east", Input::Tunnel(name("west"), false));
    assert_eq!(network["east"].way("10.2.0.0/16"), None);
    network.run_for(20 * SECOND);
    network.input("east", Input::Tunnel(name("west"), true));
    assert_eq!(network["east"].way("10.2.0.0/16").as_deref(), Some("west"));
    assert_eq!(network["east"].peer("west").established_count, 1);
}

/// BFD knows earlier than the hold timer.
#[test]
fn a_lost_path_ends_the_session_at_once() {
    let mut network = Network::established();
    network.input("east", Input::PathLost(name("west"), crate::site::address(9)));
    assert!(
        network["east"].is_established("west"),
        "another address is no matter"
    );
    network.input("east", Input::PathLost(name("west"), crate::site::address(2)));
    assert!(!network["east"].is_established("west"));
    assert_eq!(
        network["east"].way("10.2.0.0/16"),
        None,
        "nothing is kept: the path is gone"
    );
    assert_eq!(network["east"].downs()[0].notification, Some((6, 10)));
}

/// What was not agreed on in the OPENs changes in place.
#[test]
fn policies_and_limits_change_in_place() {
    let mut network = Network::established();
    network.change("east", "west", |neighbour| {
        neighbour.import.default = bgp::Verdict::Reject;
        neighbour.limits.prefixes = 10;
        neighbour.timers.hold_time = 30 * SECOND;
        neighbour.passive = true;
    });
    network.run_for(5 * SECOND);
    assert_eq!(network["east"].way("10.2.0.0/16"), None);
    network.change("east", "west", |neighbour| {
        neighbour.import.default = bgp::Verdict::Accept
    });
    assert_eq!(network["east"].way("10.2.0.0/16").as_deref(), Some("west"));
    assert_eq!(network["east"].peer("west").established_count, 1);
}

/// What was agreed on begins anew, and the neighbour is told so; other sessions are not touched.
#[test]
fn families_reset_the_session_and_no_other() {
    let sites = [("east", 65_001), ("west", 65_002), ("north", 65_003)];
    let mut network = Network::idle(&sites, &[("east", "west"), ("east", "north")]);
    network.start();
    network.run_for(5 * SECOND);
    network.change("east", "west", |neighbour| neighbour.families = Families::ALL);
    network.change("west", "east", |neighbour| neighbour.families = Families::ALL);
    network.run_for(5 * SECOND);
    assert_eq!(network["west"].downs()[0].reason, "configuration-changed");
    let negotiated = network["east"].peer("west").negotiated.expect("it came back");
    assert_eq!(negotiated.families, Families::ALL);
    assert_eq!(network["east"].peer("north").established_count, 1);
    assert!(network["north"].downs().is_empty());
}

#[test]
fn a_neighbour_that_is_no_longer_configured_is_told_so() {
    let mut network = Network::established();
    network.configure("east", |settings| settings.neighbours.clear());
    network.run_for(SECOND);
    assert_eq!(network["west"].downs()[0].reason, "deconfigured");
    assert!(network["east"].kernel.is_empty(), "its routes went with it");
}

#[test]
fn an_operator_starts_a_session_anew() {
    let mut network = Network::established();
    network.input("east", Input::Clear(name("west")));
    network.run_for(3 * SECOND);
    let told = &network["west"].downs()[0];
    assert_eq!(
        (told.reason, told.side, told.notification),
        ("reset-by-admin", Side::Peer, Some((6, 4)))
    );
    assert_eq!(network["west"].peer("east").established_count, 2);
}

#[test]
fn a_speaker_that_ends_says_so() {
    let mut network = Network::established();
    network.input("east", Input::Shutdown { restarting: false });
    network.run_for(SECOND);
    assert_eq!(network["west"].downs()[0].reason, "shutdown");
    assert_eq!(
        network["west"].way("10.1.0.0/16"),
        None,
        "a hard reset: nothing is kept"
    );
    network.input("east", Input::Tunnel(name("west"), true));
    network.run_for(600 * SECOND);
    assert!(!network["west"].is_established("east"), "it does not begin again");
}

/// RFC 6608: a message at the wrong time is answered with a subcode that says when.
#[test]
fn messages_at_the_wrong_time_are_told_the_state() {
    let mut lone = Lone::new();
    let connection = lone.accept();
    lone.hears(connection, keepalive());
    assert_eq!(lone.refusal(connection), (5, 1));

    let mut lone = Lone::new();
    let connection = lone.accept();
    lone.hears(connection, open().encode());
    lone.hears(connection, announcement(&prefixes(1)));
    assert_eq!(lone.refusal(connection), (5, 2));

    let (mut lone, connection) = Lone::established();
    lone.hears(connection, open().encode());
    assert_eq!(lone.refusal(connection), (5, 3));
    assert_eq!(lone.last_error().reason, "unexpected-message");
}

/// After a fault in the protocol the neighbour gets a pause; its connections are refused until then.
#[test]
fn a_neighbour_that_breaks_the_protocol_gets_a_pause() {
    let (mut lone, connection) = Lone::established();
    lone.hears(connection, [0; 19]);
    assert_eq!(lone.refusal(connection), (1, 1));
    let next = lone.peer().next_attempt.expect("the pause ends");
    assert_eq!(lone.peer().state, PeerState::Idle);
    let early = lone.accept();
    assert_eq!(lone.refusal(early), (6, 5));
    lone.run_for(next - lone.now);
    lone.establish_with(&open());
}

/// A NOTIFICATION is never answered.
#[test]
fn a_notification_is_not_answered() {
    let (mut lone, connection) = Lone::established();
    lone.hears(connection, Notification::cease(2).encode());
    assert_eq!(lone.said(connection), []);
    assert_eq!(lone.closed, [connection]);
    let (mut lone, connection) = Lone::established();
    lone.hears(connection, message(3, &[6]));
    let said = lone.said(connection);
    assert!(
        !said
            .iter()
            .any(|said| matches!(said, Said::Notification(n) if n.code == 6)),
        "{said:?}"
    );
}

/// Who the neighbour says it is, is checked (RFC 4271 §6.2).
#[test]
fn opens_are_judged() {
    type Change = fn(&mut bgp::wire::open::Open);
    let cases: [(Change, (u8, u8)); 4] = [
        (
            |open| (open.asn, open.capabilities.four_octet_asn) = (65_009, Some(65_009)),
            (2, 2),
        ),
        (|open| open.hold_time = 2, (2, 6)),
        (|open| open.identifier = std::net::Ipv4Addr::UNSPECIFIED, (2, 3)),
        (
            |open| open.capabilities.families = Some(Families::NONE.with(Family::Ipv6)),
            (2, 7),
        ),
    ];
    for (change, refusal) in cases {
        let mut lone = Lone::new();
        let mut open = open();
        change(&mut open);
        let connection = lone.accept();
        lone.hears(connection, open.encode());
        assert_eq!(lone.refusal(connection), refusal);
    }
}

/// RFC 6286 §2.2: inside one autonomous system our own identifier is nobody else's; outside it may be.
#[test]
fn our_own_identifier_is_ours_inside_our_system() {
    for (asn, refused) in [(65_001, true), (65_002, false)] {
        let mut lone = Lone::with(|neighbour| (neighbour.passive, neighbour.asn) = (true, asn));
        let mut open = open();
        (open.asn, open.capabilities.four_octet_asn) = (asn, Some(asn));
        open.identifier = lone.site.settings.router_id;
        let connection = lone.accept();
        lone.hears(connection, open.encode());
        assert_eq!(lone.closed.contains(&connection), refused);
    }
}
